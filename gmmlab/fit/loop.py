"""The only loop: a fit is an iterator of steps.

    for step in run(model, whole(x), stop=plateau(1e-3)):
        print(step.i, step.info.evidence)

`fit()` drains the iterator; a widget draws each step; to cancel is to stop iterating; to steer is to send a changed
model back in, `steps.send(model)`. The evidence reported in step i belongs to the model before that step's refit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import count
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Tensor
from gmmlab.fit.source import Exhausted, Source
from gmmlab.fit.transforms import Transform, identity
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, m_step


class Info(NamedTuple):
    """What a person might want to see of a step; the next step does not read it."""

    stats: MixtureStats
    objective: Tensor  # what the fit climbs, of each stacked model: see `climbed`
    previous: Tensor | float
    accepted: bool = True  # False: this E-step showed that an accelerated fit had leapt too far; it went back
    state: Any = None  # what the transform remembers

    @property
    def evidence(self) -> float:
        """Mean log-likelihood per row of the model before the refit."""
        return float(self.stats.score)

    @property
    def gain(self) -> float:
        """How much the objective rose over the step before; infinite in the first, and after a steer."""
        return float(self.gains)

    @property
    def gains(self) -> Tensor:
        """The same for each of the models that are stacked along k."""
        return self.objective - self.previous


class Step(NamedTuple):
    """One step of a fit: its number from 1, the model after the refit, and information for people."""

    i: int
    model: Mixture
    info: Info


Stop = Callable[[Step], bool]
Objective = Callable[[Mixture, MixtureStats, Mixture], Tensor]  # of a model, its statistics, and its refit


def climbed(before: Mixture, stats: MixtureStats, after: Mixture) -> Tensor:  # noqa: ARG001 - others look at it
    """Evidence and log prior per row of the model before the refit: what EM climbs."""
    return stats.score + before.penalty() / stats.n


def plateau(tol: float) -> Stop:
    """Stop when the objective per row changes by less than `tol` in a step."""
    return lambda step: abs(step.info.gain) < tol


def run(
    model: Mixture,
    source: Source,
    *,
    transform: Transform = identity,
    refit: Callable[[Mixture, MixtureStats], Mixture] = m_step,
    stop: Stop = plateau(1e-6),  # noqa: B008 - a rule has no state
    previous: Tensor | float = -math.inf,
    objective: Objective = climbed,
) -> Generator[Step, Mixture | None, None]:
    """Steps from `model` until `stop` says so, or the source ends; each is an E-step, a transform and a refit.

    A model sent in replaces the current one and the fit goes on from there. `objective` is what the fit climbs, and
    `previous` its value before the first step, for a fit that is resumed. A step that takes an extrapolation back does
    not end the fit.
    """
    state = transform.init()
    for i in count(1):
        try:
            stats, state = transform.update(model, source(model), state)
        except Exhausted:
            return
        accepted = transform.accepted(state)
        before, model = model, refit(model, stats)
        reached = objective(before, stats, model) if accepted else torch.as_tensor(previous)
        step = Step(i, model, Info(stats, reached, previous, accepted, state))
        previous = reached
        sent = yield step
        if sent is not None:
            model, previous, state = sent, -math.inf, transform.init()
        elif step.info.accepted and stop(step):
            return


def last(steps: Iterable[Step]) -> Step:
    """Drain a fit and keep its last step. Raises `ValueError` if there was none."""
    tail = deque(steps, maxlen=1)
    if not tail:
        raise ValueError("The fit ended before its first step; expected at least one.")
    return tail[0]
