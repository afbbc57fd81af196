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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Int, Tensor

Array = npt.NDArray[Any]
_BLOCK = 1 << 20  # numbers in the scatter matrices of unions that are held at once
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


def standardised(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Centred columns of unit variance, in float64; columns that do not vary become zero."""
    centred = (x - x.mean(0)).double()
    std = centred.square().mean(0).sqrt()
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
        return Tree(torch.from_numpy(determinant_merges(moments, [self.scale])[0]), leaf)


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


def determinant_merges(moments: Array, scales: Sequence[float]) -> Array:
    """Greedy merges (s, m - 1, 2) under the determinant criterion, at s scales at once.

    `moments` are those of `moments_of`, for centred rows. The costs of all pairs are kept. A merged group takes the
    place of the first of the two and the last group that of the second, so that the t groups which are left are the
    first t. In numpy: the arrays of a step are tiny, and its calls cost a fraction of torch's.
    """
    state, s, m = _State(moments, np.asarray(scales)), len(scales), len(moments)
    size = max(1, _BLOCK // (s * moments.size))
    blocks = [np.tile(np.arange(i, min(i + size, m)), (s, 1)) for i in range(0, m, size)]
    cost = np.concatenate([state.costs(block, m) for block in blocks], axis=1)
    cost[:, range(m), range(m)] = np.inf
    name, every = np.tile(np.arange(m), (s, 1)), np.arange(s)
    merges = np.empty((s, m - 1, 2), dtype=np.int64)
    for i in range(m - 1):
        last = m - 1 - i
        a, b = np.divmod(cost[:, : last + 1, : last + 1].reshape(s, -1).argmin(1), last + 1)  # symmetric: a < b
        merges[:, i] = name[every[:, None], np.stack([a, b], 1)]
        name[every, b] = name[:, last]
        name[every, a] = m + i
        state.merge(a, b, cost[every, a, b], last)
        cost[every, b] = cost[:, last]
        cost[every, :, b] = cost[:, :, last]
        row = state.costs(a[:, None], last)[:, 0]
        row[every, a] = np.inf
        cost[every, a, :last] = cost[every, :last, a] = row
    return merges


class _State:
    """The groups of `determinant_merges` at s scales, changed in place.

    What adds up in a union stands in one array (s, m, ...): S, the sum of (1, x)(1, x)' in a row, of which S_11 = n and
    |S| = n |W|; the sum of squares of x; and the term that the group has in the criterion.
    """

    def __init__(self, moments: Array, scales: Array) -> None:
        m, self.side = moments.shape[:2]
        self.every = np.arange(len(scales))
        self.trace_scale, self.det_scale = (scales[:, None, None] ** (2 * power) for power in (1, self.side - 1))
        square = np.trace(moments, axis1=1, axis2=2) - moments[:, 0, 0]
        rows = moments[:, 0, 0].sum()
        self.floor = max(float(square.sum()) / (rows * (self.side - 1)), np.finfo(float).eps)  # all rows may be equal
        parts = np.column_stack([moments.reshape(m, -1), square, np.zeros(m)])
        self.sums = np.tile(parts, (len(scales), 1, 1))
        self.sums[..., -1] = self._rise(self.sums[:, None])[:, 0]

    def costs(self, a: Array, t: int) -> Array:
        """How much the criterion rises when each of groups a (s, q) is merged with each of the first t, (s, q, t)."""
        return self._rise(self.sums[self.every[:, None], a][:, :, None] + self.sums[:, None, :t])

    def merge(self, a: Array, b: Array, cost: Array, last: int) -> None:
        """Put the union of groups a and b in the place of a, and the last group in that of b."""
        union = self.sums[self.every, a] + self.sums[self.every, b]
        union[:, -1] += cost
        self.sums[self.every, a] = union
        self.sums[self.every, b] = self.sums[:, last]

    def _rise(self, sums: Array) -> Array:
        """n log(|W / n| + (tr W + floor) / n), less the terms of the parts; without |W / n| for at most d rows."""
        n, first = sums[..., 0], sums[..., 1 : self.side]
        trace = sums[..., -2] - np.einsum("...i,...i->...", first, first) / n
        value = self.trace_scale * (trace + self.floor) / n
        full = n >= self.side
        moments = sums[..., :-2].reshape(*n.shape, self.side, self.side)
        if full.all():
            value += self.det_scale * np.maximum(np.linalg.det(moments / n[..., None, None]), 0)
        elif full.any():
            det = np.zeros_like(n)
            det[full] = np.maximum(np.linalg.det(moments[full] / n[full][:, None, None]), 0)
            value += self.det_scale * det
        return n * np.log(value) - sums[..., -1]
