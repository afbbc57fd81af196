"""What the semidefinite relaxation maximises, without the n x n matrices.

For a partition into groups G_k with covariances Sigma_k, means taken out by the likelihood itself,

    sum_i log N(x_i | mean of its group, Sigma of its group) = sum_k <A_k, Z_k> - n d/2 log 2 pi
    A_k[i, j] = -1/2 log|Sigma_k| - 1/4 (x_i - x_j)' Sigma_k^-1 (x_i - x_j),      Z_k = h_k h_k' / |G_k|

with h_k the indicator of G_k: no centroid appears. With whitened rows b_ki = L_k^-1 (x_i - o) / sqrt 2 and
g_ki = |b_ki|^2 / 2 + log|Sigma_k| / 4, A_k = b_k b_k' - g_k 1' - 1 g_k' acts on a vector in O(n d).

Relaxed, Z_k is any positive semidefinite matrix of non-negative numbers with trace t, and sum_k Z_k 1 = 1. There are
two kinds. Each group has a block of its own, t = 1 (Zhuang, Chen and Yang, 2023); or all covariances are the same, and
one block of trace K is the sum of them all (Peng and Wei, 2007).

A row of weight w stands for w rows. Copies of a row have equal entries in Z_k, so that with D the weights and r their
roots the matrices are D^1/2 Z_k D^1/2, again psd and of trace t, with sum_k D^1/2 Z_k D^1/2 r = r, and the objective is
that of D^1/2 A_k D^1/2: b and g times r, and r in place of 1. (Entries between copies are bounded by their own diagonal
alone where the copies are written out, so that the relaxation of these may be somewhat above; partitions are the same.)
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Gaussian
from gmmlab.init import one_hot
from gmmlab.record import Record, static


class Affinities(Record):
    """A_k as b_k b_k' - g_k r' - r g_k', for k blocks of a given trace; r is 1 where rows have no weights."""

    b: Float[Tensor, "k n d"]
    g: Float[Tensor, "k n"]
    root: Float[Tensor, "n"]  # r, of the weights
    trace: int = static(default=1)

    @classmethod
    def of(cls, x: Float[Tensor, "n d"], gaussian: Gaussian, weight: Float[Tensor, "n"] | None = None) -> Affinities:
        """Those of rows under the covariances of k groups, a block each; weights are above zero."""
        y = (x - gaussian.origin).double()
        b = y / gaussian.chol[:, None] if gaussian.chol.ndim == 2 else _whitened(y, gaussian.chol)
        half_log_det = _log_diagonal(gaussian.chol).sum(-1, keepdim=True)
        root = b.new_ones(len(x)) if weight is None else weight.double().sqrt()
        return cls(b * root[:, None] / math.sqrt(2), (b.square().sum(-1) / 4 + half_log_det / 2) * root, root)

    @classmethod
    def common(
        cls, x: Float[Tensor, "n d"], gaussian: Gaussian, weight: Float[Tensor, "n"] | None = None
    ) -> Affinities:
        """Those of k groups that have one covariance, that of the first: a block of trace k."""
        return cls.of(x, gaussian.take(torch.tensor([0])), weight).replace(trace=gaussian.k)

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.b.shape[1]

    @property
    def unit(self) -> Float[Tensor, "n"]:
        """r on a scale of its own, its mean square one: of constraints that hold on any scale."""
        return self.root / self.root.square().mean().sqrt()

    @property
    def clusters(self) -> int:
        """Number of groups."""
        return len(self.b) * self.trace

    def times(self, u: Float[Tensor, "k n r"]) -> Float[Tensor, "k n r"]:
        """A_k u_k."""
        inner = self.b @ (self.b.mT @ u)
        inner.sub_(self.g[:, :, None] * (self.root @ u)[:, None])
        return inner.sub_(self.root[:, None] * (self.g[:, None] @ u))

    def value(self, u: Float[Tensor, "k n r"]) -> float:
        """sum_k <A_k, u_k u_k'>."""
        cross = (self.g[:, None] @ u).squeeze(1) * (self.root @ u)
        return float((self.b.mT @ u).square().sum() - 2 * cross.sum())

    def dense(self) -> Float[Tensor, "k n n"]:
        """The matrices themselves."""
        return self.b @ self.b.mT - self.g[:, :, None] * self.root - self.root[:, None] * self.g[:, None, :]

    def factor(self, labels: Int[Tensor, "n"]) -> Float[Tensor, "k n r"]:
        """u_k with u_k u_k' = Z_k for a partition whose groups all have rows: a feasible point."""
        one = one_hot(labels, self.clusters, torch.float64) * self.root[:, None]
        columns = one / one.square().sum(0).sqrt()
        return columns[None] if self.trace > 1 else columns.T[:, :, None].contiguous()

    def of_labels(self, labels: Int[Tensor, "n"]) -> float:
        """The objective of a partition."""
        return self.value(self.factor(labels))


def _whitened(y: Float[Tensor, "n d"], chol: Float[Tensor, "k d d"]) -> Float[Tensor, "k n d"]:
    return torch.linalg.solve_triangular(chol, y.T.expand(len(chol), -1, -1), upper=False).mT.contiguous()


def _log_diagonal(chol: Tensor) -> Float[Tensor, "k d"]:
    return (chol if chol.ndim == 2 else chol.diagonal(dim1=-2, dim2=-1)).log()
