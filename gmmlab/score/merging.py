"""Merging the components of a mixture into fewer clusters, when several of them model one.

The density stays as it is; only the map from components to clusters changes. At each step the pair is merged whose
union lowers the entropy of the responsibilities most,

    Delta(a, b) = sum_i w_i [h(r_ia) + h(r_ib) - h(r_ia + r_ib)] >= 0,      h(r) = -r log r.

See Baudry, Raftery, Celeux, Lo and Gottardo (2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gmmlab.axes import Float, Int, Tensor

h = torch.special.entr


@dataclass(frozen=True, eq=False)
class MergeTree:
    """All the ways down from k components to one cluster.

    A cluster goes by its lowest component, so that it keeps its name (and its colour) for as long as it exists. With m
    merges, entry s of `merges` is the pair (a, b), a < b, of the clusters joined by merge s; `counts[s]` is the weight
    of the rows that most probably belonged to either; `entropies[s]` is the entropy after s merges, when k - s
    clusters are left.
    """

    base: Float[Tensor, "n k"]
    merges: Int[Tensor, "m 2"]
    counts: Float[Tensor, "m"]
    entropies: Float[Tensor, "k"]

    @property
    def k(self) -> int:
        """Number of components before any merge."""
        return self.base.shape[1]

    def names(self, k: int) -> Int[Tensor, "k"]:
        """The cluster of each component when k clusters are left, by its lowest component."""
        if not 1 <= k <= self.k:
            raise ValueError(f"Asked for {k} clusters; expected 1 to {self.k}, the number of components.")
        names = torch.arange(self.k)
        for a, b in self.merges[: self.k - k].tolist():
            names[names == b] = a
        return names.to(self.base.device)

    def clusters(self, k: int) -> Int[Tensor, "k"]:
        """The cluster of each component when k clusters are left, numbered from 0 in the order of the components."""
        return self.names(k).unique(return_inverse=True)[1]

    def resp(self, k: int) -> Tensor:
        """Responsibilities (n, k) of k clusters: sums of those of their components."""
        merged = self.base.new_zeros(len(self.base), k)
        return merged.index_add_(1, self.clusters(k), self.base)

    def labels(self, k: int) -> Int[Tensor, "n"]:
        """Most probable of k clusters for each row."""
        return self.resp(k).max(1).indices

    def elbow(self) -> int | None:
        """Number of clusters where the entropy bends, None for fewer than four components.

        Two lines are fitted to the entropy against the cumulative weight of merged rows, each to its side of a bend
        that both include; the bend with the least sum of squares is taken. Up to three points lie on two such lines
        whatever they are. See Baudry et al. (2010).
        """
        if self.k < 4:
            return None
        along = torch.cat([self.counts.new_zeros(1), self.counts.cumsum(0)])
        error = [
            _misfit(along[: s + 1], self.entropies[: s + 1]) + _misfit(along[s:], self.entropies[s:])
            for s in range(1, self.k - 1)
        ]
        return self.k - 1 - int(torch.stack(error).argmin())


@torch.no_grad()
def combine(resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None) -> MergeTree:
    """The tree that merges components one pair at a time, by the largest drop of entropy.

    One component gives a tree without merges. Cost O(n k^2).
    """
    table = resp.double().clone()
    w = torch.ones_like(table[:, 0]) if weight is None else weight.double()
    alive = list(range(table.shape[1]))
    drop = torch.stack([drops(table, w, a) for a in alive])
    merges, counts, entropies = [], [], [w @ h(table).sum(1)]
    while len(alive) > 1:
        a, b = _best_pair(drop, alive)
        winner = table[:, alive].max(1).indices
        counts.append(w @ ((winner == alive.index(a)) | (winner == alive.index(b))).double())
        table[:, a] += table[:, b]
        table[:, b] = 0
        alive.remove(b)
        drop[a] = drop[:, a] = drops(table, w, a)
        merges.append((a, b))
        entropies.append(w @ h(table.clamp(max=1)).sum(1))  # a sum of parts of one may round to more, h < 0 there
    pairs = torch.tensor(merges, dtype=torch.int64).reshape(-1, 2)
    return MergeTree(resp, pairs, torch.stack(counts) if counts else w.new_zeros(0), torch.stack(entropies))


def drops(resp: Float[Tensor, "n k"], w: Float[Tensor, "n"], a: int) -> Float[Tensor, "k"]:
    """How much the entropy would fall if column a were merged with each column; minus twice its own for itself."""
    own = resp[:, a, None]
    return w @ (h(own) + h(resp) - h(own + resp))


def _best_pair(drop: Float[Tensor, "k k"], alive: list[int]) -> tuple[int, int]:
    """The pair of living clusters with the largest drop, the first of equals."""
    rows = torch.tensor(alive, device=drop.device)
    part = drop[rows][:, rows]
    above = torch.ones_like(part, dtype=torch.bool).triu(1)
    at = int(part.where(above, part.new_tensor(-torch.inf)).argmax())
    return alive[at // len(alive)], alive[at % len(alive)]


def _misfit(x: Float[Tensor, "p"], y: Float[Tensor, "p"]) -> Float[Tensor, ""]:
    """Residual sum of squares of a line; of a constant where x does not change."""
    dx, dy = x - x.mean(), y - y.mean()
    square = dx @ dx
    return dy @ dy - (dx @ dy) ** 2 / square.where(square > 0, square.new_tensor(torch.inf))
