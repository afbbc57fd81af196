"""Two mixtures on the same rows: which components correspond, where labels differ, which gives rows more density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab import algebra
from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.agreement import adjusted_rand, contingency
from gmmlab.model import Mixture
from gmmlab.score.agreement import match_table
from gmmlab.score.membership import labels_of


class Comparison(NamedTuple):
    """What two mixtures, of i and of j components, make of n rows; both may have noise, which matches only itself."""

    match: Int[Tensor, "j"]  # for each component on the right that on the left it corresponds to, or a new number
    shared: Float[Tensor, "i j"]  # rows that both components claim, sum_n w_n r_ni s_nj
    counts: Int[Tensor, "a b"]  # rows by their two labels; the last row and column are noise
    adjusted_rand: float
    gain: Float[Tensor, "n"]  # log density of each row on the left less that on the right
    weight: Float[Tensor, "n"] | None = None  # how often each row counts

    @property
    def total(self) -> float:
        """How much more likely the rows are on the left, in nats."""
        return float((self.gain if self.weight is None else self.gain * self.weight).double().sum())

    @property
    def n(self) -> float:
        """How many rows they are, by weight."""
        return float(len(self.gain) if self.weight is None else self.weight.double().sum())


@torch.no_grad()
def compare(
    left: Mixture, right: Mixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None
) -> Comparison:
    """Components matched by the rows that they share, and labels and densities compared; rows may have gaps.

    Rows count `weight` times, but once in the table of labels and their adjusted Rand index.
    """
    one, other = algebra.posterior(left, x), algebra.posterior(right, x)
    ours = one.resp.double() if weight is None else one.resp.double() * weight.double()[:, None]
    shared, a, b = ours.T @ other.resp.double(), labels_of(one), labels_of(other)
    gain, table = one.evidence - other.evidence, crosstab(a, b, left.k, right.k)
    return Comparison(match_table(shared), shared, table, adjusted_rand(a, b), gain, weight)


def crosstab(a: Int[Tensor, "n"], b: Int[Tensor, "n"], i: int, j: int) -> Int[Tensor, "p q"]:
    """How many rows have each pair of labels, of i and of j components; noise (-1) has the last row and column."""
    table = a.new_zeros(i + 1, j + 1)
    found = contingency(torch.where(a < 0, i, a), torch.where(b < 0, j, b))
    table[: found.shape[0], : found.shape[1]] = found
    return table


@torch.no_grad()
def density_difference(
    left: Mixture, right: Mixture, columns: Sequence[int], at: Float[Tensor, "g c"]
) -> Float[Tensor, "g"]:
    """p(x_c) - q(x_c) of the marginals of some columns (two, for a picture) at points of a grid."""
    ours, theirs = (algebra.marginal(model, columns).log_prob(at).exp() for model in (left, right))
    return ours - theirs
