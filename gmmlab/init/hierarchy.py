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

from collections.abc import Callable
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
        done = self.leaves - k
        parent = torch.arange(self.leaves + done)
        parent[self.merges[:done].T] = torch.arange(self.leaves, self.leaves + done)
        while not torch.equal(parent, parent[parent]):
            parent = parent[parent]
        return by_first_row(parent[self.leaf.cpu()]).to(self.leaf.device)


class Groups(NamedTuple):
    """Weights, means and scatter matrices of groups of rows: all that the criteria see."""

    w: Float[Tensor, "k"]
    mean: Float[Tensor, "k d"]
    scatter: Float[Tensor, "k d d"]


Grow = Callable[[Tensor], Tree]


def by_first_row(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """The same partition with labels 0, 1, ... in the order in which groups appear; numbers that are not in use go."""
    names, inverse = torch.unique(labels, return_inverse=True)
    first = torch.full((len(names),), len(labels), device=labels.device)
    first = first.scatter_reduce(0, inverse, torch.arange(len(labels), device=labels.device), "amin")
    return first.argsort().argsort()[inverse]


def standardised(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Centred columns of unit variance, in float64; columns that do not vary become zero."""
    centred = (x - x.mean(0)).double()
    std = centred.square().mean(0).sqrt()
    varies = std > torch.finfo(x.dtype).eps * x.double().abs().amax(0)
    return torch.where(varies, centred / torch.where(varies, std, 1.0), 0.0)


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
    z = standardised(x)
    variance, axes = torch.linalg.eigh(z.mT @ z / len(z))
    kept = variance > len(variance) * torch.finfo(x.dtype).eps * variance[-1].clamp(min=1e-300)
    if not bool(kept.any()):
        return z
    return z @ (axes[:, kept] * variance[kept] ** -power)


def ward(x: Float[Tensor, "n d"]) -> Tree:
    """Ward's tree: merges that raise the sum of squares within groups least."""
    import scipy.cluster.hierarchy  # at use: it is not needed to import gmmlab

    leaf = torch.arange(len(x), device=x.device)
    if len(x) == 1:
        return Tree(torch.empty(0, 2, dtype=torch.int64), leaf)
    linkage = scipy.cluster.hierarchy.linkage(x.detach().cpu().double().numpy(), "ward")
    return Tree(torch.from_numpy(linkage[:, :2].astype("int64")), leaf)


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
        return self.upon(x, torch.arange(len(x), device=x.device) if few else ward(x).labels(self.groups))

    def upon(self, x: Float[Tensor, "n d"], leaf: Int[Tensor, "n"]) -> Tree:
        """The tree whose leaves are the groups of a partition, labelled from 0 without gaps."""
        return Tree(_merge_all(groups_of(self.scale * x.detach().cpu().double(), leaf.cpu())), leaf)


def agglomerate(x: Float[Tensor, "n d"], grow: Grow = Determinant()) -> Tree:
    """A tree over rows, which are brought to the scale that the criterion expects. Deterministic.

    Time and memory grow with the square of the rows: give at most some thousand, and extend the partition to the
    others by the Gaussians of its groups.
    """
    return grow(svd_scaled(x))


def groups_of(x: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> Groups:
    """The groups of a partition, labelled from 0 without gaps."""
    w = torch.bincount(labels).to(x)
    mean = torch.zeros(len(w), x.shape[1], dtype=x.dtype).index_add_(0, labels, x) / w[:, None]
    offset = x - mean[labels]
    scatter = torch.zeros(len(w), *2 * x.shape[1:], dtype=x.dtype)
    return Groups(w, mean, scatter.index_add_(0, labels, offset[:, :, None] * offset[:, None, :]))


def _merge_all(groups: Groups) -> Int[Tensor, "m two"]:
    """Greedy merges under the determinant criterion, with the costs of all pairs kept.

    A merged group takes the place of the first of the two; costs of the second become infinite. `near` is the cheapest
    partner of each group, so that a merge looks again only at groups whose partner it touched.

    In numpy: the arrays of a step are tiny, and its calls cost a fraction of torch's.
    """
    state = _State(*(part.numpy().copy() for part in groups))
    m = len(groups.w)
    size = max(1, _BLOCK // groups.scatter.numel())
    cost = np.concatenate([state.costs(np.arange(i, min(i + size, m))) for i in range(0, m, size)])
    near, everyone = cost.argmin(1), np.arange(m)
    least = cost[everyone, near]
    name, merges = list(range(m)), []
    for made in range(m, 2 * m - 1):
        a = int(least.argmin())
        b = int(near[a])
        merges.append((min(name[a], name[b]), max(name[a], name[b])))
        name[a] = made
        state.merge(a, b)
        row = state.costs(everyone[a : a + 1])[0]
        cost[a] = cost[:, a] = row
        cost[b] = cost[:, b] = np.inf
        stale = (near == a) | (near == b)
        stale[a] = True
        nearer = row < least
        near[nearer], least[nearer] = a, row[nearer]
        again = stale.nonzero()[0]
        near[again] = cost[again].argmin(1)
        least[again] = cost[again, near[again]]
    return torch.tensor(merges, dtype=torch.int64).reshape(-1, 2)


class _State:
    """The groups of `_merge_all`, changed in place: groups merged into others have weight zero."""

    def __init__(self, w: Array, mean: Array, scatter: Array) -> None:
        self.w, self.mean, self.scatter = w, mean, scatter
        self.trace = np.trace(scatter, axis1=1, axis2=2)
        offset = mean - w @ mean / w.sum()
        total = (self.trace + w * (offset * offset).sum(1)).sum()
        self.floor = max(total / (w.sum() * mean.shape[1]), np.finfo(float).eps)  # all rows may be equal
        self.term = self._term(w, self.trace, scatter)

    def costs(self, a: Array) -> Array:
        """How much the criterion rises when each of groups a is merged with each other one, (len(a), m).

        Infinite for groups that are gone.
        """
        w, trace, offset, factor = self._unions(a)
        scatter = self.scatter[a, None] + self.scatter
        scatter += (factor[..., None] * offset)[..., None] * offset[..., None, :]
        cost = self._term(w, trace, scatter) - self.term
        cost -= self.term[a, None]
        cost[:, self.w == 0] = np.inf
        cost[np.arange(len(a)), a] = np.inf
        return cost

    def merge(self, a: int, b: int) -> None:
        """Put the union of groups a and b in the place of a."""
        w, trace, offset, factor = (part[0, b] for part in self._unions(np.array([a])))
        self.scatter[a] += self.scatter[b] + factor * offset[:, None] * offset
        self.mean[a] += self.w[b] / w * offset
        self.w[a], self.trace[a] = w, trace
        self.term[a] = self._term(w[None], trace[None], self.scatter[a : a + 1])[0]
        self.w[b] = 0

    def _unions(self, a: Array) -> tuple[Array, ...]:
        """Weights and traces of unions of groups a with all, offsets of their means and what their squares count."""
        w = self.w[a, None] + self.w
        offset, factor = self.mean - self.mean[a, None], self.w[a, None] * self.w / w
        return w, self.trace[a, None] + self.trace + factor * (offset * offset).sum(-1), offset, factor

    def _term(self, w: Array, trace: Array, scatter: Array) -> Array:
        """n log(|W / n| + (tr W + floor) / n); a group of at most d rows has no determinant."""
        value = (trace + self.floor) / w
        full = w > scatter.shape[-1]
        if full.any():
            value[full] += _determinants(scatter[full] / w[full][:, None, None])
        return w * np.log(value)


def _determinants(matrices: Array) -> Array:
    """Determinants of positive semi-definite matrices, by torch's factorisation, which is fast on small ones."""
    chol, info = torch.linalg.cholesky_ex(torch.from_numpy(matrices))
    det = chol.diagonal(dim1=1, dim2=2).prod(-1).square_()
    return torch.where(info == 0, det, 0.0).numpy()
