"""Laws of mixtures along sequences: EM climbs for every family, statistics add, and what is known is kept."""

from __future__ import annotations

import itertools

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.algebra.conditioning import marginal
from gmmlab.errors import BadData
from gmmlab.families import Gaussian
from gmmlab.fit import plateau, run, sequences, squarem
from gmmlab.gates import Constant, Markov
from gmmlab.gates.markov import Along
from gmmlab.kernels.packing import Packing
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step

LENGTHS = [120, 1, 99, 80]


def a_gate(rng: torch.Generator, s: int = 3, parts: Tensor | None = None) -> Markov:
    start, moves = (torch.rand(*axes, generator=rng, dtype=torch.float64) for axes in ([s], [s, s]))
    return Markov.of(start, moves + 2 * torch.eye(s), parts)


def a_model(x: Tensor, rng: torch.Generator, k: int = 3, family: str = "gaussian") -> Mixture:
    return Mixture(cases.FAMILIES[family](x, k, rng), a_gate(rng, k))


@pytest.fixture
def x(rng) -> Tensor:
    """Three regimes that last."""
    return cases.blobs(rng)[torch.arange(300).view(100, 3).T.flatten()]


@pytest.mark.parametrize("family", cases.FAMILIES)
@pytest.mark.parametrize("priors", [False, True])
def test_the_objective_never_falls(family, priors, x, rng):
    model = a_model(x, rng, family=family)
    if priors:
        model = model.replace(gate=model.gate.with_priors(torch.full((3,), 2.0), torch.ones(3, 3) + 5 * torch.eye(3)))
    values = [float(step.info.objective) for step in itertools.islice(run(model, sequences(x, LENGTHS)), 12)]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(values))
    assert values[-1] > values[0] + 1e-3


def test_a_chain_that_forgets_is_a_gate_of_constant_weights(x, rng):
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    plain = cases.random_mixture(cases.Full(), x, 3, rng).replace(gate=Constant.of(weights))
    chained = plain.replace(gate=Markov.of(weights, weights.expand(3, 3)))
    found, expected = sequences(x, LENGTHS)(chained), e_step(plain, x)
    cases.close(found, expected, 1e-9)
    torch.testing.assert_close(found.gate.moves.sum(0) + found.gate.start, found.gate.w)
    torch.testing.assert_close(chained.weights, weights, rtol=1e-5, atol=0)
    torch.testing.assert_close(sequences(x, LENGTHS).posterior(chained).resp, plain.posterior(x).resp)


def test_one_state_is_one_component(x, rng):
    model = a_model(x, rng, k=1)
    refit = m_step(model, sequences(x, LENGTHS)(model))
    torch.testing.assert_close(refit.components.mean[0], x.mean(0))
    torch.testing.assert_close(refit.components.cov[0], torch.cov(x.T, correction=0))


@pytest.mark.parametrize("family", ["gaussian", "student, full", "factor analyzers"])
def test_statistics_add_over_sequences(family, x, rng):
    model = a_model(x, rng, family=family)
    whole = m_step(model, sequences(x, LENGTHS)(model))
    parts = [sequences(part, [len(part)])(model) for part in x.split(LENGTHS)]
    summed = m_step(model, parts[0] + parts[1] + parts[2] + parts[3])
    for left, right in zip(
        torch.utils._pytree.tree_leaves(whole), torch.utils._pytree.tree_leaves(summed), strict=True
    ):
        if isinstance(left, Tensor):
            torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)


def test_a_sequence_of_weight_two_counts_twice(x, rng):
    model = a_model(x, rng)
    heavy = sequences(x, LENGTHS, weight=torch.tensor([2.0, 1.0, 0.0, 1.0]))(model)
    twice = sequences(torch.cat([x[:121], x[220:], x[:120]]), [120, 1, 80, 120])(model)
    cases.close(heavy, twice, 1e-9)
    torch.testing.assert_close(heavy.gate.start, twice.gate.start)
    torch.testing.assert_close(heavy.gate.moves, twice.gate.moves)


def test_labels_that_are_known_are_kept(x, rng):
    """With every state told, a refit is the estimate of each state by itself, and moves are counted."""
    model, labels = a_model(x, rng), torch.arange(300) % 3
    told = torch.full((300, 3), -torch.inf, dtype=torch.float64)
    told[range(300), labels] = 0.0
    source = sequences(x, [100, 200], told=told)
    assert torch.equal(source.states(model).argmax(1), labels)
    assert torch.equal(source.paths(model).states, labels)
    refit = m_step(model, source(model))
    for k in range(3):
        torch.testing.assert_close(refit.components.mean[k], x[labels == k].mean(0))
    torch.testing.assert_close(refit.gate.moves.exp()[0], torch.tensor([0.0, 1.0, 0.0]).double(), rtol=0, atol=1e-9)
    assert refit.gate.start.exp().tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_evidence_of_equal_weight_for_all_states_moves_the_evidence_only(x, rng):
    model = a_model(x, rng)
    shift = torch.randn(300, 1, generator=rng, dtype=torch.float64)
    plain, told = sequences(x, LENGTHS), sequences(x, LENGTHS, told=shift.expand(300, 3))
    torch.testing.assert_close(told.posterior(model).resp, plain.posterior(model).resp)
    torch.testing.assert_close(told.posterior(model).evidence, plain.posterior(model).evidence + shift[:, 0])


def test_states_of_several_components_are_groups_of_states(x, rng):
    """A chain of states with two components each is a chain of six states that forgets which of the two it was in."""
    components = cases.gaussians(cases.Full(), x, 6, rng)
    within = torch.rand(2, 3, generator=rng, dtype=torch.float64)
    parts = torch.zeros(6, 3, dtype=torch.float64)
    for s in range(3):
        parts[2 * s : 2 * s + 2, s] = within[:, s]
    gate = a_gate(rng, 3, parts)
    own, start, moves = gate.parts.exp().sum(1), gate.start.exp(), gate.moves.exp()
    of = torch.arange(6) // 2
    six = Markov.of(start[of] * own, moves[of][:, of] * own)
    found, expected = (sequences(x, LENGTHS)(Mixture(components, one)) for one in (gate, six))
    cases.close(found, expected, 1e-9)
    torch.testing.assert_close(gate.weights, six.weights)
    torch.testing.assert_close(found.gate.parts.sum(1), found.gate.w)
    torch.testing.assert_close(found.gate.moves[0, 1], expected.gate.moves[:2, 2:4].sum())
    values = [
        float(s.info.evidence) for s in itertools.islice(run(Mixture(components, gate), sequences(x, LENGTHS)), 9)
    ]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(values))


def test_states_may_share_a_pool_of_components(x, rng):
    pool = cases.gaussians(cases.Full(), x, 4, rng)
    gate = a_gate(rng, 3, torch.rand(4, 3, generator=rng, dtype=torch.float64))
    table = pool.table(pool.features(x))
    expected = torch.logsumexp(table[:, :, None] + gate.parts, dim=1)
    torch.testing.assert_close(gate.states(table), expected)
    values = [float(s.info.evidence) for s in itertools.islice(run(Mixture(pool, gate), sequences(x, LENGTHS)), 9)]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(values))
    assert gate.n_parameters == 2 + 6 + 9


def test_what_is_missing_is_integrated_out(x, rng):
    model = a_model(x, rng)
    gaps = x.clone()
    gaps[torch.rand(x.shape, generator=rng) < 0.3] = torch.nan
    gaps[7] = torch.nan
    table = torch.zeros(300, 3, dtype=torch.float64)
    for i, row in enumerate(gaps):
        seen = (~torch.isnan(row)).nonzero().flatten().tolist()
        if seen:
            part = marginal(model, seen).components
            table[i] = part.table(part.features(row[seen][None]))[0]
    source, packing = sequences(gaps, LENGTHS), Packing(LENGTHS)
    expected = model.gate.along(packing.pack(table), packing)
    torch.testing.assert_close(source.states(model), packing.unpack(expected.states))
    values = [float(step.info.evidence) for step in itertools.islice(run(model, source), 12)]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(values))


def test_transforms_apply(x, rng):
    model = a_model(x, rng)
    plain, leaping = (
        list(run(model, sequences(x, LENGTHS), stop=plateau(1e-10), **options))
        for options in ({}, {"transform": squarem()})
    )
    assert leaping[-1].info.evidence == pytest.approx(plain[-1].info.evidence, abs=1e-5)
    assert len(leaping) < len(plain)


def test_filtered_states_of_the_last_row_are_smoothed(x, rng):
    model, source = a_model(x, rng), sequences(x, LENGTHS)
    ends = torch.tensor(LENGTHS).cumsum(0) - 1
    torch.testing.assert_close(source.filtered(model).resp[ends], source.states(model)[ends])
    torch.testing.assert_close(source.filtered(model).evidence, source.posterior(model).evidence)


def test_impossible_moves_stay_so_and_priors_are_modes(rng):
    gate = Markov.of(torch.tensor([1.0, 0, 0]), torch.ones(3, 3).triu()).with_priors(
        torch.full((3,), 3.0), torch.full((3, 3), 2.0)
    )
    model = Mixture(cases.gaussians(cases.Full(), cases.blobs(rng), 3, rng), gate)
    x = cases.blobs(rng, n=60)
    refit = m_step(model, sequences(x, [60])(model)).gate
    assert bool((refit.moves[torch.ones(3, 3).tril(-1) > 0] == -torch.inf).all())
    assert refit.start.exp().tolist() == [1.0, 0.0, 0.0]
    stats = sequences(x, [60])(model).gate
    line = stats.moves[0] + 1
    torch.testing.assert_close(refit.moves[0].exp(), line / line.sum())
    assert gate.n_parameters == 0 + (2 + 1 + 0)


def test_a_state_that_is_never_left_keeps_its_moves(rng):
    gate = a_gate(rng)
    model = Mixture(cases.gaussians(cases.Full(), cases.blobs(rng), 3, rng), gate)
    stats = sequences(cases.blobs(rng, n=3), [1, 1, 1])(model).gate
    torch.testing.assert_close(gate.refit(stats).moves, gate.moves)


def test_paths_move_as_the_chain_does(rng):
    gate = a_gate(rng)
    z = gate.path(40_000, rng)
    counts = torch.zeros(3, 3).double().index_put_((z[:-1], z[1:]), torch.ones(39_999).double(), accumulate=True)
    torch.testing.assert_close(counts / counts.sum(1, keepdim=True), gate.moves.exp(), rtol=0, atol=0.02)


def test_what_cannot_be_is_refused_with_its_place(x, rng):
    model, told = a_model(x, rng), torch.zeros(300, 3)
    told[150] = -torch.inf
    with pytest.raises(BadData, match=r"Sequence 2 cannot be: at its row 29 \(row 150"):
        sequences(x, LENGTHS, told=told)(model)
    with pytest.raises(BadData, match="sum to 299; expected 300"):
        sequences(x, [299])
    with pytest.raises(BadData, match="3 weights; expected one for each of 4 sequences"):
        sequences(x, LENGTHS, weight=torch.ones(3))
    with pytest.raises(BadData, match="of 3 rows; expected one line for each of 300"):
        sequences(x, LENGTHS, told=torch.zeros(3, 3))
    with pytest.raises(TypeError, match="expected Markov"):
        sequences(x, LENGTHS)(model.replace(gate=Constant.of(torch.ones(3))))
    with pytest.raises(ValueError, match="moves are all zero in line 1"):
        Markov.of(torch.ones(2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="expected finite numbers of at least 0"):
        Markov.of(-torch.ones(2), torch.ones(2, 2))


def test_recovers_the_moves_that_made_the_rows(rng):
    """Check (b) of the system: three unit clouds, sticky moves, 20 sequences of 100 rows."""
    moves = 0.05 * torch.ones(3, 3, dtype=torch.float64) + 0.85 * torch.eye(3)
    mean = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    truth = Mixture(Gaussian.of(mean, 0.7 * torch.eye(2).expand(3, 2, 2)), Markov.of(torch.ones(3), moves))
    rows, z = zip(*(truth.sample(100, rng) for _ in range(20)), strict=True)
    x, z = torch.cat(rows), torch.cat(z)
    source = sequences(x, [100] * 20)
    smoothed = float((source.states(truth).argmax(1) == z).double().mean())
    filtered = float((source.filtered(truth).resp.argmax(1) == z).double().mean())
    alone = float((truth.labels(x) == z).double().mean())
    assert smoothed > filtered > alone
    assert smoothed == pytest.approx(0.9925, abs=0.01) and alone == pytest.approx(0.9415, abs=0.02)
    fitted = list(run(truth.replace(gate=Markov.of(torch.ones(3), moves**0.2)), source))[-1].model
    torch.testing.assert_close(fitted.gate.moves.exp(), moves, rtol=0, atol=0.03)


def test_a_table_that_is_seen_whole_is_assigned_by_its_sequences(x, rng):
    model, source = a_model(x, rng), sequences(x, LENGTHS)
    view = model.replace(gate=Along.rows_of(model.gate, Packing(LENGTHS)))
    torch.testing.assert_close(view.posterior(x).resp, source.posterior(model).resp)
    torch.testing.assert_close(view.log_prob(x), source.posterior(model).evidence)
    torch.testing.assert_close(view.gate.joint(next(view.tables(x))).logsumexp(1), view.log_prob(x))
    labels, score = view.assign(x)
    assert torch.equal(labels, source.states(model).argmax(1))
    assert float(score) == pytest.approx(float(source(model).score))
    torch.testing.assert_close(view.posterior(x[:7]).resp, model.posterior(x[:7]).resp)
