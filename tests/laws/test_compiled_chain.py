"""Compiled passes through chains give what the torch calls give: for any states, lengths, weights and threads."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.errors import BadData
from gmmlab.fit import run, sequences
from gmmlab.gates import Markov
from gmmlab.kernels import chain, compiled, compiled_chain
from gmmlab.kernels.chain import Chain
from gmmlab.kernels.packing import Packing
from gmmlab.model import Mixture

# one tile is sixteen sequences and sixteen times
LENGTHS = {
    "one": [40],
    "ragged": [70, 5, 1, 70, 33],
    "tiles end": [16] * 16 + [32, 17, 15, 1],
    "blocks end": [3] * 33 + [50],
    "rows": [1] * 20,
}


@pytest.fixture(params=[torch.float64, torch.float32], ids=str)
def kind(request) -> torch.dtype:
    return request.param


@pytest.fixture(params=LENGTHS)
def lengths(request) -> list[int]:
    return LENGTHS[request.param]


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """Threads, each of which gets a share however small."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)
    monkeypatch.setattr(compiled_chain, "SHARE", 1)


@pytest.fixture
def both(monkeypatch):
    """Statistics by the loops, asked for whatever the rule says, and by torch calls."""

    def compute(model, x, lengths, **options):
        found = []
        for serves in (True, False):
            monkeypatch.setattr(compiled_chain, "serves", lambda *_, serves=serves: serves)
            found.append(sequences(x, lengths, **options)(model))
        return found

    return compute


def a_gate(s: int, rng: torch.Generator, *, forbidden: bool = False, parts: Tensor | None = None) -> Markov:
    start, moves = (torch.rand(*axes, generator=rng, dtype=torch.float64) for axes in ([s], [s, s]))
    if forbidden:
        start[1:], moves = 0, moves.triu()
    return Markov.of(start, moves + 2 * torch.eye(s), parts)


def rows(n: int, rng: torch.Generator) -> Tensor:
    """Three regimes that last."""
    return cases.blobs(rng, n)[torch.arange(n).sort().indices]


def tolerance(kind: torch.dtype) -> float:
    return 1e-10 if kind == torch.float64 else 2e-3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("s", [1, 2, 3, 5, 8])
def test_smoothed_states_equal_those_of_torch(s, weighted, lengths, rng, *, kind, threads):
    """Also where moves are impossible."""
    packing, model = Packing(lengths), a_gate(s, rng, forbidden=s > 2).chain
    table = (3 * torch.randn(s, sum(lengths), generator=rng, dtype=torch.float64)).T
    weight = torch.rand(len(lengths), generator=rng, dtype=torch.float64).round(decimals=1) if weighted else None
    each = None if weight is None else weight[packing.sequence].to(kind)
    found, expected = (way(model, table.to(kind), packing, each) for way in (compiled_chain.smoothed, chain.scaled))
    exact = chain.in_logs(model, table, packing, None if weight is None else weight[packing.sequence])
    for ours, theirs, best in zip(found, expected, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance(kind), atol=tolerance(kind))
        torch.testing.assert_close(ours.double(), best, rtol=tolerance(kind), atol=tolerance(kind))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("s", [1, 4, 5])
@pytest.mark.parametrize("name", ["VVI", "VVV"])
def test_statistics_equal_those_of_torch(name, s, weighted, lengths, rng, *, kind, both):
    x = rows(sum(lengths), rng)
    components = cases.random_mixture(cases.STRUCTURES[name], cases.blobs(rng), s, rng).components
    weight = torch.rand(len(lengths), generator=rng) if weighted else None
    model = Mixture(components, a_gate(s, rng, forbidden=s == 5))
    ours, theirs = both(model, x.to(kind), lengths, weight=weight)
    cases.close(ours, theirs, tolerance(kind))
    torch.testing.assert_close(ours.gate.start, theirs.gate.start, rtol=tolerance(kind), atol=tolerance(kind))
    torch.testing.assert_close(ours.gate.moves, theirs.gate.moves, rtol=tolerance(kind), atol=tolerance(kind))


def test_statistics_of_gaussians_need_no_table(rng, kind, monkeypatch):
    def refuse(*_args):
        raise AssertionError("a table was made")

    x, lengths = rows(300, rng).to(kind), [120, 1, 99, 80]
    model = Mixture(cases.gaussians(cases.Full(), x, 3, rng), a_gate(3, rng))
    plain, told = sequences(x, lengths), sequences(x, lengths, told=torch.zeros(300, 3))
    monkeypatch.setattr(compiled_chain, "serves", lambda *_: True)
    monkeypatch.setattr(type(plain), "_table", refuse)
    assert bool(torch.isfinite(plain(model).evidence))
    with pytest.raises(AssertionError, match="a table was made"):
        told(model)


@pytest.mark.parametrize("family", cases.FAMILIES)
def test_any_family_may_be_what_states_emit(family, rng, kind, both):
    x, lengths = rows(300, rng), [120, 1, 99, 80]
    model = Mixture(cases.FAMILIES[family](x, 3, rng), a_gate(3, rng))
    ours, theirs = both(model, x.to(kind), lengths)
    torch.testing.assert_close(ours.gate.moves, theirs.gate.moves, rtol=tolerance(kind), atol=tolerance(kind))
    torch.testing.assert_close(ours.evidence, theirs.evidence, rtol=tolerance(kind), atol=tolerance(kind))


def test_states_that_are_told_entries_that_lack_and_states_of_several_components(rng, kind, both):
    x, lengths = rows(300, rng).to(kind), [120, 1, 99, 80]
    pool = cases.gaussians(cases.Full(), x, 3, rng)
    plain = Mixture(pool, a_gate(3, rng))
    told = torch.rand(300, 3, generator=rng).log()
    told[::5, 1] = -torch.inf
    gaps = x.clone()
    gaps[torch.rand(x.shape, generator=rng) < 0.2] = torch.nan
    within = Mixture(pool, a_gate(2, rng, parts=torch.rand(3, 2, generator=rng)))
    for model, given, options in ((plain, x, {"told": told}), (plain, gaps, {}), (within, x, {})):
        ours, theirs = both(model, given, lengths, **options)
        cases.close(ours, theirs, tolerance(kind))
        torch.testing.assert_close(ours.gate.moves, theirs.gate.moves, rtol=tolerance(kind), atol=tolerance(kind))


def test_rows_that_hardly_any_state_can_make(rng, kind, both):
    """Densities underflow about zero, not over the greatest of their row."""
    x, lengths = rows(300, rng), [120, 1, 99, 80]
    model = Mixture(cases.gaussians(cases.Full(), x, 3, rng), a_gate(3, rng))
    x[::7] *= 60.0
    ours, theirs = both(model, x.to(kind), lengths)
    assert bool(torch.isfinite(ours.evidence))
    cases.close(ours, theirs, 10 * tolerance(kind))


def test_what_is_not_exact_is_computed_with_logarithms(rng, kind, both):
    """Held to the left for long, then on the right from the start: no scaled product survives that."""
    never, lengths = -torch.inf, [1600, 7]
    model = Chain(torch.tensor([0.5, 0.5]).double().log(), torch.tensor([[0.0, never], [never, 0.0]]).double())
    table = torch.zeros(1607, 2, dtype=kind)
    table[:800, 1], table[800:, 0] = -1.0, -1.001
    packing = Packing(lengths)
    assert compiled_chain.smoothed(model, packing.pack(table), packing) is None
    assert chain.scaled(model, packing.pack(table), packing) is None
    x = torch.where(torch.arange(1607) < 800, -1.0, 1.001).to(kind)[:, None]
    states = cases.gaussians(cases.STRUCTURES["EII"], x, 2, rng)
    states = states.replace(mean=torch.tensor([[-1.0], [1.0]]).double(), chol=torch.ones(2, 1).double())
    ours, theirs = both(Mixture(states, Markov(*model, a_gate(2, rng).share)), x, lengths)
    cases.close(ours, theirs, 0.0)  # by the same calls


@pytest.mark.parametrize("exact", [False, True])
def test_both_take_the_same_for_exact(exact, rng, kind):
    """The first state is ruled out in the end, when enough is left of the other, or too little."""
    few = {torch.float64: (500, 300), torch.float32: (60, 40)}[kind][exact]
    model = Chain(torch.tensor([0.5, 0.5]).double().log(), torch.eye(2).double().log())
    table, packing = torch.zeros(few + 1, 2, dtype=kind), Packing([few + 1])
    table[:few, 1], table[few, 0] = -1.0, -torch.inf
    for way in (chain.scaled, compiled_chain.smoothed):
        assert (way(model, table, packing) is not None) == exact


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_is_not_passed_over(value, rng, kind):
    table, packing = torch.zeros(40, 3, dtype=kind), Packing([30, 10])
    table[17, 1] = value
    assert compiled_chain.smoothed(a_gate(3, rng).chain, table, packing) is None


def test_an_impossible_sequence_says_where(rng, both):
    x = rows(60, rng)
    model = Mixture(cases.gaussians(cases.Full(), x, 3, rng), a_gate(3, rng))
    told = torch.zeros(60, 3, dtype=torch.float64)
    told[25] = -torch.inf
    with pytest.raises(BadData, match="Sequence 1 cannot be: at its row 5"):
        both(model, x, [20, 40], told=told)


def test_same_rows_same_bits(rng, kind, both, threads):
    x, lengths = rows(600, rng).to(kind), [20] * 30
    model = Mixture(cases.gaussians(cases.Full(), x, 3, rng), a_gate(3, rng))
    ours, again = (both(model, x, lengths)[0] for _ in range(2))
    cases.close(ours, again, 0.0)
    assert torch.equal(ours.gate.moves, again.gate.moves)


@pytest.mark.parametrize("name", ["VVI", "VVV"])
def test_a_fit_ends_at_the_same_model(name, rng, kind, monkeypatch):
    x, lengths = rows(300, rng).to(kind), [120, 1, 99, 80]
    model = Mixture(cases.gaussians(cases.STRUCTURES[name], x, 3, rng), a_gate(3, rng))

    def fit(serves):
        monkeypatch.setattr(compiled_chain, "serves", lambda *_: serves)
        return list(islice(run(model, sequences(x, lengths), stop=lambda _: False), 5))[-1]

    ours, theirs = fit(True), fit(False)
    torch.testing.assert_close(
        ours.model.components.cov, theirs.model.components.cov, rtol=10 * tolerance(kind), atol=10 * tolerance(kind)
    )
    assert ours.info.evidence == pytest.approx(theirs.info.evidence, rel=tolerance(kind))


def test_rule(monkeypatch):
    """On the CPU, where there is enough to do, and not for sequences that are too long to be kept."""
    many, longest = compiled_chain.LEAST_WORK // 8, compiled_chain.MOST_KEPT // (2 * 16 * 8)
    assert compiled_chain.serves(torch.zeros(many, 2), 8, Packing([100]))
    assert not compiled_chain.serves(torch.zeros(many - 1, 2), 8, Packing([100]))
    assert compiled_chain.serves(torch.zeros(longest, 2), 8, Packing([longest]))
    assert not compiled_chain.serves(torch.zeros(longest + 1, 2), 8, Packing([longest + 1]))
    monkeypatch.setattr(compiled, "can_run", lambda: False)
    assert not compiled_chain.serves(torch.zeros(many, 2), 8, Packing([100]))


WITHOUT = """
import sys
sys.modules["numba"] = None  # what an import meets where the package is missing
import torch
from gmmlab.kernels import compiled
compiled.find_spec = lambda name: None
from gmmlab.sequences import HMM
x = torch.randn(20_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
HMM(3, max_iter=2, tol=1e9).fit(x, [200] * 100)
assert "gmmlab.kernels.chain_tiles" not in sys.modules
print("fitted")
"""


def test_without_numba_torch_calls_remain():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fitted", done.stderr
