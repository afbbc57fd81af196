"""The priors of a Bayesian mixture, out of what an estimator was given; where that is nothing, of the rows."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import Sample
from gmmlab.families import NormalWishart, Structure
from gmmlab.gates import DirichletWeights, Known, Learned, StickWeights
from gmmlab.model import Mixture

FINITE, STICKS, DISCOUNTED = "dirichlet_distribution", "dirichlet_process", "pitman_yor"


def prior_of(estimator: Any, sample: Sample) -> Mixture:
    """The prior of components and weights, as the posterior of no rows."""
    return Mixture(_of_components(estimator, sample), weights_prior_of(estimator).to(sample.x.device))


def weights_prior_of(estimator: Any, alpha: float | None = None) -> DirichletWeights | StickWeights:
    """The prior of the weights, with concentration `alpha`: what the estimator was given, or 1 / k."""
    k, kind = int(estimator.n_components), estimator.weight_concentration_prior_type
    given = estimator.weight_concentration_prior
    alpha = alpha if alpha is not None else 1 / k if given is None else float(given)
    learned = _learned(estimator.learn_alpha, alpha)
    if learned is not None and kind != STICKS:
        raise ValueError(
            f"learn_alpha needs weight_concentration_prior_type={STICKS!r}, where the posterior of the concentration "
            f"is a gamma distribution; got {kind!r}. Leave learn_alpha out, or change the type."
        )
    if kind == FINITE:
        return DirichletWeights.of(torch.full((k,), alpha, dtype=torch.float64))
    discount = float(estimator.discount) if kind == DISCOUNTED else 0.0
    return StickWeights.of(k, learned or Known.of(alpha), discount=discount, by_size=bool(estimator.by_size))


def _learned(given: Any, alpha: float) -> Learned | None:
    """The gamma distribution of the concentration, if it has one: of shape 1 and mean alpha, or as given."""
    if isinstance(given, bool | np.bool_):
        return Learned.of(1.0, 1 / alpha) if given else None
    numbers = sk.as_tensor(given).double()
    if tuple(numbers.shape) != (2,):
        raise ValueError(f"learn_alpha is {given!r}; expected True, False, or the shape and rate of a gamma prior.")
    return Learned.of(float(numbers[0]), float(numbers[1]))


def _of_components(estimator: Any, sample: Sample) -> NormalWishart:
    d, device = sample.x.shape[1], sample.x.device
    structure = sk.structure(estimator.covariance_type)
    centre, spread = _moments(sample)
    dof = float(d if estimator.degrees_of_freedom_prior is None else estimator.degrees_of_freedom_prior)
    if not dof > d - 1:
        raise ValueError(f"The parameter 'degrees_of_freedom_prior' should be greater than {d - 1}, but got {dof:.3f}.")
    mean = centre if estimator.mean_prior is None else sk.check_shape(estimator.mean_prior, (d,), "means")
    kappa = estimator.mean_precision_prior
    given = estimator.covariance_prior
    scale = _default(spread, structure) if given is None else _given(given, estimator.covariance_type, d)
    return NormalWishart.of(
        structure,
        int(estimator.n_components),
        mean=mean.to(device),
        kappa=1.0 if kappa is None else float(kappa),
        dof=dof,
        scale=scale.to(device),
        origin=sample.origin,
        ridge=float(estimator.reg_covar),
    )


def _moments(sample: Sample) -> tuple[Float[Tensor, "d"], Float[Tensor, "d d"]]:
    """Mean and covariance of the rows that there are to start from, each of which counts its weight times."""
    x = sample.x.double()
    w = x.new_ones(len(x)) if sample.weight is None else sample.weight.double()
    n = w.sum()
    mean = w @ x / n if sample.complete else sample.origin.double()
    y = x - mean
    weighted = y if sample.weight is None else w[:, None] * y
    return mean, weighted.T @ y / (n - 1 if n > 1 else n)


def _default(spread: Float[Tensor, "d d"], structure: Structure) -> Tensor:
    """The covariance of the rows, their variances, or the mean of these."""
    if structure.dense:
        return spread
    variances = spread.diagonal()
    return variances.mean().expand_as(variances) if structure.spherical else variances


def _given(value: Any, covariance_type: str, d: int) -> Tensor:
    """A checked scale, in the shape of the structure's scatter. Raises `ValueError` for one that is none."""
    structure, name = sk.structure(covariance_type), f"{covariance_type} covariance_prior"
    if structure.spherical and (isinstance(value, Real) or np.ndim(value) == 0):
        value = float(value) * torch.ones(d, dtype=torch.float64)
    if not structure.dense:
        scale = sk.check_shape(value, (d,), name)
        if not bool((scale > 0).all()):
            raise ValueError(f"'{name}' should be positive")
        return scale
    scale = sk.check_shape(value, (d, d), name)
    if not torch.allclose(scale, scale.mT) or bool(torch.linalg.cholesky_ex(scale)[1]):
        raise ValueError(f"'{name}' should be symmetric, positive-definite")
    return scale
