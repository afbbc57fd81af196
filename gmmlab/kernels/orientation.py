"""Principal axes: of every scatter matrix for itself, or one set that suits all of a group best."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.groups import Groups

_TOL = 1e-4  # of the gradient by the angles, per row: the criterion is within about 1e-8 of its minimum
_SWEEPS = 20


def principal_axes(matrices: Float[Tensor, "k d d"]) -> tuple[Float[Tensor, "k d"], Float[Tensor, "k d d"]]:
    """Eigenvalues in rising order and eigenvectors in columns; NaN for a matrix that is not finite.

    torch gives up on the whole batch where one member is not finite.
    """
    poison = 0 * matrices.sum((1, 2))
    values, vectors = torch.linalg.eigh(matrices.nan_to_num(0.0, 0.0, 0.0))
    return values + poison[:, None], vectors


def compose(axes: Float[Tensor, "k d d"], variance: Float[Tensor, "k d"]) -> Float[Tensor, "k d d"]:
    """The symmetric matrices with these variances along these axes (columns)."""
    return (axes * variance[:, None, :]) @ axes.mT


def turned_diagonal(matrices: Float[Tensor, "k d d"], axes: Float[Tensor, "k d d"]) -> Float[Tensor, "k d"]:
    """The diagonals of axes' matrices axes."""
    return ((matrices @ axes) * axes).sum(1)


def common_axes(
    scatter: Float[Tensor, "k d d"],
    weigh: Callable[[Float[Tensor, "k d"]], Float[Tensor, "k"]],
    old: Float[Tensor, "k d d"],
    groups: Groups,
    sweeps: int = _SWEEPS,
) -> Float[Tensor, "g d d"]:
    """Orthonormal axes D (in columns) of each group that make all its scatter matrices as diagonal as they can be.

    With F_k = D' W_k D and weights v_k = weigh(diag F_k), the axes l and m are turned in their plane by the angle that
    minimises sum_k tr(W_k D B_k^-1 D') for B_k = diag(F_k) / v_k as it was before the turn,

        tan 2 theta = sum_k 2 F_k,lm r_k / sum_k (F_k,ll - F_k,mm) r_k,    r_k = v_k / F_k,mm - v_k / F_k,ll

    Disjoint planes do not meet in the criterion, so that d / 2 of them are turned at once and a sweep over all takes
    d - 1 turns (d, if d is odd). No turn raises the criterion. The weights say which: v = w for sum_k w_k log|diag F_k|
    (Flury and Gautschi 1986), v = |diag F|^1/d for sum_k |diag F_k|^1/d.

    The turns start at the common axes of `old`, and end when the gradient has gone, or after so many
    `sweeps`: a hard case goes on in the next step.
    """
    axes = _axes_of(old, groups)
    spread = groups.spread(axes)
    turned = spread.mT @ scatter @ spread
    moving = axes.new_ones(groups.g, 1)
    for left in reversed(range(sweeps)):
        gradients = []
        for planes in _rounds(scatter.shape[1], scatter.device):
            sums, total = _criterion(turned, planes, weigh, groups)
            angle = (
                0.5 * torch.atan2(*sums) * moving
            )  # a group that has settled waits, lest it depend on its neighbours
            turn = torch.stack([angle.cos(), angle.sin()], dim=1)
            axes = _mix(axes, planes.partner, turn)
            turn = groups.spread(turn)
            turned = _mix(_mix(turned, planes.partner, turn).mT, planes.partner, turn)
            if left > 0:
                gradients.append(sums[0].abs() / groups.sum(total)[:, None])
        if left == 0:
            break
        moving = (torch.stack(gradients).amax((0, 2)) > _TOL).to(axes)[:, None]
        if not bool(moving.any()):
            break
    return axes


def _criterion(
    turned: Float[Tensor, "k d d"],
    planes: _Planes,
    weigh: Callable[[Float[Tensor, "k d"]], Float[Tensor, "k"]],
    groups: Groups,
) -> tuple[tuple[Float[Tensor, "g d"], ...], Float[Tensor, "k"]]:
    """Numerator and denominator of tan 2 theta for each axis, and the weights of the components.

    The numerator is the gradient. Partners turn by opposite angles; an axis that is its own partner stays.
    """
    variance = turned.diagonal(dim1=1, dim2=2)
    v = weigh(variance)
    precision = v[:, None] / variance
    rate = precision.index_select(1, planes.partner) - precision
    covariance = turned.reshape(len(turned), -1).index_select(1, planes.entry)
    spread = variance - variance.index_select(1, planes.partner)
    return groups.sum(torch.stack([2 * covariance, spread], dim=1) * rate[:, None]).unbind(1), v


def _mix(
    columns: Float[Tensor, "k d d"], partner: Int[Tensor, "d"], turn: Float[Tensor, "k 2 d"]
) -> Float[Tensor, "k d d"]:
    """Each column turned towards its partner, by an angle whose cosine and sine are given."""
    return torch.addcmul(columns * turn[:, :1], columns.index_select(2, partner), turn[:, 1:])


def _axes_of(cov: Float[Tensor, "k d d"], groups: Groups) -> Float[Tensor, "g d d"]:
    """The eigenvectors that the matrices of each group have in common, if they have.

    Those of a weighted sum: with unequal weights, members whose sum is round by symmetry still show their axes.
    """
    weights = _unequal(groups.sizes, cov.device) / cov.diagonal(dim1=1, dim2=2).sum(1)
    return principal_axes(groups.sum(weights[:, None, None] * cov))[1]


@lru_cache(maxsize=256)
def _unequal(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Between 1 and 2, unlike any other of the group."""
    rank = torch.cat([torch.arange(size, dtype=torch.float64) for size in sizes])
    return (1 + (rank * 0.6180339887498949) % 1).to(device)


class _Planes(NamedTuple):
    """Disjoint pairs of axes: the partner of each, and where their covariance stands in a flattened matrix."""

    partner: Int[Tensor, "d"]
    entry: Int[Tensor, "d"]


@lru_cache(maxsize=64)
def _rounds(d: int, device: torch.device) -> tuple[_Planes, ...]:
    """All pairs of d axes in rounds, as in a tournament around a table; one axis rests if d is odd."""
    even = d + d % 2
    circle, rounds = list(range(even)), []
    for _ in range(even - 1):
        partner = torch.arange(even)
        partner[circle] = torch.tensor(circle[::-1])
        partner = partner[:d].where(partner[:d] < d, torch.arange(d))
        rounds.append(_Planes(partner.to(device), (torch.arange(d) * d + partner).to(device)))
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return tuple(rounds)
