"""The scatter matrix: every pair of columns with the components' ellipses, every column with its densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gmmlab.algebra import assign, marginal
from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Bars, Chart, Frame, Line, Mark, Points
from gmmlab.plot.ellipses import ellipses, outline
from gmmlab.score.adequacy import Histogram, against, histogram

CELL = 150  # nominal pixels
BINS = 24


class Spread(NamedTuple):
    """What is drawn of a column whatever the model: found once, however many models are shown."""

    extent: gaps.Range
    histogram: Histogram

    @classmethod
    def of(cls, column: Float[Tensor, "n"], weight: Float[Tensor, "n"] | None = None) -> Spread:
        """Of rows that count `weight` times."""
        return cls(gaps.extent(column), histogram(column, BINS, weight))


def scatter_matrix(
    model: Mixture,
    n: int,
    spreads: Sequence[Spread],
    names: Sequence[str],
    *,
    dims: Sequence[int] = (),
) -> Chart:
    """Every two columns of n rows and their model; `dims` are their numbers, which a click on a pair asks for."""
    m, width = len(spreads), max(110, min(CELL, 640 // max(1, len(spreads))))
    grid = []
    for i in range(m):
        row = []
        for j in range(m):
            title = names[i] if i == j else ""
            marks = _column(model, spreads[j].histogram, j) if i == j else _pair(model, (j, i))
            link = () if i == j or not dims else (dims[j], dims[i])
            x_range, y_range = spreads[j].extent, spreads[i].extent
            row.append(
                Frame(marks=marks, title=title, name=f"{names[i]} against {names[j]}", ticks=False,
                      brush="box" if i != j else None, dims=link, height=width, width=width - 24,
                      x_range=_wider(x_range), y_range=None if i == j else _wider(y_range))
            )  # fmt: skip
        grid.append(row)
    alt = f"{n:,} points in {m} columns, two at a time, with {model.k} components: {', '.join(names)}."
    return Chart(grid, alt=alt)


def _wider(extent: tuple[float, float]) -> tuple[float, float]:
    low, high = extent
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


def _pair(model: Mixture, pair: tuple[int, int]) -> list[Mark]:
    shapes = ellipses(model, pair)
    rings = [outline(mean, factor, 2.0).numpy() for mean, factor in zip(shapes.mean, shapes.factor, strict=True)]
    lines = [Line(ring[:, 0], ring[:, 1], width=1.4, tone=k, closed=True) for k, ring in enumerate(rings)]
    return [Points(pair), *lines]


def _column(model: Mixture, own: Histogram, j: int) -> list[Mark]:
    shown = against(model, j, own, points=120)
    edges, at = shown.edges.numpy(), shown.at.numpy()
    bars = Bars(edges[:-1], edges[1:], np.zeros(BINS), shown.heights.numpy(), tone="noise", opacity=0.35)
    parts = [Line(at, part.numpy(), width=1.5, tone=k) for k, part in enumerate(shown.parts)]
    return [bars, *parts]


def pairs(
    X: Any,
    model: Any,
    *,
    columns: Sequence[int] | None = None,
    sample_weight: Any = None,
    theme: str = "light",
    width: int = 640,
) -> Any:
    """The scatter matrix of rows and their mixture, as a picture: the first four columns unless others are given.

    `X` is a frame, an array or a tensor, with gaps or without; `model` is a `Mixture` or a fitted estimator. In
    histograms rows count `sample_weight` times.
    """
    from gmmlab.plot.painter import Rows, paint

    rows, mixture = as_rows(X, missing=True), getattr(model, "mixture_", model)
    shown = list(range(min(4, rows.x.shape[1]))) if columns is None else list(columns)
    x, names = rows.x[:, shown], [rows.names[j] for j in shown]
    weight = row_weights(sample_weight, rows.x)
    chart = scatter_matrix(marginal(mixture, shown), len(x), [Spread.of(column, weight) for column in x.T], names)
    return paint(chart, rows=Rows(x, assign(mixture, rows.x)[0]), theme=theme, width=width)
