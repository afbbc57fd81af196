"""The structures whose maximum-likelihood covariances have a closed form. See Celeux and Govaert (1995), section 4."""

from __future__ import annotations

from gmmlab.axes import Float, Tensor
from gmmlab.families.structures.structure import Eigen, Tie, column
from gmmlab.kernels.cholesky import factored
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.orientation import compose, principal_axes

E, V, I = Tie  # noqa: E741 - the letters of Banfield and Raftery


class EII(Eigen):
    """One variance for all components, sum_k tr(W_k) / (d n)."""

    volume, shape, orientation = E, I, I

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d"]:
        variance = groups.sum(scatter.mean(1)) / groups.sum(w)
        return groups.spread(variance)[:, None].expand_as(scatter)


class VII(Eigen):
    """Every component has one variance, tr(W_k) / (d w_k)."""

    volume, shape, orientation = V, I, I

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d"]:
        return (scatter.mean(1, keepdim=True) / w[:, None]).expand_as(scatter)


class EEE(Eigen):
    """One covariance matrix for all components, sum_k W_k / n."""

    volume, shape, orientation = E, E, E

    def fit(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        return groups.spread(groups.sum(scatter) / column(groups.sum(w), scatter))


class EEI(EEE):
    """One variance along each axis for all components, sum_k diag(W_k) / n."""

    orientation = I


class VVV(Eigen):
    """Every component has its own covariance matrix, W_k / w_k."""

    volume, shape, orientation = V, V, V

    def fit(self, w: Float[Tensor, "k"], scatter: Tensor, old: Tensor, groups: Groups) -> Tensor:
        return scatter / column(w, scatter)


class VVI(VVV):
    """Every component has its own variances along the axes, diag(W_k) / w_k."""

    orientation = I


class EVI(Eigen):
    """Axis-aligned, of one volume: diag(W_k) scaled to the determinant (sum_j |diag W_j|^1/d / n)^d.

    A component without variance along some axis has no maximum, and comes out as not finite.
    """

    volume, shape, orientation = E, V, I

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d"]:
        return _of_one_volume(w, scatter, scatter.log().mean(1).exp(), groups)


class EVV(Eigen):
    """Of one volume: W_k scaled to the determinant (sum_j |W_j|^1/d / n)^d.

    A component whose scatter is singular has no maximum, and comes out as not finite.
    """

    volume, shape, orientation = E, V, V

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        pivots = factored(scatter)[0].diagonal(dim1=1, dim2=2).clamp(min=0)  # where it fails: <= 0
        return _of_one_volume(w, scatter, (2 * pivots.log().mean(1)).exp(), groups)


class EEV(Eigen):
    """Of one volume and shape, turned freely: the eigenvalues sum_k Omega_k / n along the eigenvectors of W_k.

    Omega_k are the eigenvalues of W_k, in the same order for all components.
    """

    volume, shape, orientation = E, E, V

    def fit(
        self, w: Float[Tensor, "k"], scatter: Float[Tensor, "k d d"], old: Tensor, groups: Groups
    ) -> Float[Tensor, "k d d"]:
        spectrum, axes = principal_axes(scatter)
        return compose(axes, groups.spread(groups.sum(spectrum) / groups.sum(w)[:, None]))


def _of_one_volume(w: Float[Tensor, "k"], scatter: Tensor, volume: Float[Tensor, "k"], groups: Groups) -> Tensor:
    """Scatter scaled to the volume that all components of a group share; `volume` is |scatter|^1/d."""
    common = groups.spread(groups.sum(volume) / groups.sum(w))
    return column(common / volume, scatter) * scatter
