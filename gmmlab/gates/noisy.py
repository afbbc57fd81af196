"""Constant mixing weights, and a uniform background for rows that belong to no component.

    p(x) = sum_k pi_k p_k(x) + pi_0 / V        sum_k pi_k + pi_0 = 1

V is the volume of a box around the data. Noise is a way of assigning rows to none, so the components stay what they are
and their number too. See Banfield and Raftery (1993), and Fraley and Raftery (2002).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates import dirichlet
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.logspace import normalise_
from gmmlab.record import Record, shared
from gmmlab.stats import NoisyCounts


class Noisy(Record):
    """Log mixing weights pi_k, the log weight of the noise, and its box from `low` to `high`.

    The density of the noise is 1 / V beyond the box too: a gate sees densities, not rows. `alpha` are the parameters of
    a Dirichlet prior of the components' weights, if there is one; the noise has 1.
    """

    log_w: Float[Tensor, "k"]
    log_none: Float[Tensor, ""] = shared()
    low: Float[Tensor, "d"] = shared()
    high: Float[Tensor, "d"] = shared()
    alpha: Float[Tensor, "k"] | None = None

    @classmethod
    def of(cls, weights: Float[Tensor, "k"], none: float, low: Float[Tensor, "d"], high: Float[Tensor, "d"]) -> Noisy:
        """Weights of the components in any scale, which share what the weight `none` of the noise leaves.

        Raises `ValueError` for weights that are no weights, and a box without volume.
        """
        weights, low, high = weights.double(), low.double(), high.double()
        if not bool((weights >= 0).all()) or not bool(weights.sum() > 0):
            raise ValueError(f"The weights are {weights.tolist()}; expected numbers of at least 0, not all zero.")
        if not 0 <= none < 1:
            raise ValueError(f"The weight of the noise is {none}; expected a number from 0 to below 1.")
        if flat := (~(high > low)).nonzero().flatten().tolist():
            raise ValueError(
                f"The box of the noise has no width along column {flat[0]} (from {float(low[flat[0]]):g} to "
                f"{float(high[flat[0]]):g}); expected low below high. Leave constant columns out."
            )
        return cls((weights / weights.sum() * (1 - none)).log(), weights.new_tensor(none).log(), low, high)

    @classmethod
    def around(cls, x: Float[Tensor, "n d"], weights: Float[Tensor, "k"], none: float) -> Noisy:
        """Noise in the bounding box of the rows."""
        return cls.of(weights, none, x.amin(0), x.amax(0))

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights of the components, which sum to one less the weight of the noise."""
        return self.log_w.exp()

    @property
    def none(self) -> Float[Tensor, ""]:
        """Weight of the noise."""
        return self.log_none.exp()

    @property
    def n_parameters(self) -> int:
        """Free parameters: k weights, as that of the noise follows, and the volume of the box."""
        return len(self.log_w) + 1

    def at(self, rows: Float[Tensor, "n d"]) -> Noisy:  # noqa: ARG002 - the protocol's arguments
        """The same: weights look at no row."""
        return self

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row together with each component."""
        return table + self.log_w.to(table)

    def outcomes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
        """The joint table with the noise as its last column."""
        level = self.log_none - (self.high - self.low).log().sum()
        return torch.cat([self.joint(table), level.to(table).expand(len(table), 1)], dim=1)

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Log density of each row, log (sum_k pi_k p_k(x) + pi_0 / V)."""
        return torch.logsumexp(self.outcomes(table), dim=1)

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities pi_k p_k(x) / p(x), the evidence, and the probability of noise."""
        resp, evidence = normalise_(self.outcomes(table))
        return Posterior(resp[:, :-1], evidence, resp[:, -1])

    posterior_ = posterior  # the table grows by a column: its memory cannot be taken

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row; -1 where noise is more probable than any."""
        best = self.outcomes(table).max(1).indices
        return torch.where(best == table.shape[1], -1, best)

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n"]) -> Posterior:
        """Rows that count `weight` times."""
        assert posterior.none is not None
        return Posterior(posterior.resp * weight[:, None], posterior.evidence * weight, posterior.none * weight)

    def stats(self, posterior: Posterior) -> NoisyCounts:
        """Rows counted by responsibility, and by the probability of noise."""
        assert posterior.none is not None
        return NoisyCounts(posterior.resp.sum(0, dtype=torch.float64), none=posterior.none.sum(dtype=torch.float64))

    def refit(self, stats: NoisyCounts) -> Noisy:
        """Maximum-likelihood weights: shares of the rows. The box stays."""
        w = dirichlet.counted(stats.w, self.alpha)
        total = w.sum() + stats.none
        return self.replace(log_w=(w / total).log(), log_none=(stats.none / total).log())

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the weights, up to a constant; zero without a prior."""
        return dirichlet.log_density(self.log_w, self.alpha)

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """Labels of n rows; -1 for noise."""
        z = torch.multinomial(torch.cat([self.weights, self.none[None]]), n, replacement=True, generator=rng)
        return torch.where(z == len(self.log_w), -1, z)

    def noise(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """n rows, uniform in the box."""
        u = torch.rand(n, len(self.low), generator=rng, dtype=torch.float64, device=rng.device).to(self.low)
        return self.low + (self.high - self.low) * u

    def marginal(self, columns: Sequence[int]) -> Noisy:
        """The gate of rows of which only some columns are seen."""
        return self.replace(low=self.low[list(columns)], high=self.high[list(columns)])
