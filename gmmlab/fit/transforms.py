"""What happens to statistics between source and refit: averaging over steps, and acceleration.

A transform is a pair of functions with a state between them: `init()` gives the first state, `update(model, stats,
state)` the statistics to refit to and the next state; `model` is the one that made the statistics. Transforms chain.

Averaging makes an online fit out of a source of batches: `stepwise` with a step size that falls, `forgetting` with one
that stays.

Acceleration works on statistics too. The refit M maps any statistics to a model of the right family, and the E-step
maps that to statistics again, so EM is a fixed-point map s -> E(M(s)) on a vector space, in which one may extrapolate
whatever the family, gate or prior. What comes out may be no statistics of any rows (a negative weight, a scatter that
is not positive definite): then the step is shortened towards plain EM. What comes out may be worse: that shows in
the next E-step, for the evidence that statistics carry is that of the model that made them. The fit then goes back to
the plain EM statistics of the last accepted model. So a proposal that is taken back costs one E-step, and it shows
as a step whose `info.accepted` is False and whose evidence is that of the last accepted model: the evidence (with the
log prior, where there is one) of a fit never falls by an extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, m_step

Update = Callable[[Mixture, MixtureStats, Any], tuple[MixtureStats, Any]]
Refit = Callable[[Mixture, MixtureStats], Mixture]


def _always(_state: Any) -> bool:
    return True


class Transform(NamedTuple):
    """A change of the statistics of every step; `accepted` tells of a state whether it took something back."""

    init: Callable[[], Any]
    update: Update
    accepted: Callable[[Any], bool] = _always


identity = Transform(lambda: None, lambda _model, stats, state: (stats, state))


def chain(*transforms: Transform) -> Transform:
    """One transform after the other, each with its own state."""

    def update(model: Mixture, stats: MixtureStats, states: tuple[Any, ...]) -> tuple[MixtureStats, tuple[Any, ...]]:
        after = []
        for transform, state in zip(transforms, states, strict=True):
            stats, changed = transform.update(model, stats, state)
            after.append(changed)
        return stats, tuple(after)

    return Transform(
        lambda: tuple(transform.init() for transform in transforms),
        update,
        lambda states: all(transform.accepted(state) for transform, state in zip(transforms, states, strict=True)),
    )


# -- averaging over steps ------------------------------------------------------------------------------------------


class Running(NamedTuple):
    """Statistics per row so far, rows seen, rows of the first batch, and time in batches of that size."""

    mean: MixtureStats
    seen: float
    batch: float
    time: float


def stepwise(power: float = 0.7, offset: float = 2.0) -> Transform:
    """Online EM: statistics per row are averaged over batches with a step size that falls.

        s <- (1 - g_t) s + g_t s_batch,      g_t = (t + offset)^-power,      t = 0, 1, ... in batches

    The first batch is taken whole. A batch of another size than the first counts in proportion. The statistics given
    on are those of as many rows as were seen, and the evidence is averaged like them, so that a rule of stopping sees
    an exponential average. `power` is above 1/2 and at most 1. See Cappé and Moulines (2009).
    """
    if not 0.5 < power <= 1:
        raise ValueError(f"The step size falls as t^-{power:g}; expected a power above 0.5 and at most 1. Try 0.7.")
    if not offset >= 1:
        raise ValueError(f"The step size starts at {offset:g}^-{power:g}, above one; expected an offset of at least 1.")

    def update(_model: Mixture, stats: MixtureStats, state: Running | None) -> tuple[MixtureStats, Running]:
        rows = float(stats.n)
        if state is None:
            return stats, Running(stats * (1 / rows), rows, rows, 0.0)
        share = rows / state.batch
        gain = 1 - (1 - (state.time + offset) ** -power) ** share
        mean = (1 - gain) * state.mean + (gain / rows) * stats
        state = Running(mean, state.seen + rows, state.batch, state.time + share)
        return mean * state.seen, state

    return Transform(lambda: None, update)


def forgetting(rate: float) -> Transform:
    """Online EM that tracks a drift: the past fades by the factor 1 - rate in every step.

        S <- (1 - rate) S + S_batch

    With rate 1 nothing is kept: with all rows as the batch that is plain EM.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"The rate of forgetting is {rate:g}; expected a number above 0 and at most 1. Try 0.05.")

    def update(_model: Mixture, stats: MixtureStats, state: MixtureStats | None) -> tuple[MixtureStats, MixtureStats]:
        total = stats if state is None else (1 - rate) * state + stats
        return total, total

    return Transform(lambda: None, update)


def after(rows: float, refit: Refit = m_step) -> Refit:
    """A refit that keeps the model until statistics of so many rows have come: the warm-up of an online fit."""
    return lambda model, stats: model if float(stats.n) < rows else refit(model, stats)


# -- acceleration --------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """One value of the EM map on statistics: `after` = E(M(`before`))."""

    before: MixtureStats
    after: MixtureStats

    @property
    def residual(self) -> MixtureStats:
        """How far the map moves."""
        return self.after - self.before


Trail = tuple[Pair, ...]


class _Proposal(NamedTuple):
    """Extrapolated statistics, or None for a plain step; the pairs to keep, and the pace to go on with."""

    stats: MixtureStats | None
    trail: Trail
    pace: tuple[float, ...]


class _Climb(NamedTuple):
    """How far an accelerated fit has come, and what it waits to hear of."""

    pace: tuple[float, ...]
    best: float = -math.inf  # objective of the last accepted model
    safe: MixtureStats | None = None  # the statistics it made: plain EM goes on from them
    given: MixtureStats | None = None  # the statistics that were given on in the last step
    leapt: bool = False  # whether they were extrapolated
    trail: Trail = ()
    accepted: bool = True


def squarem(*, longest: float = 4.0) -> Transform:
    """Squared extrapolation: after every two plain steps s0, s1, s2 a leap along them.

        r = s1 - s0,      v = (s2 - s1) - r,      a = |r| / |v|,      s = s0 + 2 a r + a^2 v

    a is at least 1, which is s2 itself, and at most `longest` at first: that bound grows fourfold when it is reached
    and shrinks fourfold when a leap is taken back. Norms are those of Fisher's metric. See Varadhan and Roland (2008),
    scheme S3, without its third, stabilising evaluation of the map: the guard (module docstring) does its work.
    """

    def propose(trail: Trail, pace: tuple[float, ...]) -> _Proposal:
        if len(trail) < 2:
            return _Proposal(None, trail, pace)
        base, r = trail[0].before, trail[0].residual
        v = trail[1].residual - r
        longest_now = pace[0]
        a = min(longest_now, max(1.0, _length(r, base) / max(_length(v, base), 1e-300)))
        pace = (4 * longest_now if a == longest_now else longest_now,)
        for _ in range(5):
            leap = base + (2 * a) * r + (a * a) * v
            if _proper(leap):
                return _Proposal(leap, (), pace)
            a = (a + 1) / 2
        return _Proposal(None, (), pace)

    return _guarded(propose, (longest,), lambda pace, good: pace if good else (max(1.0, pace[0] / 4),))


def anderson(m: int = 8, *, patience: float = 16.0) -> Transform:
    """Anderson's acceleration: the last m + 1 pairs (s_j, g_j = E(M(s_j))) decide the leap.

        f_j = g_j - s_j,      gamma = argmin |f_t - sum_j (f_{j+1} - f_j) gamma_j|,      s = g_t - sum_j (g_{j+1} - g_j)
        gamma_j

    Lengths are those of Fisher's metric. When a leap is taken back the pairs are forgotten, and 1, 2, 4, ... up to
    `patience` plain steps follow before the next: far from the optimum EM's map is not nearly linear and leaps fail.
    See Walker and Ni (2011); the guard and the restarts follow Henderson and Varadhan (2019).
    """
    if m < 1:
        raise ValueError(f"Anderson's acceleration was asked to remember {m} differences; expected at least 1. Try 8.")

    def propose(trail: Trail, pace: tuple[float, ...]) -> _Proposal:
        wait, pause = pace
        trail = trail[-m - 1 :]
        if len(trail) < 2 or wait > 0:
            return _Proposal(None, trail, (wait - 1, pause))
        correction = _correction(trail)
        for share in (1.0, 0.5, 0.25, 0.125):
            leap = trail[-1].after - share * correction
            if _proper(leap):
                return _Proposal(leap, trail, (0.0, pause))
        return _Proposal(None, trail, (0.0, pause))

    def judged(pace: tuple[float, ...], good: bool) -> tuple[float, ...]:
        return (0.0, 1.0) if good else (pace[1], min(2 * pace[1], patience))

    return _guarded(propose, (0.0, 1.0), judged)


def _guarded(
    propose: Callable[[Trail, tuple[float, ...]], _Proposal],
    pace: tuple[float, ...],
    judged: Callable[[tuple[float, ...], bool], tuple[float, ...]],
) -> Transform:
    """Leaps that are taken back when the objective of the model they led to is lower than the last accepted one."""

    def update(model: Mixture, stats: MixtureStats, state: _Climb) -> tuple[MixtureStats, _Climb]:
        objective = float(stats.evidence) + float(model.penalty())
        if state.leapt and state.safe is not None and not objective >= state.best:
            slower = judged(state.pace, False)
            return state.safe, _Climb(slower, state.best, state.safe, state.safe, accepted=False)
        pace = judged(state.pace, True) if state.leapt else state.pace
        known = () if state.given is None else (*state.trail, Pair(state.given, stats))
        leap, trail, pace = propose(known, pace)
        given = stats if leap is None else leap.replace(evidence=stats.evidence, n=stats.n)
        return given, _Climb(pace, objective, stats, given, leap is not None, trail)

    return Transform(lambda: _Climb(pace), update, lambda state: state.accepted)


def _correction(trail: Trail) -> MixtureStats:
    """sum_j (g_{j+1} - g_j) gamma_j, with gamma by least squares on the residuals."""
    base, residuals = trail[-1].after, [pair.residual for pair in trail]
    table = torch.stack([(b - a).standardised(base) for a, b in pairwise(residuals)], dim=1)
    gamma = _least_squares(table, residuals[-1].standardised(base)).tolist()
    moves = [b.after - a.after for a, b in pairwise(trail)]
    total = gamma[0] * moves[0]
    for share, move in zip(gamma[1:], moves[1:], strict=True):
        total = total + share * move
    return total


def _least_squares(table: Float[Tensor, "f m"], target: Float[Tensor, "f"]) -> Float[Tensor, "m"]:
    """The shortest solution; directions below 1e-10 of the longest are left out."""
    u, size, vt = torch.linalg.svd(table, full_matrices=False)
    kept = size > 1e-10 * size[0]
    return vt[kept].T @ ((u.T @ target)[kept] / size[kept])


def _length(difference: MixtureStats, base: MixtureStats) -> float:
    return float(difference.standardised(base).norm())


def _proper(stats: MixtureStats) -> bool:
    return bool(stats.components.proper and stats.gate.proper)
