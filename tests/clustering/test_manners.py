"""scikit-learn's manners, for every clusterer."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab.clustering import (
    CategoryDiscoveryGMM,
    MeanShift,
    ModalClustering,
    PartitivePartitioning,
    SampledGaussianMixture,
    SDPClustering,
    TangleClustering,
)

CLUSTERERS = [
    CategoryDiscoveryGMM(),
    MeanShift(),
    ModalClustering(),
    PartitivePartitioning(min_size=5),
    SampledGaussianMixture(n_samples=5, burn_in=2),
    SDPClustering(solver="low_rank"),
    TangleClustering(),
]


EQUAL = "check_sample_weight_equivalence_on_dense_data"
EXPECTED = {
    CategoryDiscoveryGMM: {EQUAL: "a weight of 0 is refused"},
    SampledGaussianMixture: {EQUAL: "draws of rows in another order are other ones; a weight of 0 is refused"},
}


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks(CLUSTERERS, expected_failed_checks=lambda each: EXPECTED.get(type(each), {}))
def test_scikit_learns_checks(estimator, check):
    check(estimator)
