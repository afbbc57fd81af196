"""What makes a statistic a statistic: `+`, `-` and scaling, field by field.

Chunks of a big array, shards, clients, a prior given as pseudo-rows: all are ways of adding statistics. The sum
recurses through the `+` of its fields, never through their tensors, so that a nested record (moments about an
origin) keeps its own rule of addition.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from gmmlab.record import Record, is_plain

A = TypeVar("A", bound="Additive")


class Additive(Record):
    """A record with the operations of a vector space."""

    def __add__(self: A, other: A) -> A:
        return self._fieldwise(lambda a, b: a + b, other)

    def __sub__(self: A, other: A) -> A:
        return self + (-1.0) * other

    def __mul__(self: A, factor: float | Tensor) -> A:
        return self._fieldwise(lambda a, _: a * factor, self)

    __rmul__ = __mul__

    def _fieldwise(self: A, combine: Callable[[Any, Any], Any], other: A) -> A:
        changed = {
            f.name: combine(getattr(self, f.name), getattr(other, f.name))
            for f in dataclasses.fields(self)
            if is_plain(f)
        }
        return self.replace(**changed)
