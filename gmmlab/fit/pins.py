"""Refits that leave some of the parameters alone: a person has said what they are.

    run(model, whole(x), refit=pinned(mean=[0], weight=[1, 2]))

Each refit is the maximum under the pins, so that EM climbs as ever. Pinned weights stay, and the others share what they
leave as the counts say. A covariance whose mean is pinned is the scatter about that mean. A component whose covariance
is pinned has the statistics of so many rows of that covariance that no data move it: so whatever the structure shares
(volume, shape, orientation) the others take from it, and keep what is their own. A covariance that is shared as a whole
is pinned for all by a pin of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.families import Gaussian, Student
from gmmlab.families.student import Common
from gmmlab.fit.lineage import Lineage
from gmmlab.gates import Constant, Gate, Noisy
from gmmlab.kernels.cholesky import add_to_variances
from gmmlab.model import Mixture
from gmmlab.stats import Moments
from gmmlab.steps import MixtureStats, m_step

CROWD = 1e15  # rows of a pinned covariance for every row of the data: the others are lost in its rounding


@dataclass(frozen=True)
class Pins:
    """The components whose mean, covariance or weight stays; a refit, for `run`.

    Of Student-t components the centre is pinned, and the scale matrix with the degrees of freedom. Those of factor
    analysers, and components of a stack, cannot be pinned: that raises `TypeError`.
    """

    mean: frozenset[int] = frozenset()
    cov: frozenset[int] = frozenset()
    weight: frozenset[int] = frozenset()

    def __call__(self, model: Mixture, stats: MixtureStats) -> Mixture:
        """The model refitted to statistics, but for what is pinned. Raises `IndexError` for no component of it."""
        mean, cov, weight = (self._mask(pins, model) for pins in (self.mean, self.cov, self.weight))
        if not (self.mean or self.cov or self.weight):
            return m_step(model, stats)
        gate = model.gate.refit(stats.gate)
        return model.replace(
            components=_components(model.components, stats.components, mean, cov),
            gate=_with_weights(gate, model.gate, weight) if self.weight else gate,
        )

    def after(self, lineage: Lineage) -> Pins:
        """The pins of a model that was changed by a move. A pair that is merged is pinned where both were."""
        return Pins(*(_inherited(pins, lineage) for pins in (self.mean, self.cov, self.weight)))

    def _mask(self, pins: frozenset[int], model: Mixture) -> Bool[Tensor, "k"]:
        if beyond := sorted(j for j in pins if not 0 <= j < model.k):
            raise IndexError(
                f"Component {beyond[0]} is pinned, but the mixture has {model.k}, numbered 0 to {model.k - 1}. "
                "Renumber pins after a move with `pins.after`."
            )
        return torch.tensor([j in pins for j in range(model.k)], device=model.weights.device)


Which = Iterable[int] | Bool[Tensor, "_"]


def pinned(*, mean: Which = (), cov: Which = (), weight: Which = ()) -> Pins:
    """Pins of these components, by their numbers or a mask."""
    return Pins(*(frozenset(_numbers(which)) for which in (mean, cov, weight)))


def _numbers(which: Which) -> list[int]:
    return which.nonzero().flatten().tolist() if isinstance(which, Tensor) else [int(j) for j in which]


def _inherited(pins: frozenset[int], lineage: Lineage) -> frozenset[int]:
    return frozenset(new for new, parents in enumerate(lineage.parents) if parents and pins.issuperset(parents))


def _with_weights(new: Gate, old: Gate, pins: Bool[Tensor, "k"]) -> Gate:
    """Pinned weights as they were; the others, and the noise, scaled to what those leave."""
    if not isinstance(new, Constant | Noisy) or not isinstance(old, Constant | Noisy):
        raise TypeError(f"Weights of a {type(new).__name__} gate cannot be pinned; expected a single mixture.")
    noise = new.none if isinstance(new, Noisy) else new.weights.new_zeros(())
    free = new.weights[~pins].sum() + noise
    if not bool(free > 0):
        return old  # no row wants what is not pinned
    scale = ((1 - old.weights[pins].sum()).clamp(min=0) / free).log()
    log_w = torch.where(pins, old.log_w, new.log_w + scale)
    if isinstance(new, Noisy):
        return new.replace(log_w=log_w, log_none=new.log_none + scale)
    return new.replace(log_w=log_w)


def _components(old: Any, stats: Any, mean: Bool[Tensor, "k"], cov: Bool[Tensor, "k"]) -> Any:
    """Components refitted but for the pinned means and covariances."""
    if not bool((mean | cov).any()):
        return old.refit(stats)
    if isinstance(old, Gaussian):
        return _gaussian(old, stats, stats.w, mean, cov)
    if isinstance(old, Student):
        all_of_them = isinstance(old.rule, Common) and bool(cov.any())
        dof = torch.where(cov | all_of_them, old.dof, old.refit(stats).dof)
        return old.replace(gaussian=_gaussian(old.gaussian, stats.moments, stats.w, mean, cov), dof=dof)
    raise TypeError(
        f"Means and covariances of {type(old).__name__} cannot be pinned; expected Gaussian or Student-t components. "
        "Weights can be pinned."
    )


def _gaussian(
    old: Gaussian, stats: Moments, rows: Float[Tensor, "k"], mean: Bool[Tensor, "k"], cov: Bool[Tensor, "k"]
) -> Gaussian:
    """Gaussians refitted to what the pins make of the moments of `rows` rows, then the pinned parameters as they were.

    A prior of means is joined to the moments first, lest it pull a pinned mean.
    """
    cov = cov | (old.structure.shared & cov.any())
    free, prior = old, old.prior
    if prior is not None:
        stats = prior.join(stats)
        own = torch.where(_column(cov, prior.scale), 0.0, prior.scale), torch.where(cov, 0.0, prior.rows)
        free = old.replace(prior=prior.replace(kappa=torch.zeros_like(prior.kappa), scale=own[0], rows=own[1]))
    stats = _about_pinned(stats, old, mean)
    if bool(cov.any()):
        stats = _crowded(stats, old, cov)
        rows = torch.where(cov, stats.w, rows)
    new = free.refit(stats, rows=rows)
    return old.replace(
        mean=torch.where(mean[:, None], old.mean, new.mean),
        chol=torch.where(_column(cov, old.chol), old.chol, new.chol),
        jitter=torch.where(cov, old.jitter, new.jitter),
    )


def _about_pinned(stats: Moments, old: Gaussian, pins: Bool[Tensor, "k"]) -> Moments:
    """Moments whose mean is the pinned one, and whose scatter is that about it."""
    m = old.mean - stats.origin
    moved = stats.w[:, None] * m
    cross = _square(stats.s1 - moved, m, stats.s2)
    s2 = stats.s2 - cross - (cross if cross.ndim == 2 else cross.mT)
    return stats.replace(
        s1=torch.where(pins[:, None], moved, stats.s1), s2=torch.where(_column(pins, s2), s2, stats.s2)
    )


def _crowded(stats: Moments, old: Gaussian, pins: Bool[Tensor, "k"]) -> Moments:
    """Moments in which so many rows say the pinned covariances that the other components cannot be heard."""
    w = torch.where(pins, CROWD * stats.w.sum().clamp(min=1.0), stats.w)
    seen = stats.w > torch.finfo(stats.w.dtype).eps
    m = torch.where(seen[:, None], stats.s1 / torch.where(seen, stats.w, 1.0)[:, None], old.mean - stats.origin)
    said = old.cov if stats.s2.ndim == 3 else old.chol**2
    s2 = add_to_variances(_square(m, m, said) + said, torch.full_like(w, -old.ridge))  # a refit adds the ridge
    return stats.replace(
        w=w,
        s1=torch.where(pins[:, None], w[:, None] * m, stats.s1),
        s2=torch.where(_column(pins, s2), _column(w, s2) * s2, stats.s2),
    )


def _square(a: Float[Tensor, "k d"], b: Float[Tensor, "k d"], like: Tensor) -> Tensor:
    """a b', or its diagonal where `like` has no more."""
    return a * b if like.ndim == 2 else a[:, :, None] * b[:, None, :]


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
