"""The optima that many starts reach: how often, how far apart, and which are degenerate.

EM climbs to the nearest local optimum of a likelihood that has many, and whose global one is infinite: a component that
sits on fewer rows than it has dimensions. One number (the best likelihood) hides all of that; this keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from gmmlab.algebra import assign
from gmmlab.axes import Float, Tensor
from gmmlab.extras import needs
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.model import Mixture

SAME_LOGLIK = 1e-4  # log-likelihoods per row, and
SAME_LABELS = 0.99  # adjusted Rand indices, between which two fits are one optimum
CONDITION = 1e10  # of a covariance, above which it is degenerate


class Optimum(NamedTuple):
    """One optimum, and how it compares with the best that is not degenerate."""

    loglik: float  # mean per row
    times: int  # how many fits ended here
    share: float  # the same in parts of all fits
    gap: float  # log-likelihood per row below the best; negative for degenerate optima above it
    agreement: float  # adjusted Rand index with the labels of the best
    smallest: float  # rows of the smallest component
    condition: float  # greatest condition number of a covariance
    degenerate: bool  # fewer rows than d + 1 in a component, or a condition number above CONDITION
    fit: int  # the place among the fits of the one with the greatest likelihood here


@dataclass(frozen=True)
class Landscape:
    """Optima of a set of fits: first those that are not degenerate, by falling likelihood, then the degenerate ones."""

    table: tuple[Optimum, ...]
    optimum: tuple[int, ...]  # of each fit, its row in the table
    agreements: Float[Tensor, "o o"]  # adjusted Rand index between the labels of every two optima

    @property
    def best(self) -> Optimum:
        """The optimum of greatest likelihood that is not degenerate; if all are, the greatest."""
        return self.table[0]

    @property
    def frame(self) -> Any:
        """The table as a DataFrame."""
        return needs("pandas").DataFrame(list(self.table), columns=Optimum._fields)


def landscape(
    x: Float[Tensor, "n d"],
    fits: Sequence[Mixture],
    *,
    same_loglik: float = SAME_LOGLIK,
    same_labels: float = SAME_LABELS,
) -> Landscape:
    """Group fits that are the same optimum, up to the numbering of their components.

    Two are the same when their log-likelihoods per row differ by at most `same_loglik` and the adjusted Rand index of
    their labels is at least `same_labels`; each fit is compared with the best of an optimum. The fits should have been
    run to a tolerance well below `same_loglik`. Entries may be missing (NaN). Raises `ValueError` if there are none.
    """
    if not fits:
        raise ValueError("There are no fits to compare; expected at least one.")
    ends = [assign(fit, x) for fit in fits]
    labels, logliks = [end[0] for end in ends], [float(end[1]) for end in ends]
    groups: list[list[int]] = []
    for i in sorted(range(len(fits)), key=lambda i: -logliks[i]):
        for group in groups:
            near = abs(logliks[group[0]] - logliks[i]) <= same_loglik
            if near and adjusted_rand(labels[group[0]], labels[i]) >= same_labels:
                group.append(i)
                break
        else:
            groups.append([i])
    groups.sort(key=lambda group: _is_degenerate(fits[group[0]], len(x)))  # stable: by likelihood within
    best = groups[0][0]
    table = tuple(_optimum(group, fits, labels, logliks, best) for group in groups)
    optimum = {i: row for row, group in enumerate(groups) for i in group}
    heads = [labels[group[0]] for group in groups]
    agreements = torch.tensor([[adjusted_rand(a, b) for b in heads] for a in heads], dtype=torch.float64)
    return Landscape(table, tuple(optimum[i] for i in range(len(fits))), agreements)


def condition_numbers(model: Mixture) -> Float[Tensor, "k"]:
    """Of the covariance of each component, in the 2-norm: its greatest over its least eigenvalue."""
    chol = model.located.chol
    spread = chol if chol.ndim == 2 else torch.linalg.svdvals(chol)
    return (spread.amax(-1) / spread.amin(-1)) ** 2


def _optimum(
    group: list[int], fits: Sequence[Mixture], labels: list[Tensor], logliks: list[float], best: int
) -> Optimum:
    head = group[0]
    n = len(labels[head])
    return Optimum(
        loglik=logliks[head],
        times=len(group),
        share=len(group) / len(fits),
        gap=logliks[best] - logliks[head],
        agreement=adjusted_rand(labels[best], labels[head]),
        smallest=_smallest(fits[head], n),
        condition=float(condition_numbers(fits[head]).max()),
        degenerate=_is_degenerate(fits[head], n),
        fit=head,
    )


def _smallest(model: Mixture, n: int) -> float:
    return float(model.weights.min()) * n


def _is_degenerate(model: Mixture, n: int) -> bool:
    # a d-variate covariance needs d + 1 rows; a millionth of a row is allowed for the rounding of weights
    return _smallest(model, n) < model.d + 1 - 1e-6 or not float(condition_numbers(model).max()) < CONDITION
