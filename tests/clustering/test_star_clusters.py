"""Star clusters: the plane of the sky, the spanning tree and its cuts, rows with errors, and members that are found."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform
from sklearn.base import clone

from gmmlab import GaussianMixture
from gmmlab.clustering import StarClusterFinder, simulate_field
from gmmlab.clustering.star_clusters import ERRORS, FEATURES
from gmmlab.clustering.stars.peaks import densest
from gmmlab.clustering.stars.sky import middle, tangent_plane
from gmmlab.clustering.stars.tree import groups, kept, knee, spanning_tree, two_lines, two_sigma
from gmmlab.errors import BadData, DataWarning
from gmmlab.kernels.agreement import adjusted_rand

DEGREE = math.pi / 180


def points(n: int = 60, d: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def stars():
    return simulate_field(150, 2000, seed=1)


@pytest.fixture(scope="module")
def found(stars):
    return StarClusterFinder().fit(stars)


# places


@pytest.mark.parametrize("at", [(10.0, 0.0), (359.9, 61.0), (120.0, 89.8), (200.0, -90.0)], ids=str)
def test_the_plane_keeps_distances_from_its_middle(at):
    place = points(40, seed=3)
    ra = (at[0] + 0.5 * place[:, 0]) % 360
    dec = (at[1] + 0.5 * place[:, 1]).clamp(-90, 90)
    centre = middle(ra, dec)
    plane = tangent_plane(ra, dec)
    a, d, (a0, d0) = ra * DEGREE, dec * DEGREE, centre * DEGREE
    half = ((d - d0) / 2).sin() ** 2 + d.cos() * d0.cos() * ((a - a0) / 2).sin() ** 2  # haversine
    angle = 2 * half.sqrt().asin()
    torch.testing.assert_close(plane.norm(dim=1) * DEGREE, angle.tan(), atol=1e-9, rtol=1e-6)
    assert float(plane.norm(dim=1).max()) < 5


def test_east_is_a_right_ascension_times_the_cosine_of_the_declination():
    ra, dec = torch.tensor([[99.99, 100.01, 100, 100], [60, 60, 59.99, 60.01]], dtype=torch.float64)
    plane = tangent_plane(ra, dec)
    np.testing.assert_allclose(plane[1] - plane[0], [0.01, 0], atol=1e-7)
    np.testing.assert_allclose(plane[3] - plane[2], [0, 0.02], atol=1e-7)


def test_a_plane_is_no_picture_of_half_the_sky():
    with pytest.raises(BadData, match="at most 45"):
        tangent_plane(torch.tensor([0.0, 100.0]), torch.zeros(2))


# the tree


@pytest.mark.parametrize("seed", range(5))
def test_the_tree_is_scipys_over_all_pairs(seed):
    x = points(50, seed=seed)
    tree = spanning_tree(x)
    assert len(tree.pairs) == 49
    assert float(tree.lengths.sum()) == pytest.approx(minimum_spanning_tree(squareform(pdist(x))).sum())
    torch.testing.assert_close((x[tree.pairs[:, 0]] - x[tree.pairs[:, 1]]).norm(dim=1), tree.lengths)
    assert bool((tree.lengths.diff() >= 0).all())


def test_points_that_coincide_are_joined_first():
    x = torch.cat([points(30), points(30)[:7]])
    tree = spanning_tree(x)
    assert len(tree.pairs) == 36
    assert tree.lengths[:7].tolist() == [0.0] * 7
    assert int(groups(tree).max()) == 0


@pytest.mark.parametrize("m", [0, 1, 4, 20, 49])
def test_cutting_long_edges_is_single_linkage(m):
    x = points(50, seed=7)
    tree = spanning_tree(x)
    longest = float(tree.lengths[-m - 1]) if m < 49 else 0.0
    part = groups(tree, longest)
    assert int(part.max()) == m
    other = torch.from_numpy(fcluster(linkage(x, "single"), longest * (1 + 1e-12), "distance")).long()
    assert adjusted_rand(part, other) == 1
    size = torch.bincount(part)
    assert bool((size.diff() <= 0).all())
    torch.testing.assert_close(kept(tree, longest), part == 0)
    torch.testing.assert_close(kept(tree, longest, 3), (part == 0) | (size[part] >= 3))


def test_places_on_a_line_have_no_triangulation():
    with pytest.raises(BadData, match="one line"):
        spanning_tree(torch.arange(6.0, dtype=torch.float64)[:, None].expand(6, 2).contiguous())


def test_rules_find_the_corner_of_two_straight_lines():
    corner = torch.cat([torch.linspace(0, 1, 81), 1 + 8 * torch.linspace(0, 1, 21)[1:]]).double()
    assert knee(corner) == 1
    assert corner[79] <= two_lines(corner) <= corner[81]
    assert two_sigma(torch.tensor([1.0, 3.0]).double()) == 4
    assert two_lines(torch.tensor([1.0, 2.0, 9.0]).double()) == 9


@pytest.mark.parametrize("seed", range(6))
def test_the_break_of_two_lines_is_that_of_least_squares(seed):
    y = points(40, 1, seed=seed).flatten().square().sort().values
    place = np.arange(40)

    def error(part, values):
        return np.polyfit(part, values, 1, full=True)[1].sum()

    errors = [error(place[:i], y[:i]) + error(place[i:], y[i:]) for i in range(2, 39)]
    assert two_lines(y) == float(y[1 + int(np.argmin(errors))])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_densest_place_is_the_mode_of_the_kernel_density(d):
    x = torch.cat([0.2 * points(60, d, seed=1) + 3, 2 * points(200, d, seed=2)])
    mode = densest(x, 0.3)

    def density(at):
        return float(torch.exp((x - at).square().sum(1) / (-2 * 0.3**2)).sum())

    assert all(density(mode) >= density(row) for row in x)
    assert all(density(mode) >= density(mode + 0.01 * step) for step in points(20, d, seed=3))
    torch.testing.assert_close(densest(x + 50, 0.3), mode + 50)


# the finder


def test_members_are_found(stars, found):
    member, true = found.labels_ == 0, stars["member"].to_numpy() & found.stages_["quality"]
    assert (member & true).sum() / member.sum() > 0.95
    assert (member & true).sum() / true.sum() > 0.8
    assert ((found.membership_ >= 0) & (found.membership_ <= 1)).all()
    np.testing.assert_allclose(found.responsibilities_.sum(1), 1)
    np.testing.assert_array_equal(member, found.membership_ >= 0.5)
    facts = found.cluster_
    assert facts.n == member.sum()
    assert facts.distance == pytest.approx(1.5, abs=0.1)
    assert (facts.pmra, facts.pmdec) == pytest.approx((-3.2, -1.7), abs=0.05)
    assert abs((facts.ra - 359.6 + 180) % 360 - 180) < 0.1
    assert facts.radius < 0.15


def test_stages_are_within_each_other(stars, found):
    masks = list(found.stages_.values())
    assert list(found.stages_) == ["quality", "motion", "parallax", "tree", "members"]
    assert all((inner <= outer).all() for outer, inner in itertools.pairwise(masks))
    assert masks[0].sum() == ((stars["phot_g_mean_mag"] <= 18) & (stars["ruwe"] <= 1.4)).sum()
    assert (found.membership_[~masks[3]] == 0).all()
    tree = found.mst_
    assert len(tree.pairs) == masks[2].sum() - 1
    apart = found.plane_[tree.pairs[:, 0]] - found.plane_[tree.pairs[:, 1]]
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), tree.lengths)


@pytest.mark.parametrize("by", [0.3, 0.5, 200.0])
def test_the_zero_of_right_ascension_does_not_matter(stars, found, by):
    moved = StarClusterFinder().fit(stars.assign(ra=(stars["ra"] + by) % 360))
    np.testing.assert_allclose(moved.membership_, found.membership_, atol=1e-6)


def test_errors_of_zero_change_nothing_and_true_ones_help_faint_members(stars, found):
    none = StarClusterFinder(errors=ERRORS).fit(stars.assign(**dict.fromkeys(ERRORS, 0.0)))
    np.testing.assert_allclose(none.membership_, found.membership_, atol=1e-6)
    known = StarClusterFinder(errors=ERRORS).fit(stars)
    faint = stars["member"].to_numpy() & found.stages_["tree"] & (stars["phot_g_mean_mag"] > 17).to_numpy()
    assert known.membership_[faint].mean() > found.membership_[faint].mean() + 0.02


def test_the_tree_is_purer_and_loses_the_halo():
    stars = simulate_field(200, 8000, seed=2)
    cut, tree = (StarClusterFinder(edge_rule=rule).fit(stars) for rule in (None, "knee"))
    member = stars["member"].to_numpy()
    purity = [member[model.labels_ == 0].mean() for model in (cut, tree)]
    assert purity[1] > purity[0] + 0.01
    assert (member & (tree.labels_ == 0)).sum() < (member & (cut.labels_ == 0)).sum()
    assert cut.mst_ is None


@pytest.mark.parametrize("rule", ["sigma2", "knee", "two_lines", 0.05])
def test_edges_are_cut_where_the_rule_says(stars, rule):
    model = StarClusterFinder(edge_rule=rule).fit(stars)
    lengths = torch.from_numpy(model.mst_.lengths)
    rules = {"sigma2": two_sigma, "knee": knee, "two_lines": two_lines}
    assert model.mst_.longest == (0.05 if rule == 0.05 else rules[rule](lengths))


def test_other_columns_and_given_places(stars):
    five = StarClusterFinder(features=[*FEATURES, "ra", "dec"], motion=(-3.2, -1.7), parallax=0.67, n_field=2)
    five.fit(stars)
    assert five.mixture_.d == 5
    assert five.mixture_.k == 3
    assert stars["member"].to_numpy()[five.labels_ == 0].mean() > 0.95
    assert five.motion_.tolist() == [-3.2, -1.7]
    assert five.parallax_ == 0.67


def test_cuts_that_are_none_need_no_column(stars):
    table = stars[["ra", "dec", *FEATURES]]
    model = StarClusterFinder(max_magnitude=None, max_ruwe=None).fit(table)
    assert model.stages_["quality"].all()


def test_stars_with_missing_entries_are_no_members(stars, found):
    table = stars.copy()
    lost = np.flatnonzero(found.labels_ == 0)[:5]
    table.loc[lost, ["parallax", "pmra", "pmdec"]] = np.nan
    table.loc[5:6, "ra"] = np.nan
    model = StarClusterFinder().fit(table)
    assert (model.membership_[lost] == 0).all()
    assert not model.stages_["quality"][lost].any()
    assert np.isnan(model.plane_[5:7]).all()
    assert (model.labels_ == 0).sum() > found.cluster_.n - 15
    assert (model.predict(table)[lost] == -1).all()


def test_probability_and_zero_point(stars, found):
    strict = StarClusterFinder(p_min=0.9, zero_point=0.037).fit(stars)
    assert strict.cluster_.n < found.cluster_.n
    assert strict.cluster_.distance == pytest.approx(1 / (strict.cluster_.parallax + 0.037))
    assert math.isnan(StarClusterFinder(zero_point=-1.0).fit(stars).cluster_.distance)


def test_it_starts_a_mixture_and_can_be_watched(stars, found):
    left = found.stages_["tree"]
    x = stars.loc[left, list(FEATURES)]
    start = GaussianMixture(2, init_params=found.responsibilities_[left], tol=1e-9).fit(x)
    np.testing.assert_allclose(start.predict_proba(x)[:, 0], found.membership_[left], atol=0.02)
    steps = list(StarClusterFinder().steps(stars))
    assert len(steps) == found.n_iter_
    assert all(step.info.gain > -1e-9 for step in steps)
    polished = found.to_mixture().predict_proba(x.to_numpy())
    np.testing.assert_allclose(polished[:, 0], found.membership_[left])


def test_predict_asks_the_features_alone(stars, found):
    of_all = found.predict(stars)
    left = found.stages_["tree"]
    np.testing.assert_array_equal(of_all[left], found.labels_[left])
    assert (of_all == 0).sum() > found.cluster_.n


def test_a_field_without_a_cluster_is_doubtful(stars):
    field = stars[~stars["member"]].reset_index(drop=True)
    with pytest.warns(DataWarning, match="as broad as the field"):
        StarClusterFinder(motion=(-1.5, -1.0), start_share=0.5, edge_rule=None).fit(field)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({}, lambda t: t.drop(columns=["ruwe", "pmra"]), "lacks the columns pmra, ruwe"),
        ({}, lambda t: t.to_numpy(), "lacks the columns ra"),
        ({}, lambda t: t.head(20), "expected at least 20"),
        ({"motion": (50, 50)}, lambda t: t, "0 stars are left after motion_radius"),
        ({"edge_rule": 1e-9}, lambda t: t, "1 stars are left after the tree"),
        ({"errors": ["pmra_error"]}, lambda t: t, "names 1 columns"),
        ({"motion": (1, 2, 3)}, lambda t: t, "expected a pair"),
    ],
    ids=["columns", "array", "few", "nowhere", "no tree", "errors", "motion"],
)
def test_bad_input_is_refused(stars, options, change, message):
    with pytest.raises(BadData, match=message):
        StarClusterFinder(**options).fit(change(stars))


def test_bad_parameters_are_refused(stars):
    with pytest.raises(ValueError, match="edge_rule"):
        StarClusterFinder(edge_rule="elbow").fit(stars)
    assert clone(StarClusterFinder(p_min=0.7)).get_params()["p_min"] == 0.7


def test_fields_are_the_same_for_a_seed_and_their_errors_are_true():
    one, other = simulate_field(50, 400, seed=3), simulate_field(50, 400, seed=3)
    assert one.equals(other)
    assert len(one) == 450
    assert int(one["member"].sum()) == 50
    many = simulate_field(4000, 10, seed=0, distance=1.0)
    good = many[many["member"] & (many["ruwe"] <= 1.4)]
    score = (good["parallax"] - 1.0) / good["parallax_error"]
    assert float(score.std()) == pytest.approx(1, abs=0.05)
    assert good["parallax_error"].between(0.02, 0.3).all()
    with pytest.raises(BadData, match="n_field=0"):
        simulate_field(5, 0)
