"""Tangles: what cuts cost, the axioms by brute force, certificates that hold, and trees."""

from __future__ import annotations

import itertools
import math
from functools import reduce

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from gmmlab import GaussianMixture
from gmmlab.clustering import TangleClustering, component_certificate, tangle_certificate
from gmmlab.clustering.tangles.certificate import cheapest_cut
from gmmlab.clustering.tangles.cuts import improved, log_odds, ranked
from gmmlab.clustering.tangles.graph import (
    connectivity,
    gaussian_graph,
    laplacian,
    neighbourhood_graph,
    parts,
    typical_distance,
)
from gmmlab.clustering.tangles.search import Cuts, distinguishing, memberships, pruned, search
from gmmlab.errors import BadData, DataWarning
from gmmlab.kernels.agreement import adjusted_rand

K6 = torch.ones(6, 6, dtype=torch.float64).fill_diagonal_(0)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def groups(n: int = 60, k: int = 2, apart: float = 6.0, d: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of k round groups in a row, `apart` from each other, and their labels."""
    y = torch.arange(n) % k
    x = torch.randn(n, d, generator=rng(seed), dtype=torch.float64)
    x[:, 0] += apart * y
    return x, y


def cliques(size: int = 5) -> torch.Tensor:
    return torch.block_diag(*[torch.ones(size, size, dtype=torch.float64).fill_diagonal_(0)] * 2)


def every_cut(w: torch.Tensor) -> Cuts:
    """All 2^(n - 1) - 1 cuts of a graph, by the sides that row 0 is not on."""
    n = len(w)
    numbers = torch.arange(1, 2 ** (n - 1))
    sides = torch.cat([torch.zeros(len(numbers), 1, dtype=torch.int64), numbers[:, None] >> torch.arange(n - 1) & 1], 1)
    orders, index = connectivity(w, sides.bool()).sort(stable=True)
    return Cuts(sides[index].bool(), orders)


def tangles_below(cuts: Cuts, order: float) -> list[list[frozenset[int]]]:
    """All tangles of an order by the definition, from sets and all triples of all sides."""
    everyone = frozenset(range(cuts.sides.shape[1]))
    found: list[list[frozenset[int]]] = [[everyone]]
    for side in cuts.below(order).sides:
        one = frozenset(side.nonzero().flatten().tolist())
        found = [
            [*held, new]
            for held in found
            for new in (one, everyone - one)
            if len(new) > 1 and all(new & a & b for a in held for b in held)
        ]
    return found


def is_tangle(sides: list[int], everyone: int) -> bool:
    """(T2) and (T3) for sides as whole numbers; it is enough to look at those that hold no other."""
    least: list[int] = []
    for side in sorted(sides, key=int.bit_count):
        if not any(held & ~side == 0 for held in least):
            least.append(side)
    triples = itertools.combinations_with_replacement([everyone, *least], 3)
    return all(a & b & c for a, b, c in triples) and all(side.bit_count() > 1 for side in least)


def as_int(side) -> int:
    return sum(1 << i for i, inside in enumerate(side.tolist()) if inside)


@pytest.mark.parametrize("graph", [gaussian_graph, neighbourhood_graph])
def test_what_cuts_cost(graph):
    x, _ = groups(12, apart=1.0)
    w = graph(x, 1.0)
    torch.testing.assert_close(w, w.T)
    assert not w.diagonal().any()
    a, b = torch.rand(2, 200, 12, generator=rng(1)) < 0.5
    kappa = lambda sides: connectivity(w, sides)  # noqa: E731
    torch.testing.assert_close(kappa(a), kappa(~a))
    assert (kappa(a) + kappa(b) - kappa(a & b) - kappa(a | b)).min() > -1e-9
    by_form = torch.einsum("mi,ij,mj->m", a.double(), laplacian(w), a.double())
    torch.testing.assert_close(kappa(a), by_form)
    graph_ = nx.from_numpy_array(w.numpy())
    for side in a[:20]:
        assert nx.cut_size(graph_, side.nonzero().flatten().tolist(), weight="weight") == pytest.approx(
            float(connectivity(w, side[None]))
        )
    assert parts(w) == nx.number_connected_components(graph_)


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_the_tangles_of_the_definition(seed):
    x, _ = groups(8, apart=3.0, seed=seed)
    cuts = every_cut(gaussian_graph(x, 1.0))
    tree = search(cuts, 1)
    seen = set()
    for i in range(0, len(cuts.orders), 7):
        order = float(cuts.orders[i])
        expected = {tuple(as_int_of(side) for side in held[1:]) for held in tangles_below(cuts, order)}
        assert {t[: len(cuts.below(order).orders)] for t in oriented(tree, cuts, order)} == expected
        seen.add(len(expected))
    assert {0, 1} < seen  # there are orders with several tangles, with one, and with none


def as_int_of(side: frozenset[int]) -> int:
    return sum(1 << i for i in side)


def oriented(node, cuts: Cuts, order: float) -> set[tuple[int, ...]]:
    """The tangles of an order that a tree has, as sides."""
    m, everyone = len(cuts.below(order).orders), 2 ** cuts.sides.shape[1] - 1
    numbers = [as_int(side) for side in cuts.sides]
    alive = [leaf.taken for leaf in every_node(node) if len(leaf.taken) >= m]
    return {
        tuple(number if way else everyone ^ number for number, way in zip(numbers[:m], taken[:m], strict=True))
        for taken in alive
    }


def every_node(node):
    yield node
    for child in node.children:
        yield from every_node(child)


def test_a_complete_graph_has_one_tangle_and_two_cliques_have_two():
    cuts = every_cut(K6)
    assert len(tangles_below(cuts, 5.5)) == 1  # single rows cost 5
    assert len(oriented(search(cuts, 1), cuts, 5.5)) == 1
    cuts = every_cut(cliques())
    for order in (0.5, 4.0):
        assert len(tangles_below(cuts, order)) == 2
        assert len(oriented(search(cuts, 1), cuts, order)) == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("apart", [2.0, 5.0])
def test_certified_orders_hold_by_brute_force(seed, apart):
    x, y = groups(12, apart=apart, seed=seed)
    found = tangle_certificate(x, y, 1.5)
    cuts, everyone = every_cut(gaussian_graph(x, 1.5)), 2**12 - 1
    highest = []
    for i in range(2):
        core = found.cores[i]
        members = (cuts.sides & core).sum(1)
        most = members * 3 > 2 * core.sum()
        assert bool((most | (members * 3 < core.sum()))[cuts.orders < found.orders[i]].all())  # (T1): uneven
        sides = [as_int(side) for side in torch.where(most[:, None], cuts.sides, ~cuts.sides)]
        below = int((cuts.orders < found.orders[i]).sum())
        assert is_tangle(sides[:below], everyone)
        lasts = next((j for j in range(below, len(sides)) if not is_tangle(sides[: j + 1], everyone)), len(sides) - 1)
        highest.append(float(cuts.orders[lasts]))
    assert (found.orders <= torch.tensor(highest)).all()
    splits = (cuts.sides & found.cores[0]).sum(1) * 3 > 2 * found.cores[0].sum()
    # what is called apart is apart: some cut below both orders has most of one core and little of the other
    other = (cuts.sides & found.cores[1]).sum(1)
    tells = (splits & (other * 3 < found.cores[1].sum())) | (
        ((~cuts.sides & found.cores[0]).sum(1) * 3 > 2 * found.cores[0].sum()) & (other * 3 > 2 * found.cores[1].sum())
    )
    assert float(cuts.orders[tells].min()) <= float(found.cuts[0, 1]) + 1e-9
    if bool(found.separable[0, 1]):
        assert bool((tells & (cuts.orders < found.orders.min())).any())


@pytest.mark.parametrize("seed", range(3))
def test_flows_find_the_cheapest_cut(seed):
    x, _ = groups(14, apart=1.0, seed=seed)
    w = gaussian_graph(x, 1.0)
    side = cheapest_cut(w, torch.tensor([0, 2]), torch.tensor([1, 3]))
    assert side[[0, 2]].all()
    assert not side[[1, 3]].any()
    cost = float(connectivity(w, side[None]))
    cuts = every_cut(w)
    parted = (cuts.sides[:, 0] == cuts.sides[:, 2]) & (cuts.sides[:, 1] == cuts.sides[:, 3])
    parted &= cuts.sides[:, 0] != cuts.sides[:, 1]
    assert cost == pytest.approx(float(cuts.orders[parted].min()), rel=1e-6)
    graph = nx.from_numpy_array(w.numpy())
    lone = cheapest_cut(w, torch.tensor([0]), torch.tensor([1]))
    expected = nx.minimum_cut_value(graph, 0, 1, capacity="weight")
    assert float(connectivity(w, lone[None])) == pytest.approx(expected, rel=1e-6)
    assert nx.stoer_wagner(graph)[0] == pytest.approx(float(cuts.orders[0]))


@pytest.mark.parametrize(("scale", "crossing"), [(0.5, 4), (1.0, 4), (1.5, 5)])
@pytest.mark.parametrize("n", [100, 200])
def test_round_groups_are_apart_from_a_distance_on(scale, crossing, n):
    certified = {}
    for apart in (3, 4, 5):
        x = torch.randn(n, 2, generator=rng(1), dtype=torch.float64)
        y = torch.arange(n) % 2
        x[:, 0] += apart * y
        certified[apart] = bool(tangle_certificate(x, y, scale).separable[0, 1])
    assert certified == {apart: apart >= crossing for apart in (3, 4, 5)}


def test_setosa_is_apart_and_the_others_are_not():
    x, y = load_iris(return_X_y=True)
    found = tangle_certificate(x, y)
    assert found.separable.tolist() == [[False, True, True], [True, False, False], [True, False, False]]
    model = TangleClustering(random_state=0).fit(x)
    assert model.n_clusters_ == 2
    assert adjusted_rand(torch.from_numpy(model.labels_), torch.from_numpy(y == 0).long()) == 1


def test_components_are_certified_by_samples():
    x, y = groups(200, apart=6.0)
    model = GaussianMixture(2, init_params=y.numpy()).fit(x.numpy()).mixture_
    found = component_certificate(model, 200, rng(), scale=1.0, repeats=3)
    assert len(found.certificates) == 3
    assert found.separable.tolist() == [[0, 1], [1, 0]]
    again = component_certificate(model, 200, rng(), scale=1.0, repeats=3)
    torch.testing.assert_close(found.certificates[2].cuts, again.certificates[2].cuts)
    with pytest.raises(BadData, match="Sample more rows"):
        component_certificate(model, 1, rng())


def test_certificates_know_labels_of_any_kind_and_rows_of_none():
    x, y = groups(40)
    names = np.array(["a", "b"])[y]
    torch.testing.assert_close(tangle_certificate(x, y).orders, tangle_certificate(x.numpy(), names).orders)
    some = y.clone()
    some[:4] = -1
    found = tangle_certificate(x, some)
    assert not found.cores[:, :4].any()
    assert bool(found.separable[0, 1])


def test_moves_make_cuts_cheaper_and_kappa_is_followed():
    x, _ = groups(40, apart=2.0)
    w = gaussian_graph(x, 1.0)
    sides = torch.rand(30, 40, generator=rng()) < 0.5
    after = improved(w, sides, 8, 20)
    assert (connectivity(w, after) <= connectivity(w, sides) + 1e-9).all()
    assert (connectivity(w, after) < connectivity(w, sides) - 1).any()
    assert (after.sum(1).clamp(max=32) == after.sum(1)).all()
    assert (after.sum(1) >= 8).all()
    one = improved(w, sides[:1], 8, 1)[0]
    flipped = torch.stack([sides[0] ^ (torch.arange(40) == i) for i in range(40)])
    assert float(connectivity(w, one[None])) == pytest.approx(float(connectivity(w, flipped).min()))


def test_a_cut_and_its_complement_are_one():
    sides = torch.rand(10, 20, generator=rng()) < 0.5
    cuts = ranked(torch.ones(20, 20, dtype=torch.float64), [sides, ~sides, sides[:3]], 2, math.inf)
    assert len(cuts.orders) == 10
    assert (cuts.orders.diff() >= 0).all()


def test_odds_of_components_are_candidates():
    x, y = groups(40)
    mixture = GaussianMixture(2, init_params=y.numpy()).fit(x.numpy())
    sides = log_odds(mixture.mixture_, x, 9)
    assert sides.shape == (9, 40)
    assert bool(((sides == y.bool()).all(1) | (sides == ~y.bool()).all(1)).any())
    with_odds = TangleClustering(mixture=mixture, n_cuts=8, random_state=0).fit(x.numpy())
    assert adjusted_rand(torch.from_numpy(with_odds.labels_), y) == 1


@pytest.mark.parametrize(("graph", "scale"), [("gaussian", 1.2), ("delta", 2.0)])
def test_groups_are_found_without_their_number(graph, scale):
    x, y = groups(150, k=3, apart=5.0)
    model = TangleClustering(graph=graph, scale=scale, random_state=0).fit(x.numpy())
    assert model.n_clusters_ == 3
    assert adjusted_rand(torch.from_numpy(model.labels_), y) > 0.9
    np.testing.assert_allclose(model.soft_.sum(1), 1)
    assert model.soft_.min() >= 0
    assert adjusted_rand(torch.from_numpy(model.predict(x.numpy())), y) > 0.9
    assert len(model.orders_) == model.mixture_.k == 3


def test_one_round_group_is_one_tangle():
    x, _ = groups(150, k=1)
    assert TangleClustering(random_state=0).fit(x.numpy()).n_clusters_ == 1


def test_all_three_sides_of_every_leaf_agree():
    x, _ = groups(90, k=3, apart=4.0)
    model = TangleClustering(agreement=9, lasting=1.0, random_state=0).fit(x.numpy())
    everyone = 2**90 - 1
    for leaf in model.tree_.leaves():
        sides = [as_int(side) for side in model.cuts_.sides[: len(leaf.taken)]]
        taken = [side if way else everyone ^ side for side, way in zip(sides, leaf.taken, strict=True)]
        for triple in itertools.combinations_with_replacement(taken[:40], 3):
            assert reduce(int.__and__, triple).bit_count() >= 9


def test_distinguishing_cuts_and_memberships():
    x, y = groups(60, k=3, apart=6.0)
    model = TangleClustering(scale=1.2, random_state=0).fit(x.numpy())
    root, cuts = model.tree_, model.cuts_
    which, way = distinguishing(root)
    assert len(root.taken) in which  # the cut it came apart by
    left, right = (list(child.leaves()) for child in root.children)
    for i, side in zip(which, way, strict=True):
        assert {leaf.taken[i] for leaf in left} == {side}
        assert {leaf.taken[i] for leaf in right} == {not side}
    weights = torch.exp(-cuts.orders[which] / root.order)
    row = 7
    share = sum(float(c) for c, i, s in zip(weights, which, way, strict=True) if bool(cuts.sides[i, row]) == s)
    soft = memberships(root, cuts)
    assert float(soft[row, : len(left)].sum()) == pytest.approx(share / float(weights.sum()))
    assert adjusted_rand(soft.argmax(1), y) == 1


def test_trees_are_pruned_by_how_long_tangles_last():
    x, _ = groups(90, k=3, apart=4.0)
    full = TangleClustering(lasting=1.0, agreement=0.05, random_state=0).fit(x.numpy())
    counts = [len(list(pruned(full.tree_, lasting).leaves())) for lasting in (1.0, 1.5, 3.0, 1e9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1
    for most in (1, 2, 3):
        assert TangleClustering(max_clusters=most, lasting=1.0, random_state=0).fit(x.numpy()).n_clusters_ == most
    flat = TangleClustering(max_order=1e-9, random_state=0).fit(x.numpy())
    assert flat.n_clusters_ == 1
    assert flat.orders_.tolist() == [math.inf]


def test_the_order_of_rows_hardly_matters():
    x, _ = groups(90, k=3, apart=6.0)
    order = torch.randperm(90, generator=rng(3))
    one, other = (TangleClustering(random_state=0).fit(rows) for rows in (x, x[order]))
    assert adjusted_rand(one.labels_[order], other.labels_) == 1


def test_steps_can_be_watched():
    x, _ = groups(90, k=3, apart=5.0)
    steps = list(TangleClustering(scale=1.2, random_state=0).steps(x))
    assert [step.i for step in steps] == [1, 2, 3]
    assert [step.model.k for step in steps] == [1, 2, 3]
    assert [step.info.order for step in steps] == sorted(step.info.order for step in steps)
    assert steps[-1].info.evidence > steps[0].info.evidence


def test_it_starts_a_mixture():
    x, y = groups(60)
    model = GaussianMixture(2, init_params=TangleClustering(), random_state=0).fit(x.numpy())
    assert adjusted_rand(torch.from_numpy(model.predict(x.numpy())), y) == 1
    assert TangleClustering(random_state=0).fit(x.numpy()).to_mixture().predict_proba(x.numpy()).shape == (60, 2)


def test_a_graph_in_parts_is_told():
    x, _ = groups(40, apart=50.0)
    with pytest.warns(DataWarning, match="2 parts"):
        model = TangleClustering(graph="delta", scale=4.0, random_state=0).fit(x.numpy())
    assert model.n_clusters_ == 2


def test_the_scale_is_that_of_neighbours():
    x, _ = groups(40)
    assert typical_distance(3 * x + 7, 5) == pytest.approx(3 * typical_distance(x, 5))
    assert typical_distance(torch.arange(21.0)[:, None], 1) == 1
    assert typical_distance(torch.zeros(4, 2)) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, _: TangleClustering().fit(x.repeat(80, 1)), "at most 3000"),
        (lambda x, y: tangle_certificate(x, y, 0.0), "positive distance"),
        (lambda x, y: tangle_certificate(x, y[:5]), "label for each of 40 rows"),
        (lambda x, y: tangle_certificate(x, 0 * y), "at least two groups"),
        (lambda x, _: tangle_certificate(x, [0] * 39 + [1]), "at least two rows"),
    ],
    ids=["too many rows", "scale", "labels", "one group", "a lone row"],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(BadData, match=message):
        call(*groups(40))


@pytest.mark.parametrize("bad", [{"agreement": 1}, {"agreement": 0.5}, {"scale": -1.0}, {"lasting": 0.5}], ids=str)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        TangleClustering(**bad).steps(groups(40)[0])
