"""Heavy tails with scikit-learn's manners."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_t
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import GaussianMixture, StudentMixture


# scikit-learn skips its own array-API check unless SCIPY_ARRAY_API is set
@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@parametrize_with_checks([StudentMixture()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def tails() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = [[1.0, 0.5], [0.5, 2.0]]
    return np.concatenate([multivariate_t(m, shape, 3, seed=rng).rvs(500) for m in ([0, 0], [12, 0])]), np.repeat(
        [0, 1], 500
    )


def test_centres_scales_and_degrees_of_freedom_come_out(tails):
    rows, truth = tails
    model = StudentMixture(2, random_state=0, tol=1e-6, max_iter=500).fit(rows)
    order = np.argsort(model.means_[:, 0])
    np.testing.assert_allclose(model.means_[order], [[0, 0], [12, 0]], atol=0.2)
    np.testing.assert_allclose(model.covariances_[order], [[[1.0, 0.5], [0.5, 2.0]]] * 2, atol=0.35)
    assert model.dofs_ == pytest.approx(3, abs=1)
    assert adjusted_rand_score(truth, model.predict(rows)) > 0.97
    assert np.all(np.diff(model.lower_bounds_) > -1e-12)
    plain = GaussianMixture(2, random_state=0, tol=1e-6, max_iter=500).fit(rows)
    assert model.bic(rows) < plain.bic(rows)
    densities = [
        multivariate_t(m, s, v).pdf(rows[:20])
        for m, s, v in zip(model.means_, model.covariances_, model.dofs_, strict=True)
    ]
    np.testing.assert_allclose(model.score_samples(rows[:20]), np.log(model.weights_ @ densities), rtol=1e-8)


def test_degrees_of_freedom_may_be_common_or_given(tails):
    rows, _ = tails
    common = StudentMixture(2, dof="common", random_state=0).fit(rows)
    assert common.dofs_[0] == common.dofs_[1] and common._n_parameters() == 12
    given = StudentMixture(2, dof=1e6, random_state=0, tol=1e-8, max_iter=1000).fit(rows)
    assert given.dofs_.tolist() == [1e6, 1e6] and given._n_parameters() == 11
    gauss = GaussianMixture(2, init_params=given.predict_proba(rows), tol=1e-8, max_iter=1000).fit(rows)
    assert given.score(rows) == pytest.approx(gauss.score(rows), abs=1e-4)
    with pytest.raises(ValueError, match="dof"):
        StudentMixture(2, dof=-1).fit(rows)


def test_fits_go_on_are_kept_and_drawn_from(tails):
    rows, _ = tails
    model = StudentMixture(2, random_state=0, warm_start=True, max_iter=20, tol=0)
    with pytest.warns(UserWarning, match="did not converge"):
        first = model.fit(rows).lower_bound_
    with pytest.warns(UserWarning, match="did not converge"):
        assert model.fit(rows).lower_bound_ >= first
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    drawn = model.sample(4000)[0]
    assert np.abs(drawn).max() > 25, "tails are heavy"
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(np.arange(2000).reshape(1000, 2) == 3, np.nan, rows))
