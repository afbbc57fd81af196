"""Laws of what is known in place of values: bounds, divergences, and where exact answers exist."""

from __future__ import annotations

import itertools
import math
from itertools import islice, pairwise

import cases
import pytest
import torch
from scipy.stats import wishart
from torch import Tensor
from torch.distributions import Beta, Dirichlet, Gamma, kl_divergence

from gmmlab.families import EIGEN, Diagonal, Full, Gaussian, NormalWishart, Spherical, Tied
from gmmlab.families.structures import Iterated
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Constant, DirichletWeights, Known, Learned, StickWeights
from gmmlab.model import Mixture
from gmmlab.sample.believed import drawn
from gmmlab.stats import Counts
from gmmlab.steps import e_step, m_step

never = plateau(-1.0)
W = torch.tensor([40.0, 3.0, 0.0, 15.5], dtype=torch.float64)


def prior(structure, x: Tensor, k: int, *, kappa: float = 0.3, dof: float = 5.5, scale: float = 1.0) -> NormalWishart:
    y = x.double()
    spread = torch.cov(y.T) if structure.dense else y.var(0)
    return NormalWishart.of(structure, k, mean=y.mean(0), kappa=kappa, dof=dof, scale=scale * spread, origin=x.mean(0))


def bound(before: Mixture, stats, after: Mixture) -> float:
    """The bound of the responsibilities made before, and the posterior after: the halves of a step apart."""
    entropy = stats.evidence - before.components.expected(stats.components) - before.gate.expected(stats.gate)
    expected = after.components.expected(stats.components) + after.gate.expected(stats.gate)
    return float(entropy + expected + after.penalty())


# -- weights -----------------------------------------------------------------------------------------------------------


def test_expected_log_weights_are_those_of_draws(rng):
    torch.manual_seed(0)
    gate = DirichletWeights.of(torch.tensor([0.5, 1.0, 2.0, 0.3])).refit(Counts(W))
    draws = Dirichlet(gate.alpha).sample((100_000,)).clamp(min=1e-300)
    torch.testing.assert_close(gate.weights, draws.mean(0), rtol=0, atol=2e-3)
    torch.testing.assert_close(gate.log_w[:2], draws.log().mean(0)[:2], rtol=0, atol=0.01)
    sticks = StickWeights.of(4, Known.of(0.7), discount=0.2).refit(Counts(W))
    v = Beta(sticks.a, sticks.b).sample((100_000,))
    pieces = v * torch.cat([torch.ones(100_000, 1), (1 - v).cumprod(1)[:, :-1]], 1)
    torch.testing.assert_close(sticks.log_w[:2], pieces.log().mean(0)[:2], rtol=0, atol=0.01)
    torch.testing.assert_close(sticks.weights, pieces.mean(0) / pieces.mean(0).sum(), rtol=0, atol=2e-3)


def test_penalties_are_divergences():
    gate = DirichletWeights.of(torch.tensor([0.5, 1.0, 2.0, 0.3])).refit(Counts(W))
    expected = kl_divergence(Dirichlet(gate.alpha), Dirichlet(gate.alpha0))
    torch.testing.assert_close(gate.penalty(), -expected)
    place = torch.arange(1, 5).double()
    sticks = StickWeights.of(4, Known.of(0.7), discount=0.2).refit(Counts(W))
    of_prior = Beta(torch.full((4,), 0.8).double(), 0.7 + 0.2 * place)
    torch.testing.assert_close(
        sticks.penalty(), -kl_divergence(Beta(sticks.a, sticks.b), of_prior).sum(), rtol=1e-6, atol=1e-6
    )
    own, before = (
        Gamma(torch.tensor(5.0).double(), torch.tensor(3.0).double()),
        Gamma(*torch.tensor([1.0, 2.0]).double()),
    )
    known = Learned(own.concentration, own.rate, before.concentration, before.rate)
    torch.testing.assert_close(known.penalty(), -kl_divergence(own, before))


@pytest.mark.parametrize("gate", cases.EXPECTED)
def test_no_other_posterior_of_the_weights_has_a_higher_bound(gate):
    start = cases.EXPECTED[gate](W[:, None], 4)
    best = start
    for _ in range(200):  # alpha and the breaks in turn, where alpha is learned
        best = best.refit(Counts(W))
    top = float(best.expected(Counts(W)) + best.penalty())
    for k in range(4):
        for times in (0.9, 1.1):
            w = W.clone()
            w[k] = w[k] * times + 0.1
            other = best.refit(Counts(w))
            assert float(other.expected(Counts(W)) + other.penalty()) < top


@pytest.mark.parametrize("discount", [0.0, 0.4])
def test_no_order_along_the_stick_surpasses_that_by_size(discount):
    def value(w: Tensor, *, by_size: bool) -> float:
        gate = StickWeights.of(4, Known.of(2.5), discount=discount, by_size=by_size).refit(Counts(w))
        return float(gate.expected(Counts(w)) + gate.penalty())

    orders = [W[list(order)] for order in itertools.permutations(range(4))]
    values = [value(w, by_size=False) for w in orders]
    assert max(values) == pytest.approx(value(W, by_size=True), abs=1e-10) and min(values) < max(values) - 1
    assert [value(w, by_size=True) for w in orders] == pytest.approx([max(values)] * 24, abs=1e-10)


def test_a_learned_concentration_tells_many_groups_from_few():
    even, uneven = torch.full((20,), 10.0).double(), torch.tensor([181.0] + [1.0] * 19).double()
    one = torch.tensor([200.0] + [0.0] * 19).double()
    alphas = []
    for w in (even, uneven, one):
        gate = StickWeights.of(20, Learned.of(1.0, 1.0), by_size=True)
        for _ in range(100):
            gate = gate.refit(Counts(w))
        alphas.append(float(gate.concentration.mean))
    assert alphas[0] > alphas[1] > alphas[2] > 0


def test_bad_priors_of_weights_are_refused():
    with pytest.raises(ValueError, match=r"prior of the weights is \[1.0, 0.0\]"):
        DirichletWeights.of(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="concentration alpha is -1"):
        Known.of(-1.0)
    with pytest.raises(ValueError, match="rate of the prior of alpha is inf"):
        Learned.of(1.0, math.inf)
    with pytest.raises(ValueError, match="discount is 1; expected a number of at least 0 and below 1"):
        StickWeights.of(3, Known.of(1.0), discount=1.0)
    with pytest.raises(ValueError, match="cannot be learned beside a discount"):
        StickWeights.of(3, Learned.of(1.0, 1.0), discount=0.5)


# -- components ------------------------------------------------------------------------------------------------------


def test_expected_log_density_is_that_of_draws(rng):
    x = cases.blobs(rng, n=30)
    posterior = cases.posteriors(Full())(x, 2, rng)
    table, rows = posterior.table(posterior.features(x[:3])), x[:3]
    precision = torch.as_tensor(
        wishart.rvs(
            float(posterior.dof[0]),
            torch.linalg.inv(posterior.gaussian.cov[0] * posterior.dof[0]).numpy(),
            size=20_000,
            random_state=0,
        )
    )
    chol = torch.linalg.cholesky(precision)
    noise = torch.randn(20_000, 3, 1, generator=rng, dtype=torch.float64)
    mean = (
        posterior.mean[0]
        + torch.linalg.solve_triangular(chol.mT, noise, upper=True).squeeze(-1) / posterior.kappa[0].sqrt()
    )
    z = (chol.mT @ (rows - mean[:, None]).mT).square().sum(1)
    log_det = 2 * chol.diagonal(dim1=1, dim2=2).log().sum(1)
    drawn = 0.5 * (log_det[:, None] - 3 * math.log(2 * math.pi) - z)
    torch.testing.assert_close(table[:, 0], drawn.mean(0), rtol=0, atol=0.15)
    assert bool((posterior.offset < 0).all())


@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal(), Spherical()], ids=lambda s: s.name)
@pytest.mark.parametrize("gate", cases.EXPECTED)
def test_neither_half_of_a_step_lowers_the_bound(structure, gate, rng):
    x = cases.blobs(rng, d=3)
    begin = prior(structure, x, 5)
    resp = torch.rand(len(x), 5, generator=rng, dtype=torch.float64)
    resp /= resp.sum(1, keepdim=True)
    components = begin.refit(begin.stats(begin.features(x), resp))
    model, trace = Mixture(components, cases.EXPECTED[gate](x, 5)), []
    model = model.replace(gate=model.gate.refit(Counts(resp.sum(0))))
    for step in islice(run(model, whole(x), stop=never), 20):
        trace += [float(step.info.objective) * len(x), bound(model, step.info.stats, step.model)]
        model = step.model
    assert trace[-1] > trace[0] + 1
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(trace))


@pytest.mark.parametrize("structure", [s for s in EIGEN if not isinstance(s, Iterated)], ids=lambda s: s.name)
def test_the_refit_is_the_maximum_of_the_bound(structure, rng):
    """No rows more or less, of any component, and no other rows, make a posterior of a higher bound."""
    x = cases.blobs(rng, d=3)
    model = Mixture(prior(structure, x, 3), DirichletWeights.of(torch.ones(3)))
    start = cases.random_mixture(Full(), x, 3, rng)
    stats = e_step(start, x).components
    if not structure.dense:
        stats = stats.replace(s2=stats.s2.diagonal(dim1=1, dim2=2))
    best = model.components.refit(stats)
    top = float(best.expected(stats) + best.penalty())
    for k in range(3):
        for times in (0.8, 1.25):
            w = torch.ones(3, dtype=torch.float64)
            w[k] = times
            other = model.components.refit(_scaled(stats, w))
            assert float(other.expected(stats) + other.penalty()) < top
        moved = best.gaussian.mean.clone()
        moved[k] += 0.1
        other = best.replace(gaussian=best.gaussian.replace(mean=moved))
        assert float(other.expected(stats) + other.penalty()) < top


def _scaled(stats, w: Tensor):
    return stats.replace(w=stats.w * w, s1=stats.s1 * w[:, None], s2=stats.s2 * w.view(-1, *[1] * (stats.s2.ndim - 1)))


def test_one_component_is_exact(rng):
    """The bound of one component is log p(x), the sum of what each row's predictive says after those before it."""
    x = cases.blobs(rng, n=40, d=3, k=1)
    model = Mixture(prior(Full(), x, 1), DirichletWeights.of(torch.ones(1)))
    total = 0.0
    for i in range(len(x)):
        after = m_step(model, e_step(model, x[:i])) if i else model
        total += float(Mixture(after.components.predictive(), Constant.of(torch.ones(1))).log_prob(x[i : i + 1]))
    full = m_step(model, e_step(model, x))
    stats = e_step(full, x)
    assert float(stats.evidence + full.penalty()) == pytest.approx(total, rel=1e-10)
    integral = full.components.log_norm - full.components.log_norm0 - 0.5 * len(x) * 3 * math.log(2 * math.pi)
    assert float(integral) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal(), Spherical()], ids=lambda s: s.name)
def test_what_is_known_after_very_many_rows_is_maximum_likelihood(structure, rng):
    """Every row counts a million times: the prior and all uncertainty vanish, and the steps are those of EM."""
    x, weight = cases.blobs(rng), torch.full((300,), 1e6, dtype=torch.float64)
    em = cases.random_mixture(structure, x, 3, rng)
    stats = e_step(em, x, weight)
    bayes = m_step(Mixture(prior(structure, x, 3, kappa=1e-3), DirichletWeights.of(torch.ones(3))), stats)
    em = m_step(em, stats)
    for _ in range(5):
        em, bayes = (m_step(model, e_step(model, x, weight)) for model in (em, bayes))
    torch.testing.assert_close(bayes.components.mean, em.components.mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(bayes.located.cov, em.located.cov, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(bayes.weights, em.weights, rtol=1e-4, atol=1e-4)
    predictive = Mixture(bayes.components.predictive(), Constant.of(bayes.weights))
    torch.testing.assert_close(predictive.log_prob(x), em.log_prob(x), rtol=1e-3, atol=1e-2)


def test_the_fused_pass_equals_the_plain_one(rng):
    x = cases.blobs(rng)
    model = Mixture(cases.posteriors(Full())(x, 4, rng), StickWeights.of(4, Known.of(1.0)).refit(Counts(W)))
    stats = e_step(model, x)
    posterior = model.posterior(x)
    torch.testing.assert_close(stats.evidence, posterior.evidence.sum())
    torch.testing.assert_close(stats.gate.w, posterior.resp.sum(0))
    torch.testing.assert_close(
        model.components.expected(stats.components), (posterior.resp * next(model.tables(x))).sum()
    )


def test_the_ridge_is_a_variance_of_every_row(rng):
    x = cases.blobs(rng)
    plain, ridged = (cases.posteriors(Full())(x, 2, rng).replace(ridge=ridge) for ridge in (0.0, 0.25))
    stats = e_step(
        Mixture(Gaussian.of(plain.mean, plain.gaussian.cov, origin=x.mean(0)), Constant.of(torch.ones(2))), x
    )
    one, two = plain.refit(stats.components), ridged.refit(stats.components)
    extra = two.gaussian.cov - one.gaussian.cov
    expected = 0.25 * (one.w / one.dof)[:, None, None] * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(extra, expected, rtol=1e-9, atol=1e-12)


def test_bad_priors_of_components_are_refused(rng):
    x = cases.blobs(rng)
    with pytest.raises(ValueError, match=r"kappa=0.3 and dof=2; expected above 0 and above 2"):
        prior(Full(), x, 2, dof=2.0)
    with pytest.raises(ValueError, match=r"shape \(3,\); expected a symmetric matrix \(3, 3\)"):
        NormalWishart.of(Full(), 2, mean=x.mean(0), kappa=1.0, dof=4.0, scale=torch.ones(3).double(), origin=x.mean(0))


# -- draws -------------------------------------------------------------------------------------------------------------


DRAWN = [(Full(), "dirichlet"), (Tied(), "sticks"), (Diagonal(), "sticks, learned"), (Spherical(), "sticks, discount")]


@pytest.mark.parametrize(("structure", "gate"), DRAWN, ids=lambda part: getattr(part, "name", part))
def test_draws_have_the_expectations(structure, gate, rng):
    """Four standard errors of 80 draws."""
    x, draws = cases.blobs(rng, n=60, d=2, k=2), 80
    posterior = Mixture(prior(structure, x, 2), cases.EXPECTED[gate](x, 2))
    start = Mixture(cases.random_mixture(structure, x, 2, rng).components, posterior.gate)
    posterior = m_step(posterior, e_step(start, x))
    found = [drawn(posterior, rng) for _ in range(draws)]
    for part, expected in (
        (torch.stack([each.weights for each in found]), posterior.gate.weights),
        (torch.stack([each.gaussian.mean for each in found]), posterior.components.mean),
        (torch.stack([torch.cholesky_inverse(each.gaussian.chol) for each in found]),
         torch.linalg.inv(posterior.components.gaussian.cov)),
    ):  # fmt: skip
        away = (part.mean(0) - expected).abs()
        assert bool((away <= 4 * part.std(0) / draws**0.5 + 2e-3).all()), away


def test_what_is_no_posterior_is_not_drawn_from(rng):
    x = cases.blobs(rng, d=2)
    values = cases.random_mixture(Full(), x, 2, rng)
    with pytest.raises(TypeError, match="components are Gaussian; expected NormalWishart"):
        drawn(values, rng)
    with pytest.raises(TypeError, match="weights are Constant; expected DirichletWeights"):
        drawn(Mixture(prior(Full(), x, 2), values.gate), rng)
