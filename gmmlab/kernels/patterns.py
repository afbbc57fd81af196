"""Rows grouped by which of their columns are missing (NaN)."""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor


class Pattern(NamedTuple):
    """Rows in which the same columns are there."""

    rows: Int[Tensor, "m"]
    observed: list[int]
    missing: list[int]


def patterns(x: Float[Tensor, "n d"]) -> list[Pattern]:
    """The patterns of missing values in `x`; each row belongs to exactly one of them."""
    missing = torch.isnan(x)
    which = _same(missing)
    members = which.argsort(stable=True).split(which.bincount().tolist())
    columns = range(x.shape[1])
    return [
        Pattern(rows, [j for j in columns if not mask[j]], [j for j in columns if mask[j]])
        for rows in members
        for mask in [missing[rows[0]].tolist()]
    ]


def _same(mask: Bool[Tensor, "n d"]) -> Int[Tensor, "n"]:
    """A number for each row, from 0, that equal rows share; 32 columns at a time, as sorting numbers is fast."""
    which = torch.zeros(len(mask), dtype=torch.int64, device=mask.device)
    for part in mask.split(32, dim=1):
        bits = (part.long() << torch.arange(part.shape[1], device=mask.device)).sum(1)
        which = ((which << 32) | bits).unique(return_inverse=True)[1]
    return which
