"""Rows grouped by which of their columns are missing (NaN)."""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor


class Pattern(NamedTuple):
    """Rows in which the same columns are there."""

    rows: Int[Tensor, "m"]
    observed: list[int]
    missing: list[int]


def patterns(x: Float[Tensor, "n d"]) -> list[Pattern]:
    """The patterns of missing values in `x`; each row belongs to exactly one of them."""
    masks, which = torch.isnan(x).unique(dim=0, return_inverse=True)
    order, counts = which.argsort(stable=True), which.bincount(minlength=len(masks))
    columns = range(x.shape[1])
    return [
        Pattern(rows, [j for j in columns if not mask[j]], [j for j in columns if mask[j]])
        for rows, mask in zip(order.split(counts.tolist()), masks.tolist(), strict=True)
    ]
