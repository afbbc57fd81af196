"""The model map: its chart, its cells, what they open, and a search that runs."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
import torch
import traitlets
from cases import blobs

import gmmlab
import gmmlab.plot as gp
from gmmlab.errors import BadData
from gmmlab.estimators.search import NOT_YET
from gmmlab.plot.chart import Cells, Line
from gmmlab.plot.heat import heat
from gmmlab.widgets.choosing import watched
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.model_map import Grid, ModelMap
from gmmlab.widgets.session import Session

TYPES = ["EII", "VVI", "VVV"]


@pytest.fixture(scope="module")
def x():
    return blobs(torch.Generator().manual_seed(3), n=90, d=2, k=2)


@pytest.fixture(scope="module")
def found(x):
    return gmmlab.select(x, range(1, 4), TYPES)


@pytest.fixture
def chart(found, told):
    widget = ModelMap(found)
    yield widget
    widget.close()


def cells(chart):
    (frame,) = chart.frames()
    return next(mark for mark in frame.marks if isinstance(mark, Cells))


def scores(*values):
    return gp.Scores(["a", "b"], [1, 2, 3], np.array(values).reshape(2, 3))


SOME = (10.0, np.nan, 11.5, 90, np.inf, 12)


def test_gaps_are_to_the_best_and_refused_cells_are_empty():
    shown = cells(heat(scores(*SOME)))
    assert np.isnan(shown.share).tolist() == [[False, True, False], [False, True, False]]
    assert shown.text == [["0.0", "", "1.5"], ["80.0", "", "2.0"]]
    assert shown.stars == [(0, 0)] and shown.rings == [(0, 2), (1, 2)]
    assert shown.share[0, 0] == np.nanmax(shown.share) and shown.share[1, 0] == np.nanmin(shown.share)
    higher = cells(heat(scores(*SOME), lower=False))
    assert higher.stars == [(1, 0)] and higher.text[0][0] == "80.0"


def test_words_name_the_reason_and_what_is_waited_for():
    waiting = [[False, False, False], [False, True, False]]
    chart = heat(scores(*SOME), reasons=[["", "it was singular", ""], ["", "", ""]], waiting=waiting)
    words = cells(chart).words
    assert words[0] == "a with 1: BIC 10.00, the best" and words[2] == "a with 3: BIC 11.50, 1.50 behind"
    assert words[1] == "a with 2: refused: it was singular" and words[4] == "b with 2: not fitted yet"
    assert cells(chart).share[1, 1] == 0, "empty, not hatched"
    assert chart.alt == "BIC of 6 models; the best is a with 1, 1 were refused, 1 are not fitted yet."
    assert chart.note == "★ best · ringed: within 2 of it · hatched: refused"


def test_rows_are_left_out_without_another_best_or_other_picks():
    chart = heat(scores(*SOME), rows=[1], opened=(1, 2))
    (frame,) = chart.frames()
    assert frame.y_names == ["b"] and cells(chart).picks == [3, 4, 5] and cells(chart).stars == []
    (outline,) = (mark for mark in frame.marks if isinstance(mark, Line))
    assert min(outline.x) > 2 and max(outline.x) < 3 and min(outline.y) > 0 and max(outline.y) < 1
    assert not any(isinstance(mark, Line) for mark in next(heat(scores(*SOME), rows=[1], opened=(0, 2)).frames()).marks)


def test_nothing_has_a_value_yet():
    chart = heat(scores(*[np.nan] * 6), waiting=np.ones((2, 3), bool))
    assert cells(chart).stars == [] and not np.isnan(cells(chart).share).any()
    assert "none has a value" in chart.alt


def test_a_finished_selection_is_shown_and_described(chart, found):
    best = found.best_
    expected = (
        f"ModelMap: BIC of 9 models; the best is {best.covariance_type} with {best.n_components}, 0 were refused."
    )
    assert chart.describe() == expected
    content, buffers = chart.compose(chart.session.snapshot, 1)
    assert content["error"] is None and buffers == []
    (frame,) = content["chart"]["grid"][0]
    assert frame["y_names"] == TYPES and frame["x_names"] == ["1", "2", "3"]
    text = np.array(frame["marks"][0]["text"], dtype=float)
    table = found.table_.bic.to_numpy().reshape(3, 3)
    assert np.allclose(text, table - table.min(), atol=0.06 * (text < 99) + 0.6 * (text >= 99))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_is_that_of_the_chart(found, told, theme):
    chart = ModelMap(found, theme=theme, criterion="icl")
    image = np.asarray(chart.picture()._drawn().convert("RGB"))
    paper = {"light": (255, 255, 255), "dark": (17, 20, 24)}[theme]
    assert tuple(image[1, 1]) == paper and chart.picture().alt.startswith("ICL of 9 models")


def test_a_cell_opens_its_fit_in_a_session_of_its_own(chart, found):
    session = chart.load("VVV", 2)
    model = found.model("VVV", 2)
    assert torch.equal(session.snapshot.model.weights, model.mixture_.weights)
    assert session is chart.target and session.x.shape == (90, 2)
    opened = chart.chart(chart.session.snapshot)
    assert opened.note.endswith("open: VVV with 2")
    assert chart.load("EII", 1) is session
    assert session.wait(20).model.k == 1
    explorer = chart.explore("VVV", 3)
    assert explorer.session is session and explorer is chart.explorer
    assert session.wait(20).model.k == 3
    explorer.close()


def test_the_explorer_begins_with_the_best(chart, found):
    assert chart.explorer.model.k == found.best_.n_components
    chart.explorer.close()


def test_a_cell_opens_its_fit_in_a_linked_session(found, x, told):
    linked = Session(x, found.model("EII", 1).mixture_)
    chart = ModelMap(found, target=linked)
    chart.picked(0, 3 * TYPES.index("VVI") + 1, "")
    assert linked.wait(20).model.k == 2 and chart.target is linked
    assert linked.snapshot.message == "VVI with 2 components was opened."


NUMBERS = itertools.count(1)


def say(widget, told, **message):
    """The kernel's answer to a message of the page."""
    seq = next(NUMBERS)
    widget._receive(widget, {"v": 1, "seq": seq, **message}, [])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for content in list(told):
            if content.get("re") == seq:
                told.remove(content)
                return content
        time.sleep(0.002)
    raise AssertionError("no answer")


def test_messages_are_checked(chart, told):
    assert say(chart, told, op="pick", frame=0, pick=4)["ok"]
    assert "expected 0 to 8" in say(chart, told, op="pick", frame=0, pick=9)["error"]
    assert say(chart, told, op="control", name="criterion", value="aic")["ok"] and chart.criterion == "aic"
    assert "this selection has" in say(chart, told, op="control", name="criterion", value="cv")["error"]
    assert "no control" in say(chart, told, op="control", name="cancel", value=True)["error"], "nothing runs"
    assert chart.criterion == "aic"


def test_what_is_not_in_the_map_is_refused_with_a_sentence(chart, found, x):
    with pytest.raises(Invalid, match=r"\('VEV', 2\) is not in the map, which has EII, VVI, VVV with 1 to 3"):
        chart.load("VEV", 2)
    with pytest.raises(traitlets.TraitError, match="criterion is 'nix'"):
        chart.criterion = "nix"
    with pytest.raises(TypeError, match=r"The map has no family 'VVW'. Did you mean 'VVV'\?"):
        chart.families = ["VVW"]
    with pytest.raises(TypeError, match="fits a Mixture; expected a search"):
        ModelMap(Session(x, found.best_.mixture_))
    with pytest.raises(TypeError, match="Did you mean 'families'"):
        ModelMap(found, famlies=["VVV"])


def test_a_refused_cell_says_why():
    rows = torch.cat([torch.zeros(8, 2), torch.randn(12, 2, generator=torch.Generator().manual_seed(0))]).double()
    found = gmmlab.select(rows, [1, 4], ["VVV", "EII"])
    refused = found.refused().iloc[0]
    chart = ModelMap(found)
    with pytest.raises(
        Invalid, match=f"{refused.covariance_type} with {refused.n_components} was refused: a covariance"
    ):
        chart.load(refused.covariance_type, int(refused.n_components))
    shown = cells(chart.chart(chart.session.snapshot))
    assert np.isnan(shown.share).sum() == len(found.refused())
    assert any("refused: a covariance became singular" in words for words in shown.words)


def test_rows_can_be_chosen_by_name_and_by_shape(found, told):
    chart = ModelMap(found, families=["VVV", "VVI"])
    named = lambda: next(chart.chart(chart.session.snapshot).frames()).y_names  # noqa: E731
    assert named() == ["VVV", "VVI"]
    chart.shape = "axes"
    assert named() == ["VVI"]
    chart.shape = "round"
    assert named() == TYPES, "none would be left"
    assert [name for name, _ in chart.controls()[1].options] == ["all", "round", "axes", "free"]
    assert [control.name for control in ModelMap(gmmlab.select([[0.0], [1], [3], [9]], 1)).controls()] == ["criterion"]


def test_one_column_has_no_explorer_but_a_session():
    found = gmmlab.select(torch.randn(60, 1, generator=torch.Generator().manual_seed(1)), [1, 2])
    chart = ModelMap(found)
    assert chart.load("V", 2).snapshot.model.k == 2
    with pytest.raises(BadData, match="two columns"):
        chart.explore("V", 2)
    assert chart.picture().alt.startswith("BIC of 4 models")


def test_gaps_in_the_rows_and_cross_validation(told):
    x = blobs(torch.Generator().manual_seed(5), n=60, d=2, k=2)
    x[:5, 1] = torch.nan
    found = gmmlab.select(x, [1, 2], ["EII", "VVV"], criterion="cv", cv=3, random_state=0)
    chart = ModelMap(found)
    assert chart.criterion == "cv" and chart.describe().startswith("ModelMap: CV of 4 models")
    assert "cv" in [name for name, _ in chart.controls()[0].options]
    assert chart.load("VVV", 2).step().wait(20).error is None


def test_a_running_search_fills_the_map(x, told):
    session = Session.selecting(x, range(1, 4), TYPES)
    chart = ModelMap(session)
    shown = cells(chart.chart(session.snapshot))
    assert set(shown.words) == {f"{name} with {k}: {NOT_YET}" for name in TYPES for k in (1, 2, 3)}
    with pytest.raises(Invalid, match=f"VVV with 2 is {NOT_YET}"):
        chart.load("VVV", 2)
    assert [control.name for control in chart.controls()][-1] == "search"
    chart.pressed("search")
    session.wait(60)
    done = chart.chart(session.snapshot)
    assert "not fitted yet" not in done.alt and len(cells(done).stars) == 1
    assert chart.load("VVV", 2).snapshot.model.k == 2
    assert all(one.model is not None for row in Grid.of(chart.selection).fits for one in row)
    session.close()


def test_cancelling_keeps_what_has_finished(x, told):
    search, go_on = watched(x, range(1, 9)), threading.Event()

    def slow(model):
        for i, choice in enumerate(search.fit(model)):
            yield choice
            if i > 0:
                go_on.wait(20)

    session = Session(x, search.start, fit=slow)
    chart = ModelMap(session)
    session.play()
    while session.snapshot.step == 0:
        time.sleep(0.001)
    assert [control.name for control in chart.controls()][-1] == "cancel"
    assert "of 112 fits" in chart.chart(session.snapshot).note
    assert say(chart, told, op="control", name="cancel", value=True)["ok"]
    go_on.set()
    snapshot = session.wait(60)
    assert snapshot.play == "idle"
    assert [control.name for control in chart.controls()][-1] != "cancel"
    left = sum(one.refused == NOT_YET for row in Grid.of(chart.selection).fits for one in row)
    assert left > 0 and f"{left} models are not fitted yet" in chart.chart(snapshot).note
    assert chart.controls()[-1].name == "search"
    assert ModelMap(chart.selection).controls()[-1].name == "shape", "what was interrupted has nothing to go on with"
    session.close()
