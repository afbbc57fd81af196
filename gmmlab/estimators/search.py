"""The search behind `gmmlab.select`: every structure with every number of components, fitted together.

Starts are partitions of the rows, one list for each number of components. From each partition every structure takes
its first model out of one statistic, all models climb together, and the best of each cell is kept. Cells that could
win are climbed on to a tighter tolerance, so that the ranking does not depend on where the first climb stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.estimators.fitting import Budget
from gmmlab.families import Structure
from gmmlab.fit import whole
from gmmlab.fit.together import Finished, climb
from gmmlab.init.grid import from_partitions
from gmmlab.model import Mixture
from gmmlab.score import criteria

POLISH = 1e-3  # the tolerance of cells that could win, times that of the others
FLOOR = torch.finfo(torch.float64).eps ** 0.5  # least standard deviation, in parts of the widest column's
CLOSE = 10.0  # how far behind, in units of the criterion, a cell may be and still be climbed on


class Cell(NamedTuple):
    """One entry of the table: a covariance type (with its structure) and a number of components."""

    covariance_type: str
    structure: Structure
    k: int


class Fitted(NamedTuple):
    """The best model of a cell, with what criteria need to know of it; or why there is none."""

    cell: Cell
    model: Mixture | None = None
    loglik: float = -torch.inf
    entropy: float = 0.0
    doubt: float = 0.0
    smallest: float = 0.0  # rows of the smallest component
    trace: list[float] = []  # noqa: RUF012 - never changed in place
    converged: bool = False
    refused: str = ""

    @property
    def n_parameters(self) -> int:
        """Free parameters of the cell."""
        assert self.model is not None
        return self.model.n_parameters


class Progress(NamedTuple):
    """Where a search is: how many of its fits have finished, and for how long it may go on."""

    step: int
    finished: int
    total: int
    seconds: float
    fitted: Callable[[], list[Fitted]]

    @property
    def remaining(self) -> float:
        """An estimate in seconds, from the share that has finished; infinite at first."""
        return self.seconds * (self.total / self.finished - 1) if self.finished else float("inf")


Criterion = Callable[[Fitted], float]


class Data(NamedTuple):
    """Rows, how often they count, and what is added to variances."""

    x: Float[Tensor, "n d"]
    weight: Float[Tensor, "n"] | None
    ridge: float


def search(
    data: Data,
    cells: Sequence[Cell],
    partitions: dict[int, list[Float[Tensor, "n _"]]],
    criterion: Criterion,
    budget: Budget,
) -> Iterator[Progress]:
    """Fit all cells from all `partitions` of their k; each `Progress` can give what there is so far.

    Lower values of `criterion` are better. The last progress has every cell.
    """
    began, x = perf_counter(), data.x
    plan = [(cell, i) for cell in cells for i in range(len(partitions[cell.k]))]
    models = _first(data, cells, partitions)
    board = _Board(data, cells)
    floor = FLOOR * float(x.std(0).max())

    def rounds(chosen: Sequence[int], models: Sequence[Mixture], tol: float) -> Iterator[Progress]:
        source = whole(x, data.weight)
        steps = climb(models, lambda _: source, tol=tol, max_iter=budget.max_iter, floor=floor)
        for step, finished in enumerate(steps, start=1):
            for one in finished:
                board.add(plan[chosen[one.j]][0], one)
            yield Progress(step, board.count, len(plan), perf_counter() - began, board.best)

    alive = [j for j, model in enumerate(models) if bool(torch.isfinite(model.gaussian.jitter).all())]
    for j in sorted(set(range(len(models))) - set(alive)):
        board.add(plan[j][0], Finished(j, models[j], [], converged=False, singular=True))
    yield from rounds(alive, [models[j] for j in alive], budget.tol)
    close = _close(board.best(), criterion)
    where = {cell: j for j, (cell, _) in enumerate(plan)}
    yield from rounds(
        [where[one.cell] for one in close], [one.model for one in close if one.model], POLISH * budget.tol
    )


class _Board:
    """The fits so far; the best of each cell is scored when somebody asks for it."""

    def __init__(self, data: Data, cells: Sequence[Cell]) -> None:
        self.x, self.weight, self.count = data.x, data.weight, 0
        self._fits: dict[Cell, list[Finished]] = {cell: [] for cell in cells}
        self._scored: dict[int, Fitted] = {}

    def add(self, cell: Cell, fit: Finished) -> None:
        self.count += 1
        self._fits[cell].append(fit)

    def best(self) -> list[Fitted]:
        return [self._best(cell, fits) for cell, fits in self._fits.items()]

    def _best(self, cell: Cell, fits: list[Finished]) -> Fitted:
        sound = [self._score(cell, fit) for fit in fits if not fit.singular]
        if sound:
            return max(sound, key=lambda one: one.loglik)
        steps = [fit.n_iter for fit in fits]
        return Fitted(cell, refused=f"a covariance became singular at step {max(steps)}" if steps else "not fitted")

    def _score(self, cell: Cell, fit: Finished) -> Fitted:
        key = id(fit)
        if key not in self._scored:
            resp, evidence = fit.model.posterior(self.x)
            weight = torch.ones_like(evidence) if self.weight is None else self.weight
            self._scored[key] = Fitted(
                cell,
                fit.model,
                loglik=float((weight.double() * evidence.double()).sum()),
                entropy=criteria.entropy(resp, self.weight),
                doubt=criteria.doubt(resp, self.weight),
                smallest=float((weight[:, None] * resp).sum(0).min()),
                trace=fit.trace,
                converged=fit.converged,
            )
        return self._scored[key]


def _first(data: Data, cells: Sequence[Cell], partitions: dict[int, list[Tensor]]) -> list[Mixture]:
    """The first model of every cell and partition, in the order of the plan."""
    structures = list(dict.fromkeys(cell.structure for cell in cells))
    flat = [(k, part) for k, parts in partitions.items() for part in parts]
    made = from_partitions(data.x, [part for _, part in flat], structures, ridge=data.ridge, weight=data.weight)
    by_k = {
        (structure, k): [model for (other, _), model in zip(flat, row, strict=True) if other == k]
        for structure, row in zip(structures, made, strict=True)
        for k in partitions
    }
    return [model for cell in cells for model in by_k[cell.structure, cell.k]]


def _close(fitted: Sequence[Fitted], criterion: Criterion) -> list[Fitted]:
    """The cells that could still win."""
    sound = [one for one in fitted if one.model is not None]
    best = min((criterion(one) for one in sound), default=0.0)
    return [one for one in sound if criterion(one) <= best + CLOSE]
