"""Where points are densest."""

from __future__ import annotations

import itertools
import math

import torch

from gmmlab.algebra import KernelDensity, kernel_modes
from gmmlab.axes import Float, Tensor


def densest(points: Float[Tensor, "n d"], bandwidth: float) -> Float[Tensor, "d"]:
    """The mode of a Gaussian kernel density estimate, as found from the fullest cell of a grid.

    Cells are one bandwidth wide and counted with their neighbours, of which there are 3^d: it is for a few columns.
    """
    low = points.amin(0)
    cells = ((points - low) / bandwidth).long() + 1
    size = (cells.amax(0) + 2).tolist()
    stride = torch.tensor([math.prod(size[j + 1 :]) for j in range(len(size))], device=points.device)
    code, count = (cells * stride).sum(1).unique(return_counts=True)
    steps = itertools.product((-1, 0, 1), repeat=len(size))
    near = torch.stack([(torch.tensor(step, device=points.device) * stride).sum() for step in steps])
    at = torch.searchsorted(code, code[:, None] + near).clamp(max=len(code) - 1)
    total = torch.where(code[at] == code[:, None] + near, count[at], 0).sum(1)
    best = code[total.argmax()]
    peak = low + (best // stride % torch.tensor(size, device=points.device) - 0.5) * bandwidth
    return kernel_modes(KernelDensity(points, bandwidth), peak[None]).points[0]
