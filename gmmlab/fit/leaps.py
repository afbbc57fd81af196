"""SQUAREM for many mixtures at once: every mixture of a stack leaps by a length of its own.

The rule is that of `gmmlab.fit.transforms.squarem`, for the statistics of Gaussians, which lie here as one row for each
component: weight, first and second moments. A mixture whose objective fell, or whose covariances failed, goes back to
its own plain statistics while the others go on.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.fit.transforms import Transform
from gmmlab.model import Mixture
from gmmlab.stack import parts_of
from gmmlab.stats import Counts, Moments
from gmmlab.steps import MixtureStats

LONGEST = 4.0  # of a leap at first, in plain steps of the slowest direction


class Leaping(NamedTuple):
    """How far each mixture has come. Rows of statistics are (k, f); the rest has one entry for each mixture."""

    best: Float[Tensor, "g"]  # evidence of the last accepted model
    safe: Float[Tensor, "k f"]  # the statistics that it made
    given: Float[Tensor, "k f"]  # those that were given on in the last step
    before: Float[Tensor, "k f"]  # and in the step before it
    age: Float[Tensor, "g"]  # plain steps since a leap, or since one was taken back
    longest: Float[Tensor, "g"]
    leapt: Bool[Tensor, "g"]  # whether what was given on was extrapolated
    plain: Bool[Tensor, "g"]  # whether this step is one of EM: neither a leap nor taken back
    even: bool = False

    def of(self, kept: list[int], own: Tensor) -> Leaping:
        """The mixtures `kept`, whose components are `own`."""
        return Leaping(*(part[own if part.ndim == 2 else kept] for part in self[:-1]), even=self.even)


def leaps(begin: Leaping | None = None, *, slow: float = 1e-3) -> Transform:
    """Squared extrapolation of each mixture of a stack, once its gain per row is below `slow`.

        r = s1 - s0,      v = (s2 - s1) - r,      a = |r| / |v|,      s = s0 + 2 a r + a^2 v

    Before that EM goes its own way, and so to the optimum that it would reach. `begin` is the state of a fit that is
    resumed. See Varadhan and Roland (2008), scheme S3, and `gmmlab.fit.transforms.squarem`.
    """

    def update(model: Mixture, stats: MixtureStats, state: Leaping | None) -> tuple[MixtureStats, Leaping]:
        rows = _rows(stats)
        if state is None:
            never = torch.zeros_like(stats.evidence, dtype=torch.bool)
            ones = torch.ones_like(stats.evidence)
            return stats, Leaping(stats.evidence, rows, rows, rows, 0 * ones, LONGEST * ones, never, ~never)
        groups = parts_of(model)[1].groups

        def choose(which: Tensor, yes: Tensor, no: Tensor) -> Tensor:
            return torch.where(groups.spread(which)[:, None], yes, no)

        failed = state.leapt & ~(stats.evidence >= state.best)
        rows, evidence = choose(failed, state.safe, rows), stats.evidence.where(~failed, state.best)
        age = torch.where(failed, 0.0, state.age + 1)
        longest = torch.where(failed, (state.longest / 4).clamp(min=1.0), state.longest)
        given, leapt = rows, torch.zeros_like(failed)
        if state.even:
            ready = (age > 1) & (evidence - state.best < slow * stats.n)
            base = _stats(state.before, stats).components
            r = state.given - state.before
            v = rows - state.given - r
            sizes = [groups.sum(_stats(move, stats).components.whitened(base).square().sum(1)) for move in (r, v)]
            length = (sizes[0] / sizes[1].clamp(min=1e-300)).sqrt().clamp(min=1.0).minimum(longest)
            a = groups.spread(length)[:, None]
            leap = state.before + 2 * a * r + a * a * v
            improper = groups.sum((~_proper(_stats(leap, stats).components)).double()) > 0
            leapt = ready & ~improper
            longest = torch.where(leapt & (length == longest), 4 * longest, longest)
            longest = torch.where(ready & improper, (longest / 4).clamp(min=1.0), longest)
            age = torch.where(leapt, 0.0, age)
            given = choose(leapt, leap, rows)
        after = Leaping(
            evidence, rows, given, state.given, age, longest, leapt, ~(failed | leapt), even=not state.even
        )
        return _stats(given, stats).replace(evidence=evidence), after

    return Transform(lambda: begin, update)


def _proper(moments: Moments) -> Bool[Tensor, "k"]:
    """Which components could have these moments: positive weight and scatter."""
    scatter, w = moments.scatter, moments.w
    if scatter.ndim == 2:
        return (w > 0) & (scatter > 0).all(1)
    return (w > 0) & (torch.linalg.cholesky_ex(scatter.nan_to_num())[1] == 0)


def _rows(stats: MixtureStats) -> Float[Tensor, "k f"]:
    moments = stats.components
    return torch.cat([moments.w[:, None], moments.s1, moments.s2.flatten(1)], dim=1)


def _stats(rows: Float[Tensor, "k f"], like: MixtureStats) -> MixtureStats:
    """What the rows stand for, in the form of other statistics."""
    moments = like.components
    w, s1, s2 = rows.split([1, moments.s1.shape[1], rows.shape[1] - 1 - moments.s1.shape[1]], dim=1)
    moments = moments.replace(w=w[:, 0], s1=s1, s2=s2.view_as(moments.s2))
    return like.replace(components=moments, gate=Counts(moments.w))
