"""Many sequences of different lengths as one table, without padding: all first rows, then all second rows, and so on.

The longest sequence comes first, so that those that still run at time t are the first of those that ran before it: a
pass through time works on slices of rows, and no row is wasted on what is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import BadData


class Span(NamedTuple):
    """The rows of one time: `begin` to `end`."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """Sequences that run at this time."""
        return self.end - self.begin


class Packing:
    """Where the rows of b sequences lie, which come one after the other with these lengths."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        """Raises `BadData` unless there is a sequence, and each has a row."""
        if len(lengths) == 0 or min(lengths) < 1:
            raise BadData(f"The lengths of the sequences are {_some(lengths)}; expected one or more, each at least 1.")
        self.lengths = [int(length) for length in lengths]
        longest = torch.tensor(self.lengths).argsort(descending=True, stable=True)
        runs = torch.tensor(self.lengths)[longest].tolist()
        begins = torch.tensor([0, *accumulate(self.lengths)][:-1])[longest]
        alive = torch.arange(runs[0])[:, None] < torch.tensor(runs)  # time, sequence
        time, which = alive.nonzero(as_tuple=True)
        self.order: Int[Tensor, "n"] = (begins[which] + time).to(device)  # the row that lies at each place
        self.sequence: Int[Tensor, "n"] = longest[which].to(device)  # and its sequence, as the caller numbers them
        self.column: Int[Tensor, "b"] = longest.to(device)  # the sequences in the order in which they are packed
        ends = [0, *accumulate(alive.sum(1).tolist())]
        self.spans = [Span(begin, end) for begin, end in pairwise(ends)]

    @property
    def columns(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @cached_property
    def begins(self) -> Int[Tensor, "t"]:
        """Where the rows of each time begin."""
        return torch.tensor([span.begin for span in self.spans])

    @cached_property
    def places(self) -> Int[Tensor, "n"]:
        """Where each row of the caller lies."""
        return self.order.argsort()

    @cached_property
    def last(self) -> Int[Tensor, "b"]:
        """Where the last row of each sequence lies."""
        ends = torch.tensor(list(accumulate(self.lengths)), device=self.order.device) - 1
        return self.places[ends]

    def pack(self, rows: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Rows of the caller in the order of time."""
        return rows[self.order]

    def unpack(self, rows: Tensor) -> Tensor:
        """And back again."""
        return torch.empty_like(rows).index_copy_(0, self.order, rows)

    def padded(self, rows: Float[Tensor, "n ..."], rest: Tensor) -> Float[Tensor, "t b ..."]:
        """Packed rows by time and sequence (the longest first), with `rest` where a sequence has ended."""
        table = rest.to(rows).expand(len(self.spans), self.columns, *rows.shape[1:]).clone()
        table[self.alive] = rows
        return table

    @cached_property
    def alive(self) -> Bool[Tensor, "t b"]:
        """Which sequences run at which time, the longest first."""
        sizes = torch.tensor([span.size for span in self.spans], device=self.order.device)
        return torch.arange(self.columns, device=self.order.device) < sizes[:, None]


def _some(lengths: Sequence[int]) -> str:
    shown = ", ".join(str(length) for length in list(lengths)[:6])
    return f"[{shown}{', ...' if len(lengths) > 6 else ''}]"
