"""Weighted counts of rows per component: all that gates of constant weights need."""

from __future__ import annotations

from typing import Any

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.stats.additive import Additive


class Counts(Additive):
    """Total responsibility of each component, in rows."""

    w: Float[Tensor, "k"]

    @property
    def proper(self) -> bool:
        """Whether the counts are finite and not negative."""
        return bool((torch.isfinite(self.w) & (self.w >= 0)).all())


class NoisyCounts(Counts):
    """The same, and the total probability of belonging to no component."""

    none: Float[Tensor, ""]


class ClassCounts(Additive):
    """The counts of a gate, and the rows of each component by their class."""

    gate: Any
    classes: Float[Tensor, "k c"]

    @property
    def w(self) -> Float[Tensor, "k"]:
        """Total responsibility of each component, in rows."""
        return self.gate.w

    @property
    def proper(self) -> bool:
        """Whether all counts are finite and not negative."""
        return bool(self.gate.proper) and bool((torch.isfinite(self.classes) & (self.classes >= 0)).all())
