"""What `gmmlab.select` can rank by: one function for each criterion, lower is better.

The only place where a criterion is a string.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gmmlab.estimators.search import Cell, Fitted
from gmmlab.score import criteria


class Rest(NamedTuple):
    """What a criterion needs beside the fit of a cell: the number of rows, and how likely one component is."""

    n: float
    of_one: Mapping[str, float]  # log-likelihood of one component, for each covariance type that was fitted with one

    @classmethod
    def of(cls, fitted: Sequence[Fitted], n: float) -> Rest:
        """What all fits of a table say."""
        return cls(n, {one.cell.covariance_type: one.loglik for one in fitted if one.cell.k == 1 and one.model})


Criterion = Callable[[Fitted, Rest], float]


def _nec(one: Fitted, rest: Rest) -> float:
    known = rest.of_one.get(one.cell.covariance_type)
    return math.nan if known is None else criteria.nec(one.cell.k, one.loglik, known, one.entropy)


def _mml(one: Fitted, rest: Rest) -> float:
    assert one.model is not None
    k = one.cell.k
    return criteria.mml(one.loglik, one.model.weights, rest.n, (one.n_parameters - k + 1) / k)


CRITERIA: dict[str, Criterion] = {
    "bic": lambda one, rest: criteria.bic(one.loglik, one.n_parameters, rest.n),
    "icl": lambda one, rest: criteria.icl(one.loglik, one.n_parameters, rest.n, one.doubt),
    "icl_soft": lambda one, rest: criteria.icl(one.loglik, one.n_parameters, rest.n, one.entropy),
    "aic": lambda one, rest: criteria.aic(one.loglik, one.n_parameters),
    "aicc": lambda one, rest: criteria.aicc(one.loglik, one.n_parameters, rest.n),
    "nec": _nec,
    "mml": _mml,
    "cv": lambda one, rest: -2 * one.held,
}


def value(criterion: str, one: Fitted, rest: Rest) -> float:
    """A criterion of a cell; NaN where it has no model, or where the criterion does not know."""
    return CRITERIA[criterion](one, rest) if one.model is not None else math.nan


def by_cell(fits: Sequence[Fitted]) -> list[Fitted]:
    """One fit for each cell, that of the first column of weights, with the sum of what the others say of left-out rows.

    Minus infinity where one of the others was refused; NaN where there are none.
    """
    held: dict[Cell, float] = {}
    for one in fits:
        if one.column > 0:
            held[one.cell] = held.get(one.cell, 0.0) + (-math.inf if one.model is None else one.held)
    return [one._replace(held=held.get(one.cell, math.nan)) for one in fits if one.column == 0]
