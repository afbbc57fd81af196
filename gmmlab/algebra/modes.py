"""Modes of a Gaussian mixture: where its density has its peaks, how high they are, and who climbs to which.

With S_k = Sigma_k^-1, responsibilities r_k of a point x and d_k = mu_k - x, the log density l has

    gradient  g = sum_k r_k S_k d_k             Hessian  H = sum_k r_k S_k d_k d_k' S_k - A - g g',   A = sum_k r_k S_k.

The fixed point x + A^-1 g is a step of EM, and never goes down (Carreira-Perpinan 2000). Near a mode it is replaced by
Newton's step x - H^-1 g, where that is higher. A uniform background adds a constant to the density and moves no mode.

A mixture may have more modes than components (the triangle of Carreira-Perpinan and Williams 2003), so starts are
points of the ridgeline, on which all critical points lie (see `ridgeline`), and not the means alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import torch

from gmmlab.algebra.ridgeline import ridgeline
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import NumericalWarning, warn
from gmmlab.kernels.chunks import chunks
from gmmlab.model import Mixture

NEAR = 0.3  # standard deviations that a Newton step may be long: basins are those of the fixed point
SAME = 1e-3  # standard deviations between limits that are one mode
CLOSE, LEVEL = 0.1, 1e-13  # within so many deviations, limits are one mode if the density does not dip so much between
FLAT = 1e-6  # relative curvature up to which a limit counts as a mode
NUDGES = 3
NEIGHBOURS, FEW = 8, 10  # pairs of each component that are starts; components of which all triples are


class Modes(NamedTuple):
    """Peaks of a density, the highest first."""

    points: Float[Tensor, "m d"]
    heights: Float[Tensor, "m"]  # log densities
    basins: Int[Tensor, "s"]  # the mode that each start climbs to; -1 where it came to none
    hessians: Float[Tensor, "m d d"]  # of the log density
    gradients: Float[Tensor, "m"]  # lengths of what is left of them, in standard deviations

    @property
    def cov(self) -> Float[Tensor, "m d d"]:
        """Covariance of the Gaussian that fits each peak, (-H)^-1 (Laplace's)."""
        return torch.linalg.inv(-self.hessians)


class Climb(NamedTuple):
    """Where all starts are after step i."""

    i: int
    points: Float[Tensor, "s d"]
    heights: Float[Tensor, "s"]  # log densities of the components, without noise
    gradients: Float[Tensor, "s"]  # lengths sqrt(g' A^-1 g)


@torch.no_grad()
def find_modes(
    mixture: Mixture, starts: Float[Tensor, "s d"] | None = None, tol: float = 1e-10, max_iter: int = 1000
) -> Modes:
    """The modes to which `starts` climb, by default those of `ridge_starts`; give rows to learn their basins.

    Of the limits those are kept at which the Hessian is negative definite, or flat to rounding; a start that lands on a
    saddle is nudged off it. Limits within a thousandth of a standard deviation, or a tenth
    without a dip between, are one mode. That none is missed is
    sure for two components alone, from `critical_points`. Warns about starts that still climb after `max_iter` steps.
    """
    hill = _Hill.of(mixture)
    if starts is None:
        starts = ridge_starts(mixture)
    if starts.shape[1] != mixture.d or not bool(starts.isfinite().all()):
        raise ValueError(f"Starts have {starts.shape[1]} columns; expected {mixture.d}, of finite numbers.")
    width = 4 * mixture.d * (mixture.k + mixture.d)
    x = torch.cat([_limits(hill, rows, tol, max_iter) for rows in chunks(starts.double() - hill.origin, width)])
    at = [hill.at(rows) for rows in chunks(x, width)]
    here = _Local(*(torch.cat(column) for column in zip(*at, strict=True)))
    if stuck := int((here.length > max(tol, 1e-6)).sum()):
        warn(
            f"{stuck} of {len(x)} starts were still climbing after {max_iter} steps, the last gradient "
            f"{float(here.length.max()):.1e} in standard deviations: their modes are inexact. Raise max_iter.",
            NumericalWarning,
        )
    heights = torch.where(here.top <= FLAT, here.height, -torch.inf)
    first, basins = distinct(heights, lambda i: _apart(hill, here, x, i), SAME)
    points = x[first] + hill.origin
    return Modes(points, mixture.log_prob(points), basins, here.hessian[first], here.length[first])


def ridge_starts(mixture: Mixture) -> Float[Tensor, "s d"]:
    """Points of the ridgeline to climb from: means, the middle of all, of near pairs, and of triples if they are few.

    Pairs are those of each component with its eight nearest; all triples are taken of up to ten components. Components
    of weight zero are left out.
    """
    alive = (mixture.weights > 0).nonzero().squeeze(1)
    gaussian = mixture.gaussian.take(alive)
    k = len(alive)
    eye = torch.eye(k, dtype=torch.float64, device=alive.device)
    near = torch.cdist(gaussian.mean, gaussian.mean).argsort(1)[:, 1 : 1 + NEIGHBOURS]
    pairs = {tuple(sorted((i, j))) for i, row in enumerate(near.tolist()) for j in row}
    groups = [*sorted(pairs), *(combinations(range(k), 3) if k <= FEW else ())]
    middles = [eye[list(group)].mean(0) for group in groups]
    weights = mixture.weights[alive] / mixture.weights.sum()
    return ridgeline(mixture.replace(components=gaussian), torch.stack([*eye, weights.to(eye), *middles]))


@torch.no_grad()
def ascent(mixture: Mixture, starts: Float[Tensor, "s d"], tol: float = 1e-10, max_iter: int = 1000) -> Iterator[Climb]:
    """The way up, step by step: heights never fall. It may end on a saddle, if it starts exactly behind one."""
    hill = _Hill.of(mixture)
    for climb in _ascent(hill, starts.double() - hill.origin, tol, max_iter):
        yield climb._replace(points=climb.points + hill.origin)


def distinct(
    heights: Float[Tensor, "s"], apart: Callable[[int], Float[Tensor, "s"]], radius: float
) -> tuple[Int[Tensor, "m"], Int[Tensor, "s"]]:
    """The highest of points that lie together, the highest first, and for each point the one it goes with.

    `apart(i)` are distances from point i. Points of height -inf go with others (or with none, -1).
    """
    first: list[int] = []
    free = torch.ones_like(heights, dtype=torch.bool)
    labels = torch.full(heights.shape, -1, dtype=torch.int64, device=heights.device)
    left = heights.clone()
    while bool((left > -torch.inf).any()):
        i = int(left.argmax())
        joined = free & (apart(i) <= radius)
        joined[i] = True
        labels[joined] = len(first)
        left[joined], free[joined] = -torch.inf, False
        first.append(i)
    return torch.tensor(first, dtype=torch.int64, device=heights.device), labels


class _Local(NamedTuple):
    """The log density about some points."""

    height: Float[Tensor, "s"]
    gradient: Float[Tensor, "s d"]
    precision: Float[Tensor, "s d d"]  # A
    hessian: Float[Tensor, "s d d"]
    shift: Float[Tensor, "s d"]  # A^-1 g
    length: Float[Tensor, "s"]  # sqrt(g' A^-1 g)

    @property
    def top(self) -> Float[Tensor, "s"]:
        """Largest eigenvalue of the Hessian, relative to A; -1 under one component alone."""
        return self._relative()[0][:, -1]

    def distances(self, x: Float[Tensor, "s d"], i: int) -> Float[Tensor, "s"]:
        """Of the points from point i, in its standard deviations."""
        return ((x - x[i]) @ torch.linalg.cholesky(self.precision[i])).norm(dim=1)

    def uphill(self) -> Float[Tensor, "s d"]:
        """The direction along which the density bends up most, one standard deviation long."""
        (_, vectors), root = self._relative(), torch.linalg.cholesky(self.precision)
        return torch.linalg.solve_triangular(root.mT, vectors[:, :, -1:], upper=True).squeeze(2)

    def newton(self) -> tuple[Float[Tensor, "s d"], Bool[Tensor, "s"]]:
        """Newton's steps, and whether they can be taken: towards a mode, and not far."""
        factor, info = torch.linalg.cholesky_ex(-self.hessian)
        bends = info == 0
        factor = torch.where(bends[:, None, None], factor, torch.eye(factor.shape[1]).to(factor))
        step = torch.cholesky_solve(self.gradient[:, :, None], factor)
        size = (step.mT @ self.precision @ step).flatten().sqrt()
        return step.squeeze(2), bends & (size <= NEAR)

    def _relative(self) -> tuple[Tensor, Tensor]:
        root = torch.linalg.cholesky(self.precision)
        half = torch.linalg.solve_triangular(root, self.hessian, upper=False)
        values, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.mT, upper=False))
        return values, vectors


class _Hill(NamedTuple):
    """A mixture with what its derivatives need, about the middle of its means."""

    origin: Float[Tensor, "d"]
    mean: Float[Tensor, "k d"]
    precision: Float[Tensor, "k d d"]
    constant: Float[Tensor, "k"]  # log weights and log densities at the means

    @classmethod
    def of(cls, mixture: Mixture) -> _Hill:
        gaussian = mixture.gaussian
        dense = torch.diag_embed(gaussian.chol) if gaussian.chol.ndim == 2 else gaussian.chol
        origin = gaussian.mean.mean(0)
        peak = -dense.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * mixture.d * math.log(2 * math.pi)
        joint = mixture.gate.joint(peak[None])[0]
        return cls(origin, gaussian.mean - origin, torch.cholesky_inverse(dense), joint)

    def pulls(self, x: Float[Tensor, "s d"]) -> tuple[Float[Tensor, "s k d"], Float[Tensor, "s k"]]:
        """S_k d_k, and the log joint densities."""
        offset = self.mean - x[:, None]
        pull = torch.einsum("kde,ske->skd", self.precision, offset)
        return pull, self.constant - 0.5 * (offset * pull).sum(2)

    def height(self, x: Float[Tensor, "s d"]) -> Float[Tensor, "s"]:
        """Log density."""
        return torch.logsumexp(self.pulls(x)[1], dim=1)

    def at(self, x: Float[Tensor, "s d"]) -> _Local:
        """Log density, gradient and Hessian, and the fixed point's step."""
        pull, joint = self.pulls(x)
        height = torch.logsumexp(joint, dim=1)
        resp = torch.exp(joint - height[:, None])
        gradient = torch.einsum("sk,skd->sd", resp, pull)
        precision = (resp @ self.precision.flatten(1)).view(-1, *self.precision.shape[1:])
        spread = pull - gradient[:, None]  # the Hessian is the covariance of the pulls, less A
        hessian = (resp[:, :, None] * spread).mT @ spread - precision
        shift = torch.cholesky_solve(gradient[:, :, None], torch.linalg.cholesky(precision)).squeeze(2)
        return _Local(height, gradient, precision, hessian, shift, (gradient * shift).sum(1).clamp(min=0).sqrt())


def _ascent(hill: _Hill, x: Float[Tensor, "s d"], tol: float, max_iter: int) -> Iterator[Climb]:
    x = x.clone()
    here = hill.at(x)
    height, length = here.height.clone(), here.length.clone()
    moving = torch.arange(len(x), device=x.device)
    for i in range(max_iter + 1):
        yield Climb(i, x.clone(), height.clone(), length.clone())
        moving = moving[length[moving] > tol]
        if not len(moving) or i == max_iter:
            return
        here = hill.at(x[moving])
        step, near = here.newton()
        plain, fast = x[moving] + here.shift, x[moving] + step
        lower, upper = hill.height(plain), hill.height(fast)
        slack = 1e-14 * here.height.abs()  # of rounding: at the top heights no longer tell
        take = near & (upper >= lower - slack)
        x[moving] = torch.where(take[:, None], fast, plain)
        now = hill.at(x[moving])
        height[moving], length[moving] = now.height, now.length


def _limits(hill: _Hill, starts: Float[Tensor, "s d"], tol: float, max_iter: int) -> Float[Tensor, "s d"]:
    """Where the starts end, off the saddles."""
    x = _end(hill, starts, tol, max_iter)
    for _ in range(NUDGES):
        here = hill.at(x)
        if not bool((off := here.top > FLAT).any()):
            break
        x[off] = _end(hill, x[off] + 0.1 * here.uphill()[off], tol, max_iter)
    return x


def _apart(hill: _Hill, here: _Local, x: Float[Tensor, "s d"], i: int) -> Float[Tensor, "s"]:
    """Distances from point i; zero for near points without a dip between: on a flat peak climbs stop early."""
    distance = here.distances(x, i)
    dip = torch.minimum(here.height, here.height[i]) - hill.height((x + x[i]) / 2)
    return torch.where((distance < CLOSE) & (dip < LEVEL), 0.0, distance)


def _end(hill: _Hill, starts: Float[Tensor, "s d"], tol: float, max_iter: int) -> Float[Tensor, "s d"]:
    (last,) = deque(_ascent(hill, starts, tol, max_iter), maxlen=1)
    return last.points
