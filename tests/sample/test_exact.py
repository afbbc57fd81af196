"""Samplers against the exact posterior of partitions, summed over all partitions of a few rows."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import chains
import numpy as np
import pytest
import torch
from chains import ALPHA, PRIOR, PROCESSES, ROWS, canonical, rng_of, start, sweeps

import gmmlab
from gmmlab.errors import NotPositiveDefinite
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
    Weights,
    blocked_gibbs,
    split_merge,
)
from gmmlab.sample.collapsed import Tables
from gmmlab.sample.draws import shared_out
from gmmlab.sample.random import dealt


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


@pytest.fixture(autouse=True)
def few_sweeps_inside(monkeypatch):
    monkeypatch.setattr(importlib.import_module("gmmlab.sample.split_merge"), "SCANS", 1)


@pytest.mark.parametrize("name", PROCESSES)
def test_frequencies_are_the_posterior_of_three_rows(name):
    assert distance(name, 3, 500) < 0.1  # five partitions: sampling error is 0.04 for independent draws


TIMES = torch.tensor([2, 1, 2])
WHOLE = ROWS[:3].repeat_interleave(TIMES, 0)


def kind(labels: list[int], sizes: list[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The partition of some rows, and the sizes of the groups of all."""
    return canonical(labels), tuple(sorted(int(size) for size in sizes if size > 0))


def test_frequencies_are_the_posterior_of_copies():
    """A row that is there twice is two rows: of its copies one is told of, the other may be elsewhere."""
    prior, process = NormalInverseWishart.of(torch.zeros(2), 6 * torch.eye(2), kappa=4.0, dof=8.0), Dirichlet(2)
    x, rng, alpha, expected, draws = ROWS[:3], rng_of(0), 4.0, Counter(), 300
    for labels in itertools.product(range(2), repeat=len(WHOLE)):
        groups = grouped(WHOLE, torch.tensor(labels), 2, x.mean(0))
        p = math.exp(Belief(prior, process).log_joint(groups, alpha))
        expected[kind([labels[i] for i in (0, 2, 3)], groups.w.tolist())] += p
    begin = Mixture(prior.repeated(2).sample(rng, x.mean(0)), Constant.of(torch.ones(2)))
    chain = blocked_gibbs(begin, x, prior, process, rng, alpha=alpha, copies=TIMES)
    infos = [sweep.info for sweep in itertools.islice(chain, draws)]
    seen = Counter(kind(info.labels.tolist(), info.groups.w.tolist()) for info in infos)
    away = 0.5 * sum(abs(p / expected.total() - seen[at] / draws) for at, p in expected.items())
    assert set(seen) <= set(expected)
    assert away < 0.1  # 0.37 if copies stayed together


@pytest.mark.parametrize("name", ["collapsed", "split_merge"])
def test_copies_are_rows_to_samplers_that_take_them_one_by_one(name):
    runs = (
        sweeps(name, ROWS[:3], rng_of(3), copies=TIMES),
        sweeps(name, WHOLE, rng_of(3)),
    )
    for one, two in itertools.islice(zip(*runs, strict=False), 10):
        assert one.info.labels.tolist() == two.info.labels[[0, 2, 3]].tolist()
        assert one.info.groups.w.tolist() == two.info.groups.w.tolist()
        assert one.info.log_joint == two.info.log_joint


def test_any_number_of_copies_is_dealt_at_once():
    """Moments of multinomial distributions, also where some shares are nothing."""
    shares = torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1e-9, 1.0]]).double()
    times, m = torch.tensor([7, 1_000_000, 3]), 20_000
    found = dealt(times.repeat(m), shares.repeat(m, 1), rng_of(0)).view(m, 3, 4)
    assert torch.equal(found.sum(2), times.double().expand(m, 3))
    assert torch.equal(found[:, 1], 1e6 * shares[1].expand(m, 4))
    assert float(found[:, 2, 3].min()) >= 2
    some = found[:, 0]
    torch.testing.assert_close(some.mean(0), 7 * shares[0], atol=0.04, rtol=0)
    cov = 7 * (shares[0].diag() - shares[0][:, None] * shares[0])
    torch.testing.assert_close(some.T.cov(), cov, atol=0.07, rtol=0)


def test_copies_fall_by_the_responsibilities_of_their_row():
    """Each by itself: the one that is told of says nothing of the others."""
    model, m, copies = start(3, ROWS, rng_of(5)), 20_000, torch.tensor([1, 3, 6])
    labels, counts, _ = shared_out(model, ROWS[:3].repeat(m, 1), copies.repeat(m), rng_of(6))
    one = torch.nn.functional.one_hot(labels).double().view(m, 3, 3)
    others = counts.view(m, 3, 3) - one
    resp = model.posterior(ROWS[:3]).resp
    torch.testing.assert_close(one.mean(0), resp, atol=0.015, rtol=0)
    torch.testing.assert_close(others.mean(0), (copies - 1)[:, None] * resp, atol=0.04, rtol=0)
    both = torch.einsum("mnj,mnk->njk", one - resp, others - others.mean(0)) / m
    assert float(both.abs().max()) < 0.02
    var = (copies - 1)[:, None] * resp * (1 - resp)
    torch.testing.assert_close(others.var(0), var, atol=0.04, rtol=0)


def test_blocked_copies_have_the_moments_of_what_is_dealt():
    chain = sweeps("dirichlet", ROWS, rng_of(4), copies=torch.tensor([1, 2, 3, 4, 5, 100_000]))
    before, after = next(chain), next(chain)
    assert float(after.info.groups.w.sum()) == 100_015
    total = (torch.tensor([1, 2, 3, 4, 5, 100_000]).double()[:, None] * (ROWS - after.info.groups.origin)).sum(0)
    torch.testing.assert_close(after.info.groups.s1.sum(0), total)
    evidence = before.model.log_prob(ROWS) @ torch.tensor([1, 2, 3, 4, 5, 100_000]).double() / 100_015
    assert after.info.evidence == pytest.approx(float(evidence))


def chain(name: str, n: int, draws: int) -> list[tuple[int, ...]]:
    """The partitions of many sweeps, by a program."""
    call = [sys.executable, chains.__file__, name, str(n), str(draws)]
    home = {"PYTHONPATH": str(Path(gmmlab.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    lines = subprocess.run(call, env=os.environ | home, capture_output=True, text=True, check=True).stdout.split()
    return [tuple(map(int, line)) for line in lines]


def luck(seen: list[tuple[int, ...]], expected: dict[tuple[int, ...], float], batches: int = 40) -> float:
    """The total variation that is expected of frequencies, by the spread of batches of a chain.

    The mean of |error| of a normal frequency is (2 / pi)^1/2 standard errors, which for a chain are those of means over
    long batches. See Geyer (1992), section 3.2.
    """
    number = {partition: i for i, partition in enumerate(expected)}
    at = torch.tensor([number[partition] for partition in seen]).view(batches, -1)
    shares = torch.stack([torch.bincount(part, minlength=len(number)) for part in at]).double() / at.shape[1]
    return float(shares.std(0).sum() / math.sqrt(batches) / math.sqrt(2 * math.pi))


@pytest.mark.slow
@pytest.mark.timeout(7200)  # splits and merges take a quarter of an hour of one core, blocked samplers five minutes
@pytest.mark.parametrize("name", ["rows alone", "split_merge", "dirichlet", "sticks"])
def test_frequencies_are_the_posterior_of_six_rows(name):
    """As far from it as luck is, which the length of the chain makes little: total variation is below 0.02.

    There are 203 partitions, 122 of them of up to three groups.
    """
    draws = 200_000
    expected, seen = exact({"rows alone": "collapsed"}.get(name, name), ROWS[:6]), chain(name, 6, draws)
    counts, lucky = Counter(seen), luck(seen, expected)
    away = 0.5 * sum(abs(p - counts[partition] / draws) for partition, p in expected.items())
    assert lucky < 0.0125
    assert away < 1.6 * lucky


@pytest.mark.slow
@pytest.mark.parametrize("name", chains.AGAIN)
def test_rows_drawn_in_turn_give_back_the_prior(name):
    """E[K] = sum_i alpha / (alpha + i - 1)."""
    seen = torch.tensor([max(partition) + 1 for partition in chain(name, 4, 8000)]).double()
    expected = sum(ALPHA / (ALPHA + i) for i in range(4))
    error = float(seen.view(40, -1).mean(1).std()) / math.sqrt(40)
    assert error < 0.06
    assert float(seen.mean()) == pytest.approx(expected, abs=3 * error)


def test_tables_follow_their_rows():
    """After many moves they are those that would be made anew."""
    x, rng = torch.randn(30, 4, dtype=torch.float64, generator=rng_of(0)), rng_of(1)
    prior = NormalInverseWishart.of(torch.zeros(4), 0.3 * torch.eye(4), kappa=0.2, dof=6.0)
    tables = Tables(x, torch.arange(30) % 3, prior, ALPHA)
    for _ in range(40):
        tables.sweep(rng)
    fresh = Tables(x, torch.from_numpy(tables.labels), prior, ALPHA)
    assert tables.k == fresh.k > 3
    k = tables.k + 1
    for found, made in zip(tables._slots, fresh._slots, strict=True):
        one, other = (part[:k].swapaxes(1, 2) @ part[:k] if part.ndim == 3 else part[:k] for part in (found, made))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_a_row_that_its_group_cannot_give_back():
    tables = Tables(ROWS, torch.zeros(6, dtype=torch.int64), PRIOR, ALPHA)
    tables.x = 1e3 * tables.x
    with pytest.raises(NotPositiveDefinite, match="does not hold it"):
        tables.leave(0)


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
