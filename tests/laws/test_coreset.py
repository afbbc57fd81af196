"""Coresets: unbiased sums, weights that add up, and small far groups that stay."""

from __future__ import annotations

import cases
import pytest
import torch

from gmmlab.data import Chunk, stream
from gmmlab.errors import BadData
from gmmlab.fit import last, plateau, run, whole
from gmmlab.init import METHODS, MergeReduce, coreset, lightweight, merge_reduce, sensitivity, start, uniform
from gmmlab.steps import e_step

DRAWS = {"uniform": uniform, "lightweight": lightweight, "sensitivity": sensitivity}


@pytest.fixture(params=DRAWS, ids=str)
def method(request):
    return DRAWS[request.param]


def unequal(rng, n=4000):
    """Twenty groups of d = 2 far apart; every second one has few rows."""
    sizes = torch.tensor([n // 10, n // 200] * 10)
    centres = 40 * torch.rand(20, 2, generator=rng, dtype=torch.float64)
    z = torch.arange(20).repeat_interleave(sizes)
    return centres[z] + 0.3 * torch.randn(len(z), 2, generator=rng, dtype=torch.float64), z


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_unbiased(method, weighted, rng):
    x = cases.blobs(rng, n=500, d=2, k=3)
    w = torch.rand(500, generator=rng, dtype=torch.float64) if weighted else torch.ones(500, dtype=torch.float64)
    model = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng)
    exact = e_step(model, x, w)
    draws = []
    for _ in range(200):
        picked = coreset(x, 60, 3, method=method, rng=rng, weight=w)
        s = e_step(model, x[picked.indices], picked.weights)
        draws.append(torch.cat([s.components.w, s.components.s1.flatten(), s.components.s2.flatten(), s.n[None]]))
    table = torch.stack(draws)
    truth = torch.cat([exact.components.w, exact.components.s1.flatten(), exact.components.s2.flatten(), exact.n[None]])
    error = table.std(0) / len(table) ** 0.5
    assert bool(((table.mean(0) - truth).abs() < 4 * error + 1e-9).all())
    assert float(table[:, -1].mean()) == pytest.approx(float(w.sum()), rel=0.05)


def test_all_rows_come_back_when_there_is_room(method, rng):
    x = cases.blobs(rng, n=50)
    picked = coreset(x, 50, 3, method=method, rng=rng)
    assert picked.indices.tolist() == list(range(50)) and bool((picked.weights == 1).all())
    half = torch.full((50,), 0.5, dtype=torch.float64)
    assert torch.equal(coreset(x, 99, 3, method=method, rng=rng, weight=half).weights, half)


def test_uniform_weights_are_equal_and_rows_without_weight_never_drawn(method, rng):
    x = cases.blobs(rng, n=400)
    assert torch.allclose(coreset(x, 40, 3, method=uniform, rng=rng).weights, torch.tensor(10.0).double())
    w = torch.ones(400, dtype=torch.float64)
    w[::2] = 0
    assert bool((coreset(x, 100, 3, method=method, rng=rng, weight=w).indices % 2 == 1).all())


def test_small_groups_stay(rng):
    """Of ten groups with 20 rows of 4200 the sensitivity draw keeps nearly all; the uniform draw loses more."""
    x, z = unequal(rng)
    kept: dict[str, float] = {}
    for name, method in DRAWS.items():
        found = [len(set(z[coreset(x, 400, 20, method=method, rng=rng).indices].tolist())) for _ in range(20)]
        kept[name] = sum(found) / 20
    assert kept["sensitivity"] > 19.8 and kept["sensitivity"] > kept["uniform"] + 0.5


def test_a_fit_of_a_coreset_is_close_to_the_fit_of_all_rows(rng):
    x = cases.blobs(rng, n=20_000, d=3, k=3)
    begin = start(x, 3, cases.STRUCTURES["VVV"], METHODS["kmeans"], rng, ridge=1e-4)
    exact = last(run(begin, whole(x), stop=plateau(1e-8))).model
    picked = coreset(x, 1000, 3, rng=rng)
    small = last(run(begin, whole(x[picked.indices], picked.weights), stop=plateau(1e-8))).model
    assert float(exact.assign(x)[1]) - float(small.assign(x)[1]) < 0.03


def test_merge_and_reduce_holds_little_and_keeps_sums(method, rng):
    x, _ = unequal(rng)
    x = x[torch.randperm(len(x), generator=rng)]
    totals, means = [], []
    for _ in range(15):
        tree = MergeReduce(150, 20, rng=rng, method=method)
        for chunk in stream(x, chunk_rows=300):
            tree.add(chunk)
            assert sum(len(level.x) for level in tree.levels if level is not None) <= 150 * 4
        rows, weights = tree.result()
        assert len(rows) == len(weights) == 150
        totals.append(weights.sum())
        means.append(weights @ rows)
    for draws, truth in ((torch.stack(totals)[:, None], torch.tensor([float(len(x))])), (torch.stack(means), x.sum(0))):
        error = draws.std(0) / len(draws) ** 0.5
        assert bool(((draws.mean(0) - truth).abs() < 4.5 * error + 1e-6).all())
    assert torch.equal(merge_reduce([Chunk(x[:50])], 99, 3, rng=rng, method=method).x, x[:50])


def test_capped_weights_keep_their_sum(rng):
    x, _ = unequal(rng)
    free, capped = (coreset(x, 200, 20, rng=torch.Generator().manual_seed(1), cap=c).weights for c in (1e9, 1.5))
    assert float(free.max()) > 1.6 * float(free.mean())
    assert float(capped.max()) <= 1.5 * float(free.mean()) * (1 + 1e-9)
    assert float(capped.sum()) == pytest.approx(float(free.sum()), rel=1e-9)


def test_duplicates_and_constant_columns_do_no_harm(method, rng):
    x = torch.ones(100, 2, dtype=torch.float64)
    picked = coreset(x, 10, 3, method=method, rng=rng)
    assert float(picked.weights.sum()) == pytest.approx(100)


def test_bad_arguments_are_refused(rng):
    x = cases.blobs(rng, n=30)
    with pytest.raises(BadData, match="coreset of 0 rows"):
        coreset(x, 0, 3, rng=rng)
    with pytest.raises(BadData, match=r"expected at least 1\. Try 10"):
        coreset(x, 3, 3, rng=rng, cap=0.5)
    for w in (torch.ones(3), -torch.ones(30), torch.zeros(30)):
        with pytest.raises(BadData, match="expected 30 numbers"):
            coreset(x, 3, 3, rng=rng, weight=w.double())
    with pytest.raises(BadData, match="No rows were added"):
        MergeReduce(5, 2, rng=rng).result()
