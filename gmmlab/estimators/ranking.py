"""What `gmmlab.select` can rank by: one function for each criterion, lower is better.

The only place where a criterion is a string.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gmmlab.estimators.search import Cell, Close, Fitted
from gmmlab.score import criteria

CLOSE = 10.0  # how far behind, in units of the criterion, a cell may be and still be climbed on


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
    """The fit of each cell for the first column of weights; `held` is the sum of the others', NaN without them."""
    held: dict[Cell, float] = {}
    for one in fits:
        if one.column > 0:
            held[one.cell] = held.get(one.cell, 0.0) + one.held
    return [one._replace(held=held.get(one.cell, math.nan)) for one in fits if one.column == 0]


def ranks(criterion: str, fitted: Sequence[Fitted], n: float) -> dict[Cell, float]:
    """The criterion of all cells; infinite where there is no model, or where the criterion does not know."""
    rest = Rest.of(fitted, n)
    values = {one.cell: value(criterion, one, rest) for one in fitted}
    return {cell: math.inf if math.isnan(each) else each for cell, each in values.items()}


def could_win(criterion: str, n: float) -> Close:
    """Which fits, to all rows and without each fold, are of cells that could still rank first."""

    def close(fits: Sequence[Fitted]) -> list[Fitted]:
        values = ranks(criterion, by_cell(fits), n)
        least = min(values.values(), default=0.0)
        return [one for one in fits if one.model is not None and values[one.cell] <= least + CLOSE]

    return close
