"""Rows grouped by which of their columns are missing (NaN), or known to lie between limits."""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor


class Pattern(NamedTuple):
    """Rows in which the same columns are there."""

    rows: Int[Tensor, "m"]
    observed: list[int]
    missing: list[int]
    bounded: list[int] = []  # noqa: RUF012 - never written to


def patterns(x: Float[Tensor, "n d"], bounded: Bool[Tensor, "n d"] | None = None) -> list[Pattern]:
    """The patterns of missing values in `x`; each row belongs to exactly one of them.

    Entries that are not there but `bounded` are a kind of their own.
    """
    missing = torch.isnan(x)
    kinds = missing if bounded is None else torch.cat([missing, missing & bounded], dim=1)
    which = _same(kinds)
    members = which.argsort(stable=True).split(which.bincount().tolist())
    return [_pattern(rows, kinds[rows[0]].view(-1, x.shape[1]).sum(0).tolist()) for rows in members]


def _pattern(rows: Int[Tensor, "m"], kinds: list[int]) -> Pattern:
    """Columns of kind 0 are there, those of kind 2 are bounded."""
    return Pattern(rows, *([j for j, is_of in enumerate(kinds) if is_of == kind] for kind in (0, 1, 2)))


def _same(mask: Bool[Tensor, "n d"]) -> Int[Tensor, "n"]:
    """A number for each row, from 0, that equal rows share; 32 columns at a time, as sorting numbers is fast."""
    which = torch.zeros(len(mask), dtype=torch.int64, device=mask.device)
    for part in mask.split(32, dim=1):
        bits = (part.long() << torch.arange(part.shape[1], device=mask.device)).sum(1)
        which = ((which << 32) | bits).unique(return_inverse=True)[1]
    return which
