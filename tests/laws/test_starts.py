"""Laws of starts: every method gives a valid mixture; trees nest; what a person gives is checked."""

from __future__ import annotations

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from gmmlab.errors import BadData
from gmmlab.families import Full
from gmmlab.fit import landscape, last, plateau, run, whole
from gmmlab.init import (
    METHODS,
    RESPONSIBILITIES,
    Determinant,
    Race,
    agglomerate,
    corrected,
    from_labels,
    from_responsibilities,
    given_responsibilities,
    kmeans,
    kmeans_plus_plus,
    short,
    start,
    svd_scaled,
    ward,
    whitened,
)
from gmmlab.init.hierarchy import merged_in_rounds, moments_of
from gmmlab.init.kmeans import LARGE, _lloyd
from gmmlab.init.partitions import one_hot
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.steps import e_step, m_step

SEEDED = ("k-means++", "random", "random_from_data")  # starts that differ from seed to seed; others may find the same


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def cigars(
    rng: torch.Generator, n: int = 200, sd: tuple[float, float] = (3.0, 0.15)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Three parallel thin clusters, one apart across."""
    noise = torch.randn(3 * n, 2, generator=rng, dtype=torch.float64) * torch.tensor(sd, dtype=torch.float64)
    z = torch.arange(3).repeat_interleave(n)
    return noise + torch.stack([torch.zeros(3 * n), z], 1), z


# -- every method ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", cases.STARTS)
def test_starts_are_valid_distinct_and_repeatable(method, data, x):
    check_start(method, Full(), x, data.k)


@pytest.mark.parametrize("method", cases.STARTS)
def test_starts_suit_every_structure(method, structure, rng):
    check_start(method, structure, cases.blobs(rng), 3)


def check_start(method, structure, x, k):
    models = [start(x, k, structure, METHODS[method], seed(i), ridge=1e-6) for i in (3, 3, 4)]
    assert torch.equal(models[0].components.mean, models[1].components.mean)
    assert not torch.equal(models[0].components.mean, models[2].components.mean) or method not in SEEDED
    assert len(torch.unique(models[0].components.mean, dim=0)) == k
    assert float(models[0].weights.sum()) == pytest.approx(1)
    assert bool(torch.isfinite(models[0].log_prob(x)).all())


@pytest.mark.parametrize("method", RESPONSIBILITIES)
def test_responsibilities_of_starts_sum_to_one(method, data, x):
    resp = RESPONSIBILITIES[method](x, data.k, seed(3))
    assert resp.shape == (len(x), data.k) and resp.dtype == x.dtype
    torch.testing.assert_close(resp.sum(1), torch.ones_like(resp[:, 0]))


@pytest.mark.parametrize("method", METHODS)
def test_as_many_components_as_rows_and_one_component(method, structure):
    x = torch.tensor([[0.0, 1.0], [4.0, 1.5], [8.0, -3.0], [20.0, 7.0]], dtype=torch.float64)
    assert start(x, 4, structure, METHODS[method], seed(0), ridge=1e-3).k == 4
    one = start(x, 1, structure, METHODS[method], seed(0), ridge=1e-3)
    torch.testing.assert_close(one.components.mean[0], x.mean(0))


@pytest.mark.parametrize("method", METHODS)
def test_starts_bear_equal_rows_and_constant_columns(method):
    x = torch.randn(60, 3, generator=seed(0), dtype=torch.float64)
    x[:20] = x[0]
    x[:, 2] = 5.0
    model = start(x, 3, Full(), METHODS[method], seed(0), ridge=1e-6)
    assert bool(torch.isfinite(model.log_prob(x)).all())
    same = start(torch.ones(10, 2, dtype=torch.float64), 2, Full(), METHODS[method], seed(0), ridge=1e-6)
    assert bool(torch.isfinite(same.components.mean).all())


# -- the default -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_the_default_start_finds_parallel_thin_clusters_however_they_lie(number):
    x, z = cigars(seed(number))
    turn = torch.randn(2, 2, generator=seed(number), dtype=torch.float64)
    model = start(x @ turn + 100, 3, Full(), METHODS["auto"], seed(number), ridge=1e-9)
    fitted = last(run(model, whole(x @ turn + 100), stop=plateau(1e-3))).model
    assert adjusted_rand_score(z, fitted.assign(x @ turn + 100)[0]) > 0.9
    by_kmeans = start(x, 3, Full(), METHODS["kmeans"], seed(number), ridge=1e-9)
    assert adjusted_rand_score(z, by_kmeans.assign(x)[0]) < 0.5  # so the test means something


def test_the_default_start_of_many_rows_is_found_on_a_sample():
    x, z = cigars(seed(1), n=4000)
    model = start(x, 3, Full(), METHODS["auto"], seed(0), ridge=1e-9)
    assert adjusted_rand_score(z, model.assign(x)[0]) > 0.9
    torch.testing.assert_close(model.components.origin, x.mean(0))


def test_the_default_start_leaves_groups_that_stand_apart_to_kmeans(rng, monkeypatch):
    def refuse(*_):
        raise AssertionError("a tree was grown")

    monkeypatch.setattr(short, "trees", refuse)
    apart = cases.blobs(rng, d=2, spread=40.0)
    groups = start(apart, 3, Full(), METHODS["auto"], seed(0)).assign(apart)[0]
    assert adjusted_rand_score(torch.arange(300) % 3, groups) == 1
    with pytest.raises(AssertionError, match="a tree was grown"):
        start(cigars(rng)[0], 3, Full(), METHODS["auto"], seed(0))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_race_takes_the_steps_of_em(structure, weighted, rng):
    """Against the plain path: the same models after the same steps, and the evidence of the one before the last."""
    x, k = cases.blobs(rng, n=120), 3
    weight = 2 * torch.rand(120, generator=rng, dtype=torch.float64) if weighted else None
    labels = [torch.arange(120) % k, torch.arange(120) // 40]
    race = Race(x.numpy(), None if weight is None else weight.numpy(), structure, k, 1e-3)
    found = race.run(race.start([part.numpy() for part in labels]), 3)
    for j, part in enumerate(labels):
        model = from_responsibilities(x, one_hot(part, k, x.dtype), structure, ridge=1e-3, weight=weight)
        for _ in range(3):
            stats = e_step(model, x, weight)
            model = m_step(model, stats)
        ours = race.mixture(found.take(torch.tensor([j]).numpy()), x.mean(0))
        torch.testing.assert_close(ours.weights, model.weights, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(ours.components.mean, model.components.mean, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(ours.components.cov, model.components.cov, rtol=1e-5, atol=1e-5)
        assert found.evidence[j] == pytest.approx(float(stats.score), rel=1e-9)


def test_a_race_keeps_the_best_and_leaves_out_what_breaks_down(rng):
    x, z = cigars(rng)
    few = torch.zeros(len(x), dtype=torch.int64)
    few[:2], few[2] = 1, 2
    race = Race(x.numpy(), None, Full(), 3, 0.0)
    partitions = [part.numpy() for part in (torch.arange(len(x)) % 3, few, z)]
    candidates = race.start(partitions)
    assert len(candidates.mean) == 2  # groups of one and two rows have no covariance in the plane
    best = race.mixture(race.best(candidates), x.mean(0))
    assert adjusted_rand_score(z, best.assign(x)[0]) > 0.9
    alone = race.best(race.start([z.numpy()]))
    torch.testing.assert_close(best.components.mean, race.mixture(alone, x.mean(0)).components.mean, atol=0.1, rtol=0)
    assert not len(race.best(race.start([few.numpy()])).mean)


def test_weights_of_rows_count_in_the_default_start():
    x, z = cigars(seed(0), n=60)
    times = torch.randint(1, 4, (len(x),), generator=seed(1)).double()
    model = start(x, 3, Full(), METHODS["auto"], seed(0), ridge=1e-9, weight=times)
    plain = start(x, 3, Full(), METHODS["auto"], seed(0), ridge=1e-9)
    shares = torch.bincount(z, weights=times) / times.sum()
    assert adjusted_rand_score(z, model.assign(x)[0]) > 0.9
    torch.testing.assert_close(model.weights.sort().values, shares.sort().values, atol=0.02, rtol=0)
    assert float((model.weights - plain.weights).abs().max()) > 1e-3


def test_the_corrected_evidence_is_the_expected_one_on_new_rows(rng):
    """One Gaussian: the mean log-likelihood of new rows, averaged over samples."""
    d, n = 3, 12
    new = torch.randn(4000, d, generator=rng, dtype=torch.float64)
    inside, outside = [], []
    for _ in range(200):
        x = torch.randn(n, d, generator=rng, dtype=torch.float64)
        model = from_labels(x, torch.zeros(n, dtype=torch.int64), Full())
        evidence = model.assign(x)[1][None].numpy()
        parameters = float(model.components.n_parameters)
        inside.append(float(corrected(np.ones((1, 1)), evidence, parameters, d, float(n))[0]))
        outside.append(float(model.assign(new)[1]))
    error = np.std(np.subtract(inside, outside)) / 200**0.5
    assert abs(np.mean(inside) - np.mean(outside)) < 4 * error


# -- trees -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grow", [ward, Determinant(), Determinant(4.0), Determinant(1.0, groups=40)])
def test_trees_nest_and_cut_into_any_number_of_groups(grow, data, x):
    x = x[:200]
    tree = agglomerate(x, grow)
    before = tree.labels(1)
    assert not before.any()
    for k in (2, 3, 7, 20):
        labels = tree.labels(k)
        assert labels[0] == 0 and torch.equal(labels.unique(), torch.arange(k))
        assert all(len(before[labels == j].unique()) == 1 for j in range(k)), "a group was cut across"
        before = labels
    assert torch.equal(agglomerate(x, grow).merges, tree.merges)
    with pytest.raises(ValueError, match="groups; 0 were asked for"):
        tree.labels(0)
    with pytest.raises(ValueError, match="leaves"):
        tree.labels(tree.leaves + 1)


def test_ward_is_scikit_learns():
    x = cases.blobs(seed(1))
    for k in (2, 5, 11):
        expected = AgglomerativeClustering(k, linkage="ward").fit_predict(x.numpy())
        assert adjusted_rand_score(expected, ward(x).labels(k)) == 1


def test_cuts_are_scipys(rng):
    """Of a tree whose merges scipy made: the same groups at every number of them."""
    x = torch.randn(40, 2, generator=rng, dtype=torch.float64)
    tree, merges = ward(x), linkage(x.numpy(), "ward")
    for k in range(1, 41):
        assert adjusted_rand_score(fcluster(merges, k, "maxclust"), tree.labels(k)) == 1


def test_determinant_merges_are_the_cheapest_ones(rng):
    """Against the criterion written out, all pairs tried anew at every merge."""
    x = svd_scaled(cases.blobs(rng, n=30, d=2))
    floor = float((x - x.mean(0)).square().mean())

    def term(rows):
        n, scatter = len(rows), (rows - rows.mean(0)).T @ (rows - rows.mean(0))
        det = float(torch.linalg.det(scatter / n)) if n > x.shape[1] else 0.0
        return n * np.log(det + (float(scatter.trace()) + floor) / n)

    groups = [[i] for i in range(len(x))]
    tree = Determinant()(x)
    while len(groups) > 2:
        costs = {
            (i, j): term(x[groups[i] + groups[j]]) - term(x[groups[i]]) - term(x[groups[j]])
            for i in range(len(groups))
            for j in range(i)
        }
        i, j = min(costs, key=costs.get)
        groups[j] += groups.pop(i)
        expected = torch.zeros(len(x), dtype=torch.int64)
        for number, group in enumerate(groups):
            expected[group] = number
        assert adjusted_rand_score(expected, tree.labels(len(groups))) == 1


@pytest.mark.parametrize("d", [1, 2, 5, 9])
def test_rounds_join_groups_that_find_each_other(d, rng):
    """Against the criterion written out: every round joins only pairs of which each is nearest to the other."""
    x = torch.randn(60, d, generator=rng, dtype=torch.float64).numpy()
    x -= x.mean(0)
    leaf, scales = np.arange(60) // 4, (1.0, 4.0)
    moments, floor = moments_of(x, leaf), np.square(x).mean()

    def term(rows, scale):
        n, scatter = len(rows), (rows - rows.mean(0)).T @ (rows - rows.mean(0))
        det = np.linalg.det(scatter / n) * scale ** (2 * d) if n > d else 0.0
        return n * np.log(det + scale**2 * (np.trace(scatter) + floor) / n)

    before = merged_in_rounds(moments, scales, 15)
    assert (before == np.arange(15)).all()
    for k in range(14, 1, -1):
        labels = merged_in_rounds(moments, scales, k)
        for fine, coarse, scale in zip(before, labels, scales, strict=True):
            number, first = np.unique(coarse, return_index=True)
            assert np.array_equal(number, np.arange(k)) and np.array_equal(first, np.sort(first))
            groups = [x[fine[leaf] == j] for j in range(k + 1)]
            cost = np.array(
                [[term(np.vstack([a, b]), scale) - term(a, scale) - term(b, scale) for b in groups] for a in groups]
            )
            np.fill_diagonal(cost, np.inf)
            joined = [np.unique(fine[coarse == j]) for j in range(k)]
            if sorted(map(len, joined)) == [1] * (k - 1) + [2]:  # the last round went on by one pair
                a, b = next(pair for pair in joined if len(pair) == 2)
                assert cost[a].argmin() == b and cost[b].argmin() == a
        before = labels


def test_rounds_find_clear_groups_and_take_what_is_there(rng):
    x = cases.blobs(rng, d=3, spread=30.0).numpy()
    x = x - x.mean(0)
    leaf = np.arange(300) % 30
    for labels in merged_in_rounds(moments_of(x, leaf), (1.0, 4.0, 16.0), 3):
        assert adjusted_rand_score(np.arange(300) % 3, labels[leaf]) == 1
    assert (merged_in_rounds(moments_of(x, leaf), (1.0,), 40) == np.arange(30)).all()


def test_scales_do_not_see_units_and_whitening_no_linear_map(rng):
    x = cases.blobs(rng, d=4)
    y = x * torch.tensor([1.0, 1e3, 1e-3, 7.0], dtype=torch.float64) + 50
    torch.testing.assert_close(svd_scaled(y).abs(), svd_scaled(x).abs())
    white = whitened(x)
    torch.testing.assert_close(white.T @ white / len(x), torch.eye(4, dtype=torch.float64))
    turned = whitened(x @ torch.randn(4, 4, generator=rng, dtype=torch.float64))
    torch.testing.assert_close(turned @ turned.T, white @ white.T, rtol=1e-6, atol=1e-6)


# -- k-means ---------------------------------------------------------------------------------------------------------


def test_kmeans_of_many_rows_is_as_good_as_of_all(rng):
    x = cases.blobs(rng, n=LARGE + 1000, d=2, k=3)
    labels = kmeans(x, 3, seed(0))
    centres = torch.stack([x[labels == j].mean(0) for j in range(3)])
    distances = torch.cdist(x, centres)
    wrong = (distances.argmin(1) != labels).double().mean()
    assert float(wrong) < 1e-3  # labels are of the nearest mean: a fixed point of Lloyd's algorithm


# -- given -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 1],
        np.array([0, 1, 2, 1]),
        torch.tensor([0, 1, 2, 1]),
        pd.Series([0, 1, 2, 1], index=list("wxyz")),
        pd.Series(["a", "b", "c", "b"]),
        pd.Series(["a", "b", "c", "b"], dtype="category"),
        [10, 20, 35, 20],
        [0.0, 1.0, 2.0, 1.0],
    ],
)
def test_labels_of_any_kind_become_responsibilities(labels):
    expected = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 1]]
    assert torch.equal(given_responsibilities(labels, 4, 3), expected)


@pytest.mark.parametrize("none", [[-1, 0, 1, 0], [np.nan, 0, 1, 0], [None, "a", "b", "a"], ["a", "b", np.nan, "a"]])
def test_rows_without_a_label_have_no_weight_in_the_start(none):
    resp = given_responsibilities(none, 4, 2)
    assert resp.sum() == 3
    x = torch.randn(4, 2, generator=seed(0), dtype=torch.float64)
    kept = resp.sum(1) > 0
    one = from_responsibilities(x, resp, Full(), ridge=1e-3)
    two = from_responsibilities(x[kept], resp[kept], Full(), ridge=1e-3)
    torch.testing.assert_close(one.components.cov, two.components.cov)
    torch.testing.assert_close(one.weights, two.weights)


def test_responsibilities_are_taken_as_they_are():
    resp = torch.rand(50, 3, generator=seed(0), dtype=torch.float64)
    resp /= resp.sum(1, keepdim=True)
    for value in (resp, resp.numpy(), pd.DataFrame(resp.numpy()), resp.tolist()):
        torch.testing.assert_close(given_responsibilities(value, 50, 3), resp, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([0, 1, 2], "shape (3,)"),
        ([[0.5, 0.5]] * 3, "expected a label for each row, (4,)"),
        ([0, 0, 1, 1], "No row belongs to component 2"),
        (["a", "b", "a", "b"], "2 different labels ('a', 'b') for n_components=3"),
        ([0, 1, 2, 3], "4 different labels"),
        ([0, "a", 1, 2], "no common order: int, str"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0]], "Row 3 of the responsibilities in init_params is [0.5, 0, 0]"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, -1, 0]], "numbers of at least 0"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [float("nan"), 1, 0]], "Row 3"),
        ([[1, 0, 0]] * 4, "No row belongs to component 1"),
        ([["x", "y", "z"]] * 4, "not numbers"),
    ],
)
def test_starts_that_cannot_be_used_are_refused_with_a_reason(value, words):
    with pytest.raises(BadData) as caught:
        given_responsibilities(value, 4, 3)
    assert words in str(caught.value)


# -- the landscape ---------------------------------------------------------------------------------------------------


def test_one_optimum_under_any_numbering_and_a_poorer_one_beside_it():
    x, z = cigars(seed(0))
    climb = lambda model: last(run(model, whole(x), stop=plateau(1e-9))).model  # noqa: E731
    best, turned = climb(from_labels(x, z, Full())), climb(from_labels(x, 2 - z, Full()))
    thirds = torch.bucketize(x[:, 0].contiguous(), torch.tensor([-2.0, 2.0], dtype=x.dtype))
    across = from_labels(x, thirds, Full())  # where a fit would be that stopped at once
    found = landscape(x, [across, best, turned])
    assert found.optimum == (1, 0, 0)
    assert [row.times for row in found.table] == [2, 1] and found.best.share == pytest.approx(2 / 3)
    assert found.best.gap == 0 and found.best.agreement == 1 and found.best.fit in (1, 2)
    poorer = found.table[1]
    assert poorer.gap == pytest.approx(found.best.loglik - poorer.loglik) and poorer.gap > 0.1
    assert float(found.agreements[0, 1]) == pytest.approx(poorer.agreement)
    assert not any(row.degenerate for row in found.table)
    assert list(found.frame.columns) == list(poorer._fields) and len(found.frame) == 2
    with pytest.raises(ValueError, match="at least one"):
        landscape(x, [])


def test_a_degenerate_optimum_is_not_the_best_however_likely(rng):
    x = cases.blobs(rng, n=100, d=2, k=2)
    sound = from_labels(x, torch.arange(100) % 2, Full())
    few = torch.zeros(100, dtype=torch.int64)
    few[:2] = 1
    spike = from_labels(x, few, Full(), ridge=1e-13)
    found = landscape(x, [spike, sound])
    assert found.optimum == (1, 0) and found.table[1].degenerate and not found.best.degenerate
    assert found.table[1].smallest == pytest.approx(2) and found.table[1].condition > 1e6


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_adjusted_rand_is_scikit_learns(groups, rng):
    a = torch.randint(groups, (80,), generator=rng)
    b = torch.where(torch.rand(80, generator=rng) < 0.7, a, torch.randint(4, (80,), generator=rng))
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b))


def test_weights_of_kmeans_are_copies_of_rows():
    """Lloyd's algorithm from the same seeds; a row that weighs much is a seed."""
    x = torch.randn(60, 2, generator=seed(0), dtype=torch.float64)
    weight = torch.randint(1, 5, (60,), generator=seed(1)).double()
    copies = weight.long()
    begin = x[:3]
    centres = _lloyd(x, begin, weight, 300, 0.0)
    torch.testing.assert_close(centres, _lloyd(x.repeat_interleave(copies, 0), begin, None, 300, 0.0))
    assert not torch.allclose(centres, _lloyd(x, begin, None, 300, 0.0))
    labels = kmeans(x, 3, seed(0), weight=weight, tol=0.0)
    means = torch.stack([(weight @ (x * one[:, None])) / (weight @ one) for one in one_hot(labels, 3, x.dtype).T])
    assert torch.equal(torch.cdist(x, means).argmin(1), labels)
    heavy = torch.where(torch.arange(60) == 7, 1e12, 1.0).double()
    assert int(kmeans_plus_plus(x, 3, seed(0), weight=heavy)[0]) == 7
