"""Steps that are asked for before the first is looked at.

On a GPU a step only enqueues work, until the host looks at a number: whether every covariance has a factor, which form
of the kernel suits the means, whether the fit may stop. Each look waits for all work before it, and then the GPU waits
for the host. Here several steps are taken on trust, their doubts are read together, and those before the first doubt
are handed to the fit one by one; the refit in doubt is done again with a look. The steps are the same; the price is a
few E-steps at the end that nobody wanted.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import NamedTuple

import torch

from gmmlab.fit.source import Exhausted, Source
from gmmlab.kernels.cholesky import flagged_cholesky
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, m_step

REACH = 8  # steps between two looks


class Ahead:
    """A source, and the refit that goes with it, for fits of Gaussian mixtures: `run` asks, and most is known already.

        ahead = Ahead(whole(x))
        run(model, ahead.source, refit=ahead.refit)

    The first look comes after one step, the next after two, then four, up to `reach`; after a doubt, and after a model
    or statistics that are not those of the last step (one sent in, a leap), it is one again. `source` is asked for more
    models than the fit takes: it should have no memory. An instance belongs to one fit.
    """

    def __init__(self, source: Source, reach: int = REACH) -> None:
        self._ask, self._most, self._reach, self._known = source, reach, 1, deque[_Taken]()

    def source(self, model: Mixture) -> MixtureStats:
        """Statistics of the rows under a model. Raises `Exhausted` where the source does."""
        if not self._known or self._known[0].before is not model:
            self._known = deque(self._steps(model))
        return self._known[0].stats

    def refit(self, model: Mixture, stats: MixtureStats) -> Mixture:
        """The model refitted to statistics."""
        if not self._known or self._known[0].stats is not stats:
            self._known.clear()
            self._reach = 1
            return m_step(model, stats)
        return self._known.popleft().after or m_step(model, stats)

    def _steps(self, model: Mixture) -> list[_Taken]:
        """Steps from a model up to the first whose refit is in doubt, that one without it."""
        steps: list[_Taken] = []
        with suppress(Exhausted):
            while len(steps) < self._reach:
                stats = self._ask(model)
                after = on_trust(model, stats)
                steps.append(_Taken(model, stats, after, after.gaussian.doubtful))
                model = after
        if not steps:
            raise Exhausted
        doubts = torch.stack([step.doubt for step in steps]).tolist()  # the only wait
        sound = [*doubts, True].index(True)
        self._reach = min(2 * self._reach, self._most) if sound == len(steps) else 1
        return steps[:sound] + [step._replace(after=None) for step in steps[sound : sound + 1]]


class _Taken(NamedTuple):
    before: Mixture
    stats: MixtureStats
    after: Mixture | None
    doubt: torch.Tensor


def on_trust(model: Mixture, stats: MixtureStats) -> Mixture:
    """A refit that looks at nothing: `Gaussian.doubtful` says afterwards whether it should have."""
    components = model.gaussian.refit(stats.components, flagged_cholesky).with_form(model.gaussian.form)
    return model.replace(components=components, gate=model.gate.refit(stats.gate))
