"""Which components come from which, when a move renumbers them: labels and pins follow by it.

model, lineage = moves.remove(model, 2), Lineage.remove(model.k, 2)
labels, pins = lineage.labels(labels), pins.after(lineage)
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Int, Tensor


class Lineage(NamedTuple):
    """The old components that each of the new ones is made of: none for one that was added."""

    parents: tuple[tuple[int, ...], ...]

    @classmethod
    def add(cls, k: int) -> Lineage:
        """As `moves.add` numbers them: the new one is the last."""
        return cls((*_alone(k), ()))

    @classmethod
    def remove(cls, k: int, j: int) -> Lineage:
        """As `moves.remove` numbers them."""
        return cls(tuple(parents for parents in _alone(k) if parents != (j,)))

    @classmethod
    def merge(cls, k: int, i: int, j: int) -> Lineage:
        """As `moves.merge` numbers them: the pair is in the place of the lower."""
        first, second = sorted((i, j))
        return cls(tuple((first, second) if c == first else (c,) for c in range(k) if c != second))

    @classmethod
    def split(cls, k: int, j: int) -> Lineage:
        """As `moves.split` numbers them: the second half is the last."""
        return cls((*_alone(k), (j,)))

    def heirs(self, component: int) -> list[int]:
        """The new components that have part of an old one."""
        return [new for new, parents in enumerate(self.parents) if component in parents]

    def labels(self, labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
        """Labels of rows in new numbers; -1 where it was, and where a component has gone or may be one of two."""
        k = 1 + max([-1, int(labels.max()) if len(labels) else -1, *(old for new in self.parents for old in new)])
        new = [heirs[0] if len(heirs) == 1 else -1 for heirs in map(self.heirs, range(k))]
        return torch.tensor([*new, -1], device=labels.device)[labels]  # the label -1 is the last


def _alone(k: int) -> tuple[tuple[int, ...], ...]:
    return tuple((j,) for j in range(k))
