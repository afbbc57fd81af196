"""Lines blended by a mixture of x alone, all fitted at once by least squares.

    F(x) = sum_k w_k(x) (v_k + G_k (x - mu_k))

where w_k(x) are the responsibilities of a mixture that has seen no y. The lines are chosen for their sum, not each for
its own rows, so that F has the least squared error of all maps of this form; it says nothing of the noise. See
Stylianou, Cappe and Moulines (1998), equations 9 to 13.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.kernels.chunks import chunks
from gmmlab.model import Mixture


class Blended(NamedTuple):
    """A mixture of p columns, and for each component a line of q outputs: constant first, about its mean."""

    mixture: Mixture
    lines: Float[Tensor, "k c q"]  # c is p + 1

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "n p"]) -> Float[Tensor, "n q"]:
        """The blend of the lines at each row."""
        width = self.mixture.k * (self.mixture.d + 1)
        return torch.cat([_design(self.mixture, rows) @ self.lines.flatten(0, 1) for rows in chunks(x, width)]).to(x)


@torch.no_grad()
def blended(mixture: Mixture, x: Float[Tensor, "n p"], y: Float[Tensor, "n q"], *, ridge: float = 0.0) -> Blended:
    """The lines of least squared error of y, plus `ridge` times the sum of their squared coefficients.

    With ridge 0 and components that hardly overlap somewhere the lines need not be unique: then the shortest are taken.
    """
    if mixture.d != x.shape[1] or len(x) != len(y):
        raise BadData(
            f"The mixture has {mixture.d} columns, x has the shape {tuple(x.shape)} and y {tuple(y.shape)}; expected "
            "x of the columns of the mixture, and a row of y for each of its rows."
        )
    design, target = _design(mixture, x), y.double()
    if ridge > 0:
        c = design.shape[1]
        design = torch.cat([design, ridge**0.5 * torch.eye(c, dtype=design.dtype, device=design.device)])
        target = torch.cat([target, target.new_zeros(c, target.shape[1])])
    lines = torch.linalg.pinv(design) @ target
    return Blended(mixture, lines.view(mixture.k, mixture.d + 1, -1))


def _design(mixture: Mixture, x: Float[Tensor, "n p"]) -> Float[Tensor, "n b"]:
    """Each row's (1, x - mu_k), times its responsibility, for all components side by side."""
    resp = mixture.posterior(x).resp.double()
    offset = x.double()[:, None] - mixture.gaussian.mean
    return (resp[:, :, None] * torch.cat([torch.ones_like(offset[..., :1]), offset], 2)).flatten(1)
