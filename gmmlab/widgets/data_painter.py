"""Data painter: just draw some data.

painter = DataPainter()
painter.X, painter.y, painter.frame
painter.explore()
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
import traitlets

from gmmlab.axes import Float, Int, Tensor
from gmmlab.extras import needs
from gmmlab.plot.chart import Chart, Control, Dots, Frame, Line, Mark, Points, Underlay
from gmmlab.plot.ellipses import outline, principal
from gmmlab.plot.underlay import beneath
from gmmlab.widgets.chart import ChartWidget, Stroke
from gmmlab.widgets.drawn import PRESETS, Bell, Drawing, Part, Spray
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.snapshot import Snapshot
from gmmlab.widgets.still import Still
from gmmlab.widgets.undo import Undo

SPRAY, BELL, MOVE = TOOLS = ("spray", "bell", "move")
WIDE, HIGH = 10.0, 6.0  # the plane
HEIGHT = 420  # in pixels
SHORTEST, LONGEST = 0.2, 60.0  # seconds that a stroke sprays for: a click, and a hand that has forgotten it
MOVED = 0.02  # of the plane: less is a click
MOST_ROWS = 100_000


class DataPainter(ChartWidget):
    """A blank plane: rows are sprayed with a round brush or set down as Gaussians; clusters are moved and deleted.

    `underlay` is an image to draw over: the path of a file, or an array of its pixels.
    Classes count from 0 in `y`, and from 1 on the screen. The rows depend only on what was drawn, on the seed, and on
    how many there shall be (`n`, 0 for as many as drawn).
    """

    heading = "Data painter"
    ops: ClassVar[dict[str, Any]] = {name: ChartWidget.ops[name] for name in ("ready", "ack", "control", "stroke")}

    tool = traitlets.Enum(list(TOOLS), SPRAY, help="What a drag does.").tag(sync=True)
    label = traitlets.Int(0, min=0, max=7, help="The class that is drawn.").tag(sync=True)
    classes = traitlets.Int(4, min=1, max=8, help="How many classes there are to choose from.").tag(sync=True)
    size = traitlets.Float(28, min=4, max=120, help="Radius of the brush in pixels.").tag(sync=True)
    flow = traitlets.Int(150, min=1, max=5000, help="Rows that a second of spray or a Gaussian has.").tag(sync=True)
    n = traitlets.Int(0, min=0, max=MOST_ROWS, help="Rows in all; 0 for as many as drawn.").tag(sync=True)
    seed = traitlets.Int(0, min=0, help="Another seed draws other rows in the same places.").tag(sync=True)

    def __init__(self, preset: str | None = None, *, underlay: Any = None, **traits: Any) -> None:
        self._underlay: tuple[Underlay, ...] = ()
        self._drawing = Undo(Drawing())
        self._selected: int | None = None  # the key of a cluster
        self._changing = threading.RLock()
        self._still = Still(Drawing())
        self._still.subscribe(lambda _: ChartWidget.send_rows(self))  # before the frame that shows them
        super().__init__(self._still, **traits)
        self.observe(self._draw_anew, ["n", "seed"])
        if underlay is not None:
            self.underlay = underlay
        if preset is not None:
            self.preset(preset)
        self._draw_anew()

    # from Python

    @property
    def X(self) -> np.ndarray:  # noqa: N802 - as everywhere
        """The rows (n, 2)."""
        rows: np.ndarray = self.session.x.numpy().copy()
        return rows

    @property
    def y(self) -> np.ndarray:
        """The class of each row."""
        labels: np.ndarray = self.session.snapshot.model.labels.numpy().copy()
        return labels

    @property
    def frame(self) -> Any:
        """Rows and classes as a DataFrame."""
        x = self.X
        return needs("pandas", "data").DataFrame({"x0": x[:, 0], "x1": x[:, 1], "label": self.y})

    @property
    def underlay(self) -> Any:
        """The image below the plane as PNG, None without one. Takes the path of a file, or an array."""
        return self._underlay[0].png if self._underlay else None

    @underlay.setter
    def underlay(self, given: Any) -> None:
        self._underlay = () if given is None else (beneath(given, (0.0, WIDE), (0.0, HIGH)),)
        self._send_image()
        self._redraw()

    def explore(self, **options: Any) -> Any:
        """An Explorer on the rows as they are now, with as many components as classes were drawn unless told."""
        from gmmlab.widgets.opening import explore

        usual: dict[str, Any] = {"n_components": max(1, len(np.unique(self.y))), "name": "Painted rows"}
        return explore(self.X, **usual | options)

    def preset(self, name: str) -> None:
        """One of the drawings that are ready: blobs, cigars, cross, unequal, moons, ring."""
        if name not in PRESETS:
            raise ValueError(f"There is no preset {name!r}; expected one of {', '.join(PRESETS)}.")
        self._selected = None
        self._take(PRESETS[name](), f"{name.capitalize()}.")

    def spray(self, path: Any, radius: Any = 0.4, *, n: int = 100, label: int | None = None) -> None:
        """Rows over a disc that goes from place to place; `radius` may be one number for each axis."""
        places = torch.as_tensor(path, dtype=torch.float64).reshape(-1, 2)
        self._add(Spray(places, torch.as_tensor(radius, dtype=torch.float64).expand(2), n), label)

    def bell(self, mean: Any, cov: Any, *, n: int = 100, label: int | None = None) -> None:
        """Gaussian rows."""
        factor = torch.linalg.cholesky(torch.as_tensor(cov, dtype=torch.float64))
        self._add(Bell(torch.as_tensor(mean, dtype=torch.float64), factor, n), label)

    def remove(self) -> None:
        """Deletes the selected cluster."""
        if self._selected is None:
            raise ValueError("No cluster is selected; click one with the tool that moves.")
        key, self._selected = self._selected, None
        self._take(self._drawing.now.remove(key))

    def undo(self) -> None:
        """Takes the latest change back."""
        with self._changing:
            self._show(self._drawing.undo())

    def redo(self) -> None:
        """Makes the change that was taken back last."""
        with self._changing:
            self._show(self._drawing.redo())

    def clear(self) -> None:
        """A blank plane."""
        self._selected = None
        self._take(Drawing())

    def play(self) -> None:
        """There is no fit here."""
        raise TypeError("A DataPainter has nothing to play; painter.explore().play() fits what was drawn.")

    # what is shown

    def chart(self, snapshot: Snapshot) -> Chart:
        drawing = snapshot.model
        round_ = self.tool == SPRAY
        frame = Frame(
            marks=[*self._underlay, Points((0, 1)), *self._outline(drawing)], x_range=(0.0, WIDE), y_range=(0.0, HIGH),
            brush="round" if round_ else "line", radius=0.0 if self.tool == MOVE else self.size, path=True,
            flow=float(self.flow) if round_ else 0.0, paint=None if self.tool == MOVE else self._label,
            height=HEIGHT,
        )  # fmt: skip
        counts = torch.bincount(drawing.labels, minlength=1).tolist()
        each = ", ".join(f"{count} of class {j + 1}" for j, count in enumerate(counts) if count)
        words = drawing.words + (f": {each}." if each else ".")
        hints = {SPRAY: "Hold and drag to spray.", BELL: "Drag along the long axis of a Gaussian.",
                 MOVE: "Drag a cluster to move it; Delete removes the selected one."}  # fmt: skip
        return Chart([[frame]], alt=words, note=f"{hints[self.tool]} {words}")

    def columns(self) -> Float[Tensor, "n 2"]:
        drawn: Tensor = self.session.x
        return drawn

    def send_rows(self) -> None:
        if self._underlay:
            self._send_image()
        super().send_rows()

    def _send_image(self) -> None:
        self.publisher.post(lambda: ({"type": "image"}, [each.png for each in self._underlay]))

    def colours(self, snapshot: Snapshot) -> list[Int[Tensor, "n"]]:
        return [snapshot.model.labels]

    def controls(self) -> list[Control]:
        tools = tuple((tool, tool) for tool in TOOLS)
        numbers = tuple((j, str(j + 1)) for j in range(self.classes))
        presets = (("", "preset"), *((name, name) for name in PRESETS))
        return [
            Control("tool", "", self.tool, options=tools, keys=("s", "g", "m")),
            Control("label", "class", self._label, options=numbers, keys=tuple(name for _, name in numbers),
                    tones=tuple(range(self.classes))),
            Control("size", "size", self.size, low=4, high=100, step=2, kind="number", keys=("-", "+")),
            Control("flow", "rows", self.flow, low=10, high=1000, step=10, kind="number",
                    title="Rows that a second of spray or a Gaussian has"),
            Control("preset", "", "", options=presets),
            Control("reseed", "other rows", None, kind="button", keys=("r",), title="The same picture anew"),
            Control("undo", "undo", None, kind="button", keys=("z",)),
            Control("redo", "redo", None, kind="button", keys=("y",)),
            Control("remove", "delete", None, kind="button", keys=("Delete", "Backspace"), title="What is selected"),
            Control("clear", "clear", None, kind="button"),
        ]  # fmt: skip

    # what the person does

    def stroked(self, frame: int, stroke: Stroke) -> None:  # noqa: ARG002 - there is one frame
        start, end = stroke.path[0], stroke.path[-1]
        radius = stroke.radius.clamp(min=1e-6)
        with self._changing:
            if self.tool == MOVE:
                self._move(start, end - start)
            elif self.tool == BELL:
                self._add(Bell.between(start, end, radius, self.flow), None)
            else:
                rows = round(self.flow * max(SHORTEST, min(LONGEST, stroke.seconds)))
                self._add(Spray(stroke.path, radius, max(1, rows)), None)

    def pressed(self, name: str) -> None:
        if name == "reseed":
            self.seed += 1
            return
        try:
            getattr(self, name)()
        except ValueError as err:
            raise Invalid(str(err)) from err

    def turned(self, name: str, value: Any) -> None:
        if name != "preset":
            super().turned(name, value)
        elif value:
            self.preset(str(value))

    def _move(self, start: Tensor, by: Tensor) -> None:
        key = self._drawing.now.nearest(start)
        if key is None:
            raise Invalid("There is nothing to move yet; spray some rows first.")
        self._selected = key
        if float(by.norm()) > MOVED * HIGH:
            self._take(self._drawing.now.move(key, by))
        else:
            self._redraw()

    def _add(self, part: Part, label: int | None) -> None:
        drawn = sum(each.n for cluster in self._drawing.now.clusters for each in cluster.parts)
        if drawn + part.n > MOST_ROWS:
            raise Invalid(f"There are {drawn:,} rows, and {MOST_ROWS:,} is as many as can be drawn; set n for more.")
        self._take(self._drawing.now.add(part, self._label if label is None else label))

    # changes

    def _take(self, drawing: Drawing, message: str = "") -> None:
        with self._changing:
            self._show(self._drawing.change(replace(drawing, seed=self.seed, total=self.n)), message)

    def _show(self, drawing: Undo[Drawing], message: str = "") -> None:
        self._drawing = drawing.amend(replace(drawing.now, seed=self.seed, total=self.n))
        if self._selected not in [cluster.key for cluster in drawing.now.clusters]:
            self._selected = None
        self._still.show(message, shown=self._drawing.now)

    def _draw_anew(self, _: Any = None) -> None:
        with self._changing:
            self._show(self._drawing)

    def _outline(self, drawing: Drawing) -> list[Mark]:
        """The selected cluster, circled."""
        rows = drawing.x[drawing.keys == self._selected] if self._selected is not None else drawing.x[:0]
        if len(rows) < 3:
            return [Dots(rows[:, 0], rows[:, 1], size=8.0, shape="ring", tone="ink")] if len(rows) else []
        ring = outline(rows.mean(0), principal(rows.T.cov()[None])[0], 2.6).numpy()
        return [Line(ring[:, 0], ring[:, 1], tone="ink", dash=1, closed=True)]

    @property
    def _label(self) -> int:
        return min(self.label, self.classes - 1)
