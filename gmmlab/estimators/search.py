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
from gmmlab.init.grid import Plan, from_partitions
from gmmlab.model import Mixture
from gmmlab.stack import member, narrow, parts_of, stack

POLISH = 1e-3  # the tolerance of cells that could win, times that of the others
CLOSE = 10.0  # how far behind, in units of the criterion, a cell may be and still be climbed on
FLOOR = torch.finfo(torch.float64).eps ** 0.5  # least standard deviation, in parts of the widest column's


class Data(NamedTuple):
    """Rows, how often they count, and what is added to variances."""

    x: Float[Tensor, "n d"]
    weight: Float[Tensor, "n"] | None
    ridge: float


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

    finished: int
    total: int
    seconds: float
    fitted: Callable[[], list[Fitted]]

    @property
    def remaining(self) -> float:
        """An estimate in seconds, from the share that has finished; infinite at first."""
        return self.seconds * (self.total / self.finished - 1) if self.finished else float("inf")


Criterion = Callable[[Fitted], float]


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
    began, board = perf_counter(), _Board(data, cells)
    cells = sorted(cells, key=lambda cell: cell.k)  # equal sizes stand together
    tried = [(cell, i) for cell in cells for i in range(len(partitions[cell.k]))]
    stacked = _first(data, tried, partitions)
    source, floor = whole(data.x, data.weight), FLOOR * float(data.x.std(0).max())

    def rounds(which: Sequence[Cell], stacked: Mixture, tol: float) -> Iterator[Progress]:
        stacked = stacked.replace(components=stacked.gaussian.replace(structure=parts_of(stacked)[0].hasty()))
        for finished in climb(
            stacked, lambda _: source, tol=tol, max_iter=budget.max_iter, floor=floor, accelerated=True
        ):
            for one in finished:
                board.add(which[one.j], one)
            yield Progress(min(board.count, len(tried)), len(tried), perf_counter() - began, board.best)

    sound = torch.isfinite(parts_of(stacked)[1].groups.sum(stacked.gaussian.jitter)).tolist()
    for j in (j for j, good in enumerate(sound) if not good):
        board.add(tried[j][0], Finished(j, member(stacked, j), [], converged=False, singular=True))
    alive = [j for j, good in enumerate(sound) if good]
    if alive:
        yield from rounds([tried[j][0] for j in alive], narrow(stacked, alive), budget.tol)
    close = _close(board.best(), criterion)
    if close:
        models = stack([one.model for one in close if one.model is not None])
        yield from rounds([one.cell for one in close], models, POLISH * budget.tol)
    yield Progress(len(tried), len(tried), perf_counter() - began, board.best)


class _Board:
    """The fits so far; those that nobody has asked for yet are scored together."""

    def __init__(self, data: Data, cells: Sequence[Cell]) -> None:
        self._data, self._cells, self.count = data, cells, 0
        self._new: list[tuple[Cell, Finished]] = []
        self._best: dict[Cell, Fitted] = {}

    def add(self, cell: Cell, fit: Finished) -> None:
        self.count += 1
        if fit.singular:
            reason = f"a covariance became singular at step {fit.n_iter}"
            self._best.setdefault(cell, Fitted(cell, refused=reason))
        else:
            self._new.append((cell, fit))

    def best(self) -> list[Fitted]:
        """The best fit of every cell so far."""
        for one in self._scored():
            known = self._best.get(one.cell)
            if known is None or one.loglik > known.loglik:
                self._best[one.cell] = one
        return [self._best.get(cell, Fitted(cell, refused="not fitted yet")) for cell in self._cells]

    def _scored(self) -> Iterator[Fitted]:
        new, self._new = sorted(self._new, key=lambda pair: pair[1].model.k), []
        if not new:
            return
        loglik, doubt, smallest = _scores(stack([fit.model for _, fit in new]), self._data)
        for j, (cell, fit) in enumerate(new):
            model = fit.model.replace(components=fit.model.gaussian.replace(structure=cell.structure))
            yield Fitted(cell, model, loglik[j], doubt[j], smallest[j], fit.trace, fit.converged)


@torch.no_grad()
def _scores(stacked: Mixture, data: Data) -> tuple[list[float], ...]:
    """Total log-likelihood, doubt (see `criteria.doubt`) and rows of the smallest component, of each mixture."""
    _, gate = parts_of(stacked)
    total, at = torch.zeros(3, gate.groups.g, dtype=torch.float64), 0
    rows = torch.zeros(gate.groups.k, dtype=torch.float64)
    for table in stacked.tables(data.x):
        weight = None if data.weight is None else data.weight[at : at + len(table)]
        at += len(table)
        post = gate.posterior(table)
        most = torch.cat([block.amax(1) for block in gate.groups.blocks(post.resp.T)])  # (g, n)
        each = torch.ones_like(most[0]) if weight is None else weight
        total[0] += (post.evidence.T @ each).double().cpu()
        total[1] -= (most.log() @ each).double().cpu()
        rows += (post.resp.T @ each).double().cpu()
    smallest = [float(part.min()) for part in rows.split(list(gate.groups.sizes))]
    return total[0].tolist(), total[1].tolist(), smallest


def _first(data: Data, tried: Sequence[tuple[Cell, int]], partitions: dict[int, list[Float[Tensor, "n _"]]]) -> Mixture:
    """The first models of all cells, from all their partitions."""
    flat = [part for parts in partitions.values() for part in parts]
    place = {(k, i): p for p, (k, i) in enumerate((k, i) for k, parts in partitions.items() for i in range(len(parts)))}
    plan = [Plan(cell.structure, place[cell.k, i]) for cell, i in tried]
    return from_partitions(data.x, flat, plan, ridge=data.ridge, weight=data.weight)


def _close(fitted: Sequence[Fitted], criterion: Criterion) -> list[Fitted]:
    """The cells that could still win and were not stopped by their number of steps, equal sizes together."""
    sound = [one for one in fitted if one.model is not None]
    best = min((criterion(one) for one in sound), default=0.0)
    near = (one for one in sound if one.converged and criterion(one) <= best + CLOSE)
    return sorted(near, key=lambda one: one.cell.k)
