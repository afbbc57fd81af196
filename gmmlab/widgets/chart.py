"""The base of every widget that shows a chart: what it shows is said once, for the browser and for the picture."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
import traitlets

from gmmlab.axes import Float, Int, Tensor
from gmmlab.plot import gaps
from gmmlab.plot.chart import Chart, Control, Points
from gmmlab.widgets import frames
from gmmlab.widgets.base import STATIC
from gmmlab.widgets.messages import Invalid, field, integer, numbers
from gmmlab.widgets.panel import OPERATIONS, Message, Panel
from gmmlab.widgets.publisher import Message as Sent
from gmmlab.widgets.snapshot import Failure, Snapshot

LONGEST_PATH = 500


class Stroke(NamedTuple):
    """The path of a drag in data units, the radius of its brush along both axes, and how long it took."""

    path: Float[Tensor, "p 2"]
    radius: Float[Tensor, "2"]
    seconds: float


class ChartWidget(Panel):
    """A panel whose frames are charts.

    A subclass says what `chart` a snapshot makes and what `controls` it has: each control is a trait of its name, set
    from Python or from the page. What is done in frames comes to `picked`, `placed`, `marked` and `stroked`. Points
    marks draw `columns`, which are sent when a view appears, in the `colours` of their labels.
    """

    _esm = STATIC / "chart.js"
    _css = STATIC / "chart.css"

    lays_out: ClassVar[bool] = False  # whether `chart` sees to the height itself

    height = traitlets.Int(
        None, allow_none=True, min=80, max=4000, help="Height of the chart in pixels; without one that of its frames."
    ).tag(sync=True)
    title = traitlets.Unicode(help="The words above the chart.").tag(sync=True)
    width = traitlets.Int(640, min=200, max=4000, help="Width of the static picture in pixels.").tag(sync=True)

    def __init__(self, session: Any, **traits: Any) -> None:
        super().__init__(session, **{"title": self.heading} | traits)
        names = [control.name for control in self.controls() if control.kind != "button"]
        self.observe(self._redraw, ["height", *(name for name in names if self.has_trait(name))])

    def chart(self, snapshot: Snapshot) -> Chart:
        """What a snapshot shows."""
        raise NotImplementedError

    def at_once(self, snapshot: Snapshot) -> Chart:
        """The same for a page that waits: of a chart that takes long, what there is. Then the widget redraws."""
        return self.chart(snapshot)

    def sized(self, chart: Chart) -> Chart:
        """A chart in the height that is asked for."""
        return chart if self.height is None or self.lays_out else chart.high(self.height)

    def controls(self) -> list[Control]:
        """Choices beside the chart, as they stand."""
        return []

    def columns(self) -> Float[Tensor, "n m"] | None:
        """The columns that Points marks speak of by number; None without such marks."""
        return None

    def colours(self, snapshot: Snapshot) -> list[Int[Tensor, "n"]]:
        """The sets of labels that colour Points marks, which name them by number."""
        return [self._assigned(snapshot.assigned_by).labels]

    def turned(self, name: str, value: Any) -> None:
        """A control was turned: the trait of its name takes the value."""
        setattr(self, name, float(value) if isinstance(getattr(self, name), float) else value)

    def picked(self, frame: int, pick: int, action: str) -> None:
        """An element that stands for `pick` was chosen in a frame."""
        raise Invalid(f"There is nothing to {action or 'choose'} in frame {frame} (asked for {pick}).")

    def placed(self, frame: int, x: float, y: float) -> None:
        """A place of a frame was pointed at."""
        raise Invalid(f"Frame {frame} takes no places (asked for {x:g}, {y:g}).")

    def stroked(self, frame: int, stroke: Stroke) -> None:
        """A drag went through a frame that asked for its path."""
        raise Invalid(f"Frame {frame} takes no strokes (asked for one of {len(stroke.path)} points).")

    def pressed(self, name: str) -> None:
        """A button among the controls was pressed."""
        raise Invalid(f"There is no button {name!r}.")

    def picture(self) -> Any:
        """The chart as a matplotlib figure."""
        from gmmlab.plot.painter import Rows, paint

        snapshot, columns = self.session.snapshot, self.columns()
        chart, rows = self.sized(self.chart(snapshot)), None
        if columns is not None and _shows_points(chart):
            first, *others = self.colours(snapshot)
            rows = Rows(columns, first, others)
        return paint(chart, rows=rows, theme=self.still, width=self.width)

    def describe(self) -> str:
        return f"{type(self).__name__}: {self.chart(self.session.snapshot).alt}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session!r})"

    def compose(self, snapshot: Snapshot, frame: int) -> Sent:
        """A frame; what cannot be computed is told as an error in it."""
        body: dict[str, Any] = {"chart": None, "controls": [control.message() for control in self.controls()], "k": 1}
        failure, labels = snapshot.error, []
        try:
            chart = self.sized(self.at_once(snapshot))
            body["chart"] = chart.message()
            if _shows_points(chart):
                sets = self.colours(snapshot)
                body["k"] = max(snapshot.assigned_by.k, 1, *(int(each.max()) + 1 for each in sets if len(each)))
                labels = [frames.labels(each) for each in sets]
        except Exception as err:  # noqa: BLE001
            failure = Failure.of(err, "the drawing")
        return self.head(snapshot, frame, failure) | body, labels

    def send_rows(self) -> None:
        """Once, and again when the columns are others."""
        self.publisher.post(partial(self._rows, self.columns()))

    def _rows(self, columns: Tensor | None) -> Sent:
        columns = torch.empty(len(self.session.x), 0) if columns is None else columns
        ranges = frames.ranges(columns)
        parts = [gaps.parts(column, extent).float().cpu() for column, extent in zip(columns.T, ranges, strict=True)]
        data = torch.cat(parts).numpy().tobytes() if parts else b""
        return {"type": "rows", "n": len(columns), "ranges": [list(extent) for extent in ranges]}, [data]


def _shows_points(chart: Chart) -> bool:
    return any(isinstance(mark, Points) for part in chart.frames() for mark in getattr(part, "marks", ()))


def pick(widget: ChartWidget, message: Message) -> None:
    """An element was chosen."""
    action = message.get("action", "")
    if not isinstance(action, str):
        raise Invalid(f"action is {action!r}; expected a word.")
    widget.picked(integer(field(message, "frame"), "frame", 0), integer(field(message, "pick"), "pick", 0), action)


def place(widget: ChartWidget, message: Message) -> None:
    """A place was pointed at."""
    x, y = numbers([field(message, "x"), field(message, "y")], "place", (2,)).tolist()
    widget.placed(integer(field(message, "frame"), "frame", 0), x, y)


def control(widget: ChartWidget, message: Message) -> None:
    """A control was turned."""
    name, value = field(message, "name"), field(message, "value")
    known = {each.name: each for each in widget.controls()}
    if name not in known:
        raise Invalid(f"There is no control {name!r}; expected one of {', '.join(known) or 'none'}.")
    if known[name].kind == "button":
        return widget.pressed(name)
    try:
        widget.turned(name, value)
    except (traitlets.TraitError, TypeError, ValueError) as err:
        raise Invalid(str(err)) from err
    return None


def stroke(widget: ChartWidget, message: Message) -> None:
    """A path was drawn."""
    path = field(message, "path")
    if not isinstance(path, list) or not 1 <= len(path) <= LONGEST_PATH:
        raise Invalid(f"path is a {type(path).__name__}; expected a list of 1 to {LONGEST_PATH} places.")
    radius = numbers(field(message, "radius"), "radius", (2,)).clamp(min=0)
    seconds = float(numbers(message.get("seconds", 0.0), "seconds", ()))
    given = Stroke(numbers(path, "path", (len(path), 2)), radius, max(0.0, seconds))
    widget.stroked(integer(field(message, "frame"), "frame", 0), given)


ChartWidget.ops = OPERATIONS | {"pick": pick, "place": place, "control": control, "stroke": stroke}
