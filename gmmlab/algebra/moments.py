"""Moments of a whole mixture, affine images, and overlap integrals."""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Components, Full, Gaussian, Student, Tied
from gmmlab.families.parts import ellipsoids
from gmmlab.gates import Constant, Noisy
from gmmlab.kernels.cholesky import lower_factor, safe_cholesky
from gmmlab.model import Mixture


def mean(mixture: Mixture) -> Float[Tensor, "d"]:
    """E[X] = sum_k pi_k mu_k."""
    return mixture.weights @ mixture.gaussian.mean


def cov(mixture: Mixture) -> Float[Tensor, "d d"]:
    """Cov[X] = sum_k pi_k (Sigma_k + (mu_k - E[X])(mu_k - E[X])'): within components and between them."""
    between = mixture.gaussian.mean - mean(mixture)
    within = torch.einsum("k,kde->de", mixture.weights, mixture.gaussian.cov)
    return within + torch.einsum("k,kd,ke->de", mixture.weights, between, between)


def affine(mixture: Mixture, matrix: Float[Tensor, "q d"], shift: Float[Tensor, "q"]) -> Mixture:
    """The mixture of A X + b, where X has this one, of any family; A may have fewer rows than columns.

    Covariances come out with a full structure, or a tied one where they were shared, and factor analysers as Gaussians.
    The image of noise is uniform in no box: noise is left out, so that the weights sum to less than one. Raises
    `NotPositiveDefinite` where the rows of A depend on each other, for then A X has no density.
    """
    old, matrix = ellipsoids(mixture.components), matrix.double()
    root = old.chol if old.structure.dense else torch.diag_embed(old.chol)
    image: Components = Gaussian(
        mean=old.mean @ matrix.T + shift.double(),
        chol=lower_factor(matrix @ root),
        jitter=torch.zeros_like(old.jitter),
        origin=(matrix @ old.origin.double() + shift.double()).to(old.origin),
        structure=Tied() if old.structure.shared else Full(),
        ridge=old.ridge,
    )
    if isinstance(mixture.components, Student):
        image = mixture.components.replace(gaussian=image)
    gate = Constant(mixture.gate.log_w) if isinstance(mixture.gate, Noisy) else mixture.gate
    return Mixture(image, gate)


def overlap(left: Mixture, right: Mixture) -> Float[Tensor, ""]:
    """The integral of p(x) q(x), sum_ij pi_i rho_j N(mu_i; nu_j, Sigma_i + Lambda_j).

    From three of them follows the squared L2 distance: overlap(p, p) - 2 overlap(p, q) + overlap(q, q).
    """
    if left.d != right.d:
        raise ValueError(f"The mixtures have {left.d} and {right.d} columns; expected the same number.")
    log_pair = _log_overlaps(left.gaussian, right.gaussian)
    return (left.weights.log()[:, None] + right.weights.log() + log_pair).flatten().logsumexp(0).exp()


def _log_overlaps(left: Gaussian, right: Gaussian) -> Float[Tensor, "i j"]:
    d, both = left.d, (left.cov[:, None] + right.cov).reshape(-1, left.d, left.d)
    chol = safe_cholesky(both)[0]
    offset = (left.mean[:, None] - right.mean).reshape(-1, d, 1)
    z = torch.linalg.solve_triangular(chol, offset, upper=False).squeeze(-1)
    log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return (-0.5 * z.square().sum(-1) - log_det - 0.5 * d * math.log(2 * math.pi)).view(left.k, right.k)
