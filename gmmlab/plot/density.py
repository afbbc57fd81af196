"""The density of a mixture over two of its columns, on a grid: what contours are drawn from."""

from __future__ import annotations

import torch

from gmmlab.algebra import marginal
from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture

Pair = tuple[int, int]
Range = tuple[float, float]

SHAPE = (72, 96)  # rows and columns of a grid
RADII = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)  # of the contours of a single Gaussian, in standard deviations


@torch.no_grad()
def log_density(
    model: Mixture, dims: Pair, window: tuple[Range, Range], shape: tuple[int, int] = SHAPE
) -> Float[Tensor, "h w"]:
    """Log density of the marginal over two columns at the points of a grid over `window`: ends included, y upwards."""
    y, x = (torch.linspace(*ends, count, dtype=torch.float64) for ends, count in zip(window[::-1], shape, strict=True))
    points = torch.stack([x.expand(shape), y[:, None].expand(shape)], dim=-1).reshape(-1, 2)
    return marginal(model, dims).log_prob(points.to(model.located.mean)).reshape(shape)


@torch.no_grad()
def levels(model: Mixture, dims: Pair) -> list[float]:
    """Log densities at which contours are drawn, highest first: top - r^2 / 2, with top the highest at a mean.

    Those of a single Gaussian are its ellipses at r standard deviations.
    """
    flat = marginal(model, dims)
    top = float(flat.log_prob(flat.located.mean).max())
    return [top - r * r / 2 for r in RADII]
