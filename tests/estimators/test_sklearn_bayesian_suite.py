"""scikit-learn's own tests of its Bayesian mixture, with our class in the place of theirs.

All tests that use public names run; those that call private functions of scikit-learn are left out, by name.
"""

from __future__ import annotations

import importlib.util

import pytest

from gmmlab import BayesianGaussianMixture

LEFT_OUT = {
    "test_log_dirichlet_norm": "a private function of theirs",
    "test_log_wishart_norm": "a private function of theirs",
    "test_compare_covar_type": "calls _check_parameters and _initialize_parameters",
}

_spec = importlib.util.find_spec("sklearn.mixture.tests.test_bayesian_mixture")
assert _spec is not None and _spec.loader is not None
_suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_suite)
_suite.BayesianGaussianMixture = BayesianGaussianMixture

globals().update(
    {name: test for name, test in vars(_suite).items() if name.startswith("test_") and name not in LEFT_OUT}
)
pytestmark = pytest.mark.filterwarnings("ignore")


def test_what_is_left_out_exists():
    assert set(LEFT_OUT) <= set(vars(_suite))
