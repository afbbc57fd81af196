"""Factors and noise with scikit-learn's manners."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import FactorAnalysis
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import FactorMixture, GaussianMixture
from gmmlab.estimators.factor_mixture import NOISES
from gmmlab.plot.ellipses import ellipses

IRIS = load_iris(as_frame=True).data
X = IRIS.to_numpy()


# scikit-learn skips its own array-API check unless SCIPY_ARRAY_API is set
@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@parametrize_with_checks([FactorMixture()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def many_columns(n: int = 600, d: int = 80, q: int = 2, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Groups that overlap in every column and every pair of them, with factors of their own."""
    rng = np.random.default_rng(0)
    z = rng.integers(0, k, n)
    mean, loadings = 0.3 * rng.normal(size=(k, d)), rng.normal(size=(k, d, q))
    noise = rng.normal(size=(n, d)) * rng.uniform(0.3, 1, (k, d))[z]
    return mean[z] + np.einsum("ndq,nq->nd", loadings[z], rng.normal(size=(n, q))) + noise, z


@pytest.fixture(scope="module")
def wide() -> tuple[np.ndarray, np.ndarray]:
    return many_columns()


def test_groups_of_many_columns_come_out(wide):
    rows, truth = wide
    model = FactorMixture(3, n_factors=2, random_state=0).fit(rows)
    assert model.converged_ and adjusted_rand_score(truth, model.predict(rows)) == 1
    assert np.all(np.diff(model.lower_bounds_) > -1e-9)
    # (d, d) covariances have 9,720 parameters for these 48,000 numbers
    assert model._n_parameters() == 2 + 3 * (80 + 80 + 80 * 2 - 1)
    densities = [multivariate_normal(m, s).logpdf(rows) for m, s in zip(model.means_, model.covariances_, strict=True)]
    expected = np.logaddexp.reduce(np.log(model.weights_)[:, None] + densities, axis=0)
    np.testing.assert_allclose(model.score_samples(rows), expected, rtol=1e-9)
    drawn, z = FactorMixture.from_mixture(model.mixture_, random_state=0).sample(20_000)
    np.testing.assert_allclose(np.cov(drawn[z == 0].T), model.covariances_[0], atol=0.6)


def test_one_component_is_factor_analysis():
    rows, _ = many_columns(300, d=10, k=1)
    theirs = FactorAnalysis(2, tol=1e-12, max_iter=20_000, svd_method="lapack").fit(rows)
    ours = FactorMixture(n_factors=2, reg_covar=0, tol=1e-9, max_iter=500).fit(rows)
    assert ours.score(rows) == pytest.approx(theirs.score(rows), abs=1e-6)
    # scores are those of theirs up to a rotation
    mine, other = ours.transform(rows), theirs.transform(rows)
    np.testing.assert_allclose(mine @ np.linalg.lstsq(mine, other, rcond=None)[0], other, atol=1e-2)
    # and by definition
    precision = np.linalg.inv(ours.covariances_[0])
    np.testing.assert_allclose(mine, (rows - ours.means_) @ precision @ ours.loadings_[0], atol=1e-8)


def test_factors_of_several_components_count_with_their_probability():
    model = FactorMixture(2, n_factors=2, random_state=0).fit(X)
    parts = model.transform(X).reshape(len(X), 2, 2)
    resp = model.predict_proba(X)
    for k in range(2):
        precision = np.linalg.inv(model.covariances_[k])
        scores = (X - model.means_[k]) @ precision @ model.loadings_[k]
        np.testing.assert_allclose(parts[:, k], resp[:, [k]] * scores, atol=1e-8)


@pytest.mark.parametrize("kind", sorted(NOISES))
def test_every_noise_climbs_and_is_what_it_says(kind):
    model = FactorMixture(3, noise_covariance=kind, random_state=0, tol=1e-4, max_iter=500).fit(X)
    assert np.all(np.diff(model.lower_bounds_) > -1e-9) and model.converged_
    noise = model.noise_variances_
    alike = {
        "across columns": np.allclose(noise, noise[:, :1]),
        "across components": np.allclose(noise, noise[:1]),
    }
    assert alike == {
        "across columns": kind in ("spherical", "EII", "VII"),
        "across components": kind in ("EII", "EEI"),
    }
    assert model.mixture_.components.gaussian.structure == FactorMixture.from_mixture(model.mixture_)._structure()


def test_constraints_order_the_likelihoods():
    """From one partition to the end: a model that holds another fits no worse."""
    options = {"init_params": load_iris().target, "tol": 1e-6, "max_iter": 1000}
    kinds = ("EII", "EEI", "VII", "VVI", "diag")
    fits = {kind: FactorMixture(3, noise_covariance=kind, **options).fit(X).score(X) for kind in kinds}
    for small, large in [("EII", "VII"), ("EII", "EEI"), ("EEI", "VVI"), ("VII", "VVI")]:
        assert fits[small] < fits[large], (small, large)
    assert fits["diag"] == pytest.approx(fits["VVI"], rel=1e-12)


def test_weights_of_rows_are_replication():
    times = np.random.default_rng(0).integers(0, 3, len(X))
    begin = FactorMixture(2, n_factors=1, random_state=0, max_iter=0).fit(X)
    labels = begin.predict(X)
    weighted = FactorMixture(2, init_params=labels).fit(X, sample_weight=times)
    repeated = FactorMixture(2, init_params=np.repeat(labels, times)).fit(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-6)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-4, atol=1e-6)


def test_outliers_are_noise():
    rng = np.random.default_rng(0)
    rows = np.concatenate([X, rng.uniform(-20, 30, (15, 4))])
    begin = np.concatenate([np.minimum(load_iris().target, 1), np.full(15, -1)])
    model = FactorMixture(2, noise=True, init_params=begin, random_state=0, tol=1e-4, max_iter=500).fit(rows)
    assert (model.predict(rows)[150:] == -1).sum() >= 13 and (model.predict(rows)[:150] >= 0).all()
    assert model.weights_.sum() + model.noise_weight_ == pytest.approx(1)
    assert np.abs(model.transform(rows)[150:]).max() < 10, "outliers load no factor"


def test_fits_go_on_are_kept_and_named():
    model = FactorMixture(2, n_factors=2, random_state=0, warm_start=True, max_iter=5, tol=0)
    with pytest.warns(UserWarning, match="did not converge"):
        first = model.fit(IRIS).lower_bound_
    with pytest.warns(UserWarning, match="did not converge"):
        assert model.fit(IRIS).lower_bound_ >= first
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(IRIS), model.transform(IRIS))
    with pytest.raises(ValueError, match="warm_start goes on from loadings_"):
        model.set_params(n_factors=1).fit(IRIS)


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
def test_output_can_be_a_frame():
    frame = make_pipeline(StandardScaler(), FactorMixture(2, random_state=0)).set_output(transform="pandas")
    assert list(frame.fit_transform(IRIS).columns) == ["factormixture0", "factormixture1"]


def test_tensors_and_float32_come_back_as_they_went_in():
    x = torch.tensor(X, dtype=torch.float32)
    model = FactorMixture(2, random_state=0).fit(x)
    for value in (model.loadings_, model.noise_variances_, model.covariances_, model.transform(x), model.sample(3)[0]):
        assert isinstance(value, torch.Tensor) and value.dtype == torch.float32
    double = FactorMixture(2, random_state=0).fit(X)
    assert float(model.score(x)) == pytest.approx(double.score(X), abs=1e-3)


def test_condition_numbers_are_bounds():
    model = FactorMixture(2, n_factors=2, random_state=0).fit(X)
    exact = np.linalg.cond(model.covariances_)
    assert np.all(model.certificate_.condition >= exact * (1 - 1e-9)) and np.all(exact > 0)
    one = FactorMixture(2, n_factors=2, noise_covariance="spherical", random_state=0).fit(X)
    np.testing.assert_allclose(one.certificate_.condition, np.linalg.cond(one.covariances_), rtol=1e-6)


def test_pictures_show_factors_and_noise():
    model = FactorMixture(2, random_state=0).fit(X)
    factor = ellipses(model.mixture_, (2, 0)).factor.numpy()
    np.testing.assert_allclose(factor @ factor.swapaxes(1, 2), model.covariances_[:, [2, 0]][:, :, [2, 0]], rtol=1e-9)


def test_what_cannot_be_fitted_gets_a_sentence():
    with pytest.raises(ValueError, match="n_factors=4 and n_features = 4: expected fewer factors"):
        FactorMixture(n_factors=4).fit(X)
    with pytest.raises(ValueError, match="noise_covariance"):
        FactorMixture(noise_covariance="full").fit(X)
    with pytest.raises(ValueError, match="NaN"):
        FactorMixture().fit(np.where(X[0, 0] == X, np.nan, X))
    with pytest.raises(TypeError, match="Expected a mixture of factor analysers, got one of Gaussian"):
        FactorMixture.from_mixture(GaussianMixture(random_state=0).fit(X).mixture_)


def test_the_start_sees_no_units():
    wine = load_wine().data
    options = {"n_factors": 2, "random_state": 0, "tol": 1e-4, "max_iter": 500}
    scale = np.logspace(-3, 3, wine.shape[1])
    plain = FactorMixture(3, reg_covar=0, **options).fit(wine)
    scaled = FactorMixture(3, reg_covar=0, **options).fit(wine * scale)
    assert adjusted_rand_score(plain.predict(wine), scaled.predict(wine * scale)) == 1
