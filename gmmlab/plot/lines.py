"""Several courses of one number on common axes: methods against what they cost, estimates against time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gmmlab.plot.picture import Picture, Ticks  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.style import Style, css, dash, line, style

from matplotlib.axes import Axes  # isort: skip

Curve = Sequence[tuple[float, float]]

LEFT, RIGHT, BOTTOM, TOP = 58, 14, 40, 30  # margins in nominal pixels


def curves(
    named: Mapping[str, Curve],
    *,
    x: str,
    y: str,
    log: bool = False,
    theme: str = "light",
    size: tuple[int, int] = (640, 300),
) -> Picture:
    """Curves through pairs of numbers, each under its name in a key, with a colour and a dash of its own.

    `x` and `y` say what the numbers are; where all x are whole, so are the ticks. With `log` both axes are logarithmic,
    and pairs that are not positive are left out. Pairs that are not finite are left out too. Raises `ValueError` when a
    curve has nothing to draw.
    """
    look = style(theme)
    shown = {name: _drawable(curve, log) for name, curve in named.items()}
    if not shown or min(map(len, shown.values())) == 0:
        empty = next((name for name, curve in shown.items() if not len(curve)), None)
        what = "There are no curves" if empty is None else f"The curve {empty!r} has no pairs that can be drawn"
        raise ValueError(f"{what}; expected at least one pair of finite{' positive' if log else ''} numbers.")
    ends = ", ".join(f"{name} ends at {curve[-1, 1]:.4g}" for name, curve in shown.items())
    picture = Picture(size=size, paper=look.paper, alt=f"{y} against {x}: {ends}.")
    axes = picture.panel((LEFT, BOTTOM, size[0] - LEFT - RIGHT, size[1] - TOP - BOTTOM), look)
    for k, (name, curve) in enumerate(shown.items()):
        dashes = [0.6 * part for part in dash(k)]
        axes.plot(*curve.T, color=css(line(k, theme)), lw=1.5, ls=(0, dashes) if dashes else "solid", label=name)
    if log:
        axes.set(xscale="log", yscale="log")
        axes.minorticks_off()
    else:
        counts = all((curve[:, 0] % 1 == 0).all() for curve in shown.values())
        axes.xaxis.set_major_locator(Ticks(8, whole=counts))
        axes.yaxis.set_major_locator(Ticks(5))
        axes.ticklabel_format(useOffset=False)
    axes.grid(axis="y", color=look.grid, lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, color=look.ink, fontsize=8, labelpad=2)
    axes.set_title(y, loc="left", color=look.quiet, fontsize=8, pad=6)
    _add_key(picture, axes, look)
    return picture


def _add_key(picture: Picture, axes: Axes, look: Style) -> None:
    """The names of the curves, where these leave room for them, or else beside them."""
    colours = {"labelcolor": look.ink, "facecolor": look.paper, "edgecolor": look.grid, "framealpha": 0.9}
    add = partial(axes.legend, fontsize=7.5, handlelength=3.2, **colours)
    key = add(loc="best")
    picture.draw_without_rendering()
    box = key.get_window_extent()
    courses = [each.get_transform().transform_path(each.get_path()) for each in axes.lines]
    if any(course.intersects_bbox(box, filled=False) for course in courses):
        left, bottom, width, height = axes.get_position().bounds
        taken = box.transformed(picture.transFigure.inverted()).width
        axes.set_position((left, bottom, width - taken, height))
        add(loc="upper left", bbox_to_anchor=(1, 1))


def _drawable(curve: Curve, log: bool) -> NDArray[np.float64]:
    pairs = np.asarray(curve, dtype=float).reshape(-1, 2)
    kept = np.isfinite(pairs).all(1)
    return pairs[kept & (pairs > 0).all(1)] if log else pairs[kept]
