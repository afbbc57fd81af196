"""The search behind `gmmlab.select`: every structure with every number of components, fitted together.

Starts are partitions of the rows, one list for each number of components. From each partition every structure takes
its first model out of one statistic, all models climb together, and the best of each cell is kept. Cells that could
win are climbed on to a tighter tolerance, so that the ranking does not depend on where the first climb stopped.

Rows may have several columns of weights: then every cell is fitted for each of them, in the same stack. So the rows
without one fold climb beside all rows, and the samples of a bootstrap beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.estimators.fitting import Budget
from gmmlab.estimators.sample import Sample
from gmmlab.families import Structure
from gmmlab.fit.pieces import assigned, over
from gmmlab.fit.source import Source
from gmmlab.fit.together import Finished, climb
from gmmlab.init.grid import Plan, from_partitions
from gmmlab.model import Mixture
from gmmlab.stack import member, narrow, parts_of, stack

POLISH = 1e-3  # the tolerance of cells that could win, times that of the others
NOT_YET = "not fitted yet"  # why a cell has no model while the search goes on
FEW = 20  # steps in all, up to which they are of plain EM: leaps would have no time to pay
FLOOR = 2 * torch.finfo(torch.float64).eps ** 0.5  # least standard deviation, in parts of how far rows reach


class Cell(NamedTuple):
    """One entry of the table: a covariance type (with its structure) and a number of components."""

    covariance_type: str
    structure: Structure
    k: int


class Fitted(NamedTuple):
    """The best model of a cell for one column of weights, with what criteria need to know of it; or why there is none.

    The rows of the first column that the fit left out have the log-likelihood `held`, minus infinity if it was refused.
    """

    cell: Cell
    column: int = 0
    model: Mixture | None = None
    loglik: float = -torch.inf
    held: float = torch.nan
    doubt: float = 0.0
    entropy: float = 0.0
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


Starts = Mapping[int, Sequence[Tensor]]  # partitions (m, k) of the rows of a sample, for each k
Close = Callable[[Sequence[Fitted]], Sequence[Fitted]]


class _Job(NamedTuple):
    """One climb: a cell, a column of weights, and which of its starts."""

    cell: Cell
    column: int
    start: int


def search(
    sample: Sample,
    cells: Sequence[Cell],
    starts: Sequence[Starts],
    close: Close,
    budget: Budget,
    *,
    ridge: float = 0.0,
) -> Iterator[Progress]:
    """Fit all cells from all partitions of their k, for each column of weights, whose starts are `starts[column]`.

    Each `Progress` can give what there is so far; the last has every cell. Those that `close` picks climb on to a
    thousandth of the tolerance.
    """
    began, board = perf_counter(), _Board(sample, cells, len(starts))
    jobs = [
        _Job(cell, c, i)
        for cell in sorted(cells, key=lambda cell: cell.k)  # equal sizes stand together
        for c, of in enumerate(starts)
        for i in range(len(of[cell.k]))
    ]
    stacked = _first(sample, jobs, starts, ridge)
    floor = FLOOR * float((sample.x - sample.origin).abs().max())  # moments about the origin cannot tell less from 0

    def rounds(which: Sequence[tuple[Cell, int]], stacked: Mixture, tol: float) -> Iterator[Progress]:
        stacked = stacked.replace(components=stacked.gaussian.replace(structure=parts_of(stacked)[0].hasty()))
        source = _sources(sample, [column for _, column in which])
        most, leaping = budget.max_iter, budget.max_iter > FEW
        for finished in climb(stacked, source, tol=tol, max_iter=most, floor=floor, accelerated=leaping):
            for one in finished:
                board.add(*which[one.j], one)
            yield Progress(min(board.count, len(jobs)), len(jobs), perf_counter() - began, board.best)

    sound = torch.isfinite(parts_of(stacked)[1].groups.sum(stacked.gaussian.jitter)).tolist()
    for j in (j for j, good in enumerate(sound) if not good):
        board.add(*jobs[j][:2], Finished(j, member(stacked, j), [], converged=False, singular=True))
    alive = [j for j, good in enumerate(sound) if good]
    if alive:
        yield from rounds([jobs[j][:2] for j in alive], narrow(stacked, alive), budget.tol)
    near = sorted((one for one in close(board.best()) if one.converged), key=lambda one: one.cell.k)
    if near:
        models = stack([one.model for one in near if one.model is not None])
        yield from rounds([(one.cell, one.column) for one in near], models, POLISH * budget.tol)
    yield Progress(len(jobs), len(jobs), perf_counter() - began, board.best)


def _sources(sample: Sample, columns: Sequence[int]) -> Callable[[list[int]], Source]:
    """The statistics of the mixtures of a stack that are still active."""
    if sample.weight is None or sample.weight.ndim == 1:
        source = sample.source
        return lambda _: source
    return lambda active: over(sample.pieces, [columns[a] for a in active])


class _Board:
    """The fits so far; those that nobody has asked for yet are scored together."""

    def __init__(self, sample: Sample, cells: Sequence[Cell], columns: int) -> None:
        self._sample, self.count = sample, 0
        self._places = [(cell, column) for cell in cells for column in range(columns)]
        self._new: list[tuple[Cell, int, Finished]] = []
        self._best: dict[tuple[Cell, int], Fitted] = {}

    def add(self, cell: Cell, column: int, fit: Finished) -> None:
        self.count += 1
        if fit.singular:
            reason = f"a covariance became singular at step {fit.n_iter}"
            self._best.setdefault((cell, column), Fitted(cell, column, held=-torch.inf, refused=reason))
        else:
            self._new.append((cell, column, fit))

    def best(self) -> list[Fitted]:
        """The best fit of every cell so far, for each column of weights."""
        for one in self._scored():
            known = self._best.get((one.cell, one.column))
            if known is None or one.loglik > known.loglik:
                self._best[one.cell, one.column] = one
        return [self._best.get(place, Fitted(*place, refused=NOT_YET)) for place in self._places]

    def _scored(self) -> Iterator[Fitted]:
        new, self._new = sorted(self._new, key=lambda entry: entry[2].model.k), []
        if not new:
            return
        scores = _scores(stack([fit.model for *_, fit in new]), self._sample, [column for _, column, _ in new])
        for (cell, column, fit), score in zip(new, scores, strict=True):
            model = fit.model.replace(components=fit.model.gaussian.replace(structure=cell.structure))
            yield Fitted(cell, column, model, *score, trace=fit.trace, converged=fit.converged)


class _Score(NamedTuple):
    loglik: float
    held: float
    doubt: float
    entropy: float
    smallest: float


@torch.no_grad()
def _scores(stacked: Mixture, sample: Sample, columns: Sequence[int]) -> list[_Score]:
    """Of each mixture: log-likelihood (total, and of what is left out), doubt, entropy, rows of the least component."""
    groups = parts_of(stacked)[1].groups
    total, rows = torch.zeros(4, groups.g, dtype=torch.float64), torch.zeros(groups.k, dtype=torch.float64)
    for post, weight in assigned(stacked, sample.pieces):
        blocks, evidence = groups.blocks(post.resp.T), post.evidence.T
        doubt = torch.cat([-block.amax(1).log() for block in blocks])  # (g, m)
        entropy = torch.cat([torch.special.entr(block).sum(1) for block in blocks])
        each, held = (share.to(evidence) for share in _shares(len(post.resp), weight, columns))
        own = each if len(each) == 1 else each[groups.owner(each.device)]
        rows += _sum(post.resp.T, own)
        total += torch.stack([_sum(evidence, each), _sum(evidence, held), _sum(doubt, each), _sum(entropy, each)])
    smallest = [float(part.min()) for part in rows.split(list(groups.sizes))]
    return [_Score(*sums) for sums in zip(*total.tolist(), smallest, strict=True)]


def _sum(values: Float[Tensor, "r m"], weight: Float[Tensor, "w m"]) -> Float[Tensor, "r"]:
    """Sums over rows, which count the same for all or have weights for each."""
    total = values @ weight[0] if len(weight) == 1 else (values * weight).sum(1, dtype=torch.float64)
    return total.double().cpu()


def _shares(m: int, weight: Tensor | None, columns: Sequence[int]) -> tuple[Tensor, Tensor]:
    """How often rows count in the fit of each mixture and how often they were left out: (g, m), or (1, m) for all."""
    if weight is None:
        return torch.ones(1, m), torch.zeros(1, m)
    if weight.ndim == 1:
        return weight[None], torch.zeros(1, m)
    each = weight.T[list(columns)]
    return each, weight.T[:1] - each


def _first(sample: Sample, jobs: Sequence[_Job], starts: Sequence[Starts], ridge: float) -> Mixture:
    """The first models of all cells, from all their partitions."""
    places = [(c, k, i) for c, of in enumerate(starts) for k, parts in of.items() for i in range(len(parts))]
    flat = [_counted(starts[c][k][i], sample.weight, c) for c, k, i in places]
    place = {where: p for p, where in enumerate(places)}
    plan = [Plan(job.cell.structure, place[job.column, job.cell.k, job.start]) for job in jobs]
    stacked = from_partitions(sample.x, flat, plan, ridge=ridge)
    return stacked.replace(components=stacked.gaussian.replace(origin=sample.origin))


def _counted(resp: Float[Tensor, "m k"], weight: Float[Tensor, "m ..."] | None, column: int) -> Float[Tensor, "m k"]:
    """Responsibilities of rows that count several times."""
    if weight is None:
        return resp
    return resp * (weight[:, column, None] if weight.ndim == 2 else weight[:, None])
