"""Mixtures out of partitions and responsibilities: one M-step."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Gaussian, Structure
from gmmlab.gates import Constant, Posterior
from gmmlab.init.race import Race, are_few, as_array
from gmmlab.kernels.chunks import Buffers, chunk_rows
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, m_step, stats_of


def one_hot(labels: Int[Tensor, "n"], k: int, dtype: torch.dtype) -> Float[Tensor, "n k"]:
    """Responsibilities of a partition."""
    return torch.zeros(len(labels), k, dtype=dtype, device=labels.device).scatter_(1, labels[:, None], 1)


def from_labels(
    x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], structure: Structure, *, ridge: float = 0.0
) -> Mixture:
    """The mixture whose components are the groups of a partition, labelled from 0."""
    return from_responsibilities(x, one_hot(labels, int(labels.max()) + 1, x.dtype), structure, ridge=ridge)


@torch.no_grad()
def from_responsibilities(
    x: Float[Tensor, "n d"],
    resp: Float[Tensor, "n k"],
    structure: Structure,
    *,
    ridge: float = 0.0,
    weight: Float[Tensor, "n"] | None = None,
) -> Mixture:
    """One M-step from given responsibilities; a row of weight 2 counts as two rows.

    A component that no row belongs to starts at the mean of all rows, with their variances.
    """
    k = resp.shape[1]
    if are_few(x, k):
        race = Race.over(x, weight, structure, k, ridge)
        if len((found := race.refitted(as_array(resp.T)[None])).mean):
            return race.mixture(found, x.mean(0))
    return refitted(blank(x, k, structure, ridge), x, resp, weight)


def refitted(
    begin: Mixture, x: Float[Tensor, "n d"], resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None
) -> Mixture:
    """Any mixture after one M-step from given responsibilities; a row of weight 2 counts as two rows."""
    resp = resp if weight is None else resp * weight[:, None]
    size, buffers = chunk_rows(begin.components.width, x.element_size(), x.device), Buffers()

    def stats(rows: Float[Tensor, "m d"], part: Float[Tensor, "m k"]) -> MixtureStats:
        posterior = Posterior(part.contiguous(), torch.zeros_like(part[:, 0]))
        return stats_of(begin, begin.components.features(rows, buffers), posterior, buffers=buffers)

    return m_step(begin, reduce(add, map(stats, x.split(size), resp.to(x.dtype).split(size))))


def blank(x: Float[Tensor, "n d"], k: int, structure: Structure, ridge: float) -> Mixture:
    """k equal components at the mean of the rows, about which moments are taken."""
    origin = x.mean(0)
    variance = (x - origin).square().mean(0, dtype=torch.float64)
    std = variance.sqrt().where(variance > 0, torch.ones_like(variance)).expand(k, -1)
    chol = torch.diag_embed(std) if structure.dense else std
    ones = torch.ones(k, dtype=torch.float64, device=x.device)
    components = Gaussian(origin.double().expand(k, -1), chol, 0 * ones, origin, structure, ridge)
    return Mixture(components, Constant.of(ones))
