"""The Explorer's contract, without a browser: what it tells, what it takes, what a saved notebook holds."""

from __future__ import annotations

import base64
import inspect
import json
import math
import re
import time

import numpy as np
import pytest
import sklearn.mixture
import torch
from cases import STRUCTURES, blobs, random_mixture

import gmmlab
from gmmlab import Gaussian, GaussianMixture, Mixture, StudentMixture
from gmmlab.errors import BadData
from gmmlab.gates import Constant
from gmmlab.widgets import Compare, FitCheck, Pairs, Responsibilities, display, frames, steering
from gmmlab.widgets.base import STATIC, LabWidget
from gmmlab.widgets.explorer import Explorer
from gmmlab.widgets.opening import explore
from gmmlab.widgets.operations import TABLE

PATIENCE = 20


@pytest.fixture
def x(rng):
    return blobs(rng, n=300, d=3)


@pytest.fixture
def told(monkeypatch):
    """Everything that Explorers send, in order."""
    told: list = []
    monkeypatch.setattr(Explorer, "send", lambda _, content, buffers=None: told.append((content, buffers)))
    return told


@pytest.fixture
def explorer(x, told):
    explorer = explore(x.numpy(), n_components=3, init_params="random_from_data")
    yield explorer
    explorer.close()


class Page:
    """A browser that speaks the protocol, and paints what it is sent."""

    def __init__(self, explorer, told) -> None:
        self.explorer, self.told, self.seq = explorer, told, 0

    def say(self, op, **fields):
        """The kernel's answer to a message."""
        self.seq += 1
        message = json.loads(json.dumps({"v": 1, "op": op, "seq": self.seq, **fields}))
        self.explorer._receive(self.explorer, message, [])
        return self.until(lambda m: m["type"] == "reply" and m["re"] == self.seq)[0]

    def until(self, wanted):
        deadline = time.monotonic() + PATIENCE
        while True:
            for content, buffers in list(self.told):
                if wanted(content):
                    return content, buffers
            assert time.monotonic() < deadline, f"waited in vain; told {[c['type'] for c, _ in self.told]}"
            time.sleep(0.002)

    def frame(self, wanted=lambda _: True):
        """The next frame of a kind, painted and acknowledged."""
        content, buffers = self.until(lambda m: m["type"] == "frame" and wanted(m))
        self.explorer._receive(self.explorer, {"v": 1, "op": "ack", "frame": content["frame"]}, [])
        return content, buffers


@pytest.fixture
def page(explorer, told):
    return Page(explorer, told)


# what is told


def course(frame):
    """Steps and values of the strip below the plot."""
    line = frame["chart"]["marks"][0]
    assert line["picks"] == line["x"], "its elements are steps"
    return list(zip(line["x"], line["y"], strict=True))


def placed(points, xy):
    """Rows in data units, from what the browser is sent: parts of the ranges."""
    low, high = np.array(points["ranges"]).T
    return low + np.frombuffer(xy, np.float32).reshape(-1, 2) * (high - low)


def test_points_far_from_zero_keep_their_digits(x):
    """Seconds since 1970, say, which float32 would round to the next two minutes."""
    ranges = frames.ranges(x + 1.6e9)
    sent = frames.points(x + 1.6e9, [(0, ranges[0]), (1, ranges[1])])
    assert placed({"ranges": ranges[:2]}, sent) - 1.6e9 == pytest.approx(x[:, :2].numpy(), abs=1e-4)


def test_ready_brings_points_and_a_frame(page, explorer, x):
    assert page.say("ready")["ok"]
    points, (xy,) = page.until(lambda m: m["type"] == "points")
    assert {k: v for k, v in points.items() if k not in ("ranges", "borders", "gaps", "truth")} == {
        "type": "points",
        "n": 300,
        "dims": [0, 1],
        "names": ["x0", "x1", "x2"],
    }
    assert points["ranges"][1] == pytest.approx([float(x[:, 1].min()), float(x[:, 1].max())])
    assert placed(points, xy) == pytest.approx(x[:, :2].numpy(), abs=1e-5)
    frame, (labels,) = page.frame()
    assert json.loads(json.dumps(frame, allow_nan=False)) == frame
    assert (frame["step"], frame["play"], frame["error"], len(frame["components"])) == (0, "idle", None, 3)
    assigned, evidence = explorer.model.assign(explorer.session.x)
    assert np.frombuffer(labels, np.uint8).tolist() == assigned.tolist()
    assert frame["evidence"] == pytest.approx(float(evidence))
    component = frame["components"][1]
    factor = np.array(component["factor"])
    assert factor @ factor.T == pytest.approx(explorer.model.components.cov[1, :2, :2].numpy())
    assert component["weight"] == pytest.approx(float(explorer.model.weights[1]))


def test_nothing_is_sent_before_a_view_is_ready(explorer, told):
    explorer.session.step().wait(PATIENCE)
    time.sleep(0.1)
    assert told == []


def test_a_fit_is_played_from_the_browser(page, explorer, told):
    explorer.strip = True
    page.say("ready")
    assert page.say("play")["ok"]
    explorer.wait(PATIENCE)
    page.told[:] = [m for m in told if m[0]["type"] != "frame" or m[0]["play"] == "done"]
    page.explorer.publisher.ready()
    frame, _ = page.frame(lambda m: m["play"] == "done")
    assert frame["step"] == explorer.session.snapshot.step > 1
    assert [step for step, _ in course(frame)] == list(range(frame["step"] + 1))
    assert frame["word"] == "Converged"


def test_half_steps_keep_the_labels_until_e(explorer):
    shown = explorer.session.estep().mstep().wait(PATIENCE)
    frame, (labels,) = explorer.compose(shown, 1)
    assert frame["evidence"] is None
    assert list(labels) == shown.assigned_by.assign(explorer.session.x)[0].tolist()
    assert list(labels) != shown.model.assign(explorer.session.x)[0].tolist()


def test_errors_reach_the_page(x, told):
    def fit(_):
        raise RuntimeError("no luck")
        yield

    explorer = explore(x, fit=fit)
    frame, _ = explorer.compose(explorer.session.step().wait(PATIENCE), 1)
    assert frame["play"] == "failed"
    assert frame["error"]["message"] == "RuntimeError in the step: no luck"
    assert "RuntimeError" in frame["error"]["traceback"]
    broken, _ = explorer.compose(explorer.session.set_model("nonsense").wait(PATIENCE), 2)
    assert "assign" in broken["error"]["message"], "what cannot be composed is told too"


def test_a_state_has_one_number(x, told):
    explorer = explore(x, panels=())
    explorer.session.step().step().wait(PATIENCE)
    snapshot = explorer.session.move(0, x.mean(0)).wait(PATIENCE)
    frame, _ = explorer.compose(snapshot, 1)
    assert frame["evidence"] == pytest.approx(float(explorer.model.assign(explorer.session.x)[1]))
    assert course(frame)[2:] == [(2, frame["evidence"])], "and no longer that of the model before the edit"
    assert [step for step, _ in course(frame)] == [0, 1, 2]
    untouched, _ = explorer.compose(explorer.session.back().wait(PATIENCE), 2)
    assert course(untouched)[2][1] == untouched["evidence"] != frame["evidence"]


def test_the_strip_is_bare_and_left_out_where_a_trace_has_a_panel(x, told):
    explorer = explore(x, panels=())
    chart = explorer.compose(explorer.session.snapshot, 1)[0]["chart"]
    assert [chart[title] for title in ("title", "x_title", "y_title")] == ["", "", ""]
    assert not any("words" in mark for mark in chart["marks"])
    explorer.strip = False
    assert explorer.compose(explorer.session.snapshot, 2)[0]["chart"] is None


def test_the_first_step_has_its_number_at_once(x, told):
    explorer = explore(x, panels=())
    frame, _ = explorer.compose(explorer.session.snapshot, 1)
    assert course(frame) == [(0, frame["evidence"])]


@pytest.mark.parametrize(
    ("covariance_type", "shape"), [("full", "free"), ("tied", "free"), ("diag", "axes"), ("spherical", "round")]
)
def test_a_frame_says_how_ellipses_may_be_pulled(x, told, covariance_type, shape):
    explorer = explore(x, covariance_type=covariance_type)
    assert explorer.compose(explorer.session.snapshot, 1)[0]["shape"] == shape


def test_a_sphere_takes_the_size_it_is_given():
    rows = torch.randn(90, 4, generator=torch.manual_seed(1), dtype=torch.float64)
    start = explore(rows, covariance_type="spherical").model
    changed = steering.edited(start, 0, (0, 2), factor=torch.eye(2, dtype=torch.float64) * 1.5)
    assert torch.allclose(changed.components.cov[0], torch.eye(4, dtype=torch.float64) * 2.25)


def test_traces_are_thinned():
    trace = [(i, -1.0 / (i + 1)) for i in range(10_000)]
    thin = frames.thinned(trace)
    assert len(thin) == 400
    assert (thin[0], thin[-1]) == (trace[0], trace[-1])
    assert frames.thinned(trace[:400]) == trace[:400]


def test_other_columns_can_be_shown(page, explorer, x):
    page.say("ready")
    page.frame()
    assert page.say("set", name="dims", value=[2, 0])["ok"]
    points, (xy,) = page.until(lambda m: m["type"] == "points" and m["dims"] == [2, 0])
    assert placed(points, xy) == pytest.approx(x[:, [2, 0]].numpy(), abs=1e-5)
    at = page.told.index((points, [xy]))
    page.until(lambda _: any(m["type"] == "frame" for m, _ in page.told[at:]))
    frame = next(m for m, _ in page.told[at:] if m["type"] == "frame")
    assert frame["components"][0]["mean"] == pytest.approx(explorer.model.components.mean[0, [2, 0]].tolist())
    explorer.dims = [1, 2]
    page.until(lambda m: m["type"] == "points" and m["dims"] == [1, 2])


@pytest.fixture
def gappy(x, rng):
    """Rows of which a fifth of the entries is missing, in none all."""
    holes = torch.rand(x.shape, generator=rng) < 0.2
    return torch.where(holes & ~holes.all(1, keepdim=True), torch.nan, x)


def test_rows_with_gaps_are_fitted_and_stand_in_the_margin(gappy, told):
    estimator = GaussianMixture(3, random_state=0, init_params="random_from_data", tol=1e-5, max_iter=1000)
    explorer = explore(gappy, model=estimator, dims=(2, 0))
    page = Page(explorer, told)
    page.say("ready")
    points, (xy,) = page.until(lambda m: m["type"] == "points")
    shown = gappy[:, [2, 0]]
    there = ~torch.isnan(shown).numpy()
    assert placed(points, xy)[there] == pytest.approx(shown.numpy()[there], abs=1e-5)
    lowest = np.array([shown[:, i][there[:, i]].min() for i in range(2)])
    border = np.array(points["borders"])
    assert (border < lowest).all()
    assert ((placed(points, xy) < border) == ~there).all(), "beyond the border is what has no value, and nothing else"
    assert points["gaps"] == (~there).any(1).sum() > 0
    snapshot = explorer.session.play().wait(PATIENCE)
    frame, (labels,) = explorer.compose(snapshot, 2)
    assert frame["error"] is None
    fitted = estimator.fit(gappy)
    assert torch.allclose(explorer.model.components.mean, torch.as_tensor(fitted.means_), atol=1e-6)
    assert frame["evidence"] == pytest.approx(fitted.score(gappy))
    assert list(labels) == fitted.predict(gappy).tolist()
    assert "300 points" in explorer.picture().alt
    assert page.say("add", mean=[0.5, 0.25])["ok"]
    assert bool(torch.isfinite(explorer.wait(PATIENCE).model.components.mean).all())


def test_complete_rows_have_no_margin(page):
    page.say("ready")
    points, _ = page.until(lambda m: m["type"] == "points")
    assert (points["borders"], points["gaps"]) == ([None, None], 0)


def test_heavy_tails_can_be_explored_in_complete_rows(x, gappy, told):
    explorer = explore(x, model=StudentMixture(3, random_state=0))
    frame, _ = explorer.compose(explorer.session.play().wait(PATIENCE), 1)
    assert (frame["error"], frame["play"], frame["shape"], len(frame["components"])) == (None, "done", "free", 3)
    assert "k=3 full" in repr(explorer)
    assert len(explorer.png()) > 0
    with pytest.raises(BadData, match="Student components need complete rows"):
        explore(gappy, model=explorer.model)
    with pytest.raises(BadData, match="NaN"):
        explore(gappy, model=StudentMixture(3))


# what is taken


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_a_dragged_ellipse_in_any_structure(x, told, structure):
    explorer = explore(x, covariance_type=structure, dims=(0, 2))
    before = explorer.model.components
    page = Page(explorer, told)
    page.say("ready")
    assert page.say("edit", k=1, mean=[1.5, -2.5], factor=[[2.0, -0.3], [0.4, 1.0]])["ok"]
    after = explorer.wait(PATIENCE).model.components
    assert after.mean[1, [0, 2]].tolist() == [1.5, -2.5]
    assert after.mean[1, 1] == before.mean[1, 1], "the column that is not shown stays"
    assert torch.equal(after.mean[[0, 2]], before.mean[[0, 2]])
    assert (torch.linalg.eigvalsh(after.cov) > 0).all()
    assert after.structure == before.structure
    if structure == "full":
        block = torch.tensor([[4.09, 0.5], [0.5, 1.16]], dtype=torch.float64)
        assert torch.allclose(after.cov[1][[0, 2]][:, [0, 2]], block)
        assert torch.equal(after.cov[0], before.cov[0])
    explorer.close()


def test_a_component_is_added_where_one_clicks(page, explorer, x):
    page.say("ready")
    assert page.say("add", mean=[0.5, 0.25])["ok"]
    mean = explorer.wait(PATIENCE).model.components.mean
    assert mean.shape[0] == 4
    assert mean[3, :2].tolist() == [0.5, 0.25]
    assert mean[3, 2] in x[:, 2], "elsewhere it is where the nearest row is"
    assert page.say("remove", k=3)["ok"]
    assert explorer.wait(PATIENCE).model.k == 3


def test_every_command_of_the_protocol_is_taken(page, explorer):
    page.say("ready")
    for op in ("step", "estep", "mstep", "back", "play", "pause", "stop", "reset"):
        assert page.say(op)["ok"], op
    assert page.say("seek", step=0)["ok"]
    assert page.say("set", name="selected", value=1)["ok"]
    assert explorer.selected == 1
    assert page.say("set", name="selected", value=None)["ok"]
    assert page.say("set", name="color_by", value="component")["ok"]
    assert page.say("set", name="view", value=[[0.0, 1.0], [-1.0, 2.0]])["ok"]
    assert page.say("set", name="contours", value=False)["ok"]
    assert explorer.wait(PATIENCE).step == 0
    protocol = "ready, ack, play, pause, step, estep, mstep, back, stop, reset, seek, brush, edit, add, remove, set"
    protocol += ", split, merge, reseed, pin, row"
    assert set(TABLE) == set(protocol.split(", "))


WRONG = [
    ({"op": "edit", "k": 3, "mean": [0, 0]}, "k is 3; expected 0 to 2"),
    ({"op": "edit", "k": -1, "mean": [0, 0]}, "k is -1"),
    ({"op": "edit", "k": 1.5, "mean": [0, 0]}, "whole number"),
    ({"op": "edit", "k": True, "mean": [0, 0]}, "whole number"),
    ({"op": "edit", "mean": [0, 0]}, "needs 'k'"),
    ({"op": "edit", "k": 0}, "'mean', 'factor' or both"),
    ({"op": "edit", "k": 0, "mean": [math.nan, 0]}, "not finite"),
    ({"op": "edit", "k": 0, "mean": [0, -math.inf]}, "not finite"),
    ({"op": "edit", "k": 0, "mean": [0, 1e300]}, "far outside the data"),
    ({"op": "edit", "k": 0, "mean": [0, "1"]}, "expected numbers"),
    ({"op": "edit", "k": 0, "mean": [0, None]}, "expected numbers"),
    ({"op": "edit", "k": 0, "mean": [0]}, "a list of 2"),
    ({"op": "edit", "k": 0, "mean": "ab"}, "a list of 2"),
    ({"op": "edit", "k": 0, "factor": [[1, 0], [0, 0]]}, "too flat"),
    ({"op": "edit", "k": 0, "factor": [[1e9, 0], [0, 1e9]]}, "too large"),
    ({"op": "edit", "k": 0, "factor": [[1, 0], [0, math.nan]]}, "not finite"),
    ({"op": "edit", "k": 0, "factor": [1, 0, 0, 1]}, "a list of 2"),
    ({"op": "add"}, "needs 'mean'"),
    ({"op": "add", "mean": [0, {}]}, "expected numbers"),
    ({"op": "remove", "k": 9}, "k is 9"),
    ({"op": "seek", "step": "3"}, "whole number"),
    ({"op": "seek", "step": -3}, "step is -3"),
    ({"op": "set", "name": "dims", "value": [0, 0]}, "two different columns"),
    ({"op": "set", "name": "dims", "value": [0, 7]}, "no column 7"),
    ({"op": "set", "name": "selected", "value": 5}, "k is 5"),
    ({"op": "set", "name": "color_by", "value": "mood"}, "mood"),
    ({"op": "set", "name": "session", "value": 1}, "no setting 'session'"),
    ({"op": "set", "name": "contours", "value": 3}, "contours"),
    ({"op": "set", "name": "view", "value": [[0, 1], [1, 1]]}, "low before high"),
    ({"op": "set", "name": "view", "value": [0.0, 1.0, 2.0]}, "a list of 2"),
    ({"op": "row", "row": 300}, "row is 300; expected 0 to 299"),
    ({"op": "row"}, "needs 'row'"),
    ({"op": "split", "k": 3}, "k is 3"),
    ({"op": "reseed", "k": 3}, "k is 3"),
    ({"op": "merge", "k": 1, "other": 1}, "with itself"),
    ({"op": "merge", "k": 1, "other": 7}, "k is 7"),
    ({"op": "pin", "k": 0, "pins": [True, 1, False]}, "three times true or false"),
    ({"op": "pin", "k": 9, "pins": [True, True, False]}, "k is 9"),
    ({"op": "brush", "mask": "no"}, "base64"),
    ({"op": "brush", "mask": "AAAA"}, "24 bits; expected one for each of 300"),
    ({"op": "brush"}, "needs 'mask'"),
    ({"op": "set"}, "needs 'name'"),
    ({"op": "ack"}, "needs 'frame'"),
    ({"op": "format_disk"}, "no operation 'format_disk'"),
    ({"op": ["play"]}, "no operation"),
    ({"op": "play", "v": 2}, "version 2"),
]


@pytest.mark.parametrize(("message", "sentence"), WRONG, ids=[json.dumps(m) for m, _ in WRONG])
def test_wrong_messages_are_answered_with_a_sentence(explorer, told, message, sentence):
    before = explorer.model
    explorer._receive(explorer, {"v": 1, "seq": 7, **message}, [])
    page = Page(explorer, told)
    reply, _ = page.until(lambda m: m["type"] == "reply")
    assert (reply["re"], reply["ok"]) == (7, False)
    assert sentence in reply["error"]
    assert explorer.wait(PATIENCE).model is before, "nothing is lost"
    assert page.say("step")["ok"], "and the widget goes on"


@pytest.mark.parametrize("message", [None, 3, "play", [], {"v": 1}])
def test_what_is_no_message_is_answered_too(explorer, told, message):
    explorer._receive(explorer, message, [])
    assert Page(explorer, told).until(lambda m: not m["ok"])


def test_what_is_said_again_is_answered_again_and_obeyed_once(page, explorer, told):
    page.say("step")
    step = explorer.wait(PATIENCE).step
    told.clear()
    page.seq -= 1
    assert page.say("step")["ok"]
    assert explorer.wait(PATIENCE).step == step
    assert page.say("step")["ok"]
    assert explorer.wait(PATIENCE).step == step + 1


def test_a_refusal_that_is_asked_for_again_is_the_same(page, told):
    first = page.say("remove", k=9)
    told.clear()
    page.seq -= 1
    assert page.say("remove", k=9) == first


def test_a_page_that_says_again_that_it_is_ready_is_shown_everything(page, told):
    page.say("ready")
    page.frame()
    told.clear()
    page.seq -= 1
    page.say("ready")
    page.frame()


def test_acknowledgements_are_not_answered(page, explorer, told):
    page.say("ready")
    page.frame()
    explorer._receive(explorer, {"v": 1, "op": "ack", "seq": 99, "frame": 1}, [])
    page.say("step")
    assert not [m for m, _ in told if m.get("re") == 99]


def test_the_last_component_stays(x, told):
    explorer = explore(x, n_components=1)
    assert "last component" in Page(explorer, told).say("remove", k=0)["error"]


def test_there_are_at_most_255_components(rng, told):
    x = blobs(rng, n=600, d=2)
    narrow = Gaussian.of(x[:255], torch.eye(2).expand(255, 2, 2) * 1e-4, STRUCTURES["VII"])
    explorer = explore(x, model=Mixture(narrow, Constant.of(torch.ones(255))))
    assert max(explorer.compose(explorer.session.snapshot, 1)[1][0]) == 254, "255 says that there is none"
    assert "as many as can be shown" in Page(explorer, told).say("add", mean=[0.0, 0.0])["error"]
    with pytest.raises(ValueError, match="256 components; expected 255"):
        explore(x, model=random_mixture(STRUCTURES["VII"], x, 256, rng))


def test_rows_of_noise_have_a_byte_of_their_own_and_the_frame_says_how_many(x, rng, told):
    far = torch.cat([x, 40 * torch.rand(30, 3, generator=rng, dtype=torch.float64) - 20])
    explorer = explore(far, model=GaussianMixture(3, noise=True, random_state=0))
    frame, (labels,) = explorer.compose(explorer.session.play().wait(PATIENCE), 1)
    assigned = explorer.model.assign(far)[0]
    assert bool((assigned < 0).any())
    assert np.frombuffer(labels, np.uint8).tolist() == torch.where(assigned < 0, 255, assigned).tolist()
    assert frame["noise"] == pytest.approx(1 - float(explorer.model.weights.sum()))
    assert explore(x).compose(explore(x).session.snapshot, 1)[0]["noise"] is None


def test_an_edit_of_every_pair_keeps_other_columns(x, rng):
    model = random_mixture(STRUCTURES["VVV"], x, 2, rng)
    new = steering.edited(model, 0, (2, 1), mean=torch.tensor([5.0, 6.0], dtype=torch.float64))
    assert new.components.mean[0].tolist() == [float(model.components.mean[0, 0]), 6.0, 5.0]


# rows, marks, what else is drawn


def test_a_row_has_a_card(page, explorer, x):
    other = GaussianMixture(2, random_state=0).fit(x)
    explorer.others = {"two": other}
    page.say("ready")
    assert page.say("row", row=17)["ok"]
    frame, _ = page.frame(lambda m: m["card"])
    card = frame["card"]
    resp = explorer.model.posterior(x[17:18]).resp[0]
    assert card["row"] == 17
    assert card["values"] == [["x0", float(x[17, 0])], ["x1", float(x[17, 1])]]
    assert card["resp"] == [[int(k), pytest.approx(float(resp[k]))] for k in resp.argsort(descending=True)]
    assert card["log_density"] == pytest.approx(float(explorer.model.log_prob(x[17:18])))
    share = other.predict_proba(x[17:18])[0]
    assert card["others"] == [["two", int(share.argmax()), pytest.approx(float(share.max()))]]
    assert page.say("row", row=None)["ok"]
    assert explorer.row is None
    with pytest.raises(ValueError, match="no row 300"):
        explorer.row = 300


def test_the_card_of_a_row_with_gaps_and_noise(gappy, told):
    explorer = explore(gappy, model=GaussianMixture(2, noise=0.1, random_state=0))
    gap = int(torch.isnan(gappy[:, 0]).nonzero()[0])
    explorer.row = gap
    card = explorer.compose(explorer.session.snapshot, 1)[0]["card"]
    assert card["values"][0] == ["x0", None]
    assert {k for k, _ in card["resp"]} == {0, 1, -1}
    assert sum(p for _, p in card["resp"]) == pytest.approx(1)
    explorer.close()


def test_other_models_may_come_from_a_selection(x, told):
    found = gmmlab.select(x.numpy(), range(1, 4), covariance_types=["full", "diag"], random_state=0)
    explorer = explore(x.numpy())
    explorer.others = found
    best = found.ranking().iloc[0]
    assert next(iter(explorer.others)) == f"{best.covariance_type} {best.n_components}"
    assert len(explorer.others) == 3
    for wrong, error, sentence in (
        (3, TypeError, "models by name"),
        ({"a": 3}, TypeError, "is no mixture"),
        ({"a": GaussianMixture(1).fit(x[:, :2])}, BadData, "has 2 features"),
    ):
        with pytest.raises(error, match=sentence):
            explorer.others = wrong
    explorer.close()


def packed(mask):
    return base64.b64encode(np.packbits(np.asarray(mask, dtype=bool)).tobytes()).decode()


def test_marks_of_the_page_reach_python_and_are_not_told_again(page, explorer, told):
    page.say("ready")
    mask = [i % 7 == 0 for i in range(300)]
    assert page.say("brush", mask=packed(mask))["ok"]
    explorer.wait(PATIENCE)
    assert explorer.brushed.tolist() == list(range(0, 300, 7))
    assert page.say("brush", mask=None)["ok"]
    explorer.wait(PATIENCE)
    assert explorer.brushed.tolist() == []
    page.say("step")
    assert not [m for m, _ in told if m["type"] == "brush"]


def test_marks_of_python_reach_the_page_and_views_that_come_later(page, explorer, told):
    page.say("ready")
    explorer.session.brush([3, 5]).wait(PATIENCE)
    _, (mask,) = page.until(lambda m: m["type"] == "brush")
    assert np.flatnonzero(np.frombuffer(mask, np.uint8)).tolist() == [3, 5]
    told.clear()
    second = explore(session=explorer.session)
    Page(second, told).say("ready")
    assert np.flatnonzero(np.frombuffer(page.until(lambda m: m["type"] == "brush")[1][0], np.uint8)).tolist() == [3, 5]
    told.clear()
    explorer.session.brush(None).wait(PATIENCE)
    assert page.until(lambda m: m["type"] == "brush")[1] == []
    second.close()


def test_marks_that_the_page_made_once_are_told_when_python_makes_them_again(page, explorer, told):
    page.say("ready")
    page.say("brush", mask=packed([i == 3 for i in range(300)]))
    explorer.session.brush([5]).wait(PATIENCE)
    page.until(lambda m: m["type"] == "brush")
    told.clear()
    explorer.session.brush([3]).wait(PATIENCE)
    assert np.frombuffer(page.until(lambda m: m["type"] == "brush")[1][0], np.uint8)[3] == 1


def test_colours_may_say_how_uncertain_rows_are(page, explorer, x):
    page.say("ready")
    assert page.say("set", name="color_by", value="uncertainty")["ok"]
    frame, (labels, shades) = page.frame(lambda m: m["color_by"] == "uncertainty")
    resp = explorer.model.posterior(x).resp
    entropy = torch.special.entr(resp).sum(1) / math.log(3)
    assert np.frombuffer(shades, np.uint8) == pytest.approx(255 * entropy.numpy(), abs=0.51)
    assert len(labels) == 300
    assert frame["contours"] is None


def test_one_component_is_certain_and_noise_counts(x, rng, told):
    alone = explore(x, n_components=1, color_by="uncertainty")
    assert set(alone.compose(alone.session.snapshot, 1)[1][1]) == {0}
    noisy = explore(x, model=GaussianMixture(1, noise=0.3, random_state=0), color_by="uncertainty")
    assert max(noisy.compose(noisy.session.snapshot, 1)[1][1]) > 100


def test_contours_are_a_grid_where_the_page_looks(page, explorer, x):
    page.say("ready")
    assert page.say("set", name="contours", value=True)["ok"]
    assert page.say("set", name="view", value=[[-2.0, 3.0], [-1.0, 4.0]])["ok"]
    frame, (_, grid) = page.frame(lambda m: m["contours"] and m["contours"]["window"][0][0] == -2)
    told = frame["contours"]
    assert told["window"] == ((-2.0, 3.0), (-1.0, 4.0))
    values = np.frombuffer(grid, np.float32).reshape(told["shape"])
    model = gmmlab.Mixture(Gaussian.of(explorer.model.components.mean[:, :2], explorer.model.components.cov[:, :2, :2]),
                           explorer.model.gate)  # fmt: skip
    corner = torch.tensor([[3.0, -1.0]], dtype=torch.float64)
    assert values[0, -1] == pytest.approx(float(model.log_prob(corner)), rel=1e-5)
    assert told["levels"] == sorted(told["levels"], reverse=True)


def test_a_view_without_features_has_no_extra_work(explorer, monkeypatch):
    def never(*_):
        raise AssertionError("computed for nothing")

    for name in ("log_density", "levels", "card", "uncertainty"):
        monkeypatch.setattr(f"gmmlab.widgets.explorer.{name}", never)
    frame, buffers = explorer.compose(explorer.session.snapshot, 1)
    assert frame["error"] is None
    assert len(buffers) == 1


def test_split_merge_and_pins(page, explorer):
    page.say("ready")
    before = explorer.model
    assert page.say("split", k=1)["ok"]
    assert explorer.wait(PATIENCE).model.k == 4
    assert page.say("merge", k=3, other=1)["ok"]
    assert explorer.wait(PATIENCE).model.k == 3
    assert torch.allclose(explorer.model.components.mean, before.components.mean)
    assert page.say("split", k=0)["ok"]
    explorer.wait(PATIENCE)
    assert page.say("merge", k=3)["ok"], "the nearest is its other half"
    explorer.wait(PATIENCE)
    assert torch.allclose(explorer.model.components.mean, before.components.mean)
    assert page.say("pin", k=2, pins=[True, False, True])["ok"]
    frame, _ = page.frame(lambda m: "pins" in m["components"][-1])
    assert frame["components"][2]["pins"] == [True, False, True]
    assert page.say("step")["ok"]
    after = explorer.wait(PATIENCE).model
    assert torch.equal(after.components.mean[2], explorer.session.snapshot.model.components.mean[2])
    assert torch.allclose(after.components.mean[2], before.components.mean[2])
    assert not torch.allclose(after.components.mean[0], before.components.mean[0])
    assert float(after.weights[2]) == pytest.approx(float(before.weights[2]))


def test_components_begin_anew_and_it_can_be_taken_back(page, explorer, x):
    page.say("ready")
    before = explorer.model
    assert page.say("reseed", k=1)["ok"]
    moved = explorer.wait(PATIENCE).model.components.mean
    assert [torch.equal(moved[k], before.components.mean[k]) for k in range(3)] == [True, False, True]
    assert "mean" in explorer.state() and str(round(float(moved[1, 0]), 3))[:5] in explorer.state()
    assert page.say("back")["ok"]
    assert explorer.wait(PATIENCE).model is before
    assert page.say("reseed", k=None)["ok"]
    everywhere = explorer.wait(PATIENCE).model.components.mean
    assert all(bool((mean == explorer.session.x).all(1).any()) for mean in everywhere)
    assert explorer.session.snapshot.events[-1].kind == "restart"
    other = explorer.session.reseed().wait(PATIENCE).model.components.mean
    assert not torch.equal(other, everywhere), "each time elsewhere"
    two = [explorer.session.reseed(seed=5).wait(PATIENCE).model.components.mean for _ in range(2)]
    assert torch.equal(*two), "but for the same seed"
    assert explorer.play() is None and explorer.result(PATIENCE).k == 3
    with pytest.raises(ValueError, match="no component 7"):
        explorer.session.reseed(7)


def test_a_fit_that_cannot_keep_anything_says_so(x, told):
    explorer = explore(x, fit=lambda _: iter(()))
    assert "takes no pins" in Page(explorer, told).say("pin", k=0, pins=[True, False, False])["error"]


def test_the_only_component_has_no_pair(x, told):
    assert "nothing to merge" in Page(explore(x, n_components=1), told).say("merge", k=0)["error"]


def test_the_truth_is_sent_with_the_points(page, explorer, x, rng, told):
    truth = random_mixture(STRUCTURES["VVV"], x, 2, rng)
    shown = explore(x, truth=truth, dims=(2, 0))
    Page(shown, told).say("ready")
    points, _ = page.until(lambda m: m["type"] == "points")
    assert points["truth"][1]["mean"] == pytest.approx(truth.components.mean[1, [2, 0]].tolist())


def test_the_truth_may_be_labels_of_any_kind(x, told):
    words = np.array(["a", "b", "a"] * 100)
    truth = explore(x, truth=words).truth
    assert torch.allclose(truth.components.mean[0], x[torch.tensor(words == "a")].mean(0))
    assert truth.weights.tolist() == pytest.approx([2 / 3, 1 / 3])
    mixed = explore(x, truth=[-1, "b", 3] * 100).truth
    assert torch.allclose(mixed.components.mean, torch.stack([x[1::3].mean(0), x[2::3].mean(0)])), "-1 is no group"
    some = torch.full((300,), -1)
    some[:10] = 4
    assert torch.allclose(explore(x, truth=some).truth.components.mean[0], x[:10].mean(0))
    for wrong, sentence in (([1, 2], "2 labels; expected one for each of 300"), (torch.full((300,), -1), "All labels")):
        with pytest.raises(BadData, match=sentence):
            explore(x, truth=wrong)


@pytest.mark.parametrize(
    "model",
    [
        *(GaussianMixture(3, covariance_type=name, random_state=0) for name in ("full", "tied", "spherical", "VEI")),
        GaussianMixture(2, covariance_type="EVV", noise=0.1, random_state=0),
        StudentMixture(2, dof=5.0, random_state=0),
        StudentMixture(2, dof="common", covariance_type="tied", random_state=0),
    ],
    ids=repr,
)
def test_state_is_python_that_makes_the_view_again(x, told, model):
    explorer = explore(x, model=model, dims=(2, 1), color_by="uncertainty", palette="tol")
    explorer.session.step().wait(PATIENCE)
    code = explorer.state()
    assert repr(code) == str(code)
    known = {"X": x}
    exec(code, known)
    again = known["explorer"]
    assert again.state() == code
    assert (list(again.dims), again.color_by, again.contours) == ([2, 1], "uncertainty", False)
    assert again.palette == "tol"
    ours, theirs = explorer.session.step().result(PATIENCE), again.session.step().result(PATIENCE)
    assert torch.allclose(ours.located.cov, theirs.located.cov, rtol=1e-6)
    assert torch.allclose(ours.weights, theirs.weights, rtol=1e-6)


def test_presets_are_explored_by_name(told):
    explorer = explore("cigars")
    assert explorer.note.startswith("Play: ")
    assert explorer.truth.k == 2
    known: dict = {}
    exec(explorer.state(), known)
    assert known["explorer"].state() == explorer.state()
    other = explore("cigars", model=GaussianMixture(2, random_state=0))
    assert other.note == ""
    assert torch.equal(other.session.x, explorer.session.x)
    with pytest.raises(ValueError, match=r"no preset 'cigar'.*Did you mean 'cigars'"):
        explore("cigar")


def test_the_picture_shows_the_same(explorer, x):
    plain = explorer.png()
    for change in ({"contours": True}, {"color_by": "uncertainty"}):
        explorer.set_trait(*next(iter(change.items())))
        assert explorer.png() != plain
    before = explorer.png()
    explorer.session.brush(range(50)).wait(PATIENCE)
    assert explorer.png() != before


# what a notebook holds


def test_state_is_small_json_without_points(explorer):
    state = {k: v for k, v in explorer.get_state().items() if k not in ("_esm", "_css")}
    assert len(json.dumps(state, allow_nan=False)) < 20_000


def test_traits_are_documented_and_none_is_forbidden():
    own = Explorer.options()
    assert (
        ", ".join(own)
        == "color_by, contours, dims, height, names, note, palette, row, selected, session_id, strip, theme"
    )
    assert not set(own) & {"log", "keys", "comm", "layout", "style", "model_id", "tooltip"}
    for name in own:
        assert Explorer.class_traits()[name].help, name


def test_the_front_end_is_small_and_stands_alone():
    code = (STATIC / "explorer.js").read_text()
    assert len(code.encode()) < 60_000
    addresses = re.findall(r"https?://[^\"'`\s]+", code + (STATIC / "explorer.css").read_text())
    assert [a for a in addresses if not a.startswith("http://www.w3.org/")] == [], "namespaces only"


def test_the_mimebundle_has_three_types(explorer, monkeypatch):
    monkeypatch.delenv(display.VARIABLE, raising=False)
    data, metadata = explorer._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    png = base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG")
    assert len(png) <= 60_000
    assert "300 points in x0 and x1" in metadata["image/png"]["alt"]
    assert re.fullmatch(
        r"Explorer\(Mixture k=3 full, n=300, d=3, mean log-likelihood -\d+\.\d{4}\)", data["text/plain"]
    )
    assert png == base64.b64decode(explorer._repr_mimebundle_()[0]["image/png"])


def test_static_display_leaves_the_view_out(explorer, monkeypatch):
    monkeypatch.setenv(display.VARIABLE, "static")
    assert set(explorer._repr_mimebundle_()[0]) == {"image/png", "text/plain"}
    monkeypatch.setattr(display, "_chosen", "auto")
    gmmlab.options(display="live")
    assert len(explorer._repr_mimebundle_()[0]) == 3, "what a person says in the notebook counts"
    gmmlab.options(display="static")
    monkeypatch.delenv(display.VARIABLE)
    assert len(explorer._repr_mimebundle_()[0]) == 2
    with pytest.raises(ValueError, match="'auto', 'live', 'static'"):
        gmmlab.options(display="loud")
    gmmlab.options()
    monkeypatch.setenv(display.VARIABLE, "quiet")
    with pytest.raises(ValueError, match="GMMLAB_DISPLAY='quiet'"):
        explorer._repr_mimebundle_()


def test_the_repr_is_cheap(explorer, monkeypatch):
    monkeypatch.setattr(type(explorer.model), "assign", lambda *_: pytest.fail("repr computes"))
    assert repr(explorer) == "Explorer(Mixture k=3 full, n=300, d=3)"


def test_png_is_written(explorer, tmp_path):
    assert explorer.png(tmp_path / "a.png") == (tmp_path / "a.png").read_bytes()


# how it is made


def test_from_a_frame(told):
    frame = gmmlab.faithful()
    explorer = explore(frame, dims=("waiting", "eruptions"), height=300, theme="dark")
    assert explorer.names == ["eruptions", "waiting"]
    assert (explorer.dims, explorer.height) == ([1, 0], 300)
    with pytest.raises(TypeError, match=r"no column 'wating'\. Did you mean 'waiting'"):
        explore(frame, dims=("wating", "eruptions"))


def test_from_an_estimator_and_back(x, told):
    estimator = GaussianMixture(2, random_state=3, covariance_type="diag", tol=1e-4)
    start = estimator.explore(x).model
    assert (start.k, start.components.structure.name) == (2, "VVI")
    fitted = estimator.fit(x)
    explorer = fitted.explore(x)
    assert torch.allclose(explorer.model.components.mean, torch.as_tensor(fitted.means_))
    again = explorer.estimator()
    assert isinstance(again, GaussianMixture)
    assert again.score(x) == pytest.approx(float(fitted.score(x)), abs=1e-12)
    assert (again.predict(x) == fitted.predict(x)).all()


def test_the_played_fit_is_the_estimators(x, told):
    estimator = GaussianMixture(3, random_state=0, init_params="random_from_data", tol=1e-5, max_iter=1000)
    explorer = estimator.explore(x)
    explorer.play()
    played = explorer.result(PATIENCE)
    assert torch.allclose(played.components.mean, torch.as_tensor(estimator.fit(x).means_), atol=1e-9)


def test_a_row_of_weight_two_counts_as_two_rows(x, rng, told):
    weight = torch.randint(3, (len(x),), generator=rng)
    repeated, start = x.repeat_interleave(weight, 0), random_mixture(STRUCTURES["VVV"], x, 2, rng)
    weighted, twice = explore(x, sample_weight=weight, model=start), explore(repeated, model=start)
    for watched in (weighted, twice):
        assert watched._evidence(watched.session.snapshot) == pytest.approx(float(start.assign(repeated)[1]))
        watched.session.step().move(0, [1.0, 2.0, 3.0]).wait(PATIENCE)
    shown = [watched._evidence(watched.session.snapshot) for watched in (weighted, twice)]
    assert shown[0] == pytest.approx(shown[1])
    ours, theirs = (watched.session.step().result(PATIENCE) for watched in (weighted, twice))
    assert torch.allclose(ours.located.cov, theirs.located.cov)
    assert weighted.state().count("sample_weight=sample_weight") == 1
    assert "sample_weight" not in twice.state()


def test_diagnostics_count_rows_as_the_fit_does(x, rng):
    weight = torch.randint(1, 4, (len(x),), generator=rng)
    start, other = (random_mixture(STRUCTURES["VVV"], x, 2, rng) for _ in range(2))
    weighted = explore(x, sample_weight=weight, model=start).session
    copied = explore(x.repeat_interleave(weight, 0), model=start).session
    for make in (FitCheck, lambda session: Compare(session, other)):
        words = [make(session).chart(session.snapshot).alt.split("the rows are")[-1] for session in (weighted, copied)]
        assert words[0] == words[1]
    shown = [Pairs(session)._look().spreads[1].histogram.heights for session in (weighted, copied)]
    torch.testing.assert_close(*shown)
    assert torch.equal(FitCheck.of(x, start, sample_weight=weight).session.weight, weight.to(x))
    tables = [Responsibilities(session)._found(session.snapshot).confusion for session in (weighted, copied)]
    torch.testing.assert_close(*tables)


def test_the_start_and_the_search_are_weighted_too(x, told):
    weight = torch.linspace(0, 2, len(x), dtype=torch.float64)
    estimator = GaussianMixture(2, random_state=0)
    watched = estimator.explore(x, weight)
    start = GaussianMixture(2, random_state=0, max_iter=0).fit(x, sample_weight=weight)
    assert torch.equal(watched.model.components.mean, torch.as_tensor(start.means_))
    chosen = watched.panels[2]
    assert torch.equal(chosen.selection.asked.data.weight, weight)
    assert torch.equal(gmmlab.select(x, 1, "full", sample_weight=weight).explore().target.weight, weight)
    with pytest.raises(BadData, match="expected one number for each of the 300 rows"):
        explore(x, sample_weight=weight[1:])
    with pytest.raises(TypeError, match="expected fit or sample_weight, not both"):
        explore(x, sample_weight=weight, fit=lambda _: iter(()))
    with pytest.raises(TypeError, match="A session has its rows, their weights"):
        explore(session=watched.session, sample_weight=weight)


def test_from_a_mixture_and_a_session(x, rng, told):
    model = random_mixture(STRUCTURES["EEE"], x, 2, rng)
    explorer = explore(x, model=model)
    assert torch.equal(explorer.model.components.mean, model.components.mean)
    second = explore(session=explorer.session, dims=(1, 2))
    assert second.session is explorer.session
    assert second.session_id == explorer.session_id
    with pytest.raises(TypeError, match="takes no others"):
        explore(x, session=explorer.session)


@pytest.mark.parametrize(
    ("keyword", "near"),
    [("n_component", "n_components"), ("heigth", "height"), ("covariance", "covariance_type"), ("banana", "It has")],
)
def test_unknown_keywords_are_refused(x, keyword, near):
    with pytest.raises(TypeError, match=near):
        explore(x, **{keyword: 3})


def test_unknown_traits_are_refused(explorer):
    with pytest.raises(TypeError, match="'height'"):
        Explorer(explorer.session, hight=3)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.ones((5, 1)) * np.arange(5)[:, None], "rows have one"),
        (np.full((5, 2), np.nan), "Column 0 has no entry"),
        (np.zeros((1, 2)), "minimum of 2"),
        (np.arange(5.0), "1D array"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_rows_that_cannot_be_explored(rows, sentence):
    with pytest.raises(ValueError, match=sentence):
        explore(rows, n_components=1)


def test_a_model_of_another_width_is_refused(x, rng):
    model = random_mixture(STRUCTURES["VVV"], x, 2, rng)
    with pytest.raises(BadData, match="3 features and the rows have 2"):
        explore(x[:, :2], model=model)


@pytest.mark.parametrize("dims", [(0, 0), (0, 3), (0,), (0, 1, 2), (0, -1, 1)])
def test_dims_are_two_different_columns(explorer, dims):
    with pytest.raises(ValueError, match="column"):
        explore(session=explorer.session, dims=dims)


def test_closing_ends_the_sender_and_leaves_the_session(explorer):
    explorer.publisher.post(lambda: ({"type": "note"}, []))
    thread = explorer.publisher._worker.thread
    explorer.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert explorer.session.step().wait(PATIENCE).step == 1


def test_widgets_stay_small():
    """A widget translates; a subclass that grows hides something that belongs elsewhere."""
    assert len(inspect.getsource(LabWidget).splitlines()) <= 120


def test_the_estimator_knows_what_the_explorer_shows():
    frame = gmmlab.faithful()
    explorer = explore(frame, n_components=2)
    explorer.play()
    explorer.wait(20)
    fitted = explorer.estimator()
    assert fitted.converged_
    assert fitted.n_iter_ == explorer.session.snapshot.step > 0
    assert fitted.score(frame) == pytest.approx(explorer.session.snapshot.evidence)
    assert list(fitted.feature_names_in_) == list(frame.columns)
    explorer.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "There are no rows"),
        ({"X": np.eye(3), "model": 3}, "model is a int; expected a GaussianMixture"),
        ({"X": np.eye(3), "model": sklearn.mixture.GaussianMixture(2)}, r"of sklearn.mixture; .*from_sklearn"),
        ({"X": np.eye(3), "k": 3}, "It has X, color_by, contours, covariance_type, dims, fit,"),
        ({"X": np.eye(3), "model": GaussianMixture(2), "n_components": 5}, "give these or the model"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, sentence):
    with pytest.raises(TypeError, match=sentence):
        explore(**arguments)


def test_pictures_can_be_kept_small(explorer):
    try:
        gmmlab.options(picture_bytes=20_000)
        small = base64.b64decode(explorer._repr_mimebundle_()[0]["image/png"])
        assert len(small) <= 20_000 < len(explorer.png())
        with pytest.raises(ValueError, match="picture_bytes=5; expected 1000 or more"):
            gmmlab.options(picture_bytes=5)
    finally:
        gmmlab.options()
