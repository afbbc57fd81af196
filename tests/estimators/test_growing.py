"""`IncrementalGaussianMixture` and what is made of it: manners, batches, prediction, and a session that watches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import GaussianMixture, IncrementalGaussianMixture, IncrementalGMClassifier, IncrementalGMRegressor
from gmmlab.errors import BadData

CLASSIFIER = {"delta": 0.5, "tau": 1e-3}


IN_TURN = {"check_sample_weight_equivalence_on_dense_data": "a row that comes twice is met by the mixture of the first"}


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks(
    [IncrementalGaussianMixture(), IncrementalGMClassifier(**CLASSIFIER), IncrementalGMRegressor(delta=0.5, tau=1e-3)],
    expected_failed_checks=lambda _: IN_TURN,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [8, 0], [0, 8], [8, 8]])
    return centres[rng.integers(4, size=600)] + rng.normal(size=(600, 2))


def test_four_blobs_are_found_in_batches_as_in_a_stream(blobs):
    whole = IncrementalGaussianMixture(delta=0.25, tau=1e-4).fit(blobs)
    width = blobs.std(0)
    parts = IncrementalGaussianMixture(delta=0.25, tau=1e-4, feature_range=width)
    for rows in np.array_split(blobs, 37):
        parts.partial_fit(rows)
    assert whole.n_components_ == parts.n_components_ == 4
    assert whole.n_seen_ == 600
    np.testing.assert_allclose(whole.means_, parts.means_)
    np.testing.assert_allclose(whole.precisions_ @ whole.covariances_, [np.eye(2)] * 4, atol=1e-9)
    assert [event.kind for event in whole.history_[:4]] == ["birth"] * 4
    batch = GaussianMixture(4, means_init=whole.means_, random_state=0).fit(blobs)
    assert whole.score(blobs) > batch.score(blobs) - 0.1
    assert whole.to_mixture().score(blobs) == pytest.approx(whole.score(blobs))
    np.testing.assert_array_equal(whole.predict(blobs), whole.mixture_.labels(torch.from_numpy(blobs)).numpy())


def test_regress_by_precisions_and_by_factors(blobs):
    x = np.c_[blobs, blobs.sum(1) + np.random.default_rng(1).normal(size=600)]
    model = IncrementalGaussianMixture(delta=0.3, tau=1e-4).fit(x)
    fast = model.regress(x[:, [2, 0]], [2, 0], [1])
    slow = GaussianMixture.from_mixture(model.mixture_).regress(x[:, [2, 0]], [2, 0], [1])
    np.testing.assert_allclose(fast.mean, slow.mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fast.sd, slow.sd, rtol=1e-6, atol=1e-9)
    assert model.regress(x[:, [0]], [0], [1]).mean.shape == (600, 1)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_classes_are_told_apart(load):
    x, y = load(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    order = np.random.default_rng(0).permutation(len(x))
    assert cross_val_score(IncrementalGMClassifier(delta=1.0, tau=1e-6), x[order], y[order], cv=5).mean() > 0.92


def test_classes_that_come_later_have_to_be_named():
    x, y = load_iris(return_X_y=True)
    model = IncrementalGMClassifier(**CLASSIFIER).partial_fit(x[:50], y[:50], classes=[0, 1, 2])
    model.partial_fit(x[50:], y[50:])
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1)
    with pytest.raises(BadData, match="are new"):
        IncrementalGMClassifier(**CLASSIFIER).partial_fit(x[:60], y[:60]).partial_fit(x, y)


def test_a_sine_is_followed():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 2 * np.pi, size=(1500, 1))
    y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=1500)
    model = IncrementalGMRegressor(delta=0.3, tau=0.01).fit(x, y)
    at = np.linspace(0.3, 6, 50)[:, None]
    mean, sd = model.predict(at, return_std=True)
    assert np.abs(mean - np.sin(at[:, 0])).max() < 0.25
    assert 0.05 < np.median(sd) < 0.3
    two = IncrementalGMRegressor(delta=0.3, tau=0.01).fit(x, np.c_[y, -y])
    assert two.predict(at).shape == (50, 2)


def test_a_session_tells_births_and_deaths(blobs):
    model = IncrementalGaussianMixture(delta=0.25, tau=1e-4)
    view = model.explore(blobs, every=20, panels=())
    view.session.play()
    shown = view.session.wait(timeout=30)
    assert shown.model.k == 4
    births = [event for event in shown.events if event.kind == "birth"]
    assert len(births) >= 3 and "component" in births[0].words
    view.session.close()


def test_a_session_counts_rows_as_the_fit_does(blobs):
    times = np.random.default_rng(0).uniform(0.5, 2, len(blobs))
    model = IncrementalGaussianMixture(delta=0.25, tau=1e-4)
    view = model.explore(blobs, every=len(blobs), sample_weight=times, panels=())
    view.session.play()
    shown = view.session.wait(timeout=30).model
    view.session.close()
    np.testing.assert_allclose(shown.gaussian.mean.numpy(), model.fit(blobs, sample_weight=times).means_)
    *_, plain = model.steps(blobs, 50)
    assert not np.allclose(plain.model.weights.numpy(), model.weights_)


def test_what_cannot_be_is_refused(blobs):
    with pytest.raises(ValueError, match="tau"):
        IncrementalGaussianMixture(tau=1.0).fit(blobs)
    with pytest.raises(ValueError, match="delta"):
        IncrementalGaussianMixture(delta=0.0).fit(blobs)
    with pytest.raises(BadData, match="feature_range"):
        IncrementalGaussianMixture(feature_range=[1.0]).fit(blobs)
    with pytest.raises(BadData, match="minimum of 2"):
        IncrementalGaussianMixture().partial_fit(blobs[:1])
    assert IncrementalGaussianMixture(feature_range=[1.0, 1.0]).partial_fit(blobs[:1]).n_components_ == 1
    with pytest.raises(ValueError, match="features"):
        IncrementalGaussianMixture().fit(blobs).partial_fit(blobs[:, :1])
