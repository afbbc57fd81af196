"""Weighted counts of rows per component: all that a gate of constant weights needs."""

from __future__ import annotations

from gmmlab.axes import Float, Tensor
from gmmlab.stats.additive import Additive


class Counts(Additive):
    """Total responsibility of each component, in rows."""

    w: Float[Tensor, "k"]
