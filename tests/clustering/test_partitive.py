"""Partitive partitioning: cuts without random numbers, scores that are what they say, a tree that is cut again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Peer

from gmmlab import GaussianMixture
from gmmlab.clustering import PartitivePartitioning
from gmmlab.clustering.ppp.centroids import anderson_darling, g_means, settled, supported, x_means
from gmmlab.clustering.ppp.merging import merged, rows_of
from gmmlab.clustering.ppp.proposals import between, by_kurtosis, by_spread, two_means
from gmmlab.clustering.ppp.splits import Fitting, bhattacharyya, bic_of_one, validated
from gmmlab.clustering.ppp.tree import inner, labels_of, separable
from gmmlab.errors import BadData
from gmmlab.estimators.parameters import structure
from gmmlab.init import from_labels
from gmmlab.kernels.agreement import adjusted_rand

FITTING = Fitting(structure("VVI"), 1e-6, 1e-9, 2000)
QUICK = FITTING._replace(tol=1e-4, max_iter=100)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(n: int, k: int, d: int, apart: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Round groups of unit variance, no two of which have means nearer than `apart`, and their labels."""
    g, means = np.random.default_rng(seed), []
    while len(means) < k:
        mean = g.uniform(-1.5 * apart, 1.5 * apart, d)
        if all(np.linalg.norm(mean - other) >= apart for other in means):
            means.append(mean)
    y = np.arange(n) % k
    return torch.from_numpy(np.array(means)[y] + g.standard_normal((n, d))), torch.from_numpy(y)


def two(n: int = 200, apart: float = 6.0, scale: tuple[float, ...] = (1.0, 1.0), seed: int = 0):
    """Two groups that differ along the last column, whose columns have these scales."""
    y = torch.arange(n) % 2
    x = torch.randn(n, len(scale), generator=rng(seed), dtype=torch.float64)
    x[:, -1] += apart * y
    return x * torch.tensor(scale, dtype=torch.float64), y


# proposals


def test_two_means_end_where_scikit_learns_do():
    x, _ = blobs(300, 4, 3, 3.0)
    start = x[:, 0] > x[:, 0].mean()
    centres = np.stack([x[~start].mean(0), x[start].mean(0)])
    peer = KMeans(2, init=centres, n_init=1, tol=0, algorithm="lloyd").fit(x.numpy())
    side = two_means(x, start)
    assert adjusted_rand(side.long(), torch.from_numpy(peer.labels_).long()) == 1
    whole = float((x - x.mean(0)).square().sum())
    assert whole - between(x, side) == pytest.approx(peer.inertia_)


def test_rows_that_spread_are_cut_across_and_flat_ones_along_the_axis_that_is_flat():
    x, y = two(400, apart=6.0, scale=(20.0, 1.0))
    assert adjusted_rand(by_spread(x).long(), y) < 0.1  # the groups differ along the axis of little variance
    assert adjusted_rand(by_kurtosis(x).long(), y) > 0.97


def test_the_flattest_axis_does_not_know_linear_maps():
    x, _ = two(400)
    turn = torch.tensor([[3.0, 1.0], [0.5, 0.01]], dtype=torch.float64)
    sides = by_kurtosis(x), by_kurtosis(x @ turn)
    assert adjusted_rand(sides[0].long(), sides[1].long()) == 1


@pytest.mark.parametrize("propose", [by_spread, by_kurtosis])
@pytest.mark.parametrize(
    "x",
    [torch.zeros(5, 3), torch.ones(4, 1), torch.eye(3), torch.arange(6.0)[:, None]],
    ids=["same", "one", "eye", "line"],
)
def test_proposals_take_any_rows(propose, x):
    assert propose(x.double()).shape == (len(x),)


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 60), st.integers(1, 4), st.integers(0, 1000))
def test_proposals_do_not_know_the_order_of_rows(n, d, seed):  # with n = d + 1 all axes are alike
    x = torch.randn(n, d, generator=rng(seed), dtype=torch.float64)
    order = torch.randperm(n, generator=rng(seed))
    for propose in (by_spread, by_kurtosis):
        torch.testing.assert_close(propose(x)[order], propose(x[order]))


# scores


def test_the_gain_is_that_of_scikit_learns_mixtures():
    x, y = two(300, apart=4.0)
    z = x.numpy()
    one = Peer(1, covariance_type="diag", tol=1e-9).fit(z)
    means = [z[y == 0].mean(0), z[y == 1].mean(0)]
    both = Peer(2, covariance_type="diag", tol=1e-10, max_iter=5000, means_init=means).fit(z)
    split = validated(x, y == 1, FITTING)
    assert bic_of_one(x, FITTING) == pytest.approx(one.bic(z))
    assert split.gain == pytest.approx(one.bic(z) - both.bic(z), abs=1e-3)
    assert split.confidence == pytest.approx(both.predict_proba(z).max(1).mean(), abs=1e-4)
    same = (both.predict(z) == y.numpy()).mean()
    assert split.agreement == pytest.approx(max(same, 1 - same))
    assert split.smaller == min(np.bincount(both.predict(z)))


def test_rows_that_have_to_stay_cost_what_they_would_gain_elsewhere():
    x, y = two(200)
    true, worse = validated(x, y == 1, FITTING), validated(x, (y == 1) ^ (torch.arange(200) < 5), FITTING)
    assert worse.gain == pytest.approx(true.gain, abs=1e-3)  # EM finds the same groups
    assert worse.agreement == pytest.approx(true.agreement - 5 / 200, abs=0.011)
    assert worse.kept < true.kept - 50
    assert true.kept <= true.gain


def test_the_distance_of_two_gaussians_is_its_integral():
    x = torch.cat(
        [torch.randn(60, 1, generator=rng(), dtype=torch.float64), torch.randn(60, 1, generator=rng(1)) * 3 + 2]
    )
    model = from_labels(x, (torch.arange(120) >= 60).long(), structure("VVV"))
    p, q = (
        stats.norm(float(m), float(s))
        for m, s in zip(model.gaussian.mean, model.gaussian.cov.flatten().sqrt(), strict=True)
    )
    overlap = integrate.quad(lambda t: math.sqrt(p.pdf(t) * q.pdf(t)), -60, 60, limit=400)[0]
    assert bhattacharyya(model) == pytest.approx(-math.log(overlap), rel=1e-6)


# the tree


@pytest.mark.parametrize("proposals", ["all", "pddp", "kurtosis"])
def test_the_order_of_rows_and_units_do_not_matter(proposals):
    x, _ = blobs(200, 4, 2, 5.0)
    options = {"proposals": proposals, "tol": 1e-3}
    order = torch.randperm(len(x), generator=rng(3))
    one = PartitivePartitioning(**options).fit(x)
    again = PartitivePartitioning(**options).fit(x)
    other = PartitivePartitioning(**options).fit(x[order])
    units = PartitivePartitioning(**options).fit(x * torch.tensor([1e-2, 50.0]) + 7)
    assert one.n_clusters_ > 1 or proposals == "kurtosis"
    torch.testing.assert_close(one.labels_, again.labels_, rtol=0, atol=0)
    torch.testing.assert_close(one.labels_[order], other.labels_)
    torch.testing.assert_close(one.labels_, units.labels_)
    for a, b in zip(one.tree_.nodes, other.tree_.nodes, strict=True):
        assert set(order[b.rows].tolist()) == set(a.rows.tolist())
        assert a.children == b.children
        if a.split is not None:
            assert a.split.gain == pytest.approx(b.split.gain, abs=1e-2)


@pytest.mark.parametrize("covariance", ["VVI", "VVV"])
def test_statistics_of_children_sum_to_those_of_their_parent(covariance):
    x, _ = blobs(300, 4, 2, 5.0)
    nodes = PartitivePartitioning(covariance_type=covariance).fit(x).tree_.nodes
    parents = [node for node in nodes if node.children]
    assert len(parents) == 3
    for node in parents:
        left, right = (nodes[child] for child in node.children)
        both = left.moments + right.moments
        for name in ("w", "s1", "s2"):
            torch.testing.assert_close(getattr(both, name), getattr(node.moments, name))
        rows = torch.cat([left.rows, right.rows])
        assert set(rows.tolist()) == set(node.rows.tolist())
        assert (left.depth, left.parent) == (node.depth + 1, node.number)


@pytest.mark.parametrize("covariance", ["VVI", "VVV", "EII"])
def test_the_mixture_of_the_leaves_is_that_of_their_labels(covariance):
    x, _ = blobs(300, 4, 2, 5.0)
    model = PartitivePartitioning(covariance_type=covariance, polish=False).fit(x)
    exact = from_labels(x, model.labels_, structure(covariance), ridge=1e-6)
    torch.testing.assert_close(model.mixture_.gaussian.mean, exact.gaussian.mean)
    torch.testing.assert_close(model.mixture_.gaussian.cov, exact.gaussian.cov)
    torch.testing.assert_close(model.mixture_.weights, exact.weights)


def test_one_gaussian_is_one_group():
    found = [PartitivePartitioning().fit(torch.randn(2000, 5, generator=rng(seed))).n_clusters_ for seed in range(20)]
    assert found.count(1) >= 19


def test_scores_are_judged_again_without_a_fit():
    x, _ = blobs(900, 8, 2, 2.0)
    plain = {"merge_pass": False, "polish": False, "tol": 1e-3}
    deep = PartitivePartitioning(deep=True, **plain).fit(x)
    counts = []
    for agreement, confidence, margin in [(0.5, 0.5, 0.0), (0.95, 0.9, 10.0), (0.98, 0.98, 100.0), (1.0, 1.0, 1e9)]:
        options = {"agreement": agreement, "confidence": confidence, "bic_margin": margin}
        fresh = PartitivePartitioning(**plain, **options).fit(x)
        torch.testing.assert_close(deep.recut(**options), fresh.labels_)
        counts.append(fresh.n_clusters_)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[1] > counts[2] == 1


def test_a_tree_that_was_not_grown_says_so():
    x, _ = two(200)
    model = PartitivePartitioning(bic_margin=1e6).fit(x)
    assert model.n_clusters_ == 1
    with pytest.raises(ValueError, match=r"below node 0.*deep=True"):
        model.recut(bic_margin=0.0)
    assert isinstance(PartitivePartitioning().fit(x.numpy()).recut(), np.ndarray)


def test_separable_rows_are_those_that_every_split_is_sure_of():
    x, _ = blobs(900, 4, 2, 3.0)
    model = PartitivePartitioning(polish=False, merge_pass=False).fit(x)
    tree, leaves = model.tree_, tuple(leaf for (leaf,) in model.leaves_)
    above = inner(tree, leaves)
    least = torch.ones(len(x), dtype=torch.float64)
    for node in above:
        least[node.rows] = torch.minimum(least[node.rows], node.split.certainty)
    torch.testing.assert_close(model.separable_mask_, least >= 0.99)
    assert 0 < model.separable_mask_.sum() < len(x)
    assert bool(separable(tree, (0,), 0.99).all())
    root = tree.nodes[0].split
    assert model.clusterability_ == root.confidence == pytest.approx(float(root.certainty.mean()))
    assert model.separable_clusterability_ >= 0.99
    assert len(above) == model.n_clusters_ - 1


def test_parts_of_a_group_are_merged():
    x, y = two(400, apart=9.0)
    labels = 2 * y + (x[:, 0] > 0)  # both groups cut in two, across the axis that parts them
    model = PartitivePartitioning(merge_pass=False, polish=False).fit(x)
    nodes = tuple(model.tree_.nodes[0]._replace(rows=(labels == k).nonzero().flatten(), parent=0) for k in range(4))
    *_, groups = merged(x, model.tree_._replace(nodes=nodes), ((0,), (1,), (2,), (3,)), QUICK)
    assert groups == [(0, 1), (2, 3)]


# the estimator


def test_separated_groups_are_found_each_time():
    x, y = blobs(1500, 12, 10, 5.0)
    model = PartitivePartitioning(tol=1e-3).fit(x.numpy())
    assert model.n_clusters_ == 12
    assert adjusted_rand_score(y, model.labels_) == 1
    np.testing.assert_array_equal(model.predict(x.numpy()), model.labels_)
    scores = [adjusted_rand_score(y, KMeans(12, n_init=1, random_state=s).fit(x).labels_) for s in range(10)]
    assert min(scores) < 0.99  # k-means depends on its start, even if it is told k


@pytest.mark.slow
def test_many_rows_of_separated_groups_in_any_order():
    x, y = blobs(20_000, 12, 10, 5.0)
    for seed in range(3):
        order = torch.randperm(len(x), generator=rng(seed))
        model = PartitivePartitioning().fit(x[order])
        assert adjusted_rand(model.labels_, y[order]) == 1


def test_groups_that_overlap_are_kept_together_however_sure_bic_is():
    x, _ = two(4000, apart=2.5)
    model = PartitivePartitioning().fit(x)
    assert model.n_clusters_ == 1
    assert model.tree_.nodes[0].split.gain > 100
    assert model.clusterability_ < 0.9


def test_a_long_ellipse_is_cut_by_two_means_and_not_by_the_mixture():
    x = torch.randn(1000, 2, generator=rng(), dtype=torch.float64) * torch.tensor([10.0, 1.0])
    model = PartitivePartitioning(standardise=False, proposals="pddp").fit(x)
    side = by_spread(x)
    assert min(int(side.sum()), int((~side).sum())) > 450
    assert model.n_clusters_ == 1
    assert model.tree_.nodes[0].split.gain < 0


def test_groups_along_an_axis_of_little_variance_need_the_fourth_moment():
    x, y = two(600, apart=6.0, scale=(20.0, 1.0))
    options = {"standardise": False, "covariance_type": "VVI"}
    assert PartitivePartitioning(proposals="pddp", **options).fit(x).n_clusters_ == 1
    found = PartitivePartitioning(proposals="all", **options).fit(x)
    assert adjusted_rand(found.labels_, y) > 0.98


def test_known_tables():
    assert PartitivePartitioning().fit(load_iris().data).n_clusters_ == 2  # as BIC has it: two species overlap
    wine = load_wine()
    assert adjusted_rand_score(wine.target, PartitivePartitioning().fit(wine.data).labels_) > 0.9


def test_the_polish_is_em_over_all_rows():
    x, _ = blobs(200, 2, 2, 3.0)
    steps = list(PartitivePartitioning(tol=1e-6).steps(x))
    values = [float(step.model.log_prob(x).mean()) for step in steps if step.info.node is None]
    assert len(values) > 3
    assert (np.diff(values) > -1e-9).all()
    final = PartitivePartitioning(tol=1e-6).fit(x)
    torch.testing.assert_close(final.responsibilities_, steps[-1].model.posterior(x).resp)
    torch.testing.assert_close(final.labels_, final.responsibilities_.argmax(1))


def test_steps_can_be_watched():
    x, _ = blobs(200, 4, 2, 5.0)
    steps = list(PartitivePartitioning().steps(x))
    assert [step.i for step in steps] == list(range(1, len(steps) + 1))
    visited = [step.info.node.number for step in steps if step.info.node is not None]
    assert visited == list(range(len(steps[-1].info.tree.nodes)))
    assert all(step.model.k == len(step.info.groups) for step in steps)
    assert steps[-1].info.evidence == pytest.approx(float(steps[-1].model.log_prob(x).mean()))
    groups = [rows_of(steps[-1].info.tree, group) for group in steps[-1].info.groups]
    assert bool((labels_of(groups, 200) >= 0).all())


def test_it_starts_a_mixture():
    x, y = blobs(150, 3, 2, 6.0)
    model = GaussianMixture(3, init_params=PartitivePartitioning()).fit(x.numpy())
    assert adjusted_rand_score(y, model.predict(x.numpy())) == 1
    polished = PartitivePartitioning().fit(x.numpy()).to_mixture()
    assert polished.predict_proba(x.numpy()).shape == (150, 3)
    with pytest.raises(BadData, match="n_components=4"):
        GaussianMixture(4, init_params=PartitivePartitioning()).fit(x.numpy())


def test_few_rows_are_one_group():
    model = PartitivePartitioning().fit(np.arange(12.0).reshape(6, 2))
    assert model.n_clusters_ == 1
    assert math.isnan(model.clusterability_)
    assert model.separable_mask_.all()
    assert model.recut(agreement=0.0).tolist() == [0] * 6


def test_a_column_that_does_not_vary_says_nothing():
    x, y = two(200)
    wide = torch.cat([x, torch.full((200, 1), 3.0, dtype=torch.float64)], 1)
    with pytest.warns(UserWarning, match="olumn"):
        model = PartitivePartitioning().fit(wide)
    assert adjusted_rand(model.labels_, y) > 0.97


@pytest.mark.parametrize(
    ("options", "x", "message"),
    [
        ({"covariance_type": "VVV", "min_size": 4}, torch.randn(50, 3, generator=rng()), "at least 5"),
        ({}, torch.full((5, 2), torch.nan), "NaN"),
    ],
    ids=["too small", "gaps"],
)
def test_bad_input_is_refused(options, x, message):
    with pytest.raises(BadData, match=message):
        PartitivePartitioning(**options).fit(x.numpy())


@pytest.mark.parametrize(
    "options", [{"agreement": 1.5}, {"proposals": "ward"}, {"min_size": 1}, {"bic_margin": math.nan}], ids=str
)
def test_bad_parameters_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PartitivePartitioning(**options).fit(torch.randn(50, 3))


# X-means and G-means


@pytest.mark.filterwarnings("ignore::FutureWarning")  # scipy's answer will change its form
def test_the_normality_statistic_is_scipys_with_its_correction():
    t = torch.randn(57, generator=rng(), dtype=torch.float64) ** 3
    n = len(t)
    exact = stats.anderson(t.numpy(), "norm").statistic * (1 + 4 / n - 25 / n**2)
    assert anderson_darling(t) == pytest.approx(exact)
    assert anderson_darling(torch.ones(9)) == 0.0


def test_the_criterion_of_spheres_is_a_likelihood():
    x, y = two(80)
    side, n, d = y == 1, 80, 2

    def criterion(parts):
        k = len(parts)
        variance = sum(float((part - part.mean(0)).square().sum()) for part in parts) / (d * (n - k))
        loglik = sum(
            float(stats.norm(part.mean(0), math.sqrt(variance)).logpdf(part).sum())
            + len(part) * math.log(len(part) / n)
            for part in parts
        )
        return -2 * loglik + k * (d + 1) * math.log(n)

    for apart in (0.0, 1.0, 2.0, 3.0, 4.0):
        moved = x.clone()
        moved[:, 1] += (apart - 6.0) * y
        assert supported(moved, side) == (criterion([moved[side], moved[~side]]) < criterion([moved]))


@pytest.mark.parametrize("method", [x_means, g_means])
def test_trees_of_means_find_round_groups(method):
    x, y = blobs(900, 6, 3, 6.0, seed=1)
    labels = method(x)
    assert adjusted_rand(labels, y) > 0.99
    torch.testing.assert_close(settled(x, labels), labels)
    assert int(method(x, most=4).max()) + 1 == 4
    one = torch.randn(500, 3, generator=rng(), dtype=torch.float64)
    assert int(method(one).max()) == 0


def test_what_is_long_and_thin_is_cut_by_spheres_alone():
    x = torch.randn(800, 2, generator=rng(), dtype=torch.float64) * torch.tensor([10.0, 1.0])
    assert int(x_means(x).max()) > 3
    assert int(g_means(x).max()) == 0
