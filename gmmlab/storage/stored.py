"""Estimators taken apart into parameters and attributes, and put together again after a look at both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator

from gmmlab.storage import clusterers, experts, mixtures, sequences
from gmmlab.storage.entry import Stored
from gmmlab.storage.hints import check_items, hints_of

STORED: dict[str, Stored] = {
    entry.kind.__name__: entry for room in (mixtures, clusterers, experts, sequences) for entry in room.STORED
}


class Described(NamedTuple):
    """The class of an estimator by its name in `STORED`, its parameters, and what its fit left: nothing if none did."""

    name: str
    parameters: Mapping[str, Any]
    fitted: Mapping[str, Any]


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator that can be stored."""
    return isinstance(value, BaseEstimator) and type(value).__name__ in STORED


def described(estimator: Any) -> Described:
    """An estimator in parts. Raises `TypeError` for a class without an entry, `ValueError` for odd attributes."""
    name = type(estimator).__name__
    if name not in STORED or type(estimator) is not STORED[name].kind:
        raise TypeError(f"A {name} cannot be stored; expected one of {', '.join(STORED)}.")
    entry, parameters = STORED[name], estimator.get_params(deep=False)
    known = hints_of(entry.fitted)
    fitted = {key: value for key, value in vars(estimator).items() if key in known or _is_fitted_attribute(key)}
    if fitted:
        _check(estimator, fitted, entry)
    return Described(name, parameters, fitted)


def assembled(found: Described) -> Any:
    """The estimator of its parts; whatever is wrong with them raises."""
    if found.name not in STORED:
        raise ValueError(f"it holds a {found.name!r}, which is unknown here; expected one of {', '.join(STORED)}")
    entry = STORED[found.name]
    if unknown := set(found.parameters) ^ set(entry.kind._get_param_names()):
        names = ", ".join(sorted(unknown))
        raise ValueError(f"its parameters are not those of this version of gmmlab: {names}")
    estimator: Any = entry.kind(**found.parameters)
    estimator._validate_params()
    if surplus := set(found.fitted) - set(hints_of(entry.fitted)):
        raise ValueError(f"it has attributes that no fit sets: {', '.join(sorted(surplus))}")
    for name, value in found.fitted.items():
        setattr(estimator, name, value)
    if found.fitted:
        _check(estimator, found.fitted, entry)
    return estimator


def _check(estimator: Any, fitted: Mapping[str, Any], entry: Stored) -> None:
    axes = {letter: int(getattr(estimator, name)) for letter, name in entry.axes.items() if hasattr(estimator, name)}
    check_items(fitted, entry.fitted, axes)
    entry.check(estimator)


def _is_fitted_attribute(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")
