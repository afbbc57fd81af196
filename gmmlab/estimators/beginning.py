"""Where the fits of an estimator begin: parameters that were given, starts by name, the last fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.fitting import Begin
from gmmlab.estimators.kept import gaussians
from gmmlab.estimators.sample import Sample
from gmmlab.families import Prior, Structure
from gmmlab.gates import Constant, Noisy
from gmmlab.init import METHODS, from_responsibilities, given_responsibilities
from gmmlab.model import Mixture

NOISE = 0.05  # of the rows, to begin with


def begins(estimator: Any, sample: Sample, rng: torch.Generator) -> Iterator[Begin]:
    """Models to climb from: `n_init` of them, or the last fit if it is to go on."""
    finish = _finishing(estimator, sample)
    if estimator.warm_start and hasattr(estimator, "converged_"):
        yield Begin(finish(_resumed(estimator, sample)), estimator.lower_bound_)
        return
    given = _given(estimator, sample)
    for _ in range(estimator.n_init):
        yield Begin(finish(_start(estimator, sample, given, rng)))


def _resumed(estimator: Any, sample: Sample) -> Mixture:
    """The fitted model, about the new rows. Raises `ValueError` if it does not suit the parameters any more."""
    axes = sk.COVARIANCES[estimator.covariance_type].axes(estimator.n_components, sample.x.shape[1])
    if tuple(estimator.covariances_.shape) != axes:
        raise ValueError(
            f"warm_start goes on from covariances of shape {tuple(estimator.covariances_.shape)}; n_components, "
            f"covariance_type and the rows now ask for {axes}. Set warm_start=False, or set them back."
        )
    return estimator.mixture_.to(sample.x.device)


def _start(estimator: Any, sample: Sample, given: dict[str, Tensor], rng: torch.Generator) -> Mixture:
    """A first model, with the given parameters in place of those of the start."""
    structure, ridge = sk.structure(estimator.covariance_type), float(estimator.reg_covar)
    if len(given) == 3:
        components = gaussians(given["mean"], given["chol"], sample.origin, structure, ridge)
        return Mixture(components, Constant(given["weights"].log()))
    begin = _first(estimator, sample, structure, rng)
    parts = {name: given[name] for name in ("mean", "chol") if name in given}
    gate = Constant(given["weights"].log()) if "weights" in given else begin.gate
    return begin.replace(components=begin.gaussian.replace(**parts), gate=gate)


def _first(estimator: Any, sample: Sample, structure: Structure, rng: torch.Generator) -> Mixture:
    """The start by name, of the rows that count; or one M-step from labels or responsibilities."""
    x, weight, k, ridge = sample.x, sample.weight, int(estimator.n_components), float(estimator.reg_covar)
    if isinstance(estimator.init_params, str):
        if weight is not None:
            x, weight = x[weight > 0], weight[weight > 0]
        return METHODS[estimator.init_params](x, k, structure, rng, ridge=ridge, weight=weight)
    resp = given_responsibilities(estimator.init_params, len(x), k).to(x)
    return from_responsibilities(x, resp, structure, ridge=ridge, weight=weight)


def _given(estimator: Any, sample: Sample) -> dict[str, Tensor]:
    """The checked parameters of the start that the caller gave; precisions as factors of covariances."""
    k, d, given = estimator.n_components, sample.x.shape[1], {}
    if estimator.weights_init is not None:
        given["weights"] = sk.check_weights(estimator.weights_init, k)
    if estimator.means_init is not None:
        given["mean"] = sk.check_means(estimator.means_init, k, d)
    if estimator.precisions_init is not None:
        given["chol"] = sk.check_precisions(estimator.precisions_init, estimator.covariance_type, k, d)
    return {name: value.to(sample.x.device) for name, value in given.items()}


def _finishing(estimator: Any, sample: Sample) -> Callable[[Mixture], Mixture]:
    """What every first model gets: the origin of all rows, the prior, and the noise."""
    prior = _prior(estimator, sample)

    def finish(model: Mixture) -> Mixture:
        components = model.located.replace(origin=sample.origin, prior=prior)
        model = model.replace(components=estimator._family(components, model.components))
        if not estimator.noise or isinstance(model.gate, Noisy):
            return model
        share = NOISE if estimator.noise is True else float(estimator.noise)
        return model.replace(gate=Noisy.around(sample.x, model.weights, share))

    return finish


def _prior(estimator: Any, sample: Sample) -> Prior | None:
    """mclust's default, or what a mapping says of it: kappa, dof, mean (d) and scale (d, d)."""
    if estimator.prior is None:
        return None
    structure, k, x = sk.structure(estimator.covariance_type), int(estimator.n_components), sample.x
    if not isinstance(estimator.prior, Mapping):
        return Prior.weak(structure, k, x)
    d, given = x.shape[1], dict(estimator.prior)
    if unknown := set(given) - {"kappa", "dof", "mean", "scale"}:
        raise ValueError(f"prior has the entries {sorted(unknown)}; expected some of kappa, dof, mean and scale.")
    y = (x - sample.origin).double()
    mean = sk.as_tensor(given["mean"]).to(x) if "mean" in given else sample.origin
    scale = sk.as_tensor(given["scale"]).to(x) if "scale" in given else y.T @ y / (len(x) - 1) / k ** (2 / d)
    return Prior.of(
        structure, k, mean=mean, kappa=float(given.get("kappa", 0.01)), dof=float(given.get("dof", d + 2)), scale=scale
    )
