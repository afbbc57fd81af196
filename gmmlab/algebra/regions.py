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

from gmmlab.algebra.conditioning import ordered
from gmmlab.axes import Bool, Float, Tensor
from gmmlab.families.conditioning import conditional
from gmmlab.model import Mixture


def cdf(mixture: Mixture, x: Float[Tensor, "n 1"]) -> Float[Tensor, "n"]:
    """P(X <= x) of a mixture of one column."""
    _check_one_column(mixture)
    z = (x.double() - mixture.gaussian.mean.T) / _sd(mixture)
    return (_ndtr(z) @ mixture.weights).to(x)


def quantile(mixture: Mixture, p: Float[Tensor, "n"]) -> Float[Tensor, "n 1"]:
    """The rows x with P(X <= x) = p, by bisection to the last digit; infinite for 0 and 1."""
    _check_one_column(mixture)
    shape = (len(p), mixture.k)
    weights, mean, sd = mixture.weights.expand(shape), mixture.gaussian.mean.T.expand(shape), _sd(mixture)
    return _bisect(weights, mean, sd.expand(shape), p.double())[:, None].to(p)


def regress_quantile(
    mixture: Mixture, x: Float[Tensor, "n o"], given: Sequence[int], target: int, p: float
) -> Float[Tensor, "n"]:
    """The p-quantile of one column given others: with two of them, a band around the curve of `regress`."""
    model = ordered(mixture, given, [target])
    part = conditional(model.gaussian, range(len(given)), x.double())
    resp, sd = model.gate.posterior(part.log_prob).resp, part.chol.flatten()
    return _bisect(resp, part.mean[:, :, 0], sd.expand_as(resp), resp.new_full((len(x),), p)).to(x)


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
    if mixture.k == 1:
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


def _bisect(
    weights: Float[Tensor, "n k"], mean: Float[Tensor, "n k"], sd: Float[Tensor, "n k"], p: Float[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """Quantiles of n mixtures. They lie between those of their components, where the bisection begins.

    Above the median it is the upper tail that is compared, whose digits 1 - F would lose.
    """
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"The probabilities go from {float(p.min())} to {float(p.max())}; expected them in [0, 1].")
    ends = torch.special.ndtri(p)
    step = torch.where(ends.isfinite(), ends, 0.0)[:, None] * sd
    alive, slack = weights > 0, 1e-3 * sd  # ndtri is right to fewer digits than the bisection
    low = torch.where(alive, mean + step - slack, torch.inf).amin(1)
    high = torch.where(alive, mean + step + slack, -torch.inf).amax(1)
    sign, tail = torch.where(p > 0.5, -1.0, 1.0).to(p), torch.minimum(p, 1 - p)
    finest = torch.finfo(p.dtype).eps * torch.where(alive, sd, torch.inf).amin(1)
    for _ in range(200):
        middle = low + (high - low) / 2
        mass = (weights * _ndtr(sign[:, None] * (middle[:, None] - mean) / sd)).sum(1)
        below = sign * (mass - tail) < 0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        if bool((high - low <= finest + torch.finfo(p.dtype).eps * high.abs()).all()):
            break
    return torch.where(ends.isfinite(), high, ends)


def _ndtr(z: Tensor) -> Tensor:
    """The normal distribution function; torch.special.ndtr loses the digits of the lower tail."""
    return 0.5 * torch.special.erfc(-z / math.sqrt(2))


def _sd(mixture: Mixture) -> Float[Tensor, "1 k"]:
    return mixture.gaussian.chol.reshape(1, -1)


def _check_one_column(mixture: Mixture) -> None:
    if mixture.d != 1:
        raise ValueError(
            f"The mixture has {mixture.d} columns; expected one. Take the marginal of one: marginal(mixture, [0])."
        )
