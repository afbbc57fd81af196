"""Edits made in two columns, as changes of the whole model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.fit import Lineage, moves
from gmmlab.fit.missing import start_rows
from gmmlab.init import kmeans_plus_plus
from gmmlab.model import Mixture
from gmmlab.plot.ellipses import with_block
from gmmlab.score.uncertainty import bhattacharyya

Pair = tuple[int, int]


def edited(model: Mixture, k: int, dims: Pair, mean: Tensor | None = None, factor: Tensor | None = None) -> Mixture:
    """Component k with another mean, another covariance block F F', or both, in the shown columns."""
    if mean is not None:
        model = moves.move(model, k, _placed(model.located.mean[k], dims, mean))
    if factor is not None:
        cov = model.located.cov[k]
        block = with_block(cov, dims, factor.to(cov))
        if model.located.structure.spherical:  # round in the unseen columns too
            block = torch.eye(len(cov)).to(cov) * block.diagonal()[list(dims)].mean()
        model = moves.reshape(model, k, block)
    return model


def added(model: Mixture, x: Float[Tensor, "n d"], dims: Pair, mean: Float[Tensor, "2"]) -> Mixture:
    """One more component at a point of the shown columns; elsewhere it is where the nearest row is.

    Where that row has no entry, it is at the mean of the column.
    """
    x = start_rows(x)
    shown = x[:, list(dims)].double()
    scale = shown.std(0).clamp(min=torch.finfo(shown.dtype).tiny)
    near = ((shown - mean.to(shown)) / scale).square().sum(1).argmin()
    return moves.add(model, _placed(x[near].double(), dims, mean))


def reseeded(
    model: Mixture, x: Float[Tensor, "n d"], rng: torch.Generator, which: Sequence[int] | None = None
) -> Mixture:
    """Some components begun anew, all of them unless said, at rows far from each other and from those that stay.

    They are drawn as k-means++ draws them, with all columns at one scale.
    """
    x, places = start_rows(x), model.located.mean
    chosen = list(range(model.k)) if which is None else list(which)
    stay = [k for k in range(model.k) if k not in chosen]
    scale = x.std(0).clamp(min=torch.finfo(x.dtype).tiny)
    seeds = kmeans_plus_plus(x / scale, len(chosen), rng, beside=places[stay].to(x) / scale)
    return moves.reseed(model, chosen, x[seeds])


def nearest(model: Mixture, k: int) -> int:
    """The component that overlaps most with k: at the least Bhattacharyya distance."""
    places = model.located
    one = places.take(torch.tensor([k], device=places.mean.device))
    distance = bhattacharyya(one, places)[0]
    distance[k] = torch.inf
    return int(distance.argmin())


def merged(model: Mixture, k: int) -> Mixture:
    """Component k and the one nearest to it as one, in the lower place."""
    return moves.merge(model, k, nearest(model, k))


def joined(model: Mixture, k: int) -> Lineage:
    """Which component is which after `merged`."""
    return Lineage.merge(model.k, k, nearest(model, k))


def _placed(row: Float[Tensor, "d"], dims: Pair, at: Float[Tensor, "2"]) -> Float[Tensor, "d"]:
    row = row.clone()
    row[list(dims)] = at.to(row)
    return row
