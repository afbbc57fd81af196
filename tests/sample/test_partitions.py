"""Summaries of many partitions: similarity, losses, the point that stands for all, names that stay."""

from __future__ import annotations

import itertools

import pytest
import torch
from sklearn.metrics import mutual_info_score

from gmmlab.score.partitions import (
    binder,
    mutual_information,
    point,
    relabelled,
    similarity,
    variation,
    variation_of_information,
)

DRAWS = torch.tensor([[0, 0, 1, 1, 2], [1, 1, 0, 0, 2], [0, 0, 0, 1, 1], [2, 2, 1, 1, 1]])


def test_similarity_counts_pairs():
    psm = similarity(DRAWS)
    assert torch.equal(psm, psm.mT)
    assert psm.diagonal().tolist() == [1.0] * 5
    assert (float(psm[0, 1]), float(psm[2, 3]), float(psm[3, 4])) == (1.0, 0.75, 0.5)


def test_names_of_groups_do_not_matter():
    renamed = torch.stack([(labels + 1) % 3 for labels in DRAWS])
    assert torch.equal(similarity(renamed), similarity(DRAWS))
    psm = similarity(DRAWS)
    for one, other in zip(DRAWS, renamed, strict=True):
        assert binder(one, psm) == pytest.approx(binder(other, psm))
        assert variation(one, psm) == pytest.approx(variation(other, psm))


def test_losses_are_expectations_over_the_draws():
    """Binder's is the mean share of pairs that differ; the other is a bound of the mean distance, and exact for one."""
    psm = similarity(DRAWS)
    sizes = torch.stack([(draw[:, None] == draw).sum(1) for draw in DRAWS]).double()
    middle = float((sizes.log().mean(0) - psm.sum(1).log()).mean())
    for labels in DRAWS:
        differ = [
            sum((labels[i] == labels[j]) != (draw[i] == draw[j]) for i, j in itertools.combinations(range(5), 2)) / 10
            for draw in DRAWS
        ]
        assert binder(labels, psm) == pytest.approx(float(sum(differ) / 4))
        mean = sum(variation_of_information(labels, draw) for draw in DRAWS) / 4
        assert variation(labels, psm) + middle <= mean + 1e-12
        for draw in DRAWS:
            single = variation(labels, similarity(draw[None]))
            assert single == pytest.approx(variation_of_information(labels, draw), abs=1e-12)


@pytest.mark.parametrize("loss", [binder, variation])
def test_a_row_that_counts_twice_is_two_rows(loss):
    times = torch.tensor([1, 3, 2, 1, 1])
    copies = DRAWS.repeat_interleave(times, 1)
    for labels in DRAWS:
        whole = loss(labels.repeat_interleave(times), similarity(copies))
        weighed = loss(labels, similarity(DRAWS), times.double())
        pairs = (times.sum() ** 2 - times.sum()) / (times.sum() ** 2 - times @ times) if loss is binder else 1.0
        assert weighed == pytest.approx(whole * float(pairs))  # a pair of copies of one row is none here


def test_variation_of_information_is_a_distance():
    for a, b, c in itertools.product(DRAWS, repeat=3):
        ab, bc, ac = (variation_of_information(*pair) for pair in ((a, b), (b, c), (a, c)))
        assert ab == pytest.approx(variation_of_information(b, a), abs=1e-12)
        assert ac <= ab + bc + 1e-12
    assert variation_of_information(DRAWS[0], DRAWS[1]) == pytest.approx(0.0, abs=1e-12)  # the same, renamed


def test_mutual_information_is_what_is_shared():
    """Against scikit-learn's, and what is not of either is the distance; copies of rows are rows that count twice."""
    times = torch.tensor([1, 2, 1, 3, 1])
    for a, b in itertools.product(DRAWS, repeat=2):
        found = mutual_information(a, b)
        assert found == pytest.approx(mutual_info_score(a, b), abs=1e-12)
        both = mutual_information(a, a) + mutual_information(b, b)
        assert variation_of_information(a, b) == pytest.approx(both - 2 * found, abs=1e-12)
        copies = mutual_information(a.repeat_interleave(times), b.repeat_interleave(times))
        assert mutual_information(a, b, times.double()) == pytest.approx(copies, abs=1e-12)


@pytest.mark.parametrize("loss", [binder, variation])
def test_the_point_is_the_partition_that_most_agree_on(loss):
    assert point(DRAWS, similarity(DRAWS), loss) in (0, 1)
    assert point(DRAWS[2:3], similarity(DRAWS[2:3]), loss) == 0


def test_relabelled_draws_keep_their_groups():
    named = relabelled(DRAWS, DRAWS[0])
    assert torch.equal(similarity(named), similarity(DRAWS))
    assert torch.equal(named[0], DRAWS[0])
    assert torch.equal(named[1], DRAWS[0])
