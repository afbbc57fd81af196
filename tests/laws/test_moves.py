"""Moves keep what they do not change: noise, priors, and the shares of both."""

from __future__ import annotations

import cases
import pytest
import torch

from gmmlab.families import Diagonal, Full, Prior, Student, Tied
from gmmlab.families.student import Common, Fixed, Own
from gmmlab.fit import moves
from gmmlab.gates import Noisy
from gmmlab.widgets.steering import reseeded

MOVES = {
    "add": lambda model: moves.add(model, model.located.mean[0] + 1, weight=0.2),
    "remove": lambda model: moves.remove(model, 1),
    "merge": lambda model: moves.merge(model, 0, 2),
    "split": lambda model: moves.split(model, 1),
    "move": lambda model: moves.move(model, 1, model.located.mean[0]),
    "reseed": lambda model: moves.reseed(model, [1], model.located.mean[:1] + 1),
    "reshape": lambda model: moves.reshape(model, 1, 2 * model.located.cov[1]),
}


@pytest.fixture(params=MOVES, ids=str)
def move(request):
    return request.param


def noisy(structure, rng, none=0.3):
    x = cases.blobs(rng)
    model = cases.random_mixture(structure, x, 3, rng)
    return model.replace(gate=Noisy.around(x, model.weights, none)), x


@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal()], ids=lambda s: s.name)
def test_noise_stays(move, structure, rng):
    model, x = noisy(structure, rng)
    moved = MOVES[move](model)
    assert isinstance(moved.gate, Noisy)
    assert torch.equal(moved.gate.low, model.gate.low) and torch.equal(moved.gate.high, model.gate.high)
    assert float(moved.weights.sum() + moved.gate.none) == pytest.approx(1)
    # what a move does not touch keeps its proportion to the noise
    assert float(moved.weights[0] / moved.gate.none) == pytest.approx(
        float(model.weights[[0, 2] if move == "merge" else [0]].sum() / model.gate.none)
    )
    assert torch.isfinite(moved.log_prob(x)).all()


def test_a_component_that_is_added_and_removed_leaves_no_trace(rng):
    model, x = noisy(Full(), rng)
    back = moves.remove(moves.add(model, x[0], weight=0.4), 3)
    torch.testing.assert_close(back.log_prob(x), model.log_prob(x))
    grown = moves.add(model, x[0], weight=0.4)
    assert float(grown.weights[3]) == pytest.approx(0.4)
    torch.testing.assert_close(
        grown.components.cov[3] * (1 - 0.3), (model.weights[:, None, None] * model.gaussian.cov).sum(0)
    )


def test_when_all_the_weight_goes_the_noise_keeps_its_own(rng):
    model, x = noisy(Full(), rng)
    gate = Noisy.around(x, torch.tensor([0.0, 1.0, 0.0]), 0.3)
    left = moves.remove(model.replace(gate=gate), 1)
    assert left.weights.tolist() == pytest.approx([0.35, 0.35]) and float(left.gate.none) == pytest.approx(0.3)


@pytest.mark.parametrize("kappa", [0.0, 0.01])
@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal()], ids=lambda s: s.name)
def test_priors_stay_and_are_shared_anew(move, structure, kappa, rng):
    x = cases.blobs(rng)
    options = {"mean": x.mean(0), "kappa": kappa, "dof": 6.0, "scale": torch.eye(3, dtype=torch.float64)}
    model = cases.random_mixture(structure, x, 3, rng)
    model = model.relocated(prior=Prior.of(structure, 3, **options))
    moved = MOVES[move](model)
    expected = Prior.of(structure, moved.k, **options)
    for name in ("mean", "kappa", "scale", "rows"):
        torch.testing.assert_close(
            getattr(moved.gaussian.prior, name),
            getattr(expected, name).expand(moved.k, *[-1] * (getattr(expected, name).ndim - 1)),
        )


def test_each_keeps_its_own_prior(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    prior = Prior.weak(Full(), 3, x)
    prior = prior.replace(kappa=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    model = model.relocated(prior=prior)
    kappas = {name: MOVES[name](model).gaussian.prior.kappa.tolist() for name in ("add", "remove", "merge", "split")}
    assert kappas == {"add": [1, 2, 3, 1], "remove": [1, 3], "merge": [1, 2], "split": [1, 2, 3, 2]}


@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal()], ids=lambda s: s.name)
def test_student_components_move_as_the_gaussians_they_are_built_on(move, structure, rng):
    model, x = noisy(structure, rng)
    model = model.relocated(prior=Prior.weak(structure, 3, x))
    dof = torch.tensor([3.0, 7.0, 49.0], dtype=torch.float64)
    student = model.replace(components=Student(model.gaussian, dof, Own()))
    moved, expected = MOVES[move](student), MOVES[move](model)
    assert isinstance(moved.components, Student) and moved.components.rule == Own()
    for name in ("mean", "chol"):
        assert torch.equal(getattr(moved.located, name), getattr(expected.gaussian, name))
    assert torch.equal(moved.located.prior.scale, expected.gaussian.prior.scale)
    assert torch.equal(moved.weights, expected.weights)
    tails = {
        "add": [3, 7, 49, float(model.weights.sum() / (model.weights / dof).sum())],
        "remove": [3, 49],
        "merge": [float(model.weights[[0, 2]].sum() / (model.weights / dof)[[0, 2]].sum()), 7],
        "split": [3, 7, 49, 7],
    }
    assert moved.components.dof.tolist() == pytest.approx(tails.get(move, [3, 7, 49]))
    assert torch.isfinite(moved.log_prob(x)).all()


@pytest.mark.parametrize("rule", [Fixed(), Common()], ids=lambda rule: type(rule).__name__)
def test_equal_tails_stay_equal_to_the_bit(move, rule, rng):
    model, _ = noisy(Full(), rng)
    student = model.replace(components=Student(model.gaussian, torch.full((3,), 4.9, dtype=torch.float64), rule))
    assert set(MOVES[move](student).components.dof.tolist()) == {4.9}


def test_a_component_is_reseeded_where_rows_are_far_from_the_others(rng):
    x = torch.cat([cases.blobs(rng, n=60, d=2), 50 + torch.rand(60, 2, generator=rng, dtype=torch.float64)])
    model = cases.random_mixture(Full(), x[:60], 3, rng)
    moved = reseeded(model, x, rng, [1])
    assert bool((moved.gaussian.mean[1] == x).all(1).any()), "it is at a row"
    assert float(moved.gaussian.mean[1].min()) >= 50, "which was far from all"
    assert torch.equal(moved.gaussian.mean[[0, 2]], model.gaussian.mean[[0, 2]])
    torch.testing.assert_close(moved.gaussian.cov[[0, 2]], model.gaussian.cov[[0, 2]])
    torch.testing.assert_close(moved.gaussian.cov[1], (model.weights[:, None, None] * model.gaussian.cov).sum(0))
    assert float(moved.weights[1]) == pytest.approx(1 / 3)
    assert float(moved.weights[0] / moved.weights[2]) == pytest.approx(float(model.weights[0] / model.weights[2]))


def test_all_components_are_reseeded_at_different_rows(rng):
    x = cases.blobs(rng, n=80, d=3)
    model = cases.random_mixture(Diagonal(), x, 4, rng)
    moved = reseeded(model, x, rng)
    at = [(moved.gaussian.mean[k] == x).all(1).nonzero().flatten().tolist() for k in range(4)]
    assert all(at) and len({place[0] for place in at}) == 4
    assert moved.weights.tolist() == pytest.approx([0.25] * 4)
    again = reseeded(model, x, torch.Generator().manual_seed(7))
    assert torch.equal(again.gaussian.mean, reseeded(model, x, torch.Generator().manual_seed(7)).gaussian.mean)
    assert not torch.equal(again.gaussian.mean, reseeded(model, x, torch.Generator().manual_seed(8)).gaussian.mean)
    with pytest.raises(IndexError, match="no component 4"):
        reseeded(model, x, rng, [4])
    one = reseeded(moves.remove(moves.remove(moves.remove(model, 0), 0), 0), x, rng)
    assert float(one.weights) == 1


def test_rows_that_are_all_alike_have_seeds_too(rng):
    x = cases.blobs(rng, n=80, d=3)
    model = cases.random_mixture(Full(), x, 3, rng)
    moved = reseeded(model, x[:1].expand(5, 3), rng)
    assert torch.isfinite(moved.log_prob(x)).all()


def test_factor_analysers_can_be_moved_and_removed(move, rng):
    model, x = noisy(Full(), rng)
    factors = model.replace(components=cases.FAMILIES["factor analyzers"](x, 3, rng))
    if move in ("move", "remove"):
        assert torch.isfinite(MOVES[move](factors).log_prob(x)).all()
    else:
        with pytest.raises(TypeError, match="Factor analysers can be moved and removed"):
            MOVES[move](factors)
