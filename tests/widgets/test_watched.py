"""Searches that are watched, what is known of a fit's end, and the list of sessions."""

from __future__ import annotations

import gc
import math
import threading
import time
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal

import gmmlab
from gmmlab.clustering import CategoryDiscoveryGMM, SampledGaussianMixture, SDPClustering
from gmmlab.data.streams import stream
from gmmlab.errors import BadData
from gmmlab.estimators import BayesianGaussianMixture, IncrementalGaussianMixture, SemiSupervisedGMM
from gmmlab.estimators.select import select, selecting
from gmmlab.experts import GMRegressor, SoftmaxMoE
from gmmlab.widgets import choosing, runs
from gmmlab.widgets.dials import Dials
from gmmlab.widgets.fits import expectation_maximisation
from gmmlab.widgets.progress import Pace, progress, steps_to_go
from gmmlab.widgets.session import Session

PATIENCE = 60


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


# a running select


ASKED = ([1, 2, 3], ["full", "tied"])


@pytest.fixture
def search():
    session = Session.selecting(gmmlab.faithful(), *ASKED, name="geyser")
    yield session
    session.close()


def test_a_search_ends_where_select_does(search):
    expected = select(gmmlab.faithful(), *ASKED)
    found = search.play().result(PATIENCE)
    assert (found.best_.covariance_type, found.best_.n_components) == ("tied", 3)
    assert_frame_equal(found.table_, expected.table_, rtol=1e-9)  # scores are summed in another order
    assert (search.name, search.names) == ("geyser", ["eruptions", "waiting"])
    assert search.snapshot.message == "The fit has come to its end."


def test_the_map_fills_and_earlier_ones_stay_as_they_were(search):
    seen = []
    search.subscribe(lambda shown: seen.append((shown, (shown.model.table_.refused == "").sum())))
    start = search.snapshot.model
    assert set(start.table_.refused) == {"not fitted yet"}
    assert "no model: not fitted yet; 6 cells" in repr(start)
    search.play().wait(PATIENCE)
    filled = [int(count) for _, count in seen]
    assert filled == sorted(filled)
    assert (filled[0], filled[-1]) == (0, 6)
    assert len(set(filled)) > 2, "not all at once"
    for shown, count in seen:
        del shown.model.__dict__["table_"]
        assert (shown.model.table_.refused == "").sum() == count
    done = [shown.progress.done for shown, _ in seen]
    assert done == sorted(done)
    assert {(shown.progress.unit, shown.progress.total) for shown, _ in seen[1:]} == {("fits", 6)}
    assert search.snapshot.progress.remaining == 0
    assert len(search._stepper.history) < len(seen) / 2, "steps in which no fit has finished are no states"


def test_a_selection_is_made_when_it_is_shown_and_once_for_each_change():
    steps = list(choosing.choices(selecting(gmmlab.faithful(), *ASKED)))
    filled = [sum(one.model is not None for one in step.model.fitted) for step in steps]
    assert all(count <= step.progress.finished for count, step in zip(filled, steps, strict=True))
    assert filled[0] < filled[-1] == 6
    assert 2 < len({id(step.model) for step in steps}) < len(steps) / 2


def test_a_search_can_be_paused_and_goes_on(search):
    some = threading.Event()
    search.subscribe(lambda shown: some.set() if shown.progress.done else None)
    search.play()
    assert some.wait(PATIENCE)
    shown = search.pause().wait(PATIENCE)
    assert shown.play in ("paused", "done")
    time.sleep(0.05)
    assert search.snapshot is shown
    assert search.play().result(PATIENCE).best_.n_components == 3


def test_a_stopped_search_leaves_what_it_has(search, monkeypatch):
    monkeypatch.setattr(choosing, "selecting", slowly)
    slow = Session.selecting(gmmlab.faithful(), *ASKED)
    slow.play()
    until(lambda: slow.snapshot.progress.done)
    found = slow.stop().result(PATIENCE)
    assert slow.snapshot.play == "idle"
    assert found.best_.n_components in (1, 2, 3)
    assert "not fitted yet" in set(found.table_.refused)
    assert "reset begins it anew" in slow.play().wait(PATIENCE).message
    assert "whole steps only" in slow.estep().wait(PATIENCE).message
    slow.reset().wait(PATIENCE)
    assert slow.snapshot.model.ranking().empty
    assert slow.snapshot.progress.seconds == 0
    until(lambda: not slow.play().snapshot.model.ranking().empty)
    slow.close()


def slowly(*args, **options):
    """A search whose steps take a while."""
    steps = selecting(*args, **options)

    class Slow:
        start = steps.start

        def __iter__(self):
            for step in steps:
                yield step
                time.sleep(0.05)

    return Slow()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "sentence"),
    [
        (([1, 2], ["ful"]), {}, ValueError, "ful"),
        (([0],), {}, ValueError, "n_components"),
        (([1],), {"criterion": "bik"}, ValueError, "criterion is 'bik'"),
        (([1],), {"tolerance": 1}, TypeError, "tolerance"),
    ],
)
def test_a_search_for_nonsense_says_so_at_once(arguments, options, error, sentence):
    with pytest.raises(error, match=sentence):
        Session.selecting(gmmlab.faithful(), *arguments, **options)
    with pytest.raises(error, match=sentence):
        selecting(gmmlab.faithful(), *arguments, **options)
    with pytest.raises(BadData):
        Session.selecting(np.full((5, 2), np.inf))


def test_folds_are_watched_too():
    session = Session.selecting(gmmlab.faithful(), [1, 2], "tied", criterion="cv", cv=2, random_state=0)
    expected = select(gmmlab.faithful(), [1, 2], "tied", criterion="cv", cv=2, random_state=0)
    assert_frame_equal(session.play().result(PATIENCE).table_, expected.table_, rtol=1e-9)


def test_a_stream_is_searched():
    x = gmmlab.faithful().to_numpy()
    session = Session.selecting(stream(lambda: iter([x[:100], x[100:]])), [1, 2], "tied")
    assert session.x.shape == (272, 2)
    assert session.play().result(PATIENCE).best_.n_components == 2


# how long it may still take


def geometric(rate: float, n: int, gain: float = 1.0) -> list[float]:
    return [-gain * rate**i / (1 - rate) for i in range(n)]


@pytest.mark.parametrize("rate", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("n", [10, 25])
def test_gains_that_shrink_evenly_tell_the_end(rate, n):
    tol, all_of_them = 1e-6, geometric(rate, 5000)
    end = next(i for i in range(1, 5000) if all_of_them[i] - all_of_them[i - 1] < tol)
    expected = max(0, end - (n - 1))
    told = steps_to_go(all_of_them[:n], tol)
    assert told is not None
    assert abs(told - expected) <= 1


def test_what_cannot_be_told_is_unknown():
    assert steps_to_go([], 1e-6) is None
    assert steps_to_go(geometric(0.9, 9), 1e-6) is None, "too few"
    assert steps_to_go([float(i * i) for i in range(12)], 1e-6) is None, "gains that grow"
    assert steps_to_go([float(-i) for i in range(12)], 1e-6) is None, "losses"
    slowing = geometric(0.3, 6)
    slowing += [slowing[-1] + 1e-3 * i * 0.99**i for i in range(1, 6)]
    assert steps_to_go(slowing, 1e-9) is None, "a rate that changes"
    assert steps_to_go([*geometric(0.5, 5), 0.0, 0.0], 1e-6) == 0


def test_progress_of_steps_and_of_fits():
    pace = Pace()
    known = {"tol": None, "left": None, "counted": None}
    shown = progress(3, [], pace, 100, **known)
    assert (shown.done, shown.total, shown.share, shown.remaining, shown.rows_per_second) == (3, None, None, None, None)
    pace.took(2.0, 4)
    shown = progress(3, [], pace, 100, **known)
    assert (shown.seconds, shown.steps_per_second, shown.rows_per_second) == (2.0, 2.0, 200.0)
    shown = progress(3, [], pace, 100, tol=None, left=7, counted=None)
    assert (shown.total, shown.estimated, shown.remaining, shown.share) == (10, False, 3.5, 0.3)
    shown = progress(9, geometric(0.5, 10), pace, 100, tol=1e-6, left=1000, counted=None)
    assert shown.estimated
    assert shown.remaining == (shown.total - 9) / 2
    shown = progress(3, [], pace, 100, tol=None, left=None, counted=SimpleNamespace(finished=2, total=8))
    assert (shown.done, shown.total, shown.unit, shown.remaining) == (2, 8, "fits", 6.0)
    shown = progress(3, [], pace, 100, tol=None, left=None, counted=SimpleNamespace(finished=0, total=8))
    assert shown.remaining is None


def test_commands_without_a_step_take_no_time_of_the_fit():
    pace = Pace()
    pace.took(1.0, 1)
    pace.took(1.0, 0)
    assert (pace.seconds, pace.per_step) == (2.0, 1.0)


def test_the_end_of_a_fit_is_told_better_and_better():
    x = torch.as_tensor(gmmlab.faithful().to_numpy())
    model = gmmlab.GaussianMixture(3, max_iter=0, random_state=0, init_params="kmeans").fit(x).mixture_
    session = Session(x, model, fit=expectation_maximisation(x, tol=1e-8))
    told = []
    session.subscribe(lambda shown: told.append((shown.step, shown.progress.total)))
    end = session.play().wait(PATIENCE)
    late = [total for step, total in told if step > 0.8 * end.step and total]
    assert late
    assert all(abs(total - end.step) < 0.2 * end.step for total in late)
    assert end.progress.remaining == pytest.approx(0.0)


# sessions alive


class Model(NamedTuple):
    """A toy model of components."""

    k: int


def idle(**options) -> Session:
    return Session(torch.zeros(5, 2), Model(3), fit=lambda _: iter([SimpleNamespace(model=Model(4))]), **options)


def mine(*sessions) -> list[runs.Run]:
    keys = {session.key for session in sessions}
    return [run for run in runs.runs() if run.key in keys]


def test_runs_are_listed_until_they_are_closed_or_forgotten():
    one, two = idle(name="wine"), idle()
    first, second = mine(one, two)
    assert (first.name, first.rows, first.columns, first.k, first.play) == ("wine", 5, 2, 3, "idle")
    assert (first.n_bytes, first.device, first.steps_per_second) == (40, "cpu", None)
    assert second.name.startswith("Fit of 5 x 2")
    one.step().wait(PATIENCE)
    (first, _) = mine(one, two)
    assert (first.step, first.k) == (1, 4)
    assert first.rows_per_second == pytest.approx(5 * first.steps_per_second)
    assert runs.session(one.key) is one
    one.close()
    assert [run.name for run in mine(one, two)] == [second.name]
    key = two.key
    del two
    gc.collect()
    with pytest.raises(KeyError, match="no session"):
        runs.session(key)


def test_searches_are_runs_too(search):
    (run,) = mine(search)
    assert (run.name, run.rows, run.k, run.share) == ("geyser", 272, None, None)
    search.play().wait(PATIENCE)
    (run,) = mine(search)
    assert (run.play, run.share, run.remaining) == ("done", 1.0, 0.0)


def test_sessions_made_in_many_threads_are_all_listed():
    made: list[Session] = []
    threads = [threading.Thread(target=lambda: made.extend(idle() for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        runs.runs()
    assert len(mine(*made)) == 160
    assert len({session.name for session in made}) == 160
    assert math.isfinite(sum(run.n_bytes for run in mine(*made)))


# rows that count several times, in fits of all kinds


WEIGHTED = {
    "labels": lambda x, y, weight: SemiSupervisedGMM(2, random_state=0).explore(x, y, weight, panels=()).session,
    "posterior": lambda x, _, weight: BayesianGaussianMixture(2, random_state=0).explore(x, weight, panels=()).session,
    "growing": lambda x, _, weight: IncrementalGaussianMixture().explore(x, sample_weight=weight, panels=()).session,
    "relaxation": lambda x, _, weight: SDPClustering(2, random_state=0).explore(x, weight, panels=()).session,
    "draws": lambda x, _, weight: SampledGaussianMixture(random_state=0).explore(x, weight, panels=()).session,
    "classes": lambda x, y, weight: CategoryDiscoveryGMM(random_state=0).explore(x, y, weight, panels=()).session,
    "regression": lambda x, _, weight: GMRegressor(2, random_state=0).watch(x[:, :1], x[:, 1], weight),
    "experts": lambda x, _, weight: SoftmaxMoE(2, random_state=0).watch(x[:, :1], x[:, 1], weight),
}


@pytest.mark.parametrize("watched", WEIGHTED.values(), ids=WEIGHTED)
def test_panels_count_rows_as_often_as_they_weigh(watched, rng: torch.Generator) -> None:
    y = torch.arange(60) % 2
    x = torch.randn(60, 2, generator=rng, dtype=torch.float64) + 5 * y[:, None]
    weight = torch.randint(1, 4, (60,), generator=rng)
    session = watched(x, y, weight)
    panel = Dials(session)
    assert panel._assigned(session.start).evidence == pytest.approx(
        float(session.start.assign(session.x.repeat_interleave(weight, 0))[1])
    )
