"""Cuts of rows in two that no random number goes into.

Principal directions are those of divisive partitioning (PDDP; Boley, 1998); the partition that they give is refined by
Lloyd's algorithm. Two groups that differ along an axis on which rows hardly vary are seen by the fourth moment: a
mixture of two groups of like size is flatter than a Gaussian along the axis that parts them (Peña and Prieto, 2001).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from gmmlab.algebra.directions import signed
from gmmlab.axes import Bool, Float, Tensor

Proposal = Callable[[Tensor], Tensor]  # from rows (n, d) to the side that each is on, true or false
_FLAT = 1e-10  # of the largest variance: axes of less are rounding


def by_spread(z: Float[Tensor, "n d"]) -> Bool[Tensor, "n"]:
    """The cut at the mean of the first or the second principal axis, refined by Lloyd, whichever has less inertia."""
    y = z - z.mean(0)
    axes = _spectrum(y)[1][:2]
    return max((two_means(y, y @ axis > 0) for axis in axes), key=lambda side: between(y, side))


def by_kurtosis(z: Float[Tensor, "n d"]) -> Bool[Tensor, "n"]:
    """The cut along the axis of least kurtosis, where two means along that axis alone put it.

    With w the whitened rows, it is the last eigenvector of E[|w|^2 w w'] (Cardoso, 1989): exactly the flattest axis
    where whitened rows have independent coordinates in some basis, and an estimate elsewhere.
    """
    y = z - z.mean(0)
    variance, axes = _spectrum(y)
    kept = variance > _FLAT * variance[0].clamp(min=torch.finfo(z.dtype).tiny)
    if not bool(kept.any()):
        return torch.zeros(len(z), dtype=torch.bool, device=z.device)
    w = y @ (axes[kept] / variance[kept].sqrt()[:, None]).T
    fourth = (w * w.square().sum(1, keepdim=True)).T @ w
    along = w @ signed(torch.linalg.eigh(fourth).eigenvectors.T)[0]
    return two_means(along[:, None], along > 0)


def first_axis(z: Float[Tensor, "n d"]) -> Float[Tensor, "d"]:
    """The principal axis of rows."""
    return _spectrum(z - z.mean(0))[1][0]


def two_means(z: Float[Tensor, "n d"], side: Bool[Tensor, "n"], max_iter: int = 100) -> Bool[Tensor, "n"]:
    """Lloyd's algorithm for two groups from a partition, until no row changes.

    A row is nearer to b than to a where (x - (a + b) / 2)'(b - a) > 0. A partition with an empty side is given back.
    """
    total = z.sum(0)
    for _ in range(max_iter):
        count = int(side.sum())
        if not 0 < count < len(z):
            break
        upper = side.to(z) @ z
        low, high = (total - upper) / (len(z) - count), upper / count
        apart = high - low
        before, side = side, z @ apart > (low + high) @ apart / 2
        if torch.equal(side, before):
            break
    return side


def between(z: Float[Tensor, "n d"], side: Bool[Tensor, "n"]) -> float:
    """Sum of squares between the two sides, by which inertia falls: n_a n_b / n |a - b|^2; zero for an empty side."""
    count = int(side.sum())
    if not 0 < count < len(z):
        return 0.0
    apart = z[side].mean(0) - z[~side].mean(0)
    return count * (len(z) - count) / len(z) * float(apart.square().sum())


def _spectrum(y: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "d"], Float[Tensor, "d d"]]:
    """Variances along the principal axes of centred rows, and the axes as rows, the widest first."""
    values, vectors = torch.linalg.eigh(y.T @ y / len(y))
    return values.flip(0), signed(vectors.T.flip(0))


PROPOSALS: dict[str, tuple[Proposal, ...]] = {
    "pddp": (by_spread,),
    "kurtosis": (by_kurtosis,),
    "all": (by_spread, by_kurtosis),
}
