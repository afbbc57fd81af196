"""Laws of hidden chains: sums over paths are what they say, by whatever way, and however sequences are packed."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from gmmlab.errors import BadData
from gmmlab.kernels import chain, compiled_chain, scan
from gmmlab.kernels.chain import Chain
from gmmlab.kernels.packing import Packing

WAYS = {
    "scaled": chain.scaled,
    "in logs": chain.in_logs,
    "by rule": chain.smooth,
    "by scan": scan.smooth,
    "quickest": scan.quickest,
    "compiled": compiled_chain.smoothed,
}
BEST = {"in steps": chain.viterbi, "by scan": scan.viterbi}
FILTERS = {"in steps": chain.filtered, "by scan": scan.filtered}


def a_chain(rng: torch.Generator, s: int = 3, *, never: bool = False) -> Chain:
    """Random probabilities; from left to right, with a state that no sequence starts in, if `never`."""
    start = torch.rand(s, generator=rng, dtype=torch.float64)
    moves = torch.rand(s, s, generator=rng, dtype=torch.float64)
    if never:
        start[-1], moves = 0, moves.triu()
    return Chain((start / start.sum()).log(), (moves / moves.sum(1, keepdim=True)).log())


def a_table(rng: torch.Generator, n: int, s: int = 3, spread: float = 3.0) -> Tensor:
    return spread * torch.randn(n, s, generator=rng, dtype=torch.float64)


def by_paths(model: Chain, table: Tensor) -> tuple[float, Tensor, Tensor, Tensor, float]:
    """Evidence, states, moves, and the best path of one sequence with its log density, by enumeration."""
    t, s = table.shape
    resp, moves, joint = torch.zeros(t, s).double(), torch.zeros(s, s).double(), {}
    for path in itertools.product(range(s), repeat=t):
        value = float(model.start[path[0]] + table[range(t), path].sum())
        joint[path] = value + sum(float(model.moves[i, j]) for i, j in itertools.pairwise(path))
    log_z = math.log(sum(math.exp(value) for value in joint.values()))
    for path, value in joint.items():
        share = math.exp(value - log_z)
        resp[range(t), path] += share
        for i, j in itertools.pairwise(path):
            moves[i, j] += share
    best = max(joint, key=joint.__getitem__)
    return log_z, resp, moves, torch.tensor(best), joint[best]


@pytest.mark.parametrize("never", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_smoothed_states_are_sums_over_all_paths(way, never, rng):
    model, table, packing = a_chain(rng, never=never), a_table(rng, 11), Packing([6, 1, 4])
    found = WAYS[way](model, packing.pack(table), packing)
    total = torch.zeros(3, 3, dtype=torch.float64)
    resp, evidence = packing.unpack(found.resp), packing.unpack(found.evidence)
    for part, of, line in zip(table.split([6, 1, 4]), resp.split([6, 1, 4]), evidence.split([6, 1, 4]), strict=True):
        log_z, states, moves, _, _ = by_paths(model, part)
        assert float(line.sum()) == pytest.approx(log_z, rel=1e-12)
        torch.testing.assert_close(of, states)
        total += moves
    torch.testing.assert_close(found.moves, total)


@pytest.mark.parametrize("never", [False, True])
@pytest.mark.parametrize("way", BEST)
def test_best_paths_are_the_best_of_all(way, never, rng):
    model, table, packing = a_chain(rng, never=never), a_table(rng, 11), Packing([1, 6, 4])
    found = BEST[way](model, packing.pack(table), packing)
    states = packing.unpack(found.states).split([1, 6, 4])
    for part, path, value in zip(table.split([1, 6, 4]), states, found.log_prob, strict=True):
        log_z, _, _, best, log_prob = by_paths(model, part)
        assert torch.equal(path, best)
        assert float(value) == pytest.approx(log_prob, rel=1e-12)
        assert float(value) <= log_z


@pytest.mark.parametrize("way", FILTERS)
def test_filtered_states_are_smoothed_states_of_what_came_so_far(way, rng):
    model, table, packing = a_chain(rng, never=True), a_table(rng, 9), Packing([9])
    found = FILTERS[way](model, table, packing)
    for t in range(1, 10):
        so_far = chain.in_logs(model, table[:t], Packing([t]))
        torch.testing.assert_close(found.resp[t - 1], so_far.resp[-1])
        torch.testing.assert_close(found.evidence[t - 1], so_far.evidence[-1])


LENGTHS = [[200], [70, 5, 1, 70, 33], [3] * 40]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("spread", [3.0, 200.0])
def test_all_ways_agree(lengths, spread, rng):
    """With densities so far apart that only logarithms are safe, too."""
    packing = Packing(lengths)
    model, table = a_chain(rng, 4), a_table(rng, sum(lengths), 4, spread)
    weight = torch.rand(len(lengths), generator=rng, dtype=torch.float64)[packing.sequence]
    exact = chain.in_logs(model, table, packing, weight)
    for smooth in (chain.smooth, scan.smooth):
        found = smooth(model, table, packing, weight)
        for left, right in zip(found, exact, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(scan.viterbi(model, table, packing).states, chain.viterbi(model, table, packing).states)
    single = chain.smooth(model, table.float(), packing, weight.float())
    torch.testing.assert_close(single.resp, exact.resp.float(), rtol=1e-3, atol=1e-4 * spread)


def test_what_underflows_is_computed_with_logarithms(rng):
    """Held to the left for long, then on the right from the start: no scaled product survives that."""
    never = -torch.inf
    model = Chain(torch.tensor([0.5, 0.5]).double().log(), torch.tensor([[0.0, never], [never, 0.0]]).double())
    table = torch.zeros(4000, 2, dtype=torch.float64)
    table[:2000, 1], table[2000:, 0] = -1.0, -1.001
    assert chain.scaled(model, table, Packing([4000])) is None
    for smooth in (chain.smooth, scan.smooth):
        found = smooth(model, table, Packing([4000]))
        assert float(found.resp[0, 1]) == pytest.approx(1 / (1 + math.exp(-2.0)), rel=1e-9)
        assert float(found.evidence.sum()) == pytest.approx(-2000 + math.log(0.5 * (1 + math.exp(-2.0))), rel=1e-12)


def test_derivatives_of_the_evidence_are_the_smoothed_states(rng):
    model, packing = a_chain(rng, never=True), Packing([5, 30, 30, 2])
    table = a_table(rng, 67).requires_grad_()
    leaves = [part.clone().requires_grad_() for part in model]
    log_z = chain.evidence(Chain(*leaves), table, packing)
    found = chain.smooth(model, table.detach(), packing)
    per_sequence = torch.zeros(4, dtype=torch.float64).index_add_(0, packing.sequence, found.evidence)
    torch.testing.assert_close(log_z, per_sequence)
    log_z.sum().backward()
    torch.testing.assert_close(table.grad, found.resp)
    torch.testing.assert_close(leaves[0].grad, found.resp[:4].sum(0))
    torch.testing.assert_close(leaves[1].grad, found.moves)


@pytest.mark.parametrize("way", WAYS)
def test_sequences_may_come_in_any_order_and_in_any_company(way, rng):
    model, lengths = a_chain(rng, 4), [7, 12, 1, 12, 3]
    table = a_table(rng, 35, 4)
    together = Packing(lengths)
    found = WAYS[way](model, together.pack(table), together)
    parts = [WAYS[way](model, part, Packing([len(part)])) for part in table.split(lengths)]
    torch.testing.assert_close(together.unpack(found.resp), torch.cat([part.resp for part in parts]))
    torch.testing.assert_close(together.unpack(found.evidence), torch.cat([part.evidence for part in parts]))
    torch.testing.assert_close(found.moves, torch.stack([part.moves for part in parts]).sum(0))


def test_states_may_be_renamed(rng):
    model, table, packing, names = a_chain(rng), a_table(rng, 20), Packing([12, 8]), torch.tensor([2, 0, 1])
    found = chain.smooth(model, table, packing)
    renamed = chain.smooth(Chain(model.start[names], model.moves[names][:, names]), table[:, names], packing)
    torch.testing.assert_close(renamed.resp, found.resp[:, names])
    torch.testing.assert_close(renamed.moves, found.moves[names][:, names])


def test_moves_leave_and_reach_the_states(rng):
    model, table, packing = a_chain(rng), a_table(rng, 20), Packing([12, 8])
    found = chain.smooth(model, table, packing)
    first, last = found.resp[:2].sum(0), found.resp[packing.last].sum(0)
    torch.testing.assert_close(found.moves.sum(0) + first, found.resp.sum(0))
    torch.testing.assert_close(found.moves.sum(1) + last, found.resp.sum(0))


def test_an_impossible_sequence_says_where(rng):
    never = -torch.inf
    model = Chain(torch.tensor([0.0, never]).double(), torch.tensor([[0.0, never], [never, 0.0]]).double())
    table = torch.tensor([[0.0, 0.0], [0.0, 0.0], [never, 0.0], [0.0, 0.0]]).double()
    found = chain.smooth(model, table, Packing([4]))
    assert int((found.evidence == never).nonzero()[0]) == 2


@pytest.mark.parametrize("lengths", [[], [3, 0, 2], [-1]], ids=str)
def test_lengths_are_checked(lengths):
    with pytest.raises(BadData, match="each at least 1"):
        Packing(lengths)


def test_the_rule_of_scans_has_two_sides():
    assert scan.pays(Packing([5000] * 7), 8)
    assert not scan.pays(Packing([5000] * 8), 8)
    assert not scan.pays(Packing([20]), 2)


def test_prefixes_are_products_in_order(rng):
    for t in (1, 2, 3, 7, 8, 13):
        matrices = torch.rand(t, 1, 2, 2, generator=rng, dtype=torch.float64)
        found = scan.prefixes(lambda a, b: (a[0] @ b[0],), (matrices,))[0]
        product = torch.eye(2).double()
        for one, expected in zip(found, matrices, strict=True):
            product = product @ expected[0]
            torch.testing.assert_close(one[0], product)
