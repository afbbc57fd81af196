"""Sums within mixtures that are stacked along k.

Many models can share one pass over the rows: their components stand one after the other along k, and whatever a
model sums over its own components is summed within its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor


class Groups(NamedTuple):
    """Consecutive groups of components: `sizes[j]` of them belong to mixture j, and k is the sum of the sizes."""

    sizes: tuple[int, ...]

    @property
    def g(self) -> int:
        """Number of mixtures."""
        return len(self.sizes)

    @property
    def k(self) -> int:
        """Number of components of all mixtures."""
        return sum(self.sizes)

    def owner(self, device: torch.device) -> Int[Tensor, "k"]:
        """The mixture of each component."""
        return _owner(self.sizes, device)

    def of(self, kept: Sequence[int]) -> Groups:
        """Some of the groups, in this order."""
        return Groups(tuple(self.sizes[j] for j in kept))

    def members(self, kept: Sequence[int], device: torch.device) -> Int[Tensor, "k"]:
        """The components of some of the groups, in this order."""
        ends = [0, *accumulate(self.sizes)]
        return torch.tensor([i for j in kept for i in range(ends[j], ends[j + 1])], device=device)

    def blocks(self, values: Float[Tensor, "k ..."]) -> list[Float[Tensor, "b size ..."]]:
        """Views of the values, one for each run of groups of equal size: a few calls do for many mixtures."""
        if self.g == 1:
            return [values[None]]
        rest = values.shape[1:]
        return [values[at : at + count * size].view(count, size, *rest) for at, count, size in _runs(self.sizes)]

    def sum(self, values: Float[Tensor, "k ..."]) -> Float[Tensor, "g ..."]:
        """The sum over the components of each mixture."""
        if self.g == 1:
            return values.sum(0, keepdim=True)
        if self.sizes[0] == self.sizes[-1] and len(set(self.sizes)) == 1:
            return values.unflatten(0, (self.g, -1)).sum(1)
        total = values.new_zeros(self.g, *values.shape[1:])
        return total.index_add_(0, self.owner(values.device), values)

    def greatest(self, values: Float[Tensor, "k"]) -> Float[Tensor, "g"]:
        """The greatest of the components of each mixture."""
        if self.g == 1:
            return values.amax(0, keepdim=True)
        return values.new_empty(self.g).scatter_reduce_(
            0, self.owner(values.device), values, "amax", include_self=False
        )

    def spread(self, values: Float[Tensor, "g ..."]) -> Float[Tensor, "k ..."]:
        """What belongs to a mixture, handed to each of its components."""
        return values.expand(self.k, *values.shape[1:]) if self.g == 1 else values[self.owner(values.device)]


@lru_cache(maxsize=256)
def _runs(sizes: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """The first component, the number of groups, and their size, for each run of groups of equal size."""
    counts = [(len(list(run)), size) for size, run in groupby(sizes)]
    ends = accumulate((count * size for count, size in counts), initial=0)
    return tuple((at, count, size) for at, (count, size) in zip(ends, counts, strict=False))


@lru_cache(maxsize=256)
def _owner(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    count = torch.tensor(sizes)
    return torch.arange(len(sizes)).repeat_interleave(count).to(device)
