"""Assignments made softer or harder by a temperature, for deterministic annealing.

    r_ik = (pi_k p_k(x_i))^(1 / T) / sum_j (pi_j p_j(x_i))^(1 / T)        F_i = T log sum_j (pi_j p_j(x_i))^(1 / T)

T = 1 is EM. Above it rows belong to many components, and the objective F has fewer optima; at T below 1 they belong to
one. EM steps never lower the sum of F at a fixed T. See Ueda and Nakano (1998), eqs. 11-14.
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.around import Around
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.logspace import normalise_
from gmmlab.record import static


class Tempered(Around):
    """Another gate at a temperature. It assigns, and its statistics are those of the other, which refits from them."""

    temperature: float = static(default=1.0)

    def outcomes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
        """Tempered log densities of each row together with all that it may belong to."""
        return self.gate.outcomes(table) / self.temperature

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """The same with the components alone."""
        return self.gate.joint(table) / self.temperature

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """The objective F of each row."""
        return self.temperature * torch.logsumexp(self.outcomes(table), dim=1)

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Tempered responsibilities, and F."""
        resp, evidence = normalise_(self.outcomes(table))
        k = table.shape[1]
        return Posterior(resp[:, :k], self.temperature * evidence, resp[:, k] if resp.shape[1] > k else None)

    posterior_ = posterior  # the quotient is another table

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row, at any temperature that of the gate."""
        return self.gate.assign(table)
