"""The scatter matrix: every pair of columns with the components' ellipses, every column with its densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gmmlab.algebra import assign
from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Bars, Chart, Frame, Line, Mark, Points
from gmmlab.plot.ellipses import ellipses, outline
from gmmlab.score.adequacy import predictive

CELL = 150  # nominal pixels


def scatter_matrix(
    model: Mixture,
    x: Float[Tensor, "n d"],
    names: Sequence[str],
    shown: Sequence[int],
    *,
    dims: Sequence[Sequence[int]] | None = None,
) -> Chart:
    """Pairs of the columns `shown` of rows and model; `dims` are the columns that a click on a pair asks for."""
    m, width = len(shown), max(110, min(CELL, 640 // max(1, len(shown))))
    grid = []
    for i in range(m):
        row = []
        for j in range(m):
            title = names[shown[i]] if i == j else ""
            marks = _column(model, x, shown[j]) if i == j else _pair(model, (shown[j], shown[i]))
            link = () if i == j or dims is None else (dims[shown[j]][0], dims[shown[i]][0])
            x_range, y_range = (gaps.extent(x[:, shown[at]]) for at in (j, i))
            row.append(
                Frame(marks=marks, title=title, ticks=False, brush="box" if i != j else None, dims=link, height=width,
                      width=width - 24, x_range=_wider(x_range), y_range=None if i == j else _wider(y_range))
            )  # fmt: skip
        grid.append(row)
    named = ", ".join(names[i] for i in shown)
    alt = f"{len(x):,} points in {m} columns, two at a time, with {model.k} components: {named}."
    return Chart(grid, alt=alt)


def _wider(extent: tuple[float, float]) -> tuple[float, float]:
    low, high = extent
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


def _pair(model: Mixture, pair: tuple[int, int]) -> list[Mark]:
    shapes = ellipses(model, pair)
    rings = [outline(mean, factor, 2.0).numpy() for mean, factor in zip(shapes.mean, shapes.factor, strict=True)]
    lines = [Line(ring[:, 0], ring[:, 1], width=1.4, tone=k, closed=True) for k, ring in enumerate(rings)]
    return [Points(pair), *lines]


def _column(model: Mixture, x: Float[Tensor, "n d"], j: int) -> list[Mark]:
    shown = predictive(model, x, j, bins=24, points=120)
    edges, at = shown.edges.numpy(), shown.at.numpy()
    histogram = Bars(
        edges[:-1], edges[1:], np.zeros(len(shown.heights)), shown.heights.numpy(), tone="noise", opacity=0.35
    )
    parts = [Line(at, part.numpy(), width=1.5, tone=k) for k, part in enumerate(shown.parts)]
    return [histogram, *parts]


def pairs(x: Any, model: Any, *, columns: Sequence[int] | None = None, theme: str = "light", width: int = 640) -> Any:
    """The scatter matrix of rows and their mixture, as a picture: the first four columns unless others are given.

    `x` is a frame, an array or a tensor, with gaps or without; `model` is a `Mixture` or a fitted estimator.
    """
    from gmmlab.plot.painter import Rows, paint

    rows, mixture = as_rows(x, missing=True), getattr(model, "mixture_", model)
    shown = list(range(min(4, rows.x.shape[1]))) if columns is None else list(columns)
    chart = scatter_matrix(mixture, rows.x, rows.names, shown)
    return paint(chart, rows=Rows(rows.x, assign(mixture, rows.x)[0]), theme=theme, width=width)
