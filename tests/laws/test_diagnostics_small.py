"""The least that can be: one column, one component, few rows, rows of which nothing is known; every diagnostic."""

from __future__ import annotations

import cases
import pytest
import torch

from gmmlab import algebra
from gmmlab.model import Mixture
from gmmlab.score.adequacy import distances, predictive, transforms, uniformity, worst_rows
from gmmlab.score.bundle import ellipses, stability
from gmmlab.score.comparison import compare
from gmmlab.score.membership import bars, confusion, misclassification, row_entropy
from gmmlab.stack import member, stack


@pytest.mark.parametrize(
    "family", ["gaussian", "gaussian, prior, diag", "student, full", "student, spherical, fixed dof"]
)
@pytest.mark.parametrize("gate", cases.GATES)
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("rows", [torch.float32, torch.float64])
def test_one_column_and_one_component(family, gate, k, rows, rng):
    x = cases.blobs(rng, n=30, d=1, k=1).to(rows)
    mixture = Mixture(cases.FAMILIES[family](x, k, rng), cases.GATES[gate](x, k))
    x[4] = torch.nan
    plots = distances(mixture, x, m=10)
    assert sum(plot.n for plot in plots) == int((algebra.assign(mixture, x)[0][~x.isnan()[:, 0]] >= 0).sum())
    assert int(uniformity(transforms(mixture, x)).n) == 29
    assert 4 not in worst_rows(mixture, x, 3, rng, draws=200).rows.tolist()
    assert bool(predictive(mixture, x, 0).density.isfinite().all())
    post = algebra.posterior(mixture, x)
    assert len(row_entropy(post)) == 30 and int(bars(post, 8).size.sum()) == 30
    assert confusion(post).shape[0] == k + (gate == "noisy") and float(misclassification(post.resp)[0, 0]) == 0
    found = compare(mixture, mixture, x)
    assert found.match.tolist() == list(range(k)) and found.adjusted_rand == 1 and found.total == 0
    assert ellipses([mixture], [0]).scale.shape == (1, k, 1, 1)
    labels = algebra.assign(mixture, x)[0]
    state = next(stability(mixture, x, [mixture]))
    assert [float(v) for v in state.mean if not v.isnan()] == [1.0] * len({*labels.tolist()} - {-1})


def test_members_of_a_stack_are_mixtures_like_any_other(rng):
    x = cases.blobs(rng, n=50, d=2)
    alone = cases.random_mixture(cases.STRUCTURES["VVV"], x, 1, rng)
    found = member(stack([alone, cases.random_mixture(cases.STRUCTURES["EEI"], x, 3, rng)]), 0)
    left, right = distances(found, x)[0], distances(alone, x)[0]
    torch.testing.assert_close(left.observed, right.observed)
    assert left.gap == pytest.approx(right.gap) and compare(found, alone, x).total == pytest.approx(0, abs=1e-9)
