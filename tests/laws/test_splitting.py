"""Laws of splitting and merging: moments are kept, the likelihood never falls, poor optima are left."""

from __future__ import annotations

import math
from itertools import pairwise

import cases
import pytest
import torch

from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import Full, Prior, Tied
from gmmlab.fit import last, moves, plateau, run, split_merge, whole
from gmmlab.fit.splitting import Proposal, merge_losses, proposals, split_gains
from gmmlab.init import METHODS, from_labels, start

stop = plateau(1e-4)


def moments(model):
    """Mean and covariance of the mixture as a whole."""
    weights, mean = model.weights, model.components.mean
    centre = weights @ mean
    apart = mean - centre
    within = torch.einsum("k,kde->de", weights, model.components.cov)
    return centre, within + torch.einsum("k,kd,ke->de", weights, apart, apart)


def valid(model, x):
    shared = model.components.structure.shared
    return (
        bool(torch.isfinite(model.log_prob(x)).all())
        and float(model.weights.sum()) == pytest.approx(1)
        and (not shared or torch.equal(model.components.cov, model.components.cov[:1].expand_as(model.components.cov)))
    )


def test_split_and_merge_keep_valid_mixtures(mixture, x):
    grown = moves.split(mixture, 1)
    shrunk = moves.merge(mixture, mixture.k - 1, 0)
    assert grown.k == mixture.k + 1 and shrunk.k == mixture.k - 1
    for model in (grown, shrunk, moves.merge(grown, 1, mixture.k)):
        assert valid(model, x)


def test_a_merge_keeps_the_moments_of_the_mixture(rng):
    x = cases.blobs(rng)
    mixture = cases.random_mixture(Full(), x, 4, rng)
    merged = moves.merge(mixture, 3, 1)
    for found, expected in zip(moments(merged), moments(mixture), strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(merged.components.mean[[0, 2]], mixture.components.mean[[0, 2]])
    assert float(merged.weights[1]) == pytest.approx(float(mixture.weights[[1, 3]].sum()))


@pytest.mark.parametrize("name", ["VVV", "VVI"])
def test_a_split_keeps_the_moments_of_its_parent_and_a_merge_undoes_it(name, rng):
    x = cases.blobs(rng)
    mixture = cases.random_mixture(cases.STRUCTURES[name], x, 3, rng)
    for apart in (0.1, 0.5, 0.9):
        grown = moves.split(mixture, 2, apart)
        for found, expected in zip(moments(grown), moments(mixture), strict=True):
            torch.testing.assert_close(found, expected)
        back = moves.merge(grown, 2, 3)
        torch.testing.assert_close(back.components.cov, mixture.components.cov)
        torch.testing.assert_close(back.components.mean, mixture.components.mean)
        torch.testing.assert_close(back.weights, mixture.weights)
        step = grown.components.mean[3] - mixture.components.mean[2]
        assert float(step.norm()) == pytest.approx(
            apart * math.sqrt(float(torch.linalg.eigvalsh(mixture.components.cov[2])[-1]))
        )


def test_impossible_moves_are_refused(rng):
    mixture = cases.random_mixture(Full(), cases.blobs(rng), 3, rng)
    with pytest.raises(ValueError, match="merged with itself"):
        moves.merge(mixture, 1, 1)
    with pytest.raises(IndexError, match="no component 3"):
        moves.merge(mixture, 1, 3)
    with pytest.raises(IndexError, match="no component -1"):
        moves.split(mixture, -1)
    with pytest.raises(ValueError, match=r"apart=1\.0; expected"):
        moves.split(mixture, 0, 1.0)


def test_nothing_is_lost_on_twins_and_something_on_others(rng):
    x = cases.blobs(rng, n=600, k=2)
    model = last(run(from_labels(x, torch.arange(600) % 2, Full()), whole(x), stop=stop)).model
    twins = twice(model, 0)
    losses = merge_losses(twins, twins.posterior(x).resp)
    assert float(losses[0, 2]) == pytest.approx(0, abs=1e-6)
    assert float(losses[0, 1]) > 100 and torch.isinf(losses.diagonal()).all()
    torch.testing.assert_close(losses, losses.T)


def twice(model, k):
    """Component k as two of half its weight."""
    index = torch.tensor([*range(model.k), k])
    weights = model.weights[index] * torch.where(index == k, 0.5, 1.0)
    return model.replace(components=model.components.take(index), gate=type(model.gate).of(weights))


def test_losses_are_about_what_the_likelihood_loses(rng):
    """For components far apart or alike the estimate is what merging costs; here it is compared after EM."""
    x = cases.blobs(rng, n=900, d=2, k=3, spread=6.0)
    full = last(run(from_labels(x, torch.arange(900) % 3, Full()), whole(x), stop=plateau(1e-9)))
    losses = merge_losses(full.model, full.model.posterior(x).resp)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        merged = moves.merge(full.model, i, j)
        cost = 900 * (full.info.evidence - float(merged.assign(x)[1]))
        assert float(losses[i, j]) == pytest.approx(cost, rel=0.02)


def test_what_is_not_gaussian_gains_by_a_split(rng):
    x = cases.blobs(rng, n=900, d=2, k=3, spread=6.0)
    two_in_one = from_labels(x, torch.tensor([0, 0, 1])[torch.arange(900) % 3], Full())
    gains = split_gains(two_in_one, x, two_in_one.posterior(x).resp)
    assert float(gains[0]) > 50 and abs(float(gains[1])) < 15


def test_weights_count_rows_in_the_scores(rng):
    x = cases.blobs(rng, n=90)
    model = cases.random_mixture(Full(), x, 3, rng)
    times = torch.arange(90) % 3
    rows = x.repeat_interleave(times, 0)
    resp, replicated = model.posterior(x).resp, model.posterior(rows).resp
    torch.testing.assert_close(merge_losses(model, resp, times.double()), merge_losses(model, replicated))
    ones, twos = split_gains(model, x, resp), split_gains(model, x, resp, torch.full((90,), 2.0).double())
    torch.testing.assert_close(twos, 2 * ones)


def test_proposals_are_those_that_promise_most_and_name_three_components():
    losses = torch.tensor([[0, 5.0, 1.0, 3.0], [5, 0, 2, 4], [1, 2, 0, 6], [3, 4, 6, 0]], dtype=torch.float64)
    gains = torch.tensor([4.0, 10.0, 8.0, -math.inf], dtype=torch.float64)
    found = proposals(losses, gains, 3)
    assert [{p.i, p.j} | {p.k} for p in found] == [{0, 1, 2}, {0, 1, 3}, {2, 0, 3}]
    assert found[0] == (0, 2, 1) and found[1] == (0, 3, 1)
    assert proposals(losses[:2, :2], gains[:2], 5) == [], "three components are needed"


def test_a_proposal_keeps_the_number_of_components(mixture, x):
    if mixture.k >= 3:
        for proposal in (Proposal(0, 1, 2), Proposal(1, 2, 0), Proposal(0, 2, 1)):
            assert valid(proposal.of(mixture), x) and proposal.of(mixture).k == mixture.k


def test_the_search_never_falls_and_counts_its_steps(structure, rng):
    x = cases.blobs(rng, n=400, d=2, k=6)
    first = start(x, 6, structure, METHODS["random_from_data"], rng, ridge=1e-6)
    steps = list(split_merge(first, whole(x), x, stop=stop, max_moves=8))
    plain = list(run(first, whole(x), stop=stop))
    assert [step.i for step in steps] == list(range(1, len(steps) + 1))
    assert [s.info.evidence for s in steps[: len(plain)]] == [s.info.evidence for s in plain], "it begins with EM"
    after = [s.info.evidence for s in steps[len(plain) - 1 :]]
    assert all(b >= a for a, b in pairwise(after)) and len(steps) > len(plain)
    assert list(split_merge(first, whole(x), x, stop=stop, max_moves=0))[-1].i == len(plain)


def test_a_collapsing_proposal_is_dropped(rng, monkeypatch):
    x = cases.blobs(rng, n=300, d=2, k=3)
    first = from_labels(x, torch.arange(300) % 3, Full())

    def refuse(self, model):
        raise NotPositiveDefinite("collapsed")

    monkeypatch.setattr(Proposal, "of", refuse)
    steps = list(split_merge(first, whole(x), x, stop=stop))
    assert len(steps) == len(list(run(first, whole(x), stop=stop)))


def grid(rng, n=1000, sd=0.15):
    """A 5 by 5 grid of round blobs, and the blob of each row."""
    centres = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)).double()
    z = torch.arange(n) % 25
    return centres[z] + sd * torch.randn(n, 2, generator=rng, dtype=torch.float64), z


def fresh(x, structure, seed):
    return start(x, 25, structure, METHODS["random_from_data"], torch.Generator().manual_seed(seed), ridge=1e-6)


def test_a_grid_of_blobs_is_solved_from_a_random_start(rng):
    x, z = grid(rng)
    best = last(run(from_labels(x, z, Tied()), whole(x), stop=stop)).info.evidence
    end = last(split_merge(fresh(x, Tied(), 8), whole(x), x, stop=stop, max_moves=60))
    assert end.info.evidence > best - 1e-3
    assert last(run(fresh(x, Tied(), 8), whole(x), stop=stop)).info.evidence < best - 0.1, "EM alone does not"


@pytest.mark.slow
def test_a_grid_of_blobs_is_solved_far_more_often_than_by_restarts_with_the_same_steps(structure, rng):
    x, z = grid(rng)
    best = last(run(from_labels(x, z, structure, ridge=1e-6), whole(x), stop=stop)).info.evidence
    solved = {"split and merge": 0, "restarts": 0}
    for seed in range(6):
        end = last(split_merge(fresh(x, structure, seed), whole(x), x, stop=stop, max_moves=60))
        solved["split and merge"] += end.info.evidence > best - 1e-3
        spent, highest = 0, -math.inf
        while spent < end.i:
            step = last(run(fresh(x, structure, 1000 * seed + spent), whole(x), stop=stop))
            spent, highest = spent + step.i, max(highest, step.info.evidence)
        solved["restarts"] += highest > best - 1e-3
    assert solved["split and merge"] >= 3 and solved["restarts"] == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_a_prior_the_search_climbs_the_posterior(seed):
    """A prior of large covariances: what raises the likelihood most is not what is wanted."""
    rng = torch.Generator().manual_seed(seed)
    x = cases.blobs(rng, n=300, d=2, k=5)
    model = start(x, 5, Full(), METHODS["random_from_data"], rng, ridge=1e-6)
    scale = 400 * torch.eye(2, dtype=torch.float64)
    prior = Prior.of(Full(), 5, mean=x.mean(0), kappa=20.0, dof=100.0, scale=scale)
    steps = list(split_merge(model.relocated(prior=prior), whole(x), x, stop=stop, max_moves=8))
    objectives = [float(step.info.objective) for step in steps]
    assert all(b >= a - 1e-9 for a, b in pairwise(objectives))
