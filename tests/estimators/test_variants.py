"""Variants of EM behind the estimators: incremental, and with split-and-merge moves; models with noise go on."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from gmmlab import FactorMixture, GaussianMixture, StudentMixture
from gmmlab.data import stream
from gmmlab.errors import BadData

X = load_iris().data


@pytest.mark.parametrize("model", [GaussianMixture(2), StudentMixture(2, dof=5.0)], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("size", [13, 50, 1000])
def test_batches_end_where_em_does(model, size):
    plain = clone(model).set_params(random_state=0, tol=1e-10, max_iter=1000).fit(X)
    inc = clone(plain).set_params(batch_size=size).fit(X)
    assert inc.converged_
    np.testing.assert_allclose(inc.means_, plain.means_, rtol=1e-5)
    np.testing.assert_allclose(inc.covariances_, plain.covariances_, rtol=1e-3, atol=1e-6)
    assert inc.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)
    assert inc.score(X) == pytest.approx(inc.lower_bound_, abs=1e-8), "it stands still: the evidence does not lag"
    if size == 1000:  # one batch is EM
        np.testing.assert_allclose(inc.lower_bounds_, plain.lower_bounds_, rtol=1e-12)


def test_batches_need_fewer_passes_where_em_is_slow():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(m, 1, (500, 2)) for m in (0, 2.5)])
    options = {"random_state": 0, "init_params": "random_from_data", "tol": 1e-5, "max_iter": 2000}
    plain, inc = GaussianMixture(2, **options).fit(rows), GaussianMixture(2, batch_size=100, **options).fit(rows)
    assert inc.n_iter_ < 0.8 * plain.n_iter_
    assert inc.certificate_.converged and inc.certificate_.aitken_gap < 1e-3
    assert inc.n_iter_ == len(inc.lower_bounds_)


def test_batches_count_weights_and_climb_from_every_start():
    times = np.random.default_rng(0).integers(0, 3, len(X))
    labels = GaussianMixture(2, random_state=0).fit(X).predict(X)
    options = {"tol": 1e-9, "max_iter": 1000, "batch_size": 20, "random_state": 0}
    weighted = GaussianMixture(2, init_params=labels, **options).fit(X, sample_weight=times)
    repeated = GaussianMixture(2, init_params=np.repeat(labels, times), **options).fit(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-4)
    best = [
        GaussianMixture(3, init_params="random_from_data", n_init=n, random_state=1, batch_size=30, max_iter=500).fit(X)
        for n in (1, 4)
    ]
    assert best[1].lower_bound_ >= best[0].lower_bound_


def test_batches_that_cannot_be_had_get_a_sentence():
    with pytest.raises(ValueError, match=r"acceleration='squarem' leaps .* batch_size=10"):
        GaussianMixture(2, batch_size=10, acceleration="squarem").fit(X)
    with pytest.raises(BadData, match="batch_size=10 was given with rows that are a stream"):
        GaussianMixture(2, batch_size=10).fit(stream(X))
    with pytest.raises(BadData, match="or have missing entries"):
        GaussianMixture(2, batch_size=10).fit(np.where(X[0, 0] == X, np.nan, X))
    with pytest.raises(ValueError, match="batch_size"):
        GaussianMixture(2, batch_size=0).fit(X)


def bad_start() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The classical one: two components share a cluster, and one stands between two others. Rows, labels, the truth."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [20.0, 0.0], [24.0, 0.0]])
    truth = np.repeat([0, 1, 2], 200)
    rows = centres[truth] + 0.7 * rng.normal(size=(600, 2))
    return rows, np.where(truth == 0, (rows[:, 1] > 0).astype(int), 2), truth


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "VEE"])
def test_moves_leave_the_classical_bad_start(kind):
    rows, begin, truth = bad_start()
    options = {"covariance_type": kind, "tol": 1e-4, "max_iter": 500, "random_state": 0}
    best = GaussianMixture(3, init_params=truth, **options).fit(rows)
    stuck = GaussianMixture(3, init_params=begin, **options).fit(rows)
    assert stuck.score(rows) < best.score(rows) - 0.2, "EM alone stays"
    found = GaussianMixture(3, init_params=begin, split_merge=True, **options).fit(rows)
    assert found.score(rows) == pytest.approx(best.score(rows), abs=2e-3)
    assert found.converged_ and found.certificate_.converged
    assert np.all(np.diff(found.lower_bounds_) > -1e-9) and found.n_iter_ == len(found.lower_bounds_)
    assert 0 <= found.certificate_.last_gain < 1e-4, "the last climb is told of, not the wait for a proposal"


@pytest.mark.parametrize(
    "extra", [{"noise": 0.05}, {"prior": "mclust"}, {"acceleration": "squarem"}, {"batch_size": 50}]
)
def test_moves_go_with_all_the_rest(extra):
    rows, begin, truth = bad_start()
    options = {"tol": 1e-4, "max_iter": 500, "random_state": 0} | extra
    best = GaussianMixture(3, init_params=truth, **options).fit(rows)
    found = GaussianMixture(3, init_params=begin, split_merge=True, **options).fit(rows)
    assert found.score(rows) == pytest.approx(best.score(rows), abs=2e-3)
    assert hasattr(found, "noise_weight_") == ("noise" in extra)
    assert found.mixture_.n_parameters == best.mixture_.n_parameters


def test_moves_see_gaps_streams_and_weights():
    rows, begin, truth = bad_start()
    options = {"tol": 1e-4, "max_iter": 500, "random_state": 0, "init_params": begin, "split_merge": True}
    best = GaussianMixture(3, init_params=truth, tol=1e-4).fit(rows).score(rows)
    gaps = np.where(np.random.default_rng(1).random(rows.shape) < 0.02, np.nan, rows)
    assert GaussianMixture(3, **options).fit(gaps).score(rows) == pytest.approx(best, abs=0.02)
    ones = np.full(len(rows), 2.0)
    assert GaussianMixture(3, **options).fit(rows, sample_weight=ones).score(rows) == pytest.approx(best, abs=2e-3)
    means = np.array([[0.0, -0.5], [0.0, 0.5], [22.0, 0.0]])
    streamed = GaussianMixture(3, **options | {"init_params": "kmeans", "means_init": means}).fit(stream(rows))
    assert streamed.score(rows) == pytest.approx(best, abs=2e-3)


def test_two_components_have_no_moves_and_starts_alone_no_steps():
    assert GaussianMixture(2, split_merge=True, random_state=0).fit(X).converged_
    assert GaussianMixture(3, split_merge=True, max_iter=0, random_state=0).fit(X).n_iter_ == 0
    with pytest.warns(ConvergenceWarning):
        assert not GaussianMixture(3, split_merge=True, max_iter=1, random_state=0).fit(X).converged_


@pytest.mark.parametrize("make", [GaussianMixture, StudentMixture, FactorMixture], ids=lambda make: make.__name__)
def test_constructors_say_what_they_take(make):
    signature = inspect.signature(make)
    assert set(signature.parameters) == set(make().get_params())
    kinds = {p.kind for name, p in signature.parameters.items() if name != "n_components"}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY} and make(5).n_components == 5
    assert all(name in make.__doc__ or "GaussianMixture" in make.__doc__ for name in signature.parameters)
    for name, parameter in signature.parameters.items():
        assert getattr(make(), name) is parameter.default or getattr(make(), name) == parameter.default
    assert clone(make(3, tol=0.5)).get_params() == make(3, tol=0.5).get_params()
    with pytest.raises(TypeError, match="unexpected keyword"):
        make(colour="red")


@pytest.mark.parametrize(
    "model",
    [GaussianMixture(2), StudentMixture(2, dof="common"), StudentMixture(2, dof=4.0), FactorMixture(2, n_factors=2)],
    ids=["gaussian", "common dof", "given dof", "factors"],
)
@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])
def test_from_mixture_knows_what_it_was_made_of(model, noise):
    fitted = clone(model).set_params(noise=noise, random_state=0).fit(X)
    again = type(model).from_mixture(fitted.mixture_, random_state=0)
    assert again.get_params() == fitted.get_params()
    np.testing.assert_allclose(again.score_samples(X), fitted.score_samples(X), rtol=1e-9)
    assert again.set_params(warm_start=True).fit(X).lower_bound_ >= fitted.lower_bound_ - 1e-9
