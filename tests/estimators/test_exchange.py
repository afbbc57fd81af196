"""A mixture handed to scikit-learn, or taken from it, gives the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture import GaussianMixture as Theirs

from gmmlab import GaussianMixture as Ours
from gmmlab.estimators.exchange import from_sklearn, to_sklearn

FRAME = load_iris(as_frame=True).data
X = FRAME.to_numpy()
KINDS = ["full", "tied", "diag", "spherical"]
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "converged_", "n_iter_")


def same(left, right):
    np.testing.assert_allclose(left.score_samples(FRAME), right.score_samples(FRAME), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(left.predict_proba(FRAME), right.predict_proba(FRAME), rtol=0, atol=1e-10)
    assert np.array_equal(left.predict(FRAME), right.predict(FRAME))
    for method in ("score", "bic", "aic"):
        assert getattr(left, method)(FRAME) == pytest.approx(getattr(right, method)(FRAME), rel=1e-10)
    for name in FITTED:
        assert np.array_equal(getattr(left, name), getattr(right, name))
    assert left.lower_bound_ == right.lower_bound_
    theirs, ours = sorted((left.get_params(), right.get_params()), key=len)
    shared = set(theirs) - {"init_params"}  # ours has a default that theirs does not know
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}
    assert list(left.feature_names_in_) == list(FRAME.columns)


@pytest.mark.parametrize("kind", KINDS)
def test_there(kind):
    ours = Ours(3, covariance_type=kind, init_params="kmeans", random_state=0, tol=1e-4).fit(FRAME)
    same(to_sklearn(ours), ours)


@pytest.mark.parametrize("kind", KINDS)
def test_and_back(kind):
    theirs = Theirs(3, covariance_type=kind, random_state=0, tol=1e-4).fit(FRAME)
    ours = from_sklearn(theirs)
    same(ours, theirs)
    same(to_sklearn(ours), theirs)
    theirs.means_[:] = 0
    assert float(np.abs(ours.means_).max()) > 0, "no array is shared"


@pytest.mark.parametrize("kind", KINDS)
def test_the_point_estimate_of_a_bayesian_mixture(kind):
    theirs = BayesianGaussianMixture(n_components=3, covariance_type=kind, random_state=0, max_iter=500).fit(X)
    ours = from_sklearn(theirs)
    assert np.array_equal(ours.means_, theirs.means_) and np.array_equal(ours.covariances_, theirs.covariances_)
    density = Theirs(3, covariance_type=kind)
    for name in FITTED[:5]:
        setattr(density, name, getattr(theirs, name))
    np.testing.assert_allclose(ours.score_samples(X), density.score_samples(X), rtol=1e-10, atol=1e-10)
    assert ours.lower_bound_ == -np.inf and ours.tol == theirs.tol


def test_tensors_become_arrays():
    ours = Ours(2, random_state=0).fit(torch.tensor(X, dtype=torch.float32))
    theirs = to_sklearn(ours)
    assert theirs.means_.dtype == np.float32 and isinstance(theirs.means_, np.ndarray)
    np.testing.assert_allclose(theirs.score_samples(X), ours.score_samples(X), rtol=1e-4)


def test_what_scikit_learn_would_refuse_is_left_at_its_default():
    ours = Ours(3, random_state=0).fit(X)
    ours.init_params = np.zeros(150)
    theirs = to_sklearn(ours)
    assert theirs.init_params == "kmeans" and theirs.fit(X).converged_


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="was given a KMeans; expected a GaussianMixture"):
        from_sklearn(KMeans())
    for convert, model in ((from_sklearn, Theirs()), (to_sklearn, Ours())):
        with pytest.raises(NotFittedError):
            convert(model)
