"""k-means++ seeds and Lloyd's k-means, for starts.

Arthur and Vassilvitskii (2007); the greedy choice among 2 + log k candidates is the one they recommend in section 5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.init.race import are_few, as_array
from gmmlab.kernels.chunks import chunks

SEEDED = 20_000  # rows among which seeds are sought, or 200 a seed if that is more
LARGE = 200_000  # rows above which Lloyd's algorithm runs on a sample of so many first, then FINAL steps over all
FINAL = 5
Array = npt.NDArray[Any]


def nearest(
    x: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], *, origin: Float[Tensor, "d"] | None = None
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """The nearest centre of each row and the squared distance to it.

    Distances are found as |x|^2 - 2 x'c + |c|^2 about `origin`, which should be near rows that are far from zero.
    """
    origin = torch.zeros_like(x[0]) if origin is None else origin
    labels, squares = [], []
    about = centres - origin
    for rows in chunks(x, x.shape[1] + 2 * len(centres)):
        y = rows - origin
        square, label = _scores(y, about).min(dim=1)
        labels.append(label)
        squares.append((square + y.square().sum(1)).clamp_(min=0))
    return torch.cat(labels), torch.cat(squares)


def kmeans_plus_plus(
    x: Float[Tensor, "n d"],
    k: int,
    rng: torch.Generator,
    *,
    beside: Float[Tensor, "b d"] | None = None,
    weight: Float[Tensor, "n"] | None = None,
) -> Int[Tensor, "k"]:
    """Indices of k rows, spread out: each is drawn in proportion to its squared distance to those before.

    So it is to the places `beside` which they shall stand, if some are given. A row of weight 2 counts as two rows.

    Of 2 + log k candidates the one that lowers the sum of squared distances most is taken. Of many rows a sample is
    looked at.
    """
    size = max(SEEDED, 200 * k)
    rows = _draw(torch.ones(len(x), device=x.device), size, rng).unique() if len(x) > size else None
    y = x if rows is None else x[rows]
    w = 1 if weight is None else weight.to(x) if rows is None else weight[rows].to(x)
    origin = y.mean(0)
    y = y - origin
    norm = y.square().sum(1)
    known = 0 if beside is None else len(beside)
    tries = trials(k + known)
    if beside is None or not known:
        chosen = _draw(w * torch.ones_like(y[:, 0]), 1, rng)
        square = _distances(y, norm, chosen)[0]
    else:
        chosen = torch.empty(0, dtype=torch.long, device=x.device)
        square = nearest(y, beside.to(y) - origin)[1]
    while len(chosen) < k:
        candidates = _draw(w * square, tries, rng)
        after = torch.minimum(square, _distances(y, norm, candidates))
        best = (w * after).sum(dim=1).argmin()
        chosen, square = torch.cat([chosen, candidates[best : best + 1]]), after[best]
    return chosen if rows is None else rows[chosen]


def kmeans(
    x: Float[Tensor, "n d"],
    k: int,
    rng: torch.Generator,
    *,
    weight: Float[Tensor, "n"] | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
) -> Int[Tensor, "n"]:
    """Labels of Lloyd's algorithm from k-means++ seeds; a row of weight 2 counts as two rows.

    Stops when the centres move by less than `tol` times the mean variance in all. A centre that loses all its rows
    stays where it was. Above LARGE rows a sample is clustered first, and its centres take a few steps over all rows.
    """
    origin = x.mean(0)  # distances are differences: keep their digits
    if len(x) > LARGE:
        drawn = torch.ones(len(x), device=x.device) if weight is None else weight
        part = x[_draw(drawn, LARGE, rng)] - origin
        centres = origin + _lloyd(part, part[kmeans_plus_plus(part, k, rng)], None, max_iter, tol)
        for _ in range(min(FINAL, max_iter)):
            centres = origin + _means(x, centres - origin, origin, weight)
        return nearest(x, centres, origin=origin)[0]
    y = x - origin
    if are_few(x, k):
        rows, counts = as_array(y), None if weight is None else as_array(weight)
        first, later = uniform(1, 1, rng)[0], uniform(k - 1, trials(k), rng)
        return torch.from_numpy(lloyd(rows, spread_out(rows, first, later, counts), counts, max_iter, tol))
    return nearest(y, _lloyd(y, y[kmeans_plus_plus(y, k, rng, weight=weight)], weight, max_iter, tol))[0]


def _lloyd(
    y: Float[Tensor, "n d"],
    centres: Float[Tensor, "k d"],
    weight: Float[Tensor, "n"] | None,
    max_iter: int,
    tol: float,
) -> Float[Tensor, "k d"]:
    """Centres after convergence, from centred rows."""
    limit = tol * float(y.square().mean())
    origin = torch.zeros_like(y[0])
    for _ in range(max_iter):
        moved = _means(y, centres, origin, weight)
        shift, centres = float((moved - centres).square().sum()), moved
        if shift <= limit:
            break
    return centres


def _means(
    x: Float[Tensor, "n d"],
    centres: Float[Tensor, "k d"],
    origin: Float[Tensor, "d"],
    weight: Float[Tensor, "n"] | None = None,
) -> Float[Tensor, "k d"]:
    """Mean of the rows nearest to each centre, in one pass; centres and means are about the origin."""
    counts = torch.zeros(len(centres), dtype=torch.float64, device=x.device)
    sums = torch.zeros_like(centres, dtype=torch.float64)
    at = 0
    for rows in chunks(x, x.shape[1] + 2 * len(centres)):
        y, w = rows - origin, None if weight is None else weight[at : at + len(rows)].to(x)
        labels = _scores(y, centres).min(dim=1).indices  # argmin is several times slower
        counts += torch.bincount(labels, w, minlength=len(centres))
        sums += torch.zeros_like(centres).index_add_(0, labels, y if w is None else y * w[:, None])
        at += len(rows)
    means = (sums / torch.where(counts > 0, counts, 1.0)[:, None]).to(centres)
    return torch.where(counts[:, None] > 0, means, centres)


def _scores(y: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Squared distances less the square of the row, which all centres share."""
    return torch.addmm(centres.square().sum(1), y, centres.T, alpha=-2)


def _distances(y: Float[Tensor, "n d"], norm: Float[Tensor, "n"], chosen: Int[Tensor, "m"]) -> Float[Tensor, "m n"]:
    """Squared distances of all rows to the chosen ones."""
    return torch.addmm(norm[chosen, None] + norm, y[chosen], y.T, alpha=-2).clamp_(min=0)


def _draw(weight: Float[Tensor, "n"], size: int, rng: torch.Generator) -> Int[Tensor, "m"]:
    """Row indices with probability proportional to `weight`; uniform when all weights are zero (duplicate rows).

    By inverting the cumulative sum: torch.multinomial refuses more than 2^24 rows.
    """
    cumulative = weight.double().cumsum(0)
    if not bool(cumulative[-1] > 0):
        cumulative = torch.ones_like(cumulative).cumsum(0)
    at = torch.rand(size, generator=rng, dtype=torch.float64, device=rng.device).to(weight.device) * cumulative[-1]
    return torch.searchsorted(cumulative, at, right=True).clamp_(max=len(weight) - 1)


def trials(k: int) -> int:
    """Candidates for each seed of k."""
    return 2 + int(math.log(k))


def uniform(n: int, m: int, rng: torch.Generator) -> Array:
    """Uniform random numbers (n, m) in numpy."""
    return torch.rand(n, m, generator=rng, dtype=torch.float64, device=rng.device).cpu().numpy()


def spread_out(x: Array, first: Array, later: Array, weight: Array | None = None) -> Array:
    """The seeds (k, d) of `kmeans_plus_plus` among few rows, in numpy, by one uniform number and some for each other.

    `first` (1,) and `later` (k - 1, trials).
    """
    w = np.ones(len(x)) if weight is None else weight
    seeds = _drawn(x, w, first)
    square = np.square(x - seeds).sum(1)
    for u in later:
        candidates = _drawn(x, w * square, u)
        offset = x - candidates[:, None]
        after = np.minimum(square, np.einsum("mnd,mnd->mn", offset, offset))
        best = (after @ w).argmin()
        seeds, square = np.concatenate([seeds, candidates[[best]]]), after[best]
    return seeds


def _drawn(x: Array, weight: Array, u: Array) -> Array:
    """Rows with probability proportional to `weight`, for uniform numbers `u`, as `_draw` has them."""
    cumulative = weight.cumsum()
    if not cumulative[-1] > 0:
        cumulative = np.arange(1.0, len(x) + 1)
    return x[np.minimum(cumulative.searchsorted(u * cumulative[-1], side="right"), len(x) - 1)]


def lloyd(
    x: Array, centres: Array, weight: Array | None = None, max_iter: int = 100, tol: float | None = None
) -> Array:
    """Labels (n,) of Lloyd's k-means over few rows from given centres (k, d), in numpy.

    It ends when no row changes any more, or with `tol` where `kmeans` does.
    """
    labels, limit = np.full(len(x), -1), -1.0 if tol is None else tol * float((x * x).mean())
    for _ in range(max_iter):
        before, labels = labels, (x @ centres.T - 0.5 * (centres * centres).sum(1)).argmax(1)
        if np.array_equal(labels, before):
            break
        own = (labels == np.arange(len(centres))[:, None]).astype(float)
        own = own if weight is None else own * weight
        rows = own.sum(1, keepdims=True)
        moved = np.where(rows > 0, own @ x / np.where(rows > 0, rows, 1), centres)
        shift, centres = np.square(moved - centres).sum(), moved
        if shift <= limit:
            return (x @ centres.T - 0.5 * (centres * centres).sum(1)).argmax(1)
    return labels
