"""Where mixtures of experts begin: responsibilities of rows (x, y) whose last q columns are what is to be predicted.

A start is a function `(rows, p, k, rng) -> resp` of rows whose first p columns are inputs of the experts, and whose
others are outputs; `STARTS` has their names.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import LinearGaussian
from gmmlab.init.hierarchy import standardised
from gmmlab.init.kmeans import kmeans
from gmmlab.init.partitions import one_hot

ROUNDS = 20  # of planes that are refitted to the rows they are nearest to
EXTRA = 5  # rows of a first plane beyond its coefficients
Start = Callable[[Tensor, int, int, torch.Generator], Tensor]


def planes(rows: Float[Tensor, "n d"], p: int, k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """Rows part by the nearest of k planes, which begin at a few random rows each and are refitted in turn.

    k-means with regressions for centres; see Späth (1979), "Algorithm 39: Clusterwise linear regression".
    """
    n, d = rows.shape
    few = min(n, d + EXTRA)
    resp = torch.zeros(n, k, dtype=rows.dtype, device=rows.device)
    for j in range(k):
        drawn = torch.randperm(n, generator=rng, device=rng.device)[:few].to(rows.device)
        resp[drawn, j] = 1
    outputs = list(range(p, d))
    scale = rows[:, outputs].double().var(0).clamp(min=1e-300)
    labels = None
    for _ in range(ROUNDS):
        fitted = LinearGaussian.near(rows, resp, inputs=range(p), outputs=outputs, floor=float(scale.min()) * 1e-9)
        off = ((rows[:, None, outputs].double() - fitted.expected(rows)) ** 2 / scale).sum(2)
        nearest = off.argmin(1)
        if labels is not None and torch.equal(nearest, labels):
            break
        labels, resp = nearest, one_hot(nearest, k, rows.dtype)
    return resp


def by_inputs(rows: Float[Tensor, "n d"], p: int, k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:
    """k-means of the standardised inputs."""
    return one_hot(kmeans(standardised(rows[:, :p]), k, rng), k, rows.dtype)


def by_rows(rows: Float[Tensor, "n d"], p: int, k: int, rng: torch.Generator) -> Float[Tensor, "n k"]:  # noqa: ARG001
    """k-means of inputs and outputs, standardised."""
    return one_hot(kmeans(standardised(rows), k, rng), k, rows.dtype)


STARTS: dict[str, Start] = {"kplanes": planes, "kmeans-x": by_inputs, "kmeans-xy": by_rows}
