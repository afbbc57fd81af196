"""Fits from one start against pygmmis 1.2.3 (Melchior and Goulding, 2018), whose numbers are stored.

120 made-up rows of two columns with errors of their own, seen plainly and through maps of their own; `floor` is its
parameter w, our `min_sd`. It takes covariances about the mean before the step, we about the one after it, so that the
likelihood of the start and the end are the same, and the steps between are not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gmmlab import DeconvolvedGaussianMixture

STORED = json.loads((Path(__file__).parent / "data" / "pygmmis.json").read_text())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", STORED["cases"])
def test_from_the_same_start_to_the_same_end(name):
    found = STORED["cases"][name]
    model = DeconvolvedGaussianMixture(
        3,
        weights_init=np.full(3, 1 / 3),
        means_init=STORED["start"],
        precisions_init=np.stack([np.eye(2)] * 3),
        reg_covar=0.0,
        tol=1e-13,
        max_iter=3000,
        min_sd=found["w"],
    )
    x, errors = np.array(found["x"]), np.array(STORED["cov"])
    maps = None if found["R"] is None else np.array(found["R"])
    first = next(model.steps(x, errors, maps))
    assert first.info.evidence * len(x) == pytest.approx(found["first"], rel=1e-12)
    model.fit(x, errors=errors, projection=maps)
    assert model.score(x, errors=errors, projection=maps) * len(x) == pytest.approx(found["loglik"], abs=1e-5)
    np.testing.assert_allclose(model.weights_, found["amp"], atol=1e-4)  # the end of 1,500 steps, some ridges are slow
    np.testing.assert_allclose(model.means_, found["mean"], atol=1e-3)
    np.testing.assert_allclose(model.covariances_, found["cov"], atol=1e-3)
