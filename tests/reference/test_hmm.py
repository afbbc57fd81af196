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
from gmmlab.families import Gaussian
from gmmlab.fit import run, sequences
from gmmlab.gates import Markov
from gmmlab.model import Mixture
from gmmlab.sequences import HMM

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
