"""How the clusters of two partitions correspond. (How well they agree is `kernels.agreement.adjusted_rand`.)"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.agreement import contingency


def match_labels(a: Int[Tensor, "n"], b: Int[Tensor, "n"]) -> Tensor:
    """For each label of `b` the label of `a` that it corresponds to, so that the most rows agree.

    Labels of `b` beyond those of `a` get new numbers, so that `match_labels(a, b)[b]` renames `b` without joining any
    of its clusters. The assignment is optimal (Kuhn, 1955).
    """
    return match_table(contingency(a, b).double())


def misclassified(labels: Int[Tensor, "n"], truth: Int[Tensor, "n"]) -> float:
    """The share of rows that are in the wrong group, after the best renaming of the groups."""
    return float((match_labels(truth, labels)[labels] != truth).double().mean())


def match_table(table: Float[Tensor, "i j"]) -> Int[Tensor, "j"]:
    """For each column the row that it corresponds to, so that the sum of the matched entries is greatest.

    Columns that no row is left for get new numbers. The assignment is optimal (Kuhn, 1955).
    """
    theirs, ours = linear_sum_assignment(table.cpu().numpy(), maximize=True)
    matched = torch.full((table.shape[1],), -1, dtype=torch.int64)
    matched[torch.from_numpy(ours)] = torch.from_numpy(theirs)
    new = matched < 0
    matched[new] = table.shape[0] + torch.arange(int(new.sum()))
    return matched.to(table.device)
