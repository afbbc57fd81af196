"""Fitted estimators in files, without pickle: nothing in a file is ever run.

A file is one safetensors file. Its tensors are the arrays of the estimator; one entry of its metadata, "gmmlab", holds
the rest as JSON:

    {"format": 1, "gmmlab": "0.1.0", "class": "GaussianMixture", "parameters": {...}, "fitted": {...}}

What comes back is what was saved, to the last bit; tensors come back on the CPU. Files are checked before they are
believed: the class must be one of `STORED`, and the parameters and arrays must make a fitted estimator of that class.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import gmmlab
from gmmlab.axes import Tensor
from gmmlab.errors import BadFile
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.base import ClimbingMixture
from gmmlab.estimators.bayesian_mixture import BayesianGaussianMixture
from gmmlab.estimators.encoding import decode, encode
from gmmlab.estimators.factor_mixture import FactorMixture
from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.estimators.shaped import ShapedMixture
from gmmlab.estimators.student_mixture import StudentMixture
from gmmlab.extras import needs

FORMAT = 1
SUFFIX = ".safetensors"
_KEY = "gmmlab"


class Stored(NamedTuple):
    """A kind of estimator that can be stored, and what a file must hold to be believed.

    `check` raises `ValueError` (or anything that wrong attributes lead to) if the estimator could not be used.
    """

    kind: type[BaseEstimator]
    required: frozenset[str]
    check: Callable[[Any], None]


# -- saving ------------------------------------------------------------------------------------------------------------


def save(estimator: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to `path`, which ends in .safetensors; a file that is there is replaced at once.

    Raises `NotFittedError`, and `TypeError` for a parameter or attribute that is not made of numbers, text and arrays.
    """
    path = _checked_path(path)
    name = type(estimator).__name__
    if name not in STORED or type(estimator) is not STORED[name].kind:
        raise TypeError(f"A {name} cannot be stored; expected one of {', '.join(STORED)}.")
    check_is_fitted(estimator)
    tensors: dict[str, Tensor] = {}
    fitted = {key: value for key, value in vars(estimator).items() if _is_fitted_attribute(key)}
    header = {
        "format": FORMAT,
        "gmmlab": gmmlab.__version__,
        "class": name,
        "parameters": encode(estimator.get_params(deep=False), "parameters", tensors),
        "fitted": encode(fitted, "fitted", tensors),
    }
    content = needs("safetensors.torch", "io").save(tensors, {_KEY: json.dumps(header, allow_nan=False)})
    _replace(path, content)


def _checked_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"The file would be {path.name!r}; expected a name that ends in {SUFFIX}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to save in; make it first.")
    return path


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, then put in place: whatever happens, there is a whole file or the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


# -- loading -----------------------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Any:
    """The fitted estimator in a file that `save` wrote. Raises `BadFile`, a `ValueError`, for any other file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}; expected one that gmmlab saved.")
    header, tensors = _read(path)
    stored = _stored(path, header)
    try:
        return _assembled(stored, header, tensors)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, RecursionError) as error:
        raise BadFile(f"{path.name} is not a {stored.kind.__name__} that can be trusted: {_words(error)}.") from error


def _assembled(stored: Stored, header: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """The checked estimator; whatever is wrong with the header or the tensors raises."""
    parameters, fitted = (decode(header[part], tensors) for part in ("parameters", "fitted"))
    if unknown := set(parameters) ^ set(stored.kind._get_param_names()):
        raise ValueError(f"its parameters are not those of this version of gmmlab: {_listed(unknown)}")
    if missing := stored.required - set(fitted):
        raise ValueError(f"it has no {_listed(missing)}")
    if odd := {name for name in fitted if not _is_fitted_attribute(name) or hasattr(stored.kind, name)}:
        raise ValueError(f"it has attributes that no fit sets: {_listed(odd)}")
    if tensors:
        raise ValueError(f"it has tensors that belong nowhere: {_listed(tensors)}")
    estimator = stored.kind(**parameters)
    estimator._validate_params()
    for name, value in fitted.items():
        setattr(estimator, name, value)
    stored.check(estimator)
    return estimator


def _is_fitted_attribute(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_FOREIGN = {  # first bytes of what people also keep models in
    b"\x80": "a pickle, which could run any code when it is opened",
    b"PK": "a zip archive (npz, or torch.save), which may hold pickles",
    b"\x93NUMPY": "an array in NumPy's npy format",
    b"\x1f\x8b": "a gzip file (joblib, perhaps), which may hold a pickle",
    b"x\x9c": "a zlib file (joblib, perhaps), which may hold a pickle",
    b"x\x01": "a zlib file (joblib, perhaps), which may hold a pickle",
    b"x^": "a zlib file (joblib, perhaps), which may hold a pickle",
    b"BZ": "a bzip2 file (joblib, perhaps), which may hold a pickle",
    b"\xfd7zXZ": "an xz file (joblib, perhaps), which may hold a pickle",
    b"\x89HDF": "an HDF5 file",
    b"{": "JSON text",
}
_SAVED = "expected a file that save() of gmmlab wrote"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a file; nothing but safetensors and JSON is read."""
    safetensors = needs("safetensors", "io")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata, names = file.metadata() or {}, file.keys()
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise BadFile(f"{path.name} {_what_instead(path)}; {_SAVED}.") from error
    if _KEY not in metadata:
        raise BadFile(f"{path.name} holds tensors, but no model of gmmlab; {_SAVED}.")
    try:
        header = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise BadFile(f"The header of {path.name} is damaged ({error}); {_SAVED}.") from error
    return header, tensors


def _what_instead(path: Path) -> str:
    with path.open("rb") as file:
        begin = file.read(8)
    if not begin:
        return "is empty"
    # a safetensors file begins with the length of its header, eight bytes, and the header with a brace
    with path.open("rb") as file:
        if file.read(9)[8:] == b"{" and begin[6:] == b"\x00\x00":
            return "is a safetensors file cut short, or damaged"
    found = next((what for mark, what in _FOREIGN.items() if begin.startswith(mark)), None)
    return f"is {found}" if found else "is no safetensors file"


def _stored(path: Path, header: Any) -> Stored:
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise BadFile(f"The header of {path.name} does not say its format; {_SAVED}.")
    if header["format"] > FORMAT:
        raise BadFile(
            f"{path.name} has format {header['format']}, written by gmmlab {header.get('gmmlab')}; this is gmmlab "
            f"{gmmlab.__version__}, which reads formats up to {FORMAT}. Update gmmlab."
        )
    name = header.get("class")
    if not isinstance(name, str) or name not in STORED:
        raise BadFile(f"{path.name} holds a {name!r}, which is unknown here; expected one of {', '.join(STORED)}.")
    return STORED[name]


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return (str(error) or type(error).__name__).rstrip(".")


# -- what can be stored ------------------------------------------------------------------------------------------------


def _check_mixture(model: ClimbingMixture) -> None:
    """Arrays must have the shapes of the parameters and be finite, and weights must be weights."""
    k, d = int(model.n_components), int(model.n_features_in_)
    noisy = hasattr(model, "noise_box_")
    shapes = {"weights_": (k,)} | model._shapes(k, d) | ({"noise_box_": (2, d)} if noisy else {})
    for name, shape in shapes.items():
        value = getattr(model, name)
        if not isinstance(value, Tensor | np.ndarray) or tuple(value.shape) != shape:
            seen = tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
            raise ValueError(f"{name} has the shape {seen}, expected {shape} for {k} components in {d} columns")
        if not bool(torch.isfinite(sk.as_tensor(value)).all()):
            raise ValueError(f"{name} contains NaN or inf")
    weights = sk.as_tensor(model.weights_).double()
    rest = float(model.noise_weight_) if noisy else 0.0
    if bool((weights < 0).any()) or not 0 <= rest <= 1 or abs(float(weights.sum()) + rest - 1) > 1e-5:
        whole = f"one less the noise's {rest:g}" if noisy else "one"
        raise ValueError(f"weights_ are {weights.tolist()}, expected numbers of at least 0 that sum to {whole}")
    if noisy and not bool((sk.as_tensor(model.noise_box_)[0] < sk.as_tensor(model.noise_box_)[1]).all()):
        raise ValueError("noise_box_ has no volume, expected its first row below its second")
    if len(getattr(model, "feature_names_in_", range(d))) != d:
        raise ValueError(f"there are {len(model.feature_names_in_)} feature names, expected {d}")


def _check_shaped(model: ShapedMixture | BayesianGaussianMixture) -> None:
    """Covariances must be consistent with their factors."""
    _check_mixture(model)
    axes, layout = (int(model.n_components), int(model.n_features_in_)), sk.COVARIANCES[model.covariance_type]
    covariances = layout.spread(sk.as_tensor(model.covariances_), *axes)
    _check_factors(covariances, sk.as_tensor(model.precisions_cholesky_), layout, axes)


def _check_student_mixture(model: StudentMixture) -> None:
    _check_shaped(model)
    _check_positive(model, "dofs_")


def _check_bayesian(model: BayesianGaussianMixture) -> None:
    """A posterior has seen no fewer rows than none, and its prior must be one."""
    _check_shaped(model)
    w = sk.as_tensor(model.mean_precision_) - model.mean_precision_prior_
    if bool((w < -1e-6 * sk.as_tensor(model.mean_precision_).abs()).any()):
        raise ValueError(f"mean_precision_ is below mean_precision_prior_ = {model.mean_precision_prior_:g}")
    pair = sk.as_tensor(model.weight_concentration_)
    if pair.shape[-1] != len(w) or not bool((pair > 0).all()):
        raise ValueError(f"weight_concentration_ has the shape {tuple(pair.shape)}, or numbers that are not above 0")
    mixture = model.mixture_  # raises for a prior that is none
    if not bool(torch.isfinite(mixture.log_prob(mixture.located.mean.to(mixture.located.origin))).all()):
        raise ValueError("its attributes make no posterior")


def _check_factor_mixture(model: FactorMixture) -> None:
    _check_mixture(model)
    _check_positive(model, "noise_variances_")


def _check_positive(model: ClimbingMixture, name: str) -> None:
    if not bool((sk.as_tensor(getattr(model, name)) > 0).all()):
        raise ValueError(f"{name} has numbers that are not above 0")


def _check_factors(cov: Tensor, upper: Tensor, layout: sk.Layout, axes: tuple[int, int]) -> None:
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


def _stored_as(kind: type[ClimbingMixture], attributes: Iterable[str], check: Callable[[Any], None]) -> Stored:
    common = ("weights_", "converged_", "n_iter_", "lower_bound_", "n_features_in_")
    return Stored(kind, frozenset((*common, *attributes)), check)


_SHAPED = ("means_", "covariances_", "precisions_", "precisions_cholesky_")

_POSTERIOR = (
    *("mean_precision_", "degrees_of_freedom_", "weight_concentration_", "weight_concentration_prior_"),
    *("mean_precision_prior_", "mean_prior_", "degrees_of_freedom_prior_", "covariance_prior_", "elbo_"),
)

STORED: dict[str, Stored] = {
    "BayesianGaussianMixture": _stored_as(BayesianGaussianMixture, (*_SHAPED, *_POSTERIOR), _check_bayesian),
    "FactorMixture": _stored_as(FactorMixture, ("means_", "loadings_", "noise_variances_"), _check_factor_mixture),
    "GaussianMixture": _stored_as(GaussianMixture, _SHAPED, _check_shaped),
    "StudentMixture": _stored_as(StudentMixture, (*_SHAPED, "dofs_"), _check_student_mixture),
}
