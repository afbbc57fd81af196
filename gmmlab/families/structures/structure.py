"""What a structure is, and the fourteen that are spelt with three letters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

from gmmlab.axes import Float, Tensor
from gmmlab.kernels.groups import Groups

_GHOST = 1e-100  # rows of a component that has none


@runtime_checkable
class Structure(Protocol):
    """How the covariances of k components are tied and shaped."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def dense(self) -> bool:
        """Whether covariances are matrices, or variances along the axes alone."""

    @property
    def shared(self) -> bool:
        """Whether all components have one covariance."""

    @property
    def spherical(self) -> bool:
        """Whether covariances are multiples of the identity."""

    def project(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """Maximum-likelihood covariances, in the shape of `scatter`; `old` ones are where iterations start.

        A component without rows (w = 0, scatter 0) keeps of its old covariance what it has for itself, and takes what
        is shared from the others.
        """

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""


class Tie(Enum):
    """How components have a factor of their covariances in common."""

    E = "equal"
    V = "variable"
    I = "identity"  # noqa: E741 - the letter of Banfield and Raftery

    def copies(self, k: int) -> int:
        """How many values of it k components have."""
        return {Tie.E: 1, Tie.V: k, Tie.I: 0}[self]


@dataclass(frozen=True)
class Eigen(ABC):
    """Sigma_k = lambda_k D_k A_k D_k': volume, orientation, and shape with |A_k| = 1.

    Each factor is equal for all components, variable, or the identity. `project` maximises

        Q = -1/2 sum_k (w_k log|Sigma_k| + tr(W_k Sigma_k^-1)),      W_k the scatter

    over the covariances of this kind, or raises it from where `old` is, if those are of this kind.
    """

    volume: ClassVar[Tie]
    shape: ClassVar[Tie]
    orientation: ClassVar[Tie]

    @property
    def name(self) -> str:
        """Its three letters: volume, shape, orientation."""
        return "".join(tie.name for tie in (self.volume, self.shape, self.orientation))

    @property
    def dense(self) -> bool:
        """Whether covariances are matrices, or variances along the axes alone."""
        return self.orientation is not Tie.I

    @property
    def shared(self) -> bool:
        """Whether all components have one covariance."""
        return Tie.V not in (self.volume, self.shape, self.orientation)

    @property
    def spherical(self) -> bool:
        """Whether covariances are multiples of the identity."""
        return self.shape is Tie.I

    @property
    def linear(self) -> bool:
        """Whether averages of such covariances are such covariances, so that to project is to average.

        So it is where everything is equal, or everything variable, but for what is the identity.
        """
        return len({self.volume, self.shape, self.orientation} - {Tie.I}) == 1

    @property
    def closed(self) -> bool:
        """Whether a projection has a closed form, which looks at no old covariance where all components have rows."""
        return True

    def n_parameters(self, k: int, d: int) -> int:
        """One for a volume, d - 1 for a shape, d (d - 1) / 2 for an orientation, times their copies."""
        sizes = (1, d - 1, d * (d - 1) // 2)
        ties = (self.volume, self.shape, self.orientation)
        return sum(tie.copies(k) * size for tie, size in zip(ties, sizes, strict=True))

    def project(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """Maximum-likelihood covariances; a component without rows is given a trace of its old one."""
        if w.is_cpu and bool((w > 0).all()):  # as in almost every step; elsewhere to look is to wait
            return self.fit(w, scatter, old, groups)
        ghost = _GHOST * (w == 0).to(w)
        return self.fit(w + ghost, scatter + column(ghost, scatter) * old, old, groups)

    @abstractmethod
    def fit(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        """The projection where every component has rows."""


def column(values: Float[Tensor, "k"], like: Tensor) -> Tensor:
    """Values per component, ready to multiply what has more axes."""
    return values.view(-1, *[1] * (like.ndim - 1))
