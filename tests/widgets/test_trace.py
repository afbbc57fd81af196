"""The trace: other fits beside, events, held-out rows, and what a click asks for."""

from __future__ import annotations

import pytest
import torch
from cases import STRUCTURES, blobs, random_mixture

import gmmlab.plot as gp
from gmmlab import GaussianMixture
from gmmlab.errors import BadData
from gmmlab.fit import plateau, run, whole
from gmmlab.plot.chart import Dots, Line
from gmmlab.plot.climb import LOAD, Course, climb
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.session import Session
from gmmlab.widgets.trace import Trace

POINTS = [(0, -4.0), (1, -3.5), (2, -3.4), (5, -3.3)]


@pytest.fixture
def x(rng):
    return blobs(rng, n=200, d=2)


@pytest.fixture
def session(x, rng):
    session = Session(x, random_mixture(STRUCTURES["VVV"], x, 2, rng))
    yield session
    session.close()


def marks(chart, kind):
    (frame,) = chart.frames()
    return [mark for mark in frame.marks if isinstance(mark, kind)]


def test_events_ring_the_last_step_known_by_then_once():
    events = [(1, "A was split."), (4, "B moved."), (9, "Late."), (1, "C too.")]
    (rings,) = [mark for mark in marks(climb(POINTS, events=events), Dots) if mark.shape == "ring"]
    assert list(rings.x) == [1, 2, 5] and list(rings.y) == [-3.5, -3.4, -3.3] and list(rings.picks) == [1, 2, 5]
    assert rings.words == ["step 1: A was split.\nstep 1: C too.", "step 4: B moved.", "step 9: Late."]
    early = marks(climb(POINTS[1:], events=[(0, "Begun.")]), Dots)
    assert list(early[0].x) == [1] and not marks(climb([], events=events), Dots)


def test_other_fits_are_thin_lines_and_widen_the_frame():
    beside = [Course("start 1", [(0, -5.0), (30, -3.0)], loads=True), Course("start 2", [(0, -6.0)])]
    chart = climb(POINTS, beside=beside, held=[(0, -4.5), (1, float("nan")), (2, -4.2)])
    first, second, own, held = marks(chart, Line)
    assert first.width < own.width and first.action == LOAD and list(first.picks) == [0, 0]
    assert first.words[1] == "start 1, step 30: -3; a click loads it" and not second.picks and second.action == ""
    assert list(held.x) == [0, 2] and held.words[0] == "step 0, held out: -4.5"
    (frame,) = chart.frames()
    assert frame.x_range == (0, 30) and frame.ranges()[1][0] < -6
    changes = climb(POINTS, beside=beside, held=[(0, -4.5)], changes=True)
    assert len(marks(changes, Line)) == 3 and list(marks(changes, Line)[0].x) == [30]


def test_the_picture_is_painted_from_the_chart(x, rng):
    steps = list(run(random_mixture(STRUCTURES["VVV"], x, 2, rng), whole(x), stop=plateau(1e-3)))
    picture = gp.trace(steps, title="a fit", size=(500, 200))
    assert picture.size == (500, 200) and "a fit" in picture.axes[0].get_title(loc="left")
    drawn = picture.axes[0].lines[0].get_xydata()
    assert drawn[:, 0].tolist() == [step.i - 1 for step in steps]
    assert drawn[:, 1] == pytest.approx([float(step.info.evidence) for step in steps])


def test_starts_of_an_estimator_stand_beside_and_load(x, session, told):
    model = GaussianMixture(3, init_params="random_from_data", n_init=4, random_state=0).fit(x)
    trace = Trace(session, beside=model)
    assert [other.course.name for other in trace.beside] == ["start 1", "start 2", "start 3", "start 4"]
    assert [v for _, v in trace.beside[0].course.points] == pytest.approx(model.lower_bounds_)
    trace.picked(0, 1, LOAD)
    assert session.wait(20).model is model.restarts_[1].model and session.snapshot.step == 0
    with pytest.raises(Invalid, match="pick is 4"):
        trace.picked(0, 4, LOAD)
    session.step().step().wait(20)
    trace.picked(0, 1, "")
    assert session.wait(20).step == 1
    trace.close()


def test_other_fits_by_name_as_pairs_values_or_estimators(x, session, told):
    fitted = GaussianMixture(2, random_state=0).fit(x)
    trace = Trace(session, beside={"pairs": POINTS, "values": [-4.0, -3.0], "fitted": fitted})
    pairs, values, whole_fit = (other.course for other in trace.beside)
    assert list(pairs.points) == POINTS and list(values.points) == [(0, -4.0), (1, -3.0)]
    assert whole_fit.loads and not pairs.loads
    with pytest.raises(Invalid, match="no model of values, only its course"):
        trace.picked(0, 1, LOAD)
    with pytest.raises(TypeError, match="beside is a list; expected a fitted estimator, or a dictionary"):
        Trace(session, beside=[POINTS])


def test_rows_that_were_held_out_are_scored_at_each_step(x, session, rng, told):
    other = blobs(rng, n=50, d=2)
    trace = Trace(session, held_out=other)
    models = {0: session.snapshot.model}
    session.subscribe(lambda snapshot: models.update({snapshot.step: snapshot.model}))
    session.step().step().step().wait(20)
    held = dict(trace._held.points())
    assert held == pytest.approx({s: float(model.log_prob(other).mean()) for s, model in models.items()})
    assert list(held) == [0, 1, 2, 3]
    session.seek(1).move(0, [0.0, 0.0]).wait(20)
    again = dict(trace._held.points())
    assert list(again) == [0, 1] and again[0] == held[0] and again[1] != held[1], "what an edit made obsolete is gone"
    line = marks(trace.chart(session.snapshot), Line)[-1]
    assert line.label == "held out" and list(line.x) == [0, 1]
    trace.close()
    session.step().wait(20)
    assert len(trace._held.points()) == 2, "a closed trace does not listen"
    with pytest.raises(BadData, match="held_out has 3 columns and the session 2"):
        Trace(session, held_out=torch.zeros(4, 3))


def test_a_step_is_scored_once(session, x, told, monkeypatch):
    trace = Trace(session, held_out=x[:20])
    calls = []
    monkeypatch.setattr("gmmlab.widgets.held.log_prob", lambda model, rows: calls.append(model) or rows[:, 0])
    session.step().seek(0).seek(1).wait(20)
    assert len(calls) == 1
    trace.close()


def test_events_of_a_session_are_ringed(session, told):
    trace = Trace(session)
    session.step().move(0, [0.0, 0.0]).step().wait(20)
    rings = [mark for mark in marks(trace.chart(session.snapshot), Dots) if mark.shape == "ring"]
    assert len(rings) == 1 and rings[0].words[0].startswith("step 1: ")
    content, _ = trace.compose(session.snapshot, 1)
    assert content["error"] is None
    assert trace.describe().startswith("Trace: Mean log-likelihood per row")
    trace.close()
