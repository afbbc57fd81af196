"""Mixing weights of which a posterior is known, not a value: finitely many with a Dirichlet prior.

Where weights are uncertain, rows are assigned by expected log weights. With rows w_k of each component, the posterior
and what it expects are

    pi ~ Dirichlet(a_k)      a_k = a0_k + w_k      E log pi_k = psi(a_k) - psi(sum_j a_j)      E pi_k = a_k / sum_j a_j

exp E log pi_k is smaller than E pi_k, the more so the fewer rows a component has: components of few rows lose them, and
surplus ones end empty. The sum over components is no density but a lower bound of one. See Attias (2000), and Bishop
(2006), section 10.2.
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.constant import LogWeights
from gmmlab.stats import Counts


class Expected(LogWeights):
    """Expected log weights `log_w` and expected weights `weights`; subclasses say of which posterior."""

    weights: Float[Tensor, "k"]

    def expected(self, stats: Counts) -> Float[Tensor, ""]:
        """Expected log probability of the assignments that these counts are of."""
        return (stats.w * self.log_w).sum()

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """Labels of n rows, drawn with the expected weights."""
        return torch.multinomial(self.weights, n, replacement=True, generator=rng)


class DirichletWeights(Expected):
    """A Dirichlet posterior with parameters `alpha`; those of its prior are `alpha0`."""

    alpha: Float[Tensor, "k"]
    alpha0: Float[Tensor, "k"]

    @classmethod
    def of(cls, alpha0: Float[Tensor, "k"], w: Float[Tensor, "k"] | None = None) -> DirichletWeights:
        """The posterior after w rows of each component, none unless given. Raises `ValueError` unless alpha0 > 0."""
        if not bool((torch.isfinite(alpha0) & (alpha0 > 0)).all()):
            raise ValueError(f"The prior of the weights is {alpha0.tolist()}; expected finite numbers above 0.")
        alpha = alpha0.double() if w is None else alpha0.double() + w
        total = alpha.sum()
        return cls(torch.digamma(alpha) - torch.digamma(total), alpha / total, alpha, alpha0.double())

    def refit(self, stats: Counts) -> DirichletWeights:
        """The posterior after the rows that were counted. See Bishop (2006), eq. 10.58."""
        return self.of(self.alpha0, stats.w)

    def penalty(self) -> Float[Tensor, ""]:
        """Minus the Kullback-Leibler divergence of the posterior from the prior."""
        moved = ((self.alpha - self.alpha0) * self.log_w).sum()
        return _log_norm(self.alpha) - self.settled - moved

    @property
    def settled(self) -> Float[Tensor, ""]:
        """The part of the penalty that no refit changes, with its sign turned: the log integral of the prior."""
        return _log_norm(self.alpha0)


def _log_norm(alpha: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    return torch.lgamma(alpha).sum() - torch.lgamma(alpha.sum())
