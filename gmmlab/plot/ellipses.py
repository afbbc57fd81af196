"""Ellipses of a mixture in two of its columns, and back: the only place where pictures meet linear algebra.

An ellipse is a unit circle times a 2x2 factor F with F F' = Sigma; the principal factor has the half-axes at one
standard deviation as columns, the longer first.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import FactorAnalyzers
from gmmlab.gates import Noisy
from gmmlab.model import Mixture


class Ellipses(NamedTuple):
    """What is drawn of each component."""

    weight: Float[Tensor, "k"]
    mean: Float[Tensor, "k 2"]
    factor: Float[Tensor, "k 2 2"]


def ellipses(model: Mixture, dims: tuple[int, int]) -> Ellipses:
    """Means and principal factors of the marginals over a pair of columns."""
    pair = list(dims)
    cov = model.located.cov[:, pair][:, :, pair]
    if isinstance(model.components, FactorAnalyzers):
        loadings = model.components.loadings[:, pair]
        cov = cov + loadings @ loadings.mT
    return Ellipses(model.weights, model.located.mean[:, pair], principal(cov))


def noise(model: Mixture) -> float | None:
    """Weight of what belongs to no component; None for a model without noise."""
    return float(model.gate.none) if isinstance(model.gate, Noisy) else None


def principal(cov: Float[Tensor, "k 2 2"]) -> Float[Tensor, "k 2 2"]:
    """Half-axes as columns, the longer first, pointing right; the second is a quarter turn ahead of it."""
    values, vectors = torch.linalg.eigh(cov)  # ascending
    length = values.clamp(min=0).sqrt()
    long = vectors[..., 1]
    long = torch.where(long[..., :1] < 0, -long, long)
    short = torch.stack([-long[..., 1], long[..., 0]], dim=-1)
    return torch.stack([long * length[..., 1:], short * length[..., :1]], dim=-1)


def outline(mean: Tensor, factor: Tensor, radius: float = 1.0, points: int = 96) -> Float[Tensor, "points 2"]:
    """A closed curve at `radius` standard deviations."""
    angle = torch.linspace(0, 2 * math.pi, points, dtype=factor.dtype)
    circle = torch.stack([angle.cos(), angle.sin()])
    return (mean[:, None] + radius * factor @ circle).T


def with_block(cov: Float[Tensor, "d d"], dims: tuple[int, int], factor: Float[Tensor, "2 2"]) -> Float[Tensor, "d d"]:
    """`cov` with the block of two columns replaced by F F', the rest carried along so that it stays definite.

    Sigma' = A Sigma A' with A the identity except for the block L' L^-1, where L and L' are the Cholesky factors
    of the old and the new block. What the other columns have beyond these two is unchanged.
    """
    pair = torch.tensor(dims, device=cov.device)
    old = torch.linalg.cholesky(cov[pair][:, pair])
    new = torch.linalg.cholesky(factor @ factor.mT)
    change = torch.eye(len(cov), dtype=cov.dtype, device=cov.device)
    change[pair[:, None], pair] = torch.linalg.solve_triangular(old, new, upper=False, left=False)
    return change @ cov @ change.mT
