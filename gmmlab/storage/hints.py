"""Annotations as checks of values that come from files.

`Float[Tensor, "k d"]` asks for finite floats on two axes; the same letter is the same length within a record, and `k`
and `d` are the same in all records that one is made of. The test run enforces annotations where values are made;
here they are enforced where values are read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NotRequired, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch

from gmmlab.axes import Tensor
from gmmlab.record import Record

__all__ = ["Array", "Label", "Text", "Unbounded", "check_fields", "check_items", "fields_of", "hints_of"]

Array = np.ndarray | Tensor
Axes = dict[str, int]

COMMON = ("k", "d")  # letters that mean the same in a record and in those that it is made of
LOGS = ("log_w", "log_none", "start", "moves", "parts")  # logarithms of probabilities, which may be zero


class Asked(NamedTuple):
    """What an annotation asks of an array: numpy's letters of its dtype, its axes, and whether numbers are finite."""

    kinds: str
    axes: tuple[str, ...]
    finite: bool = True


class _Factory:
    """`Float[Tensor, "n d"]` as a type with what it asks."""

    kinds = "f"
    finite = True

    def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
        array, axes = item
        return Annotated[array, Asked(cls.kinds, tuple(axes.split()), cls.finite)]


class _Int(_Factory):
    kinds = "iu"


class _Bool(_Factory):
    kinds = "b"


if TYPE_CHECKING:
    from typing import Annotated as Label
    from typing import Annotated as Text
    from typing import Annotated as Unbounded
else:

    class Label(_Factory):
        """Names of classes: numbers or words."""

        kinds = "biufUO"

    class Text(_Factory):
        """Words."""

        kinds = "O"

    class Unbounded(_Factory):
        """Floats that may be infinite or NaN."""

        finite = False


_NAMES = {"Float": _Factory, "Int": _Int, "Bool": _Bool, "Label": Label, "Text": Text, "Unbounded": Unbounded}


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The annotations of a class, those of arrays with what they ask."""
    return get_type_hints(kind, localns=_NAMES, include_extras=True)


def fields_of(kind: type) -> list[str]:
    """The names of the fields of a record, a dataclass or a named tuple."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind._fields)  # type: ignore[attr-defined]


def check_fields(kind: type, held: Mapping[str, Any]) -> None:
    """Raises `ValueError` unless these are the fields of a class, each what it is annotated with."""
    if set(held) != set(fields_of(kind)):
        raise ValueError(f"a {kind.__name__} has the fields {_listed(held)}; expected {_listed(fields_of(kind))}")
    if fault := _of_fields(kind, held, {}):
        raise ValueError(f"of a {kind.__name__} {fault}")


def check_items(items: Mapping[str, Any], kind: type, axes: Axes) -> None:
    """The same for a dictionary and the `TypedDict` that it should be; surplus and missing entries raise, too."""
    hints = hints_of(kind)
    if surplus := set(items) - set(hints):
        raise ValueError(f"it has attributes that no fit sets: {_listed(surplus)}")
    if missing := {name for name, hint in hints.items() if get_origin(hint) is not NotRequired} - set(items):
        raise ValueError(f"it has no {_listed(missing)}")
    for name, value in items.items():
        if fault := _fault(value, hints[name], axes):
            raise ValueError(f"{name} {fault}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _of_fields(kind: type, held: Mapping[str, Any], axes: Axes) -> str | None:
    hints = hints_of(kind)
    for name, value in held.items():
        if name in LOGS and isinstance(value, Tensor) and value.is_floating_point():
            value = value.clamp(min=torch.finfo(value.dtype).min)  # noqa: PLW2901 - the logarithm of zero is all right
        if fault := _fault(value, hints[name], axes):
            return f"{name} {fault}"
    return None


def _fault(value: Any, hint: Any, axes: Axes) -> str | None:
    """What is wrong with a value; its axes are added to those that are known."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in _FAULTS:
        return _FAULTS[origin](value, args, axes)
    return _of_class(value, hint, axes)


def _of_class(value: Any, hint: Any, axes: Axes) -> str | None:
    if hint is not Any and not _is(value, hint):
        return _instead(value, hint.__name__)
    return _of_record(value, axes) if isinstance(value, Record) else None


def _is(value: Any, hint: type) -> bool:
    """Whether a value is of a class; True is no number."""
    return isinstance(value, _SCALARS.get(hint, hint)) and not (isinstance(value, bool) and hint is not bool)


def _of_record(record: Record, axes: Axes) -> str | None:
    """A record within another has its k and d."""
    own = {letter: axes[letter] for letter in COMMON if letter in axes}
    fault = _of_fields(type(record), {name: getattr(record, name) for name in fields_of(type(record))}, own)
    axes.update({letter: own[letter] for letter in COMMON if letter in own})
    return fault


def _of_any(value: Any, hints: Sequence[Any], axes: Axes) -> str | None:
    """One of several hints; what is wrong by the one that comes nearest to its type."""
    faults = []
    for hint in hints:
        tried = dict(axes)
        fault = _fault(value, hint, tried)
        if fault is None:
            axes.update(tried)
            return None
        faults.append(fault)
    return next((fault for fault in faults if not fault.startswith("is of type")), faults[0])


def _of_sequence(kinds: Any) -> Callable[[Any, Sequence[Any], Axes], str | None]:
    """Items alike, each with axes of its own, or as many as there are hints."""

    def fault(value: Any, hints: Sequence[Any], axes: Axes) -> str | None:
        if not isinstance(value, kinds):
            return _instead(value, "a list" if kinds is list else "a tuple")
        if kinds is tuple and Ellipsis not in hints:
            if len(value) != len(hints):
                return f"has {len(value)} entries, expected {len(hints)}"
            each: Sequence[Any] = hints
        else:
            each = [hints[0]] * len(value)
        return next((f for item, hint in zip(value, each, strict=True) if (f := _fault(item, hint, dict(axes)))), None)

    return fault


def _of_mapping(value: Any, hints: Sequence[Any], axes: Axes) -> str | None:
    if type(value) is not dict:
        return _instead(value, "a dictionary")
    for part, hint in [*((key, hints[0]) for key in value), *((item, hints[1]) for item in value.values())]:
        if fault := _fault(part, hint, dict(axes)):
            return fault
    return None


def _of_array(value: Any, asked: Asked, axes: Axes) -> str | None:
    if not isinstance(value, Array) or _kind(value) not in asked.kinds:
        return _instead(value, "an array " + _shown([axes.get(name, name) for name in asked.axes]))
    names = [f"_{i}" for i in range(value.ndim)] if asked.axes == ("...",) else asked.axes
    known = [int(name) if name.isdigit() else axes.get(name) for name in names]
    shape = tuple(value.shape)
    if len(shape) != len(known) or any(length not in (seen, None) for length, seen in zip(known, shape, strict=True)):
        expected = [name if length is None else length for length, name in zip(known, names, strict=True)]
        return f"has the shape {shape}, expected {_shown(expected)}"
    axes.update({name: length for name, length in zip(names, shape, strict=True) if not name.startswith("_")})
    if "f" in asked.kinds and asked.finite and _kind(value) == "f" and not bool(_finite(value)):
        return "contains NaN or inf"
    if _kind(value) == "O" and not all(isinstance(item, str) for item in value):
        return "has entries that are no text"
    return None


def _kind(array: Any) -> str:
    """numpy's letter of a dtype."""
    if isinstance(array, np.ndarray):
        return str(array.dtype.kind)
    if array.is_floating_point():
        return "f"
    return "b" if array.dtype == torch.bool else "c" if array.is_complex() else "i"


def _finite(array: Any) -> Any:
    return torch.isfinite(array).all() if isinstance(array, Tensor) else np.isfinite(array).all()


def _shown(axes: Sequence[Any]) -> str:
    return f"({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''})"


def _instead(value: Any, expected: str) -> str:
    what = f"{value.dtype} array" if isinstance(value, Array) else type(value).__name__
    return f"is of type {what}, expected {expected}"


_FAULTS: dict[Any, Callable[[Any, Sequence[Any], Axes], str | None]] = {
    NotRequired: lambda value, hints, axes: _fault(value, hints[0], axes),
    Annotated: lambda value, hints, axes: _of_array(value, hints[1], axes),
    Union: _of_any,
    UnionType: _of_any,
    list: _of_sequence(list),
    tuple: _of_sequence(tuple),
    Sequence: _of_sequence((list, tuple)),
    dict: _of_mapping,
    Callable: lambda value, _, __: None if callable(value) else _instead(value, "a function"),
}
_SCALARS: dict[Any, Any] = {
    int: (int, np.integer),
    float: (float, int, np.floating, np.integer),
    bool: (bool, np.bool_),
}
