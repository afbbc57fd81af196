"""Experts of which only the best few answer: who is active, what a step may do, what a fit must come to."""

from __future__ import annotations

import math
from itertools import combinations, islice, pairwise

import numpy as np
import pytest
import torch

from gmmlab.errors import DataWarning
from gmmlab.experts import SoftmaxMoE, TopKMoE, required_topk
from gmmlab.experts.fitting import guarded, reseeded
from gmmlab.families import LinearGaussian
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Softmax, TopK
from gmmlab.kernels.sparse_softmax import topk_softmax
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def model_of(slopes, constants, a, b, s, rows, *, top_k, rank_with_bias=False):  # noqa: PLR0917
    """Experts of one output of the first columns, with a gate of the best few."""
    p = rows.shape[1] - 1
    slopes, a = double(slopes).view(-1, p), double(a).view(-1, 1, p)
    columns = {"inputs": range(p), "outputs": [p]}
    lines = LinearGaussian.of(a, double(b)[:, None], double(s)[:, None, None], rows.mean(0), **columns)
    gate = Softmax.of(slopes, double(constants), rows, range(p))
    return Mixture(lines, TopK.among(gate, top_k, rank_with_bias=rank_with_bias))


@pytest.fixture(scope="module")
def data():
    """A jump at zero, and a bend on its right."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(300, 1))
    y = np.where(x[:, 0] < 0, -2 - x[:, 0], np.abs(x[:, 0] - 1)) + 0.2 * rng.normal(size=300)
    return x, y


@pytest.fixture
def plane(rng):
    """Four random experts over two columns."""
    rows = torch.randn(200, 3, generator=rng, dtype=torch.float64)
    draw = lambda *size: torch.randn(*size, generator=rng, dtype=torch.float64).tolist()  # noqa: E731
    return model_of(draw(4, 2), draw(4), draw(4, 2), draw(4), [1.0] * 4, rows, top_k=2), rows


def test_best_few_are_those_of_brute_force(rng):
    scores = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    bias = double([2.0, 0.0, -1.0])
    for k in (1, 2, 3):
        found = topk_softmax(scores, k, bias)
        for i in range(50):
            best = max(combinations(range(3), k), key=lambda subset: sum(scores[i, list(subset)]))
            total = sum(math.exp(scores[i, j] + bias[j]) for j in best)
            for j in range(3):
                expected = math.exp(scores[i, j] + bias[j]) / total if j in best else 0.0
                assert float(found[i, j].exp()) == pytest.approx(expected, abs=1e-12)
    assert torch.equal(topk_softmax(torch.zeros(1, 3), 1), torch.tensor([[0.0, -math.inf, -math.inf]]))
    with pytest.raises(ValueError, match="expected 1 to 3"):
        topk_softmax(scores, 4)


def test_all_experts_active_is_the_softmax_gate(data):
    x, y = data
    sparse, dense = (make(random_state=0, n_init=2).fit(x, y) for make in (lambda **o: TopKMoE(3, 3, **o), dense_of))
    assert sparse.loglik_path_ == dense.loglik_path_
    np.testing.assert_array_equal(sparse.log_density(x, y), dense.log_density(x, y))
    rows = torch.from_numpy(np.column_stack([x, y]))
    gradients = []
    for fit in (sparse, dense):
        w = fit.mixture_.gate.w.clone().requires_grad_()
        fit.mixture_.replace(gate=fit.mixture_.gate.replace(w=w)).log_prob(rows).sum().backward()
        gradients.append(w.grad)
    assert torch.equal(*gradients)


def dense_of(**options):
    return SoftmaxMoE(3, **options)


@pytest.mark.parametrize("top_k", [1, 2, 3])
@pytest.mark.parametrize("rank_with_bias", [False, True])
def test_rows_have_k_weights_and_few_sets(top_k, rank_with_bias, plane):
    model, rows = plane
    gate = model.gate.replace(top_k=top_k, rank_with_bias=rank_with_bias)
    log_w = gate.at(rows).log_w
    assert torch.equal(log_w.isfinite(), gate.active(rows))
    assert torch.equal(log_w.isfinite().sum(1), torch.full((200,), top_k))
    torch.testing.assert_close(log_w.exp().sum(1), torch.ones(200).double())
    grid = torch.cartesian_prod(*[torch.linspace(-3, 3, 41).double()] * 2)
    grid = torch.cat([grid, grid[:, :1]], 1)
    assert 1 < len(gate.active(grid).unique(dim=0)) <= math.comb(4, top_k)


def test_scale_of_the_slopes_moves_weights_and_no_sets(plane):
    model, rows = plane
    gate = model.gate
    steeper = TopK.among(Softmax.of(3 * gate.slopes, gate.intercepts, rows, gate.columns), 2)
    assert torch.equal(steeper.active(rows), gate.active(rows))
    assert float((steeper.at(rows).log_w.exp() - gate.at(rows).log_w.exp()).abs().max()) > 0.1


def test_constants_rank_only_where_they_are_asked_to(plane):
    model, rows = plane
    gate = model.gate
    slopes, constants = gate.slopes, gate.intercepts + 5 * torch.arange(4)
    moved = Softmax.of(slopes, constants, rows, gate.columns)
    scores = rows[:, :2] @ slopes.T
    for rank, by in ((False, scores), (True, scores + constants)):
        best = TopK.among(moved, 2, rank_with_bias=rank).active(rows)
        assert torch.equal(best, torch.zeros_like(best).scatter_(1, by.topk(2).indices, value=True))


def test_gradient_is_that_of_finite_differences_within_a_region(plane):
    model, rows = plane
    w = model.gate.w.clone().requires_grad_()
    at = lambda w: model.replace(gate=model.gate.replace(w=w)).log_prob(rows).sum()  # noqa: E731
    at(w).backward()
    step = 1e-6 * torch.randn(w.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(model.gate.replace(w=model.gate.w + step).active(rows), model.gate.active(rows))
    rise = float(at(model.gate.w + step) - at(model.gate.w - step))
    assert rise == pytest.approx(2 * float((w.grad * step).sum()), rel=1e-5)


def test_only_the_guard_keeps_the_likelihood_from_falling(plane):
    """Where rows turn to other experts a free step of the gate loses; the guarded one does not, from many starts."""
    _, rows = plane
    rng = torch.Generator().manual_seed(3)
    draw = lambda *size: torch.randn(*size, generator=rng, dtype=torch.float64).tolist()  # noqa: E731
    falls = {False: 0, True: 0}
    for _ in range(10):
        model = model_of(draw(4, 2), draw(4), draw(4, 2), draw(4), [0.5] * 4, rows, top_k=2)
        for guard in falls:
            refit = guarded(rows) if guard else m_step
            path = run(model, whole(rows), refit=refit, stop=plateau(-1.0))
            values = [float(step.info.objective) for step in islice(path, 15)]
            falls[guard] += sum(after < before - 1e-10 for before, after in pairwise(values))
    assert falls[True] == 0 < falls[False]


def test_fits_climb_and_find_the_regions(data):
    x, y = data
    fit = TopKMoE(4, 2, random_state=0, n_init=2, tol=1e-6, reg_gate=0.03, min_var=0.01).fit(x, y)
    assert all(after >= before - 1e-10 for before, after in pairwise(fit.loglik_path_))
    sets = fit.active_set(x)
    assert sets.shape == (300, 4) and (sets.sum(1) == 2).all()
    number, regions = fit.regions(x)
    assert len(regions) == 2 and (regions[number] == sets).all()
    assert (fit.gate_proba(x)[~sets] == 0).all()
    assert len(np.unique(number[x[:, 0] > 0])) == 1, "with one column the sets change at zero"
    assert fit.predict([[0.01]])[0] - fit.predict([[-0.01]])[0] > 2
    grid = np.linspace(-6, 6, 4001)
    density = np.exp(fit.log_density(np.full((4001, 1), 0.5), grid))
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-6)
    assert np.isfinite(fit.icl(x, y)) and np.isfinite(fit.sample(x, random_state=0)).all()


def test_weights_are_replication_for_the_guard(plane):
    model, rows = plane
    times = torch.arange(200) % 3
    one = guarded(rows, times.double())(model, e_step(model, rows, times.double()))
    again = rows.repeat_interleave(times, 0)
    torch.testing.assert_close(one.log_prob(rows), guarded(again)(model, e_step(model, again)).log_prob(rows))


def test_idle_experts_are_begun_anew(data):
    """With three experts on one column, of which one answers, one must be idle; with two that answer it need not."""
    rows = torch.from_numpy(np.column_stack(data))
    ways = {"top_k": 2, "rank_with_bias": True}
    model = model_of([-2.0, 2.0, 0.0], [0.0, 0.0, -9.0], [0, 0, 0], [-1, 1, 0], [1.0] * 3, rows, **ways)
    idle = ~model.gate.active(rows).any(0)
    assert idle.tolist() == [False, False, True]
    assert bool(reseeded(model, rows, idle).gate.active(rows).any(0).all())
    with pytest.warns(DataWarning, match=r"1 of 3 experts were active at no row.*1 still answer nowhere"):
        TopKMoE(3, 1, random_state=0, n_init=1, tol=1e-5).fit(*data)


def test_required_number_is_that_of_the_fullest_cells():
    rows = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    truth = model_of([2, 0, -2], [0, 0, 0], [3, 0, -3], [1, 0, -1], [0.1] * 3, rows, top_k=1)
    slopes, a, b = [2, 2.1, 1.9, 0, -2], [3, 3.1, 2.9, 0, -3], [1, 1, 1, 0, -1]
    fit = model_of([v + 7 for v in slopes], [0] * 5, a, b, [0.1] * 5, rows, top_k=1)
    assert [required_topk(fit, truth, k) for k in (1, 2, 3)] == [3, 4, 5]
    assert required_topk(truth, truth, 2) == 2
    with pytest.raises(ValueError, match="expected 1 to 3"):
        required_topk(fit, truth, 4)


def test_required_number_for_rows_is_that_of_the_sets_that_occur(rng):
    """Of all sets, if rows meet all; of those on one side of zero, if they are there."""
    side = torch.linspace(0.1, 1, 20).double()[:, None]
    rows = torch.cat([torch.cat([side, -side]), torch.zeros(40, 1).double()], 1)
    truth = model_of([2, 1, -1, -2], [0, 5, 5, 0], [2, 0, 0, -2], [0, 1, -1, 0], [0.1] * 4, rows, top_k=2)
    near = [2.1, 1.9, 1.0, -1.0, -1.9, -2.0, -2.1]
    lines = [2, 2, 0, 0, -2, -2, -2], [0, 0, 1, -1, 0, 0, 0]
    fit = model_of(near, [0] * 7, *lines, [0.1] * 7, rows, top_k=2)
    assert [required_topk(fit, truth, k) for k in (1, 2)] == [3, 5]
    for part, bounds in ((rows, [3, 4]), (rows[:20], [2, 3]), (rows[20:], [3, 4])):
        assert [required_topk(fit, truth, k, rows=part) for k in (1, 2)] == bounds
    ranked = truth.replace(gate=truth.gate.replace(rank_with_bias=True))  # the constants bring the middle ones in
    assert required_topk(fit, ranked, 2, rows=rows) == 2
    sets = torch.rand(30, 2, generator=rng).double()
    assert required_topk(fit, truth, 2, rows=sets) <= required_topk(fit, truth, 2)


def test_more_active_experts_than_experts_are_refused(data):
    with pytest.raises(ValueError, match="top_k=3 of n_experts=2"):
        TopKMoE(2, 3).fit(*data)
