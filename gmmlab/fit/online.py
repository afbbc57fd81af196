"""Fits that refit more than once in a pass: of a stream, a few stepwise passes, then exact ones; one batch at a time;
and incremental ones, block by block.

Averages of Polyak and Ruppert are taken of statistics, not of parameters, so that every family has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from gmmlab.axes import Tensor
from gmmlab.fit.loop import Step, Stop, plateau, run
from gmmlab.fit.source import in_turn, incremental, streamed
from gmmlab.fit.transforms import Refit, Transform, after, stepwise
from gmmlab.kernels.chunks import Chunk, check_reread
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, e_step, m_step

WARM_UP = 20.0  # rows per feature before the first refit


class Progress(NamedTuple):
    """A model that is fitted batch by batch, and what its transform remembers; pass it on to the next `advance`."""

    model: Mixture
    state: Any


def advance(progress: Progress, batch: Chunk, transform: Transform, *, refit: Refit = m_step) -> Progress:
    """One online step with one batch: what `partial_fit` does. Begin with `Progress(model, transform.init())`."""
    stats, state = transform.update(progress.model, e_step(progress.model, *batch), progress.state)
    return Progress(refit(progress.model, stats), state)


def averaged(steps: Iterable[Step], start: int, *, refit: Refit = m_step) -> Iterator[Step]:
    """The same steps, whose models from step `start` on are refitted to the average of the statistics since then.

    The run itself goes on from its own models. With a step size that falls slower than 1 / t the average has the best
    rate. See Polyak and Juditsky (1992); Cappé and Moulines (2009).
    """
    total: MixtureStats | None = None
    for step in steps:
        if step.i < start:
            yield step
            continue
        rows = float(step.info.stats.n)
        mean = step.info.stats * (1 / rows)
        total = mean if total is None else total + mean
        yield step._replace(model=refit(step.model, total * (rows / (step.i - start + 1))))


def block_steps(
    model: Mixture,
    blocks: Sequence[Chunk],
    *,
    stop: Stop = plateau(1e-6),  # noqa: B008 - a rule has no state
    refit: Refit = m_step,
    previous: Tensor | float = -math.inf,
) -> Iterator[Step]:
    """Incremental EM, one step for each round of the blocks: the model is refitted after every one of them.

    The first step is one of plain EM. Gains are those of whole rounds, so a rule of stopping means what it means for
    EM; `previous` is the objective before the first. It ends where EM does. See `incremental`.
    """
    visits = run(model, incremental(blocks), refit=refit, stop=plateau(-1.0))  # never
    for i, step in enumerate(islice(visits, 0, None, len(blocks)), 1):
        whole_round = step._replace(i=i, info=step.info._replace(previous=previous))
        previous = step.info.objective
        yield whole_round
        if stop(whole_round):
            return


def stream_steps(
    model: Mixture,
    chunks: Iterable[Chunk],
    *,
    passes: int = 1,
    transform: Transform | None = None,
    exact: bool = True,
    stop: Stop = plateau(1e-6),  # noqa: B008 - a rule has no state
    refit: Refit = m_step,
) -> Iterator[Step]:
    """`passes` of stepwise EM, a chunk a step, then full passes until `stop` says so; none of them with exact=False.

    Steps are numbered through; the first evidences are averages over batches. A model is refitted only after 20 rows
    per feature have come. Raises `BadData` when the rows can be read only once and more than one pass is asked for.
    """
    if exact:
        check_reread(chunks, "exact steps are passes over all of them")
    online = run(
        model,
        in_turn(chunks, passes),
        transform=stepwise() if transform is None else transform,
        refit=after(WARM_UP * model.d, refit),
        stop=plateau(-1.0),  # never
    )
    i = 0
    for step in online:
        i, model = step.i, step.model
        yield step
    if exact:
        for step in run(model, streamed(chunks), refit=refit, stop=stop):
            yield step._replace(i=i + step.i)
