"""Pins: what of which component a fit leaves as it is, through edits that renumber components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gmmlab.fit import Lineage


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

#: From the model before an edit to what each component after it is made of.
Origin = Callable[[Any], Lineage]


def pinned(pins: Pins, k: int, pin: Pin) -> Pins:
    """With component k pinned in that way, or in none."""
    rest = {known: value for known, value in pins.items() if known != k}
    return rest | {k: pin} if any(pin) else rest


def carried(pins: Pins, lineage: Lineage | None) -> Pins:
    """The pins after an edit: of components that are wholly what they were; none if nobody says which is which."""
    if lineage is None or not pins:
        return {}
    heirs = {k: lineage.heirs(k) for k in pins}
    return {new[0]: pins[k] for k, new in heirs.items() if len(new) == 1 and lineage.parents[new[0]] == (k,)}
