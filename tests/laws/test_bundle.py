"""Laws of bundles: draws spread as the information says, clusters found again are stable, nothing runs unasked."""

from __future__ import annotations

from itertools import islice

import cases
import pytest
import torch
from torch import Tensor

from gmmlab import algebra
from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import Diagonal, Full, Gaussian, Structure
from gmmlab.families.parts import ellipsoids
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture
from gmmlab.score.bundle import ellipses, estimates, jaccard, matched, stability
from gmmlab.score.information import UNITS, observed_information
from gmmlab.score.uncertainty import align, exponential, refits, weightings
from gmmlab.stack import stack
from gmmlab.steps import e_step, m_step


@pytest.fixture(params=["gaussian", "student, full", "factor analyzers"], ids=lambda name: name.replace(" ", "-"))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def climb(x: Tensor, weight: Tensor, model: Mixture, steps: int) -> Mixture:
    for _ in range(steps):
        model = m_step(model, e_step(model, x, weight))
    return model


def fitted(structure: Structure, rng: torch.Generator, n: int = 600) -> tuple[Tensor, Mixture]:
    """Two clouds, and the mixture fitted to them."""
    x = cases.blobs(rng, n=n, d=2, k=2, spread=8.0)
    mean, cov = torch.stack([x[::2].mean(0), x[1::2].mean(0)]), torch.eye(2).expand(2, 2, 2)
    start = Mixture(Gaussian.of(mean, cov, structure, origin=x.mean(0)), Constant.of(torch.ones(2)))
    return x, climb(x, torch.ones(n, dtype=torch.float64), start, 60)


# -- draws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", [kind.__name__ for kind in UNITS])
def test_estimates_spread_as_their_standard_errors_say(structure, rng):
    x, mixture = fitted(cases.STRUCTURES[structure], rng)
    info = observed_information(mixture, x)
    drawn = [model for model in estimates(mixture, info, rng, 500) if model is not None]
    assert len(drawn) == 500
    errors = info.errors(info.covariance)
    for part, center, error in (
        (torch.stack([m.weights for m in drawn]), mixture.weights, errors.weights),
        (torch.stack([m.gaussian.mean for m in drawn]), mixture.gaussian.mean, errors.mean),
        (torch.stack([m.gaussian.cov for m in drawn]), mixture.gaussian.cov, errors.cov),
    ):
        assert bool(((part.mean(0) - center).abs() <= 5 * error / 500**0.5 + 0.01 * error + 1e-12).all())
        torch.testing.assert_close(part.std(0), error, rtol=0.2, atol=1e-9)
    assert all(model.gaussian.structure == mixture.gaussian.structure for model in drawn[:3])


def test_a_draw_that_is_no_mixture_is_none(rng):
    for structure in (Full(), Diagonal()):
        x, mixture = fitted(structure, rng, n=100)
        info = observed_information(mixture, x)
        drawn = list(estimates(mixture, info, rng, 60, covariance=400 * info.covariance))
        assert len(drawn) == 60 and 0 < sum(model is None for model in drawn) < 60
        assert all(bool(m.gaussian.chol.isfinite().all()) for m in drawn if m is not None)


def test_noise_keeps_its_weight(rng):
    x, mixture = fitted(Full(), rng)
    noisy = mixture.replace(gate=Noisy.around(x, mixture.weights, 0.1))
    for model in estimates(noisy, observed_information(noisy, x), rng, 3):
        assert float(model.gate.none) == pytest.approx(0.1)
        assert float(model.weights.sum()) == pytest.approx(0.9)
        assert not torch.equal(model.weights, noisy.weights)
    two = stack([mixture, mixture])
    with pytest.raises(TypeError, match="Stacked; expected Constant or Noisy"):
        estimates(two, observed_information(mixture, x), rng, 3)


def test_refits_come_one_by_one_in_the_order_of_the_original(rng):
    x, mixture = fitted(Full(), rng)
    turned = torch.tensor([1, 0])
    calls = []

    def refit(weight: Tensor, start: Mixture) -> Mixture:
        calls.append(len(weight))
        if len(calls) == 2:
            raise NotPositiveDefinite
        model = climb(x, weight, start, 5)
        return model.replace(components=model.components.take(turned), gate=model.gate.take(turned))

    steps = refits(mixture, refit, weightings(len(x), rng, 10, exponential))
    assert calls == []
    found = list(islice(steps, 3))
    assert len(calls) == 3 and found[1] is None
    for model in (found[0], found[2]):
        assert float((model.gaussian.mean - mixture.gaussian.mean).abs().max()) < 1


def test_any_mixture_is_put_in_order(family, gate, rng):
    x = cases.blobs(rng, d=3)
    mixture = Mixture(cases.FAMILIES[family](x, 4, rng), cases.GATES[gate](x, 4))
    order = torch.tensor([3, 1, 0, 2])
    back = align(mixture.replace(components=mixture.components.take(order), gate=mixture.gate.take(order)), mixture)
    assert type(back.gate) is type(mixture.gate)
    torch.testing.assert_close(back.weights, mixture.weights)
    torch.testing.assert_close(back.log_prob(x), mixture.log_prob(x))
    assert torch.equal(back.labels(x), mixture.labels(x))


def test_ellipses_are_the_columns_of_each(family, gate, rng):
    x = cases.blobs(rng, d=3)
    models = [Mixture(cases.FAMILIES[family](x, 2, rng), cases.GATES[gate](x, 2)) for _ in range(3)]
    found = ellipses(models, [2, 0])
    assert found.centre.shape == (3, 2, 2)
    for i, model in enumerate(models):
        whole = ellipsoids(model.components)
        torch.testing.assert_close(found.centre[i], whole.mean[:, [2, 0]])
        torch.testing.assert_close(found.scale[i], whole.cov[:, [2, 0]][:, :, [2, 0]])
    with pytest.raises(ValueError, match="no mixtures to draw"):
        ellipses([], [0, 1])


# -- draws from a posterior --------------------------------------------------------------------------------------------


def test_components_of_draws_have_the_names_of_a_reference():
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    same, merged, split = torch.tensor([[2, 2, 2, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0], [0, 0, 3, 2, 2, 1, 1, 1]])
    order, found = matched(labels, 3, [same, merged, split, torch.full((8,), -1)])
    assert order.tolist() == [[2, 0, 1], [1, -1, 0], [0, 2, 1], [-1, -1, -1]]
    torch.testing.assert_close(found.jaccard[:3, 1], torch.tensor([1, 2 / 5, 1], dtype=torch.float64))
    empty, _ = matched(labels, 3, [])
    assert empty.shape == (0, 3)


# -- stability ---------------------------------------------------------------------------------------------------------


def test_what_is_always_found_again_is_stable(family, gate, rng, dtype):
    x = cases.blobs(rng, d=3).to(dtype)
    mixture = Mixture(cases.FAMILIES[family](x, 3, rng), cases.GATES[gate](x, 3))
    order = torch.tensor([1, 2, 0])
    turned = mixture.replace(components=mixture.components.take(order), gate=mixture.gate.take(order))
    states = list(stability(mixture, x, iter([mixture, None, turned])))
    assert [len(state.jaccard) for state in states] == [1, 1, 2] and [state.failed for state in states] == [0, 1, 1]
    labels = algebra.assign(mixture, x)[0]
    there = torch.bincount(labels[labels >= 0], minlength=3) > 0
    assert bool((states[-1].mean[there] == 1).all()) and bool((states[-1].dissolved[there] == 0).all())


def test_jaccard_is_that_of_sets(rng):
    x = cases.blobs(rng, n=80, d=2, k=4, spread=1.0)
    mixture, another = (cases.random_mixture(Full(), x, k, rng) for k in (4, 3))
    x[::5, 0] = torch.nan
    a, b = (algebra.assign(model, x)[0].tolist() for model in (mixture, another))
    found = next(stability(mixture, x, [another])).jaccard[0]
    for i in range(4):
        ours = {n for n, label in enumerate(a) if label == i}
        theirs = [{n for n, label in enumerate(b) if label == j} for j in range(3)]
        shares = [len(ours & other) / max(len(ours | other), 1) for other in theirs]
        expected = max(shares) if ours else torch.nan
        assert float(found[i]) == pytest.approx(expected, nan_ok=True)
    assert bool(jaccard(torch.tensor([[0, 0], [2, 2]]))[0].isnan().all())


def test_one_cloud_in_two_is_unstable_and_two_clouds_are_not(rng):
    means = {}
    for k in (1, 2):
        x = cases.blobs(rng, n=200, d=2, k=k, spread=10.0)
        first = torch.ones(len(x), dtype=torch.float64)
        mixture = climb(x, first, cases.random_mixture(Full(), x, 2, rng), 60)
        draws = (climb(x, w, cases.random_mixture(Full(), x, 2, rng), 20) for w in weightings(len(x), rng, 8))
        means[k] = float(list(stability(mixture, x, draws))[-1].mean.min())
    assert means[1] < 0.75 < means[2]


def test_nothing_is_assigned_before_it_is_asked(rng):
    x, mixture = fitted(Full(), rng)
    asked = []
    draws = (asked.append(i) or mixture for i in range(5))
    states = stability(mixture, x, draws)
    assert asked == []
    assert len(list(islice(states, 2))[-1].jaccard) == 2 and asked == [0, 1]
