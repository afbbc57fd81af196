"""The default start: the best of several partitions of (a sample of) the rows, by short runs of EM."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Structure
from gmmlab.init.hierarchy import (
    by_first_row,
    cut,
    determinant_merges,
    merged_in_rounds,
    moments_of,
    principal,
    standardised,
)
from gmmlab.init.kmeans import kmeans
from gmmlab.init.partitions import NEAR, Goal, Started, from_responsibilities, one_hot
from gmmlab.init.race import Race

Array = npt.NDArray[Any]
SAMPLE = 2000  # rows that starts are tried on
LEAVES, LEAVES_EACH = 24, 8  # groups that the determinant criterion starts from, at least and for each of k
ROUNDS = 5  # of k-means that makes them
TRIES = 4  # of k-means, where rows are so few that its optima differ much and cost little
ROUNDED = 1 << 21  # numbers in the moments of all pairs of leaves, above which they are joined one by one
SCALES = (2.0, 4.0, 16.0)  # of whitened rows, at which long, thin and parallel groups survive
SMALL = 1 << 16  # rows times components times columns, up to which a step in numpy costs less than one in torch
CERTAIN = 0.01  # share of rows that may be assigned wrongly where groups stand apart


def trees(x: Array, eps: float, k: int, rng: torch.Generator) -> list[Array]:
    """Partitions of standardised rows by the determinant criterion at SCALES, which differ from each other.

    Linear maps of the rows do not matter but for the leaves, which are clusters of k-means from random seeds. `eps` is
    the precision that the rows came in.
    """
    rows, variance = principal(x, eps)
    near = rows * variance**-0.25
    seeds = near[torch.randperm(len(x), generator=rng, device=rng.device)[: max(LEAVES, LEAVES_EACH * k)].cpu().numpy()]
    leaf = by_first_row(lloyd(near, seeds, ROUNDS))
    moments = moments_of(rows * variance**-0.5, leaf)
    if moments[0].size * len(moments) ** 2 <= ROUNDED:
        joined = list(merged_in_rounds(moments, SCALES, k))
    else:
        parts = min(k, len(moments))
        joined = [by_first_row(cut(determinant_merges(moments, scale), parts)) for scale in SCALES]
    return list({labels.tobytes(): labels[leaf] for labels in joined}.values())


def spread_out(x: Array, k: int, rng: torch.Generator) -> Array:
    """Seeds (k, d) among the rows by greedy k-means++, as `kmeans_plus_plus` draws them."""
    u = torch.rand(k, 2 + int(math.log(k)), generator=rng, dtype=torch.float64, device=rng.device).cpu().numpy()
    seeds = x[[int(u[0, 0] * len(x))]]
    square = np.square(x - seeds).sum(1)
    for draw in u[1:]:
        cumulative = square.cumsum()
        candidates = x[np.minimum(cumulative.searchsorted(draw * cumulative[-1], side="right"), len(x) - 1)]
        offset = x - candidates[:, None]
        after = np.minimum(square, np.einsum("mnd,mnd->mn", offset, offset))
        best = after.sum(1).argmin()
        seeds, square = np.concatenate([seeds, candidates[[best]]]), after[best]
    return seeds


def lloyd(x: Array, centres: Array, max_iter: int = 100) -> Array:
    """Labels (n,) of Lloyd's k-means from given centres (k, d), when no row changes any more."""
    labels = np.full(len(x), -1)
    for _ in range(max_iter):
        before, labels = labels, (x @ centres.T - 0.5 * (centres * centres).sum(1)).argmax(1)
        if np.array_equal(labels, before):
            break
        own = (labels == np.arange(len(centres))[:, None]).astype(float)
        rows = own.sum(1, keepdims=True)
        centres = np.where(rows > 0, own @ x / np.maximum(rows, 1), centres)
    return labels


def automatic(
    x: Float[Tensor, "n d"],
    k: int,
    structure: Structure,
    rng: torch.Generator,
    *,
    ridge: float = 0.0,
    weight: Float[Tensor, "n"] | None = None,
    goal: Goal = NEAR,
) -> Started:
    """The best of several partitions of (a sample of) the rows, after short runs of EM on them.

    The first is of k-means on standardised rows, for round groups. If they turn out to stand apart nothing else is
    tried; otherwise the trees of the determinant criterion, in which long, thin and parallel groups survive. None sees
    units. Weights of rows count in the runs, not in the partitions.

    Where every candidate becomes singular, k-means on all rows, with jitter or an error as for any other start.
    """
    if k == 1:
        return Started(from_responsibilities(x, torch.ones_like(x[:, :1]), structure, ridge=ridge, weight=weight))
    sample, counts = x, weight
    if len(x) > max(SAMPLE, 40 * k):
        drawn = sample_of(len(x), max(SAMPLE, 40 * k), rng).to(x.device)
        sample, counts = x[drawn], None if weight is None else weight[drawn]
    race = Race(_array(sample), None if counts is None else _array(counts), structure, k, ridge)
    z = _array(standardised(sample))
    tries = 1 if len(z) > LEAVES else TRIES
    best = race.run(race.start([lloyd(z, spread_out(z, k, rng)) for _ in range(tries)]), 1)
    if not race.apart(best, CERTAIN):
        best = race.best(best.beside(race.run(race.start(trees(z, torch.finfo(x.dtype).eps, k, rng)), 1)))
    if len(best.mean):
        goal = goal if sample is x and best.mean.size * len(x) <= SMALL else NEAR
        best, bounds = race.climb(best, goal.tol, goal.steps)
        return Started(race.mixture(best, x.mean(0)), bounds if sample is x else ())
    resp = one_hot(kmeans(x, k, rng), k, x.dtype)
    return Started(from_responsibilities(x, resp, structure, ridge=ridge, weight=weight))


def _array(x: Tensor) -> Array:
    return x.detach().cpu().double().numpy()


def sample_of(n: int, size: int, rng: torch.Generator) -> Int[Tensor, "m"]:
    """Indices of all n rows, or of `size` of them drawn without replacement, in order."""
    if n <= size:
        return torch.arange(n)
    if n <= 100 * size:
        return torch.randperm(n, generator=rng, device=rng.device)[:size].sort().values
    drawn = torch.randint(n, (2 * size,), generator=rng, device=rng.device).unique()  # n numbers need not be shuffled
    return drawn[torch.randperm(len(drawn), generator=rng, device=rng.device)[:size]].sort().values
