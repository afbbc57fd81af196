"""Several covariance structures at once: what makes a whole grid of models one refit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.structures import Structure
from gmmlab.kernels.groups import Groups


class Part(NamedTuple):
    """Components `at` have this structure, and form these groups."""

    structure: Structure
    at: Int[Tensor, "k"]
    groups: Groups


@dataclass(frozen=True, eq=False)
class Mixed:
    """The components of group j have the structure `members[j]`; matrices for all if `dense`."""

    members: tuple[Structure, ...]
    groups: Groups
    dense: bool
    shared: bool = False
    spherical: bool = False

    @property
    def name(self) -> str:
        """The names of the structures."""
        return " + ".join(part.structure.name for part in self.parts)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The components of each structure."""
        ends = [0, *accumulate(self.groups.sizes)]
        own: dict[str, list[int]] = {}
        for j, structure in enumerate(self.members):
            own.setdefault(structure.name, []).append(j)
        return tuple(
            Part(
                self.members[groups[0]],
                torch.tensor([i for j in groups for i in range(ends[j], ends[j + 1])]),
                self.groups.of(groups),
            )
            for groups in own.values()
        )

    def of(self, groups: Sequence[int]) -> Mixed:
        """What is left when only some of the groups are kept, in this order."""
        return Mixed(tuple(self.members[j] for j in groups), self.groups.of(groups), self.dense)

    def project(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """The projection of every part; the groups are its own."""
        cov = torch.empty_like(scatter)
        for structure, at, own in self.parts:
            if self.dense and not structure.dense:
                variances = structure.project(w[at], _diagonals(scatter[at]), _diagonals(old[at]), own)
                cov[at] = torch.diag_embed(variances)
            else:
                cov[at] = structure.project(w[at], scatter[at], old[at], own)
        return cov

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of all groups."""
        return sum(member.n_parameters(size, d) for member, size in zip(self.members, self.groups.sizes, strict=True))


def _diagonals(matrices: Float[Tensor, "k d d"]) -> Float[Tensor, "k d"]:
    return matrices.diagonal(dim1=-2, dim2=-1)
