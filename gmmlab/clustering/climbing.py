"""Steps of clusterers whose rows climb to the peaks of a density, for sessions that watch them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from gmmlab.algebra import KernelModes, Modes
from gmmlab.algebra.modes import distinct
from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Full
from gmmlab.init import from_responsibilities, one_hot
from gmmlab.model import Mixture

MOST = 64  # groups that are shown, while rows have not met


class Whereabouts(NamedTuple):
    """Where the rows are on their way up."""

    points: Float[Tensor, "n d"]
    evidence: float  # mean log height of the density there, which never falls
    labels: Int[Tensor, "n"] | None = None  # the groups of the fit, once all have arrived
    modes: Modes | KernelModes | None = None  # and the modes that they have come to


@dataclass(frozen=True, eq=False)
class Climbing:
    """A step of rows that climb. Its model, rows that have met as a Gaussian each, is made when it is asked for."""

    i: int
    info: Whereabouts
    gathered: Callable[[], Mixture]

    @cached_property
    def model(self) -> Mixture:
        """Gaussians of the rows that have met, at the places where these come from."""
        return self.gathered()


def met(places: Float[Tensor, "s d"], heights: Float[Tensor, "s"]) -> Int[Tensor, "s"]:
    """Numbers of the groups of places that lie within one unit of a higher one.

    The unit is doubled until there are at most 64 groups.
    """
    radius = 1.0
    while True:
        first, labels = distinct(heights, lambda i: (places - places[i]).norm(dim=1), radius)
        if len(first) <= MOST:
            return labels
        radius *= 2


def blobs(x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], variance: float) -> Mixture:
    """Groups of rows as Gaussians, with the mean and the covariance of each, and `variance` in all directions.

    So a group has the moments of its share of a kernel density, whose kernels have that variance. Rows with the label
    -1 are in none; groups without rows are left out.
    """
    seen, number = labels.clamp(min=-1).unique(return_inverse=True)
    resp = one_hot(number, len(seen), x.dtype)[:, int((seen < 0).sum()) :]
    return from_responsibilities(x, resp if resp.shape[1] else torch.ones_like(x[:, :1]), Full(), ridge=variance)
