"""Constant weights of many mixtures whose components are stacked along k.

One pass over the rows serves all of them: the table has the components of every mixture, each mixture normalises its
own columns, and the evidence has one column per mixture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.logspace import normalise_
from gmmlab.record import Record, static
from gmmlab.stats import Counts


class Stacked(Record):
    """Log mixing weights, which sum to one within each of the `groups`; fastest when equal sizes stand together."""

    log_w: Float[Tensor, "k"]
    groups: Groups = static()

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights; those of each mixture sum to one."""
        return self.log_w.exp()

    @property
    def n_parameters(self) -> int:
        """Free parameters of all mixtures."""
        return self.groups.k - self.groups.g

    def at(self, rows: Float[Tensor, "n d"]) -> Stacked:  # noqa: ARG002 - the protocol's arguments
        """The same: weights look at no row."""
        return self

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row together with each component."""
        return table + self.log_w.to(table)

    def outcomes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:  # noqa: ARG002 - the protocol's arguments
        """Raises `TypeError`: the components of a stack are not one choice."""
        raise TypeError("A stack of mixtures has no single choice of a component; take one of them first.")

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n g"]:
        """Log density of each row under each mixture."""
        parts = self.groups.blocks(self.joint(table).T)
        return torch.cat([torch.logsumexp(part, dim=1) for part in parts]).T

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities, which sum to one within each mixture, and the evidence of each mixture."""
        return self.posterior_(table.clone())

    def posterior_(self, table: Float[Tensor, "n k"]) -> Posterior:
        """The same in the memory of the table, which is overwritten."""
        joint = table.add_(self.log_w.to(table))
        evidence = [normalise_(part, dim=1)[1] for part in self.groups.blocks(joint.T)]
        return Posterior(joint, torch.cat(evidence).T)

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n g"]:
        """Most probable component of each row under each mixture."""
        parts = self.groups.blocks(self.joint(table).T)
        return torch.cat([part.max(1).indices for part in parts]).T

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n ..."]) -> Posterior:
        """Rows that count `weight` times: the same for all mixtures (n), or another for each (n, g)."""
        weight = weight if weight.ndim == 2 else weight[:, None]
        own = weight[:, self.groups.owner(weight.device)] if weight.shape[1] > 1 else weight
        return Posterior(posterior.resp * own, posterior.evidence * weight)

    def stats(self, posterior: Posterior) -> Counts:
        """Rows counted by responsibility."""
        return Counts(posterior.resp.sum(0).double())

    def refit(self, stats: Counts) -> Stacked:
        """Maximum-likelihood weights of each mixture."""
        total = self.groups.spread(self.groups.sum(stats.w))
        return self.replace(log_w=(stats.w / total).log())

    def penalty(self) -> Float[Tensor, ""]:
        """Zero: stacked weights have no prior."""
        return self.log_w.new_zeros(())

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:  # noqa: ARG002 - the protocol's arguments
        """Raises `TypeError`: a stack is no distribution."""
        raise TypeError("A stack of mixtures has no single distribution to draw from; take one of them first.")

    def marginal(self, columns: Sequence[int]) -> Stacked:  # noqa: ARG002 - the protocol's arguments
        """The same: weights look at no column."""
        return self
