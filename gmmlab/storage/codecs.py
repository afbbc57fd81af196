"""Parameters and fitted attributes as JSON, their arrays beside it: to the last bit, and back.

Numbers, text, lists and None are themselves in JSON; everything else is {kind: content}, by the table `CODECS`. An
array becomes {"array": place} and goes under that name to the tensors that are stored beside. A new kind of value is
one line in the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Tensor
from gmmlab.fit.certificate import Certificate

Tensors = dict[str, Tensor]


class Codec(NamedTuple):
    """How a kind of value is recognised, written and read."""

    accepts: Callable[[Any], bool]
    encode: Callable[[Any, str, Tensors], Any]
    decode: Callable[[Any, Tensors], Any]


def encode(value: Any, place: str, tensors: Tensors) -> Any:
    """JSON of a value; its arrays go to `tensors`. NumPy's scalars become Python's.

    Raises `TypeError`, naming the place, for a value that no kind accepts.
    """
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if value is None or isinstance(value, bool | int | str) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is list:
        return [encode(item, f"{place}/{i}", tensors) for i, item in enumerate(value)]
    for kind, codec in CODECS.items():
        if codec.accepts(value):
            return {kind: codec.encode(value, place, tensors)}
    raise TypeError(
        f"{place} is a {type(value).__name__}, which a file cannot hold; expected numbers, text, arrays, tensors, or "
        "lists of them."
    )


def decode(content: Any, tensors: Tensors) -> Any:
    """The value of its JSON; tensors that belong to it are taken out of `tensors`.

    Raises `ValueError`, `TypeError` or `KeyError` for what `encode` did not write.
    """
    if isinstance(content, list):
        return [decode(item, tensors) for item in content]
    if not isinstance(content, dict):
        return content
    ((kind, inner),) = content.items()
    if kind not in CODECS:
        raise ValueError(f"it has a value of the unknown kind {kind!r}")
    return CODECS[kind].decode(inner, tensors)


def _items(value: Any, place: str, tensors: Tensors) -> list[Any]:
    return [encode(item, f"{place}/{i}", tensors) for i, item in enumerate(value)]


def _put_tensor(value: Tensor, place: str, tensors: Tensors) -> str:
    tensors[place] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return place


def _put_array(value: np.ndarray, place: str, tensors: Tensors) -> str:
    tensors[place] = torch.from_numpy(np.array(value, order="C", dtype=value.dtype.newbyteorder("=")))
    return place


def _put_certificate(value: Certificate, place: str, tensors: Tensors) -> dict[str, Any]:
    fields = value._asdict() | {"dtype": str(value.dtype).removeprefix("torch.")}
    return {name: encode(field, f"{place}/{name}", tensors) for name, field in fields.items()}


def _certificate(content: Any, tensors: Tensors) -> Certificate:
    fields = {name: decode(field, tensors) for name, field in content.items()}
    return Certificate(**fields | {"dtype": {"float32": torch.float32, "float64": torch.float64}[fields["dtype"]]})


def _random_state(content: Any, tensors: Tensors) -> np.random.RandomState:
    state = np.random.RandomState()
    state.set_state(tuple(decode(content, tensors)))
    return state


CODECS: dict[str, Codec] = {
    "certificate": Codec(lambda value: isinstance(value, Certificate), _put_certificate, _certificate),
    "float": Codec(
        lambda value: type(value) is float,
        lambda value, place, tensors: repr(value),
        lambda content, tensors: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content],
    ),
    "tuple": Codec(
        lambda value: type(value) is tuple, _items, lambda content, tensors: tuple(decode(content, tensors))
    ),
    "dict": Codec(
        lambda value: type(value) is dict and all(isinstance(key, str) for key in value),
        lambda value, place, tensors: {key: encode(item, f"{place}/{key}", tensors) for key, item in value.items()},
        lambda content, tensors: {key: decode(item, tensors) for key, item in content.items()},
    ),
    "tensor": Codec(
        lambda value: isinstance(value, Tensor), _put_tensor, lambda content, tensors: tensors.pop(content)
    ),
    "array": Codec(
        lambda value: isinstance(value, np.ndarray) and value.dtype.kind in "biuf",
        _put_array,
        lambda content, tensors: tensors.pop(content).numpy(),
    ),
    "names": Codec(
        lambda value: isinstance(value, np.ndarray) and value.ndim == 1 and set(map(type, value)) <= {str, np.str_},
        lambda value, place, tensors: [str(item) for item in value],
        lambda content, tensors: np.array([str(item) for item in content], dtype=object),
    ),
    "random_state": Codec(
        lambda value: isinstance(value, np.random.RandomState),
        lambda value, place, tensors: _items(value.get_state(), place, tensors),
        _random_state,
    ),
}
