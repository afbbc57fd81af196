"""Gaussians held by precisions, moved by one row at a time: O(d^2) for each, and nothing is factorised.

A row with the deviation e from the mean, weight w and coefficient a changes a covariance by C <- (1 - w) C + a e e'.
Its inverse L follows by Sherman and Morrison, its log-determinant by the matrix determinant lemma; with z = L e,

    L' = (L - a / (1 - w + a e'z) z z') / (1 - w)        log|C'| = log|C| + d log(1 - w) + log(1 + a e'z / (1 - w))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gmmlab.axes import Float, Tensor

Vector = NDArray[np.float64]


class Apart(NamedTuple):
    """How a row lies to each component: deviation e, L e, and the squared Mahalanobis distance e'L e."""

    offset: Float[Tensor, "k d"]
    solved: Float[Tensor, "k d"]
    distance: Float[Tensor, "k"]


class Change(NamedTuple):
    """What a row does to each component, in numbers that the host holds: L <- scale L + outer z z'.

    `sound` where that is positive definite if L is.
    """

    scale: Vector
    outer: Vector
    log_det: Vector  # added to log|C|
    sound: NDArray[np.bool_]

    def only(self, which: NDArray[np.bool_]) -> Change:
        """Of some components."""
        return Change(self.scale[which], self.outer[which], self.log_det[which], self.sound[which])


def apart(mean: Float[Tensor, "k d"], precision: Float[Tensor, "k d d"], x: Float[Tensor, "d"]) -> Apart:
    """Deviations and distances of one row, O(k d^2)."""
    offset = x - mean
    solved = torch.bmm(precision, offset[:, :, None]).squeeze(-1)
    return Apart(offset, solved, (offset * solved).sum(-1))


def log_density(log_det: Float[Tensor, "k"], distance: Float[Tensor, "n k"], d: int) -> Float[Tensor, "n k"]:
    """Log densities of rows from their distances and the log-determinants of covariances."""
    return -0.5 * (d * math.log(2 * math.pi) + log_det + distance)


def change(w: Vector, a: Vector, distance: Vector, d: int) -> Change:
    """Of rows of weight w and coefficient a, at these squared distances."""
    keep = 1 - w
    grown = 1 + a / keep * distance
    sound = grown > 0
    safe = np.where(sound, grown, 1.0)
    return Change(1 / keep, -a / (keep * keep * safe), d * np.log1p(-w) + np.log(safe), sound)


def rank_one_(
    precision: Float[Tensor, "k d d"], solved: Float[Tensor, "k d"], made: Change, which: Sequence[int]
) -> None:
    """The precisions of the components `which` after a row, in their own memory; one pass over each of them."""
    for j, scale, outer in zip(which, made.scale.tolist(), made.outer.tolist(), strict=True):
        z = solved[j]
        precision[j].addr_(z, z, beta=scale, alpha=outer)


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
