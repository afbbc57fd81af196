"""Charts as static pictures: every mark of `chart.py` in matplotlib."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gmmlab.axes import Tensor
from gmmlab.plot import chart as spec
from gmmlab.plot.picture import Picture, Pixels, Ticks  # asks for matplotlib, with a sentence, before it is needed
from gmmlab.plot.raster import raster
from gmmlab.plot.style import NOISE, Rgb, Style, blend, colour, css, dash, ink, parse, style

from PIL import Image  # isort: skip
from matplotlib.axes import Axes  # isort: skip
from matplotlib.collections import PolyCollection  # isort: skip
from matplotlib.lines import Line2D  # isort: skip
from matplotlib.patches import Rectangle  # isort: skip
from matplotlib.patheffects import withStroke  # isort: skip

GAP, TITLE, FOOT, FOOT_TITLED = 14, 24, 22, 36  # around a frame, in nominal pixels
LETTER = 5.4  # the width of one
LINE = 9  # the height of one of small letters
NOTE_LETTER = 5.7  # in a line of many, whose average counts


class Rows(NamedTuple):
    """What `Points` marks draw: all columns, and the label of each row (-1 for noise)."""

    x: Tensor
    labels: Tensor
    others: Sequence[Tensor] = ()  # more sets of labels, numbered from 1


def paint(chart: spec.Chart, *, rows: Rows | None = None, theme: str | Style = "light", width: int = 640) -> Picture:
    """The picture of a chart, `width` nominal pixels wide; frames that are narrow stand beside each other."""
    look = style(theme)
    tall = [max(frame.height for frame in row) for row in chart.grid]
    lines = textwrap.wrap(chart.note, max(20, int((width - 2 * GAP) / NOTE_LETTER)))
    note = 14 * len(lines) + 6 if lines else 0
    height = sum(tall) + note
    picture = Picture(size=(width, height), paper=look.paper, alt=chart.alt)
    top = height
    for row, high in zip(chart.grid, tall, strict=True):
        share = (width - GAP) / len(row)
        for i, part in enumerate(row):
            box = (GAP + i * share, top - high, share - GAP, float(high))
            place(picture, part, box, look, rows=rows)
        top -= high
    for i, line in enumerate(reversed(lines)):
        picture.text(GAP / width, (7 + 14 * i) / height, line, color=look.quiet, fontsize=7.5)
    return picture


Box = tuple[float, float, float, float]
Part = spec.Frame | spec.Table


def place(picture: Picture, part: Part, box: Box, look: Style, *, rows: Rows | None = None, least: float = 0.0) -> None:
    """A part of a chart in a box of a picture: left, bottom, width, height. Labels take `least` pixels on the left."""
    if isinstance(part, spec.Table):
        _table(picture, part, box, look)
    else:
        _frame(picture, part, box, look, rows=rows, least=least)


def _frame(picture: Picture, frame: spec.Frame, box: Box, look: Style, *, rows: Rows | None, least: float) -> None:
    left, bottom, width, height = box
    x_range, y_range = frame.ranges()
    margin = max(least, _left(frame, y_range))
    top = TITLE if frame.title or frame.y_title or any(mark.label for mark in frame.marks) else 8
    foot = FOOT_TITLED if frame.x_title else FOOT if frame.ticks or frame.x_names else 8
    axes = picture.panel((left + margin, bottom + foot, width - margin, height - foot - top), look)
    axes.set(xlim=x_range, ylim=y_range)
    for mark in frame.marks:
        _PAINT[type(mark)](axes, mark, look, rows)
    _ticks(axes, frame, look)
    _titles(axes, frame, look)


def _left(frame: spec.Frame, y_range: spec.Range) -> float:
    """Room for the labels of the y axis."""
    if frame.y_names:
        return 10 + LETTER * max(map(len, frame.y_names))
    if not frame.ticks:
        return 6.0
    values = Ticks(4).tick_values(*sorted(y_range))
    return 14 + LETTER * max(len(f"{value:.4g}") for value in values)


def _ticks(axes: Axes, frame: spec.Frame, look: Style) -> None:
    if not frame.ticks:
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color=look.grid, linewidth=0.8)
    else:
        axes.xaxis.set_major_locator(Ticks(6, whole=frame.whole))
        axes.yaxis.set_major_locator(Ticks(4))
        axes.ticklabel_format(useOffset=False)
    extent = axes.get_window_extent()
    width = LETTER * max(map(len, frame.x_names), default=0) + 4
    for names, place, room, need in (
        (frame.x_names, axes.set_xticks, extent.width / 2, width),
        (frame.y_names, axes.set_yticks, extent.height / 2, LINE),
    ):
        if names:
            shown = range(0, len(names), max(1, math.ceil(need * len(names) / room)))
            place([i + 0.5 for i in shown], [names[i] for i in shown], color=look.ink, fontsize=7.5)
    if frame.x_names or frame.y_names:
        axes.tick_params(length=0, pad=4)
    elif frame.ticks:
        axes.grid(axis="y", color=look.grid, lw=0.6)
        axes.set_axisbelow(True)


def _titles(axes: Axes, frame: spec.Frame, look: Style) -> None:
    axes.set_xlabel(frame.x_title, color=look.ink, fontsize=7.5, labelpad=2, loc="right")
    words = "   ".join(filter(None, [frame.title, f"↑ {frame.y_title}" if frame.y_title else ""]))
    axes.set_title(words, loc="left", y=1, color=look.ink, fontsize=8, pad=6)  # a y given is not looked for
    room = axes.get_window_extent().width / 2 - LETTER * len(words)
    entries = [(mark, mark.label) for mark in frame.marks if mark.label]
    while entries and sum(LETTER * len(label) + 24 for _, label in entries) > room:
        entries = entries[1:]
    if entries:
        handles = [_key(mark, look) for mark, _ in entries]
        axes.legend(
            handles, [label for _, label in entries], loc="lower right", bbox_to_anchor=(1, 1), ncols=len(entries),
            frameon=False, fontsize=7.5, labelcolor=look.quiet, handlelength=1.4, handletextpad=0.4, columnspacing=1.0,
            borderaxespad=0, borderpad=0.35,
        )  # fmt: skip


def _key(mark: spec.Mark, look: Style) -> Any:
    face = css(tone(mark.tone if not _many(mark.tone) else mark.tone[0], look))
    if isinstance(mark, spec.Line | spec.Rule):
        return Line2D([], [], color=face, lw=1.4, ls=_dashes(mark.dash))
    if isinstance(mark, spec.Dots):
        sign, inside = "x" if mark.shape == "cross" else "o", "none" if mark.shape == "ring" else face
        return Line2D([], [], color=face, marker=sign, mfc=inside, ms=4, lw=0)
    return Rectangle((0, 0), 1, 1, fc=face, alpha=0.5)


def tone(name: spec.Tone, look: Style) -> Rgb:
    """The colour of a tone in a look."""
    if not isinstance(name, str):
        return colour(int(name), look) if int(name) >= 0 else NOISE[look.theme]
    named = {"ink": parse(look.ink), "quiet": parse(look.quiet), "noise": NOISE[look.theme]}
    named |= {"accent": colour(0, look), "other": colour(1, look)}
    return named[name]


def _many(value: Any) -> bool:
    return not isinstance(value, str) and np.ndim(value) == 1


def _tones(value: spec.Tone, n: int, look: Style) -> list[str]:
    return [css(tone(each, look)) for each in (value if _many(value) else [value] * n)]


def _dashes(pattern: int) -> Any:
    parts = [0.6 * part for part in dash(pattern)]
    return (0, parts) if parts else "solid"


def _line(axes: Axes, mark: spec.Line, look: Style, _: Rows | None) -> None:
    x, y, face = np.asarray(mark.x, dtype=float), np.asarray(mark.y, dtype=float), css(tone(mark.tone, look))
    if mark.fill and mark.closed:
        axes.fill(x, y, color=face, alpha=mark.fill, lw=0, zorder=2)
    elif mark.fill:
        axes.fill_between(x, y, axes.get_ylim()[0], color=face, alpha=mark.fill, lw=0, zorder=2)
    if mark.closed:
        x, y = np.append(x, x[:1]), np.append(y, y[:1])
    if mark.width:
        axes.plot(x, y, color=face, lw=0.8 * mark.width, ls=_dashes(mark.dash), solid_joinstyle="round", zorder=3)


def _band(axes: Axes, mark: spec.Band, look: Style, _: Rows | None) -> None:
    low, high = np.asarray(mark.low, dtype=float), np.asarray(mark.high, dtype=float)
    axes.fill_between(mark.x, low, high, color=css(tone(mark.tone, look)), alpha=mark.opacity, lw=0, zorder=2)


def _dots(axes: Axes, mark: spec.Dots, look: Style, _: Rows | None) -> None:
    n = len(mark.x)
    area = (2 * np.broadcast_to(np.asarray(mark.size, dtype=float), (n,)) * 0.72) ** 2
    faces = _tones(mark.tone, n, look)
    if mark.shape == "cross":
        axes.scatter(mark.x, mark.y, s=1.6 * area, c=faces, marker="x", linewidths=1.4, zorder=4, clip_on=False)
    elif mark.shape == "ring":
        axes.scatter(
            mark.x, mark.y, s=area, facecolors="none", edgecolors=faces, linewidths=1.3, zorder=4, clip_on=False
        )
    else:
        axes.scatter(mark.x, mark.y, s=area, c=faces, edgecolors=look.paper, linewidths=0.3, zorder=4, clip_on=False)


def _bars(axes: Axes, mark: spec.Bars, look: Style, _: Rows | None) -> None:
    left, right, low, high = (np.asarray(part, dtype=float) for part in (mark.left, mark.right, mark.low, mark.high))
    corners = np.stack([np.stack([left, left, right, right], 1), np.stack([low, high, high, low], 1)], 2)
    faces = _tones(mark.tone, len(left), look)
    axes.add_collection(
        PolyCollection(list(corners), facecolors=faces, alpha=mark.opacity, lw=0, zorder=2), autolim=False
    )


def _rule(axes: Axes, mark: spec.Rule, look: Style, _: Rows | None) -> None:
    drawn: dict[str, Any] = {"color": css(tone(mark.tone, look)), "lw": 0.9, "ls": _dashes(mark.dash), "zorder": 1}
    if mark.x is not None:
        axes.axvline(mark.x, **drawn)
    if mark.y is not None:
        axes.axhline(mark.y, **drawn)


def _text(axes: Axes, mark: spec.Text, look: Style, _: Rows | None) -> None:
    where = {"start": "left", "middle": "center", "end": "right"}[mark.anchor]
    halo = [withStroke(linewidth=2.5, foreground=look.paper)]
    axes.text(
        mark.x, mark.y, mark.text, color=css(tone(mark.tone, look)), fontsize=7.5, ha=where, va="center",
        path_effects=halo, zorder=6,
    )  # fmt: skip


def _cells(axes: Axes, mark: spec.Cells, look: Style, _: Rows | None) -> None:
    share = np.asarray(mark.share, dtype=float)
    if mark.tight:
        return _image(axes, share, mark.tone, look)
    rings, stars = set(map(tuple, mark.rings)), set(map(tuple, mark.stars))
    room = axes.get_window_extent().width / 2 / share.shape[1]  # of a cell, in nominal pixels
    places: list[tuple[int, int]] = []  # drawn together: one by one, thousands of cells take seconds
    faces: list[Rgb] = []
    for i, j in np.ndindex(share.shape):
        if np.isnan(share[i, j]):
            hatched = Rectangle(
                (j + 0.04, i + 0.06), 0.92, 0.88, fc="none", ec=look.quiet, hatch="/////", lw=0, alpha=0.5
            )
            axes.add_patch(hatched)
            continue
        face = blend(look.paper, tone(mark.tone if share[i, j] >= 0 else "other", look), abs(float(share[i, j])))
        places.append((j, i))
        faces.append(face)
        if (i, j) in stars:
            axes.plot(j + 0.5, i + 0.5, "*", ms=10, color=ink(face), mew=0, zorder=5)
        elif len(mark.text) and LETTER * len(mark.text[i][j]) < room + 2:
            axes.text(j + 0.5, i + 0.52, mark.text[i][j], color=ink(face), fontsize=7, ha="center", va="center")
        if (i, j) in rings:
            edge = css(tone("other", look))
            axes.add_patch(Rectangle((j + 0.05, i + 0.1), 0.9, 0.8, fc="none", ec=edge, lw=1.6, zorder=4))
    corners = np.array([(0.02, 0.03), (0.98, 0.03), (0.98, 0.97), (0.02, 0.97)])
    boxes = [corners + place for place in places]
    axes.add_collection(PolyCollection(boxes, facecolors=list(map(css, faces)), lw=0, zorder=1), autolim=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return None


def _image(axes: Axes, share: Any, full: spec.Tone, look: Style) -> None:
    """Shades that touch; what is not known is left as paper."""
    paper = np.array(parse(look.paper), dtype=float)
    faces = np.where((share >= 0)[..., None], np.array(tone(full, look)), np.array(tone("other", look)))
    part = np.clip(np.abs(np.nan_to_num(share)), 0, 1)[..., None]
    shades = np.rint(paper + part * (faces - paper)).astype(np.uint8)
    low, high = sorted(axes.get_ylim())
    axes.imshow(shades, extent=(*axes.get_xlim(), low, high), aspect="auto", interpolation="none", zorder=1)


def _points(axes: Axes, mark: spec.Points, look: Style, rows: Rows | None) -> None:
    if rows is None:
        raise TypeError("A chart with points is painted with its rows: paint(chart, rows=Rows(x, labels)).")
    xy = rows.x[:, list(mark.dims)].cpu().numpy()
    labels = np.full(len(xy), -1) if mark.plain else (rows.labels, *rows.others)[mark.by].cpu().numpy()
    kept = np.isfinite(xy).all(1)
    palette = np.array([*(colour(k, look) for k in range(int(labels.max(initial=0)) + 1)), NOISE[look.theme]])
    box, ranges = axes.get_window_extent(), (axes.get_xlim(), axes.get_ylim())
    size = round(box.width / 2), round(box.height / 2)
    image = raster(xy[kept], palette[labels[kept]].astype(float), ranges, size, scale=1)
    Pixels(axes, image, zorder=1)


def _underlay(axes: Axes, mark: spec.Underlay, look: Style, _: Rows | None) -> None:  # noqa: ARG001
    pixels = np.asarray(Image.open(io.BytesIO(mark.png)).convert("RGBA"))
    axes.imshow(pixels, extent=(*mark.x, *mark.y), aspect="auto", alpha=mark.opacity, zorder=0.5)


_PAINT: dict[type, Callable[[Axes, Any, Style, Rows | None], None]] = {
    spec.Line: _line,
    spec.Band: _band,
    spec.Dots: _dots,
    spec.Bars: _bars,
    spec.Rule: _rule,
    spec.Text: _text,
    spec.Cells: _cells,
    spec.Points: _points,
    spec.Underlay: _underlay,
}


def _table(picture: Picture, table: spec.Table, box: Box, look: Style) -> None:
    """As many of the rows as there is room for."""
    left, bottom, width, height = box
    axes = picture.panel((left, bottom + 4, width, height - TITLE - 4), look)
    axes.set(xlim=(0, width), ylim=(height - TITLE - 4, 0))
    axes.set_axis_off()
    axes.set_title(table.title, loc="left", y=1, color=look.ink, fontsize=8, pad=6)
    if not table.cells:
        axes.text(0, 12, table.empty, color=look.quiet, fontsize=8, va="center")
        return
    columns = _columns([table.columns, *table.cells], width)
    room = int((height - TITLE - 22) // 16)
    for i, (cells, face) in enumerate(
        zip([table.columns, *table.cells[:room]], [look.quiet, *[look.ink] * room], strict=False)
    ):
        for at, text in zip(columns, cells, strict=True):
            axes.text(at, 8 + 16 * i, text, color=face, fontsize=7.5, va="center")


def _columns(lines: Sequence[Sequence[str]], width: float) -> list[float]:
    """Where columns begin: each as wide as its longest word, what is left between them."""
    needed = [LETTER * max(len(line[j]) for line in lines) for j in range(len(lines[0]))]
    gap = min(28.0, max(6.0, (width - sum(needed)) / max(1, len(needed) - 1)))
    return [sum(needed[:j]) + j * gap for j in range(len(needed))]
