"""From rows to a first mixture.

Every start is a function of the rows that yields labels or responsibilities; one M-step turns those into parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Gaussian, Structure
from gmmlab.gates import Constant, Posterior
from gmmlab.init.kmeans import kmeans, kmeans_plus_plus, nearest
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.model import Mixture
from gmmlab.steps import m_step, stats_of

Responsibilities = Callable[[Tensor, int, torch.Generator], Tensor]


def one_hot(labels: Int[Tensor, "n"], k: int, dtype: torch.dtype) -> Float[Tensor, "n k"]:
    """Responsibilities of a partition."""
    return torch.zeros(len(labels), k, dtype=dtype, device=labels.device).scatter_(1, labels[:, None], 1)


def random_partition(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Uniform random numbers, scaled to rows that sum to one."""
    resp = torch.rand(len(x), k, generator=rng, dtype=x.dtype, device=rng.device).to(x.device)
    return resp / resp.sum(1, keepdim=True)


def near_random_rows(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to the nearest of k rows drawn without replacement."""
    seeds = torch.randperm(len(x), generator=rng, device=rng.device)[:k].to(x.device)
    return one_hot(nearest(x - x.mean(0), x[seeds] - x.mean(0))[0], k, x.dtype)


def near_kmeans_plus_plus(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to the nearest of k seeds of k-means++."""
    centred = x - x.mean(0)
    return one_hot(nearest(centred, centred[kmeans_plus_plus(centred, k, rng)])[0], k, x.dtype)


def kmeans_partition(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to their k-means cluster."""
    return one_hot(kmeans(x, k, rng), k, x.dtype)


METHODS: dict[str, Responsibilities] = {
    "kmeans": kmeans_partition,
    "k-means++": near_kmeans_plus_plus,
    "random": random_partition,
    "random_from_data": near_random_rows,
}


def start(
    x: Float[Tensor, "n d"],
    k: int,
    structure: Structure,
    method: Responsibilities,
    rng: torch.Generator,
    *,
    ridge: float = 0.0,
) -> Mixture:
    """A first mixture of k Gaussians: responsibilities by `method`, then one M-step."""
    return from_responsibilities(x, method(x, k, rng), structure, ridge=ridge)


def from_labels(
    x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], structure: Structure, *, ridge: float = 0.0
) -> Mixture:
    """The mixture whose components are the groups of a partition, labelled from 0."""
    return from_responsibilities(x, one_hot(labels, int(labels.max()) + 1, x.dtype), structure, ridge=ridge)


@torch.no_grad()
def from_responsibilities(
    x: Float[Tensor, "n d"], resp: Float[Tensor, "n k"], structure: Structure, *, ridge: float = 0.0
) -> Mixture:
    """One M-step from given responsibilities.

    A component that no row belongs to starts at the mean of all rows, with their variances.
    """
    blank = _blank(x, resp.shape[1], structure, ridge)
    size = chunk_rows(blank.components.width, x.element_size())
    parts = (
        stats_of(blank, blank.components.features(rows), Posterior(part.contiguous(), torch.zeros_like(part[:, 0])))
        for rows, part in zip(x.split(size), resp.to(x.dtype).split(size), strict=True)
    )
    return m_step(blank, reduce(add, parts))


def _blank(x: Float[Tensor, "n d"], k: int, structure: Structure, ridge: float) -> Mixture:
    """k equal components at the mean of the rows, about which moments are taken."""
    origin = x.mean(0)
    variance = (x - origin).square().mean(0, dtype=torch.float64)
    std = variance.sqrt().where(variance > 0, torch.ones_like(variance)).expand(k, -1)
    chol = torch.diag_embed(std) if structure.dense else std
    ones = torch.ones(k, dtype=torch.float64, device=x.device)
    components = Gaussian(origin.double().expand(k, -1), chol, 0 * ones, origin, structure, ridge)
    return Mixture(components, Constant.of(ones))
