"""What an entry says of an estimator that can be stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NotRequired, TypedDict

import torch
from sklearn.base import BaseEstimator

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.storage.hints import Array, Text

LOOSE = 1e4  # roundings by which what follows from other numbers may differ: machines multiply in other orders


class Fitted(TypedDict):
    """What every fit leaves, `c` columns."""

    n_features_in_: int
    feature_names_in_: NotRequired[Text[Array, "c"]]


class Stored(NamedTuple):
    """A kind of estimator, the attributes that a fit leaves, and what makes them belong together.

    `axes` names parameters or attributes that are lengths of axes. `check` raises `ValueError`, or anything that wrong
    attributes lead to, if the estimator could not be used.
    """

    kind: type[BaseEstimator]
    fitted: type
    check: Callable[[Any], None]
    axes: Mapping[str, str] = {}


def check_agreement(estimator: Any, held: Mapping[str, Tensor], source: str = "mixture_") -> None:
    """Attributes that say again what a model holds must say the same. Raises `ValueError`."""
    for name, expected in held.items():
        value = sk.as_tensor(getattr(estimator, name))
        if value.shape != expected.shape:
            raise ValueError(f"{name} has the shape {tuple(value.shape)}, expected {tuple(expected.shape)}")
        off = (value.double() - expected.double()).abs()
        if not bool((off <= LOOSE * torch.finfo(value.dtype).eps * _sizes(expected.double())).all()):
            raise ValueError(f"{name} and {source} do not belong together: they differ by {float(off.max()):.2g}")


def _sizes(values: Tensor) -> Tensor:
    """Of the largest number in each entry along the first axis, but no less than a millionth of that of all."""
    if not values.numel():
        return values
    largest = values.abs().max()
    own = values.abs().flatten(1).amax(1).view(-1, *[1] * (values.ndim - 1)) if values.ndim > 1 else largest
    return torch.maximum(own, 1e-6 * largest)


def require(condition: Any, fault: str) -> None:
    """Raises `ValueError` unless the condition holds."""
    if not bool(condition):
        raise ValueError(fault)
