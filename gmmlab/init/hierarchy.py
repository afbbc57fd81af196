"""Agglomerative trees: one call gives a partition for every number of groups.

Starting from single rows, the pair of groups whose union raises a criterion least is merged, again and again. The
criteria are those of Banfield and Raftery (1993), classification likelihoods of Gaussian groups:

    ward          sum_k tr W_k                                             equal spheres (EII)
    Determinant   sum_k n_k log(|W_k / n_k| + (tr W_k + tr W / (n d)) / n_k)    a covariance of its own each (VVV)

with W_k the scatter of group k about its mean and W that of all rows. The trace keeps groups of at most d rows, whose
determinant is zero, comparable (Fraley, 1998, section 3; it is in use while n_k <= d only through the sum). Neither is
invariant under linear maps of the rows: they expect rows from `svd_scaled` or `whitened`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Int, Tensor

Array = npt.NDArray[Any]
_BLOCK = 1 << 20  # numbers in the scatter matrices of unions that are held at once
_FEW = 5  # columns, up to which determinants are found for many groups at once
_ZERO = 1e-12  # of the total variance of a group: one that is less may be rounding
GROUPS = 500  # groups at most that the determinant criterion starts from: its time grows with their square


class Tree(NamedTuple):
    """Merges of `leaves` groups, in order; the group that merge i makes has the number leaves + i."""

    merges: Int[Tensor, "m two"]
    leaf: Int[Tensor, "n"]  # the leaf that each row starts in

    @property
    def leaves(self) -> int:
        """Groups before the first merge."""
        return len(self.merges) + 1

    def labels(self, k: int) -> Int[Tensor, "n"]:
        """The partition into k groups, numbered by their first rows.

        Raises `ValueError` if the tree has fewer leaves than k.
        """
        if not 1 <= k <= self.leaves:
            raise ValueError(f"The tree has {self.leaves} leaves, so 1 to {self.leaves} groups; {k} were asked for.")
        labels = cut(self.merges.numpy(), k)[self.leaf.cpu().numpy()]
        return torch.from_numpy(by_first_row(labels)).to(self.leaf.device)


Grow = Callable[[Tensor], Tree]


def cut(merges: Array, k: int) -> Array:
    """For every leaf of a tree, a number for the one of k groups that it is in."""
    leaves = len(merges) + 1
    parent = np.arange(2 * leaves - k)
    parent[merges[: leaves - k]] = np.arange(leaves, 2 * leaves - k)[:, None]
    while not np.array_equal(parent, above := parent[parent]):
        parent = above
    return parent[:leaves]


def by_first_row(labels: Array) -> Array:
    """The same partition with labels 0, 1, ... in the order in which groups appear; numbers that are not in use go."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def standardised(x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None) -> Float[Tensor, "n d"]:
    """Centred columns of unit variance, in float64; columns that do not vary become zero.

    A row of weight 2 counts as two rows.
    """
    if weight is None:
        centred = (x - x.mean(0)).double()
        std = centred.square().mean(0).sqrt()
    else:
        share = weight.double() / weight.sum(dtype=torch.float64)
        centred = (x - share.to(x) @ x).double()
        std = (share @ centred.square()).sqrt()
    varies = std > torch.finfo(x.dtype).eps * x.double().abs().amax(0)
    return torch.where(varies, centred / torch.where(varies, std, 1.0), 0.0)


def principal(z: Array, eps: float) -> tuple[Array, Array]:
    """Principal components of standardised rows and their variances, without axes whose variance is rounding.

    At least one column is kept. `eps` is the precision that the rows came in.
    """
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    kept = variance > len(variance) * eps * variance[-1]
    if not kept.any():
        return z[:, :1], np.ones(1)
    return z @ axes[:, kept], variance[kept]


def svd_scaled(x: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """Standardised columns turned to principal axes, each divided by the square root of its singular value.

    With Z = U D V' the standardised rows, this is U D^1/2: half-way between principal components and whitening. It is
    the transformation that Scrucca and Raftery (2015) found best before the determinant criterion. Axes without
    variance are left out.
    """
    return _along_axes(x, 0.25)


def whitened(x: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """Rows whose covariance is the unit matrix: U sqrt(n). Linear maps of the rows only rotate them."""
    return _along_axes(x, 0.5)


def _along_axes(x: Float[Tensor, "n d"], power: float) -> Float[Tensor, "n r"]:
    """Principal components of the standardised rows, divided by their variances to a power."""
    rows, variance = principal(standardised(x).cpu().numpy(), torch.finfo(x.dtype).eps)
    return torch.from_numpy(rows * variance**-power).to(x.device)


def ward(x: Float[Tensor, "n d"]) -> Tree:
    """Ward's tree: merges that raise the sum of squares within groups least."""
    merges = torch.from_numpy(ward_merges(x.detach().cpu().double().numpy()))
    return Tree(merges, torch.arange(len(x), device=x.device))


def ward_merges(x: Array) -> Array:
    """The merges of Ward's tree over rows (n, d)."""
    import scipy.cluster.hierarchy  # at use: it is not needed to import gmmlab

    if len(x) == 1:
        return np.empty((0, 2), dtype=np.int64)
    return scipy.cluster.hierarchy.linkage(x, "ward")[:, :2].astype(np.int64)


@dataclass(frozen=True)
class Determinant:
    """Grows the tree of the determinant criterion, on rows multiplied by `scale`.

    From single rows, or from `groups` groups of Ward's tree if there are more. Determinants grow as scale^2d, traces as
    scale^2: at a scale of 1 spherical groups are preferred until they are large, at 4 long thin groups survive.
    """

    scale: float = 1.0
    groups: int = GROUPS

    def __call__(self, x: Float[Tensor, "n d"]) -> Tree:
        few = len(x) <= self.groups
        leaf = torch.arange(len(x), device=x.device) if few else ward(x).labels(self.groups)
        moments = moments_of((x - x.mean(0)).cpu().double().numpy(), leaf.cpu().numpy())
        return Tree(torch.from_numpy(determinant_merges(moments, self.scale)), leaf)


def agglomerate(x: Float[Tensor, "n d"], grow: Grow = Determinant()) -> Tree:
    """A tree over rows, which are brought to the scale that the criterion expects. Deterministic.

    Time and memory grow with the square of the rows: give at most some thousand, and extend the partition to the
    others by the Gaussians of its groups.
    """
    return grow(svd_scaled(x))


def moments_of(x: Array, labels: Array) -> Array:
    """Sums of (1, x)(1, x)' over the groups of a partition, (m, 1 + d, 1 + d); labels count from 0 without gaps."""
    order = labels.argsort(kind="stable")
    rows = np.column_stack([np.ones(len(x)), x])[order]
    first = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return np.add.reduceat(rows[:, :, None] * rows[:, None, :], first)


def determinant_merges(moments: Array, scale: float) -> Array:
    """Greedy merges (m - 1, 2) under the determinant criterion, of rows multiplied by `scale`.

    `moments` are those of `moments_of`, for centred rows. The costs of all pairs are kept. A merged group takes the
    place of the first of the two and the last group that of the second, so that the t groups which are left are the
    first t. In numpy: the arrays of a step are tiny, and its calls cost a fraction of torch's.
    """
    term, m = _Term.of(moments, np.array(scale)), len(moments)
    sums = np.ascontiguousarray(moments.transpose(1, 2, 0))
    own = term(sums)
    size = max(1, _BLOCK // moments.size)
    blocks = (slice(i, i + size) for i in range(0, m, size))
    cost = np.concatenate([term(sums[:, :, at, None] + sums[:, :, None]) - (own[at, None] + own) for at in blocks])
    cost[range(m), range(m)] = np.inf
    name, merges = np.arange(m), np.empty((m - 1, 2), dtype=np.int64)
    for i in range(m - 1):
        last = m - 1 - i
        a, b = divmod(int(cost[: last + 1, : last + 1].argmin()), last + 1)  # symmetric: a < b
        merges[i] = name[a], name[b]
        name[b], name[a] = name[last], m + i
        sums[:, :, a] += sums[:, :, b]
        own[a] += own[b] + cost[a, b]
        for part in (sums.T, own, cost, cost.T):  # the groups lie along the first axis of all
            part[b] = part[last]
        row = term(sums[:, :, [a]] + sums[:, :, :last]) - own[a] - own[:last]
        row[a] = np.inf
        cost[a, :last] = cost[:last, a] = row
    return merges


def merged_in_rounds(moments: Array, scales: Sequence[float], k: int) -> Array:
    """Labels (s, m) of groups that the determinant criterion joins to k, at s scales at once.

    In each round every group finds the one that it would join at least cost; pairs that find each other are joined,
    the cheapest first and equally many at all scales: a few rounds in place of many merges. Labels are numbered by
    their first groups; there are k, or m if that is less.

    Groups are numbered through all scales. What is joined takes the place of the first of the two, and that of the
    second stays empty, at an infinite cost: a round finds the costs of what it has joined, and no others.
    """
    s, (m, side) = len(scales), moments.shape[:2]
    term, sums = _Term.of(moments, np.array(scales)[:, None, None]), moments.transpose(1, 2, 0)
    own, cost = _of_all_pairs(term, sums)
    sums, number, t = np.tile(sums, s), np.arange(s * m).reshape(s, m), m
    begin, every, label = number[:, :1], np.arange(s)[:, None], number
    while t > k:
        nearest, least = cost.argmin(2), cost.min(2)
        mutual = (nearest[every, nearest] == number[0]) & (number[0] < nearest)
        joined = min(t - k, int(mutual.sum(1).min()))
        a = np.where(mutual, least, np.inf).argsort(1)[:, :joined]
        b = nearest[every, a]
        first, second = a + begin, b + begin
        into = number.flatten()
        into[second] = first
        label, t = into.take(label), t - joined
        sums[:, :, first] = both = sums.take(first, 2) + sums.take(second, 2)
        alone = own.take(first) + own.take(second) + least.take(first)
        own.put(first, alone)
        own.put(second, -np.inf)
        rise = term(both[..., None] + sums.reshape(side, side, s, 1, m)) - (alone[..., None] + own[:, None])
        cost[every, b] = cost[every, :, b] = np.inf
        cost[every, a] = cost[every, :, a] = rise
        cost[every, a, a] = np.inf
    left = np.zeros(s * m, dtype=bool)
    left[label] = True
    return (left.reshape(s, m).cumsum(1) - 1).take(label)


def _of_all_pairs(term: _Term, sums: Array) -> tuple[Array, Array]:
    """Terms (s, m) of groups with these sums (1 + d, 1 + d, m), and what it costs to join them in pairs, (s, m, m)."""
    m = sums.shape[2]
    i, j, pair = _pairs(m)
    size = max(1, _BLOCK // sums[..., 0].size)
    sums = np.concatenate([sums, np.zeros_like(sums[..., :1])], 2)
    blocks = (slice(at, at + size) for at in range(0, len(i), size))
    unions = np.concatenate(
        [term((sums.take(i[at], 2) + sums.take(j[at], 2))[:, :, None, None])[:, 0] for at in blocks], 1
    )
    own = unions[:, :m].copy()
    unions[:, m:] -= own.take(i[m:], 1) + own.take(j[m:], 1)
    unions[:, 0] = np.inf
    return own, unions.take(pair, 1)


@lru_cache(maxsize=32)
def _pairs(t: int) -> tuple[Array, Array, Array]:
    """Unions (i, j) of t groups with nothing (group t), then with each other, and a table (t, t) of their places.

    On its diagonal there is 0.
    """
    i, j = np.triu_indices(t, 1)
    pair = np.zeros((t, t), dtype=np.int64)
    pair[i, j] = pair[j, i] = np.arange(t, t + len(i))
    return np.concatenate([np.arange(t), i]), np.concatenate([np.full(t, t), j]), pair


class _Term(NamedTuple):
    """What a group has in the determinant criterion of rows multiplied by `scale`.

    n log(|W / n| scale^2d + (tr W + floor) scale^2 / n), without |W / n| for at most d rows. In sums S of
    (1, x)(1, x)', the first step of Gaussian elimination leaves W; the pivots of the others multiply to |W|. Scales
    that lie along axes before those of the groups have the elimination in common.
    """

    square: Array  # of the scale
    floor: float

    @classmethod
    def of(cls, moments: Array, scale: Array) -> _Term:
        """For groups with these sums (m, 1 + d, 1 + d)."""
        total = moments.sum(0)
        floor = (np.trace(total) - total[0, 0]) / (total[0, 0] * (len(total) - 1))
        return cls(scale**2, max(float(floor), np.finfo(float).eps))  # all rows may be equal

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, sums: Array) -> Array:
        """The terms of groups along the last axes of `sums`, (1 + d, 1 + d, ...)."""
        n, d = sums[0, 0], len(sums) - 1
        left = sums[1:, 1:] - sums[1:, :1] * (sums[:1, 1:] / n)
        trace = left.reshape(d * d, *n.shape)[:: d + 1].sum(0) + self.floor
        full, unit = n > d, self.square / n
        if d > _FEW or not full.any():
            scaled, full = left * unit, np.broadcast_to(full, unit.shape)
            det = np.zeros(unit.shape)
            det[full] = np.linalg.det(np.moveaxis(scaled[:, :, full], 2, 0))
        else:  # many at once, step by step: LAPACK takes one matrix after the other
            det = unit * full
            for _ in range(d - 1):
                pivot = np.maximum(left[0, 0], _ZERO * trace)
                det = det * (pivot * unit)
                left = left[1:, 1:] - left[1:, :1] * (left[:1, 1:] / pivot)
            det = det * left[0, 0]
        return n * np.log(np.minimum(np.maximum(det, 0), 1e300) + trace * unit)
