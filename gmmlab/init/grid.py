"""First models for a whole grid: every structure from every partition, out of one statistic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from operator import add

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Gaussian, Structure
from gmmlab.gates import Constant
from gmmlab.kernels.cholesky import flagged_cholesky
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.model import Mixture
from gmmlab.stack import stack, unstack
from gmmlab.stats import Moments


@torch.no_grad()
def from_partitions(
    x: Float[Tensor, "n d"],
    partitions: Sequence[Float[Tensor, "n _"]],
    structures: Sequence[Structure],
    *,
    ridge: float = 0.0,
    weight: Float[Tensor, "n"] | None = None,
) -> list[list[Mixture]]:
    """For every structure, the mixtures that one M-step makes of each partition (responsibilities of its own k).

    The rows are summed once: each structure is a projection of the same moments. A model whose covariance is singular
    has an infinite jitter.
    """
    resp = torch.cat([part if weight is None else part * weight[:, None] for part in partitions], dim=1).to(x)
    moments = _moments(x, resp)
    return [_project(moments, [part.shape[1] for part in partitions], structure, ridge) for structure in structures]


def _moments(x: Float[Tensor, "n d"], resp: Float[Tensor, "n k"]) -> Moments:
    """Full moments of every group of every partition."""
    origin = x.mean(0)
    eye = torch.eye(x.shape[1], dtype=torch.float64, device=x.device) * x.std(0).double().clamp(min=1e-300)
    k = resp.shape[1]
    blank = Gaussian(origin.double().expand(k, -1), eye.expand(k, -1, -1), resp.new_zeros(k).double(), origin)
    size = chunk_rows(blank.width, x.element_size())
    parts = zip(x.split(size), resp.split(size), strict=True)
    return reduce(add, (blank.stats(blank.features(rows), part.contiguous()) for rows, part in parts))


def _project(moments: Moments, sizes: Sequence[int], structure: Structure, ridge: float) -> list[Mixture]:
    if not structure.dense:
        moments = moments.replace(s2=moments.s2.diagonal(dim1=-2, dim2=-1))
    pooled = moments.s2.sum(0) / moments.w.sum()
    origin, k = moments.origin, len(moments.w)
    old = pooled.sqrt() if pooled.ndim == 1 else torch.linalg.cholesky_ex(pooled)[0]
    gaussian = Gaussian(
        origin.double().expand(k, -1), old.expand(k, *old.shape), torch.zeros_like(moments.w), origin, structure, ridge
    )
    gates = [Constant.of(w) for w in moments.w.split(list(sizes))]
    first = stack([Mixture(part, gate) for part, gate in zip(_split(gaussian, sizes), gates, strict=True)])
    refit = first.gaussian.refit(moments, partial(flagged_cholesky, floor=0.0))
    return unstack(first.replace(components=refit), [structure] * len(sizes))


def _split(gaussian: Gaussian, sizes: Sequence[int]) -> list[Gaussian]:
    return [gaussian.take(part) for part in torch.arange(gaussian.k, device=gaussian.mean.device).split(list(sizes))]
