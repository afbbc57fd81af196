"""What makes a statistic a statistic: `+`, `-` and scaling, field by field.

Chunks of a big array, shards, clients, a prior given as pseudo-rows: all are ways of adding statistics. The sum
recurses through the `+` of its fields, never through their tensors, so that a nested record (moments about an
origin) keeps its own rule of addition.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from gmmlab.axes import Float, Tensor
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

    def standardised(self: A, base: A) -> Float[Tensor, "f"]:
        """A difference of statistics as one vector without units: every number over its standard error at `base`.

        A count of w rows has variance w. Statistics with units say what theirs is.
        """
        parts = [(part, getattr(base, name)) for name, part in self._plain()]
        return torch.cat([a.standardised(b) if isinstance(a, Additive) else _over_error(a, b) for a, b in parts])

    @property
    def proper(self) -> bool:
        """Whether rows of positive weight could have these statistics, which no extrapolation need respect."""
        return all(part.proper if isinstance(part, Additive) else _finite(part) for _, part in self._plain())

    def _plain(self) -> list[tuple[str, Any]]:
        return [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if is_plain(f)]

    def _fieldwise(self: A, combine: Callable[[Any, Any], Any], other: A) -> A:
        return self.replace(**{name: combine(part, getattr(other, name)) for name, part in self._plain()})


def _over_error(difference: Tensor, base: Tensor) -> Float[Tensor, "f"]:
    size = base.abs()
    return (difference / size.clamp(min=float(size.max()) * 1e-12 + 1e-300).sqrt()).flatten()


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())
