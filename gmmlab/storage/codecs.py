"""Parameters and fitted attributes as JSON, their arrays beside it: to the last bit, and back.

Numbers, text, lists and None are themselves in JSON; everything else is {kind: content}, by the table `CODECS`, or by
`VALUES`, whose values are the dictionaries of their fields. An array becomes {"array": place} and goes under that name
to the tensors that are stored beside. A new kind of value is one line in a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Tensor
from gmmlab.clustering.discovery.moves import Kind
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.growing import UPDATES
from gmmlab.families import Blocks, Structure
from gmmlab.families.structures import Iterated
from gmmlab.fit.certificate import Certificate
from gmmlab.storage import values
from gmmlab.storage.stored import Described, assembled, described, is_estimator

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
    if type(value) in values.NAMES:
        name, held = values.taken_apart(value)
        return {name: _items(held, place, tensors)}
    for kind, codec in CODECS.items():
        if codec.accepts(value):
            return {kind: codec.encode(value, place, tensors)}
    raise TypeError(_refusal(value, place))


def decode(content: Any, tensors: Tensors) -> Any:
    """The value of its JSON; tensors that belong to it are taken out of `tensors`.

    Raises `ValueError`, `TypeError` or `KeyError` for what `encode` did not write.
    """
    if isinstance(content, list):
        return [decode(item, tensors) for item in content]
    if not isinstance(content, dict):
        return content
    ((kind, inner),) = content.items()
    if kind in values.VALUES:
        return values.made_of(kind, {name: decode(item, tensors) for name, item in inner.items()})
    if kind not in CODECS:
        raise ValueError(f"it has a value of the unknown kind {kind!r}")
    return CODECS[kind].decode(inner, tensors)


def put_estimator(estimator: Any, place: str, tensors: Tensors) -> dict[str, Any]:
    """The class of an estimator by name, its parameters and its fitted attributes; see `encode`."""
    found, within = described(estimator), f"{place}/" if place else ""
    return {
        "class": found.name,
        "parameters": encode(found.parameters, f"{within}parameters", tensors),
        "fitted": encode(found.fitted, f"{within}fitted", tensors),
    }


def estimator_of(content: Any, tensors: Tensors) -> Any:
    """The checked estimator of what `put_estimator` wrote."""
    return assembled(
        Described(content["class"], *(decode(content[part], tensors) for part in ("parameters", "fitted")))
    )


def _refusal(value: Any, place: str) -> str:
    if callable(value) and not isinstance(value, type) and not is_estimator(value):
        name = place.rpartition("/")[2]
        return (
            f"{place} is a function, which a file cannot hold: nothing in a file is ever run. Take it out before you "
            f"save, set_params({name}=None), and put it back after you load."
        )
    return (
        f"{place} is a {type(value).__name__}, which a file cannot hold; expected numbers, text, arrays, tensors, "
        "models and estimators of gmmlab, or lists of them."
    )


# -- the kinds ---------------------------------------------------------------------------------------------------------


def _items(value: dict[str, Any], place: str, tensors: Tensors) -> dict[str, Any]:
    return {key: encode(item, f"{place}/{key}", tensors) for key, item in value.items()}


def _list(value: Any, place: str, tensors: Tensors) -> list[Any]:
    return [encode(item, f"{place}/{i}", tensors) for i, item in enumerate(value)]


def _put_tensor(value: Tensor, place: str, tensors: Tensors) -> Any:
    """The place of a tensor; and the order of its axes in memory, by which products round, where it is not theirs."""
    value = value.detach().cpu()
    axes = sorted(range(value.ndim), key=lambda axis: -value.stride()[axis])
    turned = value.permute(axes)
    plain = value.is_contiguous() or not turned.is_contiguous()
    while place in tensors:
        place += "'"  # where two keys with slashes say the same
    tensors[place] = (value if plain else turned).clone(memory_format=torch.contiguous_format)
    return place if plain else [place, axes]


def _tensor(content: Any, tensors: Tensors) -> Tensor:
    if isinstance(content, str):
        return tensors.pop(content)
    place, axes = content
    stored = tensors.pop(place)
    return stored.permute([axes.index(axis) for axis in range(stored.ndim)])


def _put_array(value: np.ndarray, place: str, tensors: Tensors) -> Any:
    native = np.array(value, order="K", dtype=value.dtype.newbyteorder("="))
    return _put_tensor(torch.from_numpy(native), place, tensors)


def _put_certificate(value: Certificate, place: str, tensors: Tensors) -> dict[str, Any]:
    return _items(value._asdict() | {"dtype": str(value.dtype).removeprefix("torch.")}, place, tensors)


def _certificate(content: Any, tensors: Tensors) -> Certificate:
    fields = {name: decode(field, tensors) for name, field in content.items()}
    return Certificate(**fields | {"dtype": {"float32": torch.float32, "float64": torch.float64}[fields["dtype"]]})


def _random_state(content: Any, tensors: Tensors) -> np.random.RandomState:
    state = np.random.RandomState()
    state.set_state(tuple(decode(content, tensors)))
    return state


def _put_structure(value: Structure, place: str, tensors: Tensors) -> Any:  # noqa: ARG001 - as all
    """Its name, and where its projection is cut short, after how many rounds; of blocks their columns."""
    if isinstance(value, Blocks):
        return {"blocks": [list(block) for block in value.columns]}
    if not isinstance(value, Iterated):
        return sk.covariance_type(value)
    usual = replace(value, rounds=Iterated.rounds)
    return [sk.covariance_type(usual), value.rounds] if value != usual else sk.covariance_type(usual)


def _structure(content: Any, tensors: Tensors) -> Structure:  # noqa: ARG001 - as all
    if isinstance(content, str):
        return sk.structure(content)
    if isinstance(content, dict):
        return Blocks(tuple(tuple(block) for block in content["blocks"]))
    name, rounds = content
    found = sk.structure(name)
    if not isinstance(found, Iterated) or type(rounds) is not int or rounds < 1:
        raise ValueError(f"it has a structure {name!r} of {rounds} rounds")
    return replace(found, rounds=rounds)


def _named(table: dict[str, Any]) -> Codec:
    """Those of a table by their names there."""
    return Codec(
        lambda value: any(value is item for item in table.values()),
        lambda value, place, tensors: next(name for name, item in table.items() if item is value),
        lambda content, tensors: table[content],
    )


def _are_text(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and set(map(type, value)) <= {str, np.str_}


CODECS: dict[str, Codec] = {
    "certificate": Codec(lambda value: isinstance(value, Certificate), _put_certificate, _certificate),
    "float": Codec(
        lambda value: type(value) is float,
        lambda value, place, tensors: repr(value),
        lambda content, tensors: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content],
    ),
    "tuple": Codec(lambda value: type(value) is tuple, _list, lambda content, tensors: tuple(decode(content, tensors))),
    "dict": Codec(
        lambda value: type(value) is dict and all(isinstance(key, str) for key in value),
        _items,
        lambda content, tensors: {key: decode(item, tensors) for key, item in content.items()},
    ),
    "pairs": Codec(
        lambda value: type(value) is dict and all(isinstance(key, int | np.integer) for key in value),
        lambda value, place, tensors: _list([list(pair) for pair in value.items()], place, tensors),
        lambda content, tensors: dict(decode(content, tensors)),
    ),
    "tensor": Codec(lambda value: isinstance(value, Tensor), _put_tensor, _tensor),
    "array": Codec(
        lambda value: isinstance(value, np.ndarray) and value.dtype.kind in "biuf",
        _put_array,
        lambda content, tensors: _tensor(content, tensors).numpy(),
    ),
    "words": Codec(
        lambda value: _are_text(value) and value.dtype.kind == "U",
        lambda value, place, tensors: value.tolist(),
        lambda content, tensors: np.array([str(item) for item in content], dtype=str),
    ),
    "names": Codec(
        _are_text,
        lambda value, place, tensors: [str(item) for item in value],
        lambda content, tensors: np.array([str(item) for item in content], dtype=object),
    ),
    "random_state": Codec(
        lambda value: isinstance(value, np.random.RandomState),
        lambda value, place, tensors: _list(value.get_state(), place, tensors),
        _random_state,
    ),
    "structure": Codec(lambda value: isinstance(value, Structure), _put_structure, _structure),
    "update": _named(UPDATES),
    "kind of move": _named({kind.value: kind for kind in Kind}),
    "estimator": Codec(is_estimator, put_estimator, estimator_of),
}
