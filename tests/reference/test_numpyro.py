"""A posterior by blocked Gibbs against numpyro's Hamiltonian Monte Carlo, whose numbers are stored with their making.

Twelve rows, three Gaussians with Dirichlet weights and normal-Wishart priors; labels are drawn here and summed out
there, and covariances have other coordinates. What is compared does not depend on how components are numbered. Both
have standard errors: of theirs by effective draws, of ours by the spread of means over forty batches. The largest of
some hundred correlated differences is within four of them, and those of ours are small; with alpha of 4 for 3, twice
the kappa, or one more degree of freedom it is at 4.7, 10 and 6.7.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gmmlab.families import NormalInverseWishart
from gmmlab.gates import Constant
from gmmlab.model import Mixture
from gmmlab.sample import Dirichlet, blocked_gibbs

STORED = json.loads((Path(__file__).parent / "data" / "numpyro.json").read_text())
PRECISE = {"density": 0.004, "together": 0.025, "weights": 0.008, "evidence": 0.12}


def tensor(name: str) -> Tensor:
    return torch.tensor(STORED[name], dtype=torch.float64)


def told(model: Mixture) -> dict[str, Tensor]:
    """What does not depend on the numbers of components."""
    x, posterior = tensor("x"), model.posterior(tensor("x"))
    i, j = torch.triu_indices(len(x), len(x), 1)
    return {
        "density": model.log_prob(tensor("grid")).exp(),
        "together": (posterior.resp @ posterior.resp.T)[i, j],
        "weights": model.weights.sort(descending=True).values,
        "evidence": posterior.evidence.sum()[None],
    }


@pytest.mark.slow
def test_expectations_are_those_of_another_sampler():
    x, rng, k = tensor("x"), torch.Generator().manual_seed(0), STORED["k"]
    prior = NormalInverseWishart.of(tensor("mean"), tensor("scale"), kappa=STORED["kappa"], dof=STORED["dof"])
    start = Mixture(prior.repeated(k).sample(rng, x.mean(0)), Constant.of(torch.ones(k)))
    chain = blocked_gibbs(start, x, prior, Dirichlet(k), rng, alpha=STORED["alpha"])
    draws = [told(sweep.model) for sweep in islice(chain, 100, 2100, 2)]
    for name, precise in PRECISE.items():
        values = torch.stack([draw[name] for draw in draws])
        error = values.view(40, -1, values.shape[1]).mean(1).std(0) / 40**0.5
        theirs, their_error = (torch.tensor(STORED[name][part], dtype=torch.float64) for part in ("mean", "se"))
        assert float(error.max()) < precise, name
        off = (values.mean(0) - theirs).abs() / (error.square() + their_error.square()).sqrt()
        assert float(off.max()) < 4, name
