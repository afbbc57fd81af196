"""Multinomial logistic regression: derivatives that add over rows, and steps up that need no second look at them.

    log p_ij = w_j' z_i - log sum_l exp(w_l' z_i)        Q(W) = sum_i sum_j t_ij log p_ij - 1/2 sum_c penalty_c |W_.c|^2

Targets t_ij are at least zero; o_i = sum_j t_ij is how often row i counts. The same steps serve a gate, whose targets
are responsibilities, and k classifiers at once, each with its own row weights. Weights are centred: they sum to zero
over the outcomes, as do gradients and steps, so that no outcome is singled out as the reference.

A step along D from gradient and curvature alone is safe by a bound. Along it the third derivative of the log partition
is a third central moment, at most the range R of D_j' z over the outcomes (at the worst row) times the second, so that

    Q(W + t D) >= Q(W) + t s - v (e^tR - t R - 1) / R^2,      s = gradient . D,  v = D' curvature D

whose maximum lies at t = log(1 + R s / v) / R: Newton's step near the optimum, and far from it one that grows with the
logarithm where rows can be told apart without error. See Bach (2010), "Self-concordant analysis for logistic
regression", proposition 1, and Böhning (1992) for the bound of the curvature by that of even odds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor

_RANK = 1e-12  # parts of the mean curvature that are added where it is singular
_NEAR = 1e-5  # log odds that a step changes, below which its bound would cancel


class Derivatives(NamedTuple):
    """Of Q without penalty, for k regressions on the same rows: gradients, Gram matrices, and minus the Hessians."""

    gradient: Float[Tensor, "k j c"]
    gram: Float[Tensor, "k c c"]  # sum_i o_i z_i z_i'
    curvature: Float[Tensor, "k j c j c"] | None = None


class Ascent(NamedTuple):
    """A step, and how much it raises Q at least."""

    step: Float[Tensor, "k j c"]
    gain: Float[Tensor, "k"]


def log_odds(z: Float[Tensor, "n c"], w: Float[Tensor, "k j c"]) -> Float[Tensor, "n k j"]:
    """Log probabilities of the outcomes, log softmax_j w_kj' z; they lie outcome by outcome, as `z` best does too."""
    return torch.log_softmax((w.flatten(0, 1).to(z) @ z.T).unflatten(0, w.shape[:2]), dim=1).movedim(2, 0)


def derivatives(
    z: Float[Tensor, "n c"], targets: Float[Tensor, "n k j"], log_p: Float[Tensor, "n k j"], *, curved: bool = True
) -> Derivatives:
    """Derivatives of Q at the weights that gave `log_p`, in float64; additive over rows.

    gradient_j = sum_i (t_ij - o_i p_ij) z_i        curvature_jl = sum_i o_i p_ij (1[j = l] - p_il) z_i z_i'

    As probabilities sum to one, a block on the diagonal is minus the sum of those beside it, which are half as many.
    """
    t, p = targets.movedim(0, 2), log_p.movedim(0, 2).exp()
    rows = t.sum(1)
    share = rows[:, None] * p
    gradient = ((t - share).flatten(0, 1) @ z).double().unflatten(0, t.shape[:2])
    gram = _weighted(z, rows)
    if not curved:
        return Derivatives(gradient, gram)
    (k, j, c) = gradient.shape
    curvature = gradient.new_zeros(k, j, j, c, c)
    for one in range(1, j):
        both = _weighted(z, (share[:, one, None] * p[:, :one]).flatten(0, 1)).unflatten(0, (k, one))
        curvature[:, one, :one] = curvature[:, :one, one] = -both
    curvature.diagonal(dim1=1, dim2=2).copy_(-curvature.sum(2).movedim(1, 3))
    return Derivatives(gradient, gram, curvature.movedim(3, 2))


def ascend(
    w: Float[Tensor, "k j c"], at: Derivatives, penalty: Float[Tensor, "c"], reach: Float[Tensor, "c"]
) -> Ascent:
    """A step that never lowers Q: Newton's as far as the bound allows, or Böhning's where that one promises more.

    `reach` is the largest |z| of each column. Without curvature it is Böhning's; near the maximum only Newton's is
    looked at.
    """
    centred = w - w.mean(1, keepdim=True)
    gradient = at.gradient - penalty * centred
    if at.curvature is None:
        return _even(gradient, at.gram, penalty)
    newton, width = _newton(gradient, at, penalty, reach)
    if bool((width <= 1).all()):  # then it gains at least three quarters of what any step along it could
        return newton
    even = _even(gradient, at.gram, penalty)
    better = newton.gain > even.gain
    return Ascent(torch.where(better[:, None, None], newton.step, even.step), torch.maximum(newton.gain, even.gain))


def solve(
    z: Float[Tensor, "n c"],
    targets: Float[Tensor, "n k j"],
    penalty: Float[Tensor, "c"],
    *,
    most: int = 50,
    tol: float = 1e-10,
) -> Float[Tensor, "k j c"]:
    """Weights at the maximum of Q, from zero; ends when a step promises a gain of less than `tol` per row."""
    w = z.new_zeros(*targets.shape[1:], z.shape[1], dtype=torch.float64)
    reach, n = z.abs().amax(0).double(), float(targets.sum())
    for _ in range(most):
        found = ascend(w, derivatives(z, targets, log_odds(z, w)), penalty, reach)
        w = w + found.step
        if float(found.gain.sum()) < tol * n:
            break
    return w


def _even(gradient: Float[Tensor, "k j c"], gram: Float[Tensor, "k c c"], penalty: Float[Tensor, "c"]) -> Ascent:
    """The maximum of the bound with the curvature of even odds, which is nowhere exceeded: (I - 11'/j) / 2 times Gram.

    On centred weights its inverse is that of Gram / 2.
    """
    bound = gram / 2 + torch.diag(penalty)
    step = torch.linalg.solve(_regular(bound), gradient.mT).mT
    return Ascent(step, 0.5 * (gradient * step).sum((1, 2)))


def _newton(
    gradient: Float[Tensor, "k j c"], at: Derivatives, penalty: Float[Tensor, "c"], reach: Float[Tensor, "c"]
) -> tuple[Ascent, Float[Tensor, "k"]]:
    """Newton's direction, as far as is safe: along it the slope s is the bend v. And the range R that goes with it."""
    assert at.curvature is not None  # for the type checker
    k, j, c = gradient.shape
    eye = torch.eye(j, dtype=gradient.dtype, device=gradient.device)[:, None, :, None]
    common = at.gram[:, None, :, None] / j  # what weights share has no curvature
    whole = at.curvature + eye * torch.diag(penalty)[:, None] + common
    step = torch.linalg.solve(_regular(whole.reshape(k, j * c, j * c)), gradient.reshape(k, j * c, 1))
    step = step.reshape(k, j, c)
    step = step - step.mean(1, keepdim=True)
    slope = (gradient * step).sum((1, 2))
    width = ((step[:, :, None] - step[:, None]).abs() @ reach).amax((1, 2)).clamp(min=_NEAR)
    length = width.log1p() / width
    gain = slope * ((1 + 1 / width) * length - 1 / width)
    return Ascent(length[:, None, None] * step, gain), width


def _weighted(z: Float[Tensor, "n c"], weight: Float[Tensor, "k n"]) -> Float[Tensor, "k c c"]:
    """sum_i weight_ki z_i z_i'."""
    return ((weight[:, None] * z.T) @ z).double()


def _regular(matrix: Float[Tensor, "k f f"]) -> Float[Tensor, "k f f"]:
    """The matrix with a trace of the identity, for columns that follow from others."""
    size = matrix.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-290)
    return matrix + torch.diag_embed((_RANK * size)[:, None].expand(matrix.shape[:2]))
