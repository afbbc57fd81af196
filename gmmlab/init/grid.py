"""First models for a whole grid: every structure from every partition, out of one statistic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from operator import add
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Gaussian, Mixed, Structure
from gmmlab.gates import Stacked
from gmmlab.kernels.cholesky import flagged_cholesky
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.stats import Counts, Moments


class Plan(NamedTuple):
    """One model of a grid: its structure, and which of the partitions it starts from."""

    structure: Structure
    partition: int


@torch.no_grad()
def from_partitions(
    x: Float[Tensor, "n d"],
    partitions: Sequence[Float[Tensor, "n _"]],
    plan: Sequence[Plan],
    *,
    ridge: float = 0.0,
    weight: Float[Tensor, "n"] | None = None,
) -> Mixture:
    """A stack of the mixtures of a plan, each of which one M-step makes of its partition.

    Partitions are responsibilities (n, k), each of its own k. The rows are summed once: each structure is a projection
    of the same moments. A component whose covariance is singular is marked by an infinite jitter.
    """
    moments = _moments(x, torch.cat([part if weight is None else part * weight[:, None] for part in partitions], dim=1))
    groups = Groups(tuple(part.shape[1] for part in partitions))
    used = [one.partition for one in plan]
    mixed = Mixed(tuple(one.structure for one in plan), groups.of(used), any(one.structure.dense for one in plan))
    own = moments.take(groups.members(used, x.device))
    pooled = moments.s2.sum(0) / moments.w.sum()
    if not mixed.dense:
        own, pooled = own.replace(s2=own.s2.diagonal(dim1=-2, dim2=-1)), pooled.diagonal()
    old = torch.linalg.cholesky_ex(pooled)[0] if mixed.dense else pooled.sqrt()
    k, origin = len(own.w), moments.origin
    blank = Gaussian(
        origin.double().expand(k, -1), old.expand(k, *old.shape), torch.zeros_like(own.w), origin, mixed, ridge
    )
    gate = Stacked(torch.zeros_like(own.w), mixed.groups)
    return Mixture(blank.refit(own, partial(flagged_cholesky, floor=0.0)), gate.refit(Counts(own.w)))


def _moments(x: Float[Tensor, "n d"], resp: Float[Tensor, "n k"]) -> Moments:
    """Full moments of every group of every partition."""
    origin, k = x.mean(0), resp.shape[1]
    scale = torch.diag((x - origin).square().mean(0, dtype=torch.float64).sqrt().clamp(min=1e-300))
    blank = Gaussian(origin.double().expand(k, -1), scale.expand(k, -1, -1), scale.new_zeros(k), origin)
    size = chunk_rows(blank.width, x.element_size(), x.device)
    parts = zip(x.split(size), resp.to(x).split(size), strict=True)
    return reduce(add, (blank.stats(blank.features(rows), part.contiguous()) for rows, part in parts))
