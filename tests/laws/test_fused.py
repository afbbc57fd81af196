"""The fused E-step gives what the torch calls give: on a GPU as it runs there, elsewhere under Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice

import cases
import pytest
import torch

from gmmlab.families import Gaussian
from gmmlab.fit import run, whole
from gmmlab.gates import Constant
from gmmlab.kernels import fused
from gmmlab.kernels.forms import Packed, Products, Squares
from gmmlab.model import Mixture
from gmmlab.stack import stack
from gmmlab.steps import e_step

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type != "cuda":
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported
pytest.importorskip("triton", reason="the fused kernel needs Triton: not covered here")

pytestmark = pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")


@pytest.fixture(params=["VVI", "VVV"])
def structure(request):
    """One of each form: structures are the refit's affair."""
    return cases.STRUCTURES[request.param]


@pytest.fixture
def x(data, rng, dtype):
    return data.make(rng)[:1500].to(dtype=dtype, device=DEVICE)


@pytest.fixture
def suited(mixture):
    """The mixture, where the kernel takes it."""
    components = mixture.components
    if not isinstance(components.form, Products) or not fused._suits(mixture.k, components.width - mixture.k, 8):
        pytest.skip("the kernel is not for this many features")
    return mixture


@pytest.fixture
def both(monkeypatch):
    """Statistics by the kernel, asked for whatever the rule says, and by torch calls."""

    def compute(mixture, x, weight=None):
        found = []
        for serves in (True, False):
            monkeypatch.setattr(fused, "serves", lambda *_, serves=serves: serves)
            found.append(e_step(mixture, x, weight))
        return found

    return compute


@pytest.fixture
def calls(monkeypatch):
    """Grows with every call of the kernel."""
    counted, compute = [], fused.fused_e_step
    monkeypatch.setattr(fused, "fused_e_step", lambda *given: counted.append(1) or compute(*given))
    return counted


def features_by_hand(x, origin, pairs):
    y = torch.cat([torch.ones_like(x[:, :1]), x - origin], dim=1)
    return y[:, pairs[0]] * y[:, pairs[1]]


def small(rng, dtype, n=500, d=3, k=4):
    """Rows, and parameters that are not those of any mixture: the kernel does not care."""
    pairs = Packed().pairs(d, DEVICE)
    x = cases.blobs(rng, n, d, 3).to(DEVICE, dtype)
    natural = 0.1 * torch.randn(k, pairs.shape[1], generator=rng, dtype=torch.float64).to(DEVICE)
    return x, x.mean(0), natural, pairs


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_equal_those_of_torch(suited, x, weighted, *, rng, tol, both, calls):
    weight = torch.rand(len(x), generator=rng).to(x) if weighted else None
    cases.close(*both(suited, x, weight), tol)
    assert len(calls) == 1


def test_no_rows(rng, dtype, both):
    mixture = cases.random_mixture(cases.STRUCTURES["VVV"], cases.blobs(rng), 3, rng).to(DEVICE)
    cases.close(*both(mixture, torch.zeros(0, 3, dtype=dtype, device=DEVICE)), 0.0)


@pytest.mark.parametrize("gate", cases.GATES.values(), ids=cases.GATES)
@pytest.mark.parametrize("family", cases.FAMILIES.values(), ids=[name.replace(" ", "-") for name in cases.FAMILIES])
def test_gaussians_with_constant_weights_are_fused_and_nothing_else(family, gate, rng, *, dtype, tol, both, calls):
    x = cases.blobs(rng)
    model = Mixture(family(x, 2, rng), gate(x, 2)).to(DEVICE)
    one, other = both(model, x.to(DEVICE, dtype))
    plain = type(model.components) is Gaussian and type(model.gate) is Constant
    assert len(calls) == int(plain)
    torch.testing.assert_close(one.evidence, other.evidence, rtol=tol, atol=tol)


def test_a_stack_is_not_fused(rng, dtype, both, calls):
    x = cases.blobs(rng)
    model = cases.random_mixture(cases.STRUCTURES["VVV"], x, 2, rng).to(DEVICE)
    both(stack([model, model]), x.to(DEVICE, dtype))
    assert not calls


@pytest.mark.parametrize("n", [1, 15, 128, 129, 1000])
@pytest.mark.parametrize("programs", [1, 2, 50])
def test_any_number_of_rows_and_programs(n, programs, rng, dtype, tol):
    x, origin, natural, pairs = small(rng, dtype, n)
    features = features_by_hand(x.double(), origin.double(), pairs)
    joint = features @ natural.T
    total, evidence = fused.fused_e_step(x, origin, natural, pairs, programs=programs)
    expected = torch.softmax(joint, dim=1).T @ features
    torch.testing.assert_close(total, expected, rtol=tol, atol=tol * float(expected.abs().max()))
    torch.testing.assert_close(evidence, torch.logsumexp(joint, 1).sum()[None], rtol=tol, atol=tol)


def test_weights_equal_replication(rng, dtype, tol):
    x, origin, natural, pairs = small(rng, dtype)
    times = torch.randint(0, 4, (len(x),), generator=rng).to(DEVICE)
    weighted = fused.fused_e_step(x, origin, natural, pairs, times.to(dtype))
    replicated = fused.fused_e_step(x.repeat_interleave(times, dim=0), origin, natural, pairs)
    for left, right in zip(weighted, replicated, strict=True):
        torch.testing.assert_close(left, right, rtol=tol, atol=tol * float(right.abs().max()))


def test_rows_in_any_order_of_memory(rng, dtype):
    x, origin, natural, pairs = small(rng, dtype)
    expected = fused.fused_e_step(x, origin, natural, pairs)
    wide = torch.full((len(x), 7), torch.nan, dtype=dtype, device=DEVICE)
    wide[:, 1:7:2] = x
    for same in (x.T.contiguous().T, wide[:, 1:7:2]):
        assert not same.is_contiguous() and torch.equal(same, x)
        for left, right in zip(fused.fused_e_step(same, origin, natural, pairs), expected, strict=True):
            assert torch.equal(left, right)


def test_same_rows_same_bits(rng, dtype):
    x, origin, natural, pairs = small(rng, dtype)
    first, second = (fused.fused_e_step(x, origin, natural, pairs, programs=7) for _ in range(2))
    assert torch.equal(first.total, second.total) and torch.equal(first.evidence, second.evidence)


def test_component_of_weight_zero(rng, dtype, tol):
    x, origin, natural, pairs = small(rng, dtype)
    without = fused.fused_e_step(x, origin, natural[1:], pairs)
    natural[0, 0] = -torch.inf
    total, evidence = fused.fused_e_step(x, origin, natural, pairs)
    assert not total[0].any()
    torch.testing.assert_close(total[1:], without.total, rtol=tol, atol=tol)
    torch.testing.assert_close(evidence, without.evidence, rtol=tol, atol=tol)


def test_far_rows_do_not_overflow(rng, dtype):
    x, origin, natural, pairs = small(rng, dtype, n=50)
    total, evidence = fused.fused_e_step(x * 1e4, origin, natural, pairs)
    assert bool(torch.isfinite(total).all()) and bool(torch.isfinite(evidence))


def test_a_fit_takes_the_kernel_and_ends_at_the_same_model(structure, rng, *, tol, dtype, calls, monkeypatch):
    x = cases.blobs(rng, d=2).to(DEVICE, dtype)
    mixture = cases.random_mixture(structure, x.cpu(), 3, rng).to(DEVICE)

    def fit(serves):
        monkeypatch.setattr(fused, "serves", serves)
        return list(islice(run(mixture, whole(x), stop=lambda _: False), 5))[-1]

    ours, theirs = fit(lambda *_: True), fit(lambda *_: False)
    assert len(calls) == 5
    torch.testing.assert_close(ours.model.components.cov, theirs.model.components.cov, rtol=10 * tol, atol=10 * tol)
    assert ours.info.evidence == pytest.approx(theirs.info.evidence, rel=tol)


def test_pairs_are_the_features_of_the_form(rng):
    """The kernel and `features` must agree on the order."""
    x = torch.randn(20, 4, generator=rng, dtype=torch.float64)
    origin = x.mean(0)
    for form in (Packed(), Squares()):
        by_hand = features_by_hand(x, origin, form.pairs(4, x.device))
        torch.testing.assert_close(form.features(x, origin), by_hand.T)


def test_rule():
    """On the CPU never; on a GPU within the budget of registers."""
    assert not fused.serves(torch.zeros(5, 2, dtype=torch.float64), 2, 6)
    full = [d for d in range(1, 40) if fused._suits(10, 1 + d + d * (d + 1) // 2, 8)]
    diagonal = [d for d in range(1, 40) if fused._suits(10, 1 + 2 * d, 8)]
    assert full == list(range(1, 10)) and diagonal == list(range(1, 32))
    assert fused._suits(64, 28, 8) and not fused._suits(65, 28, 8) and fused._suits(128, 28, 4)


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize(("k", "f"), [(1, 3), (5, 6), (10, 45), (8, 64), (128, 16)])
def test_tiles_hold_what_they_must(k, f, itemsize):
    tile = fused.tile_for(k, f, itemsize)
    assert tile.k >= k and tile.f >= f and tile.rows >= 16
    assert all(side & (side - 1) == 0 for side in tile)


COMPILE = """
import warnings; warnings.simplefilter("ignore")
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gmmlab.kernels.fused import tile_for
from gmmlab.kernels.fused_tiles import e_step_tiles

for kind, itemsize in (("fp32", 4), ("fp64", 8)):
    tile = tile_for(10, 45, itemsize)
    names = e_step_tiles.arg_names
    sizes = {"K": tile.k, "F": tile.f, "ROWS": tile.rows, "weight_ptr": None, "column_stride": 1}
    types = {name: "*" + kind for name in names if name.endswith("_ptr")}
    types |= {"pairs_ptr": "*i32", "total_ptr": "*fp64", "evidence_ptr": "*fp64", "n": "i64", "row_stride": "i32"}
    types |= dict.fromkeys(sizes, "constexpr")
    source = ASTSource(e_step_tiles, signature={name: types[name] for name in names}, constexprs=sizes)
    for capability in (80, 90):
        kernel = compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": tile.warps})
        assert len(kernel.asm["cubin"]) > 0 and kernel.metadata.shared < 99 << 10, (kind, capability)
print("compiled")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton's compiler for NVIDIA is there on Linux")
def test_compiles_for_gpus_that_are_not_here(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "compiled", done.stderr
