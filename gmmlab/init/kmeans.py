"""k-means++ seeds and Lloyd's k-means, for starts.

Arthur and Vassilvitskii (2007); the greedy choice among 2 + log k candidates is the one they recommend in section 5.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.chunks import chunks


def nearest(x: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """The nearest centre of each row and the squared distance to it."""
    labels, squares = [], []
    for rows in chunks(x, x.shape[1] + 2 * len(centres)):
        square, label = _squared_distances(rows, centres).min(dim=1)
        labels.append(label)
        squares.append(square)
    return torch.cat(labels), torch.cat(squares)


def kmeans_plus_plus(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Int[Tensor, "k"]:
    """Indices of k rows, spread out: each is drawn in proportion to its squared distance to those before.

    Of 2 + log k candidates the one that lowers the sum of squared distances most is taken.
    """
    trials = 2 + int(math.log(k))
    chosen = _draw(torch.ones(len(x), device=x.device), 1, rng)
    square = nearest(x, x[chosen])[1]
    for _ in range(1, k):
        candidates = _draw(square, trials, rng)
        after = torch.stack([torch.minimum(square, nearest(x, x[c : c + 1])[1]) for c in candidates.tolist()])
        best = after.sum(dim=1).argmin()
        chosen, square = torch.cat([chosen, candidates[best : best + 1]]), after[best]
    return chosen


def kmeans(
    x: Float[Tensor, "n d"], k: int, rng: torch.Generator, *, max_iter: int = 300, tol: float = 1e-4
) -> Int[Tensor, "n"]:
    """Labels of Lloyd's algorithm from k-means++ seeds.

    Stops when no label changes, or the centres move by less than `tol` times the mean variance in all. A centre that
    loses all its rows stays where it was.
    """
    x = x - x.mean(0)  # distances are differences: keep their digits
    limit = tol * float(x.var(0, unbiased=False).mean())
    centres = x[kmeans_plus_plus(x, k, rng)]
    labels = nearest(x, centres)[0]
    for _ in range(max_iter):
        moved = _means(x, labels, centres)
        shift, centres = float((moved - centres).square().sum()), moved
        previous, labels = labels, nearest(x, centres)[0]
        if shift <= limit or torch.equal(labels, previous):
            break
    return labels


def _means(x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], centres: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    counts = torch.bincount(labels, minlength=len(centres)).to(x)[:, None]
    sums = torch.zeros_like(centres).index_add_(0, labels, x)
    return torch.where(counts > 0, sums / counts.clamp(min=1), centres)


def _squared_distances(x: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    cross = x @ centres.T
    return (x.square().sum(1, keepdim=True) - 2 * cross + centres.square().sum(1)).clamp_(min=0)


def _draw(weight: Float[Tensor, "n"], size: int, rng: torch.Generator) -> Int[Tensor, "m"]:
    """Row indices with probability proportional to `weight`; uniform when all weights are zero (duplicate rows).

    By inverting the cumulative sum: torch.multinomial refuses more than 2^24 rows.
    """
    cumulative = weight.double().cumsum(0)
    if not bool(cumulative[-1] > 0):
        cumulative = torch.ones_like(cumulative).cumsum(0)
    at = torch.rand(size, generator=rng, dtype=torch.float64, device=rng.device).to(weight.device) * cumulative[-1]
    return torch.searchsorted(cumulative, at, right=True).clamp_(max=len(weight) - 1)
