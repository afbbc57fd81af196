"""How well models fit against how many parameters they have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gmmlab.plot.picture import Picture, Ticks  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.style import Style, colour, css, style

from matplotlib.axes import Axes  # isort: skip
from matplotlib.patheffects import withStroke  # isort: skip

LEFT, BOTTOM, TOP, RIGHT = 58, 38, 30, 26  # margins in nominal pixels
LETTER, LINE, RADIUS = 6.0, 11.0, 4.0  # of the labels and dots, in the same


class Box(NamedTuple):
    """What a label covers, in nominal pixels."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap; they are given by their centres."""
        near_x = abs(self.x - other.x) < (self.width + other.width) / 2
        return near_x and abs(self.y - other.y) < (self.height + other.height) / 2


def parsimony(
    models: Sequence[tuple[str, int, float]],
    *,
    n: float | None = None,
    nested: Sequence[tuple[str, str]] = (),
    theme: str = "light",
    size: tuple[int, int] = (640, 360),
) -> Picture:
    """Log-likelihood against number of parameters; each entry of `models` is a name and these two.

    `nested` pairs of names, the special case first, are joined by lines. With `n` rows, the model that BIC prefers is
    ringed, and the dashed line through it holds all that BIC thinks as good: it rises by 1/2 log n for each parameter
    (Schwarz, 1978). Models without a finite log-likelihood are left out.
    """
    shown = {name: (float(p), float(loglik)) for name, p, loglik in models if math.isfinite(loglik)}
    if not shown:
        raise ValueError("There are no models with a finite log-likelihood to draw; expected at least one.")
    look, slope = style(theme), None if n is None else math.log(n) / 2
    best = None if slope is None else max(shown, key=lambda name: shown[name][1] - slope * shown[name][0])
    words = f"; BIC prefers {best}" if best else ""
    alt = f"Log-likelihood against number of parameters of the models {', '.join(shown)}{words}."
    picture = Picture(size=size, paper=look.paper, alt=alt)
    axes = picture.panel((LEFT, BOTTOM, size[0] - LEFT - RIGHT, size[1] - BOTTOM - TOP), look)
    _set_limits(axes, np.array(list(shown.values())))
    for pair in nested:
        if all(name in shown for name in pair):
            axes.plot(*zip(*(shown[name] for name in pair), strict=True), color=look.quiet, alpha=0.3, lw=1, zorder=1)
    if best and slope is not None:
        _draw_equals(axes, shown[best], slope, look)
    face = css(colour(0, look.theme))
    for at in shown.values():
        axes.plot(*at, "o", ms=5, mfc=face, mec=look.paper, mew=0.8, zorder=3)
    _write_names(axes, shown, best, look)
    axes.grid(axis="y", color=look.grid, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(Ticks(9, whole=True))
    axes.yaxis.set_major_locator(Ticks(5))
    axes.set_xlabel("free parameters", color=look.ink, fontsize=8, labelpad=3)
    title = "log-likelihood" + (f"; dashed, all that is as good as {best} by BIC" if best else "")
    axes.set_title(title, loc="left", color=look.quiet, fontsize=8, pad=8)
    return picture


def _set_limits(axes: Axes, points: Any) -> None:
    low, high = points.min(0), points.max(0)
    margin = np.where(high > low, 0.07 * (high - low), 1.0)
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))


def _draw_equals(axes: Axes, at: tuple[float, float], slope: float, look: Style) -> None:
    """The ring around the best model and the line of equal BIC through it."""
    ring = css(colour(1, look.theme))
    ends = axes.get_xlim()
    axes.plot(ends, [at[1] + slope * (x - at[0]) for x in ends], color=ring, lw=1.2, ls=(0, (5, 3)), zorder=2)
    axes.plot(*at, "o", ms=9.5, mfc="none", mec=ring, mew=1.6, zorder=4)


def _write_names(axes: Axes, shown: dict[str, tuple[float, float]], best: str | None, look: Style) -> None:
    """Each name beside its dot, where it covers neither a dot nor another name, if there is such a place."""
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    width, height = (extent / 2 for extent in axes.get_window_extent().size)  # two dots of the screen to a pixel
    pixels = {name: ((x - x0) / (x1 - x0) * width, (y - y0) / (y1 - y0) * height) for name, (x, y) in shown.items()}
    taken = [Box(*at, 2 * RADIUS, 2 * RADIUS) for at in pixels.values()]
    text: dict[str, Any] = {"textcoords": "offset pixels", "ha": "center", "va": "center_baseline", "fontsize": 7}
    text["path_effects"] = [withStroke(linewidth=2.5, foreground=look.paper)]
    for name in sorted(pixels, key=lambda name: -pixels[name][1]):
        x, y = pixels[name]
        places = [Box(x + dx, y + dy, LETTER * len(name), LINE) for dx, dy in _offsets(LETTER * len(name))]
        place = next((box for box in places if not any(map(box.meets, taken))), places[0])
        taken.append(place)
        text["weight"] = "bold" if name == best else "normal"
        axes.annotate(name, shown[name], (2 * (place.x - x), 2 * (place.y - y)), color=look.ink, zorder=5, **text)


def _offsets(width: float) -> Iterator[tuple[float, float]]:
    """Where a label may be beside its dot, the best place first."""
    side, above = width / 2 + RADIUS + 3, LINE / 2 + RADIUS + 2
    yield from ((side, 0), (-side, 0), (0, above), (0, -above))
    yield from ((side, above), (side, -above), (-side, above), (-side, -above))
