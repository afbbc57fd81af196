"""Some columns of components of any family, and the ellipses that all families have.

    Gaussian           N(mu_o, Sigma_oo)
    Student            t(mu_o, Sigma_oo, nu), with the same degrees of freedom
    FactorAnalyzers    the loadings and the noise of these columns

See Kotz and Nadarajah (2004), section 1.10, for Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import conditioning
from gmmlab.families.components import Components
from gmmlab.families.factor import FactorAnalyzers
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.structures import Full
from gmmlab.families.student import Student
from gmmlab.kernels.cholesky import lower_factor


def columns_of(components: Components, columns: Sequence[int]) -> Components:
    """The components over some columns, in the order given.

    Raises `IndexError` for columns that are not there, `ValueError` for one that stands twice, and `TypeError` for a
    family whose marginals are not known here.
    """
    match components:
        case Gaussian():
            return conditioning.marginal(components, columns)
        case Student():
            return components.replace(gaussian=conditioning.marginal(components.gaussian, columns))
        case FactorAnalyzers():
            gaussian = conditioning.marginal(components.gaussian, columns)
            return components.replace(gaussian=gaussian, loadings=components.loadings[:, list(columns)])
    raise TypeError(_unknown(components))


def ellipsoids(components: Components) -> Gaussian:
    """Gaussians with the centres and the scale matrices of the components, whose level sets are those of them.

    Covariances, but for Student's t: those are nu / (nu - 2) times as large. Dense for factor analysers, O(k d^2 (d +
    q)).
    """
    match components:
        case Gaussian():
            return components
        case Student():
            return components.gaussian
        case FactorAnalyzers():
            root = torch.cat([components.loadings, torch.diag_embed(components.gaussian.chol)], dim=-1)
            return components.gaussian.replace(chol=lower_factor(root), structure=Full(), prior=None)
    raise TypeError(_unknown(components))


def dof_of(components: Components) -> Float[Tensor, "k"]:
    """Degrees of freedom of each component, infinite for Gaussian ones."""
    match components:
        case Student():
            return components.dof
        case Gaussian() | FactorAnalyzers():
            return torch.full_like(components.mean[:, 0], torch.inf)
    raise TypeError(_unknown(components))


def squared_distances(gaussian: Gaussian, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """Squared Mahalanobis distances (x - mu)' Sigma^-1 (x - mu) in float64, sums of squares of whitened rows.

    Nothing cancels, however small the distance. It holds all whitened rows, n k d numbers.
    """
    offset = (x.double() - gaussian.mean[:, None]).mT  # (k, d, n)
    if gaussian.chol.ndim == 2:
        return (offset / gaussian.chol[:, :, None]).square().sum(1).T
    return torch.linalg.solve_triangular(gaussian.chol, offset, upper=False).square().sum(1).T


def _unknown(components: Components) -> str:
    return (
        f"The marginals of {type(components).__name__} components are not known; expected Gaussian, Student or "
        "FactorAnalyzers."
    )
