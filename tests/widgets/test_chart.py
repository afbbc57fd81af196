"""Charts: said once, painted twice, and what a browser may ask of a widget that shows one."""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import traitlets

import gmmlab
from gmmlab.plot import chart as spec
from gmmlab.plot.chart import Band, Bars, Cells, Chart, Control, Dots, Frame, Line, Points, Rule, Table, Text, said
from gmmlab.plot.climb import climb, expected_end
from gmmlab.plot.painter import _PAINT, Rows, paint
from gmmlab.plot.underlay import beneath
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.once import Kept, Later, once
from gmmlab.widgets.session import Session
from gmmlab.widgets.trace import Trace

ROOT = Path(__file__).parents[2]
MARKS = [
    Line([0.0, 1.0, 2.0], [0.0, 2.0, 1.0], fill=0.2),
    Line([0.5, 1.5, 1.0], [0.5, 0.5, 1.5], closed=True, dash=2),
    Band([0.0, 1.0], [0.0, 0.5], [1.0, 2.0]),
    Dots([0.2, 1.0], [0.3, 1.0], tone=[1, 2], words=["a", "b"], picks=[7, 8], rows=[3, 4]),
    Dots([1.2], [0.5], shape="cross", tone="other"),
    Dots([1.4], [0.5], shape="ring", tone=-1),
    Bars([0.0, 1.0], [0.8, 1.8], [0.0, 0.0], [1.0, 2.0], tone=[0, -1]),
    Rule(x=0.7),
    Rule(y=0.7, tone="quiet", label="level"),
    Text(0.5, 0.5, "here", tone="ink"),
    Points((0, 1)),
    beneath(np.eye(8), (0.0, 2.0), (0.0, 2.0)),
]


def frame(*marks: spec.Mark, **options: Any) -> Frame:
    return Frame(marks=marks, x_range=(0.0, 2.0), y_range=(0.0, 2.0), **options)


def pixels(chart: Chart, theme: str = "light") -> np.ndarray:
    rows = Rows(torch.tensor([[0.4, 0.4], [1.1, 0.9]]), torch.tensor([0, -1]))
    return np.asarray(paint(chart, rows=rows, theme=theme, width=300)._drawn())


def test_both_painters_know_all_marks() -> None:
    kinds = {mark for mark in vars(spec).values() if isinstance(mark, type) and issubclass(mark, spec.Mark)}
    kinds.remove(spec.Mark)
    browser = (ROOT / "widgets" / "shared" / "marks.js").read_text()
    known = re.search(r"export const MARKS = \{([^}]*)\}", browser)
    assert known
    assert set(_PAINT) == kinds
    assert {name.strip() for name in known[1].split(",")} == {kind.__name__.lower() for kind in kinds} | {"key"}


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: type(mark).__name__)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_mark_leaves_something_on_the_paper(mark: spec.Mark, theme: str) -> None:
    with_it, without = (pixels(Chart([[frame(*marks)]]), theme) for marks in ([mark], []))
    assert (with_it != without).sum() > 40


def test_tones_are_told_apart() -> None:
    drawn = [pixels(Chart([[frame(Rule(x=1.0, tone=tone))]])).tobytes() for tone in [0, 2, *spec.TONES[:4]]]
    assert len(set(drawn)) == 5  # "accent" is the first component's


def test_cells_are_shaded_hatched_starred_and_ringed() -> None:
    share = np.array([[1.0, 0.2, -0.8], [0.5, np.nan, 0.0]])
    words = [["1", "2", "3"], ["4", "", "5"]]
    plain = pixels(Chart([[Frame(marks=[Cells(share, text=words)])]]))
    marked = pixels(Chart([[Frame(marks=[Cells(share, text=words, rings=[(0, 1)], stars=[(0, 0)])])]]))
    assert (plain != marked).sum() > 100
    (x_range, y_range) = Frame(marks=[Cells(share)]).ranges()
    assert (x_range, y_range) == ((0.0, 3.0), (2.0, 0.0))


def test_cells_that_touch_fill_the_ranges_of_their_frame() -> None:
    image = Frame(marks=[Cells(np.eye(2), tight=True)], x_range=(5.0, 7.0), y_range=(-1.0, 1.0), ticks=False)
    assert image.ranges() == ((5.0, 7.0), (-1.0, 1.0))
    drawn = pixels(Chart([[image]]))
    high, wide, _ = drawn.shape
    quarters = [drawn[high * i // 4, wide * j // 4] for i, j in ((1, 1), (1, 3), (3, 1), (3, 3))]
    assert (quarters[0] == quarters[3]).all()
    assert (quarters[1] == 255).all()
    assert (quarters[0] != quarters[1]).any()


def test_points_have_the_colours_of_the_labels_that_are_named() -> None:
    rows = Rows(torch.tensor([[1.0, 1.0]]), torch.tensor([0]), [torch.tensor([2])])
    drawn = [np.asarray(paint(Chart([[frame(Points((0, 1), by=by))]]), rows=rows)._drawn()) for by in (0, 1)]
    alone = paint(Chart([[frame(Points((0, 1)))]]), rows=Rows(rows.x, torch.tensor([2])))._drawn()
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[1] == np.asarray(alone)).all()


def test_a_long_note_is_broken_into_lines() -> None:
    short, long = (paint(Chart([[frame()]], note=note), width=300) for note in ("words", "words " * 40))
    assert long.size[1] > short.size[1] + 30


def test_marks_without_elements_are_said_to_have_none() -> None:
    (mark,) = Chart([[frame(Dots([], []))]]).message()["grid"][0][0]["marks"]
    assert (mark["x"], mark["y"]) == ([], [])
    assert said("Nothing.").message()["grid"][0][0]["empty"] == "Nothing."


def test_the_message_is_json_without_numbers_that_are_not() -> None:
    chart = Chart([[frame(*MARKS), Table(columns=["a"], cells=[["1"]])]], alt="all")
    message = chart.message()
    text = json.dumps(message, allow_nan=False)
    assert json.loads(text) == message
    gap = Chart([[Frame(marks=[Line(torch.tensor([0.0, math.nan]), np.array([1.0, math.inf]))])]]).message()
    assert gap["grid"][0][0]["marks"][0]["x"] == [0.0, None]
    assert gap["grid"][0][0]["marks"][0]["y"] == [1.0, None]


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.0, 10.0], -0.6, 10.6), ([5.0, 5.0], 4.995, 5.005), ([0.0], -0.5, 0.5), ([], 0.0, 1.0)],
)
def test_ranges_hold_the_marks_with_a_margin(values: list[float], low: float, high: float) -> None:
    _, y = Frame(marks=[Line(range(len(values)), values)]).ranges()
    assert y == pytest.approx((low, high))


def test_a_table_says_what_is_not_there() -> None:
    empty = Chart([[Table(columns=["a"], cells=[], empty="Nothing yet.")]])
    full = Chart([[Table(columns=["a", "b"], cells=[["1", "2"]] * 40)]])
    assert (pixels(empty) != pixels(full)).any()


def test_points_ask_for_their_rows() -> None:
    with pytest.raises(TypeError, match="rows=Rows"):
        paint(Chart([[frame(Points((0, 1)))]]))


# the course of a fit


def test_the_expected_end_of_a_geometric_course() -> None:
    course = [(i, 3.0 - 0.5**i) for i in range(6)]
    assert expected_end(course) == pytest.approx(3.0)
    assert expected_end(course[:2]) is None
    assert expected_end([(0, 0.0), (1, 1.0), (2, 3.0)]) is None  # it speeds up


def test_changes_are_logarithms_and_stand_for_their_steps() -> None:
    (line,) = climb([(0, 0.0), (1, 10.0), (2, 10.0), (3, 10.1)], changes=True).message()["grid"][0][0]["marks"]
    assert line["x"] == line["picks"] == [1, 3]
    assert line["y"] == pytest.approx([1.0, -1.0])


def test_a_course_without_steps_says_so() -> None:
    assert climb([]).alt == "No step has been scored yet."
    assert paint(climb([])).png()


# the widget


class Panel(ChartWidget):
    """A chart with one of everything."""

    heading = "A panel"
    sent: ClassVar[list[Any]] = []

    shade = traitlets.Enum(["pale", "full"], "pale").tag(sync=True)
    level = traitlets.Float(0.5, min=0, max=1).tag(sync=True)

    def chart(self, snapshot: Any) -> Chart:
        return Chart([[frame(Points((0, 1)), Rule(y=self.level))]], alt=f"{self.shade} at step {snapshot.step}")

    def controls(self) -> list[Control]:
        options = (("pale", "pale"), ("full", "full"))
        return [
            Control("shade", "shade", self.shade, options=options),
            Control("level", "level", self.level, kind="number"),
            Control("again", "again", None, kind="button"),
        ]

    def columns(self) -> Any:
        return self.session.x

    def picked(self, *what: Any) -> None:
        self.sent.append(what)

    def placed(self, *what: Any) -> None:
        self.sent.append(what)

    def pressed(self, name: str) -> None:
        self.sent.append(name)


@pytest.fixture
def panel() -> Any:
    explorer = gmmlab.explore(gmmlab.faithful(), n_components=2)
    panel = Panel(explorer.session)
    panel.sent.clear()
    yield panel
    panel.close()
    explorer.close()


def obey(panel: Any, op: str, **fields: Any) -> None:
    panel.ops[op](panel, {"v": 1, "op": op, "seq": 1, **fields})


def test_a_frame_holds_chart_controls_and_labels(panel: Any) -> None:
    content, buffers = panel.compose(panel.session.snapshot, 1)
    json.dumps(content, allow_nan=False)
    assert [control["name"] for control in content["controls"]] == ["shade", "level", "again"]
    assert content["chart"]["alt"] == "pale at step 0"
    assert content["k"] == 2
    assert len(buffers[0]) == 272


def test_rows_are_sent_as_parts_of_their_ranges(panel: Any) -> None:
    content, (data,) = panel._rows(panel.columns())
    parts = np.frombuffer(data, dtype=np.float32).reshape(2, 272)
    (low, high), _ = content["ranges"]
    np.testing.assert_allclose(low + parts[0] * (high - low), panel.session.x[:, 0], rtol=1e-6)


def test_controls_are_traits(panel: Any) -> None:
    obey(panel, "control", name="shade", value="full")
    assert panel.compose(panel.session.snapshot, 1)[0]["chart"]["alt"] == "full at step 0"
    obey(panel, "control", name="level", value=1)
    assert panel.level == 1.0
    obey(panel, "control", name="again", value=True)
    obey(panel, "pick", frame=0, pick=3)
    obey(panel, "place", frame=0, x=1, y=2.5)
    assert panel.sent == ["again", (0, 3, ""), (0, 1.0, 2.5)]


@pytest.mark.parametrize(
    ("op", "fields", "says"),
    [
        ("control", {"name": "shape", "value": 1}, "no control 'shape'; expected one of shade, level, again"),
        ("control", {"name": "shade", "value": "dark"}, "pale"),
        ("control", {"name": "level", "value": 7}, "level"),
        ("control", {"name": "level", "value": "high"}, "high"),
        ("control", {"name": "level"}, "needs 'value'"),
        ("pick", {"frame": 0}, "needs 'pick'"),
        ("pick", {"frame": -1, "pick": 0}, "frame is -1"),
        ("pick", {"frame": 0, "pick": 0, "action": 3}, "expected a word"),
        ("place", {"frame": 0, "x": math.nan, "y": 0}, "not finite"),
        ("brush", {"mask": "?"}, "not base64"),
        ("brush", {"mask": base64.b64encode(b"abc").decode()}, "24 bits; expected one for each of 272 rows"),
    ],
)
def test_messages_are_checked(panel: Any, op: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        obey(panel, op, **fields)


def test_what_takes_nothing_says_so() -> None:
    explorer = gmmlab.explore(gmmlab.faithful(), n_components=2)
    trace = Trace(explorer.session)
    with pytest.raises(ValueError, match="takes no places"):
        obey(trace, "place", frame=0, x=0, y=0)
    with pytest.raises(ValueError, match="no button"):
        ChartWidget.pressed(trace, "go")


def test_an_error_in_the_drawing_is_told(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Panel, "chart", lambda *_: 1 / 0)
    content, _ = panel.compose(panel.session.snapshot, 1)
    assert "ZeroDivisionError in the drawing" in content["error"]["message"]


def test_the_trace_goes_to_the_step_that_is_clicked() -> None:
    explorer = gmmlab.explore(gmmlab.faithful(), n_components=2)
    trace = Trace(explorer.session)
    trace.play()
    last = trace.wait().step
    obey(trace, "pick", frame=0, pick=1)
    assert trace.wait().step == 1
    data, metadata = trace._repr_mimebundle_()
    assert data["text/plain"].startswith("Trace: Mean log-likelihood per row, from ")
    assert metadata["image/png"]["alt"] in data["text/plain"]
    assert last > 1


def test_a_question_is_asked_once() -> None:
    session, asked = gmmlab.explore(gmmlab.faithful(), n_components=2).session, []

    def question(model: Any, x: Any) -> int:
        asked.append(model)
        return len(x)

    models = [session.snapshot.model, object()]
    assert [once(session, models[i], question) for i in (0, 0, 1, 1, 0)] == [272] * 5
    assert asked == [models[0], models[1], models[0]]


def test_a_panel_keeps_its_latest_answer() -> None:
    asked: list[object] = []
    kept = Kept(lambda model: asked.append(model) or len(asked))
    one, other = object(), object()
    assert [kept(model) for model in (one, one, other, one)] == [1, 1, 2, 3]


def test_frames_say_how_far_a_fit_is(panel: Any) -> None:
    content, _ = panel.compose(panel.session.step().wait(10), 1)
    assert content["word"] == "Paused"
    assert set(content["progress"]) == {"share", "remaining", "estimated"}
    search = Session.selecting(gmmlab.faithful(), range(1, 3), covariance_types=["EII"])
    search.play().wait(30)
    content, _ = search.model_map().compose(search.snapshot, 1)
    assert (content["word"], content["progress"]["share"]) == ("Finished", 1.0)


def test_a_title_without_room_is_no_reason_to_search_for_ever():
    frame = spec.Frame(marks=[spec.Line([0.0, 1.0], [0.0, 1.0], label="line")], title="words " * 30)
    assert paint(spec.Chart([[frame]], alt="A line."), width=200).size[0] == 200


@pytest.mark.parametrize("name", ["fit_check", "responsibilities", "pairs", "compare", "conditional", "uncertainty"])
def test_charts_are_as_high_as_is_asked(panel: Any, name: str) -> None:
    widget = getattr(panel.session, name)()
    own = widget.sized(widget.chart(panel.session.snapshot))
    widget.height = 300
    rows = widget.sized(widget.chart(panel.session.snapshot)).grid
    tall = [max(part.height for part in row) for row in rows]
    assert abs(sum(tall) - 300) <= len(rows)
    before = [max(part.height for part in row) for row in own.grid]
    assert tall == [round(300 * high / sum(before)) for high in before], "all rows alike"
    content, _ = widget.compose(panel.session.snapshot, 1)
    assert content["chart"]["grid"][0][0]["height"] == tall[0]
    widget.close()


def test_what_takes_long_is_there_later() -> None:
    gate, told, one = threading.Event(), threading.Event(), object()
    later = Later(lambda model: gate.wait(10) and model, told.set)
    assert later.at_once(one) is later.at_once(one) is None, "nobody waits"
    gate.set()
    assert told.wait(10)
    assert later.at_once(one) is one
    assert later.at_once(object()) is None, "another model is another question"
    assert later(one) is one, "one who asks for it waits"
    later.close()


def test_a_question_that_fails_later_is_told_to_who_asked() -> None:
    told, one = threading.Event(), object()
    later = Later(lambda _: 1 / 0, told.set)
    assert later.at_once(one) is None
    assert told.wait(10)
    with pytest.raises(ZeroDivisionError):
        later.at_once(one)
    later.close()
