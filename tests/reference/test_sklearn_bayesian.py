"""From the same start, our posteriors are scikit-learn's.

Both run the same updates in float64, and end after as many steps: they may differ by rounding only, 1e-10 of the scale
of an attribute (1e-8 of inverses). What decides is that n_iter_ is equal: the bounds agree to 1e-11.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.mixture import BayesianGaussianMixture as Theirs

from gmmlab import BayesianGaussianMixture as Ours

DATA = {
    "iris": (lambda: load_iris().data, 6),
    "wine": (lambda: load_wine().data, 5),
    "digits": (lambda: PCA(10, random_state=0).fit_transform(load_digits().data), 12),
}
KINDS = ("dirichlet_process", "dirichlet_distribution")
ATTRIBUTES = (
    *("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "mean_precision_"),
    *("degrees_of_freedom_", "weight_concentration_", "weight_concentration_prior_", "mean_precision_prior_"),
    *("mean_prior_", "degrees_of_freedom_prior_", "covariance_prior_"),
)


@pytest.fixture(scope="module", params=DATA)
def data(request: pytest.FixtureRequest) -> tuple[np.ndarray, int, np.ndarray]:
    """Rows, a number of components, and the labels that scikit-learn starts from with seed 0."""
    make, k = DATA[request.param]
    x = make()
    return x, k, KMeans(k, n_init=1, random_state=np.random.RandomState(0)).fit(x).labels_


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_same_start_same_end(data, covariance_type, kind):
    x, k, labels = data
    options = {"covariance_type": covariance_type, "weight_concentration_prior_type": kind, "max_iter": 300}
    theirs = Theirs(n_components=k, random_state=0, **options).fit(x)
    ours = Ours(n_components=k, init_params=labels, **options).fit(x)
    assert ours.n_iter_ == theirs.n_iter_ and ours.converged_ == theirs.converged_
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(theirs.lower_bounds_), rtol=1e-9)
    for name in ATTRIBUTES:
        left, right = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        assert left.shape == right.shape
        tol = 1e-8 if "precisions" in name else 1e-10
        np.testing.assert_allclose(
            left / np.abs(right).max(), right / np.abs(right).max(), rtol=0, atol=tol, err_msg=name
        )
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.score_samples(x), theirs.score_samples(x), rtol=1e-8, atol=1e-8)
    assert np.array_equal(ours.predict(x), theirs.predict(x))
    assert ours.sample(5)[0].shape == theirs.sample(5)[0].shape


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_given_priors_are_used_as_theirs(covariance_type):
    x, _, k = load_iris().data, None, 3
    labels = KMeans(k, n_init=1, random_state=np.random.RandomState(0)).fit(x).labels_
    scale = {"full": 2 * np.eye(4) + 0.5, "tied": np.eye(4), "diag": np.arange(1.0, 5), "spherical": 0.7}[
        covariance_type
    ]
    options = {
        "weight_concentration_prior": 0.4,
        "mean_precision_prior": 0.2,
        "mean_prior": [5.0, 3.0, 4.0, 1.0],
        "degrees_of_freedom_prior": 7.5,
        "covariance_prior": scale,
        "covariance_type": covariance_type,
        "reg_covar": 0.0,
        "tol": 1e-6,
        "max_iter": 1000,
    }
    theirs = Theirs(n_components=k, random_state=0, **options).fit(x)
    ours = Ours(n_components=k, init_params=labels, **options).fit(x)
    for name in ATTRIBUTES:
        left, right = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-9, err_msg=name)


def test_same_constructor_and_attributes():
    theirs, ours = Theirs().get_params(), Ours().get_params()
    assert {name: ours[name] for name in theirs} == theirs
    fitted = [set(vars(kind().fit(load_iris().data))) for kind in (Theirs, Ours)]
    assert fitted[0] <= fitted[1]
