"""The E-step by bounds gives what a gate's `posterior_` gives, for one mixture and for many."""

from __future__ import annotations

import cases
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gmmlab.families import Gaussian
from gmmlab.gates import Constant
from gmmlab.kernels import bounded
from gmmlab.kernels.chunks import evenly
from gmmlab.kernels.forms import Products
from gmmlab.kernels.logspace import log_product
from gmmlab.stack import stack
from gmmlab.steps import e_step


@pytest.fixture
def both(monkeypatch):
    """Statistics by bounds, and by the table and its maxima."""

    def compute(model, x, weight=None):
        assert isinstance(model.gaussian.form, Products)
        found = []
        for once in (True, False):
            monkeypatch.setattr(Gaussian, "passes_once", lambda *_, once=once: once)
            found.append(e_step(model, x, weight))
        return found

    return compute


@pytest.fixture
def redone(monkeypatch):
    """How many rows were done again by their own maximum."""
    counted, normalise = [], bounded.normalise_
    monkeypatch.setattr(
        bounded, "normalise_", lambda joint, dim: counted.append(joint.shape[-1]) or normalise(joint, dim)
    )
    return counted


@pytest.fixture
def models(rng, dtype):
    """A stack of unequal sizes, some of them in runs."""
    x = cases.blobs(rng, 700, 3, 3)
    of = lambda name, k: cases.random_mixture(cases.STRUCTURES[name], x, k, rng)  # noqa: E731 - short
    return stack([of("VVV", 2), of("VII", 2), of("EEE", 1), of("VVI", 5), of("VVV", 3)]), x.to(dtype)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_equal_those_of_the_gate(mixture, x, weighted, *, rng, tol, both):
    if not isinstance(mixture.gaussian.form, Products):
        pytest.skip("these rows ask for differences, not for products")
    weight = torch.rand(len(x), generator=rng).to(x) if weighted else None
    cases.close(*both(mixture, x, weight), tol)


@pytest.mark.parametrize("axes", [None, "n", "n g"])
def test_of_a_stack_too(models, axes, *, rng, tol, both):
    stacked, x = models
    weight = None if axes is None else torch.rand(len(x), 5, generator=rng).to(x)
    cases.close(*both(stacked, x, weight[:, 0] if axes == "n" else weight), tol)


def test_rows_far_from_everything_keep_their_digits(models, tol, both, redone):
    stacked, x = models
    x = x.clone()
    x[5:9] += 300.0
    left, right = both(stacked, x)
    assert set(redone) == {4}
    assert left.evidence.isfinite().all()
    cases.close(left, right, tol)


def test_a_narrow_component_hides_no_other(rng, tol, both, redone, dtype):
    """Its peak is so high that every other density underflows beside it."""
    x = cases.blobs(rng, 300, 30, 2)
    mixture = cases.random_mixture(cases.STRUCTURES["VVI"], x, 2, rng)
    mean, chol = mixture.gaussian.mean.clone(), mixture.gaussian.chol.clone()
    mean[0], chol[0] = mixture.gaussian.origin, 1e-12
    narrow = mixture.replace(components=mixture.gaussian.replace(mean=mean, chol=chol))
    cases.close(*both(narrow, x.to(dtype)), tol)
    assert sum(redone) == len(x)


def test_a_component_without_weight_gets_nothing(rng, tol, both, dtype):
    x = cases.blobs(rng, 300, 2, 2)
    mixture = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng)
    mixture = mixture.replace(gate=Constant.of(torch.tensor([0.5, 0.0, 0.5])))
    left, right = both(mixture, x.to(dtype))
    assert left.gate.w[1] == 0
    cases.close(left, right, tol)


@pytest.mark.parametrize("weight", [None, (0,), (0, 5)])
def test_no_rows(models, both, weight):
    stacked, x = models
    cases.close(*both(stacked, x[:0], None if weight is None else x.new_zeros(weight)), 0.0)


@given(
    numbers=st.lists(st.floats(-69, 14), min_size=1, max_size=200),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_logarithm_of_a_product_is_the_sum_of_logarithms(numbers, dtype):
    values = torch.tensor([numbers, numbers[::-1]], dtype=torch.float64).exp().to(dtype).repeat(1, 20)
    size = values.double().log().abs().sum(1)
    eps = torch.finfo(dtype).eps
    assert bool(
        ((log_product(values) - values.double().log().sum(1)).abs() <= 40 * eps * (size + values.shape[1])).all()
    )


@given(n=st.integers(0, 10_000), size=st.integers(1, 3_000))
def test_chunks_of_equal_size_leave_no_small_rest(n, size):
    lengths = [len(part) for part in torch.empty(n).split(evenly(n, size))]
    assert sum(lengths) == n and max(lengths) <= max(1.5 * size, 1)
    assert n < size or min(lengths) > max(lengths) - len(lengths)
