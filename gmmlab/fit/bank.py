"""Many mixtures fitted together: restarts, families and numbers of components share every pass over the rows.

The components of all models stand one after the other along k, so that one product scores them all and one product
gives all their statistics; each model normalises and refits its own. A model leaves the bank when it has converged, and
one whose covariance turns singular is set aside without disturbing the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.families import Gaussian, Mixed, Part, Structure
from gmmlab.fit.loop import Step, run
from gmmlab.fit.source import Source
from gmmlab.gates import Constant, Stacked
from gmmlab.kernels.cholesky import flagged_cholesky
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.steps import MixtureStats

REPACK = 8  # the bank is packed anew when an eighth of its models has finished


class Finished(NamedTuple):
    """A model that has left the bank."""

    j: int  # its place in the list that was given
    model: Mixture
    n_iter: int
    converged: bool
    singular: bool
    gain: float


def stack(models: Sequence[Mixture]) -> Mixture:
    """One mixture whose components are those of all `models`, each normalised on its own.

    All must be Gaussian about one origin, with one ridge. Fastest when models of equal size stand together.
    """
    groups = Groups(tuple(model.k for model in models))
    structures = [model.gaussian.structure for model in models]
    dense = any(structure.dense for structure in structures)
    mixed = Mixed(_parts(structures, groups), dense=dense)
    components = cat([_as(model.gaussian, mixed) for model in models])
    log_w = torch.cat([model.gate.weights.log() for model in models])
    return Mixture(components, Stacked(log_w, groups))


def unstack(bank: Mixture, structures: Sequence[Structure]) -> list[Mixture]:
    """The mixtures that stand in a bank, with their structures."""
    gate = bank.gate
    assert isinstance(gate, Stacked)
    ends = [0, *torch.tensor(gate.groups.sizes).cumsum(0).tolist()]
    return [
        Mixture(_as(bank.gaussian.take(torch.arange(a, b)), structure), Constant(gate.log_w[a:b]))
        for (a, b), structure in zip(pairwise(ends), structures, strict=True)
    ]


def climb(
    models: Sequence[Mixture], source: Source, *, tol: float, max_iter: int = 1000, floor: float = 0.0
) -> Iterator[list[Finished]]:
    """Fit all `models` together, yielding after every step those that have finished (often none).

    A model is finished when its objective per row changes by less than `tol`, after `max_iter` steps, or when one of
    its standard deviations falls to `floor` (in data units) and it is singular.
    """
    active = sorted(range(len(models)), key=lambda j: models[j].k)
    now = {j: models[j] for j in active}
    previous: dict[int, Tensor] = {}
    i = 0
    while active:
        bank = stack([now[j] for j in active])
        before = torch.stack([previous.get(j, bank.weights.new_tensor(-torch.inf)) for j in active])
        for step in run(bank, source, refit=partial(_refit, floor=floor), stop=lambda _: False, previous=before):
            i += 1
            state = _State.of(step, tol)
            done = state.done if i < max_iter else torch.ones_like(state.done)
            if REPACK * int(done.sum()) >= len(active):
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
    """Where the models of a bank are after a step."""

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


def _as(gaussian: Gaussian, structure: Structure) -> Gaussian:
    """The same Gaussians, their factors in the form of another structure that can hold them."""
    chol = gaussian.chol
    if structure.dense and chol.ndim == 2:
        chol = torch.diag_embed(chol)
    elif not structure.dense and chol.ndim == 3:
        chol = chol.diagonal(dim1=-2, dim2=-1)
    return gaussian.replace(chol=chol, structure=structure)


def _parts(structures: Sequence[Structure], groups: Groups) -> tuple[Part, ...]:
    """Which components have which structure."""
    ends = [0, *torch.tensor(groups.sizes).cumsum(0).tolist()]
    parts = []
    for structure in dict.fromkeys(structures):
        own = [j for j, other in enumerate(structures) if other == structure]
        index = torch.cat([torch.arange(ends[j], ends[j + 1]) for j in own])
        parts.append(Part(structure, index, Groups(tuple(groups.sizes[j] for j in own))))
    return tuple(parts)
