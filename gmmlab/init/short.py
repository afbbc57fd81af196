"""The default start: the best of several partitions of (a sample of) the rows, by short runs of EM."""

from __future__ import annotations

from typing import Any

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
from gmmlab.init.kmeans import kmeans, lloyd, spread_out, trials, uniform
from gmmlab.init.partitions import from_responsibilities, one_hot
from gmmlab.init.race import Race
from gmmlab.model import Mixture

Array = npt.NDArray[Any]
SAMPLE = 2000  # rows that starts are tried on
LEAVES, LEAVES_EACH = 24, 8  # groups that the determinant criterion starts from, at least and for each of k
ROUNDS = 5  # of k-means that makes them
TRIES = 4  # of k-means, where rows are so few that its optima differ much and cost little
ROUNDED = 1 << 21  # numbers in the moments of all pairs of leaves, above which they are joined one by one
SCALES = (2.0, 4.0, 16.0)  # of whitened rows, at which long, thin and parallel groups survive
CERTAIN = 0.01  # share of rows that may be assigned wrongly where groups stand apart


def trees(x: Array, eps: float, k: int, rng: torch.Generator) -> list[Array]:
    """Partitions of standardised rows by the determinant criterion at SCALES, which differ from each other.

    Linear maps of the rows do not matter but for the leaves, which are clusters of k-means from random seeds. `eps` is
    the precision that the rows came in.
    """
    rows, variance = principal(x, eps)
    near = rows * variance**-0.25
    seeds = near[torch.randperm(len(x), generator=rng, device=rng.device)[: max(LEAVES, LEAVES_EACH * k)].cpu().numpy()]
    leaf = by_first_row(lloyd(near, seeds, max_iter=ROUNDS))
    moments = moments_of(rows * variance**-0.5, leaf)
    if moments[0].size * len(moments) ** 2 <= ROUNDED:
        joined = list(merged_in_rounds(moments, SCALES, k))
    else:
        parts = min(k, len(moments))
        joined = [by_first_row(cut(determinant_merges(moments, scale), parts)) for scale in SCALES]
    return list({labels.tobytes(): labels[leaf] for labels in joined}.values())


def automatic(
    x: Float[Tensor, "n d"],
    k: int,
    structure: Structure,
    rng: torch.Generator,
    *,
    ridge: float = 0.0,
    weight: Float[Tensor, "n"] | None = None,
) -> Mixture:
    """The best of several partitions of (a sample of) the rows, after short runs of EM on them.

    The first is of k-means on standardised rows, for round groups. If they turn out to stand apart nothing else is
    tried; otherwise the trees of the determinant criterion, in which long, thin and parallel groups survive. None sees
    units. Weights of rows count in the runs, not in the partitions.

    Where every candidate becomes singular, k-means on all rows, with jitter or an error as for any other start.
    """
    if k == 1:
        return from_responsibilities(x, torch.ones_like(x[:, :1]), structure, ridge=ridge, weight=weight)
    sample, counts = x, weight
    if len(x) > max(SAMPLE, 40 * k):
        drawn = sample_of(len(x), max(SAMPLE, 40 * k), rng).to(x.device)
        sample, counts = x[drawn], None if weight is None else weight[drawn]
    race = Race.over(sample, counts, structure, k, ridge)
    z = standardised(sample).cpu().numpy()
    tries = 1 if len(z) > LEAVES else TRIES
    draws = (uniform(k, trials(k), rng) for _ in range(tries))
    found = [lloyd(z, spread_out(z, u[0, :1], u[1:])) for u in draws]
    best = race.start(found)
    if not race.apart(best, CERTAIN):
        best = race.best(race.run(race.start(found + trees(z, torch.finfo(x.dtype).eps, k, rng)), 1))
    if len(best.mean):
        return race.mixture(best, x.mean(0))
    resp = one_hot(kmeans(x, k, rng), k, x.dtype)
    return from_responsibilities(x, resp, structure, ridge=ridge, weight=weight)


def sample_of(n: int, size: int, rng: torch.Generator) -> Int[Tensor, "m"]:
    """Indices of all n rows, or of `size` of them drawn without replacement, in order."""
    if n <= size:
        return torch.arange(n)
    if n <= 100 * size:
        return torch.randperm(n, generator=rng, device=rng.device)[:size].sort().values
    drawn = torch.randint(n, (2 * size,), generator=rng, device=rng.device).unique()  # n numbers need not be shuffled
    return drawn[torch.randperm(len(drawn), generator=rng, device=rng.device)[:size]].sort().values
