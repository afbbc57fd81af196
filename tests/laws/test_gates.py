"""Laws of gates: a posterior is a distribution over components, and its evidence is the sum over them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gmmlab.gates import Constant, Posterior
from gmmlab.kernels.logspace import normalise_


@pytest.fixture
def gate() -> Constant:
    return Constant.of(torch.tensor([0.2, 0.5, 0.3]))


def test_rows_sum_to_one_and_shifts_move_the_evidence_only(gate, rng, dtype):
    table = 50 * torch.randn(20, 3, generator=rng, dtype=dtype)
    post = gate.posterior(table)
    torch.testing.assert_close(post.resp.sum(1), torch.ones(20, dtype=dtype))
    moved = gate.posterior(table + 7)
    torch.testing.assert_close(moved.resp, post.resp, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved.evidence, post.evidence + 7)


def test_evidence_equals_enumeration_over_all_assignments(gate, rng):
    """log p(X) = log sum over all k^n assignments of prod_i pi_{z_i} p_{z_i}(x_i), for six rows."""
    table = torch.randn(6, 3, generator=rng, dtype=torch.float64)
    total = 0.0
    for z in itertools.product(range(3), repeat=6):
        total += math.exp(sum(float(table[i, k] + gate.log_w[k]) for i, k in enumerate(z)))
    assert float(gate.posterior(table).evidence.sum()) == pytest.approx(math.log(total), rel=1e-12)


def test_no_overflow_far_from_every_component(gate):
    post = gate.posterior(torch.tensor([[-1e6, -1e6 + 1, -2e6], [900.0, 0.0, -900.0]], dtype=torch.float64))
    assert bool(torch.isfinite(post.resp).all()) and bool(torch.isfinite(post.evidence).all())


def test_zero_weight_takes_no_rows():
    post = Constant.of(torch.tensor([0.0, 1.0])).posterior(torch.zeros(4, 2, dtype=torch.float64))
    assert post.resp.tolist() == [[0.0, 1.0]] * 4


def test_refit_gives_proportions(gate):
    refit = gate.refit(gate.stats(Posterior(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), torch.zeros(2))))
    torch.testing.assert_close(refit.weights, torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64))


def test_normalise_overwrites_its_argument_and_agrees_with_logsumexp(rng):
    joint = torch.randn(5, 4, generator=rng, dtype=torch.float64)
    expected, evidence = torch.softmax(joint, 1), torch.logsumexp(joint, 1)
    resp, found = normalise_(joint)
    assert resp.data_ptr() == joint.data_ptr()
    torch.testing.assert_close(resp, expected)
    torch.testing.assert_close(found, evidence)
