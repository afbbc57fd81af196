"""Variational posteriors and bounds against bnpy 0.1.7 (Hughes and Sudderth, 2014), whose numbers are stored.

Sixty made-up rows about three centres, five components, the same responsibilities to begin with. Both run the same
updates in float64, so that they agree to what was stored of the numbers, twelve digits. bnpy breaks no last stick to
its end; the last component is empty in the end, where that makes no difference, and not before.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gmmlab import BayesianGaussianMixture

STORED = json.loads((Path(__file__).parent / "data" / "bnpy.json").read_text())
X = np.array(STORED["x"])


def fitted(kind: str) -> BayesianGaussianMixture:
    """The same number of steps as bnpy has taken, unless rounding has ended them."""
    alpha = STORED["concentration"][kind]
    return BayesianGaussianMixture(
        5,
        weight_concentration_prior_type=kind,
        weight_concentration_prior=alpha / 5 if kind == "dirichlet_distribution" else alpha,
        mean_prior=STORED["m"],
        mean_precision_prior=STORED["kappa"],
        degrees_of_freedom_prior=STORED["nu"],
        covariance_prior=np.array(STORED["B"]),
        init_params=np.array(STORED["resp"]),
        reg_covar=0.0,
        tol=1e-12,
        max_iter=25,
    ).fit(X)


@pytest.mark.parametrize("kind", STORED["fits"])
def test_from_the_same_start_to_the_same_posterior(kind):
    model, found = fitted(kind), STORED["fits"][kind]
    np.testing.assert_allclose(model.means_, found["m"], atol=1e-8)
    np.testing.assert_allclose(model.degrees_of_freedom_, found["nu"], rtol=1e-8)
    np.testing.assert_allclose(model.mean_precision_, found["kappa"], rtol=1e-8)
    scales = model.covariances_ * model.degrees_of_freedom_[:, None, None]
    np.testing.assert_allclose(scales, found["B"], atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(X), found["resp"], atol=1e-8)
    ours, theirs = np.array(model.weight_concentration_), np.array(found["weights"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


@pytest.mark.parametrize("kind", STORED["fits"])
def test_the_whole_bound_is_theirs(kind):
    """Not only up to a constant; and, for weights without an order, in every step."""
    model, bounds = fitted(kind), np.array(STORED["fits"][kind]["bounds"]) * X.size
    assert model.elbo_ == pytest.approx(bounds[-1], abs=1e-8)
    if kind == "dirichlet_distribution":
        steps = np.array(model.lower_bounds_) + model.elbo_ - model.lower_bound_
        np.testing.assert_allclose(steps, bounds[1 : len(steps) + 1], atol=1e-8)
