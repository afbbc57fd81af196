"""What is known about where a fit has stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.families import FactorAnalyzers
from gmmlab.model import Mixture

FLOOR = 2.0  # a variance below so many ridges is mostly ridge
ROUNDING = 4 * torch.finfo(torch.float64).eps


class Certificate(NamedTuple):
    """How sure the end of a fit is. Increases are per row, in nats."""

    converged: bool
    last_gain: float  # how much the objective rose in the last step
    aitken_gap: float  # how much it would still rise, extrapolated: infinite where it is not slowing down
    condition: list[float]  # condition number of each component's covariance; a bound for factor analysers
    smallest: float  # weight of the smallest component, in rows
    jitter: float  # most that was added to a variance to keep a covariance positive definite, in squared data units
    dtype: torch.dtype  # of the rows, and so of their densities; parameters and sums are float64
    collapsed: Sequence[int] = ()  # components as flat, along some direction, as the ridge (reg_covar) allows

    def __str__(self) -> str:
        word = "converged" if self.converged else "NOT converged"
        flat = ", ".join(map(str, self.collapsed))
        hint = f"; flat as reg_covar allows: component {flat}, on a line or a point of few values" if flat else ""
        changed = f"; up to {self.jitter:.2g} added to variances" if self.jitter > 0 else ""
        return (
            f"{word}: last gain {self.last_gain:.2g} nats per row, about {self.aitken_gap:.2g} to come; condition "
            f"numbers up to {max(self.condition):.3g}; smallest component {self.smallest:.4g} rows; "
            f"{str(self.dtype).removeprefix('torch.')}{changed}{hint}"
        )


def certify(model: Mixture, trace: Sequence[float], n: float, *, converged: bool, jitter: float = 0.0) -> Certificate:
    """A certificate out of the last model and the objectives of all steps; `n` is the number of rows."""
    last_gain = trace[-1] - trace[-2] if len(trace) > 1 else math.inf
    condition, collapsed = _spread(model)
    return Certificate(
        converged,
        last_gain,
        aitken_gap(trace),
        condition,
        n * float(model.weights.min()),
        jitter,
        model.located.origin.dtype,
        collapsed,
    )


def aitken_gap(trace: Sequence[float]) -> float:
    """How far the limit of a linearly converging sequence lies above its last member, by its last three.

        gap = (l_t - l_t-1) a / (1 - a),    a = (l_t - l_t-1) / (l_t-1 - l_t-2)

    Zero after a step that gained nothing but rounding. Infinite with fewer than three members, or where increases do
    not shrink. See McLachlan and Krishnan (2008).
    """
    if len(trace) > 1 and abs(trace[-1] - trace[-2]) <= ROUNDING * abs(trace[-1]):
        return 0.0
    if len(trace) < 3:
        return math.inf
    before, gain = trace[-2] - trace[-3], trace[-1] - trace[-2]
    rate = gain / before if before else math.inf
    return gain * rate / (1 - rate) if 0 <= rate < 1 else math.inf


def _spread(model: Mixture) -> tuple[list[float], list[int]]:
    """Condition numbers of covariances out of their factors, and which have a least variance that is mostly ridge."""
    if isinstance(model.components, FactorAnalyzers):
        return model.components.condition.tolist(), []
    chol = model.located.chol
    scale = chol if chol.ndim == 2 else torch.linalg.svdvals(chol)  # standard deviations along the axes
    least = scale.amin(1)
    flat = (least**2 < FLOOR * model.located.ridge).tolist()
    return ((scale.amax(1) / least) ** 2).tolist(), [k for k, is_flat in enumerate(flat) if is_flat]
