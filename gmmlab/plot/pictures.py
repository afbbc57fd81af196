"""The pictures: points with their mixture, and the log-likelihood of a fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from gmmlab.algebra import assign
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.climb import climb
from gmmlab.plot.density import levels, log_density
from gmmlab.plot.ellipses import Ellipses, ellipses, noise, outline
from gmmlab.plot.painter import paint, place
from gmmlab.plot.picture import Picture, Pixels  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.raster import Range, raster
from gmmlab.plot.style import DOUBT, FAINT, NOISE, UNMARKED, Style, colour, css, dash, ink, line, style

from matplotlib.axes import Axes  # isort: skip
from matplotlib.lines import Line2D  # isort: skip
from matplotlib.patheffects import withStroke  # isort: skip

Trace = Sequence[tuple[int, float]]

LEFT, RIGHT, BOTTOM, TOP, STRIP = 58, 14, 44, 30, 70  # margins and height of the trace, in nominal pixels
FINE = 2000  # points that are drawn as sharply as the lines


def scatter(
    X: Any,
    model: Any,
    *,
    dims: tuple[int, int] = (0, 1),
    names: Sequence[str] | None = None,
    labels: Tensor | None = None,
    trace: Trace = (),
    step: int | None = None,
    title: str = "",
    truth: Mixture | None = None,
    marked: Bool[Tensor, "n"] | None = None,
    doubt: Float[Tensor, "n"] | None = None,
    contours: bool = False,
    theme: str | Style = "light",
    size: tuple[int, int] = (640, 420),
) -> Picture:
    """Rows in two of their columns, coloured by component, with ellipses at one and two standard deviations.

    (Those of Student-t components are of their scale matrices.)

    `X` is a frame, an array or a tensor; `model` is a `Mixture` or a fitted estimator.
    Components are numbered from 1. `labels` are those of `model` unless given; rows of noise (-1) are grey. Rows that
    have no value (NaN) in a shown column stand in the margin, beyond a dashed line. `trace`, pairs of step and
    log-likelihood, is drawn in a strip below, with a mark at `step` (the last one unless given).

    `truth` is another mixture, drawn faintly; `contours` are those of the model's density in these columns. Rows that
    are not `marked` are grey. With `doubt`, one number from 0 to 1 for each row, colours say that, pale for 0.
    """
    rows = as_rows(X, missing=True)
    x, names, model = rows.x, names or rows.names, getattr(model, "mixture_", model)
    if x.shape[1] < 2:
        raise BadData(f"The picture shows two columns, and these rows have one, {names[0]!r}; expected two or more.")
    look = style(theme)
    labels = assign(model, x)[0] if labels is None else labels
    shown = Ellipses(*(part.cpu() for part in ellipses(model, dims)))
    picture = Picture(size=size, paper=look.paper, alt=_words(x, shown, names, dims))
    strip = STRIP if len(trace) > 1 else 0
    axes = picture.panel((LEFT, BOTTOM + strip, size[0] - LEFT - RIGHT, size[1] - TOP - BOTTOM - strip), look)
    colours = _coloured(labels.cpu(), len(shown.weight), doubt, marked, look)
    _draw_points(axes, x[:, list(dims)].cpu(), colours, look)
    if contours:
        _draw_contours(axes, model, dims, look)
    if truth is not None:
        _draw_truth(axes, Ellipses(*(part.cpu() for part in ellipses(truth, dims))), look)
    _draw_ellipses(axes, shown, look)
    words = "" if doubt is not None else _noise_words(model, labels)
    _draw_key(axes, words, bool(torch.isnan(x[:, list(dims)]).any()), look, doubt is not None)
    axes.set_xlabel(names[dims[0]], color=look.ink, fontsize=8, labelpad=2)
    axes.set_ylabel(names[dims[1]], color=look.ink, fontsize=8, labelpad=3)
    axes.set_title(title, loc="left", y=1, color=look.quiet, fontsize=8, pad=6)
    if strip:
        (below,) = climb(trace, step=trace[-1][0] if step is None else step, bare=True).frames()
        place(picture, below, (0, 0, size[0] - RIGHT, strip), look, least=LEFT)
    return picture


def trace(
    steps: Iterable[Any], *, theme: str = "light", size: tuple[int, int] = (640, 240), title: str = ""
) -> Picture:
    """Mean log-likelihood per row over the steps of a fit; takes steps, or pairs of step and log-likelihood.

    The evidence of a step belongs to the model before its refit, so that step 1 is drawn at 0.
    """
    points = [(s.i - 1, s.info.evidence) if hasattr(s, "info") else (int(s[0]), float(s[1])) for s in steps]
    if not points:
        raise ValueError("There are no steps to draw; expected at least one.")
    chart = climb(points, step=points[-1][0], title=title, height=size[1])
    return paint(chart, theme=theme, width=size[0])


def _coloured(
    labels: Int[Tensor, "n"], k: int, doubt: Tensor | None, marked: Bool[Tensor, "n"] | None, look: Style
) -> Any:
    """The colour of every row."""
    palette = np.array([*(colour(i, look) for i in range(k)), NOISE[look.theme]], dtype=float)
    colours = palette[labels.numpy()]  # the label of noise is -1: the last one
    other = np.array(UNMARKED[look.theme], dtype=float)
    if doubt is not None:
        pale, deep = (np.array(end, dtype=float) for end in DOUBT[look.theme])
        colours = pale + (deep - pale) * doubt.cpu().numpy()[:, None]
        other = np.array(FAINT[look.theme], dtype=float)
    return colours if marked is None else np.where(marked.numpy()[:, None], colours, other)


def _draw_points(axes: Axes, x: Float[Tensor, "n 2"], colours: Any, look: Style) -> None:
    extents = [gaps.extent(column) for column in x.T]
    borders = [gaps.border(column, extent) for column, extent in zip(x.T, extents, strict=True)]
    xy = np.stack([_placed(column, extent) for column, extent in zip(x.T, extents, strict=True)], axis=1)
    ranges = _with_margin(extents[0]), _with_margin(extents[1])
    axes.set(xlim=ranges[0], ylim=ranges[1])
    for draw, at in zip((axes.axvline, axes.axhline), borders, strict=True):
        if at is not None:
            draw(at, color=look.quiet, lw=0.7, ls=(0, (4, 3)), zorder=0)
    box = axes.get_window_extent()
    scale = 2 if len(xy) <= FINE else 1  # many points at full sharpness are noise that no PNG makes small
    image = raster(xy, colours, ranges, (round(box.width * scale / 2), round(box.height * scale / 2)), scale=scale)
    Pixels(axes, image, zorder=1)


def _draw_ellipses(axes: Axes, shown: Ellipses, look: Style) -> None:
    for k, (mean, factor) in enumerate(zip(shown.mean, shown.factor, strict=True)):
        one, two = (outline(mean, factor, radius).T.numpy() for radius in (1.0, 2.0))
        axes.fill(*one, color=css(colour(k, look)), alpha=0.07, lw=0, zorder=2)
        edge, dashes = css(line(k, look)), [0.6 * part for part in dash(k)]
        _draw_curve(axes, one, look, color=edge, lw=1.6)
        _draw_curve(axes, two, look, color=edge, lw=1.1, ls=(0, dashes) if dashes else "solid")
        _draw_number(axes, k, mean.numpy(), look)


def _draw_contours(axes: Axes, model: Mixture, dims: tuple[int, int], look: Style) -> None:
    window = axes.get_xlim(), axes.get_ylim()
    grid = log_density(model, dims, window)
    x, y = (np.linspace(*ends, count) for ends, count in zip(window, reversed(grid.shape), strict=True))
    drawn: dict[str, Any] = {"colors": look.ink, "linewidths": 0.6, "linestyles": "solid", "alpha": 0.5, "zorder": 2}
    axes.contour(x, y, grid.cpu(), sorted(levels(model, dims)), **drawn)


def _draw_truth(axes: Axes, shown: Ellipses, look: Style) -> None:
    """Grey and dashed, at two standard deviations."""
    for mean, factor in zip(shown.mean, shown.factor, strict=True):
        axes.plot(*outline(mean, factor, 2.0).T.numpy(), color=look.quiet, lw=1.0, ls=(0, (4, 3)), zorder=2)
        axes.plot(*mean.numpy(), "+", ms=7, color=look.quiet, mew=1.0, zorder=2)


def _draw_curve(axes: Axes, curve: Any, look: Style, **drawn: Any) -> None:
    """A line with a pale border, so that it is seen on points of its own colour."""
    halo = [withStroke(linewidth=drawn["lw"] + 1.6, foreground=look.paper, alpha=0.6)]
    axes.plot(*curve, path_effects=halo, zorder=3, **drawn)


def _draw_number(axes: Axes, k: int, at: Any, look: Style) -> None:
    face = colour(k, look)
    axes.plot(*at, "o", ms=12, mfc=css(face), mec=look.paper, mew=1.4, zorder=4)
    text: dict[str, Any] = {"fontsize": 7, "weight": "bold", "ha": "center", "va": "center_baseline"}
    axes.annotate(str(k + 1), at, color=ink(face), zorder=5, **text)


def _draw_key(axes: Axes, noise: str, missing: bool, look: Style, doubt: bool = False) -> None:
    """What is neither a component nor a value, over the upper right corner."""
    dots: dict[str, Any] = {"marker": "o", "ms": 4, "lw": 0}
    ends = zip(("certain", "uncertain"), DOUBT[look.theme], strict=True) if doubt else ()
    grey: dict[str, Any] = {"color": css(NOISE[look.theme]), "marker": "o", "ms": 4, "lw": 0}
    entries = [(words, dots | {"color": css(end)}) for words, end in ends]
    entries += [(noise, grey)] if noise else []
    entries += [("beyond the dashes: no value", {"color": look.quiet, "lw": 0.7, "ls": (0, (4, 3))})] if missing else []
    if entries:
        handles = [Line2D([], [], label=words, **drawn) for words, drawn in entries]
        axes.legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8,
            labelcolor=look.quiet, handlelength=1.6, handletextpad=0.4, columnspacing=1.2, borderaxespad=0,
            borderpad=0.4,
        )  # fmt: skip


def _noise_words(model: Any, labels: Tensor) -> str:
    """The entry of noise in the key: where the model has some, or the labels."""
    weight = noise(model)
    if weight is None:
        return "noise" if bool((labels < 0).any()) else ""
    return f"noise {100 * weight:.2g}%"


def _placed(values: Float[Tensor, "n"], extent: Range) -> Any:
    """Where values are drawn: missing ones in the margin."""
    low, high = extent
    return torch.where(torch.isnan(values), low - gaps.PLACE * (high - low), values).numpy()


def _with_margin(extent: Range) -> Range:
    low, high = extent
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _words(x: Tensor, shown: Ellipses, names: Sequence[str], dims: tuple[int, int]) -> str:
    """The picture in a sentence or two, for screen readers."""
    parts = [
        f"component {k} (weight {float(w):.2f}) at ({float(m[0]):.4g}, {float(m[1]):.4g})"
        for k, (w, m) in enumerate(zip(shown.weight[:8], shown.mean[:8], strict=True), start=1)
    ]
    rest = f" and {len(shown.weight) - 8} more" if len(shown.weight) > 8 else ""
    return f"{len(x):,} points in {names[dims[0]]} and {names[dims[1]]} with {', '.join(parts)}{rest}."
