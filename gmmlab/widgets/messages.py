"""What a browser may say: every number is checked before it reaches a session."""

from __future__ import annotations

import math
from typing import Any

import torch

from gmmlab.axes import Float, Tensor

VERSION = 1


class Invalid(ValueError):
    """A message that is not obeyed; the text is a sentence for the person at the browser."""


def operation(message: Any, known: Any) -> str:
    """The operation that a message asks for."""
    if not isinstance(message, dict):
        raise Invalid(f"A message is {type(message).__name__}; expected an object.")
    if message.get("v") != VERSION:
        raise Invalid(f"This message speaks version {message.get('v')!r}; expected {VERSION}. Reload the page.")
    if not isinstance(message.get("op"), str) or message["op"] not in known:
        raise Invalid(f"There is no operation {message.get('op')!r}; expected one of {', '.join(known)}.")
    return str(message["op"])


def field(message: dict[str, Any], name: str) -> Any:
    """A field that must be there."""
    if name not in message:
        raise Invalid(f"{message.get('op')} needs {name!r}, which is missing.")
    return message[name]


def integer(value: Any, name: str, low: int, high: float = math.inf) -> int:
    """A whole number, low <= value < high."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{name} is {value!r}; expected a whole number.")
    if not low <= value < high:
        raise Invalid(f"{name} is {value}; expected {low} to {high - 1}.")
    return value


def numbers(value: Any, name: str, shape: tuple[int, ...]) -> Float[Tensor, "..."]:
    """Finite numbers in nested lists of this shape."""
    flat = _flatten(value, name, shape)
    if not all(math.isfinite(v) for v in flat):
        raise Invalid(f"{name} holds a number that is not finite.")
    return torch.tensor(flat, dtype=torch.float64).reshape(shape)


def _flatten(value: Any, name: str, shape: tuple[int, ...]) -> list[float]:
    if not shape:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid(f"{name} holds {value!r}; expected numbers.")
        return [float(value)]
    if not isinstance(value, list | tuple) or len(value) != shape[0]:
        raise Invalid(f"{name} is {value!r}; expected a list of {shape[0]}.")
    return [number for part in value for number in _flatten(part, name, shape[1:])]
