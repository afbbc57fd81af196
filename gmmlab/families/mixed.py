"""Several covariance structures at once: what makes a whole grid of models one refit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.structures import EVE, VVE, BothOfOneOrientation, Eigen, Iterated, OneOrientation, Structure
from gmmlab.kernels.groups import Groups


class Part(NamedTuple):
    """A structure and the groups that have it."""

    structure: Structure
    groups: Groups


class Order(NamedTuple):
    """The components part by part, axis-aligned structures first: `there` takes them there, `back` again."""

    there: Int[Tensor, "k"]
    back: Int[Tensor, "k"]
    aligned: int  # how many components are axis-aligned


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
    def closed(self) -> bool:
        """Whether no member looks at old covariances where all components have rows."""
        return all(isinstance(member, Eigen) and member.closed for member in self.members)

    @cached_property
    def _owners(self) -> dict[Structure, list[int]]:
        """The groups that have each structure: axis-aligned ones first, and last those of VVE and EVE."""
        owners: dict[Structure, list[int]] = {}
        for j in sorted(range(len(self.members)), key=lambda j: _place(self.members[j])):
            owners.setdefault(self.members[j], []).append(j)
        return owners

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The groups of each structure, axis-aligned ones first."""
        parts = [Part(structure, self.groups.of(own)) for structure, own in self._owners.items()]
        return tuple(_joined(parts))

    @cached_property
    def order(self) -> Order:
        """How the components stand when they stand part by part."""
        there = self.groups.members([j for own in self._owners.values() for j in own], torch.device("cpu"))
        return Order(there, there.argsort(), sum(part.groups.k for part in self.parts if not part.structure.dense))

    def of(self, groups: Sequence[int]) -> Mixed:
        """What is left when only some of the groups are kept, in this order."""
        return Mixed(tuple(self.members[j] for j in groups), self.groups.of(groups), self.dense)

    def hasty(self) -> Mixed:
        """The same structures; those that need iterations take few of them in every step."""
        return replace(self, members=tuple(one.hasty() if isinstance(one, Iterated) else one for one in self.members))

    def project(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """The projection of every part; the groups are its own."""
        there, back, cut = self.order.there.to(w.device), self.order.back.to(w.device), self.order.aligned
        same = old is scatter  # where nobody looks at old covariances
        w, scatter = w[there], scatter[there]
        old = scatter if same else old[there]
        if not self.dense:
            return _project(self.parts, w, scatter, old)[back]
        aligned = [part for part in self.parts if not part.structure.dense]
        spread = _diagonals(scatter[:cut])
        variances = _project(aligned, w[:cut], spread, spread if same else _diagonals(old[:cut]))
        cov = _project(self.parts[len(aligned) :], w[cut:], scatter[cut:], old[cut:])
        return torch.cat([torch.diag_embed(variances), cov])[back]

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of all groups."""
        return sum(member.n_parameters(size, d) for member, size in zip(self.members, self.groups.sizes, strict=True))


def _place(structure: Structure) -> tuple[bool, ...]:
    return structure.dense, isinstance(structure, OneOrientation), isinstance(structure, EVE)


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """The same parts, but VVE and then EVE as one."""
    rest, ends = parts[:-2], parts[-2:]
    yield from rest
    match ends:
        case [Part(VVE() as free, some), Part(EVE() as equal, others)] if free.rounds == equal.rounds:
            yield Part(BothOfOneOrientation(free.rounds, some.k), Groups(some.sizes + others.sizes))
        case _:
            yield from ends


def _project(parts: Sequence[Part], w: Float[Tensor, "k"], scatter: Tensor, old: Tensor) -> Tensor:
    """The projection of components that stand part by part."""
    if not parts:
        return scatter
    sizes = [part.groups.k for part in parts]
    each = zip(parts, w.split(sizes), scatter.split(sizes), old.split(sizes), strict=True)
    return torch.cat([part.structure.project(w, scatter, old, part.groups) for part, w, scatter, old in each])


def _diagonals(matrices: Float[Tensor, "k d d"]) -> Float[Tensor, "k d"]:
    return matrices.diagonal(dim1=-2, dim2=-1)
