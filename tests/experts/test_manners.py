"""scikit-learn's manners, for every estimator of experts."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab.experts import GMRegressor, LogisticMoE, SoftmaxMoE, TopKMoE

ESTIMATORS = [
    SoftmaxMoE(n_init=1, max_iter=30, tol=1e-4),
    TopKMoE(2, 1, n_init=1, max_iter=20, tol=1e-4),
    LogisticMoE(n_init=1, max_iter=20, tol=1e-4),
    GMRegressor(2),
]


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda _: {
        "check_sample_weight_equivalence_on_dense_data": "starts are drawn among the rows, which differ"
    },
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
