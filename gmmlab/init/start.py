"""From rows to a first mixture.

Most starts are functions of the rows that yield responsibilities, of which one M-step makes parameters; `automatic`
tries several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Full, Structure
from gmmlab.init.hierarchy import GROUPS, Determinant, Grow, agglomerate, standardised, ward
from gmmlab.init.kmeans import kmeans, kmeans_plus_plus, nearest
from gmmlab.init.partitions import from_labels, from_responsibilities, one_hot
from gmmlab.init.short import SAMPLE, automatic, sample_of
from gmmlab.model import Mixture

SINGLE = 1e-4  # variance given to groups of a single row, in parts of that of all
Responsibilities = Callable[[Tensor, int, torch.Generator], Tensor]


@runtime_checkable
class Method(Protocol):
    """A way to a first mixture of k Gaussians."""

    def __call__(
        self,
        x: Float[Tensor, "n d"],
        k: int,
        structure: Structure,
        rng: torch.Generator,
        *,
        ridge: float = 0.0,
        weight: Float[Tensor, "n"] | None = None,
    ) -> Mixture:
        """The mixture; a row of weight 2 counts as two rows in its parameters, if not in how rows are parted."""


def random_partition(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Uniform random numbers, scaled to rows that sum to one."""
    resp = torch.rand(len(x), k, generator=rng, dtype=x.dtype, device=rng.device).to(x.device)
    return resp / resp.sum(1, keepdim=True)


def near_random_rows(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to the nearest of k rows drawn without replacement."""
    seeds = torch.randperm(len(x), generator=rng, device=rng.device)[:k].to(x.device)
    return one_hot(nearest(x, x[seeds], origin=x.mean(0))[0], k, x.dtype)


def near_kmeans_plus_plus(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to the nearest of k seeds of k-means++."""
    return one_hot(nearest(x, x[kmeans_plus_plus(x, k, rng)], origin=x.mean(0))[0], k, x.dtype)


def kmeans_partition(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to their k-means cluster."""
    return one_hot(kmeans(x, k, rng), k, x.dtype)


def ward_partition(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to their group of Ward's tree."""
    return _cut(x, [k], rng, ward)[0]


def hierarchical_partition(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows go to their group of mclust's start: the tree of the determinant criterion, quantiles for one column."""
    return by_hierarchy(x, [k], rng)[0]


def by_hierarchy(x: Float[Tensor, "n d"], ks: Sequence[int], rng: torch.Generator) -> list[Float[Tensor, "n _"]]:
    """`hierarchical_partition` for several numbers of groups, from one tree."""
    if x.shape[1] == 1:
        rank = x[:, 0].argsort().argsort()
        return [one_hot(rank * k // len(x), k, x.dtype) for k in ks]
    groups = GROUPS * 8 // max(8, x.shape[1])  # determinants of many columns take their time
    return _cut(x, ks, rng, Determinant(groups=max(groups, 4 * max(ks))))


def _cut(x: Float[Tensor, "n d"], ks: Sequence[int], rng: torch.Generator, grow: Grow) -> list[Float[Tensor, "n _"]]:
    """The groups of a tree over rows; of many rows, over a sample, by whose Gaussians the rows are then assigned."""
    sample = sample_of(len(x), max(SAMPLE, 4 * max(ks)), rng).to(x.device)
    tree = agglomerate(x[sample], grow)
    if len(sample) == len(x):
        return [one_hot(tree.labels(k), k, x.dtype) for k in ks]
    z = standardised(x)
    groups = [from_labels(z[sample], tree.labels(k), Full(), ridge=SINGLE) for k in ks]
    return [group.posterior(z).resp.to(x.dtype) for group in groups]


def by(responsibilities: Responsibilities) -> Method:
    """The start that takes one M-step from responsibilities."""

    def method(
        x: Float[Tensor, "n d"],
        k: int,
        structure: Structure,
        rng: torch.Generator,
        *,
        ridge: float = 0.0,
        weight: Float[Tensor, "n"] | None = None,
    ) -> Mixture:
        return from_responsibilities(x, responsibilities(x, k, rng), structure, ridge=ridge, weight=weight)

    return method


RESPONSIBILITIES: dict[str, Responsibilities] = {
    "kmeans": kmeans_partition,
    "k-means++": near_kmeans_plus_plus,
    "random": random_partition,
    "random_from_data": near_random_rows,
    "ward": ward_partition,
    "hierarchical": hierarchical_partition,
}
METHODS: dict[str, Method] = {"auto": automatic} | {name: by(method) for name, method in RESPONSIBILITIES.items()}


def start(
    x: Float[Tensor, "n d"],
    k: int,
    structure: Structure,
    method: Method,
    rng: torch.Generator,
    *,
    ridge: float = 0.0,
    weight: Float[Tensor, "n"] | None = None,
) -> Mixture:
    """A first mixture of k Gaussians by one of METHODS, of rows that count `weight` times."""
    with torch.no_grad():
        return method(x, k, structure, rng, ridge=ridge, weight=weight)


def start_from_sample(
    sample: Float[Tensor, "m d"],
    mean: Float[Tensor, "d"],
    k: int,
    structure: Structure,
    method: Method,
    *,
    rng: torch.Generator,
    ridge: float = 0.0,
) -> Mixture:
    """A first mixture for rows too many to hold, from some of them; moments are taken about the `mean` of all."""
    begin = start(sample, k, structure, method, rng, ridge=ridge)
    return begin.replace(components=begin.gaussian.replace(origin=mean.to(sample)))
