"""How long will it last? Health indices out of many sensors, and scores of predicted remaining lives.

A fleet of machines has run to failure, and each row is a cycle of one of them. A health index is a linear map of the
sensors that falls from one to zero over a life; a remaining useful life (RUL) is the number of cycles until it does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.sequences.given import as_sequences

EARLY, LATE = 13.0, 10.0  # cycles in which the score of a prediction that is too early or too late grows by a factor e


class HealthIndex(NamedTuple):
    """A linear map from sensors to health."""

    weights: Any
    level: float

    def __call__(self, X: Any) -> Any:
        """The index (n, 1) of rows."""
        return (X @ self.weights + self.level)[:, None]


class Remaining(NamedTuple):
    """Cycles left: median and the quantiles 0.1 and 0.9 of the paths, and of each path; infinite where none is seen.

    `relative` is the number c for which the mean of |c - r| / r over the paths is least: their median where each counts
    1 / r, and those without an end nothing. Lives differ by factors, so that it is well below the median; it is what a
    mean relative error asks for. See Gneiting (2011), on predictions and the errors that they are best for.
    """

    median: float
    relative: float
    low: float
    high: float
    paths: Any


def health_index(X: Any, lengths: Any = None) -> HealthIndex:
    """The linear map of sensors that is closest, by least squares, to a straight fall from one to zero in each life."""
    given = as_sequences(X, lengths)
    if min(given.lengths) < 2:
        raise BadData("A life has one row; expected at least two, a beginning and an end.")
    target = torch.cat([torch.linspace(1, 0, n, dtype=torch.float64) for n in given.lengths])
    ones = torch.ones(len(given.x), 1, dtype=torch.float64)
    rows = torch.cat([given.x.double().cpu(), ones], dim=1)
    found = torch.linalg.lstsq(rows, target[:, None], driver="gelsd").solution[:, 0]
    return HealthIndex(found[:-1].numpy(), float(found[-1]))


def remaining(reached: Float[Tensor, "q n"], threshold: float, *, below: bool = True) -> Remaining:
    """Steps until each path first crosses a threshold, counted from one."""
    crossed = reached < threshold if below else reached > threshold
    first = crossed.double().argmax(1).double() + 1
    steps = torch.where(crossed.any(1), first, torch.inf)
    low, median, high = (float(steps.quantile(p, interpolation="nearest")) for p in (0.1, 0.5, 0.9))
    return Remaining(median, _relative(steps), low, high, steps.cpu().numpy())


def _relative(steps: Float[Tensor, "q"]) -> float:
    """The median of steps that count 1 / steps each; infinite where all are."""
    ordered = steps.sort().values
    heard = (1 / ordered).cumsum(0)
    return float(ordered[int((heard >= heard[-1] / 2).double().argmax())])


def phm_score(predicted: Any, true: Any) -> float:
    """The score of a fleet's predicted lives: sum of exp(-e / 13) - 1 for e < 0 and exp(e / 10) - 1 beyond.

    e is what is predicted less what is true: to be late costs more. Lower is better, zero is perfect. See Saxena,
    Goebel, Simon and Eklund (2008), eq. 9.
    """
    error = np.asarray(predicted, dtype=float) - np.asarray(true, dtype=float)
    return float(np.expm1(np.where(error < 0, -error / EARLY, error / LATE)).sum())


def share_in_time(predicted: Any, true: Any) -> float:
    """The share of predictions that are at most 13 cycles early and at most 10 late."""
    error = np.asarray(predicted, dtype=float) - np.asarray(true, dtype=float)
    return float(((error >= -EARLY) & (error <= LATE)).mean())
