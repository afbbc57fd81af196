"""SQUAREM for many mixtures at once: every mixture of a stack leaps by a length of its own.

The rule is that of `gmmlab.fit.transforms.squarem`, for the statistics of Gaussians, which lie here as one row for each
component: weight, first and second moments. A mixture whose objective fell, or whose covariances failed, goes back to
its own plain statistics while the others go on.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.fit.transforms import Transform
from gmmlab.kernels.cholesky import factored
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.stack import parts_of
from gmmlab.stats import Counts, Moments
from gmmlab.steps import MixtureStats

LONGEST = 4.0  # of a leap at first, in plain steps of the slowest direction


class Leaping(NamedTuple):
    """How far each mixture has come. Rows of statistics are (k, f); the rest has one entry for each mixture."""

    best: Float[Tensor, "g"]  # evidence of the last accepted model
    now: Float[Tensor, "k f"]  # the statistics that it made, to go back to
    given: Float[Tensor, "k f"]  # those that were given on in the last step: the same, or a leap
    before: Float[Tensor, "k f"]  # and in the step before it
    age: Float[Tensor, "g"]  # plain steps since a leap, or since one was taken back
    longest: Float[Tensor, "g"]  # of the next leap
    leapt: Bool[Tensor, "g"]  # whether what was given on is a leap
    failed: Bool[Tensor, "g"]  # whether this step took one back
    steps: int = 1  # so far

    @classmethod
    def begin(cls, stats: MixtureStats) -> Leaping:
        """Before the second step."""
        rows, none = _rows(stats), torch.zeros_like(stats.evidence)
        return cls(stats.evidence, rows, rows, rows, none, none + LONGEST, none > 0, none > 0)

    @property
    def plain(self) -> Bool[Tensor, "g"]:
        """Which mixtures made a step of EM."""
        return ~(self.leapt | self.failed)

    def of(self, kept: list[int], own: Int[Tensor, "k"]) -> Leaping:
        """The mixtures `kept`, whose components are `own`."""
        tensors = self._asdict()
        steps = tensors.pop("steps")
        return Leaping(**{name: t[own if t.ndim == 2 else kept] for name, t in tensors.items()}, steps=steps)


class Leap(NamedTuple):
    """Extrapolated statistics, how far they lie in plain steps, and whether rows could have them."""

    rows: Float[Tensor, "k f"]
    length: Float[Tensor, "g"]
    proper: Bool[Tensor, "g"]


def leaps(begin: Leaping | None = None, *, slow: float = 1e-3, most: int = sys.maxsize) -> Transform:
    """Squared extrapolation of each mixture of a stack, once its gain per row is below `slow`.

        r = s1 - s0,      v = (s2 - s1) - r,      a = |r| / |v|,      s = s0 + 2 a r + a^2 v

    Until then EM goes its own way, so that it ends in the optimum it would reach. Mixtures leap in every other step at
    most, all in the same, and never in the last of `most` steps. `begin` is the state of a fit that is resumed. See
    Varadhan and Roland (2008), scheme S3, and `gmmlab.fit.transforms.squarem`.
    """

    def update(model: Mixture, stats: MixtureStats, state: Leaping | None) -> tuple[MixtureStats, Leaping]:
        if state is None:
            return stats, Leaping.begin(stats)
        groups = parts_of(model)[1].groups
        after = _judged(state, stats, groups)
        if after.steps % 2 == 0 or after.steps >= most:
            return _stats(after.now, stats).replace(evidence=after.best), after
        wanted = (after.age > 1) & (after.best - state.best < slow * stats.n)
        if wanted.is_cpu and not bool(wanted.any()):  # elsewhere to look is to wait
            return _stats(after.now, stats).replace(evidence=after.best), after
        leap = _leap(state, after, stats, groups)
        leapt = wanted & leap.proper
        longest = torch.where(leapt & (leap.length == after.longest), 4 * after.longest, after.longest)
        longest = torch.where(wanted & ~leap.proper, _shorter(longest), longest)
        given = _choose(leapt, leap.rows, after.now, groups)
        after = after._replace(given=given, leapt=leapt, longest=longest, age=torch.where(leapt, 0.0, after.age))
        return _stats(given, stats).replace(evidence=after.best), after

    return Transform(lambda: begin, update)


def _judged(state: Leaping, stats: MixtureStats, groups: Groups) -> Leaping:
    """The state after an E-step, if no leap follows: a mixture whose leap led down is where it was before."""
    failed = state.leapt & ~(stats.evidence >= state.best)
    now = _choose(failed, state.now, _rows(stats), groups)
    return Leaping(
        best=torch.where(failed, state.best, stats.evidence),
        now=now,
        given=now,
        before=state.given,
        age=torch.where(failed, 0.0, state.age + 1),
        longest=torch.where(failed, _shorter(state.longest), state.longest),
        leapt=torch.zeros_like(failed),
        failed=failed,
        steps=state.steps + 1,
    )


def _leap(state: Leaping, after: Leaping, like: MixtureStats, groups: Groups) -> Leap:
    """From the statistics of the last two steps and this one."""
    r = state.given - state.before
    v = after.now - state.given - r
    moves, base = (_moments(torch.cat(rows), like) for rows in ((r, v), (state.before, state.before)))
    size = groups.sum(moves.whitened(base).square().sum(1).view(2, -1).T)
    length = (size[:, 0] / size[:, 1].clamp(min=1e-300)).sqrt().clamp(min=1.0).minimum(after.longest)
    a = groups.spread(length)[:, None]
    rows = state.before + 2 * a * r + a * a * v
    improper = groups.sum((~_proper(_moments(rows, like))).double()) > 0
    return Leap(rows, length, ~improper)


def _shorter(longest: Float[Tensor, "g"]) -> Float[Tensor, "g"]:
    return (longest / 4).clamp(min=1.0)


def _choose(
    which: Bool[Tensor, "g"], yes: Float[Tensor, "k f"], no: Float[Tensor, "k f"], groups: Groups
) -> Float[Tensor, "k f"]:
    return torch.where(which[groups.owner(which.device)][:, None], yes, no)


def _proper(moments: Moments) -> Bool[Tensor, "k"]:
    """Which components could have these moments: positive weight and scatter."""
    scatter, w = moments.scatter, moments.w
    if scatter.ndim == 2:
        return (w > 0) & (scatter > 0).all(1)
    return (w > 0) & (factored(scatter.nan_to_num())[1] == 0)


def _rows(stats: MixtureStats) -> Float[Tensor, "k f"]:
    moments = stats.components
    return torch.cat([moments.w[:, None], moments.s1, moments.s2.flatten(1)], dim=1)


def _moments(rows: Float[Tensor, "k f"], like: MixtureStats) -> Moments:
    """What the rows stand for, in the form of other statistics."""
    moments = like.components
    w, s1, s2 = rows.split([1, moments.s1.shape[1], rows.shape[1] - 1 - moments.s1.shape[1]], dim=1)
    return moments.replace(w=w[:, 0], s1=s1, s2=s2.reshape(-1, *moments.s2.shape[1:]))


def _stats(rows: Float[Tensor, "k f"], like: MixtureStats) -> MixtureStats:
    """The same as statistics of as many components."""
    moments = _moments(rows, like)
    return like.replace(components=moments, gate=Counts(moments.w))
