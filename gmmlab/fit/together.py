"""Many mixtures fitted together: restarts, families and numbers of components share every pass over the rows.

A model leaves the stack when it has converged, and one whose covariance turns singular is set aside without disturbing
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.fit.loop import Step, run
from gmmlab.fit.source import Source
from gmmlab.gates import Stacked
from gmmlab.kernels.cholesky import flagged_cholesky
from gmmlab.model import Mixture
from gmmlab.stack import stack, unstack
from gmmlab.steps import MixtureStats

RESTACK = 8  # the models are stacked anew when an eighth of them has finished


class Finished(NamedTuple):
    """A model that has left the stack."""

    j: int  # its place in the list that was given
    model: Mixture
    n_iter: int
    converged: bool
    singular: bool
    gain: float


def climb(
    models: Sequence[Mixture],
    source: Callable[[list[int]], Source],
    *,
    tol: float,
    max_iter: int = 1000,
    floor: float = 0.0,
) -> Iterator[list[Finished]]:
    """Fit all `models` together, yielding after every step those that have finished (often none).

    `source(active)` gives the statistics for the models of these numbers: the same for all, or from weights of their
    own. A model is finished when its objective per row changes by less than `tol`, after `max_iter` steps, or when it
    is singular: one of its standard deviations has fallen to `floor` (in data units).
    """
    active = sorted(range(len(models)), key=lambda j: models[j].k)
    now = {j: models[j] for j in active}
    previous: dict[int, Tensor] = {}
    i = 0
    while active:
        stacked = stack([now[j] for j in active])
        before = torch.stack([previous.get(j, stacked.weights.new_tensor(-torch.inf)) for j in active])
        for step in run(
            stacked, source(active), refit=partial(_refit, floor=floor), stop=lambda _: False, previous=before
        ):
            i += 1
            state = _State.of(step, tol)
            done = state.done if i < max_iter else torch.ones_like(state.done)
            if RESTACK * int(done.sum()) >= len(active):
                break
            yield []
        members = unstack(step.model, [now[j].gaussian.structure for j in active])
        out = done.tolist()
        yield [
            Finished(j, members[a], i, bool(state.converged[a]), bool(state.singular[a]), float(state.gains[a]))
            for a, j in enumerate(active)
            if out[a]
        ]
        kept = [a for a in range(len(active)) if not out[a]]
        now = {active[a]: members[a] for a in kept}
        previous = {active[a]: step.info.objective[a] for a in kept}
        active = [active[a] for a in kept]


class _State(NamedTuple):
    """Where the models of a stack are after a step."""

    gains: Float[Tensor, "g"]
    converged: Bool[Tensor, "g"]
    singular: Bool[Tensor, "g"]

    @classmethod
    def of(cls, step: Step, tol: float) -> _State:
        gate = step.model.gate
        assert isinstance(gate, Stacked)
        singular = ~torch.isfinite(gate.groups.sum(step.model.gaussian.jitter))
        gains = step.info.gains
        return cls(gains, (gains.abs() < tol) & ~singular, singular)

    @property
    def done(self) -> Bool[Tensor, "g"]:
        return self.converged | self.singular


def _refit(model: Mixture, stats: MixtureStats, floor: float) -> Mixture:
    """An M-step that marks what is singular instead of raising."""
    components = model.gaussian.refit(stats.components, partial(flagged_cholesky, floor=floor))
    # what was singular stays so: its unit covariance is a placeholder
    components = components.replace(jitter=components.jitter + model.gaussian.jitter)
    return model.replace(components=components, gate=model.gate.refit(stats.gate))
