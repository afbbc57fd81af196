"""Starts for rows with many columns: they are parted where they spread most."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Full
from gmmlab.init.hierarchy import standardised
from gmmlab.init.start import Method
from gmmlab.kernels.principal import leading

RIDGE = 1e-6  # of axes along which standardised rows do not vary


@torch.no_grad()
def in_leading_components(
    x: Float[Tensor, "n d"],
    k: int,
    axes: int,
    method: Method,
    rng: torch.Generator,
    *,
    weight: Float[Tensor, "n"] | None = None,
) -> Float[Tensor, "n k"]:
    """Responsibilities by a start of `method`, with full covariances, along the leading principal components.

    Columns are standardised, so units do not matter. All `axes` are taken, or as many as there are columns: those that
    k groups differ by need k - 1, and each factor that groups have in common one more.
    """
    if k == 1:
        return torch.ones_like(x[:, :1])
    z = standardised(x)
    turned = z @ leading(z, min(axes, z.shape[1]), rng)[1]
    return method(turned, k, Full(), rng, ridge=RIDGE, weight=weight).posterior(turned).resp.to(x)
