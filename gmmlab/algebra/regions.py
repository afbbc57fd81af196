"""How much of the mass lies where: distribution function and quantiles in one dimension, highest-density regions.

    F(x) = sum_k pi_k Phi((x - mu_k) / sigma_k)

The region of highest density {x : p(x) >= t} holds more mass than any other set of its size; its threshold t for a mass
of, say, 0.95 is the 5 % quantile of p(X) when X comes from p, which a sample gives in any dimension. See Hyndman
(1996).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.algebra.univariate import column, column_given
from gmmlab.axes import Bool, Float, Tensor
from gmmlab.families import Gaussian
from gmmlab.gates import Noisy
from gmmlab.model import Mixture


def cdf(mixture: Mixture, x: Float[Tensor, "n 1"]) -> Float[Tensor, "n"]:
    """P(X <= x) of a mixture of one column."""
    _check_one_column(mixture)
    return column(mixture, 0).cdf(x.T)[0].to(x)


def quantile(mixture: Mixture, p: Float[Tensor, "n"]) -> Float[Tensor, "n 1"]:
    """The rows x with P(X <= x) = p, by bisection to the last digit; infinite for 0 and 1."""
    _check_one_column(mixture)
    return column(mixture, 0).quantile(p).T.to(p)


def regress_quantile(
    mixture: Mixture, x: Float[Tensor, "n o"], given: Sequence[int], target: int, p: float
) -> Float[Tensor, "n"]:
    """The p-quantile of one column given others: with two of them, a band around the curve of `regress`.

    For rows that belong to a component: like that curve, it leaves noise out.
    """
    line = column_given(mixture, target, given, x).without_noise()
    return line.quantile(line.scale.new_tensor([p]))[:, 0].to(x)


class Level(NamedTuple):
    """The threshold of a region of highest density: its log density, and the standard error of that."""

    log_density: float
    error: float

    @torch.no_grad()
    def contains(self, mixture: Mixture, x: Float[Tensor, "n d"]) -> Bool[Tensor, "n"]:
        """Whether each row lies in the region."""
        return mixture.log_prob(x) >= self.log_density


@torch.no_grad()
def level_set(mixture: Mixture, mass: float, rng: torch.Generator, n: int = 100_000) -> Level:
    """The threshold of the region of highest density that holds `mass`, from n draws.

    Its standard error is half the distance between the order statistics one standard deviation of the count to either
    side. Exact, without a draw, for a single component, where 2 (log p(mu) - log p(X)) is chi-square with d degrees of
    freedom.
    """
    if not 0 < mass < 1:
        raise ValueError(f"The mass of the region is {mass}; expected a number between 0 and 1.")
    if n < 100:
        raise ValueError(f"A threshold was asked for from {n} draws; expected at least 100.")
    if mixture.k == 1 and isinstance(mixture.components, Gaussian) and not isinstance(mixture.gate, Noisy):
        return Level(_one_component(mixture, mass), 0.0)
    values = mixture.log_prob(mixture.sample(n, rng)[0]).sort().values
    side = math.sqrt(mass * (1 - mass) / n)
    low, level, high = (
        float(values[min(max(round((1 - mass + by) * (n - 1)), 0), n - 1)]) for by in (-side, 0.0, side)
    )
    return Level(level, (high - low) / 2)


def _one_component(mixture: Mixture, mass: float) -> float:
    from scipy.special import gammaincinv  # the chi-square quantile is twice that of a gamma variable

    top = mixture.log_prob(mixture.gaussian.mean.to(mixture.gaussian.origin))
    return float(top) - float(gammaincinv(mixture.d / 2, mass))


def _check_one_column(mixture: Mixture) -> None:
    if mixture.d != 1:
        raise ValueError(
            f"The mixture has {mixture.d} columns; expected one. Take the marginal of one: marginal(mixture, [0])."
        )
