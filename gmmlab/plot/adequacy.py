"""Whether rows look as if they came from a model: distances, columns, densities, and the rows that fit worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.algebra import assign
from gmmlab.axes import Float, Int, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.model import Mixture
from gmmlab.plot.chart import Band, Bars, Chart, Dots, Frame, Line, Mark, Rule, Table
from gmmlab.score.adequacy import (
    Distances,
    Predictive,
    Uniformity,
    Worst,
    distances,
    predictive,
    transforms,
    uniformity,
    worst_rows,
)

WORST, DRAWS = 8, 4000


class Check(NamedTuple):
    """All that is checked of one model, but for the density of the column that is looked at."""

    distances: tuple[Distances, ...]
    columns: Uniformity
    worst: Worst
    labels: Int[Tensor, "w"]  # of the worst rows


@torch.no_grad()
def check(model: Mixture, x: Float[Tensor, "n d"], every: int = 1, weight: Float[Tensor, "n"] | None = None) -> Check:
    """Of all rows or of every so manieth, which keep their numbers and count `weight` times.

    The same for the same model and rows: draws come from a generator of their own.
    """
    rng, some = torch.Generator(x.device).manual_seed(0), x[::every]
    some_weight = None if weight is None else weight[::every]
    worst = worst_rows(model, some, WORST, rng, DRAWS)
    plots = distances(model, some, m=240, weight=some_weight)
    return Check(
        tuple(plot._replace(rows=every * plot.rows) for plot in plots),
        uniformity(transforms(model, some), weight=some_weight),
        worst._replace(rows=every * worst.rows),
        assign(model, some[worst.rows])[0],
    )


def adequacy(
    found: Check,
    density: Predictive,
    names: Sequence[str],
    *,
    column: int = 0,
    component: int | None = None,
    every: int = 1,
) -> Chart:
    """Distances of `component` (all of them unless given), transforms and density of `column`, and the worst rows.

    `every` says of which rows they are, if not of all.
    """
    top = [_distances(found.distances, component), _transforms(found.columns, names[column], column)]
    below: list[Frame | Table] = [_density(density, names[column]), _worst(found)]
    gaps = [plot.gap for plot in found.distances if plot.n]
    farthest = f"{max(gaps):.3f}" if gaps else "unknown"
    alt = (
        f"Fit check of {len(found.distances)} components: distances are at most {farthest} from what is expected, "
        f"{names[column]} is {float(found.columns.gap[column]):.3f} from uniform."
    )
    note = "Grey: where 95 % of each point or bar would lie if the model were right." + sampled(every)
    return Chart([top, below], alt=alt, note=note)


def sampled(every: int) -> str:
    """Of which rows a chart is, if not of all."""
    return f" One row in {every:,} while the fit plays, all when it rests." if every > 1 else ""


def _distances(plots: Sequence[Distances], component: int | None) -> Frame:
    chosen = [(k, plot) for k, plot in enumerate(plots) if plot.n and component in (None, k)]
    marks: list[Mark] = []
    if chosen:
        far = max(float(plot.expected[-1]) for _, plot in chosen)
        marks.append(Line([0.0, far], [0.0, far], tone="quiet", width=1.0, dash=1))
    if component is not None:
        marks += [Band(plot.expected, plot.low, plot.high, tone="noise") for _, plot in chosen]
    for k, plot in chosen:
        rows = plot.rows.tolist()
        words = [f"row {row}, distance {d:.3g}" for row, d in zip(rows, plot.observed.tolist(), strict=True)]
        marks.append(Dots(plot.expected, plot.observed, size=2.5, tone=k, words=words, rows=rows, label=str(k + 1)))
    x_title = "expected, if the component were right"
    return Frame(marks=marks, y_title="squared distance", x_title=x_title, brush="box", height=260)


def _transforms(columns: Uniformity, name: str, j: int) -> Frame:
    counts = columns.counts[j].tolist()
    edges = np.linspace(0.0, 1.0, len(counts) + 1)
    low, high = (float(side[j]) for side in columns.band())
    words = [f"{n:,.6g} rows between {a:.2f} and {b:.2f}" for n, a, b in zip(counts, edges, edges[1:], strict=False)]
    marks = [
        Bars(edges[:-1], edges[1:], np.zeros(len(counts)), counts, tone="accent", opacity=0.55, words=words),
        Band([0.0, 1.0], [low, low], [high, high], tone="noise", opacity=0.2),
        Rule(y=(low + high) / 2, tone="quiet"),
    ]
    top = 1.1 * max(*counts, high)
    title = f"{name}, put through its distribution"
    return Frame(
        marks=marks, y_title=title, x_title="should be level", x_range=(0.0, 1.0), y_range=(0.0, top), height=260
    )


def _density(shown: Predictive, name: str) -> Frame:
    heights = shown.heights.numpy()
    marks: list[Mark] = [
        Bars(shown.edges[:-1], shown.edges[1:], np.zeros(len(heights)), heights, tone="noise", opacity=0.35),
        *(Line(shown.at, part, width=1.5, tone=k) for k, part in enumerate(shown.parts)),
        Line(shown.at, shown.density, width=1.75, tone="ink", label="model"),
    ]
    top = 1.06 * max(float(heights.max()), float(shown.density.max()))
    return Frame(marks=marks, y_title="density", x_title=name, y_range=(0.0, top), height=260)


def _worst(found: Check) -> Table:
    parts = zip(found.worst.rows.tolist(), found.labels.tolist(), found.worst.log_prob, found.worst.tail, strict=True)
    cells = [
        (str(row), str(label + 1) if label >= 0 else "noise", f"{float(density):.2f}", f"{100 * float(tail):.2g} %")
        for row, label, density, tail in parts
    ]
    rows = found.worst.rows.tolist()
    return Table(
        columns=("row", "component", "log density", "draws as rare"), cells=cells, title="rows that fit worst",
        rows=rows, picks=rows, height=260,
    )  # fmt: skip


def density_of(
    model: Mixture, x: Float[Tensor, "n d"], column: int, every: int = 1, weight: Float[Tensor, "n"] | None = None
) -> Predictive:
    """The density of one column beside its histogram, of all rows or of every so manieth."""
    return predictive(model, x[::every], column, points=240, weight=None if weight is None else weight[::every])


def fit_check(
    X: Any,
    model: Any,
    *,
    column: int = 0,
    component: int | None = None,
    sample_weight: Any = None,
    theme: str = "light",
    width: int = 640,
) -> Any:
    """Whether rows look as if they came from a mixture, as a picture; see `score.adequacy` for what is compared.

    `X` is a frame, an array or a tensor, with gaps or without; `model` is a `Mixture` or a fitted estimator. One column
    is looked at more closely, and the distances of one component, of all unless given. Rows count `sample_weight`
    times.
    """
    from gmmlab.plot.painter import paint

    rows, mixture = as_rows(X, missing=True), getattr(model, "mixture_", model)
    weight = row_weights(sample_weight, rows.x)
    density = density_of(mixture, rows.x, column, weight=weight)
    chart = adequacy(check(mixture, rows.x, weight=weight), density, rows.names, column=column, component=component)
    return paint(chart, theme=theme, width=width)
