"""Covariance structures: projections of one statistic.

A structure turns the weights and scatter matrices of k components into their maximum-likelihood covariances of that
kind. It sees all components at once, because some structures share parameters between them; what is shared is shared
within each of the `groups`, so that many models can be refitted together. Axis-aligned structures (`dense` is False)
work with the diagonals alone, (k, d).

A component without rows (w = 0) has no scatter. It must not disturb the others; its own covariance may come out as
anything, and is replaced by its old one where nothing is shared.

The eigen-decomposition names of Banfield and Raftery (1993) are VVV, EEE, VVI and VII.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gmmlab.axes import Float, Tensor
from gmmlab.kernels.groups import Groups


@runtime_checkable
class Structure(Protocol):
    """How the covariances of k components are tied and shaped."""

    @property
    def dense(self) -> bool:
        """Whether covariances are matrices, or variances along the axes alone."""

    @property
    def shared(self) -> bool:
        """Whether all components have one covariance."""

    def project(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """Maximum-likelihood covariances, in the shape of `scatter`; `old` ones are where iterations start."""

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""


@dataclass(frozen=True)
class Full:
    """VVV: every component has its own covariance matrix, scatter_k / w_k."""

    dense: bool = True
    shared: bool = False

    def project(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        return scatter / w[:, None, None]

    def n_parameters(self, k: int, d: int) -> int:
        return k * d * (d + 1) // 2


@dataclass(frozen=True)
class Tied:
    """EEE: one covariance matrix for all components, sum_k scatter_k / sum_k w_k."""

    dense: bool = True
    shared: bool = True

    def project(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        return groups.spread(groups.sum(scatter) / groups.sum(w)[:, None, None])

    def n_parameters(self, k: int, d: int) -> int:
        return d * (d + 1) // 2


@dataclass(frozen=True)
class Diagonal:
    """VVI: every component has its own variances along the axes, diag(scatter_k) / w_k."""

    dense: bool = False
    shared: bool = False

    def project(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d"]:
        return scatter / w[:, None]

    def n_parameters(self, k: int, d: int) -> int:
        return k * d


@dataclass(frozen=True)
class Spherical:
    """VII: every component has one variance, tr(scatter_k) / (d w_k)."""

    dense: bool = False
    shared: bool = False

    def project(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d"]:
        return (scatter.mean(1, keepdim=True) / w[:, None]).expand_as(scatter)

    def n_parameters(self, k: int, d: int) -> int:
        return k
