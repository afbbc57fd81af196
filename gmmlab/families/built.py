"""What families have in common that are built on Gaussians."""

from __future__ import annotations

from gmmlab.axes import Float, Tensor
from gmmlab.families.gaussian import Gaussian
from gmmlab.kernels.chunks import Buffers
from gmmlab.record import Record


class Built(Record):
    """Components whose places and scales are those of Gaussians, from whose kernels theirs are made."""

    gaussian: Gaussian

    @property
    def k(self) -> int:
        """Number of components."""
        return self.gaussian.k

    @property
    def d(self) -> int:
        """Number of features."""
        return self.gaussian.d

    @property
    def mean(self) -> Float[Tensor, "k d"]:
        """Centres."""
        return self.gaussian.mean

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return self.gaussian.width

    def features(self, x: Float[Tensor, "n d"], buffers: Buffers | None = None) -> Float[Tensor, "f n"]:
        """What both halves of a step need of a chunk of rows, computed once."""
        return self.gaussian.features(x, buffers)

    @property
    def _log_det(self) -> Float[Tensor, "k"]:
        """log|C_k| of the Gaussians."""
        chol = self.gaussian.chol
        return 2 * (chol if chol.ndim == 2 else chol.diagonal(dim1=-2, dim2=-1)).log().sum(-1)
