"""How well classes were found of which some were known."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from gmmlab.score.agreement import match_labels


class Discovery(NamedTuple):
    """Shares of rows in the right group: of all, of those of known classes, and of those of new ones."""

    all: float
    old: float
    new: float


def discovery_accuracy(truth: Any, labels: Any, old: Any) -> Discovery:
    """Accuracy after one assignment of groups to classes over all rows, so that no group counts for two classes.

    All are arrays or tensors with a number for each row; `old` are the rows of known classes; a share of no rows is
    NaN. Groups beyond the number of classes are wrong. The assignment is optimal (Kuhn, 1955); see Vaze, Han, Vedaldi
    and Zisserman (2022).
    """
    z, groups = (torch.unique(torch.as_tensor(values), return_inverse=True)[1] for values in (truth, labels))
    right, old = (match_labels(z, groups)[groups] == z).double(), torch.as_tensor(old)
    return Discovery(float(right.mean()), float(right[old].mean()), float(right[~old].mean()))
