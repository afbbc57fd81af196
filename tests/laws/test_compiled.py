"""The compiled E-step gives what the torch calls give, for every form of products, stack, weight and thread."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import cases
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from gmmlab.fit import run, whole
from gmmlab.gates import Constant
from gmmlab.kernels import compiled
from gmmlab.kernels.compiled_tiles import TILE, _exp2, _log
from gmmlab.kernels.forms import Products
from gmmlab.stack import stack
from gmmlab.steps import e_step

NAMES = ["VVI", "VVV"]  # one of each form: structures are the refit's affair


@njit
def exp2(x):
    y = np.empty_like(x)
    for i in range(len(x)):
        y[i] = _exp2(x[i])
    return y


@njit
def log(x):
    y = np.empty_like(x)
    for i in range(len(x)):
        y[i] = _log(x[i])
    return y


@pytest.fixture
def both(monkeypatch):
    """Statistics by the loops, asked for whatever the rule says, and by torch calls."""

    def compute(model, x, weight=None):
        found = []
        for serves in (True, False):
            monkeypatch.setattr(compiled, "serves", lambda *_, serves=serves: serves)
            found.append(e_step(model, x, weight))
        return found

    return compute


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """Threads, each of which gets a share however small."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)
    monkeypatch.setattr(compiled, "SHARE", 1)
    return request.param


def mixture_of(name, x, k, rng):
    return cases.random_mixture(cases.STRUCTURES[name], x, k, rng)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_equal_those_of_torch(mixture, data, weighted, *, rng, dtype, tol, both):
    x = data.make(rng)[:1500].to(dtype)
    if not isinstance(mixture.components.form, Products):
        pytest.skip("the loops are for features that are products")
    weight = torch.rand(len(x), generator=rng).to(x) if weighted else None
    cases.close(*both(mixture, x, weight), tol)


@pytest.mark.parametrize("n", [0, 1, TILE - 1, TILE, TILE + 1, 3 * TILE + 7])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_rows(name, n, rng, *, dtype, tol, both, threads):
    model = mixture_of(name, cases.blobs(rng), 3, rng)
    cases.close(*both(model, cases.blobs(rng, n + 10)[:n].to(dtype)), tol)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_any_number_of_features_and_components(d, k, rng, *, dtype, tol, both):
    """Loops take two components, and eight or four features, at a time: what is left over is taken one by one."""
    for name in NAMES:
        x = cases.blobs(rng, 300, d)
        cases.close(*both(mixture_of(name, x, k, rng), x.to(dtype)), tol)


@pytest.mark.parametrize("weights", [None, "shared", "own"])
@pytest.mark.parametrize("name", NAMES)
def test_stacks_of_mixtures(name, weights, rng, *, dtype, tol, both, threads):
    x = cases.blobs(rng)
    model = stack([mixture_of(name, x, k, rng) for k in (3, 1, 2, 2)])
    weight = {None: None, "shared": torch.rand(len(x), generator=rng), "own": torch.rand(len(x), 4, generator=rng)}
    chosen = weight[weights]
    cases.close(*both(model, x.to(dtype), None if chosen is None else chosen.to(dtype)), tol)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_rows_whose_densities_underflow(name, weighted, rng, *, dtype, tol, both):
    x = cases.blobs(rng)
    far = x.clone()
    far[::7] *= 60.0
    weight = torch.rand(len(x), generator=rng).to(dtype) if weighted else None
    ours, theirs = both(mixture_of(name, x, 3, rng), far.to(dtype), weight)
    assert bool(torch.isfinite(ours.evidence))
    cases.close(ours, theirs, tol)


def test_component_of_weight_zero(rng, dtype, tol, both):
    x = cases.blobs(rng)
    model = mixture_of("VVV", x, 3, rng)
    model = model.replace(gate=Constant(torch.tensor([0.4, 0.0, 0.6]).double().log()))
    ours, theirs = both(model, x.to(dtype))
    assert float(ours.gate.w[1]) == 0.0
    torch.testing.assert_close(ours.evidence, theirs.evidence, rtol=tol, atol=tol)


def test_rows_in_any_order_of_memory(rng, dtype, both):
    x = cases.blobs(rng).to(dtype)
    model = mixture_of("VVV", x, 3, rng)
    wide = torch.full((len(x), 7), torch.nan, dtype=dtype)
    wide[:, 1:7:2] = x
    for same in (x.T.contiguous().T, wide[:, 1:7:2]):
        assert not same.is_contiguous() and torch.equal(same, x)
        cases.close(both(model, same)[0], both(model, x)[0], 0.0)


def test_same_rows_same_bits(rng, dtype, both, threads):
    x = cases.blobs(rng, 2000).to(dtype)
    model = mixture_of("VVV", x, 3, rng)
    cases.close(both(model, x)[0], both(model, x)[0], 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_ends_at_the_same_model(name, rng, *, tol, dtype, monkeypatch):
    x = cases.blobs(rng, d=2).to(dtype)
    mixture = mixture_of(name, x, 3, rng)

    def fit(serves):
        monkeypatch.setattr(compiled, "serves", lambda *_: serves)
        return list(islice(run(mixture, whole(x), stop=lambda _: False), 5))[-1]

    ours, theirs = fit(True), fit(False)
    torch.testing.assert_close(ours.model.components.cov, theirs.model.components.cov, rtol=10 * tol, atol=10 * tol)
    assert ours.info.evidence == pytest.approx(theirs.info.evidence, rel=tol)


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.floats(-1022, 1), min_size=1, max_size=50))
def test_powers_of_two(exponents):
    for kind, eps in ((np.float64, 2**-52), (np.float32, 2**-23)):
        x = np.array([e for e in exponents if e >= np.log2(np.finfo(kind).tiny)], kind)
        np.testing.assert_allclose(exp2(x), np.exp2(x.astype(float)), rtol=1.5 * eps)


def test_powers_of_two_that_are_no_normal_numbers():
    for kind in (np.float32, np.float64):
        assert not exp2(np.array([-1e5, -1023.5, -np.inf], kind)).any()


@settings(deadline=None)
@given(st.lists(st.floats(1e-290, 1e290), min_size=1, max_size=50))
def test_logarithms(numbers):
    x = np.array(numbers)
    np.testing.assert_allclose(log(x), np.log(x), rtol=4e-16, atol=4e-16)


def test_rule(monkeypatch):
    """On the CPU, where there is enough to do, and not for more features than the second cache holds."""
    rows = torch.zeros(compiled.LEAST_WORK // 60, 2, dtype=torch.float64)
    assert compiled.serves(rows, 10, 6 + 1) and not compiled.serves(rows, 10, 6 - 1)
    assert not compiled.serves(rows, 10, compiled.MOST_FEATURES + 1)
    monkeypatch.setattr(compiled, "can_run", lambda: False)
    assert not compiled.serves(rows, 10, 7)


WITHOUT = """
import sys
sys.modules["numba"] = None  # what an import meets where the package is missing
import torch
from gmmlab.kernels import compiled
compiled.find_spec = lambda name: None
x = torch.randn(300_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
from gmmlab import GaussianMixture
model = GaussianMixture(5, means_init=x[:5].numpy(), max_iter=2, tol=1e9).fit(x)
assert "gmmlab.kernels.compiled_tiles" not in sys.modules
print("fitted")
"""


def test_without_numba_torch_calls_remain():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fitted", done.stderr
