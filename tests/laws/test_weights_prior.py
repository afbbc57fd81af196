"""A Dirichlet prior of the weights is rows that were never seen, and its mode is found."""

from __future__ import annotations

from itertools import islice, pairwise

import cases
import numpy as np
import pytest
import torch

from gmmlab import FactorMixture, GaussianMixture, StudentMixture
from gmmlab.families import Full
from gmmlab.fit import moves, plateau, run, squarem, whole
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture
from gmmlab.stats import Counts, NoisyCounts

ALPHA = torch.tensor([1.0, 3.0, 11.0], dtype=torch.float64)


def gates(x):
    ones = torch.ones(3, dtype=torch.float64)
    return {"constant": Constant.of(ones), "noisy": Noisy.around(x, ones, 0.1)}


@pytest.fixture(params=["constant", "noisy"])
def gate(request, rng):
    return gates(cases.blobs(rng))[request.param].replace(alpha=ALPHA)


def counts(gate, w):
    none = torch.tensor(5.0, dtype=torch.float64)
    return NoisyCounts(w, none=none) if isinstance(gate, Noisy) else Counts(w)


def test_the_prior_is_rows_and_its_absence_none(gate):
    w = torch.tensor([10.0, 0.0, 4.0], dtype=torch.float64)
    found, plain = gate.refit(counts(gate, w)), gate.replace(alpha=None).refit(counts(gate, w + ALPHA - 1))
    torch.testing.assert_close(found.weights, plain.weights)
    ones = gate.replace(alpha=torch.ones_like(w)).refit(counts(gate, w))
    torch.testing.assert_close(ones.weights, gate.replace(alpha=None).refit(counts(gate, w)).weights)
    assert float(ones.penalty()) == 0 and float(gate.replace(alpha=None).penalty()) == 0


def test_refit_is_the_mode(gate, rng):
    w = torch.tensor([10.0, 2.0, 4.0], dtype=torch.float64)
    none = 5.0 if isinstance(gate, Noisy) else 0.0
    best = gate.refit(counts(gate, w))

    def climbed(weights, share):
        spare = none * np.log(share) if none else 0.0
        return float(((w + ALPHA - 1) * weights.log()).sum()) + spare

    share = float(best.none) if none else 0.0
    top = climbed(best.weights, share)
    expected = torch.distributions.Dirichlet(ALPHA).log_prob(best.weights / best.weights.sum())
    even = torch.full((3,), 1 / 3, dtype=torch.float64)
    if not none:  # the density of torch, but for its constant
        gap = expected - torch.distributions.Dirichlet(ALPHA).log_prob(even)
        assert float(best.penalty() - gate.replace(log_w=even.log()).penalty()) == pytest.approx(float(gap))
    for _ in range(20):
        other = torch.distributions.Dirichlet(torch.ones(3 + bool(none)).double()).sample()
        assert climbed(other[:3], float(other[-1])) <= top


@pytest.mark.parametrize("transform", [None, squarem()], ids=["em", "squarem"])
def test_the_objective_climbs(gate, transform, rng):
    x = cases.blobs(rng, d=2, spread=1.0)
    model = cases.random_mixture(Full(), x, 3, rng)
    model = Mixture(
        model.components, gates(x)["noisy" if isinstance(gate, Noisy) else "constant"].replace(alpha=20 * ALPHA)
    )
    options = {} if transform is None else {"transform": transform}
    steps = list(islice(run(model, whole(x), stop=plateau(1e-9), **options), 60))
    objectives = [float(step.info.objective) for step in steps]
    assert all(b >= a - 1e-10 for a, b in pairwise(objectives)) and objectives[-1] > objectives[0]
    assert float(steps[-1].model.gate.penalty()) < 0


@pytest.mark.parametrize("make", [GaussianMixture, StudentMixture, FactorMixture], ids=lambda make: make.__name__)
@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])
def test_estimators_take_it(make, noise, rng):
    x = cases.blobs(rng, n=120, k=3).numpy()
    options = {"random_state": 0, "noise": noise, "tol": 1e-4, "max_iter": 300}
    free = make(3, **options).fit(x)
    pulled = make(3, weights_prior=1e6, **options).fit(x)
    np.testing.assert_allclose(pulled.weights_, np.full(3, 1 / 3), rtol=1e-3)
    same = make(3, weights_prior=[1, 1, 1], **options).fit(x)
    np.testing.assert_allclose(same.weights_, free.weights_, rtol=1e-9)
    assert np.all(np.diff(pulled.lower_bounds_) > -1e-6)
    several = make(3, weights_prior=5.0, n_init=2, init_params="random_from_data", **options).fit(x)
    assert several.weights_.min() > 4 / 140


def test_moves_keep_it(gate, rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng).replace(gate=gate)
    kept = {
        "add": moves.add(model, x[0]),
        "remove": moves.remove(model, 1),
        "merge": moves.merge(model, 0, 2),
        "split": moves.split(model, 1),
    }
    assert {name: moved.gate.alpha.tolist() for name, moved in kept.items()} == {
        "add": [1, 3, 11, 1],
        "remove": [1, 11],
        "merge": [1, 3],
        "split": [1, 3, 11, 3],
    }


def test_priors_without_a_mode_are_refused(rng):
    x = cases.blobs(rng).numpy()
    for value, words in ((0.5, "weights_prior"), ([1, 0.5, 2], "numbers of at least 1"), ([1, 2], r"shape of \(3,\)")):
        with pytest.raises(ValueError, match=words):
            GaussianMixture(3, weights_prior=value).fit(x)
