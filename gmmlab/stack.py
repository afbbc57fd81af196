"""Many mixtures as one: their components stand one after the other along k.

One product scores them all and one product gives all their statistics; each mixture normalises and refits its own. So
restarts, families and numbers of components share every pass over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmlab.families import Gaussian, Mixed, Structure
from gmmlab.gates import Constant, Stacked
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.record import cat


def stack(models: Sequence[Mixture]) -> Mixture:
    """One mixture whose components are those of all `models`, each normalised on its own.

    All must be Gaussian about one origin, with one ridge, and weights without a prior. Fastest when models of equal
    size stand together.
    """
    structures = tuple(model.gaussian.structure for model in models)
    groups = Groups(tuple(model.k for model in models))
    mixed = Mixed(structures, groups, dense=any(structure.dense for structure in structures))
    components = cat([_as(model.gaussian, mixed) for model in models])
    return Mixture(components, Stacked(torch.cat([model.weights.log() for model in models]), groups))


def parts_of(stacked: Mixture) -> tuple[Mixed, Stacked]:
    """The structure and the gate of a stack. Raises `TypeError` for a mixture that is none."""
    structure, gate = stacked.gaussian.structure, stacked.gate
    if not isinstance(structure, Mixed) or not isinstance(gate, Stacked):
        raise TypeError("Expected a stack of mixtures, as `stack` makes it.")
    return structure, gate


def narrow(stacked: Mixture, kept: Sequence[int]) -> Mixture:
    """A stack of some of the mixtures of a stack, in this order."""
    mixed, gate = parts_of(stacked)
    own = gate.groups.members(kept, gate.log_w.device)
    components = stacked.gaussian.take(own).replace(structure=mixed.of(kept))
    return Mixture(components, Stacked(gate.log_w[own], gate.groups.of(kept)))


def member(stacked: Mixture, j: int) -> Mixture:
    """Mixture j of a stack."""
    mixed, gate = parts_of(stacked)
    own = gate.groups.members([j], gate.log_w.device)
    return Mixture(_as(stacked.gaussian.take(own), mixed.members[j]), Constant(gate.log_w[own]))


def unstack(stacked: Mixture) -> list[Mixture]:
    """The mixtures that stand in a stack."""
    return [member(stacked, j) for j in range(parts_of(stacked)[1].groups.g)]


def _as(gaussian: Gaussian, structure: Structure) -> Gaussian:
    """The same Gaussians, their factors in the form of another structure that can hold them."""
    chol = gaussian.chol
    if structure.dense and chol.ndim == 2:
        chol = torch.diag_embed(chol)
    elif not structure.dense and chol.ndim == 3:
        chol = chol.diagonal(dim1=-2, dim2=-1)
    return gaussian.replace(chol=chol, structure=structure)
