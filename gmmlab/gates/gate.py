"""What a mixture asks of its gate.

A gate may look at more of its rows than their densities: `at` gives the gate of just these rows. That one assigns them
and takes their statistics, from which the gate itself is refitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.posterior import Posterior


@runtime_checkable
class Gate(Protocol):
    """How rows are assigned, given their log densities under each component."""

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights of the components."""

    @property
    def n_parameters(self) -> int:
        """Free parameters, as information criteria count them."""

    def at(self, rows: Float[Tensor, "n d"]) -> Any:
        """The gate of these rows, whose tables have a line for each; itself where it does not look at rows."""

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row together with each component."""

    def outcomes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
        """The same with a last column for belonging to none, where rows may."""

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n ..."]:
        """Log density of each row; differentiable."""

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities and evidence."""

    def posterior_(self, table: Float[Tensor, "n k"]) -> Posterior:
        """The same in the memory of the table, which is overwritten."""

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row; -1 for rows that belong to none."""

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n ..."]) -> Posterior:
        """Responsibilities and evidence of rows that count `weight` times."""

    def stats(self, posterior: Posterior) -> Any:
        """Additive statistics of the responsibilities of a chunk."""

    def refit(self, stats: Any) -> Any:
        """The same kind of gate, at the maximum of its expected log-likelihood."""

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the parameters, up to a constant; zero without a prior."""

    def marginal(self, columns: Sequence[int]) -> Any:
        """The gate of rows of which only these columns are seen."""

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """Labels of n rows."""
