"""Pins: what of which component a fit leaves as it is, through edits that renumber components."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gmmlab.widgets.values import components


class Pin(NamedTuple):
    """What of a component stays."""

    mean: bool = False
    cov: bool = False
    weight: bool = False

    @property
    def words(self) -> str:
        """What it says, for a log."""
        kept = [name for name, stays in zip(self._fields, self, strict=True) if stays]
        return f"{' and '.join(kept)} pinned" if kept else "nothing pinned"


Pins = Mapping[int, Pin]

#: From the model before an edit to the former number of each component after it, None for a new one.
Origin = Callable[[Any], Sequence[int | None]]


def pinned(pins: Pins, k: int, pin: Pin) -> Pins:
    """With component k pinned in that way, or in none."""
    rest = {known: value for known, value in pins.items() if known != k}
    return rest | {k: pin} if any(pin) else rest


def carried(pins: Pins, before: Any, after: Any, origin: Origin | None) -> Pins:
    """The pins after an edit. New components have none; all are lost when some go without a word which."""
    if not pins:
        return pins
    was, now = components(before) or 0, components(after) or 0
    of = origin(before) if origin is not None else range(was if now >= was else 0)
    return {j: pins[k] for j, k in enumerate(of) if k is not None and k in pins}


def without(k: int) -> Origin:
    """Component k goes."""
    return lambda model: [j for j in range(model.k) if j != k]


def halved(k: int) -> Origin:
    """Component k becomes two new ones, in its place and the last."""
    return lambda model: [*(None if j == k else j for j in range(model.k)), None]


def joined(i: int, j: int) -> Origin:
    """Components i and j become a new one, in the lower place."""
    low, high = min(i, j), max(i, j)
    return lambda model: [None if k == low else k for k in range(model.k) if k != high]
