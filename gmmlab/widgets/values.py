"""What a session needs to know of a model: its tensors, if it has some. Any other value is a model too."""

from __future__ import annotations

from typing import Any

from gmmlab.axes import Tensor
from gmmlab.record import Record

LONGEST_WORDS = 40


def tensors(model: Any) -> list[Tensor]:
    """All tensors of a record, or the model itself if it is one; none of any other value."""
    if isinstance(model, Tensor):
        return [model]
    found: list[Tensor] = []

    def see(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    if isinstance(model, Record):
        model.map(see)
    return found


def n_bytes(model: Any) -> int:
    """Bytes of the tensors of a model."""
    return sum(tensor.nbytes for tensor in tensors(model))


def is_broken(model: Any) -> bool:
    """Whether a parameter is not a number. Infinite ones may be meant: the logarithm of a weight of zero."""
    return any(bool(tensor.isnan().any()) for tensor in tensors(model) if tensor.is_floating_point())


def components(model: Any) -> int | None:
    """How many components a model has, if it has some."""
    k = getattr(model, "k", None)
    return k if isinstance(k, int) else None


def mended(model: Any) -> list[float]:
    """What was added to the variances of each component, for models that say so."""
    try:
        return model.located.jitter.tolist()
    except (AttributeError, TypeError):
        return []


def assigned(name: str, value: Any) -> str:
    """A setting and its value, for a log; a long value is not said."""
    words = str(value)
    return f"{name} = {words}" if len(words) <= LONGEST_WORDS else f"other {name}"
