"""From responsibilities to a fitted mixture of experts: the steps, when they end, and the best of several starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gmmlab.axes import Float, Tensor
from gmmlab.fit import Step, run, whole
from gmmlab.gates import Softmax
from gmmlab.kernels import multinomial
from gmmlab.model import Mixture

RACE = 1e-6  # tolerance of all starts, of which the best goes on alone
SURE = 0.9  # of the labels of a start: a gate that is sure of them would have no finite weights


class Climbed(NamedTuple):
    """How far a start has come: its model and the objective per row of every step."""

    model: Mixture
    bounds: list[float]
    converged: bool

    @property
    def bound(self) -> float:
        """The last objective."""
        return self.bounds[-1]


def settled(tol: float) -> Callable[[Any], bool]:
    """Whether a step gained less than `tol` of the objective (and one)."""
    return lambda step: abs(step.info.gain) <= tol * (1 + abs(float(step.info.objective)))


def in_a_row(rule: Callable[[Any], bool], times: int) -> Callable[[Any], bool]:
    """A rule that has held for so many steps: for fits whose steps move one part of the model after the other."""
    held = 0

    def enough(step: Any) -> bool:
        nonlocal held
        held = held + 1 if rule(step) else 0
        return held >= times

    return enough


def steps(
    model: Mixture, rows: Float[Tensor, "n d"], weight: Any = None, *, tol: float = 1e-8, halves: int = 1
) -> Iterator[Step]:
    """EM from a model of the rows, until it has settled for as many steps as a whole one has `halves`."""
    return run(model, whole(rows, weight), stop=in_a_row(settled(tol), halves))


def climb(steps: Iterable[Step], most: int) -> Climbed:
    """The end of some steps, or of the first `most` of them: then it has not converged."""
    bounds: list[float] = []
    converged, model = False, None
    for step in steps:
        bounds.append(float(step.info.objective))
        model = step.model
        if step.i >= most:
            break
    else:
        converged = True
    assert model is not None  # a fit has a first step
    return Climbed(model, bounds, converged)


def gate_of(
    gate: Softmax, rows: Float[Tensor, "n d"], resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None
) -> Softmax:
    """A gate of the same kind at the maximum for responsibilities, which are mixed with even ones."""
    k = resp.shape[1]
    z = gate.at(rows).z.double()
    soft = SURE * resp.double() + (1 - SURE) / k
    soft = soft if weight is None else soft * weight.double()[:, None]
    penalty = gate.penalties
    w = multinomial.solve(z, soft[:, None], penalty, most=20, tol=1e-6)[0]
    return gate.replace(w=w - w.mean(0), share=soft.sum(0) / soft.sum())
