"""Many mixtures fitted together: restarts, families and numbers of components share every pass over the rows.

A model leaves the stack when it has converged, and one whose covariance turns singular is set aside without disturbing
the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Tensor
from gmmlab.fit.leaps import Leaping, leaps
from gmmlab.fit.loop import Step, run
from gmmlab.fit.source import Source
from gmmlab.fit.transforms import identity
from gmmlab.kernels.cholesky import flagged_cholesky
from gmmlab.model import Mixture
from gmmlab.stack import member, narrow, parts_of
from gmmlab.steps import MixtureStats

RESTACK = 8  # the models are stacked anew when an eighth of them has finished


class Finished(NamedTuple):
    """A model that has left the stack."""

    j: int  # its place in the list that was given
    model: Mixture
    trace: list[float]  # the objective per row at every step
    converged: bool
    singular: bool

    @property
    def n_iter(self) -> int:
        """Steps that it took."""
        return len(self.trace)


def climb(
    stacked: Mixture,
    source: Callable[[list[int]], Source],
    *,
    tol: float,
    max_iter: int = 1000,
    floor: float = 0.0,
    accelerated: bool = False,
) -> Iterator[list[Finished]]:
    """Fit all mixtures of a stack together, yielding after every step those that have finished (often none).

    `source(active)` gives the statistics for the mixtures of these numbers: the same for all, or from weights of their
    own. A model is finished when its objective per row changes by less than `tol`, after `max_iter` steps, or when it
    is singular: one of its standard deviations has fallen to `floor` (in data units). It ends where it would alone.

    If `accelerated`, slow models leap along EM's way (`gmmlab.fit.leaps`): they end as high or higher, in fewer steps.
    Only a step of EM, neither a leap nor one taken back, finishes a model then.
    """
    active = list(range(parts_of(stacked)[1].groups.g))
    traces = [list[float]() for _ in active]
    state: Leaping | None = None
    while active:
        before = stacked.weights.new_tensor([traces[j][-1] if traces[j] else -math.inf for j in active])
        out, history = set[int](), list[Tensor]()
        refit, transform = partial(_refit, floor=floor), leaps(state, most=max_iter) if accelerated else identity
        for step in run(stacked, source(active), transform=transform, refit=refit, stop=_never, previous=before):
            history.append(step.info.objective)
            state = step.info.state
            plain = True if state is None else state.plain
            singular = _singular(step.model) & plain
            converged = (step.info.gains.abs() < tol) & plain & ~singular
            last = len(traces[active[0]]) + len(history) >= max_iter
            new = [a for a in (converged | singular | last).nonzero().flatten().tolist() if a not in out]
            risen = torch.stack(history).T[new].tolist() if new else []
            yield [
                Finished(
                    j=active[a],
                    model=member(step.model, a),
                    trace=traces[active[a]] + trace,
                    converged=bool(converged[a]),
                    singular=bool(singular[a]),
                )
                for a, trace in zip(new, risen, strict=True)
            ]
            out.update(new)
            if RESTACK * len(out) >= len(active):
                break
        kept = [a for a in range(len(active)) if a not in out]
        for a, column in zip(kept, torch.stack(history).T[kept].tolist(), strict=True):
            traces[active[a]] += column
        active = [active[a] for a in kept]
        if active:
            stacked = narrow(step.model, kept)
            if state is not None:
                state = state.of(kept, parts_of(step.model)[1].groups.members(kept, before.device))


def _never(_: Step) -> bool:
    """Models leave one by one."""
    return False


def _singular(model: Mixture) -> Bool[Tensor, "g"]:
    """Which of the stacked models have a component that was marked."""
    return ~torch.isfinite(parts_of(model)[1].groups.sum(model.gaussian.jitter))


def _refit(model: Mixture, stats: MixtureStats, floor: float) -> Mixture:
    """An M-step that marks what is singular instead of raising."""
    components = model.gaussian.refit(stats.components, partial(flagged_cholesky, floor=floor))
    return model.replace(components=components, gate=model.gate.refit(stats.gate))
