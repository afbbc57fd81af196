"""The stars that may belong to a cluster: cuts in quality, proper motion and parallax about the densest place."""

from __future__ import annotations

from typing import NamedTuple

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.clustering.stars.peaks import densest

MOTION_WIDTH, PARALLAX_WIDTH = 0.2, 0.1  # mas/yr and mas: bandwidths in which clusters are looked for


class Windows(NamedTuple):
    """How far from the cluster's motion (mas/yr) and parallax (mas) stars may be; centres are found unless given."""

    motion: float
    parallax: float
    motion_at: tuple[float, float] | None = None
    parallax_at: float | None = None


class Found(NamedTuple):
    """Which stars pass each cut and those before it, and where the windows stand."""

    motion: Bool[Tensor, "n"]
    parallax: Bool[Tensor, "n"]
    motion_at: Float[Tensor, "2"]
    parallax_at: float


def cut(motion: Float[Tensor, "n 2"], parallax: Float[Tensor, "n"], good: Bool[Tensor, "n"], windows: Windows) -> Found:
    """The `good` stars within a circle in proper motion and, of these, within a window in parallax.

    Centres that are not given are modes of kernel density estimates: of the good stars in proper motion, and of those
    in the circle in parallax. Parallaxes may be negative: a window has no need of distances.
    """
    given = windows.motion_at
    at = densest(motion[good], MOTION_WIDTH) if given is None else motion.new_tensor(given)
    near = good & ((motion - at).norm(dim=1) <= windows.motion)
    place = windows.parallax_at
    if place is None:
        place = float(densest(parallax[near, None], PARALLAX_WIDTH)) if bool(near.any()) else 0.0
    return Found(near, near & ((parallax - place).abs() <= windows.parallax), at, place)
