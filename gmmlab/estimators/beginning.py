"""Where the fits of an estimator begin: parameters that were given, starts by name, the last fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.fitting import Begin
from gmmlab.estimators.sample import Sample
from gmmlab.families import Gaussian
from gmmlab.gates import Constant, Noisy
from gmmlab.init import METHODS, from_responsibilities, given_responsibilities
from gmmlab.model import Mixture

NOISE = 0.05  # of the rows, to begin with


def begins(estimator: Any, sample: Sample, rng: torch.Generator) -> Iterator[Begin]:
    """Models to climb from: `n_init` of them, or the last fit if it is to go on."""
    finish = _finishing(estimator, sample)
    if estimator.warm_start and hasattr(estimator, "converged_"):
        yield Begin(finish(resumed(estimator, sample)), estimator.lower_bound_)
        return
    given = _given(estimator, sample)
    for _ in range(estimator.n_init):
        yield Begin(finish(_start(estimator, sample, given, rng)))


def resumed(estimator: Any, sample: Sample) -> Mixture:
    """The fitted model, about the new rows. Raises `ValueError` if it does not suit the parameters any more."""
    for name, axes in estimator._shapes(estimator.n_components, sample.x.shape[1]).items():
        if (seen := tuple(getattr(estimator, name).shape)) != axes:
            raise ValueError(
                f"warm_start goes on from {name} of shape {seen}; the parameters and the rows now ask for {axes}. Set "
                "warm_start=False, or set them back."
            )
    return estimator.mixture_.to(sample.x.device)


def _start(estimator: Any, sample: Sample, given: dict[str, Tensor], rng: torch.Generator) -> Mixture:
    """A first model, with the given parameters in place of those of the start."""
    structure, ridge = estimator._structure(), float(estimator.reg_covar)
    if len(given) == 3:
        jitter = torch.zeros(len(given["mean"]), dtype=torch.float64, device=sample.x.device)
        components = Gaussian(given["mean"].clone(), given["chol"], jitter, sample.origin, structure, ridge)
        return Mixture(components, Constant(given["weights"].log()))
    begin: Mixture = estimator._first(sample, rng)
    if "weights" in given:
        begin = begin.replace(gate=Constant(given["weights"].log()))
    located = {name: given[name] for name in ("mean", "chol") if name in given}
    return begin.relocated(**located) if located else begin


def gaussian_start(estimator: Any, sample: Sample, rng: torch.Generator) -> Mixture:
    """The start by name, of the rows that count; or one M-step from labels or responsibilities, given or found."""
    k, structure, ridge = int(estimator.n_components), estimator._structure(), float(estimator.reg_covar)
    if isinstance(estimator.init_params, str):
        x, weight = sample.counting
        return METHODS[estimator.init_params](x, k, structure, rng, ridge=ridge, weight=weight)
    given = estimator.init_params
    found = grouped(given, sample, rng) if hasattr(given, "fit_predict") else given
    resp = given_responsibilities(found, len(sample.x), k).to(sample.x)
    return from_responsibilities(sample.x, resp, structure, ridge=ridge, weight=sample.weight)


def grouped(clusterer: Any, sample: Sample, rng: torch.Generator) -> Any:
    """What a clusterer finds in the rows of a start: responsibilities where it has them, or labels.

    A copy of it is fitted, with random numbers of this fit unless it has some of its own, and with the weights of rows
    if it takes any.
    """
    copy = clone(clusterer)
    if copy.get_params(deep=False).get("random_state", 0) is None:
        copy.set_params(random_state=int(torch.randint(2**31, (), generator=rng, device=rng.device)))
    more = {}
    if sample.weight is not None and sample.weight.ndim == 1 and has_fit_parameter(copy, "sample_weight"):
        more = {"sample_weight": sample.weight.cpu().numpy()}
    copy.fit(sample.x.cpu().numpy(), **more)
    return getattr(copy, "responsibilities_", copy.labels_)


def _given(estimator: Any, sample: Sample) -> dict[str, Tensor]:
    """The checked parameters of the start that the caller gave; precisions as factors of covariances."""
    k, d = estimator.n_components, sample.x.shape[1]
    weights = {} if estimator.weights_init is None else {"weights": sk.check_weights(estimator.weights_init, k)}
    return {name: value.to(sample.x.device) for name, value in (weights | estimator._given(k, d)).items()}


def _finishing(estimator: Any, sample: Sample) -> Callable[[Mixture], Mixture]:
    """What every first model gets: the estimator's family, the noise, the prior of the weights, and its gate."""
    alpha = None
    if estimator.weights_prior is not None:
        alpha = sk.check_weights_prior(estimator.weights_prior, int(estimator.n_components)).to(sample.x.device)

    def finish(model: Mixture) -> Mixture:
        model = estimator._family(model, sample)
        if estimator.noise and not isinstance(model.gate, Noisy):
            share = NOISE if estimator.noise is True else float(estimator.noise)
            model = model.replace(gate=Noisy.around(sample.x, model.weights, share))
        gate = model.gate
        if alpha is not None and isinstance(gate, Constant | Noisy):
            model = model.replace(gate=gate.replace(alpha=alpha))
        return estimator._gated(model, sample)

    return finish
