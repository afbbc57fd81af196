"""Samplers against the exact posterior of partitions, summed over all partitions of a few rows."""

from __future__ import annotations

import importlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator

import pytest
import torch

from gmmlab.families import NormalInverseWishart
from gmmlab.families.niw import grouped
from gmmlab.gates import Constant
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.model import Mixture
from gmmlab.sample import (
    Belief,
    Dirichlet,
    Gamma,
    Restaurant,
    Sticks,
    Sweep,
    Weights,
    blocked_gibbs,
    collapsed_gibbs,
    split_merge,
)
from gmmlab.sample.collapsed import swept
from gmmlab.sample.draws import compact
from gmmlab.sample.random import log_dirichlet
from gmmlab.sample.split_merge import Base, sliced

ROWS = torch.tensor([[-1.2, 0.2], [1.3, -0.6], [-0.8, -0.4], [0.9, 0.5], [0.1, 0.3], [0.4, 1.2]], dtype=torch.float64)
PRIOR = NormalInverseWishart.of(torch.zeros(2), 0.3 * torch.eye(2), kappa=0.2, dof=4.0)
ALPHA = 0.8
PROCESSES = {
    "collapsed": Restaurant(),
    "split_merge": Restaurant(),
    "moves alone": Restaurant(),
    "dirichlet": Dirichlet(3),
    "sticks": Sticks(3),
}


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def start(k: int, x: torch.Tensor, rng: torch.Generator) -> Mixture:
    return Mixture(PRIOR.repeated(k).sample(rng, x.mean(0)), Constant.of(torch.ones(k)))


def sweeps(name: str, x: torch.Tensor, rng: torch.Generator, **options) -> Iterator[Sweep]:
    process = PROCESSES[name]
    if isinstance(process, Weights):
        return blocked_gibbs(start(process.k, x, rng), x, PRIOR, process, rng, alpha=ALPHA, **options)
    if name == "collapsed":
        return collapsed_gibbs(start(1, x, rng), x, PRIOR, rng, alpha=ALPHA, **options)
    return split_merge(start(1, x, rng), x, PRIOR, rng, alpha=ALPHA, proposals=1, **options)


def canonical(labels: list[int]) -> tuple[int, ...]:
    seen: dict[int, int] = {}
    return tuple(seen.setdefault(label, len(seen)) for label in labels)


def exact(name: str, x: torch.Tensor) -> dict[tuple[int, ...], float]:
    """The probability of each partition: labels are summed over where components have numbers."""
    n, process = len(x), PROCESSES[name]
    k = process.k if isinstance(process, Weights) else n
    belief, log_p = Belief(PRIOR, process), {}
    for labels in itertools.product(range(k), repeat=n):
        if not isinstance(process, Weights) and labels != canonical(list(labels)):
            continue
        value = belief.log_joint(grouped(x, torch.tensor(labels), k, x.mean(0)), ALPHA)
        log_p[canonical(list(labels))] = log_p.get(canonical(list(labels)), 0.0) + math.exp(value)
    total = sum(log_p.values())
    return {partition: p / total for partition, p in log_p.items()}


def distance(name: str, n: int, draws: int, seed: int = 0) -> float:
    """Total variation between the exact posterior and the frequencies of a sampler."""
    x, expected = ROWS[:n], exact(name, ROWS[:n])
    seen = Counter(canonical(s.info.labels.tolist()) for s in itertools.islice(sweeps(name, x, rng_of(seed)), draws))
    return 0.5 * sum(abs(p - seen[partition] / draws) for partition, p in expected.items())


FOUR = [name for name in PROCESSES if name != "moves alone"]


@pytest.fixture(autouse=True)
def few_sweeps_inside(monkeypatch):
    """Any number of them is exact."""
    monkeypatch.setattr(importlib.import_module("gmmlab.sample.split_merge"), "SCANS", 1)


@pytest.mark.parametrize("name", FOUR)
def test_frequencies_are_the_posterior_of_three_rows(name):
    assert distance(name, 3, 500) < 0.1  # five partitions: sampling error is 0.04 for independent draws


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FOUR)
def test_frequencies_are_the_posterior_of_five_rows(name):
    assert distance(name, 5, 40_000) < 0.03  # 52 partitions: 0.014 for independent draws


@pytest.mark.slow
@pytest.mark.parametrize("name", ["collapsed", "split_merge"])
def test_rows_drawn_in_turn_give_back_the_prior(name):
    """Rows from the parameters, labels from the rows, and again: partitions are those of the restaurant.

    E[K] = sum_i alpha / (alpha + i - 1). See Geweke (2004).
    """
    n, draws, rng = 4, 4000, rng_of(4)
    x, labels, total = ROWS[:n].clone(), torch.tensor([0, 1, 2, 3]), 0
    for _ in range(draws):
        groups = grouped(x, labels, int(labels.max()) + 1, x.mean(0))
        x = PRIOR.posterior(groups).sample(rng, x.mean(0)).sample(labels, rng)
        labels = swept_once(name, x, labels, rng)
        total += int(labels.max()) + 1
    expected = sum(ALPHA / (ALPHA + i) for i in range(n))
    assert total / draws == pytest.approx(expected, abs=0.08)


def swept_once(name: str, x: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Labels after one sweep of a sampler from these labels."""
    if name == "collapsed":
        return compact(swept(x, labels, PRIOR, ALPHA, rng))
    w = torch.bincount(labels).double()
    groups = grouped(x, labels, len(w), x.mean(0))
    drawn = Mixture(PRIOR.posterior(groups).sample(rng, x.mean(0)), Constant(log_dirichlet(w, rng)))
    return compact(sliced(drawn, labels, x, Base(PRIOR, ALPHA), rng)[0])


@pytest.mark.parametrize("process", [Restaurant(), Dirichlet(4), Sticks(4)])
def test_sizes_have_a_distribution(process):
    """Labels of four rows have probabilities that sum to one; a next row's follow from those of the rows with it."""
    k = process.k if isinstance(process, Weights) else 4
    total = 0.0
    for labels in itertools.product(range(k), repeat=4):
        if isinstance(process, Weights) or labels == canonical(list(labels)):
            w = torch.bincount(torch.tensor(labels), minlength=k).double()
            total += math.exp(process.log_prob(w, ALPHA))
    assert total == pytest.approx(1.0, rel=1e-10)
    w = torch.tensor([3.0, 1.0, 2.0, 0.0][:k]).double()
    for j, share in enumerate(process.next(w, ALPHA).tolist()[:3]):
        grown = w + torch.eye(k).double()[j]
        assert share == pytest.approx(math.exp(process.log_prob(grown, ALPHA) - process.log_prob(w, ALPHA)), rel=1e-9)
    assert float(process.next(w, ALPHA).sum()) == pytest.approx(1.0)
    assert len(process.next(w, ALPHA)) == k + 1


@pytest.mark.parametrize("process", [Restaurant(), Dirichlet(5), Sticks(5)])
def test_concentration_has_its_posterior(process):
    """Draws of alpha given the groups, against its density by quadrature."""
    w, prior, rng = torch.tensor([7.0, 2.0, 1.0, 0.0, 0.0]).double(), Gamma(2.0, 1.5), rng_of(1)
    grid = torch.linspace(0.005, 12, 4000, dtype=torch.float64)
    log_p = torch.tensor([process.log_prob(w, float(a)) for a in grid]) + (prior.shape - 1) * grid.log()
    p = torch.softmax(log_p - prior.rate * grid, dim=0)
    alpha, draws = 1.0, []
    for _ in range(6000):
        alpha = process.concentration(w, alpha, prior, rng)
        draws.append(alpha)
    mean = float(p @ grid)
    sd = float((p @ grid**2 - mean**2).sqrt())
    found = torch.tensor(draws).double()
    assert float(found.mean()) == pytest.approx(mean, abs=0.1 * sd)
    assert float(found.std()) == pytest.approx(sd, rel=0.1)


def test_splits_and_merges_find_groups_where_rows_one_by_one_stay():
    """From one group: moves find four far ones within some tens of sweeps."""
    rng = rng_of(0)
    centres = 12.0 * torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    x = centres.repeat_interleave(30, 0) + torch.randn(120, 2, generator=rng, dtype=torch.float64)
    prior = NormalInverseWishart.of(x.mean(0), torch.eye(2), kappa=0.01, dof=4.0)
    begin = Mixture(prior.sample(rng, x.mean(0)), Constant.of(torch.ones(1)))
    *_, end = itertools.islice(split_merge(begin, x, prior, rng, alpha=0.1), 40)
    assert adjusted_rand(end.info.labels, torch.arange(4).repeat_interleave(30)) > 0.9
    assert end.info.evidence > -6


def test_steps_are_alike_for_every_sampler():
    """Labels are components of the model, the evidence is that of the model before, the seed says all."""
    for name in PROCESSES:
        runs = [list(itertools.islice(sweeps(name, ROWS, rng_of(7), learn=Gamma()), 4)) for _ in range(2)]
        for one, two in zip(*runs, strict=True):
            assert torch.equal(one.info.labels, two.info.labels)
            assert one.info.alpha == two.info.alpha
        for before, after in itertools.pairwise(runs[0]):
            assert after.i == before.i + 1
            assert after.info.evidence == pytest.approx(float(before.model.log_prob(ROWS).mean()))
            assert int(after.info.labels.max()) < after.model.k
            assert after.info.groups.w.tolist() == torch.bincount(after.info.labels, minlength=after.model.k).tolist()


def test_a_model_sent_in_is_where_it_goes_on():
    x = torch.cat([ROWS, ROWS + 50])
    two = Mixture(
        NormalInverseWishart.of(torch.zeros(2), torch.eye(2), kappa=1.0, dof=9.0).repeated(2).sample(rng_of(1)),
        Constant.of(torch.ones(2)),
    )
    two = two.relocated(mean=torch.tensor([[0.0, 0.0], [50.0, 50.0]]).double())
    for name in ("collapsed", "split_merge"):
        chain = sweeps(name, x, rng_of(2))
        next(chain)
        sent = chain.send(two)
        assert not set(sent.info.labels[:6].tolist()) & set(sent.info.labels[6:].tolist())


def test_a_model_of_another_size_is_refused():
    with pytest.raises(ValueError, match="2 components and the prior of weights 3"):
        next(blocked_gibbs(start(2, ROWS, rng_of(0)), ROWS, PRIOR, Dirichlet(3), rng_of(0)))
