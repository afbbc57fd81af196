"""Covariances of blocks of columns: what lies between blocks is zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.families.structures.closed import VVV
from gmmlab.kernels.groups import Groups


@dataclass(frozen=True)
class Blocks(VVV):
    """Every component has its own covariance matrix, in which only columns of one block are correlated.

    `columns` are the columns of each block, by number; a column in none is a block by itself, and a number beyond the
    last column stands for none. Blocks of an input and an output each are the "cross-diagonal" covariances of voice
    conversion. The maximum-likelihood covariance is that of each block. Raises `ValueError` for a column in two blocks.

    >>> Blocks(((0, 2), (1, 3))).n_parameters(1, 4)
    6
    """

    columns: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        blocks = tuple(sorted(tuple(sorted(int(j) for j in block)) for block in self.columns if len(block)))
        named = [j for block in blocks for j in block]
        if len(set(named)) < len(named) or min(named, default=0) < 0:
            raise ValueError(f"The blocks are {blocks}; expected numbers of columns, each in one block at most.")
        object.__setattr__(self, "columns", blocks)

    @property
    def name(self) -> str:
        """The columns of each block."""
        return "blocks " + " ".join("-".join(map(str, block)) for block in self.columns)

    @property
    def linear(self) -> bool:
        """No: to project is to average, and to leave out what lies between blocks."""
        return False

    def n_parameters(self, k: int, d: int) -> int:
        """b (b + 1) / 2 for each block of b columns."""
        return k * int(self.within(d).sum() + d) // 2

    def within(self, d: int) -> Bool[Tensor, "d d"]:
        """Which entries of a covariance lie within a block."""
        block = torch.arange(d)
        for columns in self.columns:
            block[[j for j in columns if j < d]] = columns[0]
        return block[:, None] == block

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        within = self.within(scatter.shape[1]).to(scatter.device)
        return super().fit(w, torch.where(within, scatter, 0.0), old, groups)
