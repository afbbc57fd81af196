"""Laws of gates: a posterior is a distribution over components and none, and its evidence is the sum over them."""

from __future__ import annotations

import itertools
import math

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.families import Full
from gmmlab.gates import Constant, Gate, Noisy, Posterior, Told, join, labels_told
from gmmlab.kernels.logspace import normalise_
from gmmlab.model import Mixture

ASSIGNING = cases.GATES | cases.TOLD


@pytest.fixture(params=ASSIGNING, ids=str)
def gate(request: pytest.FixtureRequest, rng) -> Gate:
    return ASSIGNING[request.param](cases.blobs(rng), 3)


def columns(gate: Gate, table: Tensor) -> Tensor:
    """Log joint densities with the components, and with none where there is such a thing."""
    joint = gate.joint(table)
    if not isinstance(gate, Noisy):
        return joint
    level = gate.none.log() - (gate.high - gate.low).log().sum()
    return torch.cat([joint, level.to(joint).expand(len(joint), 1)], 1)


def mass(posterior: Posterior) -> Tensor:
    return posterior.resp.sum(1) + (0 if posterior.none is None else posterior.none)


def test_posterior_is_a_distribution_and_evidence_its_normaliser(gate, rng, dtype):
    table = 50 * torch.randn(20, 3, generator=rng, dtype=dtype)
    post = gate.posterior(table.clone())
    torch.testing.assert_close(mass(post), torch.ones(20, dtype=dtype))
    torch.testing.assert_close(post.evidence, torch.logsumexp(columns(gate, table), 1))
    torch.testing.assert_close(post.evidence, gate.log_prob(table))
    torch.testing.assert_close(post.resp, torch.exp(gate.joint(table) - post.evidence[:, None]), rtol=1e-4, atol=1e-5)


def test_shifts_move_the_evidence_only(rng, dtype):
    gate, table = Constant.of(torch.tensor([0.2, 0.5, 0.3])), 50 * torch.randn(20, 3, generator=rng, dtype=dtype)
    post, moved = gate.posterior(table), gate.posterior(table + 7)
    torch.testing.assert_close(moved.resp, post.resp, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved.evidence, post.evidence + 7)


def test_evidence_equals_enumeration_over_all_assignments(gate, rng):
    """log p(X) = log of the sum over all assignments of prod_i pi_{z_i} p_{z_i}(x_i), for five rows."""
    table = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    joint = columns(gate, table)
    total = 0.0
    for z in itertools.product(range(joint.shape[1]), repeat=5):
        total += math.exp(sum(float(joint[i, k]) for i, k in enumerate(z)))
    assert float(gate.posterior(table).evidence.sum()) == pytest.approx(math.log(total), rel=1e-12)


def test_assigned_is_the_most_probable(gate, rng):
    table = 9 * torch.randn(200, 3, generator=rng, dtype=torch.float64)
    best = columns(gate, table).argmax(1)
    assert torch.equal(gate.assign(table), torch.where(best == 3, -1, best))


def test_refit_is_the_share_of_rows_however_they_are_cut_and_weighed(gate, rng):
    table = torch.randn(40, 3, generator=rng, dtype=torch.float64)
    whole = gate.posterior(table)
    parts = [gate.posterior(part) for part in table.split(15)]
    total = gate.stats(parts[0]) + gate.stats(parts[1]) + gate.stats(parts[2])
    refit = gate.refit(total)
    torch.testing.assert_close(refit.weights, whole.resp.mean(0))
    torch.testing.assert_close(join(parts).resp, whole.resp)
    double = gate.refit(gate.stats(gate.weigh(whole, torch.full((40,), 2.0, dtype=torch.float64))))
    torch.testing.assert_close(double.weights, refit.weights)
    free = refit.weights.sum() + (refit.none if isinstance(refit, Noisy) else 0)
    assert float(free) == pytest.approx(1, rel=1e-12)


def test_samples_have_the_weights(gate, rng):
    z = gate.sample(50_000, rng)
    for k in range(3):
        assert float((z == k).double().mean()) == pytest.approx(float(gate.weights[k]), abs=0.01)


def test_no_overflow_far_from_every_component(gate):
    post = gate.posterior(torch.tensor([[-1e6, -1e6 + 1, -2e6], [900.0, 0.0, -900.0]], dtype=torch.float64))
    assert bool(torch.isfinite(post.resp).all()) and bool(torch.isfinite(post.evidence).all())


def test_zero_weight_takes_no_rows():
    post = Constant.of(torch.tensor([0.0, 1.0])).posterior(torch.zeros(4, 2, dtype=torch.float64))
    assert post.resp.tolist() == [[0.0, 1.0]] * 4


def test_refit_gives_proportions():
    gate = Constant.of(torch.ones(3))
    refit = gate.refit(gate.stats(Posterior(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), torch.zeros(2))))
    torch.testing.assert_close(refit.weights, torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64))


def test_normalise_overwrites_its_argument_and_agrees_with_logsumexp(rng):
    joint = torch.randn(5, 4, generator=rng, dtype=torch.float64)
    expected, evidence = torch.softmax(joint, 1), torch.logsumexp(joint, 1)
    resp, found = normalise_(joint)
    assert resp.data_ptr() == joint.data_ptr()
    torch.testing.assert_close(resp, expected)
    torch.testing.assert_close(found, evidence)


def test_noise_lies_in_its_box_and_has_its_volume(rng):
    gate = Noisy.of(torch.ones(2), 0.5, torch.tensor([0.0, -1.0]), torch.tensor([2.0, 3.0]))
    rows = gate.noise(1000, rng)
    assert bool((rows >= gate.low).all()) and bool((rows <= gate.high).all())
    torch.testing.assert_close(rows.mean(0), torch.tensor([1.0, 1.0]).double(), rtol=0, atol=0.15)
    nowhere = torch.full((1, 2), -torch.inf, dtype=torch.float64)
    assert float(gate.log_prob(nowhere).exp()) == pytest.approx(0.5 / 8)
    assert gate.n_parameters == 3  # two of three weights, and the volume
    assert float(gate.marginal([0]).log_prob(nowhere).exp()) == pytest.approx(0.5 / 2)


def test_a_mixture_draws_its_noise_in_the_box(rng):
    x = cases.blobs(rng, d=2)
    gate = Noisy.of(torch.ones(2), 0.5, torch.tensor([50.0, 50.0]), torch.tensor([51.0, 52.0]))
    rows, z = Mixture(cases.gaussians(Full(), x, 2, rng), gate).sample(2000, rng)
    inside = ((rows >= gate.low) & (rows <= gate.high)).all(1)
    assert torch.equal(inside, z == -1)
    assert float(inside.double().mean()) == pytest.approx(0.5, abs=0.05)


def test_noise_that_is_none_is_refused():
    box = torch.zeros(2), torch.ones(2)
    with pytest.raises(ValueError, match="weight of the noise is 1"):
        Noisy.of(torch.ones(2), 1.0, *box)
    with pytest.raises(ValueError, match="no width along column 1"):
        Noisy.of(torch.ones(2), 0.1, torch.zeros(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="expected numbers of at least 0"):
        Noisy.of(-torch.ones(2), 0.1, *box)


def test_labels_that_are_told_are_kept(gate, rng):
    table, labels = torch.randn(4, 3, generator=rng, dtype=torch.float64), torch.tensor([2, -1, 0, -1])
    told = Told(gate, labels_told(labels, gate.outcomes(table).shape[1])).at(torch.zeros(4, 2))
    posterior, plain = told.posterior(table), gate.posterior(table)
    assert posterior.resp[[0, 2]].tolist() == [[0, 0, 1], [1, 0, 0]]
    torch.testing.assert_close(posterior.resp[[1, 3]], plain.resp[[1, 3]])
    expected = torch.where(labels < 0, plain.evidence, gate.joint(table).gather(1, labels.clamp(min=0)[:, None])[:, 0])
    torch.testing.assert_close(posterior.evidence, expected)
    torch.testing.assert_close(told.log_prob(table), expected)
    assert told.assign(table)[[0, 2]].tolist() == [2, 0]
    torch.testing.assert_close(mass(posterior), torch.ones(4, dtype=torch.float64))


def test_a_row_that_cannot_be_goes_by_what_is_told():
    gate = Told(Constant.of(torch.tensor([1.0, 0.0])), labels_told(torch.tensor([1, -1]), 2))
    posterior = gate.posterior(torch.zeros(2, 2, dtype=torch.float64))
    assert posterior.resp.tolist() == [[0, 1], [1, 0]] and posterior.evidence.tolist() == [-math.inf, 0]
    with pytest.raises(ValueError, match="3 rows are to be assigned by what is told of 2"):
        gate.at(torch.zeros(3, 1))
