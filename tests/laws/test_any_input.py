"""Whatever finite rows come in, a fit ends with a valid model and a likelihood that never fell."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gmmlab import GaussianMixture

numbers = st.floats(-1e6, 1e6, allow_nan=False, width=32)
tables = arrays.arrays(np.float64, st.tuples(st.integers(5, 40), st.integers(1, 4)), elements=numbers, unique=False)


@settings(max_examples=60, deadline=None)
@given(
    X=tables,
    k=st.integers(1, 4),
    kind=st.sampled_from(["full", "tied", "diag", "spherical"]),
    start=st.sampled_from(["kmeans", "k-means++", "random", "random_from_data"]),
    seed=st.integers(0, 5),
)
def test_any_finite_rows_give_a_valid_model(X, k, kind, start, seed):
    model = GaussianMixture(k, covariance_type=kind, init_params=start, random_state=seed, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate rows are warned about; here only the result counts
        labels = model.fit_predict(X)
    assert labels.shape == (len(X),) and labels.max() < k
    assert abs(model.weights_.sum() - 1) < 1e-9 and np.isfinite(model.means_).all()
    assert np.isfinite(model.score_samples(X)).all()
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1, atol=1e-9)
    assert np.array_equal(labels, model.predict(X))
    scale = np.ptp(X, axis=0).max() ** 2
    if scale < 1e4:  # reg_covar is not part of the likelihood: on a scale where it is small, EM is monotone
        bounds = model.lower_bounds_
        assert all(b >= a - 1e-3 for a, b in pairwise(bounds))
