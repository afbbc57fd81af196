"""Other assumptions about the same mixture: what they change, what they leave, and that fits still climb."""

from __future__ import annotations

import math
from itertools import pairwise

import cases
import pytest
import torch

from gmmlab.errors import BadData
from gmmlab.families import Gaussian, Student
from gmmlab.families.prior import Prior
from gmmlab.fit import run, whole
from gmmlab.fit.variants import NOISE, variant
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture


@pytest.fixture
def x(rng):
    return cases.blobs(rng)


@pytest.fixture(params=["constant", "noisy"])
def model(request, x, rng):
    return Mixture(cases.gaussians(cases.STRUCTURES["VVV"], x, 3, rng), cases.GATES[request.param](x, 3))


def test_nothing_asked_for_changes_nothing(model, x):
    same = variant(model, x)
    assert same.components is model.components
    assert same.gate is model.gate


def test_tails_are_made_heavy_and_light_again(model, x):
    heavy = variant(model, x, dof=4.0)
    assert isinstance(heavy.components, Student)
    assert heavy.components.dof.tolist() == [4.0] * 3
    assert heavy.located is model.components
    assert isinstance(variant(heavy, x, dof=math.inf).components, Gaussian)


def test_noise_comes_and_goes(model, x):
    noisy = variant(model, x, noise=True)
    assert isinstance(noisy.gate, Noisy)
    torch.testing.assert_close(noisy.gate.low, x.amin(0).double())
    clean = variant(noisy, x, noise=False)
    assert isinstance(clean.gate, Constant)
    torch.testing.assert_close(clean.weights, model.weights / model.weights.sum())
    if isinstance(model.gate, Constant):
        assert float(noisy.gate.none) == pytest.approx(NOISE)


def test_the_prior_of_strength_one_is_the_weak_one(model, x):
    weak = Prior.weak(model.located.structure, 3, x)
    once, thrice = (variant(model, x, prior=strength).located.prior for strength in (1.0, 3.0))
    for name in ("mean", "kappa", "scale", "rows"):
        torch.testing.assert_close(getattr(once, name), getattr(weak, name))
    torch.testing.assert_close(thrice.scale, 3 * weak.scale)
    torch.testing.assert_close(thrice.mean, weak.mean)
    assert variant(variant(model, x, prior=1.0), x, prior=0.0).located.prior is None


@pytest.mark.parametrize(
    "assumptions", [{"dof": 5.0}, {"noise": True}, {"prior": 10.0}, {"dof": 2.0, "noise": True, "prior": 1.0}]
)
def test_fits_climb_under_every_assumption(model, x, assumptions):
    steps = run(variant(model, x, **assumptions), whole(x), stop=lambda step: step.i == 10)
    scores = [float(step.info.objective) for step in steps]
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(scores))


def test_a_strong_prior_makes_covariances_alike(model, x):
    free, bound = (
        list(run(variant(model, x, prior=p), whole(x), stop=lambda s: s.i == 20))[-1].model for p in (0.0, 1e4)
    )
    spread = [m.located.cov.std(0).norm() / m.located.cov.mean(0).norm() for m in (free, bound)]
    assert float(spread[1]) < 0.2 * float(spread[0])


def test_a_box_of_rows_with_gaps(model, x):
    gappy = x.clone()
    gappy[::2, 0] = torch.nan
    gate = variant(model.replace(gate=Constant.of(torch.ones(3))), gappy, noise=True).gate
    torch.testing.assert_close(gate.high, gappy[1::2].amax(0).maximum(gappy.nan_to_num(-9e9).amax(0)).double())
    with pytest.raises(BadData, match="need complete rows"):
        variant(model, gappy, dof=3.0)


@pytest.mark.parametrize("bad", [{"dof": 0.0}, {"dof": math.nan}, {"prior": -1.0}, {"prior": math.inf}])
def test_numbers_that_cannot_be_are_refused(model, x, bad):
    with pytest.raises(ValueError, match="expected a"):
        variant(model, x, **bad)
