"""Uncertainty: draws and refits, how stable components are, and what is told of one draw."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time

import numpy as np
import pytest
import torch
from cases import blobs
from views import MODELS, frames, marks, obey, session, shown, with_gaps

import gmmlab
from gmmlab import plot
from gmmlab.clustering import SampledGaussianMixture
from gmmlab.plot.bundles import by_information, evenly
from gmmlab.plot.chart import Bars, Dots, Line, Table
from gmmlab.plot.fan import verdict
from gmmlab.widgets.session import Session
from gmmlab.widgets.uncertainty import PRESS, Uncertainty, refitted

DRAWN = 40


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types are checked in every call of the tests, which takes much longer than the draws."""
    monkeypatch.setattr("gmmlab.widgets.uncertainty.DRAWN", DRAWN)
    monkeypatch.setattr("gmmlab.plot.fan.DRAWN", DRAWN)
    monkeypatch.setattr("gmmlab.plot.bundles.DRAWN", DRAWN)


@pytest.fixture
def x(rng: torch.Generator) -> torch.Tensor:
    return blobs(rng, n=240, d=2)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_frame_and_a_picture(name: str, x: torch.Tensor) -> None:
    widget = Uncertainty(session(name, x))
    json.dumps(shown(widget), allow_nan=False)
    data, metadata = widget._repr_mimebundle_()
    assert data["text/plain"] == widget.describe() == Uncertainty(widget.session).describe()
    assert metadata["image/png"]["alt"] in data["text/plain"]
    if name in ("student", "factors"):
        note = widget.chart(widget.session.snapshot).note
        assert note.endswith(f"{PRESS} {widget.session.snapshot.model.k} components and their estimates, and nothing "
                             "known of how sure these are.")  # fmt: skip


@pytest.mark.parametrize("name", ["one", "noise", "student"])
def test_every_model_has_refits(name: str, x: torch.Tensor) -> None:
    widget = Uncertainty(session(name, x))
    widget.bootstrap(4)
    widget.wait(60)
    assert "4 refits to rows drawn again" in widget.describe()
    bars = marks(frames(widget)[1], Bars)[0]
    assert len(bars.right) == widget.model.k
    widget.close()


def test_the_table_holds_the_level_of_the_draws(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x), level=0.8)
    table = frames(widget)[2]
    assert isinstance(table, Table)
    assert table.columns == ["parameter", "estimate", "80% interval"]
    assert [row[0] for row in table.cells[:3]] == ["1 weight", "1 mean x0", "1 mean x1"]
    assert float(table.cells[0][1]) == pytest.approx(float(widget.model.weights[0]), rel=1e-3)
    bundle = by_information(widget.model, x, torch.Generator().manual_seed(0), DRAWN)
    weights = np.array([float(each.weights[0]) for each in bundle.models])
    low, high = map(float, table.cells[0][2].split(" to "))
    assert np.mean((weights > low) & (weights < high)) == pytest.approx(0.8, abs=0.03)


def test_rows_count_as_often_as_they_weigh(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, seen = (torch.arange(len(x)) % 3).to(x), list[torch.Tensor]()
    repeated = x.repeat_interleave(weight.long(), 0)
    model = session("three", repeated).snapshot.model
    weighted, twice = Uncertainty(Session(x, model, weight=weight)), Uncertainty(Session(repeated, model))
    ours, theirs = (frames(widget)[2].cells for widget in (weighted, twice))
    assert ours == theirs
    monkeypatch.setattr("gmmlab.widgets.uncertainty.refitted", lambda _, weight, model: (seen.append(weight), model)[1])
    weighted.bootstrap(2)
    weighted.wait(60)
    assert len(seen) == 2
    for times in seen:
        assert not times[weight == 0].any()
        assert not (times[weight == 2] % 2).any()


def test_the_fan_opens_and_far_draws_are_grey(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x), draws=20, level=0.8)
    dots = marks(frames(widget)[0], Dots)[0]
    assert len(dots.x) == 20 * 3
    assert sorted(set(dots.picks)) == list(range(20))
    far = {pick for pick, tone in zip(dots.picks, dots.tone, strict=True) if tone == -1}
    assert 1 <= len(far) <= 8  # a fifth of 40, of which 20 are shown
    obey(widget, "control", name="draws", value=0)
    assert len(marks(frames(widget)[0], Dots)[0].x) == 0
    assert shown(widget)
    assert len(marks(frames(widget)[0], Line)) == 3  # the fitted ones


def test_a_draw_is_told_about_and_opened_by_a_second_action(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x))
    with pytest.raises(ValueError, match="No draw is chosen"):
        widget.open_draw()
    model = widget.model
    obey(widget, "pick", frame=0, pick=4)
    assert widget.model is model
    table = frames(widget)[2]
    assert table.columns[-1] == "draw 5"
    drawn = by_information(model, x, torch.Generator().manual_seed(0), DRAWN).models[4]
    assert float(table.cells[0][-1]) == pytest.approx(float(drawn.weights[0]), rel=1e-3)
    assert [c["label"] for c in shown(widget)["controls"]][-1] == "open draw 5"
    obey(widget, "control", name="open", value=True)
    torch.testing.assert_close(widget.model.weights, drawn.weights)
    assert widget.chosen is None
    assert "open" not in [c["name"] for c in shown(widget)["controls"]]
    with pytest.raises(ValueError, match="nothing to choose in frame 1"):
        obey(widget, "pick", frame=1, pick=0)


def test_a_second_click_lets_go(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x))
    for chosen in (4, None):
        obey(widget, "pick", frame=0, pick=4)
        assert widget.chosen == chosen
    with pytest.raises(ValueError, match="no draw 901"):
        obey(widget, "pick", frame=0, pick=900)


def test_the_bootstrap_fills_the_bundle_and_can_be_stopped(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x))
    obey(widget, "control", name="source", value="bootstrap")
    assert "Run the bootstrap" in shown(widget)["chart"]["note"]
    obey(widget, "control", name="bootstrap", value=True)
    assert widget._task is not None
    while widget._task.told.bundle is None:
        time.sleep(0.01)
    assert "halt" in [c["name"] for c in shown(widget)["controls"]]
    obey(widget, "control", name="halt", value=True)
    widget.wait(10)
    found = re.search(r"(\d+) refits? to rows drawn again", widget.describe())
    assert found
    assert 0 < int(found[1]) < 100
    assert "bootstrap" in [c["name"] for c in shown(widget)["controls"]]


def test_refits_of_a_model_that_is_gone_are_not_shown(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x))
    widget.bootstrap(1000)
    widget.session.set_model(MODELS["one"].fit(x).mixture_)
    widget.wait(20)
    assert "no longer shown; run it again" in shown(widget)["chart"]["note"]


def test_a_failing_refit_is_told(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmmlab.widgets.uncertainty.refitted", lambda *_: 1 / 0)
    widget = Uncertainty(session("three", x))
    widget.bootstrap(3)
    widget.wait(10)
    assert "The bootstrap failed: division by zero" in shown(widget)["chart"]["note"]


def test_nothing_is_drawn_while_the_fit_plays(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x))
    at_rest = widget.session.snapshot
    playing = at_rest.__class__(**{**vars(at_rest), "play": "playing"})
    assert "Draws are made when the fit rests." in widget.chart(playing).note


def test_the_model_is_there_before_its_draws(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x))
    drawn = threading.Event()
    widget._drawn._there = drawn.set
    first = shown(widget)["chart"]
    assert first["note"].startswith("Draws are being made. 3 components and their estimates")
    assert [cells[1] for cells in first["grid"][1][1]["cells"]], "the estimates"
    assert drawn.wait(60)
    assert "draws from the distribution" in shown(widget)["chart"]["note"]
    widget.close()


def test_gaps_and_single_columns(x: torch.Tensor) -> None:
    model, gaps = MODELS["three"].fit(x).mixture_, with_gaps(x)
    widget = Uncertainty(Session(gaps, model))
    assert f"these have gaps. {PRESS}" in widget.chart(widget.session.snapshot).note
    widget.bootstrap(3)
    widget.wait(60)
    assert "3 refits" in widget.describe()
    line = Uncertainty(session("diagonal", x[:, :1]))
    kinds = {mark["kind"] for mark in shown(line)["chart"]["grid"][0][0]["marks"]}
    assert kinds == {"line", "dots"}
    assert line.png()


def test_a_start_is_no_maximum() -> None:
    explorer = gmmlab.explore(gmmlab.faithful(), n_components=2)
    widget = Uncertainty(explorer.session)
    assert "maximum" in widget.chart(widget.session.snapshot).note


@pytest.mark.parametrize(
    ("jaccard", "words"),
    [(0.9, "highly stable"), (0.8, "stable"), (0.7, "doubtful"), (0.3, "not to be trusted"), (float("nan"), "no rows")],
)
def test_stability_has_words(jaccard: float, words: str) -> None:
    assert verdict(jaccard) == words


def test_a_refit_with_equal_weights_stays(x: torch.Tensor) -> None:
    model = MODELS["three"].fit(x).mixture_
    again = refitted(x, torch.ones(len(x), dtype=torch.float64), model)
    torch.testing.assert_close(again.gaussian.mean, model.gaussian.mean, rtol=1e-3, atol=1e-3)


def test_the_picture_for_everyone(x: torch.Tensor) -> None:
    model = MODELS["three"].fit(x)
    assert plot.uncertainty(x, model).alt.startswith(f"3 components and {DRAWN} draws")
    refits = [MODELS["three"].fit(x[i::2]) for i in (0, 1)]
    assert "3 components and 2 refits" in plot.uncertainty(x, model, refitted=[*refits, None]).alt


def test_many_rows_are_thinned_and_it_is_said(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmmlab.plot.bundles.FEW", 100)
    widget = Uncertainty(session("three", x))
    assert "The stability is that of 80 of the rows." in widget.chart(widget.session.snapshot).note
    monkeypatch.setattr("gmmlab.plot.bundles.ROWS", 120)
    other = Uncertainty(widget.session)
    assert "The information is that of 120 of the rows." in other.chart(other.session.snapshot).note
    widget.bootstrap(2)
    widget.wait(20)
    assert "The stability is that of 120 of the rows." in shown(widget)["chart"]["note"]


# -- draws from a posterior --------------------------------------------------------------------------------------------


def sampler(**options) -> SampledGaussianMixture:
    priors = {"mean_precision_prior": 0.05, "covariance_prior": np.eye(2), "alpha": 0.5, "learn_alpha": False}
    chain = {"inference": "gibbs", "n_components": 5, "n_samples": 12, "burn_in": 4, "random_state": 0}
    return SampledGaussianMixture(**chain | priors | options)


def test_the_sampler_of_a_session_gives_draws_as_it_runs(x: torch.Tensor) -> None:
    x = x[::4]
    widget = sampler().explore(x).session.uncertainty()
    assert widget.source == "posterior"
    assert "no draws yet" in shown(widget)["chart"]["note"]
    seen = []
    widget.session.subscribe(lambda snapshot: seen.append(shown_of(widget, snapshot)))
    widget.play()
    widget.wait(60)
    assert any(0 < count < 12 for count in seen), "draws are shown while it plays"
    assert "12 posterior draws" in widget.describe()
    table = frames(widget)[2]
    assert table.columns == ["parameter", "shown", "95% credible"]
    assert not any(word in str(shown(widget)["chart"]) for word in ("refit", "estimate", "fitted"))
    obey(widget, "pick", frame=0, pick=3)
    assert "open" not in [c["name"] for c in shown(widget)["controls"]], "a sampler is not steered"
    widget.close()


def shown_of(widget: Uncertainty, snapshot) -> int:
    found = re.search(r"(\d+) posterior draw", widget.chart(snapshot).alt)
    return int(found[1]) if found else 0


def test_a_fitted_sampler_has_draws(x: torch.Tensor) -> None:
    x = x[::4]
    model = sampler().fit(x.numpy())
    widget = Uncertainty.of(x, model)
    words = f"{len(model.weights_)} components and 12 posterior draws of"
    assert widget.describe().startswith(f"Uncertainty: {words}")
    assert plot.uncertainty(x, model).alt.startswith(words)
    table = frames(widget)[2]
    assert table.columns == ["parameter", "estimate", "95% credible"]
    weights = named_weights(model, x)
    for row, drawn in zip([cells for cells in table.cells if "weight" in cells[0]], weights, strict=True):
        low, high = (float(end) for end in row[2].split(" to "))
        assert (low, high) == pytest.approx(tuple(np.nanquantile(drawn, [0.025, 0.975])), rel=1e-3)
    obey(widget, "pick", frame=0, pick=0)
    obey(widget, "control", name="open", value=True)
    assert any(torch.equal(widget.model.weights, each.weights) for each in model.samples_)
    json.dumps(shown(widget), allow_nan=False)
    widget.close()


def named_weights(model: SampledGaussianMixture, x: torch.Tensor) -> np.ndarray:
    """Those of the groups of each draw that share most rows with a group of the partition, by all assignments."""
    found, k = [], len(model.weights_)
    for draw in model.samples_:
        labels = draw.labels(x).numpy()
        table = np.array([[((model.labels_ == i) & (labels == j)).sum() for j in range(draw.k)] for i in range(k)])
        best = list(max(itertools.permutations(range(draw.k), k), key=lambda order: table[range(k), order].sum()))
        found.append(np.where(table[range(k), best] > 0, draw.weights.numpy()[best], np.nan))
    return np.array(found).T


def test_variational_posteriors_have_draws_of_what_has_rows(x: torch.Tensor) -> None:
    x = x[::4]
    model = gmmlab.BayesianGaussianMixture(5, weight_concentration_prior=0.01, random_state=0).fit(x)
    picture = plot.uncertainty(x, model)
    assert picture.alt.startswith(f"3 components and {DRAWN} posterior draws")
    assert Uncertainty.of(x, model, seed=0).describe().endswith(picture.alt)


def test_draws_of_other_sizes_lack_components(x: torch.Tensor) -> None:
    three, one = (MODELS[name].fit(x).mixture_ for name in ("three", "one"))
    widget = Uncertainty(session("three", x), posterior=[three, one, one, three])
    assert "missing from draws, component 2 from 50% of them" in shown(widget)["chart"]["note"]
    assert "4 posterior draws of 1 to 3 groups" in widget.describe()
    assert len(marks(frames(widget)[0], Dots)[0].x) == 2 * 3 + 2 * 1
    lonely = Uncertainty(session("three", x), posterior=[one, one, one])
    assert [row[2] for row in frames(lonely)[2].cells].count("none") == 2 * 5, "two of three components have no draw"
    json.dumps(shown(lonely), allow_nan=False)
    assert lonely.png()
    obey(lonely, "pick", frame=0, pick=1)
    assert [row[3] for row in frames(lonely)[2].cells].count("none") == 2 * 5
    line = Uncertainty(session("diagonal", x[:, :1]), posterior=[MODELS["one"].fit(x[:, :1]).mixture_] * 3)
    assert line.png()


def test_no_posterior_is_told(x: torch.Tensor) -> None:
    widget = Uncertainty(session("three", x), source="posterior")
    assert "There are no draws from a posterior" in shown(widget)["chart"]["note"]
    assert "posterior" not in str([c["options"] for c in shown(widget)["controls"] if c["name"] == "source"])
    with pytest.raises(TypeError, match="expected one of them"):
        plot.uncertainty(x, MODELS["three"].fit(x), refitted=[], posterior=[])


def test_draws_of_a_chain_are_thinned_all_along_it() -> None:
    chosen = evenly([None] * 1000, 200)  # type: ignore[list-item]
    assert sorted(chosen) == list(range(0, 1000, 5))
    assert chosen[:25] == list(range(0, 1000, 40))
    assert evenly([], 9) == []
    assert evenly([None] * 3, 9) == [0, 1, 2]  # type: ignore[list-item]
