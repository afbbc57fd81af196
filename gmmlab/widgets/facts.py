"""What a person says of rows: labels that are painted, and links. Immutable values without a widget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from gmmlab.axes import Bool, Int, Tensor
from gmmlab.fit.known import known
from gmmlab.fit.lineage import Lineage
from gmmlab.fit.restricted import restricted

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Facts:
    """Labels of rows, -1 where unknown, and pairs of rows that are alike or unlike."""

    labels: Int[Tensor, "n"]
    must: tuple[Pair, ...] = ()
    cannot: tuple[Pair, ...] = ()

    @classmethod
    def none(cls, n: int) -> Facts:
        """Nothing is known of n rows."""
        return cls(torch.full((n,), -1))

    @property
    def settings(self) -> dict[str, Any]:
        """The same as arguments of `fit.supervised`."""
        return {"labels": self.labels, "must": self.must, "cannot": self.cannot}

    def paint(self, rows: Bool[Tensor, "n"], label: int) -> Facts:
        """These rows with a label; itself where that changes nothing."""
        if bool((self.labels[rows] == label).all()):
            return self
        return replace(self, labels=self.labels.masked_fill(rows, label))

    def erase(self, rows: Bool[Tensor, "n"]) -> Facts:
        """Nothing is known of these rows: their labels and links go."""
        kept = [tuple(pair for pair in pairs if not bool(rows[list(pair)].any())) for pairs in (self.must, self.cannot)]
        if kept == [self.must, self.cannot]:
            return self.paint(rows, -1)
        return Facts(self.labels.masked_fill(rows, -1), *kept)

    def link(self, i: int, j: int, *, alike: bool) -> Facts:
        """Rows i and j are alike or unlike; a link that says so already is taken away, one that says else is turned."""
        pair = (min(i, j), max(i, j))
        must, cannot = (tuple(known for known in pairs if known != pair) for pairs in (self.must, self.cannot))
        if alike and pair not in self.must:
            must = (*must, pair)
        if not alike and pair not in self.cannot:
            cannot = (*cannot, pair)
        return replace(self, must=must, cannot=cannot)

    def relabelled(self, rows: Bool[Tensor, "n"], labels: Int[Tensor, "n"]) -> Facts:
        """These rows with labels of their own."""
        return replace(self, labels=torch.where(rows, labels, self.labels))

    def after(self, lineage: Lineage) -> Facts:
        """The same in the numbers of components after a move."""
        return replace(self, labels=lineage.labels(self.labels))

    def within(self, k: int) -> Int[Tensor, "n"]:
        """Labels as a model of k components takes them: others are unknown."""
        return torch.where(self.labels < k, self.labels, -1)

    def counts(self, k: int) -> list[int]:
        """Rows with each of k labels."""
        return torch.bincount(self.labels[self.labels >= 0], minlength=k)[:k].tolist()

    def check(self, k: int, *, noise: bool = False) -> None:
        """Raises `BadData` where this contradicts itself, or k components cannot keep it."""
        facts = known(len(self.labels), self.labels, self.must, self.cannot)
        told = facts.labels >= 0
        told[facts.rows] = True
        rows = told.nonzero().flatten()
        restricted(torch.zeros(len(rows), k + noise, dtype=torch.float64), facts, rows, k)
