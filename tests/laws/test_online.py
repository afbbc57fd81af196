"""Online, incremental and stepwise fits: special cases are exact EM, and what should climb climbs."""

from __future__ import annotations

import math
from itertools import islice, pairwise

import cases
import pytest
import torch

from gmmlab.data import Chunk, stream, survey
from gmmlab.errors import BadData
from gmmlab.fit import (
    Progress,
    advance,
    after,
    anderson,
    averaged,
    drawn,
    forgetting,
    in_turn,
    incremental,
    last,
    plateau,
    run,
    stepwise,
    stream_steps,
    streamed,
    whole,
)
from gmmlab.init import METHODS, start, start_from_sample
from gmmlab.steps import e_step, m_step

never = plateau(-1.0)


def same_model(a, b, tol):
    for name in ("mean", "cov"):
        left, right = getattr(a.components, name), getattr(b.components, name)
        torch.testing.assert_close(left, right, rtol=tol, atol=tol * float(right.abs().max()))
    torch.testing.assert_close(a.weights, b.weights, rtol=tol, atol=tol)


@cases.few_structures()
def test_one_batch_of_all_rows_is_one_em_step(mixture, x, tol):
    plain = m_step(mixture, e_step(mixture, x))
    batch = [Chunk(x)]
    for source, transform in (
        (in_turn(batch), forgetting(1.0)),
        (in_turn(batch), stepwise()),
        (incremental(batch), forgetting(1.0)),
        (streamed(batch), forgetting(1.0)),
    ):
        same_model(next(run(mixture, source, transform=transform)).model, plain, 10 * tol)


@cases.few_structures()
def test_forgetting_all_is_em_and_incremental_with_one_block_too(mixture, x, tol):
    plain = list(islice(run(mixture, whole(x), stop=never), 4))[-1]
    for source, transform in ((whole(x), forgetting(1.0)), (incremental([Chunk(x)]), forgetting(1.0))):
        same_model(list(islice(run(mixture, source, transform=transform, stop=never), 4))[-1].model, plain.model, tol)


def free_energy(model, x, resp):
    """sum_ik r_ik (log pi_k p_k(x_i) - log r_ik), by brute force."""
    joint = torch.cat([model.gate.joint(table) for table in model.tables(x)])
    return float((torch.special.entr(resp) + torch.where(resp > 0, resp * joint, 0)).sum())


@cases.few_structures(*cases.OF_EACH_KIND)
def test_incremental_free_energy_never_falls(structure, rng):
    x = cases.blobs(rng, n=240, d=2, spread=1.5)
    model, blocks = cases.random_mixture(structure, x, 3, rng), x.split(60)
    source, resp, energies = incremental([Chunk(block) for block in blocks]), None, []
    for step, b in zip(run(model, source, stop=never), [None, *[0, 1, 2, 3] * 6], strict=False):
        if b is None:
            resp = model.posterior(x).resp
        else:
            resp[60 * b : 60 * (b + 1)] = model.posterior(blocks[b]).resp
            energies.append(free_energy(model, x, resp))  # after the block's visit
        model = step.model
        energies.append(free_energy(model, x, resp))  # after the refit
    assert all(b >= a - 1e-9 for a, b in pairwise(energies)) and energies[-1] > energies[0] + 1


@cases.few_structures()
def test_order_of_blocks_does_not_matter_at_the_fixed_point(structure, rng):
    x = cases.blobs(rng, n=240, d=2)
    begin = start(x, 3, structure, METHODS["kmeans"], rng)
    exact = last(run(begin, whole(x), transform=anderson(), stop=plateau(1e-13))).model
    blocks = [Chunk(block) for block in x.split(80)]
    for order in (blocks, blocks[::-1]):
        steps = islice(run(begin, incremental(order), stop=never), 3 * 50)
        same_model(last(steps).model, exact, 1e-5)


@cases.few_structures()
def test_stepwise_is_the_recursion_written_out(structure, rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(structure, x, 3, rng)
    mean, by_hand = None, model
    for t, part in enumerate(x.split(100)):
        s = e_step(by_hand, part) * (1 / 100)
        g = 1.0 if t == 0 else (t - 1 + 3.0) ** -0.6
        mean = s if mean is None else (1 - g) * mean + g * s
        by_hand = m_step(by_hand, mean)
    chunks = [Chunk(part) for part in x.split(100)]
    end = last(run(model, in_turn(chunks), transform=stepwise(0.6, 3.0), stop=never))
    same_model(end.model, by_hand, 1e-9)
    assert end.i == 3 and float(end.info.stats.n) == pytest.approx(len(x))


def test_one_pass_comes_near_the_fit_of_all_rows():
    rng = torch.Generator().manual_seed(5)
    x, held = cases.blobs(rng, n=40_000, d=5, k=4, spread=4.0).split(30_000)
    x = x[torch.randperm(len(x), generator=rng)]
    told = survey(stream(x), 500, rng)
    begin = start_from_sample(
        told.sample, told.mean, 4, cases.STRUCTURES["VVV"], METHODS["kmeans"], rng=rng, ridge=1e-6
    )
    exact = last(run(begin, whole(x), stop=plateau(1e-7))).model
    chunks = stream(x, chunk_rows=300)
    once = last(stream_steps(begin, chunks, exact=False)).model
    smooth = last(averaged(stream_steps(begin, chunks, exact=False), start=20)).model
    best = float(exact.assign(held)[1])
    assert best - float(begin.assign(held)[1]) > 0.002  # there was something to learn
    assert abs(best - float(once.assign(held)[1])) < 0.01
    assert abs(best - float(smooth.assign(held)[1])) < 0.01
    steps = list(stream_steps(begin, chunks, stop=plateau(1e-7)))
    assert [step.i for step in steps] == list(range(1, len(steps) + 1))
    assert float(steps[-1].model.assign(x)[1]) == pytest.approx(float(exact.assign(x)[1]), abs=1e-5)


def test_averages_are_of_statistics_and_steadier(rng):
    x = cases.blobs(rng, n=6000, d=2, k=3, spread=1.5)
    begin = start(x, 3, cases.STRUCTURES["VVV"], METHODS["kmeans"], rng)
    begin = last(run(begin, whole(x), stop=plateau(1e-8))).model
    steps = list(run(begin, drawn(x, 60, rng, passes=1), transform=stepwise(0.6), stop=never))
    smooth = list(averaged(steps, start=20))
    assert smooth[5].model is steps[5].model and smooth[-1].i == steps[-1].i == 100
    rough = torch.stack([step.model.components.mean for step in steps[-30:]]).std(0).mean()
    assert float(torch.stack([step.model.components.mean for step in smooth[-30:]]).std(0).mean()) < 0.5 * float(rough)
    mean = sum((s.info.stats.gate.w / s.info.stats.n for s in steps[19:]), torch.zeros(3)) / 81
    torch.testing.assert_close(smooth[-1].model.weights, mean)


def test_a_slow_step_size_remembers_a_bad_start(rng):
    x = cases.blobs(rng, n=8000, d=2, k=3, spread=4.0)[torch.randperm(8000, generator=rng)]
    bad = start(x, 3, cases.STRUCTURES["VVV"], METHODS["random"], rng)
    ends = [last(run(bad, in_turn([Chunk(p) for p in x.split(80)]), transform=stepwise(p))).model for p in (0.6, 1.0)]
    assert float(ends[0].assign(x)[1]) > float(ends[1].assign(x)[1])


def test_forgetting_tracks_a_drift(rng):
    x = torch.randn(6000, 1, generator=rng, dtype=torch.float64)
    x[3000:] += 5
    begin = start(x[:100], 1, cases.STRUCTURES["VVV"], METHODS["random"], rng)
    chunks = [Chunk(part) for part in x.split(100)]
    end = [last(run(begin, in_turn(chunks), transform=t, stop=never)) for t in (forgetting(0.2), stepwise(1.0))]
    assert abs(float(end[0].model.components.mean) - 5) < 0.2 and float(end[1].model.components.mean) < 3.5
    assert float(end[0].info.stats.n) == pytest.approx(100 / 0.2, rel=1e-3)  # the memory it has


@cases.few_structures()
def test_partial_steps_are_the_steps_of_the_loop(structure, rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(structure, x, 3, rng)
    chunks, transform = [Chunk(part) for part in x.split(60)], stepwise()
    progress = Progress(model, transform.init())
    for chunk in chunks:
        progress = advance(progress, chunk, transform)
    same_model(progress.model, last(run(model, in_turn(chunks), transform=transform, stop=never)).model, 1e-12)


@cases.few_structures()
def test_warm_up_keeps_the_model(mixture, x):
    rows = after(10.0 * len(x))
    assert next(run(mixture, whole(x), refit=rows)).model is mixture
    assert next(run(mixture, whole(x), refit=after(1.0))).model is not mixture


def test_a_component_that_loses_its_rows_is_frozen(rng):
    x = cases.blobs(rng, n=600, d=2, k=2)
    model = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng)
    far = model.components.mean.clone()
    far[2] = 1e4
    model = model.replace(components=model.components.replace(mean=far))
    end = last(run(model, in_turn([Chunk(p) for p in x.split(50)]), transform=stepwise(), stop=never)).model
    assert torch.equal(end.components.mean[2], far[2]) and bool(torch.isfinite(end.log_prob(x)).all())


def test_batches_are_drawn_without_replacement(rng):
    x = torch.arange(20, dtype=torch.float64)[:, None]
    model = start(x, 1, cases.STRUCTURES["VVV"], METHODS["random"], rng)
    steps = list(run(model, drawn(x, 6, rng, passes=2), stop=never))
    assert [float(step.info.stats.n) for step in steps] == [6, 6, 6, 2] * 2
    total = sum(float((s.info.stats.components.mean * s.info.stats.components.w).sum()) for s in steps[:4])
    assert total == pytest.approx(190)
    double = drawn(x, 20, rng, weight=torch.full((20,), 2.0, dtype=torch.float64))(model)
    assert float(double.n) == 40


def test_bad_settings_are_refused(mixture, x, rng):
    for bad in (0.5, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"power above 0\.5"):
            stepwise(bad)
    with pytest.raises(ValueError, match="offset of at least 1"):
        stepwise(0.7, 0.5)
    with pytest.raises(ValueError, match="rate of forgetting"):
        forgetting(0.0)
    with pytest.raises(ValueError, match="expected 1 to"):
        drawn(x, 10**9, rng)
    once = iter([Chunk(x)])
    for refused in (lambda: incremental(once), lambda: in_turn(once, 2), lambda: next(stream_steps(mixture, once))):
        with pytest.raises(BadData, match="read only once"):
            refused()
    with pytest.raises(BadData, match="no rows"):
        streamed([])(mixture)
