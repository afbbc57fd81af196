"""Posteriors with scikit-learn's manners."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, load_wine
from sklearn.utils.estimator_checks import parametrize_with_checks

import gmmlab
from gmmlab import BayesianGaussianMixture, GaussianMixture, StudentMixture

IRIS = load_iris(as_frame=True).data
X = IRIS.to_numpy()
LABELS = load_iris().target


# scikit-learn skips its own array-API check unless SCIPY_ARRAY_API is set
@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@parametrize_with_checks([BayesianGaussianMixture()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def five() -> tuple[np.ndarray, np.ndarray]:
    """Five clusters in the plane."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [6, 0], [0, 6], [6, 6], [3, 11]])
    z = rng.integers(5, size=600)
    return centres[z] + rng.normal(size=(600, 2)), z


@pytest.mark.parametrize("kind", ["dirichlet_process", "dirichlet_distribution", "pitman_yor"])
def test_surplus_components_lose_their_rows(five, kind):
    rows, _ = five
    options = {"weight_concentration_prior_type": kind, "weight_concentration_prior": 0.01, "discount": 0.05}
    model = BayesianGaussianMixture(20, max_iter=2000, random_state=0, **options).fit(rows)
    assert (model.weights_ > 0.01).sum() == 5
    order = np.argsort(-model.weights_)[:5]
    np.testing.assert_allclose(sorted(model.means_[order].sum(1).round(0)), [0, 6, 6, 12, 14], atol=0.6)


def test_a_learned_concentration_and_sorted_sticks_raise_the_bound(five):
    rows, _ = five
    start = BayesianGaussianMixture(20, max_iter=0, random_state=0).fit(rows).predict(rows)
    options = {"max_iter": 1000, "init_params": "kmeans", "random_state": 0, "weight_concentration_prior": 1.0}
    plain = BayesianGaussianMixture(20, **options).fit(rows)
    by_size = BayesianGaussianMixture(20, by_size=True, **options).fit(rows)
    assert by_size.elbo_ > plain.elbo_ and start.max() < 20
    learned = BayesianGaussianMixture(20, by_size=True, learn_alpha=True, **options).fit(rows)
    assert (learned.weights_ > 0.01).sum() == 5
    shape, rate = learned.concentration_posterior_
    assert shape == 21 and 0.3 < shape / rate < 3
    given = BayesianGaussianMixture(20, by_size=True, learn_alpha=(1.0, 1.0), **options).fit(rows)
    assert given.elbo_ == pytest.approx(learned.elbo_, rel=1e-12)
    for model in (plain, by_size, learned):
        assert np.all(np.diff(model.lower_bounds_) > -1e-8)


def test_the_whole_bound_tells_the_number_of_components(five):
    rows, _ = five
    options = {"weight_concentration_prior_type": "dirichlet_distribution", "weight_concentration_prior": 1.0}
    bounds = [
        BayesianGaussianMixture(k, n_init=3, max_iter=500, random_state=0, **options).fit(rows).elbo_
        for k in range(1, 9)
    ]
    assert np.argmax(bounds) == 4


def test_a_next_row_has_heavier_tails_than_the_expected_gaussians(five):
    rows = five[0]
    parts = [rows[i : i + 8] for i in range(0, 160, 8)]  # few rows, of many components
    scores = []
    for few in parts:
        model = BayesianGaussianMixture(random_state=0).fit(few)
        next_rows, plugged = (
            StudentMixture.from_mixture(model.predictive_),
            GaussianMixture.from_mixture(model.expected_),
        )
        scores.append([next_rows.score(rows), plugged.score(rows)])
    assert np.mean(scores, axis=0)[0] > np.mean(scores, axis=0)[1] + 0.1
    far = torch.tensor([[40.0, 40.0]], dtype=torch.float64)
    assert float(model.predictive_.log_prob(far)) > float(model.expected_.log_prob(far)) + 20
    grid = torch.cartesian_prod(*[torch.linspace(-200, 200, 1201, dtype=torch.float64)] * 2)
    assert float(model.predictive_.log_prob(grid).exp().sum()) * (400 / 1200) ** 2 == pytest.approx(1, abs=0.02)


def test_weights_of_rows_are_replication():
    times = np.random.default_rng(0).integers(0, 3, len(X))
    options = {"tol": 1e-6, "max_iter": 2000}
    weighted = BayesianGaussianMixture(3, init_params=LABELS, **options).fit(X, sample_weight=times)
    repeated = BayesianGaussianMixture(3, init_params=np.repeat(LABELS, times), **options).fit(
        np.repeat(X, times, axis=0)
    )
    for name in ("weights_", "means_", "covariances_", "mean_prior_", "covariance_prior_", "elbo_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9, atol=1e-9, err_msg=name)


def test_tensors_frames_and_float32_come_back_as_they_went_in():
    x = torch.tensor(X, dtype=torch.float32)
    model = BayesianGaussianMixture(3, init_params=LABELS).fit(x)
    pair = model.weight_concentration_
    for value in (model.means_, model.covariances_, *pair, model.predict_proba(x), model.sample(3)[0]):
        assert isinstance(value, torch.Tensor) and value.dtype == torch.float32
    double = BayesianGaussianMixture(3, init_params=LABELS).fit(IRIS)
    assert list(double.feature_names_in_) == list(IRIS.columns)
    assert model.lower_bound_ == pytest.approx(double.lower_bound_, abs=0.05)
    np.testing.assert_allclose(model.predict_proba(x), double.predict_proba(IRIS), atol=1e-2)


@pytest.mark.parametrize("kind", ["dirichlet_process", "dirichlet_distribution", "pitman_yor", "learned"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEI"])
def test_the_posterior_is_made_from_the_attributes(kind, covariance_type, tmp_path):
    options = {"learn_alpha": True} if kind == "learned" else {"weight_concentration_prior_type": kind}
    model = BayesianGaussianMixture(
        4, covariance_type=covariance_type, by_size=True, init_params="kmeans", random_state=0, **options
    )
    model.set_params(max_iter=300).fit(X)
    ended = model.restarts_[0].model
    x = torch.tensor(X)
    torch.testing.assert_close(model.mixture_.posterior(x).resp, ended.posterior(x).resp, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.mixture_.penalty(), ended.penalty(), rtol=1e-8, atol=1e-8)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    gmmlab.save(model, tmp_path / "model.safetensors")
    stored = gmmlab.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(stored.predict_proba(X), model.predict_proba(X))


def test_stochastic_steps_end_where_exact_ones_do(five):
    rows, _ = five
    many = np.concatenate([rows + 0.01 * i for i in range(20)])
    labels = BayesianGaussianMixture(5, max_iter=0, random_state=0).fit(many).predict(many)
    exact, stochastic = (
        BayesianGaussianMixture(5, init_params=labels, inference=kind, tol=1e-3, max_iter=300, random_state=0).fit(many)
        for kind in ("vb", "svi")
    )
    assert stochastic.elbo_ == pytest.approx(exact.elbo_, rel=1e-6)
    stream = gmmlab.stream([many[i::12] for i in range(12)])
    streamed = BayesianGaussianMixture(5, inference="svi", tol=1e-3, max_iter=300, random_state=0).fit(stream)
    assert streamed.predict(many[:10]).shape == (10,) and streamed.elbo_ == pytest.approx(exact.elbo_, rel=0.05)


def test_fits_go_on():
    options = {"init_params": "kmeans", "random_state": 0, "tol": 1e-3}
    whole = BayesianGaussianMixture(4, max_iter=400, **options).fit(X)
    parts = BayesianGaussianMixture(4, max_iter=10, warm_start=True, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while not parts.fit(X).converged_:
            pass
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-6)
    assert parts.lower_bound_ == pytest.approx(whole.lower_bound_, rel=1e-9)


def test_steps_can_be_watched(five):
    rows, _ = five
    model = BayesianGaussianMixture(8, random_state=0, max_iter=500)
    steps = list(model.steps(rows))
    trace = [float(step.info.objective) for step in steps]
    assert np.all(np.diff(trace) > -1e-10) and len(trace) > 3
    fitted = model.fit(rows)
    np.testing.assert_allclose(steps[-1].model.weights, fitted.weights_, atol=1e-3)
    assert trace[-1] == pytest.approx(fitted.elbo_ / len(rows), abs=1e-4)


def test_a_session_steers_and_its_dials_turn_the_prior(five):
    from gmmlab.widgets import Dials

    rows, _ = five
    model = BayesianGaussianMixture(8, random_state=0, weight_concentration_prior=1.0)
    lab = model.explore(rows)
    session, dials = lab.session, next(panel for panel in lab.panels if isinstance(panel, Dials))
    assert {c.name for c in dials.controls()} == {"tol", "concentration", "mean_rows", "scale_rows"}
    session.play()
    shown = session.wait(60)
    assert shown.model.k == 8 and (shown.model.weights > 0.02).sum() >= 5
    before = float(shown.model.gaussian.mean.std())
    dials.mean_rows = 2.0
    session.play()
    assert float(session.wait(60).model.gaussian.mean.std()) < 0.9 * before, "means drawn to the prior's"
    with pytest.raises(ValueError, match="weight_concentration_prior"):
        session.set(concentration=-1.0)
    session.remove(0)
    session.play()
    assert session.wait(60).model.k == 7
    assert "concentration" in dials.describe() and dials.picture() is not None


def test_a_session_of_weighted_rows_is_that_of_copies(five):
    rows, _ = five
    times = np.random.default_rng(0).integers(1, 3, len(rows))
    model = BayesianGaussianMixture(6, random_state=0, tol=1e-6)
    ends = []
    for given in ((rows, times), (np.repeat(rows, times, axis=0), None)):
        prior = {"mean_prior": rows.mean(0), "covariance_prior": np.cov(rows.T), "init_params": "random_from_data"}
        fitted = model.set_params(**prior).fit(*given[:1], sample_weight=given[1]) if not ends else fitted
        lab = fitted.explore(*given, panels=())
        lab.session.play()
        ends.append(lab.session.wait(60).model)
        lab.close()
    for one, whole in zip(ends[0].gaussian.cov, ends[1].gaussian.cov, strict=True):
        np.testing.assert_allclose(one, whole, rtol=1e-4)


def test_what_cannot_be_fitted_gets_a_sentence():
    cases = [
        ({"degrees_of_freedom_prior": 3.0}, "should be greater than 3, but got 3.000"),
        ({"learn_alpha": True, "weight_concentration_prior_type": "pitman_yor"}, "learn_alpha needs"),
        ({"learn_alpha": [1.0]}, "expected True, False, or the shape and rate"),
        ({"mean_prior": [0.0]}, "'means' should have the shape of"),
        ({"covariance_prior": -np.eye(4)}, "symmetric, positive-definite"),
        ({"covariance_prior": -np.ones(4), "covariance_type": "diag"}, "should be positive"),
        ({"discount": 1.0}, "discount"),
    ]
    for options, words in cases:
        with pytest.raises(ValueError, match=words):
            BayesianGaussianMixture(2, **options).fit(X)
    with pytest.raises(ValueError, match="NaN"):
        BayesianGaussianMixture(2).fit(np.where(X[0, 0] == X, np.nan, X))


def test_impossible_posteriors_are_not_saved(tmp_path):
    model = BayesianGaussianMixture(2, random_state=0).fit(load_wine().data[:, :3])
    model.mean_precision_ = model.mean_precision_ - 200
    with pytest.raises(ValueError, match="mean_precision_ is below"):  # by what `load` checks, too
        gmmlab.save(model, tmp_path / "bad.safetensors")
