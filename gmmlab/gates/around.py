"""What gates have in common that stand around another one, and what those have that add a log weight to densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.gate import Gate
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.logspace import normalise_
from gmmlab.record import Record


class Around(Record):
    """A gate around another one: it assigns otherwise, by the parameters of the other, which are refitted as ever."""

    gate: Gate

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights of the gate."""
        return self.gate.weights

    @property
    def n_parameters(self) -> int:
        """Free parameters of the gate."""
        return self.gate.n_parameters

    def at(self, rows: Float[Tensor, "n d"]) -> Any:
        """The same around the gate of these rows."""
        return self.replace(gate=self.gate.at(rows))

    def marginal(self, columns: Sequence[int]) -> Any:
        """The same for rows of which only these columns are seen."""
        return self.replace(gate=self.gate.marginal(columns))

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n ..."]) -> Posterior:
        """Rows that count `weight` times."""
        return self.gate.weigh(posterior, weight)

    def stats(self, posterior: Posterior) -> Any:
        """Those of the gate."""
        return self.gate.stats(posterior)

    def refit(self, stats: Any) -> Any:
        """The same around the gate refitted."""
        return self.replace(gate=self.gate.refit(stats))

    def penalty(self) -> Float[Tensor, ""]:
        """That of the gate."""
        return self.gate.penalty()

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """Labels of n rows, as the gate draws them."""
        return self.gate.sample(n, rng)


class Adding:
    """Rows are assigned by their log densities with `log_w` added: one line for all of them, or one for each."""

    log_w: Any

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row together with each component."""
        return table + self.log_w.to(table)

    outcomes = joint  # every row belongs to a component

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Log density of each row, log sum_k pi_k p_k(x)."""
        return torch.logsumexp(self.joint(table), dim=1)

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities pi_k p_k(x) / p(x) and evidence. See Bishop (2006), eq. 9.23."""
        return self.posterior_(table.clone())

    def posterior_(self, table: Float[Tensor, "n k"]) -> Posterior:
        """The same in the memory of the table, which is overwritten."""
        return Posterior(*normalise_(table.add_(self.log_w.to(table))))

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row."""
        return self.joint(table).max(1).indices  # argmax is seven times slower along this axis

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n"]) -> Posterior:
        """Rows that count `weight` times."""
        return Posterior(posterior.resp * weight[:, None], posterior.evidence * weight)
