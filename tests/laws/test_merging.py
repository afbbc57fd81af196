"""Laws of merging: rows keep their responsibility, entropy only falls, and crosses are put together."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmlab import Gaussian, Mixture
from gmmlab.families import Full
from gmmlab.fit import last, plateau, split_merge, whole
from gmmlab.gates import Constant
from gmmlab.init import METHODS, start
from gmmlab.score import bic, combine, doubt, entropy, icl, match_labels
from gmmlab.score.merging import drops


def random_resp(seed: int, n: int = 40, k: int = 5, sharp: float = 3.0) -> torch.Tensor:
    noise = torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.softmax(sharp * noise, dim=1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 7), sharp=st.floats(0, 200))
def test_rows_keep_their_responsibility_and_entropy_never_rises(seed, k, sharp):
    resp = random_resp(seed, k=k, sharp=sharp)
    tree = combine(resp)
    assert tree.merges.shape == (k - 1, 2) and tree.entropies.shape == (k,)
    for clusters in range(1, k + 1):
        merged = tree.resp(clusters)
        assert merged.shape == (40, clusters)
        torch.testing.assert_close(merged.sum(1), torch.ones(40).double())
        assert entropy(merged.clamp(max=1)) == pytest.approx(float(tree.entropies[k - clusters]), abs=1e-12)
    assert all(after <= before + 1e-12 for before, after in pairwise(tree.entropies.tolist()))
    assert torch.equal(tree.resp(k), resp)
    assert tree.labels(1).eq(0).all()


def joined(resp: torch.Tensor, a: int, b: int) -> torch.Tensor:
    others = [column for column in range(resp.shape[1]) if column not in (a, b)]
    return torch.cat([resp[:, others], resp[:, [a, b]].sum(1, keepdim=True)], 1)


def test_every_merge_is_the_best_of_all_pairs():
    resp = random_resp(3, k=6)
    tree = combine(resp)
    for left in range(6, 1, -1):
        best = min(entropy(joined(tree.resp(left), a, b)) for a, b in combinations(range(left), 2))
        assert best == pytest.approx(float(tree.entropies[7 - left]), abs=1e-10)


def test_a_drop_is_zero_exactly_where_supports_are_disjoint():
    resp = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    ones = torch.ones(3, dtype=torch.float64)
    assert float(drops(resp, ones, 0)[2]) == 0
    assert float(drops(resp, ones, 0)[1]) == pytest.approx(math.log(2))


def test_two_identical_components_give_back_log_two_for_every_row_of_theirs():
    resp = random_resp(1, k=3)
    twins = torch.cat([resp[:, :1] / 2, resp[:, :1] / 2, resp[:, 1:]], 1)
    ones = torch.ones(40, dtype=torch.float64)
    assert float(drops(twins, ones, 0)[1]) == pytest.approx(float(resp[:, 0].sum()) * math.log(2))


def test_a_weight_counts_rows():
    resp, times = random_resp(2), torch.arange(40) % 4
    one, two = combine(resp, times.double()), combine(resp.repeat_interleave(times, 0))
    assert torch.equal(one.merges, two.merges)
    torch.testing.assert_close(one.counts, two.counts)
    torch.testing.assert_close(one.entropies, two.entropies)


def test_numbering_of_the_components_does_not_matter():
    resp, order = random_resp(4), torch.tensor([3, 0, 4, 1, 2])
    for k in range(1, 6):
        a, b = combine(resp).labels(k), combine(resp[:, order]).labels(k)
        assert torch.equal(match_labels(a, b)[b], a)


def test_a_cluster_keeps_its_name():
    tree = combine(random_resp(5, k=6))
    for k in range(2, 7):
        fine, coarse = tree.names(k).tolist(), tree.names(k - 1).tolist()
        a, b = tree.merges[6 - k].tolist()
        assert [a if name == b else name for name in fine] == coarse
        assert all(name <= component for component, name in enumerate(coarse))


def test_few_components_have_no_elbow_and_one_has_no_merges():
    assert combine(random_resp(0, k=3)).elbow() is None
    tree = combine(torch.ones(7, 1))
    assert tree.merges.shape == (0, 2) and tree.labels(1).tolist() == [0] * 7 and tree.entropies.tolist() == [0]
    with pytest.raises(ValueError, match="Asked for 4 clusters; expected 1 to 1"):
        tree.resp(4)


def bar(angle: float, long: float = 1.0, short: float = 0.1) -> torch.Tensor:
    axis = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    return short * torch.eye(2).double() + (long - short) * torch.outer(axis, axis)


def crosses(seed: int) -> torch.Tensor:
    """600 rows of six Gaussians that a person sees as four clusters: two crosses and two discs.

    After an example of Baudry et al. (2010), with other numbers.
    """
    mean = torch.tensor([[0, 0], [0, 0], [8, 5], [8, 5], [1, 5], [8, 0]], dtype=torch.float64)
    disc = 0.2 * torch.eye(2).double()
    bars = [bar(angle + turn) for angle in (0.3, 0.9) for turn in (0, math.pi / 2)]
    truth = Mixture(Gaussian.of(mean, torch.stack([*bars, disc, disc])), Constant.of(torch.ones(6)))
    return truth.sample(600, torch.Generator().manual_seed(seed))[0]


def best_fit(x: torch.Tensor, k: int, starts: int = 3) -> Mixture:
    fits = [
        last(split_merge(start(x, k, Full(), METHODS["k-means++"], rng, ridge=1e-6), whole(x), x, stop=plateau(1e-4)))
        for rng in (torch.Generator().manual_seed(seed) for seed in range(starts))
    ]
    return max(fits, key=lambda step: step.info.evidence).model


def test_two_crosses_and_two_discs_are_four_clusters():
    x = crosses(0)
    tree = combine(best_fit(x, 6, starts=1).posterior(x).resp)
    assert tree.elbow() == 4
    assert sorted(torch.bincount(tree.clusters(4)).tolist()) == [1, 1, 2, 2]


@pytest.mark.slow
def test_bic_counts_components_and_icl_counts_clusters():
    x = crosses(0)
    criteria = {}
    for k in range(3, 9):
        model = best_fit(x, k)
        posterior = model.posterior(x)
        size = float(posterior.evidence.sum()), model.n_parameters, len(x)
        criteria[k] = bic(*size), icl(*size, doubt(posterior.resp))
    assert min(criteria, key=lambda k: criteria[k][0]) == 6
    assert min(criteria, key=lambda k: criteria[k][1]) == 4


def test_a_banana_is_one_cluster():
    """Three Gaussians along an arc and one far away: the first merges put the arc together."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, math.pi, 400)
    arc = 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.4 * rng.normal(size=(400, 2))
    x = torch.from_numpy(np.concatenate([arc, rng.normal(size=(200, 2)) * 0.5 + [0, -6]]))
    tree = combine(best_fit(x, 5, starts=1).posterior(x).resp)
    assert tree.labels(2)[:400].unique().tolist() != tree.labels(2)[400:].unique().tolist()
    assert len(tree.labels(2)[:400].unique()) == len(tree.labels(2)[400:].unique()) == 1


def test_labels_are_matched_to_those_most_of_their_rows_have():
    a = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    assert match_labels(a, torch.tensor([2, 2, 2, 0, 0, 1, 1, 1])).tolist() == [1, 2, 0]
    b = torch.tensor([3, 3, 1, 0, 0, 2, 2, 2])  # cluster 1 is a part of a's cluster 0
    assert match_labels(a, b).tolist() == [1, 3, 2, 0]
    assert match_labels(b, a).tolist() == [3, 0, 2]
