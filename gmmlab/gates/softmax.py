"""Mixing weights that follow some columns of the rows by a softmax.

    pi_k(x) = exp(w_k' z) / sum_l exp(w_l' z),      z = (1, (x - origin) / scale)

The gate of mixtures of experts: x says which expert answers. Weights that differ by the same vector for all components
are the same gate; here they are centred. There is no finite statistic, but gradient and curvature add over rows at one
point, and a refit is a step from them that never lowers the expected log-likelihood: see `kernels/multinomial.py`. See
Jacobs, Jordan, Nowlan and Hinton (1991), and Jordan and Jacobs (1994) for EM with such steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.around import Adding, Around
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels import multinomial
from gmmlab.record import Record, shared, static
from gmmlab.stats import Curved, Slopes


class Softmax(Record):
    """Weights `w` of k components, the first for the constant, the others for the `columns` that the gate looks at.

    `at` binds it to rows; alone it assigns none. `share` are the mixing weights over the rows that it was last refitted
    from. A `ridge` is the penalty ridge/2 |w|^2 on all but the constants. Where it is not `curved`, refits do without
    second derivatives: cheaper steps for many columns, and more of them.
    """

    w: Float[Tensor, "k c"]
    share: Float[Tensor, "k"]
    origin: Float[Tensor, "p"] = shared()
    scale: Float[Tensor, "p"] = shared()
    columns: tuple[int, ...] = static()
    ridge: float = static(default=0.0)
    curved: bool = static(default=True)

    @classmethod
    def of(
        cls,
        slopes: Float[Tensor, "k p"],
        intercepts: Float[Tensor, "k"],
        rows: Float[Tensor, "n d"],
        columns: Sequence[int],
        *,
        ridge: float = 0.0,
        curved: bool = True,
    ) -> Softmax:
        """A gate with log odds `slopes x + intercepts`, up to what is common to all; scaled to the rows."""
        x = rows[:, list(columns)].double()
        origin, scale = x.mean(0), _spread(x)
        level = intercepts.double() + slopes.double() @ origin
        w = torch.cat([level[:, None], slopes.double() * scale], 1)
        w = w - w.mean(0)
        gate = cls(w, torch.softmax(w[:, 0], 0), origin, scale, tuple(columns), ridge, curved)
        return gate.replace(share=gate.at(rows).log_w.exp().mean(0).double())

    @classmethod
    def even(cls, k: int, rows: Float[Tensor, "n d"], columns: Sequence[int], **options: Any) -> Softmax:
        """The gate that gives every component the same weight everywhere."""
        slopes = rows.new_zeros(k, len(columns), dtype=torch.float64)
        return cls.of(slopes, slopes.sum(1), rows, columns, **options)

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights over the rows that the gate was last refitted from."""
        return self.share

    @property
    def slopes(self) -> Float[Tensor, "k p"]:
        """What a unit of each column adds to the log odds."""
        return self.w[:, 1:] / self.scale

    @property
    def intercepts(self) -> Float[Tensor, "k"]:
        """Log odds where all columns are zero."""
        return self.w[:, 0] - self.slopes @ self.origin

    @property
    def n_parameters(self) -> int:
        """Free parameters: what all components have in common does not count."""
        return (len(self.w) - 1) * self.w.shape[1]

    def at(self, rows: Float[Tensor, "n d"]) -> BoundSoftmax:
        """The gate of these rows."""
        origin, scale = self.origin.to(rows), self.scale.to(rows)
        x = (rows.T[list(self.columns)] - origin[:, None]) / scale[:, None]
        z = torch.cat([x.new_ones(1, len(rows)), x]).T  # column by column, which later sums take several times faster
        return BoundSoftmax(self, z, multinomial.log_odds(z, self.w[None])[:, 0])

    def refit(self, stats: Slopes) -> Softmax:
        """A step up the expected log-likelihood and penalty, from derivatives that were taken at this gate."""
        if not torch.equal(stats.at[0], self.w):
            raise ValueError(
                "The statistics were taken at another softmax gate: take them at the one that is refitted."
            )
        curvature = stats.curvature if isinstance(stats, Curved) else None
        found = multinomial.Derivatives(stats.gradient, stats.gram, curvature)
        step = multinomial.ascend(self.w[None], found, self.penalties, stats.reach).step[0]
        w = self.w + step
        return self.replace(w=w - w.mean(0), share=stats.w / stats.w.sum())

    def penalty(self) -> Float[Tensor, ""]:
        """Minus ridge/2 |w|^2 over the centred weights of the columns."""
        return -0.5 * self.ridge * (self.w - self.w.mean(0))[:, 1:].square().sum()

    def marginal(self, columns: Sequence[int]) -> Softmax:
        """The gate of rows of which only these columns are seen. Raises `TypeError` if it looks at others."""
        if missing := set(self.columns) - set(columns):
            raise TypeError(f"The gate looks at the columns {sorted(missing)}, which are not seen.")
        return self.replace(columns=tuple(list(columns).index(column) for column in self.columns))

    def joint(self, table: Float[Tensor, "n k"]) -> NoReturn:  # noqa: ARG002 - the protocol's arguments
        """Raises `TypeError`, as all that asks about rows: they differ in their weights."""
        raise TypeError("A softmax gate weighs components by the rows: bind it to them first, gate.at(rows).")

    outcomes = log_prob = posterior = posterior_ = assign = joint

    def sample(self, n: int, rng: torch.Generator) -> NoReturn:  # noqa: ARG002 - the protocol's arguments
        """Raises `TypeError`: there are no labels without rows."""
        raise TypeError("A softmax gate draws labels for given rows: bind it to them first, gate.at(rows).")

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n ..."]) -> Posterior:
        """Rows that count `weight` times."""
        return Posterior(posterior.resp * weight[:, None], posterior.evidence * weight)

    def stats(self, posterior: Posterior) -> NoReturn:  # noqa: ARG002 - the protocol's arguments
        """Raises `TypeError`: derivatives are of rows."""
        raise TypeError("A softmax gate takes its statistics of given rows: bind it to them first, gate.at(rows).")

    @property
    def penalties(self) -> Float[Tensor, "c"]:
        """The ridge of every weight: none of the constant."""
        penalty = torch.full_like(self.w[0], self.ridge)
        penalty[0] = 0
        return penalty


class BoundSoftmax(Adding, Around):
    """A softmax gate and the rows that it assigns."""

    gate: Softmax
    z: Float[Tensor, "n c"] = shared()
    log_w: Float[Tensor, "n k"] = shared()

    def at(self, rows: Float[Tensor, "n d"]) -> BoundSoftmax:
        """The gate of other rows."""
        return self.gate.at(rows)

    def stats(self, posterior: Posterior) -> Slopes:
        """Derivatives of the expected log-likelihood at the gate's weights; additive over chunks."""
        resp, curved = posterior.resp, self.gate.curved
        found = multinomial.derivatives(self.z, resp[:, None], self.log_w[:, None], curved=curved)
        reach = (self.z.T * (resp.sum(1) > 0)).abs().amax(1).double()
        of = resp.sum(0).double(), found.gradient, found.gram, self.gate.w[None], reach
        return Slopes(*of) if found.curvature is None else Curved(*of, found.curvature)

    def refit(self, stats: Slopes) -> Softmax:
        """The gate refitted, no longer bound."""
        return self.gate.refit(stats)

    def marginal(self, columns: Sequence[int]) -> Softmax:
        """That of the gate, not bound."""
        return self.gate.marginal(columns)

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """One label for each of the n rows."""
        if n != len(self.log_w):
            raise ValueError(f"{n} labels were asked of a gate that is bound to {len(self.log_w)} rows.")
        return torch.multinomial(self.log_w.exp(), 1, generator=rng)[:, 0]


def _spread(x: Float[Tensor, "n p"]) -> Float[Tensor, "p"]:
    """Standard deviations; 1 for columns that are constant."""
    spread = (x - x.mean(0)).square().mean(0).sqrt()
    return torch.where(spread > 0, spread, torch.ones_like(spread))
