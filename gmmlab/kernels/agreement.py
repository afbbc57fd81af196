"""How much two partitions agree."""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Int, Tensor


def contingency(a: Int[Tensor, "n"], b: Int[Tensor, "n"]) -> Tensor:
    """How many rows have label i in `a` and label j in `b`; labels count from 0."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    return torch.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)


def adjusted_rand(a: Int[Tensor, "n"], b: Int[Tensor, "n"]) -> float:
    """How much two partitions agree: 1 if they are the same, 0 on average over random ones.

    Hubert and Arabie (1985), eq. 5. Two partitions that each have one group, or only single rows, agree. Rows of noise
    (-1) are a group of their own.
    """
    both = contingency(a - a.min(), b - b.min()).double()
    pairs, total = float(_pairs(both).sum()), math.comb(len(a), 2)
    of_a, of_b = float(_pairs(both.sum(1)).sum()), float(_pairs(both.sum(0)).sum())
    expected = of_a * of_b / max(total, 1)
    greatest = (of_a + of_b) / 2
    return 1.0 if greatest == expected else (pairs - expected) / (greatest - expected)


def _pairs(count: Tensor) -> Tensor:
    return count * (count - 1) / 2
