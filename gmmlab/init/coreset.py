"""Coresets: a few weighted rows on which the likelihood of a mixture is close to that of all rows.

    E[sum_j w_j g(x_j)] = sum_i g(x_i)      for every function g of a row

Rows are drawn with probabilities q and weigh 1 / (size q), so sums are unbiased whatever q is; a good q draws the rows
that could matter, with small groups far from the rest among them. `size` distinct draws need not be distinct rows.
The likelihood is only close where covariances are bounded from below: fit a coreset with a ridge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.init.hierarchy import standardised
from gmmlab.init.kmeans import kmeans_plus_plus, nearest
from gmmlab.kernels.chunks import Chunk

Draw = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]  # rows, weights, k, rng -> unscaled probabilities


class Coreset(NamedTuple):
    """Indices of rows and how many rows each stands for."""

    indices: Int[Tensor, "m"]
    weights: Float[Tensor, "m"]


def uniform(_x: Float[Tensor, "n d"], weight: Float[Tensor, "n"], _k: int, _rng: torch.Generator) -> Float[Tensor, "n"]:
    """Every row alike, in proportion to its weight."""
    return weight


def lightweight(
    x: Float[Tensor, "n d"], weight: Float[Tensor, "n"], _k: int, _rng: torch.Generator
) -> Float[Tensor, "n"]:
    """Half by weight, half by squared distance from the mean, q = 1/(2 W) + d_i^2 / (2 sum w d^2).

    Two passes, no seeds. See Bachem, Lucic and Krause (2018).
    """
    square = (x - (weight.to(x) @ x) / weight.sum().to(x)).double().square().sum(1)
    return weight * (1 / weight.sum() + square / (weight @ square).clamp(min=1e-300))


def sensitivity(
    x: Float[Tensor, "n d"], weight: Float[Tensor, "n"], k: int, rng: torch.Generator
) -> Float[Tensor, "n"]:
    """How much of a likelihood a row can be, bounded by its distance to k seeds and the size of its group.

        s_i = a d_i^2 / c + 2 a (mean d^2 of the group) / c + 4 W / |group|,    a = 16 (log2 k + 2),    c = mean d^2

    Groups are the rows nearest to each of k seeds of k-means++. See Lucic, Faulkner, Krause and Feldman (2017).
    """
    labels, square = nearest(x, x[_seeds(x, weight, k, rng)])
    square = square.double()
    zero = torch.zeros(k, dtype=torch.float64, device=x.device)
    size = zero.index_add(0, labels, weight)
    near = zero.index_add(0, labels, weight * square) / size.clamp(min=1e-300)
    total = weight.sum()
    mean = ((weight @ square) / total).clamp(min=1e-300)
    a = 16 * (math.log2(k) + 2)
    return weight * (a * square / mean + 2 * a * near[labels] / mean + 4 * total / size[labels].clamp(min=1e-300))


def coreset(
    x: Float[Tensor, "n d"],
    size: int,
    k: int,
    *,
    method: Draw = sensitivity,
    rng: torch.Generator,
    weight: Float[Tensor, "..."] | None = None,
    cap: float = math.inf,
) -> Coreset:
    """`size` draws for a mixture of k components, with weights that add to about the weight of all rows.

    Columns are scaled to unit variance before distances are taken. With `size` of at least n all rows come back as they
    are. `cap` bounds the weight of a draw, in multiples of the average W / size: heavy rows make spurious components.
    What is cut off is spread over the other draws, which are then no longer unbiased. Raises `BadData` for sizes, k and
    weights that make no sense.
    """
    _check(x, size, k, weight, cap)
    w = torch.ones(len(x), dtype=torch.float64, device=x.device) if weight is None else weight.double()
    if size >= len(x):
        return Coreset(torch.arange(len(x), device=x.device), w)
    q = method(standardised(x, w).to(x), w, min(k, len(x)), rng)
    cumulative = q.cumsum(0)
    at = torch.rand(size, generator=rng, dtype=torch.float64, device=rng.device).to(x.device) * cumulative[-1]
    chosen = torch.searchsorted(cumulative, at, right=True).clamp_(max=len(x) - 1)
    return Coreset(chosen, _capped(w[chosen] * cumulative[-1] / (size * q[chosen]), cap))


class MergeReduce:
    """A coreset of a stream: chunks are reduced, and pairs of reduced chunks are merged and reduced again.

    Coresets of level j stand for 2^j chunks, so no row passes more than log2(chunks) reductions, and memory holds that
    many coresets. See Har-Peled and Mazumdar (2004).
    """

    def __init__(
        self, size: int, k: int, *, rng: torch.Generator, method: Draw = sensitivity, cap: float = math.inf
    ) -> None:
        self.size, self.k, self.rng, self.method, self.cap = size, k, rng, method, cap
        self.levels: list[Chunk | None] = []

    def add(self, chunk: Chunk) -> None:
        """Take in some more rows."""
        level, carried = 0, self._reduced(chunk)
        while level < len(self.levels) and (held := self.levels[level]) is not None:
            carried, self.levels[level] = self._reduced(_joined([held, carried])), None
            level += 1
        self.levels += [None] * (level + 1 - len(self.levels))
        self.levels[level] = carried

    def result(self) -> Chunk:
        """The coreset of all rows so far, `size` of them at most. Raises `BadData` when there were none."""
        held = [level for level in self.levels if level is not None]
        if not held:
            raise BadData("No rows were added yet; expected at least one chunk.")
        return held[0] if len(held) == 1 else self._reduced(_joined(held))

    def _reduced(self, chunk: Chunk) -> Chunk:
        picked = coreset(
            chunk.x, self.size, self.k, method=self.method, rng=self.rng, weight=chunk.weight, cap=self.cap
        )
        return Chunk(chunk.x[picked.indices], picked.weights)


def merge_reduce(
    chunks: Iterable[Chunk],
    size: int,
    k: int,
    *,
    rng: torch.Generator,
    method: Draw = sensitivity,
    cap: float = math.inf,
) -> Chunk:
    """The coreset of a stream in one pass, as rows and weights."""
    tree = MergeReduce(size, k, rng=rng, method=method, cap=cap)
    for chunk in chunks:
        tree.add(chunk)
    return tree.result()


def _joined(parts: list[Chunk]) -> Chunk:
    weights = [part.weight for part in parts if part.weight is not None]  # reduced chunks all have weights
    return Chunk(torch.cat([part.x for part in parts]), torch.cat(weights))


def _seeds(x: Float[Tensor, "n d"], weight: Float[Tensor, "n"], k: int, rng: torch.Generator) -> Int[Tensor, "k"]:
    """k-means++ among rows of positive weight; weighted rows are first drawn in proportion to their weights."""
    if bool((weight == weight[0]).all()):
        return kmeans_plus_plus(x, k, rng)
    cumulative = weight.cumsum(0)
    at = torch.rand(len(x), generator=rng, dtype=torch.float64, device=rng.device).to(x.device) * cumulative[-1]
    rows = torch.searchsorted(cumulative, at, right=True).clamp_(max=len(x) - 1)
    return rows[kmeans_plus_plus(x[rows], k, rng)]


def _capped(weights: Float[Tensor, "m"], cap: float) -> Float[Tensor, "m"]:
    """Weights of at most `cap` times their mean, with the same sum."""
    if math.isinf(cap):
        return weights
    most = cap * weights.mean()
    for _ in range(50):
        free = weights < most
        excess = (weights - most).clamp(min=0).sum()
        if not bool(excess > 1e-12 * most) or not bool(free.any()):
            break
        weights = torch.where(free, weights * (1 + excess / weights[free].sum()), most)
    return weights.clamp(max=float(most))


def _check(x: Tensor, size: int, k: int, weight: Tensor | None, cap: float) -> None:
    if size < 1 or k < 1:
        raise BadData(f"A coreset of {size} rows for {k} components was asked for; expected at least 1 of each.")
    if not cap >= 1:
        raise BadData(f"The cap on weights is {cap:g} times their mean; expected at least 1. Try 10.")
    if weight is not None and (
        weight.shape != (len(x),) or not bool((weight >= 0).all()) or not bool(weight.sum() > 0)
    ):
        raise BadData(
            f"The weights have shape {tuple(weight.shape)}, minimum {float(weight.min()):g} and sum "
            f"{float(weight.sum()):g}; expected {len(x)} numbers of at least 0, not all zero."
        )
