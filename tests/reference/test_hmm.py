"""Hidden Markov models against hmmlearn and statsmodels (versions and numbers in data/hmm.json).

Densities, smoothed states and paths are equal to rounding, and so is every step of EM from a given start. Ends of fits
are equal to what their rules of stopping leave.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from gmmlab.estimators.parameters import COVARIANCES
from gmmlab.families import Gaussian, LinearGaussian
from gmmlab.fit import run, sequences
from gmmlab.gates import Markov
from gmmlab.model import Mixture
from gmmlab.sequences import ARHMM, HMM

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "hmm.json").read_text())
GROWTH = torch.tensor(REFERENCE["growth"], dtype=torch.float64)[:, None]
SMALL = REFERENCE["small"]


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def small(kind: str) -> Mixture:
    start = {name: tensor(value) for name, value in SMALL["start"].items()}
    gaussian = Gaussian.of(start["means"], torch.eye(2).expand(3, 2, 2), COVARIANCES[kind].structure)
    return Mixture(gaussian, Markov.of(start["startprob"], start["transmat"]))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_states_and_paths_are_those_of_hmmlearn(kind):
    source, theirs = sequences(tensor(SMALL["x"]), SMALL["lengths"]), SMALL[kind]
    model = small(kind)
    assert float(source(model).evidence) == pytest.approx(theirs["loglik"], rel=1e-11)
    torch.testing.assert_close(source.states(model), tensor(theirs["posterior"]), rtol=1e-9, atol=1e-11)
    paths = source.paths(model)
    assert paths.states.tolist() == theirs["viterbi"][1]
    assert float(paths.log_prob.sum()) == pytest.approx(theirs["viterbi"][0], rel=1e-11)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_steps_are_those_of_hmmlearn(kind):
    theirs = SMALL[kind]
    steps = list(islice(run(small(kind), sequences(tensor(SMALL["x"]), SMALL["lengths"])), 5))
    assert [float(step.info.stats.evidence) for step in steps] == pytest.approx(theirs["history"], rel=1e-9)
    model = steps[-1].model
    torch.testing.assert_close(model.gate.start.exp(), tensor(theirs["startprob"]), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(model.gate.moves.exp(), tensor(theirs["transmat"]), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(model.components.mean, tensor(theirs["means"]), rtol=1e-7, atol=1e-9)
    cov = tensor(theirs["covars"])  # spherical ones stand in it once for each column
    torch.testing.assert_close(model.components.cov, cov[:: len(cov) // 3], rtol=1e-6, atol=1e-9)


def test_regimes_of_growth_are_those_of_hmmlearn():
    """The free start distribution ends at one of its corners."""
    fits = [HMM(2, random_state=s, tol=1e-9, max_iter=2000, reg_covar=0.0).fit(GROWTH) for s in range(3)]
    model, theirs = max(fits, key=lambda fit: fit.log_likelihood(GROWTH)), REFERENCE["hmm"]
    assert model.log_likelihood(GROWTH) == pytest.approx(-237.8228, abs=5e-5)
    assert model.log_likelihood(GROWTH) == pytest.approx(theirs["loglik"], abs=1e-5)
    order = model.means_.ravel().argsort(descending=True)
    assert model.means_.ravel()[order].tolist() == pytest.approx(theirs["means"], abs=1e-3)
    assert model.covariances_.ravel()[order].tolist() == pytest.approx(theirs["variances"], abs=1e-3)
    torch.testing.assert_close(model.transmat_[order][:, order], tensor(theirs["transmat"]), rtol=0, atol=1e-3)


def stationary(moves: torch.Tensor) -> torch.Tensor:
    """The distribution that moves leave as it is."""
    system = torch.cat([moves.T - torch.eye(len(moves)), torch.ones(1, len(moves))])
    return torch.linalg.lstsq(system, torch.eye(len(moves) + 1, dtype=torch.float64)[-1:].T).solution[:, 0]


def test_the_density_of_regimes_with_a_stationary_start_is_that_of_statsmodels():
    theirs = REFERENCE["regression"]
    p00, p10, *rest = theirs["params"]
    moves = tensor([[p00, 1 - p00], [p10, 1 - p10]])
    gaussian = Gaussian.of(tensor(rest[:2])[:, None], torch.diag_embed(tensor(rest[2:])[:, None]))
    found = sequences(GROWTH, [len(GROWTH)])(Mixture(gaussian, Markov.of(stationary(moves), moves)))
    assert float(found.evidence) == pytest.approx(theirs["loglik"], rel=1e-9)


def autoregression() -> Mixture:
    """The regression of growth on itself at statsmodels' estimates."""
    theirs = dict(zip(REFERENCE["autoregression"]["names"], REFERENCE["autoregression"]["params"], strict=True))
    p00, p10 = theirs["p[0->0]"], theirs["p[1->0]"]
    moves = tensor([[p00, 1 - p00], [p10, 1 - p10]])
    coef, level, variance = (tensor([theirs[f"{name}[{s}]"] for s in (0, 1)]) for name in ("x1", "const", "sigma2"))
    experts = LinearGaussian.of(
        coef[:, None, None], level[:, None], variance[:, None, None], GROWTH.mean(0).repeat(2), inputs=[0], outputs=[1]
    )
    return Mixture(experts, Markov.of(stationary(moves), moves))


def test_autoregressive_regimes_with_a_stationary_start_are_those_of_statsmodels():
    theirs = REFERENCE["autoregression"]
    source = sequences(torch.cat([GROWTH[:-1], GROWTH[1:]], dim=1), [len(GROWTH) - 1])
    assert float(source(autoregression()).evidence) == pytest.approx(-228.8201, abs=5e-5)
    assert float(source(autoregression()).evidence) == pytest.approx(theirs["loglik"], rel=1e-9)
    smoothed, filtered = source.states(autoregression())[:, 0], source.filtered(autoregression()).resp[:, 0]
    torch.testing.assert_close(smoothed, tensor(theirs["smoothed"]), rtol=0, atol=1e-9)
    torch.testing.assert_close(filtered, tensor(theirs["filtered"]), rtol=0, atol=1e-9)


def test_a_fit_of_autoregressive_regimes_ends_beside_that_of_statsmodels():
    """Its start distribution is free, so that it ends a little higher."""
    model = ARHMM(2, n_init=3, random_state=0, tol=1e-9, max_iter=2000).fit(GROWTH)
    theirs = dict(zip(REFERENCE["autoregression"]["names"], REFERENCE["autoregression"]["params"], strict=True))
    assert -228.8201 <= model.log_likelihood(GROWTH) < -228.8201 + 1
    calm = int(model.covariances_[:, 0, 0].argmin())
    for name, value in (("x1", model.coefs_[calm, 0, 1]), ("const", model.coefs_[calm, 0, 0])):
        assert float(value) == pytest.approx(theirs[f"{name}[0]"], abs=0.03)
    assert float(model.covariances_[calm, 0, 0]) == pytest.approx(theirs["sigma2[0]"], abs=0.01)
