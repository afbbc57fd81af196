"""Moves between partitions of rows, and how much more probable each makes them.

A partition z of rows into groups S has, under a Dirichlet process with concentration alpha and a conjugate prior of
each group, the log probability (up to a constant)

    log p(z, x) = sum over groups of    log alpha + log Gamma(|S|) + log p(S)

so that a move gains what the groups that come have more than those that go. Of a split of k into 1 and 2 it is the
logarithm of the Hastings ratio of Chang and Fisher (2013); of a merge it is the same with the other sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.families.niw import grouped
from gmmlab.stats import Moments

LLOYD = 20  # steps of 2-means


@runtime_checkable
class Marginal(Protocol):
    """A conjugate prior of the rows of a group."""

    def log_marginal(self, stats: Moments) -> Float[Tensor, "k"]:
        """Log density of each set of rows, its parameters integrated out."""


class Kind(Enum):
    """What a move does."""

    SPLIT = "split"  # a group without labelled rows in two
    SHED = "shed"  # a group with labelled rows gives away a half without
    MERGE = "merge"  # two groups without labelled rows become one
    ABSORB = "absorb"  # a group without labelled rows goes to one with


class Move(NamedTuple):
    """A change of the groups `of` (one or two of them), and the gain in log p(z, x)."""

    kind: Kind
    of: tuple[int, ...]
    gain: float
    rows: Int[Tensor, "m"]  # that change their group: to a new one, or from the second group to the first

    def after(self, z: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
        """Labels after the move; groups behind one that goes move up."""
        moved = z.clone()
        if len(self.of) == 1:
            moved[self.rows] = int(z.max()) + 1
            return moved
        first, second = self.of
        moved[self.rows] = first
        return moved - (moved > second).to(z)


class Groups(NamedTuple):
    """Rows in groups, of which the first `old` are known classes, whose labelled rows stay; and the prior of each.

    A row counts `weight` times: sizes and moments are those of so many copies, which move together.
    """

    x: Float[Tensor, "n d"]
    z: Int[Tensor, "n"]
    held: Bool[Tensor, "n"]
    old: int
    prior: Marginal
    alpha: float
    weight: Float[Tensor, "n"] | None = None

    @property
    def k(self) -> int:
        """Number of groups; the known classes are always there."""
        return max(self.old, int(self.z.max()) + 1)

    @property
    def moments(self) -> Moments:
        """The statistics of the groups, all that their probability depends on."""
        return grouped(self.x, self.z, self.k, self.x.double().mean(0), self.weight)

    @property
    def counts(self) -> Float[Tensor, "n"]:
        """How often each row counts."""
        return self.x.new_ones(len(self.x), dtype=torch.float64) if self.weight is None else self.weight.double()

    def mass(self, stats: Moments) -> Float[Tensor, "k"]:
        """What each group adds to log p(z, x); an empty one nothing."""
        own = math.log(self.alpha) + torch.lgamma(stats.w) + self.prior.log_marginal(stats)
        return torch.where(stats.w > 0, own, 0.0)


def splits(groups: Groups, min_size: int, *, shed: bool) -> Iterator[Move]:
    """Every group in two by 2-means, where both halves have more than `min_size` rows; known classes only to `shed`."""
    whole, counts = groups.mass(groups.moments), groups.counts
    for k in range(0 if shed else groups.old, groups.k):
        rows = (groups.z == k).nonzero().flatten()
        if float((own := counts[rows]).sum()) <= 2 * min_size:
            continue
        second = halves(groups.x[rows], groups.held[rows], own)
        if min(float(own[second].sum()), float(own[~second].sum())) <= min_size:
            continue
        parts = grouped(groups.x[rows], second.long(), 2, groups.x.double().mean(0), own)
        gain = float(groups.mass(parts).sum() - whole[k])
        yield Move(Kind.SHED if k < groups.old else Kind.SPLIT, (k,), gain, rows[second])


def merges(groups: Groups, *, absorb: bool) -> list[Move]:
    """All pairs of groups of which at least the second has no labelled rows; known classes only to `absorb`."""
    first, second = torch.triu_indices(groups.k, groups.k, 1)
    allowed = (second >= groups.old) & (absorb | (first >= groups.old))
    first, second = first[allowed].to(groups.z.device), second[allowed].to(groups.z.device)
    stats = groups.moments
    mass = groups.mass(stats)
    gains = groups.mass(stats.take(first) + stats.take(second)) - mass[first] - mass[second]
    pairs = zip(first.tolist(), second.tolist(), gains.tolist(), strict=True)
    return [
        Move(Kind.ABSORB if a < groups.old else Kind.MERGE, (a, b), gain, (groups.z == b).nonzero().flatten())
        for a, b, gain in pairs
    ]


def nearest(groups: Groups, moves: list[Move]) -> list[Move]:
    """Of the merges those of each group with its nearest neighbour by centroid."""
    mean = groups.moments.mean
    gap = {move.of: float((mean[move.of[0]] - mean[move.of[1]]).norm()) for move in moves}
    best = {k: min((of for of in gap if k in of), key=gap.__getitem__) for of in gap for k in of}
    return [move for move in moves if move.of in best.values()]


def halves(
    x: Float[Tensor, "n d"], held: Bool[Tensor, "n"], weight: Float[Tensor, "n"] | None = None
) -> Bool[Tensor, "n"]:
    """The second half of rows by 2-means, begun at the sign of their principal component; none `held` is in it."""
    w = (x.new_ones(len(x)) if weight is None else weight).double()[:, None]
    y = x.double() - (w * x.double()).sum(0) / w.sum()
    side = y @ torch.linalg.eigh((w * y).T @ y).eigenvectors[:, -1] > 0
    if bool(held.any()):
        side = (side != ((w[side & held].sum() / w[held].sum()) > 0.5)) & ~held
    for _ in range(LLOYD):
        if not bool(side.any()) or bool(side.all()):
            break
        near, far = ((w[own] * y[own]).sum(0) / w[own].sum() for own in (~side, side))
        moved = ((y - far).square().sum(1) < (y - near).square().sum(1)) & ~held
        if torch.equal(moved, side):
            break
        side = moved
    return side
