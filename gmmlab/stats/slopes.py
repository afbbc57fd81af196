"""Gradients and curvatures of a log-likelihood, stamped with the weights that they were taken at.

What has no finite sufficient statistic still has derivatives that add over rows, if all were taken at one point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.record import shared
from gmmlab.stats.additive import Additive

S = TypeVar("S", bound="Slopes")


class Slopes(Additive):
    """Rows by component, gradients of k softmax regressions, and their Gram matrices; taken at the weights `at`.

    A gate is one such regression. `reach` is the largest magnitude of each column among the rows that count.
    """

    w: Float[Tensor, "k"]
    gradient: Float[Tensor, "r j c"]
    gram: Float[Tensor, "r c c"]
    at: Float[Tensor, "r j c"] = shared()
    reach: Float[Tensor, "c"] = shared()

    def _fieldwise(self: S, combine: Callable[[Any, Any], Any], other: S) -> S:
        if other.at is not self.at and not torch.equal(other.at, self.at):
            raise ValueError("The statistics were taken at different weights of a softmax: take all of them at one.")
        return super()._fieldwise(combine, other).replace(reach=torch.maximum(self.reach, other.reach))


class Curved(Slopes):
    """The same, and minus the Hessians."""

    curvature: Float[Tensor, "r j c j c"]
