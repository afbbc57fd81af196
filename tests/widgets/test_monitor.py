"""Estimators that are watched while `partial_fit` feeds them: steps, pauses, who is told, and what is left behind."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from weakref import WeakSet

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gmmlab import GaussianMixture, IncrementalGaussianMixture, SemiSupervisedGMM, StudentMixture
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.estimators import monitored
from gmmlab.widgets import feed as feeding
from gmmlab.widgets.feed import Feed

PATIENCE = 60
KINDS = {
    "growing": lambda: IncrementalGaussianMixture(delta=0.4, tau=0.001),
    "online": lambda: GaussianMixture(2, random_state=0),
    "student": lambda: StudentMixture(2, random_state=0),
}


@pytest.fixture
def batches():
    """Forty batches of two groups, the second of which comes late."""
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + 9]
    late = np.concatenate([groups[0][200:], groups[1]])
    return np.concatenate([groups[0][:200], rng.permutation(late)]).reshape(40, 20, 2)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_every_batch_is_a_step(make, batches):
    model = make().partial_fit(batches[0])
    session = model.monitor(batches[0], panels=()).session
    expected = []
    for batch in batches[1:]:
        if isinstance(model, IncrementalGaussianMixture):
            grown = copy.deepcopy(model)
            each = []
            for row in batch:
                each.append(grown.score_samples(row[None])[0])
                grown.partial_fit(row[None])
            expected.append(np.mean(each))
        else:
            expected.append(model.score(batch))
        model.partial_fit(batch)
    snapshot = session.wait(PATIENCE)
    assert (snapshot.step, snapshot.play, snapshot.error) == (39, "waiting", None)
    assert [step for step, _ in snapshot.trace] == list(range(39))
    np.testing.assert_allclose([value for _, value in snapshot.trace], expected, rtol=1e-9)
    np.testing.assert_allclose(snapshot.model.located.mean, model.mixture_.located.mean, rtol=1e-12)


def test_births_are_in_the_log(batches):
    model = IncrementalGaussianMixture(delta=0.4, tau=0.001).partial_fit(batches[0])
    session = model.monitor(batches[0], panels=()).session
    before = len(model.history_)
    for batch in batches[1:]:
        model.partial_fit(batch)
    told = [event.words for event in session.wait(PATIENCE).events if event.kind in ("birth", "death")]
    assert told == [event.words for event in model.history_[before:]]
    assert told


def test_a_pause_keeps_what_comes(batches, monkeypatch):
    monkeypatch.setattr(feeding, "MOST", 10)
    model = GaussianMixture(2, random_state=0).partial_fit(batches[0])
    session = model.monitor(batches[0], panels=()).session
    assert session.wait(PATIENCE).word == "Waiting for rows"
    model.partial_fit(batches[1])
    session.wait(PATIENCE)
    session.pause().wait(PATIENCE)
    for batch in batches[2:22]:
        model.partial_fit(batch)
    assert session.wait(PATIENCE).step == 1
    snapshot = session.play().wait(PATIENCE)
    assert (snapshot.step, snapshot.play) == (11, "waiting")  # of twenty the latest ten
    assert torch.equal(snapshot.model.located.mean, model.mixture_.located.mean)
    session.back().wait(PATIENCE)
    model.partial_fit(batches[22])
    assert session.wait(PATIENCE).step == 10  # who looks back is left in peace
    assert session.play().wait(PATIENCE).step == 12


def test_a_step_by_hand_finds_nothing_or_the_next(batches):
    model = GaussianMixture(2, random_state=0).partial_fit(batches[0])
    session = model.monitor(batches[0], panels=()).session
    snapshot = session.step().wait(PATIENCE)
    assert (snapshot.step, snapshot.play, snapshot.ending) == (0, "paused", None)
    model.partial_fit(batches[1])
    assert session.wait(PATIENCE).step == 0
    assert session.step().wait(PATIENCE).step == 1


def test_who_has_stopped_or_closed_hears_nothing_more(batches):
    model = GaussianMixture(2, random_state=0).partial_fit(batches[0])
    stopped, closed = (model.monitor(batches[0], panels=()).session for _ in range(2))
    model.partial_fit(batches[1])
    stopped.wait(PATIENCE)
    stopped.stop().wait(PATIENCE)
    closed.wait(PATIENCE)
    closed.close()
    model.partial_fit(batches[2])
    assert stopped.wait(PATIENCE).step == closed.snapshot.step == 1
    assert stopped.reset().wait(PATIENCE).step == 0
    model.partial_fit(batches[3])
    stopped.wait(PATIENCE)
    assert torch.equal(stopped.snapshot.model.located.mean, model.mixture_.located.mean)


def test_copies_are_not_watched_and_nothing_is_kept_alive(batches):
    model = GaussianMixture(2, random_state=0).partial_fit(batches[0])
    feed = Feed()
    session = feed.session(as_rows(batches[0]), model.mixture_)
    monitored._told[model] = WeakSet([feed])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), clone(model)):
        other.partial_fit(batches[1])
    assert session.wait(PATIENCE).step == 0
    model.partial_fit(batches[1])
    assert session.wait(PATIENCE).step == 1
    ghosts = [weakref.ref(one) for one in (model, feed, session)]
    del feed, session
    gc.collect()
    assert [ghost() for ghost in ghosts] == [model, None, None]
    model.partial_fit(batches[2])
    del model
    gc.collect()
    assert ghosts[0]() is None


def test_what_cannot_be_monitored(batches):
    with pytest.raises(NotFittedError):
        IncrementalGaussianMixture().monitor(batches[0])
    model = IncrementalGaussianMixture().partial_fit(batches[0])
    with pytest.raises((BadData, ValueError), match="features"):
        model.monitor(batches[0][:, :1])
    assert not hasattr(SemiSupervisedGMM(2), "monitor")
