"""The list of runs: what is alive, and what its buttons do."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from cases import blobs

import gmmlab
from gmmlab.fit import run, whole
from gmmlab.widgets import FitCheck, Labeler, RestartLandscape
from gmmlab.widgets.run_list import Runs
from gmmlab.widgets.runs import runs as alive
from gmmlab.widgets.session import Session


def endless(x: torch.Tensor) -> Any:
    def fit(model: Any) -> Iterator[Any]:
        for step in run(model, whole(x), stop=lambda _: False):
            time.sleep(0.01)
            yield step

    return fit


@pytest.fixture
def session(rng: torch.Generator) -> Iterator[Session]:
    x = blobs(rng, n=100, d=2)
    session = Session(x, gmmlab.GaussianMixture(2, random_state=0).fit(x).mixture_, fit=endless(x), name="blobs")
    yield session
    session.close()


def listed(runs: Runs) -> list[str]:
    return [cells[0] for cells in runs.chart(runs.session.snapshot).grid[0][0].cells]


def test_runs_come_and_go(session: Session) -> None:
    runs = Runs()
    assert "blobs" in listed(runs)
    session.close()
    gc.collect()
    assert "blobs" not in listed(runs)
    runs.close()


def test_buttons_act_on_their_run(session: Session) -> None:
    runs = Runs()
    pick = listed(runs).index("blobs")
    for action, state in (("Play", "playing"), ("Pause", "paused"), ("Play", "playing"), ("Stop", "idle")):
        runs.ops["pick"](runs, {"v": 1, "op": "pick", "seq": 1, "frame": 0, "pick": pick, "action": action})
        deadline = time.monotonic() + 10
        while session.snapshot.play != state:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    with pytest.raises(ValueError, match="nothing to Sell"):
        runs.picked(0, pick, "Sell")
    with pytest.raises(ValueError, match="asked for 99999"):
        runs.picked(0, 99_999, "Play")
    session.close()
    with pytest.raises(ValueError, match="no session"):
        runs.picked(0, pick, "Play")
    runs.close()


def test_an_explorer_of_a_run(session: Session) -> None:
    runs = Runs()
    assert runs.explore("blobs").session is session
    with pytest.raises(KeyError, match="no run 'gone'"):
        runs.explore("gone")
    runs.close()


def test_a_view_is_told_twice_a_second_and_no_view_never(session: Session) -> None:
    runs = Runs()
    sent: list[Any] = []
    runs.publisher._send = lambda content, _: sent.append(content)
    runs._look()
    assert sent == []
    runs.ops["ready"](runs, {})
    deadline = time.monotonic() + 10
    while len([content for content in sent if content["type"] == "frame"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    json.dumps(sent, allow_nan=False)
    runs.close()


def test_it_says_how_many_there_are(session: Session) -> None:
    runs = Runs()
    assert runs.describe().endswith("that are watched, of which 0 run.")
    assert session.name in listed(runs)
    assert runs.png()
    runs.close()


def test_sessions_have_names_that_a_person_knows_and_no_two_the_same() -> None:
    X = gmmlab.faithful()
    model = gmmlab.GaussianMixture(2, random_state=0).fit(X)
    made = [
        FitCheck.of(X, model).session,
        FitCheck.of(X, model).session,
        gmmlab.explore(X, panels=()).session,
        gmmlab.explore("cigars", panels=()).session,
        gmmlab.explore(X.to_numpy(), panels=(), name="geyser").session,
        gmmlab.explore(X.to_numpy(), panels=(), name="geyser").session,
        Session(torch.ones(1200, 2), model.mixture_),
        Session.selecting(X),
        RestartLandscape([model], X).session,
        Labeler.begin(X).session,
    ]
    assert [each.name for each in made] == [
        "Fit check of eruptions, waiting",
        "Fit check of eruptions, waiting (2)",
        "Explorer of eruptions, waiting",
        "Explorer of 'cigars'",
        "geyser",
        "geyser (2)",
        "Fit of 1,200 x 2",
        "Search of eruptions, waiting",
        "Restart landscape of eruptions, waiting",
        "Labeler of eruptions, waiting",
    ]
    assert {run.name: run.model for run in alive()}["geyser"] == "Gaussian k=3 full"
    made[4].close()
    assert gmmlab.explore(X, panels=(), name="geyser").session.name == "geyser", "of those that are alive"
    with pytest.raises(TypeError, match="name already"):
        gmmlab.explore(session=made[5], name="another")
    for session in made:
        session.close()


def test_a_model_is_told_in_a_few_words(session: Session) -> None:
    x = session.x
    factors = Session(x, gmmlab.FactorMixture(2, n_factors=1, random_state=0).fit(x).mixture_)
    search, other = Session.selecting(x, [1, 2], ["full"]), Session(x, 3.0, fit=iter(()))
    words = {run.name: run.model for run in alive()}
    kept = [words[each.name] for each in (factors, search, other)]
    assert kept == ["FactorAnalyzers k=2", "2 models", "float"]
    for each in (factors, search, other):
        each.close()
