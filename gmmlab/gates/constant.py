"""Constant mixing weights, the same for every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates import dirichlet
from gmmlab.gates.around import Adding
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.groups import Groups
from gmmlab.record import Record
from gmmlab.stats import Counts

W = TypeVar("W", bound="LogWeights")  # as in `record`: beartype cannot check Self method by method


class LogWeights(Adding, Record):
    """How rows are assigned by one log weight for each component, whatever the weights are and come from."""

    log_w: Float[Tensor, "k"]

    @property
    def groups(self) -> Groups:
        """All components are of one mixture."""
        return Groups((len(self.log_w),))

    @property
    def n_parameters(self) -> int:
        """Free parameters: one weight follows from the others."""
        return len(self.log_w) - 1

    def at(self: W, rows: Float[Tensor, "n d"]) -> W:  # noqa: ARG002 - the protocol's arguments
        """The same: weights look at no row."""
        return self

    def marginal(self: W, columns: Sequence[int]) -> W:  # noqa: ARG002 - the protocol's arguments
        """The same: weights look at no column."""
        return self

    def stats(self, posterior: Posterior) -> Counts:
        """Rows counted by responsibility."""
        return Counts(posterior.resp.sum(0).double())  # a chunk is short: its own dtype will do


class Constant(LogWeights):
    """Log mixing weights pi_k; a component may have weight zero (log weight -inf).

    `alpha` are the parameters of a Dirichlet prior, if there is one: then a refit gives the mode of the posterior.
    """

    alpha: Float[Tensor, "k"] | None = None

    @classmethod
    def of(cls, weights: Float[Tensor, "k"]) -> Constant:
        """Weights in any scale; they are divided by their sum."""
        weights = weights.double()
        if not bool((weights >= 0).all()) or not bool(weights.sum() > 0):
            raise ValueError(f"The weights are {weights.tolist()}; expected numbers of at least 0, not all zero.")
        return cls((weights / weights.sum()).log())

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights, which sum to one."""
        return self.log_w.exp()

    def refit(self, stats: Counts) -> Constant:
        """Maximum-likelihood weights, w_k / sum_j w_j. See Bishop (2006), eq. 9.26."""
        w = dirichlet.counted(stats.w, self.alpha)
        return self.replace(log_w=(w / w.sum()).log())

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the weights, up to a constant; zero without a prior."""
        return dirichlet.log_density(self.log_w, self.alpha)

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """Labels of n rows."""
        return torch.multinomial(self.weights, n, replacement=True, generator=rng)
