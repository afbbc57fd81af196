"""Directions in which to look at rows and mixtures: where rows spread most, and where components differ most."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families.parts import ellipsoids
from gmmlab.model import Mixture


def principal(x: Float[Tensor, "n d"]) -> Float[Tensor, "m d"]:
    """Principal axes of the standardised columns as rows, the widest first; rows with gaps are left out.

    The image of a row is its score on each axis, about the mean of the rows. Constant columns count nothing.
    """
    rows = x[~torch.isnan(x).any(1)].double()
    scale = rows.std(0)
    weight = torch.where(scale > 0, 1 / torch.where(scale > 0, scale, 1.0), 0.0)
    axes = torch.linalg.svd((rows - rows.mean(0)) * weight, full_matrices=False).Vh
    return signed(axes) * weight


def discriminant(mixture: Mixture) -> Float[Tensor, "m d"]:
    """Directions that keep the components apart, the best first: at most k - 1 of them by their means, then the rest.

        B v = lambda Sigma v       B = sum_k pi_k (mu_k - mu)(mu_k - mu)',   Sigma the covariance of the mixture

    Of unit variance under the mixture, noise left out; Student's t counts with its scale matrices. See Hastie and
    Tibshirani (1996).
    """
    shapes, weights = ellipsoids(mixture.components), mixture.weights / mixture.weights.sum()
    offset = shapes.mean - weights @ shapes.mean
    between = torch.einsum("k,kd,ke->de", weights, offset, offset)
    root = torch.linalg.cholesky(between + torch.einsum("k,kde->de", weights, shapes.cov))
    half = torch.linalg.solve_triangular(root, between, upper=False)
    vectors = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.mT, upper=False)).eigenvectors.flip(1)
    return signed(torch.linalg.solve_triangular(root.mT, vectors, upper=True).mT)


def signed(axes: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
    """Each axis with its largest coefficient positive, so that pictures do not flip."""
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)
