"""Regressions and courses against gmr 2.0.3 (Fabisch, 2021) and nnmnkwii 0.1.3 (Yamamoto), whose numbers are stored.

One mixture of four columns (x, its slope, y, its slope) in which each output hangs on one input: only of such
covariances does `nnmnkwii.baseline.gmm.MLPG` take the conditional variances. "gmr" is what `gmr.GMM(...)` gives for
`predict([0, 1], x)` of six frames and for `condition([1], [0.3])`; "MLPG" what `MLPG(gmm, windows).transform(x)` gives,
and `diff=True`; "mlpg" is `paramgen.mlpg` of means and variances, of which those of slopes and bends at both ends were
1e12: beyond the ends a course is zero there, and stays as it is here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gmmlab import GaussianMixture
from gmmlab.experts import GMRegressor, trajectory
from gmmlab.experts.trajectory import BEND, LEVEL, SLOPE
from gmmlab.families import Blocks, Gaussian
from gmmlab.gates import Constant
from gmmlab.model import Mixture

STORED = {
    name: {key: np.array(value) if isinstance(value, list) else value for key, value in found.items()}
    for name, found in json.loads((Path(__file__).parent / "data" / "gmr.json").read_text()).items()
}


@pytest.fixture
def features():
    x = torch.from_numpy(STORED["MLPG"]["x"])[:, None]
    return trajectory.with_windows(x, [LEVEL, SLOPE])


@pytest.fixture
def model(features):
    """A regression with the stored parameters."""
    mean, cov, weights = (torch.from_numpy(STORED["MLPG"][name]) for name in ("means", "covariances", "weights"))
    mixture = Mixture(Gaussian.of(mean, cov, Blocks([[0, 2], [1, 3]])), Constant.of(weights))
    found = GMRegressor(1).fit(features, features.flip(0))
    found.joint_ = GaussianMixture.from_mixture(mixture)
    return found


def test_predictions_and_conditions(model, features):
    stored = STORED["gmr"]["condition"]
    np.testing.assert_allclose(model.predict(features[:6]), STORED["gmr"]["predict"], rtol=1e-12)
    found = model.condition([1], [[0.3]])
    np.testing.assert_allclose(found.log_w[0].exp(), stored["priors"], rtol=1e-12)
    np.testing.assert_allclose(found.mean[0], stored["means"], rtol=1e-12)
    np.testing.assert_allclose(found.chol[0] @ found.chol[0].mT, stored["covariances"], rtol=1e-12, atol=1e-15)


def test_courses_of_a_model(model, features):
    """But for the ends, whose effect halves with every frame or so."""
    inner = slice(20, -20)
    course = model.predict_trajectory(features, [LEVEL, SLOPE])[:, 0]
    np.testing.assert_allclose(course[inner], STORED["MLPG"]["course"][inner], rtol=1e-7)
    change = model.to_diff().predict_trajectory(features, [LEVEL, SLOPE])[:, 0]
    np.testing.assert_allclose(change[inner], STORED["MLPG"]["diff"][inner], rtol=1e-7)


def test_courses_of_means_and_variances():
    """To the weight of 1e-12 that the ends have left there."""
    mean, variance = (torch.from_numpy(STORED["mlpg"][name]) for name in ("mean", "variance"))
    variance[[0, -1], 2:] = 1e12
    for j in (0, 1):
        course = trajectory.most_likely(mean[:, j::2], variance[:, j::2], [LEVEL, SLOPE, BEND])
        np.testing.assert_allclose(course, STORED["mlpg"]["course"][:, j], rtol=1e-9)
