"""How the clusters of two partitions correspond. (How well they agree is `sklearn.metrics.adjusted_rand_score`.)"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment

from gmmlab.axes import Int, Tensor


def contingency(a: Int[Tensor, "n"], b: Int[Tensor, "n"]) -> Tensor:
    """How many rows have label i in `a` and label j in `b`; labels count from 0."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    return torch.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)


def match_labels(a: Int[Tensor, "n"], b: Int[Tensor, "n"]) -> Tensor:
    """For each label of `b` the label of `a` that it corresponds to, so that the most rows agree.

    Labels of `b` beyond those of `a` get new numbers, so that `match_labels(a, b)[b]` renames `b` without joining any
    of its clusters. The assignment is optimal (Kuhn, 1955).
    """
    table = contingency(a, b)
    theirs, ours = linear_sum_assignment(table.cpu().numpy(), maximize=True)
    matched = torch.full((table.shape[1],), -1, dtype=torch.int64)
    matched[torch.from_numpy(ours)] = torch.from_numpy(theirs)
    new = matched < 0
    matched[new] = table.shape[0] + torch.arange(int(new.sum()))
    return matched.to(b.device)
