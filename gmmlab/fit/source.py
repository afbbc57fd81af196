"""Where statistics come from: a function from a model to the statistics of all rows."""

from __future__ import annotations

from collections.abc import Callable

from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, e_step

Source = Callable[[Mixture], MixtureStats]


def whole(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None = None) -> Source:
    """All rows of an array in memory, in every step; a row of weight 2 counts as two rows."""
    return lambda model: e_step(model, x, weight)
