"""Moves: changes of a model that a person (or a search) makes between steps. Each returns a new, valid mixture.

Noise stays: a new component takes its weight from the noise as from the others, and one that goes gives it back to all.
So does a prior, of which every component keeps its own part, and of a shared covariance an equal share. `Lineage` says
how a move renumbers components.

What is said of means and covariances holds for the centres and scale matrices of Student-t components. A new one has
degrees of freedom nu by which the variance 2 / nu of its scales is that of all others, or of the pair it was.
Components of factor analysers can be moved and removed; other moves raise `TypeError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import FactorAnalyzers, Gaussian, Prior, Student
from gmmlab.gates import Constant, Gate, Noisy
from gmmlab.model import Mixture
from gmmlab.record import cat


def move(model: Mixture, k: int, mean: Float[Tensor, "d"]) -> Mixture:
    """Component k with another mean."""
    _check_component(model, k)
    return model.relocated(mean=_with_row(model.located.mean, k, mean))


def reshape(model: Mixture, k: int, cov: Float[Tensor, "d d"]) -> Mixture:
    """Component k with another covariance, projected onto the structure.

    What the structure shares between components (all of a tied covariance, the shape of VEI), all take from the new
    one. Raises `NotPositiveDefinite`.
    """
    _check_component(model, k)
    old = _shaped(model)
    pulled = _with_row(torch.zeros_like(model.weights), k, torch.ones_like(model.weights[k]))
    new = type(old).of(old.mean, _with_row(old.cov, k, cov.to(old.cov)), old.structure, origin=old.origin, w=pulled)
    return model.relocated(chol=new.chol, jitter=new.jitter)


def add(
    model: Mixture,
    mean: Float[Tensor, "d"],
    cov: Float[Tensor, "d d"] | None = None,
    weight: float | None = None,
) -> Mixture:
    """One more component, the last, with weight 1 / (k + 1) and the average covariance unless given.

    What the structure shares, it takes from the others.
    """
    old, weight = _shaped(model), 1 / (model.k + 1) if weight is None else weight
    if not 0 < weight < 1:
        raise ValueError(f"The weight of a new component is {weight}; expected a number between 0 and 1.")
    average = (model.weights[:, None, None] * old.cov).sum(0) / model.weights.sum()
    cov = average if cov is None else cov
    means, covs = (torch.cat([a, b[None].to(a)]) for a, b in ((old.mean, mean), (old.cov, cov)))
    known = torch.cat([model.weights, model.weights.new_zeros(1)])
    all_of_them = type(old).of(means, covs, old.structure, origin=old.origin, ridge=old.ridge, w=known)
    new = all_of_them.take(torch.tensor([model.k], device=known.device))
    of = [*range(model.k), 0]
    gaussian = cat([old.replace(prior=None), new]).replace(prior=_prior(old, of))
    others = 1 - weight
    weights = torch.cat([model.weights * others, model.weights.new_tensor([weight])])
    grown = model.replace(components=_on(gaussian, model, of), gate=_gate(model, weights, of, others))
    return _blended(grown, model.k, model, model.weights / model.weights.sum())


def remove(model: Mixture, k: int) -> Mixture:
    """All components but k; the weights that are left are scaled to sum to one."""
    _check_component(model, k)
    if model.k == 1:
        raise ValueError("The mixture has one component, which cannot be removed; add another one first.")
    kept = [j for j in range(model.k) if j != k]
    weights = model.weights[kept]
    if not bool(weights.sum() > 0):
        weights = (model.weights.sum() / len(kept)).expand(len(kept))  # all the weight was on k
    components: Any = model.components  # a record, whatever the family
    left = model.replace(components=components.take(torch.tensor(kept, device=weights.device)))
    return left.relocated(prior=_prior(model.located, kept)).replace(gate=_gate(model, weights, kept))


def merge(model: Mixture, i: int, j: int) -> Mixture:
    """Components i and j as one, in the place of the lower, with the weight, mean and covariance of the pair.

    Sigma = (w_i Sigma_i + w_j Sigma_j) / w + (w_i w_j / w^2) (mu_i - mu_j)(mu_i - mu_j)', projected onto the structure.
    """
    _check_component(model, i)
    _check_component(model, j)
    if i == j:
        raise ValueError(f"Component {i} cannot be merged with itself; expected two different ones.")
    pair, weights = torch.tensor(sorted((i, j)), device=model.weights.device), model.weights
    total = weights[pair].sum()
    share = weights[pair] / total if bool(total > 0) else torch.full_like(weights[pair], 0.5)
    old = _shaped(model)
    mean, cov = old.mean, old.cov
    apart = mean[pair[0]] - mean[pair[1]]
    joined = torch.einsum("k,kde->de", share, cov[pair]) + share.prod() * torch.outer(apart, apart)
    kept = [k for k in range(model.k) if k != int(pair[1])]
    at = int(pair[0])
    merged = _rebuilt(
        model,
        _with_row(mean, at, share @ mean[pair])[kept],
        _with_row(cov, at, joined)[kept],
        _with_row(weights, at, total)[kept],
        of=kept,
    )
    return _blended(merged, at, model, torch.zeros_like(weights).index_copy(0, pair, share))


def split(model: Mixture, k: int, apart: float = 0.5) -> Mixture:
    """Component k as two of half its weight, its own place and the last, along its longest axis v, of variance l.

        mu = mu_k -+ apart sqrt(l) v        Sigma = Sigma_k - apart^2 l v v'

    The pair has the mean and the covariance of the parent, up to the projection onto the structure. See Zhang,
    Chen, Sun and Chan (2003), who split along singular vectors.
    """
    _check_component(model, k)
    if not 0 < apart < 1:
        raise ValueError(f"apart={apart}; expected standard deviations between 0 and 1, where a covariance is left.")
    old = _shaped(model)
    mean, cov = old.mean, old.cov
    length, axes = torch.linalg.eigh(cov[k])  # ascending
    step = apart * length[-1].clamp(min=0).sqrt() * axes[:, -1]
    narrow, half = cov[k] - torch.outer(step, step), model.weights[k] / 2
    return _rebuilt(
        model,
        torch.cat([_with_row(mean, k, mean[k] - step), (mean[k] + step)[None]]),
        torch.cat([_with_row(cov, k, narrow), narrow[None]]),
        torch.cat([_with_row(model.weights, k, half), half[None]]),
        of=[*range(model.k), k],
    )


def reseed(model: Mixture, which: Sequence[int], means: Float[Tensor, "c d"]) -> Mixture:
    """Some components begun anew at other means, each in its own place among the numbers.

    Each has the average covariance of the model and the weight 1 / k; the others, and the
    noise, share what is left as before.
    """
    old, k = _shaped(model), model.k
    for j in which:
        _check_component(model, j)
    new = torch.tensor(list(which), device=old.mean.device)
    mean, cov, weights = old.mean.clone(), old.cov.clone(), model.weights.clone()
    rest = 1 - float(weights[new].sum())  # of those that stay, and of the noise
    stay = k - len(new)
    mean[new] = means.to(mean)
    cov[new] = (weights[:, None, None] * old.cov).sum(0) / weights.sum()
    weights[new] = rest / stay if stay and rest > 0 else weights.sum() / k
    return _rebuilt(model, mean, cov, weights, range(k))


def _rebuilt(
    model: Mixture,
    mean: Float[Tensor, "k d"],
    cov: Float[Tensor, "k d d"],
    weights: Float[Tensor, "k"],
    of: Sequence[int],
) -> Mixture:
    """The mixture of these components, brought to the model's structure together.

    `of` says whose prior and degrees of freedom each has.
    """
    old = _shaped(model)
    new = type(old).of(mean, cov, old.structure, origin=old.origin, ridge=old.ridge).replace(prior=_prior(old, of))
    return model.replace(components=_on(new, model, of), gate=_gate(model, weights, of))


def _shaped(model: Mixture) -> Gaussian:
    """The Gaussians whose covariances are, or scale, those of the components."""
    if isinstance(model.components, FactorAnalyzers):
        raise TypeError(
            "This move makes covariances, and those of factor analysers are loadings and noise; expected Gaussian or "
            "Student-t components. Factor analysers can be moved and removed."
        )
    return model.located


def _on(gaussian: Gaussian, model: Mixture, of: Sequence[int]) -> Gaussian | Student:
    """Components of the model's family on these Gaussians, each with what else one of the old ones has."""
    old = model.components
    return old.replace(gaussian=gaussian, dof=old.dof[list(of)]) if isinstance(old, Student) else gaussian


def _blended(new: Mixture, at: int, old: Mixture, share: Float[Tensor, "_"]) -> Mixture:
    """Student-t components with degrees of freedom nu, at one place, by which 1 / nu is a mean over old ones."""
    if not isinstance(new.components, Student) or not isinstance(old.components, Student):
        return new
    dof = old.components.dof
    like = dof[share.argmax()]  # relative to one of them, so that equal ones stay what they are to the bit
    blend = like / (1 + share @ (like / dof - 1))
    return new.replace(components=new.components.replace(dof=_with_row(new.components.dof, at, blend)))


def _gate(model: Mixture, weights: Float[Tensor, "k"], of: Sequence[int], scale: float = 1.0) -> Gate:
    """Constant weights, in which noise has its old weight times `scale`, all divided by their sum.

    Each has the prior of one of the old ones.
    """
    gate = model.gate
    if isinstance(gate, Noisy):
        none = scale * float(gate.none)
        noisy = Noisy.of(weights, none / (none + float(weights.sum())), gate.low, gate.high)
        return noisy if gate.alpha is None else noisy.replace(alpha=gate.alpha[list(of)])
    alpha = gate.alpha[list(of)] if isinstance(gate, Constant) and gate.alpha is not None else None
    return Constant.of(weights).replace(alpha=alpha)


def _prior(old: Gaussian, of: Sequence[int]) -> Prior | None:
    """The prior of components, each with that of one of the old ones."""
    if old.prior is None:
        return None
    prior = old.prior.take(torch.tensor(list(of), device=old.mean.device))
    return prior.handed_out(old.k / len(of)) if old.structure.shared else prior


def _with_row(table: Tensor, k: int, row: Tensor) -> Tensor:
    changed = table.clone()
    changed[k] = row
    return changed


def _check_component(model: Mixture, k: int) -> None:
    if not 0 <= k < model.k:
        raise IndexError(f"There is no component {k}: the mixture has {model.k}, numbered 0 to {model.k - 1}.")
