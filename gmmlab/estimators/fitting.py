"""From starts to the best fit: what every estimator does between checking its rows and keeping its attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from gmmlab.axes import Tensor
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import Gaussian
from gmmlab.fit import (
    Ahead,
    Source,
    Step,
    Transform,
    after,
    block_steps,
    identity,
    plateau,
    run,
    split_merge,
    stepwise,
)
from gmmlab.fit.certificate import Certificate, certify
from gmmlab.fit.loop import Stop
from gmmlab.fit.online import WARM_UP
from gmmlab.fit.together import climb
from gmmlab.kernels.chunks import Chunk
from gmmlab.model import Mixture
from gmmlab.stack import stack
from gmmlab.steps import e_step


class Fit(NamedTuple):
    """How far a start has climbed."""

    model: Mixture
    bounds: list[float] = []  # noqa: RUF012 - never changed in place
    converged: bool = False
    jitter: float = 0.0

    @property
    def bound(self) -> float:
        """The objective per row at the last step."""
        return self.bounds[-1] if self.bounds else -math.inf

    def after(self, step: Step, settled: Stop) -> Fit:
        """One step further; it has converged if that is the last by the rule `settled`."""
        worst = max(self.jitter, float(step.model.located.jitter.max()))
        return Fit(step.model, [*self.bounds, float(step.info.objective)], settled(step), worst)

    def certificate(self, n: float) -> Certificate:
        """What is known about its end, for a fit of n rows."""
        return certify(self.model, self.bounds, n, converged=self.converged, jitter=self.jitter)


class Interrupted(KeyboardInterrupt):
    """The notebook's stop button, with the best fit so far."""

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self.fit = fit


class Budget(NamedTuple):
    """When to stop: a gain of the objective per row, or a number of steps."""

    tol: float
    max_iter: int


class Begin(NamedTuple):
    """Where a fit begins: a model, and the objective before its first step, if it is resumed.

    `bounds` has the objectives of the steps that it has taken already.
    """

    model: Mixture
    previous: float = -math.inf
    bounds: list[float] = []  # noqa: RUF012 - never changed in place


Climb = Callable[[Begin, Stop], Iterator[Step]]
Rows = Tensor | Callable[[Mixture], Tensor]


def by_passes(source: Source, transform: Transform = identity) -> Climb:
    """Steps that see all rows of a source."""
    return lambda begin, stop: _steps(begin.model, source, stop=stop, previous=begin.previous, transform=transform)


def by_blocks(blocks: Sequence[Chunk]) -> Climb:
    """Rounds of incremental EM over blocks of rows."""
    return lambda begin, stop: block_steps(begin.model, blocks, stop=stop, previous=begin.previous)


ONLINE = stepwise()


class Online(NamedTuple):
    """A fit that goes on batch by batch: the model, what it averages, its evidence after each batch, rows so far."""

    model: Mixture
    state: Any = None
    bounds: list[float] = []  # noqa: RUF012 - never changed in place
    n: float = 0.0

    def after(self, batch: Chunk) -> Online:
        """One batch later. Models are refitted once 20 rows for each column have come."""
        stats = e_step(self.model, *batch)
        mean, state = ONLINE.update(self.model, stats, self.state)
        model = after(float(WARM_UP * self.model.d))(self.model, mean)
        return Online(model, state, [*self.bounds, float(stats.score)], self.n + float(stats.n))


def best_of(begins: Iterable[Begin], climb: Climb, budget: Budget, report: Reporter) -> tuple[Fit, list[Fit]]:
    """The best fit of all starts, one after the other, and all of them. Raises `Interrupted` with the best so far."""
    fits: list[Fit] = []
    current = None
    try:
        for i, begin in enumerate(begins):
            report.start(i)
            current = _reached(begin, budget)
            for climbed in _climbing(begin, current, climb, budget, report):
                current = climbed
            if budget.max_iter > 0:
                report.end(current.bound, current.converged)
            fits.append(current)
    except KeyboardInterrupt as interrupt:
        if current is None:
            raise
        raise Interrupted(_best([*fits, current])) from interrupt
    return _best(fits), fits


def best_together(begins: Sequence[Begin], source: Source, budget: Budget) -> tuple[Fit, list[Fit]]:
    """The same for starts that climb together, which saves passes over the rows; singular ones do not count.

    Empty if all turned singular. Raises `Interrupted` with the best that had finished.
    """
    fits: list[Fit] = []
    try:
        for finished in climb(
            stack([begin.model for begin in begins]), lambda _: source, tol=budget.tol, max_iter=budget.max_iter
        ):
            fits += [Fit(one.model, one.trace, one.converged) for one in finished if not one.singular]
    except KeyboardInterrupt as interrupt:
        if not fits:
            raise
        raise Interrupted(_best(fits)) from interrupt
    return (_best(fits) if fits else Fit(begins[0].model)), fits


def moved(fit: Fit, source: Source, seen: tuple[Rows, Tensor | None], budget: Budget, report: Reporter) -> Fit:
    """The best that split-and-merge moves find from a fit; each climb has its own budget.

    Moves are drawn up from what is `seen`: rows, or a function of the model that gives them, and how often each counts.
    Plain steps at the end tell how sure it is. Raises `Interrupted` with the best so far.
    """
    settled, reached = plateau(budget.tol), fit
    steps = split_merge(fit.model, source, *seen, stop=lambda step: settled(step) or step.i >= budget.max_iter)
    try:
        for step in steps:
            report.step(step)
            reached = reached.after(step, settled)
        for step in islice(_steps(reached.model, source, stop=settled), budget.max_iter):
            reached = reached.after(step, settled)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(reached) from interrupt
    return reached


def _reached(begin: Begin, budget: Budget) -> Fit:
    """How far a fit is before its first step; a start may have taken them all."""
    bounds = begin.bounds[: budget.max_iter]
    settled = bool(bounds) and abs(bounds[-1] - [begin.previous, *bounds][-2]) < budget.tol
    return Fit(begin.model, bounds, settled, float(begin.model.located.jitter.max()))


def _climbing(begin: Begin, fit: Fit, climb: Climb, budget: Budget, report: Reporter) -> Iterator[Fit]:
    """The fit after every step."""
    if fit.converged:
        return
    stop = plateau(budget.tol)
    begin = begin._replace(previous=fit.bound) if fit.bounds else begin
    for step in islice(climb(begin, stop), budget.max_iter - len(fit.bounds)):
        report.step(step)
        fit = fit.after(step, stop)
        yield fit


def _steps(model: Mixture, source: Source, **options: Any) -> Iterator[Step]:
    """Steps of a fit; on a GPU they are asked for ahead, so that it need not wait for the host."""
    if not model.weights.is_cuda or not isinstance(model.components, Gaussian):
        return run(model, source, **options)
    ahead = Ahead(source)
    return run(model, ahead.source, refit=ahead.refit, **options)


def _best(fits: Sequence[Fit]) -> Fit:
    return max(fits, key=lambda fit: fit.bound)
