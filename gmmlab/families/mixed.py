"""Several covariance structures at once: what makes a whole grid of models one refit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.structures import Structure
from gmmlab.kernels.groups import Groups


class Part(NamedTuple):
    """Components `at` have this structure, and belong to these mixtures."""

    structure: Structure
    at: Int[Tensor, "k"]
    groups: Groups


@dataclass(frozen=True, eq=False)
class Mixed:
    """Each part of the components has a structure of its own; matrices for all if `dense`."""

    parts: tuple[Part, ...]
    dense: bool
    shared: bool = False
    spherical: bool = False

    @property
    def name(self) -> str:
        """The names of the parts."""
        return " + ".join(part.structure.name for part in self.parts)

    def project(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """The projection of every part; the groups are those of the parts."""
        cov = torch.empty_like(scatter)
        for structure, at, own in self.parts:
            if self.dense and not structure.dense:
                variances = structure.project(w[at], _diagonals(scatter[at]), _diagonals(old[at]), own)
                cov[at] = torch.diag_embed(variances)
            else:
                cov[at] = structure.project(w[at], scatter[at], old[at], own)
        return cov

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of all parts."""
        return sum(part.structure.n_parameters(size, d) for part in self.parts for size in part.groups.sizes)


def _diagonals(matrices: Float[Tensor, "k d d"]) -> Float[Tensor, "k d"]:
    return matrices.diagonal(dim1=-2, dim2=-1)
