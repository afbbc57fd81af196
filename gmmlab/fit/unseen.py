"""Rows that were never seen, because of where they lie: their share of the statistics is imputed in every step.

A row y of the mixture is recorded with the probability Omega(y); for a box, 1 inside and 0 outside. Component k leaves
out 1 - a_k = E_k[1 - Omega] of its rows, the mixture 1 - A = sum_k pi_k (1 - a_k). The rows that were left out count

    M_k = M pi_k (1 - a_k) / (1 - A),    M known (censored), or M = n (1 - A) / A (truncated)

and enter with their expected moments. It is EM for

    censored   sum_i log p(x_i) + M log(1 - A)          truncated   sum_i log p(x_i) - n log A

so that the likelihood rises where 1 - Omega is integrated exactly (a box, in one column or without correlations). See
McLachlan and Jones (1988), Lee and Scott (2012), and Melchior and Goulding (2018) for imputation by draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.families import Gaussian
from gmmlab.families.measured import Measured
from gmmlab.fit.source import Source
from gmmlab.gates import Noisy
from gmmlab.kernels.truncation import normal_nodes, outside_box, outside_correlated_box
from gmmlab.model import Mixture
from gmmlab.record import Record
from gmmlab.stats import Counts, Moments, NoisyCounts
from gmmlab.steps import MixtureStats

Selection = Callable[[Float[Tensor, "m c"]], Float[Tensor, "m"]]


class Unseen(Record):
    """What is left out of one row of each component: a_k, and moments whose weight is 1 - a_k."""

    inside: Float[Tensor, "k"]
    outside: Moments
    none: Float[Tensor, ""]  # what is left out of one row of the noise

    def shares(self, model: Mixture) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """A and 1 - A, both to the last digits."""
        gate = model.gate
        seen, left = gate.weights @ self.inside, gate.weights @ self.outside.w
        if isinstance(gate, Noisy):
            seen, left = seen + gate.none * (1 - self.none), left + gate.none * self.none
        return seen, left


Region = Callable[[Mixture], Unseen]


def with_unseen(source: Source, region: Region, count: float | None = None) -> Source:
    """A source of rows that were seen, with what is expected of the others: `count` of them, or None if unknown.

    Evidence is that of the seen rows; they alone are counted as rows. Raises `BadData` where the mixture would show no
    row at all.
    """

    def completed(model: Mixture) -> MixtureStats:
        stats, unseen = source(model), region(model)
        seen, left = unseen.shares(model)
        if not float(seen) > 0:
            raise BadData(
                "No row of the mixture could be seen: all components lie where rows are left out. Try other starts, "
                "fewer components, or a prior."
            )
        if count is None:
            times, gain = stats.n / seen, -stats.n * seen.log()
        else:
            tiny = torch.finfo(left.dtype).tiny
            times, gain = count / left.clamp(min=tiny), count * left.clamp(min=tiny).log()
        return stats.replace(
            components=stats.components + _scaled(unseen.outside, times * model.weights),
            gate=_counted(stats.gate, times * model.weights * unseen.outside.w, model.gate, times * unseen.none),
            evidence=stats.evidence + gain,
        )

    return completed


@dataclass(frozen=True)
class Box:
    """Rows are seen from `lower` to `upper`, which may be infinite.

    Exact for one column and for covariances along the axes. Others are integrated over `nodes` quasi-random points by
    separation of variables (Genz, 1992), the same in every step.
    """

    lower: Float[Tensor, "d"]
    upper: Float[Tensor, "d"]
    nodes: int = 1024

    def __call__(self, model: Mixture) -> Unseen:
        """What each component leaves outside of the box."""
        gaussian, none = model.gaussian, model.weights.new_zeros(())
        if isinstance(model.gate, Noisy):
            none = self._of_noise(model.gate)
        if gaussian.d > 1 and gaussian.structure.dense:
            low, high = self.lower - gaussian.mean, self.upper - gaussian.mean
            inside, w, s1, s2 = outside_correlated_box(gaussian.chol, low, high, self._points)
            return Unseen(inside, _moved(gaussian, w, s1, s2), none)
        sd = gaussian.chol.flatten(1) if gaussian.structure.dense else gaussian.chol
        out = outside_box((self.lower - gaussian.mean) / sd, (self.upper - gaussian.mean) / sd)
        return Unseen(out.inside, _placed(gaussian, sd, out.w, out.s1, out.s2), none)

    @cached_property
    def _points(self) -> Float[Tensor, "m d"]:
        engine = torch.quasirandom.SobolEngine(len(self.lower), scramble=True, seed=0)
        return engine.draw(self.nodes, dtype=torch.float64).to(self.lower)

    def _of_noise(self, gate: Noisy) -> Float[Tensor, ""]:
        width = (torch.minimum(gate.high, self.upper) - torch.maximum(gate.low, self.lower)).clamp(min=0)
        return 1 - (width / (gate.high - gate.low)).prod()


@dataclass(frozen=True)
class Imputed:
    """Rows are seen with a probability that is known at every place where they may be measured.

    `selection` takes rows (m, c) as they would be seen, with their map and errors, which are those of `rows` in random
    order. So many draws are made of each component that all are about `oversampling` times the rows; they come from
    the same quasi-random numbers in every step, so that a fit comes to rest.
    """

    selection: Selection
    rows: Measured
    oversampling: float
    seed: int

    def __call__(self, model: Mixture) -> Unseen:
        """What is left out of each component, by draws."""
        gaussian = model.gaussian
        draws, errors, order = self._drawn(model.k)
        cov, maps = self.rows.covariances, self.rows.maps
        y = gaussian.mean[:, None] + torch.einsum("kde,me->kmd", _root(gaussian), draws)
        r = maps if len(maps) == 1 else maps[order]
        root = _half(cov if len(cov) == 1 else cov[order])
        x = torch.einsum("mcd,kmd->kmc", r.expand(len(draws), -1, -1), y)
        x = x + (root @ errors[:, :, None]).squeeze(-1)
        left = 1 - self._probability(x.flatten(0, 1)).view(model.k, -1)
        apart = y - gaussian.origin
        s1 = torch.einsum("km,kmd->kd", left, apart) / len(draws)
        if gaussian.structure.dense:
            s2 = torch.einsum("km,kmd,kme->kde", left, apart, apart) / len(draws)
        else:
            s2 = torch.einsum("km,kmd->kd", left, apart.square()) / len(draws)
        w = left.mean(1)
        return Unseen(1 - w, Moments(w, s1, s2, origin=gaussian.origin), self._of_noise(model))

    def _drawn(self, k: int) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m c"], Int[Tensor, "m"]]:
        """Standard normal numbers for true values and errors, and the rows whose errors are taken."""
        n, (c, d) = len(self.rows.x), self.rows.maps.shape[1:]
        m = max(64, math.ceil(self.oversampling * n / k))
        z = normal_nodes(m, c + d, self.seed).to(self.rows.x)
        order = torch.randint(n, (m,), generator=torch.Generator().manual_seed(self.seed))
        return z[:, :d], z[:, d:], order.to(z.device)

    def _of_noise(self, model: Mixture) -> Float[Tensor, ""]:
        if not isinstance(model.gate, Noisy):
            return model.weights.new_zeros(())
        return 1 - self._probability(model.gate.noise(10_000, torch.Generator().manual_seed(self.seed))).mean()

    def _probability(self, x: Float[Tensor, "m c"]) -> Float[Tensor, "m"]:
        return checked(self.selection(x), len(x)).to(x)


def checked(probability: Tensor, n: int) -> Float[Tensor, "n"]:
    """What a selection gives. Raises `BadData` unless these are n numbers from 0 to 1."""
    if probability.shape != (n,) or not bool(((probability >= 0) & (probability <= 1)).all()):
        low, high = (float(end) for end in probability.double().aminmax()) if probability.numel() else (0.0, 0.0)
        raise BadData(
            f"selection gave {tuple(probability.shape)} numbers from {low:.3g} to {high:.3g} for {n} rows; expected "
            "one probability in [0, 1] for each."
        )
    return probability.double()


def _scaled(moments: Moments, times: Float[Tensor, "k"]) -> Moments:
    s2 = moments.s2 * times.view(-1, *[1] * (moments.s2.ndim - 1))
    return Moments(moments.w * times, moments.s1 * times[:, None], s2, origin=moments.origin)


def _counted(
    counts: Counts, more: Float[Tensor, "k"], gate: Noisy | object, none: Float[Tensor, ""]
) -> Counts | NoisyCounts:
    if isinstance(counts, NoisyCounts) and isinstance(gate, Noisy):
        return counts.replace(w=counts.w + more, none=counts.none + none * gate.none)
    return counts.replace(w=counts.w + more)


def _placed(gaussian: Gaussian, sd: Float[Tensor, "k d"], w: Tensor, s1: Tensor, s2: Tensor) -> Moments:
    """Moments of standardised columns in the units and about the origin of the components."""
    shift = gaussian.mean - gaussian.origin
    first = w[:, None] * shift + sd * s1
    second = w[:, None] * shift.square() + 2 * shift * sd * s1 + sd.square() * s2
    return Moments(w, first, second[:, :, None] if gaussian.structure.dense else second, origin=gaussian.origin)


def _moved(gaussian: Gaussian, w: Tensor, s1: Tensor, s2: Tensor) -> Moments:
    """Moments of deviations from the mean, about the origin of the components."""
    shift = gaussian.mean - gaussian.origin
    cross = s1[:, :, None] * shift[:, None]
    square = w[:, None, None] * shift[:, :, None] * shift[:, None]
    return Moments(w, s1 + w[:, None] * shift, s2 + cross + cross.mT + square, origin=gaussian.origin)


def _root(gaussian: Gaussian) -> Float[Tensor, "k d d"]:
    return gaussian.chol if gaussian.structure.dense else torch.diag_embed(gaussian.chol)


def _half(cov: Float[Tensor, "m c c"]) -> Float[Tensor, "m c c"]:
    spectrum, axes = torch.linalg.eigh(cov)  # errors may be zero: no factor
    return axes * spectrum.clamp(min=0).sqrt()[:, None, :]
