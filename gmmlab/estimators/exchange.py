"""Fitted mixtures to and from scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import sklearn.mixture
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.families import Diagonal, Full, Gaussian, Spherical, Structure, Tied
from gmmlab.gates import Constant
from gmmlab.model import Mixture

_PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
_RECORD = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_")
_COLUMNS = ("n_features_in_", "feature_names_in_")
_KINDS: dict[type[Structure], str] = {Full: "full", Tied: "tied", Diagonal: "diag", Spherical: "spherical"}


def from_sklearn(model: Any) -> GaussianMixture:
    """Our fitted `GaussianMixture` from scikit-learn's, or from its `BayesianGaussianMixture`.

    Of a Bayesian one it takes the point estimate: the weights, means and covariances of its attributes. That gives the
    density at these parameters, where the Bayesian `score_samples` and `predict` average over what is not known of
    them. Its lower bound is one on the evidence and not a log-likelihood, and is left behind.
    """
    if not isinstance(model, sklearn.mixture.GaussianMixture | sklearn.mixture.BayesianGaussianMixture):
        raise TypeError(
            f"from_sklearn was given a {type(model).__name__}; expected a GaussianMixture or a BayesianGaussianMixture "
            "of sklearn.mixture."
        )
    check_is_fitted(model)
    known = set(GaussianMixture._get_param_names())
    plain = isinstance(model, sklearn.mixture.GaussianMixture)
    ours = GaussianMixture(**{name: value for name, value in clone(model).get_params().items() if name in known})
    _copy(model, ours, _PARAMETERS + _COLUMNS + (_RECORD if plain else _RECORD[:2]))
    if not plain:
        ours.lower_bound_, ours.lower_bounds_ = -math.inf, []
    return ours


def to_sklearn(model: GaussianMixture) -> sklearn.mixture.GaussianMixture:
    """A fitted `sklearn.mixture.GaussianMixture` with the same density, in NumPy's arrays.

    Parameters of the constructor that scikit-learn does not have, or values it would refuse, are left at its defaults;
    covariances of a structure it does not have are written as full ones, or as diagonal ones where they are.
    """
    check_is_fitted(model)
    mixture = model.mixture_
    if not isinstance(mixture.components, Gaussian) or not isinstance(mixture.gate, Constant):
        raise TypeError(
            "scikit-learn has mixtures of Gaussians with constant weights only, not of "
            f"{type(mixture.components).__name__} with {type(mixture.gate).__name__}."
        )
    kind = _KINDS.get(type(mixture.gaussian.structure), "full" if mixture.gaussian.structure.dense else "diag")
    theirs = sklearn.mixture.GaussianMixture(**_accepted(model), covariance_type=kind)
    _copy(model, theirs, _RECORD + _COLUMNS)
    for name, value in _written(model, mixture, kind).items():
        setattr(theirs, name, np.array(_array(value)))
    return theirs


def _accepted(model: GaussianMixture) -> dict[str, Any]:
    """The parameters of the constructor that scikit-learn's takes, but for the covariance type."""
    known = set(sklearn.mixture.GaussianMixture().get_params()) - {"covariance_type"}
    parameters = {name: _array(value) for name, value in clone(model).get_params().items() if name in known}
    return {name: value for name, value in parameters.items() if _is_accepted(name, value)}


def _is_accepted(name: str, value: Any) -> bool:
    try:
        sklearn.mixture.GaussianMixture(**{name: value})._validate_params()
    except ValueError:
        return False
    return True


def _array(value: Any) -> Any:
    return value.cpu().numpy().copy() if isinstance(value, Tensor) else value


def _written(model: GaussianMixture, mixture: Mixture, kind: str) -> dict[str, Any]:
    """The fitted parameters in the shapes of a covariance type; the very numbers where it is the model's own."""
    values = {name: getattr(model, name) for name in _PARAMETERS}
    layout = sk.COVARIANCES[kind]
    if tuple(model.covariances_.shape) == layout.axes(mixture.k, mixture.d) and model.covariance_type == kind:
        return values
    dtype = mixture.gaussian.origin.dtype
    return values | {name: part.to(dtype) for name, part in sk.attributes(mixture.gaussian.chol, layout).items()}


def _copy(source: Any, target: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if hasattr(source, name):
            value = getattr(source, name)
            setattr(target, name, value.copy() if isinstance(value, np.ndarray | list) else value)
