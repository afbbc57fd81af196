"""Rows with what somebody has told of them: labels, and which are alike or unlike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Dots, Frame, Line, Mark, Points, Rule, Text
from gmmlab.plot.ellipses import ellipses, outline

SIGMAS = 2.0
MOST_DOTS = 2000  # labelled rows that are drawn one by one, over the density of all
MARGIN = 0.08  # around the rows, in parts of their range

Pairs = Sequence[tuple[int, int]]


def labelled(
    xy: Float[Tensor, "n 2"],
    model: Mixture,
    dims: tuple[int, int],
    labels: Int[Tensor, "n"],
    *,
    must: Pairs = (),
    cannot: Pairs = (),
    asked: Sequence[int] = (),
    begun: int | None = None,
    names: tuple[str, str] = ("", ""),
    height: int = 420,
    **options: Any,
) -> Frame:
    """Rows in two columns of a model, with their labels (-1: unknown) in the colours of its components.

    Alike rows are joined by a solid line, unlike ones by a dashed line. Rows that are `asked` for are ringed, and so is
    the one from which a link has `begun`. Of a model of one column the second is no column of it, and components are
    lines at their means. Components are counted from 1 in what is read. `options` are those of the frame.
    """
    at = _placed(xy)
    counts = torch.bincount(labels[labels >= 0], minlength=model.k).tolist()
    outlines = _components(model, dims, [f"{k + 1}: {count}" for k, count in enumerate(counts)])
    marks = [Points((0, 1)), *outlines, *_links(at, must, cannot), *_told(at, labels)]
    if asked:
        rings = at[list(asked)]
        words = [f"row {row}: unsure" for row in asked]
        marks.append(
            Dots(rings[:, 0], rings[:, 1], size=8.0, shape="ring", tone="ink", words=words, picks=asked, label="unsure")
        )
    if begun is not None:
        marks.append(Dots(at[[begun], 0], at[[begun], 1], size=7.0, shape="ring", tone="accent"))
    x_range, y_range = (_wider(gaps.extent(column)) for column in xy.T)
    return Frame(
        marks=marks, x_title=names[0], y_title=names[1], x_range=x_range, y_range=y_range, height=height, **options
    )


def _placed(xy: Float[Tensor, "n 2"]) -> np.ndarray:
    """Where rows stand; those that lack a value in the margin."""
    places = []
    for column in xy.T:
        low, high = gaps.extent(column)
        places.append(low + gaps.parts(column, (low, high)) * (high - low))
    placed: np.ndarray = torch.stack(places, 1).double().cpu().numpy()
    return placed


def _wider(extent: tuple[float, float]) -> tuple[float, float]:
    low, high = extent
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def _components(model: Mixture, dims: tuple[int, int], names: Sequence[str]) -> list[Mark]:
    """Outlines of components with their numbers; each with its name in the key."""
    if model.d == 1:
        return [Rule(x=float(mean), tone=k, dash=0, label=names[k]) for k, mean in enumerate(model.located.mean[:, 0])]
    marks: list[Mark] = []
    shapes = ellipses(model, dims)
    for k, (mean, factor) in enumerate(zip(shapes.mean, shapes.factor, strict=True)):
        ring = outline(mean, factor, SIGMAS).numpy()
        marks.append(Line(ring[:, 0], ring[:, 1], tone=k, dash=k, closed=True, label=names[k]))
        marks.append(Text(float(mean[0]), float(mean[1]), str(k + 1), tone="ink"))
    return marks


def _links(at: np.ndarray, must: Pairs, cannot: Pairs) -> list[Mark]:
    kinds = ((must, 0, "alike"), (cannot, 1, "unlike"))
    return [_joined(at, pairs, dash, f"{name}: {len(pairs)}") for pairs, dash, name in kinds if pairs]


def _joined(at: np.ndarray, pairs: Pairs, dash: int, label: str) -> Line:
    """One line of many pieces."""
    gap = np.full((1, 2), math.nan)
    course = np.concatenate([part for i, j in pairs for part in (at[[i, j]], gap)])
    return Line(course[:, 0], course[:, 1], tone="ink", width=1.5, dash=dash, label=label)


def _told(at: np.ndarray, labels: Int[Tensor, "n"]) -> list[Mark]:
    """Labelled rows, while they are few enough to be told apart."""
    rows = (labels >= 0).nonzero().flatten().tolist()
    if not 0 < len(rows) <= MOST_DOTS:
        return []
    of = labels[rows].tolist()
    words = [f"row {row}: {label + 1}" for row, label in zip(rows, of, strict=True)]
    return [Dots(at[rows, 0], at[rows, 1], size=3.5, tone=of, rows=rows, words=words)]
