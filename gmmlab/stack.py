"""Many mixtures as one: their components stand one after the other along k.

One product scores them all and one product gives all their statistics; each mixture normalises and refits its own. So
restarts, families and numbers of components share every pass over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch

from gmmlab.families import Gaussian, Mixed, Part, Structure
from gmmlab.gates import Constant, Stacked
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.record import cat


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


def member(stacked: Mixture, j: int, structure: Structure) -> Mixture:
    """Mixture j of a stack, with its structure."""
    gate = stacked.gate
    assert isinstance(gate, Stacked)
    first = sum(gate.groups.sizes[:j])
    own = torch.arange(first, first + gate.groups.sizes[j], device=gate.log_w.device)
    return Mixture(_as(stacked.gaussian.take(own), structure), Constant(gate.log_w[own]))


def unstack(stacked: Mixture, structures: Sequence[Structure]) -> list[Mixture]:
    """The mixtures that stand in a stack, with their structures."""
    return [member(stacked, j, structure) for j, structure in enumerate(structures)]


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
    ends = [0, *accumulate(groups.sizes)]
    parts = []
    for structure in dict.fromkeys(structures):
        own = [j for j, other in enumerate(structures) if other == structure]
        index = torch.cat([torch.arange(ends[j], ends[j + 1]) for j in own])
        parts.append(Part(structure, index, Groups(tuple(groups.sizes[j] for j in own))))
    return tuple(parts)
