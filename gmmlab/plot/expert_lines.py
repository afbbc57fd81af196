"""A mixture of experts with one input: the density of y at every x, the lines, and where each of them holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture
from gmmlab.plot.chart import Cells, Chart, Dots, Frame, Line, Mark

COLUMNS, ROWS = 160, 110  # of the image of the density
HOLDS = 0.05  # weight of an expert below which its line is not drawn
FEW = 2_000  # rows that are drawn


def experts(
    X: Any,
    y: Any,
    model: Any,
    *,
    names: tuple[str, str] = ("x", "y"),
    title: str = "",
    theme: str = "light",
    size: tuple[int, int] = (640, 400),
) -> Any:
    """A fitted estimator of experts, or its mixture, over its rows, as a picture."""
    from gmmlab.plot.painter import paint

    mixture = getattr(model, "mixture_", model)
    rows = torch.stack([_numbers(column) for column in (X, y)], 1)
    return paint(lines_and_regions(mixture, rows, names, title=title, height=size[1]), theme=theme, width=size[0])


def lines_and_regions(
    mixture: Mixture, rows: Float[Tensor, "n 2"], names: tuple[str, str], *, title: str = "", height: int = 400
) -> Chart:
    """The chart of rows (x, y): density, lines and mean above, weights of the experts below.

    Shades are those of the density at each x over its greatest value there, so that a narrow and a wide part are seen
    alike. Raises `ValueError` for a model of rows with more columns.
    """
    if mixture.d != 2 or rows.shape[1] != 2:
        raise ValueError(f"The model is of rows with {mixture.d} columns; expected one input and one output.")
    experts, gate, k = _parts(mixture), mixture.gate, mixture.k
    (left, low), (right, high) = _wide(rows)
    x = torch.linspace(left, right, COLUMNS, dtype=torch.float64)
    y = torch.linspace(high, low, ROWS, dtype=torch.float64)
    at = torch.stack([x, torch.zeros_like(x)], 1)
    grid = torch.stack([x.repeat(ROWS), y.repeat_interleave(COLUMNS)], 1)
    with torch.no_grad():
        density = mixture.log_prob(grid).view(ROWS, COLUMNS).exp()
        weight, line = gate.at(at).log_w.exp(), experts.expected(at)[:, :, 0]
        own = mixture.labels(rows)
    share = 0.8 * (density / density.amax(0).clamp(min=1e-300)).sqrt()
    some = rows[:: -(-len(rows) // FEW)]
    marks: list[Mark] = [Cells(share, tone="quiet", tight=True)]
    marks.append(Dots(some[:, 0], some[:, 1], size=1.8, tone=own[:: -(-len(rows) // FEW)].tolist()))
    for j in range(k):
        holds = torch.where(weight[:, j] > HOLDS, line[:, j], math.nan)
        marks.append(Line(x, holds.clamp(low, high), tone=j, width=2.25, dash=j % 7))
    marks.append(Line(x, (weight * line).sum(1), tone="ink", width=1.25, dash=1, label="mean"))
    above = Frame(
        marks=marks, title=title, y_title=names[1], x_range=(left, right), y_range=(low, high), height=height - 120
    )
    curves: list[Mark] = [Line(x, weight[:, j], tone=j, dash=j % 7, label=f"{j + 1}") for j in range(k)]
    below = Frame(
        marks=curves, x_title=names[0], y_title="weight", x_range=(left, right), y_range=(0.0, 1.05), height=120
    )
    alt = f"{k} experts of {names[1]} against {names[0]}: their lines over the density, and their weights below."
    return Chart([[above], [below]], alt=alt)


def _numbers(column: Any) -> Float[Tensor, "n"]:
    given = column.cpu() if isinstance(column, Tensor) else np.array(column)
    return torch.as_tensor(given).double().reshape(-1)


def _parts(mixture: Mixture) -> Any:
    """The experts. Raises `TypeError` for components that are none."""
    if not hasattr(mixture.components, "expected"):
        raise TypeError(f"Expected a mixture of experts, got one of {type(mixture.components).__name__}.")
    return mixture.components


def _wide(rows: Float[Tensor, "n 2"]) -> list[list[float]]:
    """Ends of both columns, with a margin: lows, then highs."""
    low, high = rows.amin(0), rows.amax(0)
    margin = 0.06 * (high - low)
    return [(low - margin).tolist(), (high + margin).tolist()]
