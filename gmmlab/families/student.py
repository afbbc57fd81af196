"""Multivariate Student-t components: Gaussians whose scale varies from row to row, for data with outliers.

    x | u ~ N(mu_k, Sigma_k / u)    u ~ Gamma(nu_k / 2, rate nu_k / 2)

    log t(x) = log Gamma((nu + d) / 2) - log Gamma(nu / 2) - d/2 log(nu pi) - 1/2 log|Sigma|
               - (nu + d) / 2 log(1 + delta / nu)              delta = (x - mu)' Sigma^-1 (x - mu)

The quadratic form delta is that of the Gaussian with the scale matrix Sigma, so any covariance structure will do. See
Peel and McLachlan (2000), and Liu and Rubin (1995) for the degrees of freedom nu.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.built import Built
from gmmlab.kernels.chunks import Buffers
from gmmlab.kernels.special import inverse_log_digamma
from gmmlab.record import static
from gmmlab.stats import Additive, Moments


@runtime_checkable
class Dof(Protocol):
    """What is known about the degrees of freedom."""

    def refit(self, target: Float[Tensor, "k"], w: Float[Tensor, "k"], old: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        """Degrees of freedom nu with log(nu / 2) - digamma(nu / 2) equal to `target`, which w rows determined."""

    def n_parameters(self, k: int) -> int:
        """Free parameters."""


@dataclass(frozen=True)
class Own:
    """Every component has its own degrees of freedom, kept between `low` and `high`."""

    low: float = 0.01
    high: float = 1e6  # above it the density is a Gaussian's to six digits, and its likelihood flat

    def refit(self, target: Float[Tensor, "k"], w: Float[Tensor, "k"], old: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        return (2 * inverse_log_digamma(target)).clamp(self.low, self.high)

    def n_parameters(self, k: int) -> int:
        return k


@dataclass(frozen=True)
class Common:
    """One number for all components, kept between `low` and `high`."""

    low: float = Own.low
    high: float = Own.high

    def refit(self, target: Float[Tensor, "k"], w: Float[Tensor, "k"], old: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        pooled = torch.where(w > 0, target * w, 0.0).sum() / w.sum()
        return Own(self.low, self.high).refit(pooled.expand_as(target), w, old)

    def n_parameters(self, k: int) -> int:
        return 1


@dataclass(frozen=True)
class Fixed:
    """The degrees of freedom stay what they are."""

    def refit(self, target: Float[Tensor, "k"], w: Float[Tensor, "k"], old: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        return old

    def n_parameters(self, k: int) -> int:
        return 0


class Scaled(Additive):
    """What rows say about components whose scale varies: moments of rows that count u times, rows, and their log u - u.

    Both are expectations given the row, so that the statistic does not depend on the parameters it was taken at.
    """

    moments: Moments
    w: Float[Tensor, "k"]
    log_u: Float[Tensor, "k"]  # sum_i r_ik E[log u - u]


class Student(Built):
    """k Student-t distributions: Gaussians, which hold means and scale matrices, and degrees of freedom.

    A ridge, or a prior, of the Gaussians is one of the scale matrices.
    """

    dof: Float[Tensor, "k"]
    rule: Dof = static(default=Own())

    @property
    def mean(self) -> Float[Tensor, "k d"]:
        """Centres, which are the means where there is one (dof above 1)."""
        return self.gaussian.mean

    @property
    def scale(self) -> Float[Tensor, "k d d"]:
        """Scale matrices Sigma; the covariances are nu / (nu - 2) times as large, for dof above 2."""
        return self.gaussian.cov

    @property
    def n_parameters(self) -> int:
        """Free parameters of centres, scale matrices and degrees of freedom."""
        return self.gaussian.n_parameters + self.rule.n_parameters(self.k)

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return self.gaussian.width + 2 * self.k

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log density of each row under each component."""
        nu, d = self.dof, self.d
        constant = torch.lgamma((nu + d) / 2) - torch.lgamma(nu / 2) - 0.5 * d * (nu * math.pi).log()
        constant = constant - 0.5 * self._log_det
        tail = torch.log1p(self._delta(features) / nu.to(features))
        return constant.to(features) - (0.5 * (nu + d)).to(features) * tail

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Scaled:
        """Moments of rows that count E[u] = (nu + d) / (nu + delta) times, and the sum of E[log u - u].

        E[log u] = log E[u] + digamma((nu + d) / 2) - log((nu + d) / 2). See Liu and Rubin (1995).
        """
        half = 0.5 * (self.dof + self.d)
        u = (2 * half).to(features) / (self.dof.to(features) + self._delta(features))
        w = resp.sum(0, dtype=torch.float64)
        log_u = (resp * (u.log() - u)).sum(0, dtype=torch.float64) + w * (torch.digamma(half) - half.log())
        return Scaled(self.gaussian.stats(features, resp * u), w, log_u)

    def refit(self, stats: Scaled) -> Student:
        """The maximum of the expected log-likelihood.

        Centres and scale matrices are those of Gaussians, from moments that weigh rows by u and scatter that is divided
        by rows. The degrees of freedom solve log(nu / 2) - digamma(nu / 2) + 1 + (sum E[log u - u]) / w = 0, within the
        limits of the rule; components without rows keep theirs. See Peel and McLachlan (2000).
        """
        seen = stats.w > torch.finfo(torch.float64).eps
        target = torch.where(seen, -1 - stats.log_u / torch.where(seen, stats.w, 1.0), 0.0)
        dof = self.rule.refit(target, stats.w, self.dof)
        gaussian = self.gaussian.refit(stats.moments, rows=stats.w)
        return self.replace(gaussian=gaussian, dof=torch.where(seen, dof, self.dof))

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of centres and scale matrices, up to a constant; zero without a prior."""
        return self.gaussian.penalty()

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """One draw for each label: a Gaussian one, moved away from the centre by u^-1/2."""
        half = 0.5 * self.dof[z]
        u = torch._standard_gamma(half.to(rng.device), generator=rng).to(half) / half  # distributions take no generator
        centre = self.mean[z]
        return centre + (self.gaussian.sample(z, rng) - centre) / u.sqrt()[:, None]

    def _delta(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "n k"]:
        """Squared Mahalanobis distance of each row to each centre, out of the Gaussian log density."""
        peak = -0.5 * (self.d * math.log(2 * math.pi) + self._log_det)
        return (2 * (peak.to(features) - self.gaussian.table(features))).clamp(min=0)
