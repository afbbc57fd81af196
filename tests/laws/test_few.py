"""Laws of steps over few rows: what numpy takes is what torch takes, and what it leaves goes on in torch."""

from __future__ import annotations

import math
from itertools import islice

import cases
import numpy as np
import pytest
import torch

from gmmlab import GaussianMixture
from gmmlab.errors import NotPositiveDefinite
from gmmlab.estimators.few import over_few
from gmmlab.estimators.fitting import Begin, Budget
from gmmlab.families import Full
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Constant
from gmmlab.init import from_responsibilities, kmeans, kmeans_plus_plus, race
from gmmlab.init.kmeans import spread_out, trials, uniform

STEPS = 12


def climb_few(model, x, weight=None, *, tol=0.0, max_iter=STEPS, previous=-math.inf):
    end = over_few(Begin(model, previous), x, weight, Budget(tol, max_iter))
    return end.model, end.bounds


@pytest.fixture
def in_torch(monkeypatch):
    """Calls that would be made over many rows."""
    monkeypatch.setattr(race, "FEW", 0)


def weights_of(kind: str, x: torch.Tensor, rng: torch.Generator) -> torch.Tensor | None:
    return {"plain": None, "weighted": 3 * torch.rand(len(x), generator=rng, dtype=torch.float64)}[kind]


@pytest.mark.parametrize("kind", ["plain", "weighted"])
def test_steps_are_those_of_run(structure, kind, rng):
    x = cases.blobs(rng, spread=1.5)
    weight = weights_of(kind, x, rng)
    model = cases.random_mixture(structure, x, 3, rng)
    theirs = list(islice(run(model, whole(x, weight=weight), stop=plateau(0.0)), STEPS))
    ours, bounds = climb_few(model, x, weight)
    assert bounds == pytest.approx([step.info.evidence for step in theirs], rel=1e-11)
    torch.testing.assert_close(ours.weights, theirs[-1].model.weights, rtol=1e-8, atol=0)
    torch.testing.assert_close(ours.gaussian.mean, theirs[-1].model.gaussian.mean, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(ours.gaussian.cov, theirs[-1].model.gaussian.cov, rtol=1e-8, atol=1e-9)
    assert ours.gaussian.structure == structure
    assert ours.gaussian.ridge == model.gaussian.ridge


def test_a_fit_ends_by_the_same_rule_and_goes_on_where_it_ended(rng):
    x = cases.blobs(rng, spread=1.5)
    model = cases.random_mixture(Full(), x, 3, rng)
    _, whole_way = climb_few(model, x, tol=1e-4, max_iter=100)
    gains = np.diff(whole_way)
    assert (gains[:-1] >= 1e-4).all()
    assert gains[-1] < 1e-4
    half, first = climb_few(model, x, tol=1e-4, max_iter=5)
    _, rest = climb_few(half, x, tol=1e-4, max_iter=100, previous=first[-1])
    assert first + rest == pytest.approx(whole_way, rel=1e-13)
    end, _ = climb_few(model, x, tol=1e-4, max_iter=100)
    assert len(climb_few(end, x, tol=1e-4, max_iter=100, previous=whole_way[-1])[1]) == 1
    assert climb_few(model, x, tol=1e-4, max_iter=0) == (model, [])


def test_a_step_that_would_be_singular_is_left_to_run(rng):
    x = cases.blobs(rng, n=40, d=2)
    x[:3] = x[0]
    resp = torch.eye(2, dtype=torch.float64)[(torch.arange(40) < 3).long()]
    model = from_responsibilities(x, resp, Full(), ridge=1.0).relocated(ridge=0.0)
    narrow = model.gaussian.chol.clone()
    narrow[1] *= 1e-3
    model = model.relocated(chol=narrow)
    after, bounds = climb_few(model, x, tol=0.0, max_iter=50)
    assert len(bounds) < 50
    assert torch.isfinite(after.gaussian.chol).all()
    with pytest.raises(NotPositiveDefinite, match="Component 1 of 2"):
        GaussianMixture(2, init_params=(np.arange(40) < 3).astype(int), reg_covar=0.0).fit(x.numpy())


def test_what_is_more_than_gaussians_is_left_to_run(rng):
    x = cases.blobs(rng)
    plain = cases.random_mixture(Full(), x, 3, rng)
    for model in (
        plain.replace(gate=Constant(plain.gate.log_w, alpha=torch.full_like(plain.weights, 2.0))),
        plain.replace(components=cases.with_prior(Full())(x, 3, rng)),
        plain.replace(components=cases.FAMILIES["student, full"](x, 3, rng)),
        plain.relocated(jitter=torch.ones_like(plain.weights)),
    ):
        assert climb_few(model, x) == (model, [])


@pytest.mark.parametrize("kind", ["plain", "weighted"])
def test_partitions_and_their_mixtures_are_those_of_many_rows(kind, rng, monkeypatch, structure):
    x = cases.blobs(rng, spread=1.5)
    weight = weights_of(kind, x, rng)
    resp = torch.rand(len(x), 3, generator=rng, dtype=torch.float64)

    def found():
        labels = kmeans(x, 3, torch.Generator().manual_seed(3), weight=weight)
        return labels, from_responsibilities(x, resp, structure, ridge=1e-6, weight=weight).gaussian

    labels, few = found()
    monkeypatch.setattr(race, "FEW", 0)
    again, many = found()
    assert torch.equal(labels, again)
    torch.testing.assert_close(few.mean, many.mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(few.cov, many.cov, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("kind", ["plain", "weighted"])
def test_seeds_are_those_of_many_rows(kind, number, rng):
    x = cases.blobs(rng, spread=1.5)
    weight = weights_of(kind, x, rng)
    weight = None if weight is None else weight**4  # so that it matters which candidate lowers the weighted sum most
    many = kmeans_plus_plus(x, 5, torch.Generator().manual_seed(number), weight=weight)
    again = torch.Generator().manual_seed(number)
    first, later = uniform(1, 1, again)[0], uniform(4, trials(5), again)
    few = spread_out(x.numpy(), first, later, None if weight is None else weight.numpy())
    np.testing.assert_array_equal(few, x[many].numpy())


@pytest.mark.parametrize("init", ["kmeans", "random", "hierarchical"])
def test_fits_are_those_of_many_rows(init, rng, in_torch, monkeypatch):
    x = cases.blobs(rng, spread=1.5).numpy()
    model = GaussianMixture(3, init_params=init, random_state=0)
    many = model.fit(x).means_, model.n_iter_, model.lower_bounds_
    monkeypatch.undo()
    few = model.fit(x).means_, model.n_iter_, model.lower_bounds_
    np.testing.assert_allclose(few[0], many[0], rtol=1e-7)
    assert few[1:] == (many[1], pytest.approx(many[2], rel=1e-10))
