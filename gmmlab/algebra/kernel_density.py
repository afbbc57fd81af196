"""Modes of kernel densities by mean shift, also of rows with so many columns that they are better looked for elsewhere.

    f(x) = 1/n sum_i kappa(|x - x_i|^2 / h^2)        x <- sum_i g_i x_i / sum_i g_i,   g_i = -kappa'(|x - x_i|^2 / h^2)

Heights are without the constant that makes f integrate to one; they are at most 0 in logarithms. The shift never goes
down where the profile is convex (Comaniciu and Meer 2002). It is slow where f is flat: two shifts give a guess at their
limit (SQUAREM; Varadhan and Roland 2008), taken where it is higher than the first of them and not far.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch

from gmmlab.algebra.modes import SAME, Climb, distinct
from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import NumericalWarning, warn
from gmmlab.families import EII, Gaussian
from gmmlab.gates import Constant
from gmmlab.kernels.profiles import Normal, Profile
from gmmlab.model import Mixture

CELLS = 1 << 21  # distances that live at once
DIRECT = 16  # columns up to which differences are squared one by one, without cancellation
REACH = 0.3  # bandwidths that a guess may lie from the shift: basins are those of the shift
NUDGE = 0.01  # bandwidths that a limit is pushed, to see whether it comes back
PLAIN = Normal()


@dataclass(frozen=True, eq=False)
class KernelDensity:
    """Rows, each the centre of a kernel. Raises `ValueError` unless the bandwidth is above zero."""

    rows: Float[Tensor, "n d"]
    bandwidth: float
    profile: Profile = PLAIN

    def __post_init__(self) -> None:
        if not 0 < self.bandwidth < float("inf"):
            raise ValueError(f"The bandwidth is {self.bandwidth}; expected a number above 0, on the scale of the rows.")

    def log_height(self, x: Float[Tensor, "s d"]) -> Float[Tensor, "s"]:
        """log f(x), -inf where no kernel reaches."""
        return torch.cat([self._height(t) for t in self.squares(x)])

    def shift(self, x: Float[Tensor, "s d"]) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s"]]:
        """The mean of the rows with the weights of `x` (`x` itself where no row has any), and log f(x)."""
        parts = [(self.mean(t, self.rows), self._height(t)) for t in self.squares(x)]
        mean, height = (torch.cat(part) for part in zip(*parts, strict=True))
        return torch.where(mean.isnan(), x, mean), height

    def mean(self, t: Float[Tensor, "s n"], rows: Float[Tensor, "n d"]) -> Float[Tensor, "s d"]:
        """The mean of `rows` with the weights of these squared distances."""
        return torch.softmax(self.profile.log_weight(t), dim=1) @ rows

    def _height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s"]:
        return self.profile.log_height(t).logsumexp(1) - math.log(len(self.rows))

    def squares(self, x: Float[Tensor, "s d"]) -> Iterator[Float[Tensor, "m n"]]:
        """Squared distances to the rows, in bandwidths."""
        few = self.rows.shape[1] <= DIRECT
        mode = "donot_use_mm_for_euclid_dist" if few else "use_mm_for_euclid_dist"
        centre = self.rows.mean(0)
        about = (self.rows - centre) / self.bandwidth
        for part in x.split(max(1, CELLS // len(about))):
            yield torch.cdist((part - centre) / self.bandwidth, about, compute_mode=mode).square()


class KernelModes(NamedTuple):
    """Peaks of a kernel density, the highest first."""

    points: Float[Tensor, "m d"]
    heights: Float[Tensor, "m"]  # log f
    basins: Int[Tensor, "s"]  # the mode that each start climbs to; -1 where no kernel reaches
    steps: int = 0  # of the longest way up


class Lifted(NamedTuple):
    """What a projection found, and what became of it in the full space."""

    images: Float[Tensor, "m q"]  # modes of the projected rows
    low: Float[Tensor, "m"]  # log heights of these
    basins: Int[Tensor, "s"]  # the mode that the image of each start climbs to
    lifted: Float[Tensor, "m d"]  # shifts by the weights of the projection
    heights: Float[Tensor, "m"]  # log heights of these, in the full space
    modes: KernelModes  # where the lifted points climb to


class ModeTree(NamedTuple):
    """Modes at growing bandwidths; entry l of each list is of bandwidth l."""

    bandwidths: list[float]
    modes: list[KernelModes]  # their basins are of the modes before, at first of the rows
    labels: list[Int[Tensor, "n"]]  # the mode of each row


def as_mixture(density: KernelDensity) -> Mixture:
    """A density with the profile `Normal`, as a mixture with a component for each row. Heights differ by a constant."""
    if not isinstance(density.profile, Normal):
        raise TypeError(f"Expected a density with the profile Normal, got {type(density.profile).__name__}.")
    rows = density.rows.double()
    cov = density.bandwidth**2 * torch.eye(rows.shape[1]).to(rows)
    gaussian = Gaussian.of(rows, cov.expand(len(rows), -1, -1), EII())
    return Mixture(gaussian, Constant.of(torch.ones_like(rows[:, 0])))


@torch.no_grad()
def shifts(
    density: KernelDensity, starts: Float[Tensor, "s d"], tol: float = 1e-8, max_iter: int = 500
) -> Iterator[Climb]:
    """The way up, step by step, until a shift is below `tol` bandwidths; heights never fall."""
    x = starts.clone()
    length, height = torch.full_like(x[:, 0], torch.inf), torch.empty_like(x[:, 0])
    moving = torch.arange(len(x), device=x.device)
    for i in range(max_iter + 1):
        at = x[moving]
        once, height[moving] = density.shift(at)
        length[moving] = (once - at).norm(dim=1) / density.bandwidth
        yield Climb(i, x.clone(), height.clone(), length.clone())
        keep = length[moving] > tol
        moving, at, once = moving[keep], at[keep], once[keep]
        if not len(moving) or i == max_iter:
            return
        x[moving] = _leap(density, at, once)


@torch.no_grad()
def kernel_modes(
    density: KernelDensity,
    starts: Float[Tensor, "s d"] | None = None,
    tol: float = 1e-8,
    max_iter: int = 500,
    radius: float = SAME,
) -> KernelModes:
    """The modes to which `starts` climb, by default all rows. Limits within `radius` bandwidths are one mode.

    Starts that come within a thousandth of a bandwidth of each other, where shifts are as short, climb on as one. Each
    limit is pushed a hundredth of a bandwidth and climbs again, so that it leaves a saddle. Warns about starts that
    still climb after `max_iter` steps, each of two shifts and a guess.
    """
    starts = density.rows if starts is None else starts
    rough, _, early = _limits(density, starts, max(tol, SAME), max_iter)
    met, together = _distinct(density, rough, SAME)
    x, length, late = _limits(density, rough[met], tol, max_iter)
    if stuck := int((length > max(tol, 1e-5)).sum()):
        warn(
            f"{stuck} of {len(x)} ways up were still climbing after {max_iter} steps, the last shift "
            f"{float(length.max()):.1e} bandwidths: their modes are inexact. Raise max_iter, or the bandwidth.",
            NumericalWarning,
        )
    first, groups = _distinct(density, x, radius)
    points = x[first]
    way = torch.arange(1, points.shape[1] + 1).to(points).cos()
    again, _, _ = _limits(density, points + NUDGE * density.bandwidth * way / way.norm(), tol, max_iter)
    before, after = density.log_height(points), density.log_height(again)
    points = torch.where((after > before + 1e-12)[:, None], again, points)
    last, joined = _distinct(density, points, radius)
    return KernelModes(points[last], density.log_height(points[last]), _via(together, groups, joined), early + late)


@torch.no_grad()
def projected_modes(
    density: KernelDensity,
    q: int,
    rng: torch.Generator,
    *,
    starts: Float[Tensor, "s d"] | None = None,
    tol: float = 1e-8,
    max_iter: int = 500,
    radius: float = SAME,
) -> Lifted:
    """Modes by way of a random projection to q dimensions, x -> P x with P_ij ~ N(0, 1/q).

    Modes are looked for among the images of the rows; each is lifted by one shift in which the rows have the weights
    that they have in the projection, and climbs on in the full space. Projections keep distances about (Johnson and
    Lindenstrauss), and then the lifted point is about as high as the best one (Lee, Li, Musco, Phillips and Tai 2021;
    Luo, Musco and Widdershoven 2023, whose dimension grows with log n; constants are not known). The density of images
    is not that of rows: the modes that a small q finds may be others.

    Raises `ValueError` for more dimensions than there are columns.
    """
    matrix = projection(density, q, rng)
    small = KernelDensity(density.rows @ matrix.T, density.bandwidth, density.profile)
    found = kernel_modes(small, None if starts is None else starts @ matrix.T, tol, max_iter, radius)
    return lifted_modes(density, small, found, tol=tol, max_iter=max_iter, radius=radius)


def projection(density: KernelDensity, q: int, rng: torch.Generator) -> Float[Tensor, "q d"]:
    """Random numbers P_ij ~ N(0, 1/q). Raises `ValueError` for more dimensions than there are columns."""
    d = density.rows.shape[1]
    if not 1 <= q <= d:
        raise ValueError(f"Asked for a projection of {d} columns to {q} dimensions; expected 1 to {d}.")
    return torch.randn(q, d, generator=rng, dtype=torch.float64, device=rng.device).to(density.rows) / q**0.5


@torch.no_grad()
def lifted_modes(
    density: KernelDensity,
    small: KernelDensity,
    found: KernelModes,
    *,
    tol: float = 1e-8,
    max_iter: int = 500,
    radius: float = SAME,
) -> Lifted:
    """The modes of a density that those of its projection, which were `found` in a `small` one, climb to."""
    lifted = torch.cat([small.mean(t, density.rows) for t in small.squares(found.points)])
    modes = kernel_modes(density, lifted, tol, max_iter, radius)
    return Lifted(found.points, found.heights, found.basins, lifted, density.log_height(lifted), modes)


@torch.no_grad()
def mode_tree(
    rows: Float[Tensor, "n d"], bandwidths: Sequence[float], profile: Profile = PLAIN, max_iter: int = 500
) -> ModeTree:
    """How modes run together as the bandwidth grows; every mode climbs on from where it was one bandwidth before.

    Rows start at the smallest bandwidth, so the partitions are nested (Li, Ray and Lindsay 2007). With the profile
    `Normal` no mode is born as the bandwidth grows in one dimension (Silverman 1981). In several dimensions some may,
    and are not in the tree. See Minnotte and Scott (1993).

    Raises `ValueError` unless bandwidths are above zero and grow.
    """
    widths = [float(h) for h in bandwidths]
    if not widths or any(a >= b for a, b in pairwise(widths)):
        raise ValueError(f"The bandwidths are {widths}; expected growing numbers above 0, at least one.")
    modes: list[KernelModes] = []
    labels: list[Tensor] = []
    points, names = rows, torch.arange(len(rows), device=rows.device)
    for width in widths:
        modes.append(kernel_modes(KernelDensity(rows, width, profile), points, max_iter=max_iter))
        names = _via(names, modes[-1].basins)
        labels.append(names)
        points = modes[-1].points
    return ModeTree(widths, modes, labels)


def _leap(density: KernelDensity, x: Float[Tensor, "s d"], once: Float[Tensor, "s d"]) -> Float[Tensor, "s d"]:
    """Two shifts from x, or the guess of SQUAREM (its third steplength) where that is as high as one."""
    twice, floor = density.shift(once)
    r, v = once - x, twice - 2 * once + x
    tiny = torch.finfo(x.dtype).tiny
    length = (r.norm(dim=1) / v.norm(dim=1).clamp(min=tiny)).clamp(min=1.0)[:, None]
    guess = x + 2 * length * r + length**2 * v
    near = (guess - twice).norm(dim=1) <= REACH * density.bandwidth
    guess = torch.where(near[:, None], guess, twice)
    return torch.where((near & (density.log_height(guess) >= floor))[:, None], guess, twice)


def _limits(
    density: KernelDensity, starts: Float[Tensor, "s d"], tol: float, max_iter: int
) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s"], int]:
    ends = []
    for part in starts.split(max(1, CELLS // len(density.rows))):
        (last,) = deque(shifts(density, part, tol, max_iter), maxlen=1)
        ends.append(last)
    points, lengths = (torch.cat([getattr(end, name) for end in ends]) for name in ("points", "gradients"))
    return points, lengths, max(end.i for end in ends)


def _via(*labels: Int[Tensor, "_"]) -> Int[Tensor, "s"]:
    """Labels of labels of labels; -1 stays."""
    names, *rest = labels
    for label in rest:
        names = torch.where(names < 0, -1, label[names.clamp(min=0)]) if len(label) else names
    return names


def _distinct(
    density: KernelDensity, x: Float[Tensor, "s d"], radius: float
) -> tuple[Int[Tensor, "m"], Int[Tensor, "s"]]:
    return distinct(density.log_height(x), lambda i: (x - x[i]).norm(dim=1) / density.bandwidth, radius)
