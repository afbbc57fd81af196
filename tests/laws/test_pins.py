"""Laws of pins: what is pinned stays to the bit, the objective never falls, and the rest is at its maximum."""

from __future__ import annotations

from itertools import islice, pairwise

import cases
import pytest
import torch

from gmmlab.families import Diagonal, FactorAnalyzers, Full, Gaussian, Prior, Student, Tied
from gmmlab.fit import Lineage, Pins, moves, pinned, plateau, run, supervised, whole
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step

never = plateau(-1.0)
PINS = {
    "a mean": pinned(mean=[0]),
    "a covariance": pinned(cov=[1]),
    "both of one": pinned(mean=[1], cov=[1]),
    "a weight": pinned(weight=[1]),
    "everything of one, some of another": pinned(mean=[0], cov=[0, 1], weight=[0]),
}


def climbs(model, source, pins, tol, n=12):
    trace, last = [], model
    for step in islice(run(model, source, refit=pins, stop=never), n):
        trace.append(float(step.info.objective))
        last = step.model
    assert all(after >= before - tol * abs(before) for before, after in pairwise(trace))
    for j in pins.mean:
        assert torch.equal(last.located.mean[j], model.located.mean[j])
    for j in pins.cov:
        assert torch.equal(last.located.chol[j], model.located.chol[j])
    for j in pins.weight:
        assert torch.equal(last.weights[j], model.weights[j])
    assert float(last.weights.sum() + (last.gate.none if isinstance(last.gate, Noisy) else 0)) == pytest.approx(1)
    return last


WEIGHTED = [name for name in cases.GATES if name != "markov"]  # its weights are what a chain comes to


@pytest.mark.parametrize("pins", PINS.values(), ids=PINS.keys())
@pytest.mark.parametrize("data", ["blobs", "one column", "far from zero", "overlapping"], indirect=True)
@cases.few_structures("EEV", "VVE", "VVV")
def test_the_objective_never_falls(mixture, x, pins, tol):
    climbs(mixture, whole(x), pins, max(tol, 1e-9))


@pytest.mark.parametrize("pins", PINS.values(), ids=PINS.keys())
@pytest.mark.parametrize("gate", WEIGHTED)
@pytest.mark.parametrize("family", [name for name in cases.FAMILIES if "analy" not in name])
def test_every_family_and_gate_climbs(family, gate, pins, rng):
    x = cases.blobs(rng)
    model = Mixture(cases.FAMILIES[family](x, 3, rng), cases.GATES[gate](x, 3))
    last = climbs(model, whole(x), pins, 1e-10)
    if isinstance(model.components, Student) and pins.cov:
        assert torch.equal(last.components.dof[list(pins.cov)], model.components.dof[list(pins.cov)])


def expected_log_likelihood(components, stats):
    """Q of Gaussian components, for moments."""
    y = components.mean - stats.origin
    scatter = stats.s2 - stats.s1[:, :, None] * y[:, None] - y[:, :, None] * (stats.s1 - stats.w[:, None] * y)[:, None]
    cov = components.cov
    return -0.5 * (stats.w * torch.logdet(cov) + torch.linalg.solve(cov, scatter).diagonal(dim1=1, dim2=2).sum(1)).sum()


@cases.few_structures("VEI", "EVI", "EVV", "EEV", "VEV", "VEE", "VVE", "EVE", "VVV")
def test_what_is_not_pinned_is_at_its_maximum(structure, rng):
    """No nudge of the free parameters within the structure does better; what is shared was said by the pinned one."""
    x = cases.blobs(rng, spread=1.0)
    model = cases.random_mixture(structure, x, 3, rng)
    moments = e_step(cases.random_mixture(Full(), x, 3, rng), x).components
    cut = moments if structure.dense else moments.replace(s2=moments.s2.diagonal(dim1=1, dim2=2))
    after = pinned(mean=[2], cov=[0])(model, e_step(model, x).replace(components=cut)).components
    again = Gaussian.of(after.mean, after.cov, structure)
    torch.testing.assert_close(again.cov, after.cov, rtol=1e-6, atol=1e-8)  # still of the structure's kind
    best = expected_log_likelihood(after, moments)
    for _ in range(20):
        nudge = 1e-3 * torch.randn(3, 3, 3, generator=rng, dtype=torch.float64)
        cov = after.cov + nudge @ after.cov + (nudge @ after.cov).mT
        cov[0] = after.cov[0]
        heard = torch.tensor([1e12, 1.0, 1.0], dtype=torch.float64)  # the pinned one says what is shared
        near = Gaussian.of(after.mean, cov, structure, w=heard)
        near = near.replace(mean=after.mean + 1e-3 * torch.tensor([1.0, 1.0, 0.0])[:, None] * nudge[:, 0])
        assert float(expected_log_likelihood(near, moments)) <= float(best) + 1e-6


def test_a_pinned_mean_leaves_the_scatter_about_it(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    resp, after = model.posterior(x).resp, pinned(mean=[1])(model, e_step(model, x))
    y = x - model.components.mean[1]
    torch.testing.assert_close(after.components.cov[1], (resp[:, 1, None] * y).T @ y / resp[:, 1].sum())
    free = m_step(model, e_step(model, x))
    torch.testing.assert_close(after.components.cov[[0, 2]], free.components.cov[[0, 2]])


@pytest.mark.parametrize("gate", WEIGHTED)
def test_pinned_weights_leave_the_rest_in_proportion(gate, rng):
    x = cases.blobs(rng)
    model = Mixture(cases.gaussians(Full(), x, 3, rng), cases.GATES[gate](x, 3))
    stats = e_step(model, x)
    free, after = m_step(model, stats), pinned(weight=[1])(model, stats)
    assert float(after.weights[1]) == float(model.weights[1])
    ratio = float(free.weights[0] / free.weights[2])
    assert float(after.weights[0] / after.weights[2]) == pytest.approx(ratio)
    everything = pinned(weight=[0, 1, 2])(model, stats)
    assert torch.equal(everything.weights, model.weights)
    if gate == "noisy":
        assert float(everything.gate.none) == pytest.approx(float(model.gate.none))


def test_one_shared_covariance_is_pinned_for_all(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Tied(), x, 3, rng)
    assert torch.equal(pinned(cov=[2])(model, e_step(model, x)).components.chol, model.components.chol)


def test_others_take_the_shared_axes_from_a_round_covariance_that_has_none(rng):
    """A pinned sphere says no orientation: the others find theirs."""
    x = cases.blobs(rng)
    model = cases.random_mixture(cases.STRUCTURES["VVE"], x, 3, rng)
    chol = model.components.chol.clone()
    chol[0] = torch.eye(3)
    model = model.relocated(chol=chol)
    climbs(model, whole(x), pinned(cov=[0]), 1e-10, 20)


def test_a_pinned_component_without_rows_stays(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    gate = Constant.of(torch.tensor([0.0, 1.0, 1.0]))
    after = pinned(mean=[0], cov=[0])(model.replace(gate=gate), e_step(model.replace(gate=gate), x))
    assert torch.equal(after.components.mean[0], model.components.mean[0])
    assert torch.equal(after.components.chol[0], model.components.chol[0])
    assert bool(torch.isfinite(after.components.chol).all())


def test_a_ridge_and_a_prior_do_not_move_pins(rng):
    x = cases.blobs(rng)
    for structure in (Full(), Diagonal(), cases.STRUCTURES["VEI"]):
        model = cases.random_mixture(structure, x, 3, rng).relocated(ridge=0.1)
        model = model.relocated(prior=Prior.weak(structure, 3, x, kappa=5.0))
        pins = pinned(mean=[0], cov=[1])
        for step in islice(run(model, whole(x), refit=pins, stop=never), 3):
            after = step.model.components
        assert torch.equal(after.mean[0], model.components.mean[0])
        assert torch.equal(after.chol[1], model.components.chol[1])
        if structure.name == "VEI":  # the shape is that of the pinned one
            shape = after.chol**2 / (after.chol**2).mean(1, keepdim=True)
            torch.testing.assert_close(shape, shape[[1]].expand(3, 3), rtol=1e-5, atol=1e-8)


def test_without_pins_it_is_the_plain_refit(mixture, x):
    stats = e_step(mixture, x)
    assert torch.equal(pinned()(mixture, stats).components.chol, m_step(mixture, stats).components.chol)


def test_pins_go_with_labels(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    labels = torch.where(torch.arange(300) < 30, torch.arange(300) % 3, -1)
    climbs(model, supervised(x, labels, cannot=[(40, 41)]), pinned(mean=[0], weight=[2]), 1e-10)


def test_pins_are_values():
    mask = torch.tensor([True, False, True])
    assert pinned(mean=mask, cov=[1]) == Pins(frozenset({0, 2}), frozenset({1})) and len({pinned(), pinned()}) == 1


def test_pins_that_cannot_be_are_refused(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    with pytest.raises(IndexError, match="Component 5 is pinned, but the mixture has 3"):
        pinned(mean=[5])(model, e_step(model, x))
    factors = Mixture(cases.FAMILIES["factor analyzers"](x, 3, rng), model.gate)
    assert isinstance(factors.components, FactorAnalyzers)
    with pytest.raises(TypeError, match="Weights can be pinned"):
        pinned(cov=[0])(factors, e_step(factors, x))
    climbs(factors, whole(x), pinned(weight=[0]), 1e-10, 5)


def test_pins_and_labels_follow_a_move(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    labels, pins = torch.tensor([0, 1, 2, -1]), pinned(mean=[0, 2], cov=[0, 1, 2], weight=[1])
    merged = pinned(mean=[0], cov=[0, 1], weight=[1])
    halves = pinned(mean=[0, 2], cov=[0, 1, 2, 3], weight=[1, 3])
    for move, lineage, new_labels, new_pins in [
        (lambda m: moves.add(m, x[0]), Lineage.add(3), [0, 1, 2, -1], pins),
        (lambda m: moves.remove(m, 1), Lineage.remove(3, 1), [0, -1, 1, -1], pinned(mean=[0, 1], cov=[0, 1])),
        (lambda m: moves.merge(m, 2, 0), Lineage.merge(3, 2, 0), [0, 1, 0, -1], merged),
        (lambda m: moves.split(m, 1), Lineage.split(3, 1), [0, -1, 2, -1], halves),
    ]:
        moved = move(model)
        assert len(lineage.parents) == moved.k
        for new, parents in enumerate(lineage.parents):
            if len(parents) == 1 and len(lineage.heirs(parents[0])) == 1:
                torch.testing.assert_close(moved.components.mean[new], model.components.mean[parents[0]])
        assert lineage.labels(labels).tolist() == new_labels
        assert pins.after(lineage) == new_pins
