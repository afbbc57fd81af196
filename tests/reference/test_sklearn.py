"""From the same start, our numbers are scikit-learn's.

Both run the same algorithm in float64, so they may differ by rounding only: 1e-10 of the scale of weights, means and
covariances, 1e-8 of that of their inverses, 1e-10 relative for the log-likelihood.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs

from gmmlab import GaussianMixture as Ours
from gmmlab import faithful

DATA = {
    "iris": (lambda: load_iris().data, 3),
    "wine": (lambda: load_wine().data, 3),
    "digits": (lambda: PCA(10, random_state=0).fit_transform(load_digits().data), 10),
    "faithful": (lambda: faithful().to_numpy(float), 2),
}
ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def begin(X: np.ndarray, k: int, covariance_type: str) -> dict:
    """Parameters after one step from a fixed k-means start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = Theirs(k, covariance_type=covariance_type, max_iter=1, random_state=0).fit(X)
    return {"weights_init": first.weights_, "means_init": first.means_, "precisions_init": first.precisions_}


@pytest.fixture(scope="module", params=DATA)
def data(request: pytest.FixtureRequest) -> tuple[np.ndarray, int]:
    make, k = DATA[request.param]
    return make(), k


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_same_start_same_end(data, covariance_type):
    X, k = data
    options = {"covariance_type": covariance_type, "max_iter": 200, **begin(X, k, covariance_type)}
    ours, theirs = Ours(k, **options).fit(X), Theirs(k, **options).fit(X)
    assert ours.n_iter_ == theirs.n_iter_ and ours.converged_ == theirs.converged_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-10)
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-10)
    for name in ATTRIBUTES:
        left, right = getattr(ours, name), getattr(theirs, name)
        assert left.shape == right.shape and left.dtype == right.dtype
        scale = np.abs(right).max()
        tol = 1e-8 if "precision" in name else 1e-10  # an inverse multiplies rounding by the condition number
        np.testing.assert_allclose(left / scale, right / scale, rtol=0, atol=tol, err_msg=name)
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-8)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    for method in ("score", "bic", "aic"):
        assert getattr(ours, method)(X) == pytest.approx(getattr(theirs, method)(X), rel=1e-9)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_parameters_set_by_hand_are_used(data, covariance_type):
    """Code that fills the attributes of an unfitted scikit-learn mixture works with ours."""
    X, k = data
    theirs = Theirs(k, covariance_type=covariance_type, random_state=0, reg_covar=1e-3).fit(X)
    ours = Ours(k, covariance_type=covariance_type)
    for name in ATTRIBUTES:
        setattr(ours, name, getattr(theirs, name))
    ours.n_features_in_ = X.shape[1]
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-8, atol=1e-8)


def test_same_constructor_and_parameters():
    theirs, ours = Theirs().get_params(), Ours().get_params()
    assert {name: ours[name] for name in theirs} == {**theirs, "init_params": "auto"}
    fitted = [set(vars(kind().fit(load_iris().data))) for kind in (Theirs, Ours)]
    assert fitted[0] <= fitted[1]


def test_bad_parameters_are_refused_in_the_same_words():
    X = load_iris().data
    cases = [
        {"n_components": 0},
        {"covariance_type": "ball"},
        {"init_params": "magic"},
        {"tol": -1.0},
        {"weights_init": [0.5, 0.6]},
        {"weights_init": [1.5, -0.5]},
        {"means_init": np.zeros((3, 4))},
        {"precisions_init": -np.ones((2, 4, 4))},
        {"covariance_type": "diag", "precisions_init": -np.ones((2, 4))},
    ]
    for case in cases:
        options = {"n_components": 2, **case}
        with pytest.raises(ValueError) as theirs:  # noqa: PT011 - compared word by word below
            Theirs(**options).fit(X)
        with pytest.raises(ValueError) as ours:  # noqa: PT011
            Ours(**options).fit(X)
        assert str(ours.value).split()[:6] == str(theirs.value).split()[:6]
