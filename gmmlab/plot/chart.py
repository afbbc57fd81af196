"""What a chart shows, said once and painted twice: by `painter.py`, and in the browser by widgets/shared/frame.js.

    Chart([[Frame([Line(steps, values)], title="log-likelihood", x_title="step")]], alt="...")

A chart is rows of frames, a frame is axes with marks or a table. Numbers are in data units; sizes are in CSS pixels. A
tone is the number of a component, whose colour it takes, or one of TONES. What marks stand for is said in numbers:
`picks` are handed to the widget that is told of a click, `rows` are rows of the data, which other panels mark too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch

TONES = ("ink", "quiet", "accent", "other", "noise")

Tone = Any  # int | str, or one of these for each element
Numbers = Any  # one-dimensional: a sequence, an array or a tensor
Range = tuple[float, float]
Brush = Literal["box", "lasso", "round", "line", "row"]  # the last two: from here to there, and the nearest row


@dataclass(frozen=True, eq=False, kw_only=True)
class Mark:
    """What all marks have: a tone, a name for the key, and what their elements stand for."""

    tone: Tone = "accent"
    label: str = ""  # in the key above the frame
    words: Sequence[str] = ()  # of each element, said when it is pointed at
    picks: Sequence[int] = ()  # of each element, told to the widget when it is clicked
    action: str = ""  # what a click asks for, where a frame has several kinds of them
    rows: Any = ()  # of each element, the row of the data that it stands for


@dataclass(frozen=True, eq=False)
class Line(Mark):
    """A line through points; `dash` numbers a pattern (0 is solid), `fill` is how much of its tone lies below it."""

    x: Numbers
    y: Numbers
    width: float = 1.75
    dash: int = 0
    fill: float = 0.0
    closed: bool = False  # an outline, filled inside


@dataclass(frozen=True, eq=False)
class Band(Mark):
    """The area between two courses."""

    x: Numbers
    low: Numbers
    high: Numbers
    opacity: float = 0.16


@dataclass(frozen=True, eq=False)
class Dots(Mark):
    """A symbol at each point; `size` is a radius, one for all or one each."""

    x: Numbers
    y: Numbers
    size: Any = 3.0
    shape: Literal["dot", "ring", "cross"] = "dot"


@dataclass(frozen=True, eq=False)
class Bars(Mark):
    """Boxes from `left` to `right` and from `low` to `high`."""

    left: Numbers
    right: Numbers
    low: Numbers
    high: Numbers
    opacity: float = 1.0


@dataclass(frozen=True, eq=False)
class Rule(Mark):
    """A straight line across the frame, at an `x` or at a `y`."""

    x: float | None = None
    y: float | None = None
    dash: int = 1


@dataclass(frozen=True, eq=False)
class Text(Mark):
    """Words at a point."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"


@dataclass(frozen=True, eq=False)
class Cells(Mark):
    """A table of shades, row 0 at the top: cell (i, j) lies between j and j + 1, and i and i + 1.

    `share` (r, c) is how full the tone is, -1 to 1 (negative: of the tone "other"); NaN is hatched. `text` is written
    into the cells; those in `rings` are ringed, those in `stars` starred. `tight` cells touch: an image, which fills
    the ranges of a frame that has some.
    """

    share: Any
    text: Any = ()
    rings: Sequence[tuple[int, int]] = ()
    stars: Sequence[tuple[int, int]] = ()
    tight: bool = False


@dataclass(frozen=True, eq=False)
class Points(Mark):
    """The rows themselves in two columns, as a density; in the browser they have been sent apart.

    `plain` ones are grey, whatever they belong to; those that are brushed have their colours all the same.
    """

    dims: tuple[int, int]
    plain: bool = False
    by: int = 0  # which of the sets of labels gives their colours, where there are several


@dataclass(frozen=True, eq=False)
class Underlay(Mark):
    """An image (PNG) from end to end of two ranges, below all else; to the browser it is sent apart, once."""

    png: bytes
    x: Range
    y: Range
    opacity: float = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """Axes with marks. Ranges are those of the marks unless given; `x_names` stand in the middle of whole units."""

    marks: Sequence[Mark]
    title: str = ""
    name: str = ""  # what it is called where no title says it
    x_title: str = ""
    y_title: str = ""
    x_range: Range | None = None
    y_range: Range | None = None
    x_names: Sequence[str] = ()
    y_names: Sequence[str] = ()  # from the top down
    whole: bool = False  # x counts something: no ticks between
    ticks: bool = True
    snap: Literal["x", "near"] = "near"  # what a pointer finds: the element at its x, or one that is close
    pick: int | None = None  # told when no element is clicked, but the frame
    place: bool = False  # clicks and drags say where they are
    at: tuple[float, float] | None = None  # the place, from which keys go on
    brush: Brush | None = None  # drags choose rows with this tool
    radius: float = 0.0  # of a round brush, or of what a line stands for, in pixels
    paint: int | None = None  # rows take this label as they are chosen, -1 for none; otherwise all panels mark them
    path: bool = False  # drags tell where they went, not which rows they chose
    flow: float = 0.0  # drops that such a brush, held down, shows in a second, until what came of it is shown
    dims: tuple[int, ...] = ()  # the two columns that panels of the session show after a click
    height: int = 200
    width: int = 240  # at least, or frames of a row are put below each other

    def ranges(self) -> tuple[Range, Range]:
        """What is shown: as given, or all marks with a margin."""
        cells = next((mark for mark in self.marks if isinstance(mark, Cells)), None)
        if cells is not None and not (cells.tight and self.x_range and self.y_range):
            r, c = np.shape(cells.share)
            return (0.0, float(c)), (float(r), 0.0)
        return self.x_range or self._extent("x", "left", "right"), self.y_range or self._extent("y", "low", "high")

    def _extent(self, *names: str) -> Range:
        found = [getattr(mark, name) for mark in self.marks for name in names if getattr(mark, name, None) is not None]
        values = np.concatenate([np.empty(0), *(np.atleast_1d(np.asarray(part, dtype=float)) for part in found)])
        values = values[np.isfinite(values)]
        if not len(values):
            return 0.0, 1.0
        low, high = float(values.min()), float(values.max())
        margin = 0.06 * (high - low) or abs(high) * 1e-3 or 0.5
        return low - margin, high + margin


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Words in rows and columns; rows with `picks` can be chosen, `actions` are buttons at the end of each."""

    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    title: str = ""
    picks: Sequence[int] = ()
    rows: Sequence[int] = ()
    actions: Sequence[str] = ()
    empty: str = ""  # said when there is nothing
    height: int = 200
    width: int = 240


@dataclass(frozen=True, eq=False)
class Chart:
    """Rows of frames and tables, and the whole in words for those who do not see it."""

    grid: Sequence[Sequence[Frame | Table]]
    alt: str = ""
    note: str = ""  # a line below

    def frames(self) -> Iterator[Frame | Table]:
        """All of them, row by row: their numbers are those that a browser speaks of."""
        for row in self.grid:
            yield from row

    def high(self, height: int) -> Chart:
        """The same, `height` pixels high: its rows grow or shrink alike."""
        share = height / sum(max(part.height for part in row) for row in self.grid)
        grid = [[replace(part, height=max(1, round(share * part.height))) for part in row] for row in self.grid]
        return replace(self, grid=grid)

    def message(self) -> dict[str, Any]:
        """The chart as lists and words that travel."""
        return {"grid": [[_message(frame) for frame in row] for row in self.grid], "alt": self.alt, "note": self.note}


def said(words: str) -> Chart:
    """A chart that only says something: why there is nothing to see."""
    return Chart([[Table(columns=[""], cells=[], empty=words, height=80)]], alt=words)


@dataclass(frozen=True)
class Control:
    """A choice beside a chart: one of `options`, a switch, a button, or a number from `low` to `high`.

    A number may stand for its power of ten (`power`), have words at its two ends in place of numbers, and a `home` to
    which Delete takes it back.
    """

    name: str
    label: str
    value: Any
    options: tuple[tuple[Any, str], ...] = ()
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    kind: Literal["choice", "switch", "number", "button"] = field(default="choice")
    title: str = ""
    power: bool = False
    ends: tuple[str, str] = ("", "")
    home: float | None = None
    keys: tuple[str, ...] = ()  # one for each option; less and more of a number; one for a switch or a button
    tones: tuple[int, ...] = ()  # of the options: the components that they stand for

    def message(self) -> dict[str, Any]:
        """The control as words that travel."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


def _message(part: Frame | Table) -> dict[str, Any]:
    if isinstance(part, Table):
        return {"kind": "table"} | {each.name: _plain(getattr(part, each.name)) for each in fields(part)}
    (x0, x1), (y0, y1) = part.ranges()
    told = {each.name: _plain(getattr(part, each.name)) for each in fields(part) if each.name != "marks"}
    marks = [_mark(mark) for mark in part.marks]
    return told | {"kind": "frame", "x_range": [x0, x1], "y_range": [y0, y1], "marks": marks}


def _mark(mark: Mark) -> dict[str, Any]:
    """A mark without what it leaves open; numbers are said even where there are none."""
    told = {each.name: _plain(getattr(mark, each.name)) for each in fields(mark) if each.name != "png"}
    needed = {each.name for each in fields(mark) if each.default is MISSING}
    return {"kind": type(mark).__name__.lower()} | {
        name: value for name, value in told.items() if name in needed or value not in ("", [], None)
    }


def _plain(value: Any) -> Any:
    """Lists of plain numbers; what is not finite is None."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple | range):
        return [_plain(part) for part in value]
    return value
