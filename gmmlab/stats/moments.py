"""Weighted moments of k components about a shared origin.

    w_k = sum_i r_ik      s1_k = sum_i r_ik (x_i - o)      s2_k = sum_i r_ik (x_i - o)(x_i - o)'

Raw second moments (o = 0) lose all digits when the rows are far from zero; moments about an origin near the data
keep them, and unlike centred moments they stay linear: they can be added, scaled and subtracted. Two statistics
about different origins are reconciled exactly before they are added.

`s2` has axes (k, d, d), or (k, d) when only its diagonal is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.record import shared
from gmmlab.stats.additive import Additive


class Moments(Additive):
    """Zeroth to second weighted moments about `origin`, in float64."""

    w: Float[Tensor, "k"]
    s1: Float[Tensor, "k d"]
    s2: Float[Tensor, "k d d"] | Float[Tensor, "k d"]
    origin: Float[Tensor, "d"] = shared()

    def about(self, origin: Float[Tensor, "d"]) -> Moments:
        """The same moments about another origin; exact."""
        shift = self.origin - origin
        moved = self.s1 + self.w[:, None] * shift
        cross = self._square(self.s1, shift.expand_as(self.s1))
        square = self._square(shift.expand_as(self.s1), moved)
        return self.replace(s1=moved, s2=self.s2 + cross + square, origin=origin)

    @property
    def mean(self) -> Float[Tensor, "k d"]:
        """Weighted mean of the rows of each component; NaN where its weight is zero."""
        return self.origin + self.s1 / self.w[:, None]

    @property
    def scatter(self) -> Float[Tensor, "k d d"] | Float[Tensor, "k d"]:
        """Weighted scatter about the mean, sum_i r_ik (x_i - mean_k)(x_i - mean_k)'."""
        return self.s2 - self._square(self.s1, self.s1 / self.w[:, None])

    def _square(self, a: Float[Tensor, "k d"], b: Float[Tensor, "k d"]) -> Tensor:
        """a b', or its diagonal, in the form of `s2`."""
        return a * b if self.s2.ndim == 2 else a[:, :, None] * b[:, None, :]

    def _fieldwise(self, combine: Callable[[Any, Any], Any], other: Moments) -> Moments:
        if other.origin is not self.origin and not torch.equal(other.origin, self.origin):
            other = other.about(self.origin)
        return super()._fieldwise(combine, other)
