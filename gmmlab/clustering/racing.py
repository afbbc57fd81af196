"""Clusterers against the clock: how good their partitions are, step by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.model import Mixture


class Moment(NamedTuple):
    """Where a clusterer was after so many seconds of its own, which measuring does not count."""

    seconds: float
    likelihood: float  # of the best labels of all rows under its groups, in the mean of the rows
    certified: bool  # whether no partition of all rows is better, under the covariances of that step


def race(X: Any, entrants: Mapping[str, MixtureClusterer]) -> dict[str, list[Moment]]:
    """The course of each clusterer over rows `X`, one after the other; give them one `init` to let them begin alike.

    All are judged alike, by sum_i max_k log N(x_i | group k) / n: those too that find their groups in some of the rows.
    """
    return {name: _course(X, entrant) for name, entrant in entrants.items()}


def _course(X: Any, entrant: MixtureClusterer) -> list[Moment]:
    x = torch.as_tensor(X)
    moments, spent, begin = [], 0.0, time.perf_counter()
    for step in entrant.steps(X):
        spent += time.perf_counter() - begin
        moments.append(Moment(spent, _likelihood(step.model, x), _proved(step.info, len(x))))
        begin = time.perf_counter()
    return moments


def _likelihood(model: Mixture, x: Float[Tensor, "n d"]) -> float:
    return sum(float(table.max(1).values.sum(dtype=torch.float64)) for table in model.tables(x)) / len(x)


def _proved(info: Any, n: int) -> bool:
    """Whether a certificate speaks of all rows, not of a sketch of them."""
    return bool(getattr(info, "certified", False)) and len(info.partition.labels) == n
