"""What is believed about the sizes of groups: finite Dirichlet weights, broken sticks, the Chinese restaurant.

All have a concentration alpha, large for many groups, which can be drawn again given the groups. The first two have a
fixed number of components, some of which stay empty; they have weights to be drawn. The third has as many groups as the
rows ask for: the limit of both, in which the weights are integrated out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.sample.random import log_betas, log_dirichlet, log_gammas


class Gamma(NamedTuple):
    """A prior of the concentration: Gamma(shape, rate), with mean shape / rate."""

    shape: float = 1.0
    rate: float = 1.0


@runtime_checkable
class Process(Protocol):
    """A prior of partitions, given how many rows each group has."""

    def log_prob(self, w: Float[Tensor, "k"], alpha: float) -> float:
        """Log probability of the labels of rows."""

    def next(self, w: Float[Tensor, "k"], alpha: float) -> Float[Tensor, "j"]:
        """The probability that a next row falls into each group; the last entry is that of none of them."""

    def concentration(self, w: Float[Tensor, "k"], alpha: float, prior: Gamma, rng: torch.Generator) -> float:
        """A draw of alpha given the groups, that leaves its posterior as it is."""


@runtime_checkable
class Weights(Process, Protocol):
    """A process with a fixed number of components, whose weights are drawn."""

    k: int

    def draw(self, w: Float[Tensor, "k"], alpha: float, rng: torch.Generator) -> Float[Tensor, "k"]:
        """Log weights given the groups."""


@dataclass(frozen=True)
class Restaurant:
    """The Chinese restaurant: partitions of a Dirichlet process.

        log p = K log alpha + sum_k log Gamma(N_k) + log Gamma(alpha) - log Gamma(alpha + n)

    A next row joins a group in proportion to its rows, and founds one in proportion to alpha. See Antoniak (1974).
    """

    def log_prob(self, w: Float[Tensor, "k"], alpha: float) -> float:
        w = w[w > 0]
        founded = len(w) * math.log(alpha) + math.lgamma(alpha) - math.lgamma(alpha + float(w.sum()))
        return founded + float(torch.lgamma(w).sum())

    def next(self, w: Float[Tensor, "k"], alpha: float) -> Float[Tensor, "j"]:
        return torch.cat([w, w.new_tensor([alpha])]) / (w.sum() + alpha)

    def concentration(self, w: Float[Tensor, "k"], alpha: float, prior: Gamma, rng: torch.Generator) -> float:
        return _given_tables(float((w > 0).sum()), float(w.sum()), alpha, prior, rng)


@dataclass(frozen=True)
class Dirichlet:
    """k components with weights from Dirichlet(alpha / k, ..., alpha / k); sparse where alpha is small."""

    k: int

    def log_prob(self, w: Float[Tensor, "k"], alpha: float) -> float:
        share = w.new_tensor(alpha / self.k)
        each = torch.lgamma(w + share) - torch.lgamma(share)
        return float(each.sum()) + math.lgamma(alpha) - math.lgamma(alpha + float(w.sum()))

    def next(self, w: Float[Tensor, "k"], alpha: float) -> Float[Tensor, "j"]:
        return torch.cat([w + alpha / self.k, w.new_zeros(1)]) / (w.sum() + alpha)

    def draw(self, w: Float[Tensor, "k"], alpha: float, rng: torch.Generator) -> Float[Tensor, "k"]:
        return log_dirichlet(w + alpha / self.k, rng)

    def concentration(self, w: Float[Tensor, "k"], alpha: float, prior: Gamma, rng: torch.Generator) -> float:
        """Each component is a restaurant whose tables are drawn first. See Teh et al. (2006), appendix A."""
        share, most = alpha / self.k, int(w.max())
        seated = torch.arange(most).to(w)
        founds = torch.rand(len(w), most, generator=rng, dtype=torch.float64, device=rng.device).to(w)
        tables = (founds < share / (share + seated)) & (seated < w[:, None])
        return _given_tables(float(tables.sum()), float(w.sum()), alpha, prior, rng)


@dataclass(frozen=True)
class Sticks:
    """k weights broken from a stick, v_j ~ Beta(1, alpha): a Dirichlet process cut off after k components.

        pi_j = v_j prod_{l<j} (1 - v_l)        v_k = 1

    See Ishwaran and James (2001). The components have an order here: large groups tend to come first.
    """

    k: int

    def log_prob(self, w: Float[Tensor, "k"], alpha: float) -> float:
        a, b = self._broken(w, alpha)
        log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        return float(log_beta.sum()) + (self.k - 1) * math.log(alpha)  # Beta(1, alpha) is 1 / alpha

    def next(self, w: Float[Tensor, "k"], alpha: float) -> Float[Tensor, "j"]:
        a, b = self._broken(w, alpha)
        return torch.cat([_weights((a / (a + b)).log(), (b / (a + b)).log()).exp(), w.new_zeros(1)])

    def draw(self, w: Float[Tensor, "k"], alpha: float, rng: torch.Generator) -> Float[Tensor, "k"]:
        return _weights(*log_betas(*self._broken(w, alpha), rng))

    def concentration(self, w: Float[Tensor, "k"], alpha: float, prior: Gamma, rng: torch.Generator) -> float:
        """Given the sticks, which are drawn first, alpha has a gamma distribution."""
        _, rest = log_betas(*self._broken(w, alpha), rng)
        drawn = log_gammas(w.new_tensor(prior.shape + self.k - 1), rng).exp()
        return float(drawn / (prior.rate - rest.sum()))

    def _broken(self, w: Float[Tensor, "k"], alpha: float) -> tuple[Float[Tensor, "j"], Float[Tensor, "j"]]:
        """Parameters of the beta distributions of all sticks but the last, which is what the others leave."""
        later = w.sum() - w.cumsum(0)
        return 1 + w[:-1], alpha + later[:-1]


def _weights(log_v: Float[Tensor, "j"], log_rest: Float[Tensor, "j"]) -> Float[Tensor, "k"]:
    """Log weights from sticks."""
    before = torch.cat([log_rest.new_zeros(1), log_rest.cumsum(0)])
    return before + torch.cat([log_v, log_v.new_zeros(1)])


def _given_tables(tables: float, n: float, alpha: float, prior: Gamma, rng: torch.Generator) -> float:
    """A draw of alpha when n rows sit at so many tables, by a beta variable in between.

    eta ~ Beta(alpha + 1, n), then alpha ~ Gamma(a + K, b - log eta) with odds (a + K - 1) : n (b - log eta), and
    Gamma(a + K - 1, b - log eta) otherwise. See Escobar and West (1995), eq. 13.
    """
    one = torch.ones(1, dtype=torch.float64)
    log_eta, _ = log_betas((alpha + 1) * one, n * one, rng)
    rate = prior.rate - float(log_eta)
    more, less = prior.shape + tables - 1, n * rate
    extra = float(torch.rand((), generator=rng, dtype=torch.float64, device=rng.device)) < more / (more + less)
    return float(log_gammas((more + extra) * one, rng).exp()) / rate
