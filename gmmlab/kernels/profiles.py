"""Profiles of radial kernels: kappa(t) of the squared distance t in bandwidths, with kappa(0) = 1.

    Normal          exp(-t/2)               Cauchy          1 / (1 + t)
    Generalised     exp(-(t/2)^a), nearly   Epanechnikov    1 - t up to t = 1
    Logistic        sech^2(sqrt(t)/2)       Secant          sech(sqrt t), also called sigmoid

All fall and are convex in t, so that a mean shift with the weights -kappa'(t) never goes down (Comaniciu and Meer,
2002). The box, 1 up to t = 1, has no slope to follow, and to find its highest mode is NP-hard (Luo, Musco and
Widdershoven, 2023). What is elsewhere called the shift of a flat kernel, to the mean of all rows within a bandwidth, is
that of Epanechnikov's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Tensor

LEAST = 1e-24  # squared distance that stands for zero, where tanh(s) / s would be 0 / 0


@runtime_checkable
class Profile(Protocol):
    """A convex, falling function of the squared distance, in logarithms."""

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        """log kappa(t)."""

    def log_weight(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        """log -kappa'(t), up to a constant."""


@dataclass(frozen=True)
class Normal:
    """exp(-t/2): the bandwidth is a standard deviation."""

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return -0.5 * t

    log_weight = log_height


@dataclass(frozen=True)
class Generalised:
    """exp(e^a - (t/2 + e)^a) with 0 < a <= 1; heavier tails than `Normal`, and steeper at zero.

    The slope of exp(-(t/2)^a) is infinite at zero, where shifts would never leave a row; e keeps it finite.
    """

    a: float = 0.75
    soft: float = 1e-3  # e

    def __post_init__(self) -> None:
        if not 0 < self.a <= 1:
            raise ValueError(f"The exponent of the kernel is {self.a}; expected above 0 and at most 1 (convex in t).")

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return self.soft**self.a - (0.5 * t + self.soft) ** self.a

    def log_weight(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        half = 0.5 * t + self.soft
        return (self.a - 1) * half.log() - half**self.a


@dataclass(frozen=True)
class Logistic:
    """sech^2(sqrt(t)/2), the density of the logistic distribution."""

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return -2 * _log_cosh(0.5 * t.sqrt())

    def log_weight(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        s = 0.5 * t.clamp(min=LEAST).sqrt()
        return self.log_height(t) + (torch.tanh(s) / s).log()


@dataclass(frozen=True)
class Secant:
    """sech(sqrt t), the density of the hyperbolic secant distribution; `sigmoid` in some books."""

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return -_log_cosh(t.sqrt())

    def log_weight(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        s = t.clamp(min=LEAST).sqrt()
        return self.log_height(t) + (torch.tanh(s) / s).log()


@dataclass(frozen=True)
class Cauchy:
    """1 / (1 + t): tails so heavy that every row counts everywhere."""

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return -torch.log1p(t)

    def log_weight(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return -2 * torch.log1p(t)


@dataclass(frozen=True)
class Epanechnikov:
    """1 - t up to a bandwidth, zero beyond: rows weigh alike or not at all."""

    def log_height(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return torch.log1p(-t.clamp(max=1.0))

    def log_weight(self, t: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        return torch.where(t <= 1, 0.0, -torch.inf).to(t)


def _log_cosh(s: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
    """log cosh of numbers of at least zero, without overflow."""
    return s + torch.log1p(torch.exp(-2 * s)) - math.log(2)
