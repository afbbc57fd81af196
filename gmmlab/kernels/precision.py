"""Gaussians held by precisions, moved by one row at a time: O(d^2) for each, and nothing is factorised.

A row with the deviation e from the mean, weight w and coefficient a changes a covariance by C <- (1 - w) C + a e e'.
Its inverse L follows by Sherman and Morrison, its log-determinant by the matrix determinant lemma; with z = L e,

    L' = (L - a / (1 - w + a e'z) z z') / (1 - w)        log|C'| = log|C| + d log(1 - w) + log(1 + a e'z / (1 - w))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm

from gmmlab.axes import Float, Tensor

Array = NDArray[np.float64]


class Apart(NamedTuple):
    """How a row lies to each component: deviation e, L e, and the squared Mahalanobis distance e'L e."""

    offset: Array  # (k, d)
    solved: Array  # (k, d)
    distance: Array  # (k,)


class Change(NamedTuple):
    """What a row does to a component: L <- scale L + outer z z', and `log_det` is added to log|C|."""

    scale: float
    outer: float
    log_det: float


def apart(precision: Array, offset: Array) -> Apart:
    """Distances of one row from its deviations (k, d), for precisions (k, d, d): O(k d^2)."""
    solved = np.matmul(precision, offset[:, :, None])
    return Apart(offset, solved[:, :, 0], np.matmul(offset[:, None], solved)[:, 0, 0])


def log_density(log_det: Float[Tensor, "k"], distance: Float[Tensor, "n k"], d: int) -> Float[Tensor, "n k"]:
    """Log densities of rows from their distances and the log-determinants of covariances."""
    return -0.5 * (d * math.log(2 * math.pi) + log_det + distance)


def change(w: float, a: float, distance: float, d: int) -> Change | None:
    """Of a row of weight w and coefficient a, at this squared distance; None where C would lose its positivity."""
    keep = 1 - w
    grown = 1 + a / keep * distance
    if not grown > 0:
        return None
    return Change(1 / keep, -a / (keep * keep * grown), d * math.log1p(-w) + math.log(grown))


def rank_one_(precision: Array, solved: Array, made: Change) -> None:
    """A precision (d, d) after a row with this z: in its own memory, and in one pass over it.

    Raises `ValueError` unless it lies there row by row.
    """
    if not precision.flags.c_contiguous:  # else BLAS would change a copy
        raise ValueError("The precision does not lie in memory row by row; expected a contiguous one.")
    z = solved[:, None]
    dgemm(made.outer, z, z.T, beta=made.scale, c=precision.T, overwrite_c=True)


class Given(NamedTuple):
    """Some columns given the others, component by component; log densities are those of the others."""

    mean: Float[Tensor, "n k t"]
    cov: Float[Tensor, "k t t"]
    log_prob: Float[Tensor, "n k"]


def conditional(
    mean: Float[Tensor, "k d"],
    precision: Float[Tensor, "k d d"],
    log_det: Float[Tensor, "k"],
    values: Float[Tensor, "n o"],
    targets: list[int],
) -> Given:
    """The columns `targets` given the values of all others, in their order: O(k (t^3 + n d^2)).

        m_t|o = mu_t - L_tt^-1 L_to (x_o - mu_o)      C_t|o = L_tt^-1
        L_o = L_oo - L_ot L_tt^-1 L_to                log|C_o| = log|C| + log|L_tt|

    Cheap where targets are few: only their block is inverted.
    """
    known = [j for j in range(mean.shape[1]) if j not in targets]
    block, cross = precision[:, targets][:, :, targets], precision[:, targets][:, :, known]
    chol = torch.linalg.cholesky(block)
    slope = torch.cholesky_solve(cross, chol)  # (k, t, o)
    offset = values[:, None] - mean[:, known]  # (n, k, o)
    marginal = precision[:, known][:, :, known] - cross.mT @ slope
    distance = torch.einsum("nko,kop,nkp->nk", offset, marginal, offset)
    volume = log_det + 2 * chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return Given(
        mean=mean[:, targets] - torch.einsum("kto,nko->nkt", slope, offset),
        cov=torch.cholesky_inverse(chol),
        log_prob=log_density(volume, distance, len(known)),
    )
