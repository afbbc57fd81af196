"""Weighted counts of rows per component: all that gates of constant weights need."""

from __future__ import annotations

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
