"""Laws of the criteria: what they must be in the cases where the answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gmmlab.score import aic, aicc, bic, doubt, entropy, icl, mclust_sign, mml, nec


def random_resp(seed: int, n: int = 50, k: int = 4, sharp: float = 3.0) -> torch.Tensor:
    noise = torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.softmax(sharp * noise, dim=1)


@given(seed=st.integers(0, 10**6), sharp=st.floats(0, 50))
def test_doubt_is_below_entropy_which_is_below_that_of_equal_parts(seed, sharp):
    resp = random_resp(seed, sharp=sharp)
    assert 0 <= doubt(resp) <= entropy(resp) + 1e-12
    assert entropy(resp) <= 50 * math.log(4) + 1e-9


def test_certain_labels_have_no_entropy_and_leave_icl_at_bic():
    certain = torch.eye(3, dtype=torch.float64)[torch.arange(20) % 3]
    assert entropy(certain) == doubt(certain) == 0
    assert icl(-100.0, 7, 20, entropy(certain)) == bic(-100.0, 7, 20)


def test_equal_parts_have_all_the_entropy():
    equal = torch.full((20, 4), 0.25, dtype=torch.float64)
    assert entropy(equal) == pytest.approx(20 * math.log(4))
    assert doubt(equal) == pytest.approx(20 * math.log(4))


def test_soft_icl_is_bic_with_twice_the_entropy():
    resp = random_resp(0)
    assert icl(-80.0, 11, 50, entropy(resp)) == pytest.approx(bic(-80.0, 11, 50) + 2 * entropy(resp))
    assert mclust_sign(bic(-80.0, 11, 50)) == pytest.approx(2 * -80.0 - 11 * math.log(50))


@pytest.mark.parametrize("measure", [entropy, doubt])
def test_a_weight_counts_rows_and_chunks_add_up(measure):
    resp = random_resp(1)
    times = torch.arange(50) % 3
    assert measure(resp, times.double()) == pytest.approx(measure(resp.repeat_interleave(times, 0)))
    assert measure(resp[:20]) + measure(resp[20:]) == pytest.approx(measure(resp))
    assert measure(resp.float()) == pytest.approx(measure(resp), rel=1e-6)


def test_aicc_tends_to_aic_and_refuses_more_parameters_than_rows():
    assert aicc(-80.0, 11, 1e9) == pytest.approx(aic(-80.0, 11), rel=1e-6)
    assert aicc(-80.0, 11, 50) == pytest.approx(aic(-80.0, 11) + 2 * 11 * 12 / 38)
    assert aicc(-80.0, 11, 12) == math.inf


def test_nec_is_one_for_one_component_and_never_chooses_what_fits_no_better():
    assert nec(1, -100.0, -100.0, 0.0) == 1
    assert nec(3, -80.0, -100.0, 5.0) == pytest.approx(0.25)
    assert nec(3, -100.0, -100.0, 5.0) == math.inf


def test_mml_of_equal_weights_in_closed_form():
    n, k, n_each = 600.0, 4, 5
    expected = k * n_each / 2 * math.log(n / k / 12) + k / 2 * math.log(n / 12) + k * (n_each + 1) / 2 + 1000.0
    assert mml(-1000.0, torch.full((k,), 0.25), n, n_each) == pytest.approx(expected)
    with_an_empty_one = torch.tensor([0.25, 0.25, 0.0, 0.25, 0.25])
    assert mml(-1000.0, with_an_empty_one, n, n_each) == pytest.approx(expected)


def test_every_criterion_prefers_the_likelier_of_two_models_of_one_size():
    weights = torch.full((2,), 0.5)
    for criterion in (
        lambda loglik: bic(loglik, 5, 90),
        lambda loglik: aic(loglik, 5),
        lambda loglik: aicc(loglik, 5, 90),
        lambda loglik: icl(loglik, 5, 90, 3.0),
        lambda loglik: nec(2, loglik, -200.0, 3.0),
        lambda loglik: mml(loglik, weights, 90, 2),
    ):
        assert criterion(-99.0) < criterion(-100.0)
