"""Mixtures in files: what their fits leave, and what makes it belong together."""

from __future__ import annotations

from typing import NotRequired

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.estimators import (
    BayesianGaussianMixture,
    CensoredGaussianMixture,
    DeconvolvedGaussianMixture,
    FactorMixture,
    GaussianMixture,
    IncrementalGaussianMixture,
    IncrementalGMClassifier,
    IncrementalGMRegressor,
    SemiSupervisedGMM,
    StudentMixture,
    TruncatedGaussianMixture,
)
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.base import ClimbingMixture
from gmmlab.estimators.fitting import Online
from gmmlab.estimators.shaped import CovarianceMixture
from gmmlab.fit.certificate import Certificate
from gmmlab.fit.growing import Event, Grown, Rule
from gmmlab.storage.entry import Fitted, Stored, check_agreement, require
from gmmlab.storage.hints import Array, Label

# -- what fits leave ---------------------------------------------------------------------------------------------------


class Climbed(Fitted):
    """Of a mixture that climbed."""

    weights_: Float[Array, "k"]
    means_: Float[Array, "k d"]
    converged_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
    certificate_: Certificate


class Maximised(Climbed):
    """Of expectation maximisation."""

    noise_weight_: NotRequired[float]
    noise_box_: NotRequired[Float[Array, "2 d"]]


class Shaped(Maximised):
    """Of components with covariances, whose shapes are those of their type."""

    covariances_: Float[Array, "..."]
    precisions_: Float[Array, "..."]
    precisions_cholesky_: Float[Array, "..."]


class Batched(Shaped):
    """The same, of rows that may come in batches."""

    _online: NotRequired[Online]


class Heavy(Batched):
    """Of components with heavy tails."""

    dofs_: Float[Array, "k"]


class Loaded(Maximised):
    """Of factor analysers."""

    loadings_: Float[Array, "k d q"]
    noise_variances_: Float[Array, "..."]


class Labelled(Shaped):
    """Of components that have classes."""

    classes_: Label[Array, "j"]
    component_class_: Float[Array, "k j"]


class Deconvolved(Shaped):
    """Of true values."""

    selected_: NotRequired[float]


class Truncated(Shaped):
    """Of all rows, seen or not."""

    observed_fraction_: float


class Believed(Climbed):
    """Of a posterior and its prior."""

    covariances_: Float[Array, "..."]
    precisions_: Float[Array, "..."]
    precisions_cholesky_: Float[Array, "..."]
    mean_precision_: Float[Array, "k"]
    degrees_of_freedom_: Float[Array, "k"] | float
    weight_concentration_: Float[Array, "k"] | tuple[Float[Array, "k"], Float[Array, "k"]]
    weight_concentration_prior_: float
    mean_precision_prior_: float
    mean_prior_: Float[Array, "d"]
    degrees_of_freedom_prior_: float
    covariance_prior_: Float[Array, "..."] | float
    concentration_posterior_: NotRequired[Float[Array, "2"]]
    elbo_: float


class Grew(Fitted):
    """Of a mixture that grows."""

    weights_: Float[Array, "k"]
    means_: Float[Array, "k d"]
    precisions_: Float[Array, "k d d"]
    counts_: Float[Array, "k"]
    ages_: Float[Array, "k"]
    history_: list[Event]
    _grown: Grown
    _rule_: Rule


class Regressed(Fitted):
    """Of a mixture of columns and targets that grows."""

    _joint: IncrementalGaussianMixture
    _flat: bool


class Classified(Fitted):
    """Of a mixture of columns and indicators that grows."""

    _joint: IncrementalGaussianMixture
    classes_: Label[Array, "j"]


# -- what makes it belong together -------------------------------------------------------------------------------------


def check_mixture(model: ClimbingMixture) -> None:
    """Arrays must have the shapes of the parameters, and weights must be weights."""
    k, d = sk.as_tensor(model.means_).shape
    noisy = hasattr(model, "noise_box_")
    for name, shape in model._shapes(k, d).items():
        value = getattr(model, name)
        if tuple(value.shape) != shape:
            seen = tuple(value.shape)
            raise ValueError(f"{name} has the shape {seen}, expected {shape} for {k} components in {d} columns")
    if noisy != hasattr(model, "noise_weight_"):
        raise ValueError("it has one of noise_box_ and noise_weight_, expected both or none")
    weights = sk.as_tensor(model.weights_).double()
    rest = float(model.noise_weight_) if noisy else 0.0
    if bool((weights < 0).any()) or not 0 <= rest <= 1 or abs(float(weights.sum()) + rest - 1) > 1e-5:
        whole = f"one less the noise's {rest:g}" if noisy else "one"
        raise ValueError(f"weights_ are {weights.tolist()}, expected numbers of at least 0 that sum to {whole}")
    if noisy and not bool((sk.as_tensor(model.noise_box_)[0] < sk.as_tensor(model.noise_box_)[1]).all()):
        raise ValueError("noise_box_ has no volume, expected its first row below its second")


def check_shaped(model: CovarianceMixture | BayesianGaussianMixture) -> None:
    """Covariances must be consistent with their factors."""
    check_mixture(model)
    axes, layout = tuple(sk.as_tensor(model.means_).shape), sk.layout(model.covariance_type)
    upper = sk.as_tensor(model.precisions_cholesky_)
    _check_factors(layout.spread(sk.as_tensor(model.covariances_), *axes), upper, layout, axes)
    check_agreement(model, {"precisions_": _square(upper, dense=layout.structure.dense)}, "precisions_cholesky_")


def _check_batched(model: GaussianMixture | StudentMixture) -> None:
    """A fit that goes on is one of this mixture."""
    check_shaped(model)
    online = getattr(model, "_online", None)
    if online is not None:
        dtype = sk.as_tensor(model.means_).dtype
        written = model._written(online.model.components) | {"weights_": online.model.weights}
        check_agreement(model, {name: value.to(dtype) for name, value in written.items()}, "_online")


def _check_student(model: StudentMixture) -> None:
    _check_batched(model)
    _check_positive(model, "dofs_")


def _check_factor_mixture(model: FactorMixture) -> None:
    check_mixture(model)
    _check_positive(model, "noise_variances_")


def _check_labelled(model: SemiSupervisedGMM) -> None:
    """Components have probabilities of classes."""
    check_shaped(model)
    beta = sk.as_tensor(model.component_class_).double()
    sums = bool(((beta.sum(1) - 1).abs() <= 1e-5).all())
    require(bool((beta >= 0).all()) and sums, "component_class_ has lines that are no probabilities")


def _check_truncated(model: TruncatedGaussianMixture) -> None:
    check_shaped(model)
    share = model.observed_fraction_
    require(0 < share <= 1 + 1e-6, f"observed_fraction_ is {share:g}, expected a share above 0")


def _check_deconvolved(model: DeconvolvedGaussianMixture) -> None:
    check_shaped(model)
    share = getattr(model, "selected_", 1.0)
    require(0 < share <= 1 + 1e-6, f"selected_ is {share:g}, expected a share above 0")


def _check_bayesian(model: BayesianGaussianMixture) -> None:
    """A posterior has seen no fewer rows than none, and its prior must be one."""
    check_shaped(model)
    w = sk.as_tensor(model.mean_precision_) - model.mean_precision_prior_
    if bool((w < -1e-6 * sk.as_tensor(model.mean_precision_).abs()).any()):
        raise ValueError(f"mean_precision_ is below mean_precision_prior_ = {model.mean_precision_prior_:g}")
    if not bool((sk.as_tensor(model.weight_concentration_) > 0).all()):
        raise ValueError("weight_concentration_ has numbers that are not above 0")
    mixture = model.mixture_  # raises for a prior that is none
    if not bool(torch.isfinite(mixture.log_prob(mixture.located.mean.to(mixture.located.origin))).all()):
        raise ValueError("its attributes make no posterior")


def _check_positive(model: ClimbingMixture, name: str) -> None:
    require((sk.as_tensor(getattr(model, name)) > 0).all(), f"{name} has numbers that are not above 0")


def _square(upper: Tensor, *, dense: bool) -> Tensor:
    """Precisions out of their factors."""
    return upper @ upper.mT if dense else upper**2


def _check_factors(cov: Tensor, upper: Tensor, layout: sk.Layout, axes: tuple[int, ...]) -> None:
    """U' Sigma U = I holds for a positive definite covariance and its factor alone."""
    tol = 1e4 * torch.finfo(cov.dtype).eps
    chol = sk.factors(upper, layout, *axes)
    dense = chol.ndim == 3
    diagonal = chol.diagonal(dim1=-2, dim2=-1) if dense else chol
    if not bool((diagonal > 0).all()):
        raise ValueError("precisions_cholesky_ has a diagonal that is not positive")
    product = chol @ chol.mT if dense else chol**2
    variances = product.diagonal(dim1=-2, dim2=-1) if dense else product
    size = (variances[:, :, None] * variances[:, None, :]).sqrt() if dense else variances
    if bool(((product - cov).abs() > tol * size).any()):
        raise ValueError("covariances_ and precisions_cholesky_ do not belong together")


def _check_grown(model: IncrementalGaussianMixture) -> None:
    """The attributes are those of the mixture that goes on growing."""
    grown = model._grown
    require(model._rule_.width.shape == grown.mean.shape[1:], "the widths of _rule_ are not those of the columns")
    held = {"weights_": grown.weights, "means_": grown.mean, "precisions_": grown.precision}
    check_agreement(model, held | {"counts_": grown.sp, "ages_": grown.age}, "_grown")


def _check_regressor(model: IncrementalGMRegressor) -> None:
    targets = model._joint.n_features_in_ - model.n_features_in_
    require(targets == 1 if model._flat else targets > 0, f"there are {targets} targets")


def _check_classifier(model: IncrementalGMClassifier) -> None:
    targets = model._joint.n_features_in_ - model.n_features_in_
    require(targets == len(model.classes_), f"there are {targets} indicators of {len(model.classes_)} classes")


_ROWS = {"k": "n_components", "d": "n_features_in_", "c": "n_features_in_"}
_COLUMNS = {"d": "n_features_in_", "c": "n_features_in_"}

STORED: tuple[Stored, ...] = (
    Stored(BayesianGaussianMixture, Believed, _check_bayesian, _ROWS),
    Stored(CensoredGaussianMixture, Shaped, check_shaped, _ROWS),
    Stored(DeconvolvedGaussianMixture, Deconvolved, _check_deconvolved, {"k": "n_components", "c": "n_features_in_"}),
    Stored(FactorMixture, Loaded, _check_factor_mixture, _ROWS),
    Stored(GaussianMixture, Batched, _check_batched, _ROWS),
    Stored(IncrementalGMClassifier, Classified, _check_classifier, _COLUMNS),
    Stored(IncrementalGMRegressor, Regressed, _check_regressor, _COLUMNS),
    Stored(IncrementalGaussianMixture, Grew, _check_grown, _COLUMNS),
    Stored(SemiSupervisedGMM, Labelled, _check_labelled, _ROWS),
    Stored(StudentMixture, Heavy, _check_student, _ROWS),
    Stored(TruncatedGaussianMixture, Truncated, _check_truncated, _ROWS),
)
