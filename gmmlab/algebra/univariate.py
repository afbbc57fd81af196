"""One column of a mixture, alone or given others: its density, distribution function, quantiles and mean.

    p(y | x_o) = sum_k r_k(x_o) p_k(y | x_o) + r_0(x_o) u(y)

Gaussians given some columns are Gaussians. Student's t with nu degrees of freedom, given o columns at the squared
distance delta_o, is Student's t with nu + o of them and the scale (nu + delta_o) / (nu + o) Sigma_{y|o}; noise stays
uniform. So every family gives bells of one shape, moved and stretched, and one class holds them. See Ding (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.algebra.conditioning import marginal, ordered
from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families.conditioning import conditional
from gmmlab.families.parts import dof_of, ellipsoids, squared_distances
from gmmlab.gates import Noisy, Posterior
from gmmlab.kernels.tails import student_cdf, student_quantile
from gmmlab.model import Mixture


class Univariate(NamedTuple):
    """b distributions of one column: mixtures of k bells, and noise that is uniform in an interval."""

    weights: Float[Tensor, "b k"]
    centre: Float[Tensor, "b k"]
    scale: Float[Tensor, "b k"]  # standard deviations of Gaussians, scales of Student's t
    dof: Float[Tensor, "k"]  # infinite for Gaussians
    none: Float[Tensor, "b"]  # weight of the noise
    low: Float[Tensor, ""]  # the interval of the noise, zero to one where there is none
    high: Float[Tensor, ""]

    def parts(self, y: Float[Tensor, "#b g"]) -> Float[Tensor, "b k g"]:
        """The density at each point that is due to each component, r_k p_k(y); the noise is what they lack."""
        scale = self.scale[:, :, None]
        z, nu = (y[:, None] - self.centre[:, :, None]) / scale, self.dof[:, None]
        gauss = -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
        if bool(self.dof.isinf().all()):
            return self.weights[:, :, None] * gauss.exp() / scale
        constant = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * (nu * math.pi).log()
        student = constant - (nu + 1) / 2 * torch.log1p(z.square() / nu)
        return self.weights[:, :, None] * torch.where(nu.isinf(), gauss, student).exp() / scale

    def prob(self, y: Float[Tensor, "#b g"]) -> Float[Tensor, "b g"]:
        """The density at g points, the same for all distributions or another row for each."""
        inside = ((y >= self.low) & (y <= self.high)).to(self.none)
        return self.parts(y.double()).sum(1) + self.none[:, None] * inside / (self.high - self.low)

    def cdf(self, y: Float[Tensor, "#b g"]) -> Float[Tensor, "b g"]:
        """P(Y <= y), right in the lower tail to the last digits."""
        return self._tail(y.double(), torch.ones_like(self.none)[:, None])

    def mean(self) -> Float[Tensor, "b"]:
        """E[Y], noise included; NaN where a component has none (Student's t with at most one degree of freedom)."""
        centre = torch.where(self.dof > 1, self.centre, torch.nan)
        return (self.weights * centre).sum(1) + self.none * (self.low + self.high) / 2

    def quantile(self, p: Float[Tensor, "q"]) -> Float[Tensor, "b q"]:
        """The y with P(Y <= y) = p, by bisection to the last digit; infinite for 0 and 1.

        It lies between the quantiles of the parts, where the bisection begins. Above the median it is the upper tail
        that is compared, whose digits 1 - F would lose.
        """
        p = p.double()
        if not bool(((p >= 0) & (p <= 1)).all()):
            raise ValueError(
                f"The probabilities go from {float(p.min())} to {float(p.max())}; expected them in [0, 1]."
            )
        inner = torch.where((p > 0) & (p < 1), p, 0.5)
        low, high = self._brackets(inner)
        sign, tail = torch.where(p > 0.5, -1.0, 1.0).to(p), torch.minimum(inner, 1 - inner)
        eps = torch.finfo(p.dtype).eps
        finest = eps * torch.where(self.weights > 0, self.scale, torch.inf).amin(1, keepdim=True)
        for _ in range(200):
            middle = low + (high - low) / 2
            below = sign * (self._tail(middle, sign) - tail) < 0
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            if bool((high - low <= finest + eps * high.abs()).all()):
                break
        return torch.where(p == 0, -torch.inf, torch.where(p == 1, torch.inf, high))

    def without_noise(self) -> Univariate:
        """The same of rows that belong to a component; unchanged where no component has any weight."""
        total = self.weights.sum(1)
        clean = total > 0
        weights = self.weights / torch.where(clean, total, 1.0)[:, None]
        return self._replace(weights=weights, none=torch.where(clean, 0.0, self.none))

    def _tail(self, y: Tensor, sign: Tensor) -> Float[Tensor, "b g"]:
        """P(Y <= y) where the sign is 1, P(Y >= y) where it is -1."""
        share = ((torch.where(sign > 0, y - self.low, self.high - y)) / (self.high - self.low)).clamp(0, 1)
        mass = self.none[:, None] * share
        for k, nu in enumerate(self.dof.tolist()):  # a table of all components may be large
            z = sign * (y - self.centre[:, k, None]) / self.scale[:, k, None]
            mass = mass + self.weights[:, k, None] * (_ndtr(z) if nu == torch.inf else student_cdf(z, nu))
        return mass

    def _brackets(self, p: Float[Tensor, "q"]) -> tuple[Float[Tensor, "b q"], Float[Tensor, "b q"]]:
        """The least and the greatest p-quantile of the parts that have weight."""
        gauss = torch.special.ndtri(p)
        steps = [gauss if nu == torch.inf else student_quantile(p, nu) for nu in self.dof.tolist()]
        scale = self.scale[:, :, None]
        at, slack = self.centre[:, :, None] + scale * torch.stack(steps), 1e-3 * scale  # bisection has more digits
        noise = self.low + p * (self.high - self.low)
        at = torch.cat([at, noise.expand(len(at), 1, -1)], dim=1)
        slack = torch.cat([slack, torch.full_like(slack[:, :1], 1e-9) * (self.high - self.low)], dim=1)
        alive = torch.cat([self.weights, self.none[:, None]], dim=1)[:, :, None] > 0
        low = torch.where(alive, at - slack, torch.inf).amin(1)
        return low, torch.where(alive, at + slack, -torch.inf).amax(1)


def column(mixture: Mixture, target: int) -> Univariate:
    """The distribution of one column (b = 1): its marginal."""
    return column_given(mixture, target, [], mixture.weights.new_zeros(1, 0))


@torch.no_grad()
def column_given(mixture: Mixture, target: int, given: Sequence[int], values: Float[Tensor, "b o"]) -> Univariate:
    """The distributions of one column, given b rows of values of others; for every family, with noise or without.

    Computed in float64; it holds b k o numbers. Raises `BadData` where the values are missing, or so far away that no
    component has a density there.
    """
    if values.shape[1] != len(given):
        raise ValueError(
            f"There are values for {values.shape[1]} column(s); expected {len(given)}, one for each given."
        )
    part, o, values = ordered(mixture, given, [target]), len(given), values.double()
    ellipses, dof = ellipsoids(part.components), dof_of(part.components)
    rest = conditional(ellipses, range(o), values)
    posterior = _posterior(part, values)
    centre, scale = rest.mean[:, :, 0], rest.chol.flatten().expand_as(posterior.resp)
    if o and bool(dof.isfinite().any()):
        delta = squared_distances(ellipsoids(marginal(part, range(o)).components), values)
        scale = torch.where(dof.isfinite(), scale * ((dof + delta) / (dof + o)).sqrt(), scale)
    none = posterior.resp.new_zeros(len(values)) if posterior.none is None else posterior.none
    gate = part.gate.marginal([o])
    low, high = (gate.low[0], gate.high[0]) if isinstance(gate, Noisy) else (none.new_zeros(()), none.new_ones(()))
    return Univariate(posterior.resp, centre, scale, dof + o, none, low.double(), high.double())


def _posterior(part: Mixture, values: Float[Tensor, "b o"]) -> Posterior:
    """Responsibilities given the first columns; the mixing weights for none."""
    o = values.shape[1]
    gate = part.gate.marginal(range(o))
    table = torch.cat(list(marginal(part, range(o)).tables(values))) if o else values.new_zeros(len(values), part.k)
    posterior = gate.posterior(table.double())
    if not bool(posterior.resp.isfinite().all()):
        raise BadData(
            "No component has a density at these values: they are NaN, infinite, or so far away that squares overflow. "
            "Expected finite values on the scale of the data; leave a column out whose value is not known."
        )
    return posterior


def _ndtr(z: Tensor) -> Tensor:
    """The normal distribution function; torch.special.ndtr loses the digits of the lower tail."""
    return 0.5 * torch.special.erfc(-z / math.sqrt(2))
