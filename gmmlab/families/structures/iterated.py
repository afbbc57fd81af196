"""The structures whose maximum-likelihood covariances need iterations.

Each round raises Q and starts from the covariances of the step before, so that a round or two are enough once a fit has
settled, and the likelihood cannot fall. See Celeux and Govaert (1995), section 4, and Browne and McNicholas (2014).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families.structures.structure import Eigen, Tie, column
from gmmlab.kernels.cholesky import factored
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.orientation import common_axes, compose, principal_axes, turned_diagonal

E, V, I = Tie  # noqa: E741 - the letters of Banfield and Raftery
_TOL = 1e-5  # relative change of the volumes: Q is within about 1e-10 of its maximum


@dataclass(frozen=True)
class Iterated(Eigen):
    """A structure whose projection takes rounds: at most `rounds` sweeps over the axes, or pairs for the volumes."""

    rounds: int = 50

    @property
    def closed(self) -> bool:
        """No: iterations start from the old covariances."""
        return False

    def hasty(self) -> Iterated:
        """The same structure with two rounds: they raise Q, if not to its maximum, and a fit has many steps."""
        return replace(self, rounds=2)


class VEI(Iterated):
    """Axis-aligned, of one shape: Sigma_k = lambda_k A.

    A = sum_k diag(W_k) / lambda_k / n and lambda_k = tr(W_k A^-1) / (d w_k), in turns. A need not have determinant one:
    it takes its best size in each round, and only the products count.
    """

    volume, shape, orientation = V, E, I

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d"]:
        return _of_one_shape(w, scatter, old.mean(1), groups, self.rounds)


class VEV(Iterated):
    """Of one shape, turned freely: as `VEI`, for the eigenvalues of W_k along its eigenvectors."""

    volume, shape, orientation = V, E, V

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        spectrum, axes = principal_axes(scatter)
        return compose(axes, _of_one_shape(w, spectrum, _mean_variance(old), groups, self.rounds))


class VEE(Iterated):
    """Of one shape and orientation: Sigma_k = lambda_k C, as `VEI` with a matrix C."""

    volume, shape, orientation = V, E, E

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        n, freedom = column(groups.sum(w), scatter), scatter.shape[1] * w

        def share(volume: Float[Tensor, "k"]) -> Tensor:
            return groups.sum(scatter / column(volume, scatter)) / n

        def rescale(common: Tensor) -> Float[Tensor, "k"]:
            chol, info = factored(common)
            chol = chol.masked_fill((info > 0)[:, None, None], torch.nan)  # the inverse would refuse the whole batch
            precision = torch.cholesky_inverse(chol)
            return (scatter * groups.spread(precision)).sum((1, 2)) / freedom

        volume = _settled(share, rescale, _mean_variance(old), groups, self.rounds)
        return column(volume, scatter) * groups.spread(share(volume))


@dataclass(frozen=True)
class OneOrientation(Iterated):
    """Sigma_k = D B_k D' with what `weigh` says of the volumes: with F_k = diag(D' W_k D) and v_k = weigh(F_k),

    B_k = F_k / v_k sum_j v_j / sum_j w_j
    """

    orientation = E
    rounds: int = 20

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        weigh = partial(self.weigh, w)
        axes = groups.spread(common_axes(scatter, weigh, old, groups, self.rounds))
        variance = turned_diagonal(scatter, axes)
        v = weigh(variance)
        common = groups.spread(groups.sum(v) / groups.sum(w))
        return compose(axes, variance * (common / v)[:, None])

    @abstractmethod
    def weigh(self, w: Float[Tensor, "k"], variance: Float[Tensor, "k d"]) -> Float[Tensor, "k"]:
        """Weights v of the components in the criterion of D: see `common_axes`."""


class VVE(OneOrientation):
    """Of one orientation: Sigma_k = D B_k D' with B_k = diag(D' W_k D) / w_k.

    D minimises sum_k w_k log|diag(D' W_k D)|, the common principal components of Flury (1984).
    """

    volume, shape = V, V

    def weigh(self, w: Float[Tensor, "k"], variance: Float[Tensor, "k d"]) -> Float[Tensor, "k"]:
        return w


class EVE(OneOrientation):
    """Of one volume and orientation: Sigma_k = D B_k D' with |B_k|^1/d = lambda for all k.

    With F_k = diag(D' W_k D), lambda = sum_k |F_k|^1/d / n and B_k = lambda F_k / |F_k|^1/d; D minimises lambda.
    """

    volume, shape = E, V

    def weigh(self, w: Float[Tensor, "k"], variance: Float[Tensor, "k d"]) -> Float[Tensor, "k"]:
        return _geometric_mean(variance)


@dataclass(frozen=True)
class BothOfOneOrientation(VVE):
    """The first `free` components have the structure VVE, the others EVE: the turns, which cost, serve both."""

    free: int = 0

    def weigh(self, w: Float[Tensor, "k"], variance: Float[Tensor, "k d"]) -> Float[Tensor, "k"]:
        return torch.cat([w[: self.free], _geometric_mean(variance[self.free :])])


def _of_one_shape(
    w: Float[Tensor, "k"], variance: Float[Tensor, "k d"], volume: Float[Tensor, "k"], groups: Groups, rounds: int
) -> Float[Tensor, "k d"]:
    """Variances lambda_k A for scatter along axes that stay as they are, from initial volumes."""
    n, freedom = groups.sum(w)[:, None], variance.shape[1] * w

    def share(volume: Float[Tensor, "k"]) -> Tensor:
        return groups.sum(variance / volume[:, None]) / n

    def rescale(common: Tensor) -> Float[Tensor, "k"]:
        return (variance / groups.spread(common)).sum(1) / freedom

    volume = _settled(share, rescale, volume, groups, rounds)
    return volume[:, None] * groups.spread(share(volume))


def _settled(
    share: Callable[[Tensor], Tensor],
    rescale: Callable[[Tensor], Tensor],
    volume: Float[Tensor, "k"],
    groups: Groups,
    rounds: int,
) -> Float[Tensor, "k"]:
    """Volumes after rounds of what is shared given them, and they given it; looks every other round whether they stay.

    A group that has settled waits for the others, lest it depend on its neighbours. One that has failed (NaN) counts
    as settled.
    """
    moving = volume.new_ones(groups.g)
    for _ in range(rounds):
        before = rescale(share(volume))
        after = rescale(share(before))
        volume = torch.where(groups.spread(moving) > 0, after, volume)
        moving = (groups.sum((after / before - 1).square()) > _TOL**2).to(volume)
        if not bool(moving.any()):
            break
    return volume


def _mean_variance(cov: Float[Tensor, "k d d"]) -> Float[Tensor, "k"]:
    """tr / d: within one shape it is the volume, up to a factor that all share."""
    return cov.diagonal(dim1=1, dim2=2).mean(1)


def _geometric_mean(variance: Float[Tensor, "k d"]) -> Float[Tensor, "k"]:
    return variance.log().mean(1).exp()
