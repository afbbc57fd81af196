"""From mclust's parameters, our criteria are the numbers that mclust prints.

The fits are ones whose parameters give back mclust's log-likelihood (elsewhere it returns parameters that are one
M-step ahead of its responsibilities), so that all must agree to rounding: 1e-9 relative.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_iris

from gmmlab import Gaussian, Mixture, faithful
from gmmlab.gates import Constant
from gmmlab.score import bic, doubt, entropy, icl, mclust_sign

FITS = json.loads((Path(__file__).parent / "data" / "mclust_fits.json").read_text())
DATA = {"iris": lambda: load_iris().data, "faithful": lambda: faithful().to_numpy(float)}
CASES = [(data, name) for data in DATA for name in FITS[data]]


@pytest.mark.parametrize(("data", "name"), CASES, ids=[" ".join(case) for case in CASES])
def test_bic_and_icl_are_those_of_mclust(data, name):
    fit, x = FITS[data][name], torch.tensor(DATA[data](), dtype=torch.float64)
    tensors = {key: torch.tensor(fit[key], dtype=torch.float64) for key in ("weights", "means", "covariances")}
    components = Gaussian.of(tensors["means"], tensors["covariances"], origin=x.mean(0))
    posterior = Mixture(components, Constant.of(tensors["weights"])).posterior(x)
    loglik = float(posterior.evidence.sum())
    assert loglik == pytest.approx(fit["loglik"], rel=1e-9)
    assert mclust_sign(bic(loglik, fit["df"], len(x))) == pytest.approx(fit["bic"], rel=1e-9)
    assert mclust_sign(icl(loglik, fit["df"], len(x), doubt(posterior.resp))) == pytest.approx(fit["icl"], rel=1e-9)
    soft = mclust_sign(icl(loglik, fit["df"], len(x), entropy(posterior.resp)))
    assert soft <= fit["icl"] <= fit["bic"]
