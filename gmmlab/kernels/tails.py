"""Distribution functions that torch does not have; scipy does, on the host.

For rows of a Gaussian the squared Mahalanobis distances delta are chi-square with d degrees of freedom. For rows of a
Student-t distribution with nu, delta / d is F with d and nu. Both are held by their upper tails, whose digits far
outliers need. See Kotz and Nadarajah (2004), section 1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gmmlab.axes import Float, Tensor


def student_cdf(z: Float[Tensor, "*n"], dof: float) -> Float[Tensor, "*n"]:
    """P(T <= z) of Student's t."""
    from scipy.special import stdtr

    return _by(stdtr, dof, z)


def student_quantile(p: Float[Tensor, "*n"], dof: float) -> Float[Tensor, "*n"]:
    """The z with P(T <= z) = p; infinite for 0 and 1."""
    from scipy.special import stdtrit

    return _by(stdtrit, dof, p)


def distance_tail(delta: Float[Tensor, "*n"], d: int, dof: float) -> Float[Tensor, "*n"]:
    """P(squared distance > delta) for d columns; `dof` is infinite for Gaussians."""
    from scipy.special import betainc, gammaincc

    if dof == torch.inf:
        return _by(gammaincc, d / 2, delta / 2)
    return _by(betainc, dof / 2, d / 2, dof / (dof + delta))


def distance_at(tail: Float[Tensor, "*n"], d: int, dof: float) -> Float[Tensor, "*n"]:
    """The squared distance that is exceeded with the probability `tail`: the inverse of `distance_tail`."""
    from scipy.special import betaincinv, gammainccinv

    if dof == torch.inf:
        return 2 * _by(gammainccinv, d / 2, tail)
    return dof * (1 / _by(betaincinv, dof / 2, d / 2, tail) - 1)


def order_tail(rank: Float[Tensor, "m"], n: float, p: float) -> Float[Tensor, "m"]:
    """The p-quantile of the upper tail at the order statistic of this rank, from 1, among n.

    The tail at rank i is Beta(n + 1 - i, i), exactly and whatever the distribution. See David and Nagaraja (2003),
    section 2.1.
    """
    from scipy.special import betaincinv

    return _by(betaincinv, n + 1 - rank, rank, p)


def _by(function: Callable[..., Any], *values: Any) -> Tensor:
    """A function of scipy applied to tensors and numbers; float64, on the device of the tensors."""
    device = next(value.device for value in values if isinstance(value, Tensor))
    arrays = [value.detach().double().cpu().numpy() if isinstance(value, Tensor) else value for value in values]
    return torch.as_tensor(function(*arrays), dtype=torch.float64, device=device)
