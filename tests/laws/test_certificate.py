"""What a certificate says is true of the fit."""

from __future__ import annotations

import math

import cases
import pytest
import torch

import gmmlab
from gmmlab.fit import plateau, run, whole
from gmmlab.fit.certificate import aitken_gap, certify
from gmmlab.init import METHODS, start


def test_gap_of_a_geometric_sequence_is_exact():
    trace = [1 - 0.9**i for i in range(10)]
    assert aitken_gap(trace) == pytest.approx(1 - trace[-1], rel=1e-9)
    assert aitken_gap(trace[:2]) == math.inf
    assert aitken_gap([0.0, 1.0, 3.0]) == math.inf  # still speeding up
    assert aitken_gap([0.0, 1.0, 1.0]) == 0.0
    assert aitken_gap([-3.0, -3.0]) == aitken_gap([-3.0, -3.0 + 4e-16]) == 0.0  # as a fit of one component does


def test_gap_foretells_the_rest_of_a_slow_fit(rng):
    x = cases.blobs(rng, d=2, k=3, spread=1.0)
    model = start(x, 3, cases.STRUCTURES["VVV"], METHODS["kmeans"], rng)
    trace = [step.info.evidence for step in run(model, whole(x), stop=plateau(1e-13))]
    middle = len(trace) // 2
    assert aitken_gap(trace[:middle]) == pytest.approx(trace[-1] - trace[middle - 1], rel=0.5)


def test_certificate_of_a_fit(structure, rng, dtype):
    x = cases.blobs(rng).to(dtype)
    model = start(x, 3, structure, METHODS["kmeans"], rng)
    steps = list(run(model, whole(x), stop=plateau(1e-4)))
    found = certify(steps[-1].model, [step.info.evidence for step in steps], float(len(x)), converged=True)
    assert 0 <= found.last_gain < 1e-4 and found.dtype == dtype
    values = torch.linalg.eigvalsh(steps[-1].model.gaussian.cov)
    assert found.condition == pytest.approx((values[:, -1] / values[:, 0]).tolist(), rel=1e-6)
    assert found.smallest == pytest.approx(len(x) * float(steps[-1].model.weights.min()))
    assert "converged: last gain" in str(found) and "added" not in str(found)
    assert "NOT converged" in str(found._replace(converged=False, jitter=1e-3))
    assert "0.001 added" in str(found._replace(jitter=1e-3))


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_components_that_collapsed_are_named(kind, rng):
    x = cases.blobs(rng, n=200, d=2, k=2)
    x[150:] = torch.tensor([40.0, 40.0])  # the same row, again and again
    found = gmmlab.GaussianMixture(3, covariance_type=kind, random_state=0).fit(x).certificate_
    (k,) = found.collapsed
    assert f"flat as reg_covar allows: component {k}" in str(found)
    sound = gmmlab.GaussianMixture(2, covariance_type=kind, random_state=0).fit(x[:150]).certificate_
    assert list(sound.collapsed) == [] and "flat" not in str(sound)


def test_factor_analysers_have_no_ridge_to_be_flat_by(rng):
    x = cases.blobs(rng, n=100, d=3)
    assert list(gmmlab.FactorMixture(2, n_factors=1, random_state=0).fit(x).certificate_.collapsed) == []
