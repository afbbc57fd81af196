"""Laws of tempered fits: at temperature 1 they are EM, at any other they climb their own objective."""

from __future__ import annotations

import math
from itertools import pairwise

import cases
import pytest
import torch

from gmmlab.families import Full, Gaussian
from gmmlab.fit import last, run, tempered, whole
from gmmlab.fit.missing import observed
from gmmlab.gates import Constant, Gate, Tempered
from gmmlab.model import Mixture
from gmmlab.steps import e_step

ASSIGNING = cases.GATES | cases.TOLD


@pytest.fixture(params=ASSIGNING, ids=str)
def gate(request: pytest.FixtureRequest, rng) -> Gate:
    return ASSIGNING[request.param](cases.blobs(rng), 3)


def assert_climbs(steps):
    scores = [float(step.info.objective) for step in steps]
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(scores))


def test_at_temperature_one_it_is_the_source_itself(rng):
    source = whole(cases.blobs(rng))
    assert tempered(source, 1.0) is source


@pytest.mark.parametrize("temperature", [0.5, 2.0, 30.0])
def test_posterior_is_that_of_powers(gate, rng, temperature):
    table = 5 * torch.randn(30, 3, generator=rng, dtype=torch.float64)
    post = Tempered(gate, temperature).posterior(table)
    plain = gate.posterior(table)
    joint = torch.cat([plain.resp, plain.none[:, None]], dim=1) if plain.none is not None else plain.resp
    power = joint ** (1 / temperature)
    torch.testing.assert_close(post.resp, (power / power.sum(1, keepdim=True))[:, :3], rtol=1e-8, atol=1e-12)
    total = temperature * (joint.log() / temperature).logsumexp(1) + plain.evidence
    torch.testing.assert_close(post.evidence, total)
    torch.testing.assert_close(Tempered(gate, temperature).log_prob(table), total)


def test_hot_rows_belong_to_all_and_cold_ones_to_one(rng):
    gate, table = Constant.of(torch.ones(3)), torch.randn(20, 3, generator=rng, dtype=torch.float64)
    hot, cold = (Tempered(gate, t).posterior(table).resp for t in (1e9, 1e-3))
    torch.testing.assert_close(hot, torch.full_like(hot, 1 / 3), atol=1e-6, rtol=0)
    assert float(cold.amax(1).min()) > 0.999


@pytest.mark.parametrize("family", cases.FAMILIES)
@pytest.mark.parametrize("temperature", [0.9, 3.0])
def test_the_objective_never_falls(family, gate, rng, temperature):
    x = cases.blobs(rng)
    model = Mixture(cases.FAMILIES[family](x, 3, rng), gate)
    assert_climbs(run(model, tempered(whole(x), temperature), stop=lambda step: step.i == 12))


def test_rows_may_have_gaps(gate, rng):
    x = cases.blobs(rng)
    model = Mixture(cases.gaussians(Full(), x, 3, rng), gate)
    gappy = x.clone()
    gappy[::3, 0] = torch.nan
    assert_climbs(run(model, tempered(observed(gappy), 2.0), stop=lambda step: step.i == 8))


def test_cooling_finds_what_a_bad_start_does_not(rng):
    """Three clusters, and a start with two means in one of them."""
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [5.0, 8.0]], dtype=torch.float64)
    x = centres.repeat_interleave(60, 0) + torch.randn(180, 2, generator=rng, dtype=torch.float64)
    mean = torch.tensor([[0.0, 0.2], [0.3, -0.2], [7.0, 4.0]], dtype=torch.float64)
    cov = torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    start = Mixture(Gaussian.of(mean, cov, Full()), Constant.of(torch.ones(3)))
    plain = last(run(start, whole(x))).model
    model = start
    for temperature in (30.0, 10.0, 5.0, 3.0, 2.0, 1.5, 1.0):
        nudge = 0.3 * torch.randn(model.components.mean.shape, generator=rng, dtype=torch.float64)
        model = model.relocated(mean=model.components.mean + nudge)  # components that have met would stay together
        model = last(run(model, tempered(whole(x), temperature))).model
    assert float(e_step(model, x).score) > float(e_step(plain, x).score) + 0.05


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_temperatures_are_positive_numbers(rng, temperature):
    with pytest.raises(ValueError, match="expected a positive number"):
        tempered(whole(cases.blobs(rng)), temperature)
