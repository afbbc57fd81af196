"""What a mixture asks of its components."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.chunks import Buffers


@runtime_checkable
class Components(Protocol):
    """k densities of rows with d features: they score rows, and refit themselves to weighted statistics."""

    @property
    def k(self) -> int:
        """Number of components."""

    @property
    def d(self) -> int:
        """Number of features."""

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""

    @property
    def n_parameters(self) -> int:
        """Free parameters, as information criteria count them."""

    def features(self, x: Float[Tensor, "n d"], buffers: Buffers | None = None) -> Float[Tensor, "f n"]:
        """What both halves of a step need of a chunk of rows, computed once.

        Here and below, results may lie in `buffers` where some are given: they last until the next chunk.
        """

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log density of each row under each component."""

    def stats(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None) -> Any:
        """Additive statistics of the rows of a chunk."""

    def refit(self, stats: Any) -> Any:
        """The same kind of components, at the maximum of their expected log-likelihood (and prior)."""

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the parameters, up to a constant; zero without a prior."""

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """One draw for each label."""
