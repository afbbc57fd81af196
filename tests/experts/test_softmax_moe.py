"""Softmax-gated experts: what their likelihood, their steps and their answers must be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.linear_model import GammaRegressor, LinearRegression, LogisticRegression

from gmmlab.errors import BadData, DataWarning
from gmmlab.experts import SoftmaxMoE, load, polish, voronoi_loss
from gmmlab.experts.fitting import climb
from gmmlab.families import LinearGaussian, ScaledLinear
from gmmlab.gates import Softmax
from gmmlab.kernels import multinomial
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, size=(500, 1))
    z = rng.random(500) < 1 / (1 + np.exp(-2 * x[:, 0]))
    return x, np.where(z, 1 + 1.5 * x[:, 0], -1 - 1.5 * x[:, 0]) + 0.5 * rng.normal(size=500)


@pytest.fixture(scope="module")
def fitted(data):
    return SoftmaxMoE(2, random_state=0).fit(*data).canonicalise()


def test_lines_and_gate_are_found(fitted):
    assert fitted.converged_
    np.testing.assert_allclose(fitted.coef_[:, 0], [-1.5, 1.5], atol=0.1)
    np.testing.assert_allclose(fitted.intercept_, [-1, 1], atol=0.15)
    np.testing.assert_allclose(fitted.gate_weights_[0], [0, -2], atol=0.5)
    assert fitted.gate_weights_[1].tolist() == [0, 0]


def test_one_expert_is_least_squares(data):
    x, y = data
    model, line = SoftmaxMoE(1).fit(x, y), LinearRegression().fit(x, y)
    np.testing.assert_allclose(model.coef_[0], line.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, line.intercept_, rtol=1e-9)
    np.testing.assert_allclose(model.variances_, np.mean((y - line.predict(x)) ** 2), rtol=1e-9)
    assert model.mixture_.n_parameters == 3


def test_weighted_lines_are_those_of_weighted_least_squares(data, fitted):
    x, y = data
    resp = fitted.responsibilities(x, y)
    rows = torch.from_numpy(np.column_stack([x, y]))
    experts = LinearGaussian.near(rows, torch.from_numpy(resp), inputs=[0], outputs=[1])
    for k in range(2):
        line = LinearRegression().fit(x, y, sample_weight=resp[:, k])
        np.testing.assert_allclose(experts.coef[k, 0], line.coef_, rtol=1e-9)
        np.testing.assert_allclose(experts.intercept[k], line.intercept_, rtol=1e-8)
        variance = np.average((y - line.predict(x)) ** 2, weights=resp[:, k])
        np.testing.assert_allclose(experts.cov[k, 0, 0], variance, rtol=1e-9)


def test_gate_is_a_logistic_regression_of_responsibilities(rng):
    """scikit-learn's, of rows that are repeated for each component with their responsibilities as weights."""
    x = torch.randn(200, 2, generator=rng, dtype=torch.float64)
    resp = torch.softmax(2 * torch.randn(200, 3, generator=rng, dtype=torch.float64) + x[:, :1], 1)
    z = torch.cat([x.new_ones(200, 1), x], 1)
    w = multinomial.solve(z, resp[:, None], torch.zeros(3, dtype=torch.float64), tol=1e-14)[0]
    labels = np.repeat(np.arange(3), 200)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    peer.fit(np.tile(x, (3, 1)), labels, sample_weight=resp.T.flatten())
    np.testing.assert_allclose(w[:, 1:] - w[:1, 1:], peer.coef_ - peer.coef_[:1], atol=1e-5)
    np.testing.assert_allclose(w[:, 0] - w[0, 0], peer.intercept_ - peer.intercept_[0], atol=1e-5)


def test_derivatives_are_those_of_autograd(rng):
    z = torch.randn(30, 3, generator=rng, dtype=torch.float64)
    targets = torch.rand(30, 2, 4, generator=rng, dtype=torch.float64)
    w = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64)

    def expected(w):
        return (targets * multinomial.log_odds(z, w)).sum()

    found = multinomial.derivatives(z, targets, multinomial.log_odds(z, w))
    torch.testing.assert_close(found.gradient, torch.autograd.functional.jacobian(expected, w))
    hessian = torch.autograd.functional.hessian(expected, w)
    for k in range(2):
        torch.testing.assert_close(found.curvature[k], -hessian[k, :, :, k])


@pytest.mark.parametrize("far", [0.0, 3.0, 30.0])
@pytest.mark.parametrize("curved", [True, False])
def test_steps_of_a_softmax_keep_what_they_promise(far, curved, rng):
    """The gain is at least what the bound says, wherever the step begins, also with a penalty."""
    z = torch.cat([torch.ones(50, 1), torch.randn(50, 2, generator=rng)], 1).double()
    targets = torch.rand(50, 2, 3, generator=rng, dtype=torch.float64).pow(4)
    penalty = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64)
    w = far * torch.randn(2, 3, 3, generator=rng, dtype=torch.float64)
    w = w - w.mean(1, keepdim=True)

    def objective(w):
        value = (targets * multinomial.log_odds(z, w)).sum((0, 2))
        return value - 0.5 * (penalty * w.square()).sum((1, 2))

    found = multinomial.derivatives(z, targets, multinomial.log_odds(z, w), curved=curved)
    step = multinomial.ascend(w, found, penalty, z.abs().amax(0))
    gained = objective(w + step.step) - objective(w)
    assert bool((gained >= step.gain - 1e-9).all()) and bool((step.gain > 0).all())


def test_both_solvers_reach_the_same_likelihood(data):
    both = [SoftmaxMoE(2, gate_solver=name, random_state=0, tol=1e-12).fit(*data) for name in ("newton", "mm")]
    assert both[0].lower_bound_ == pytest.approx(both[1].lower_bound_, rel=1e-6)
    assert both[0].n_iter_ < both[1].n_iter_
    for model in both:
        assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(model.loglik_path_))


def test_a_shift_of_the_gate_moves_no_density(fitted, data):
    x, y = data
    gate = fitted.mixture_.gate
    moved = fitted.mixture_.replace(gate=gate.replace(w=gate.w + torch.tensor([3.0, -2.0], dtype=torch.float64)))
    rows = torch.from_numpy(np.column_stack([x, y]))
    torch.testing.assert_close(moved.log_prob(rows), fitted.mixture_.log_prob(rows), rtol=1e-11, atol=1e-11)


def test_differential_equations_of_gate_and_expert():
    """With u = exp(w x) N(y; a x + b, s): d2u / dw db = du / da and d2u / db2 = 2 du / ds."""
    w, a, b, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, -0.4, 0.3, 0.6))
    x, y = torch.tensor(1.3).double(), torch.tensor(-0.2).double()
    u = torch.exp(w * x) * torch.exp(-0.5 * (y - a * x - b) ** 2 / s) / torch.sqrt(2 * torch.pi * s)
    db, da, ds = torch.autograd.grad(u, [b, a, s], create_graph=True)
    dwdb, dbdb = torch.autograd.grad(db, [w, b])
    torch.testing.assert_close(dwdb, da, rtol=1e-10, atol=0)
    torch.testing.assert_close(dbdb, 2 * ds, rtol=1e-10, atol=0)


def test_an_even_gate_without_slopes_is_a_mixture_of_regressions(data):
    x, y = data
    rows = torch.from_numpy(np.column_stack([x, y]))
    experts = LinearGaussian.near(rows, torch.rand(500, 2).double(), inputs=[0], outputs=[1])
    plain = Mixture(experts, Softmax.even(2, rows, []))
    density = torch.logsumexp(experts.table(experts.features(rows)) + np.log(0.5), 1)
    torch.testing.assert_close(plain.log_prob(rows), density)
    stats = e_step(plain, rows)
    torch.testing.assert_close(m_step(plain, stats).gate.weights, plain.posterior(rows).resp.mean(0))


def test_predictions_are_those_of_the_density(fitted):
    """Moments and quantiles from the density on a grid."""
    x = np.array([[-2.0], [0.1], [1.5]])
    grid = np.linspace(-14, 14, 40_001)
    for i in range(3):
        at = np.full((len(grid), 1), x[i, 0])
        density = np.exp(fitted.log_density(at, grid))
        mass = density / density.sum()
        mean = float(mass @ grid)
        assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-6)
        assert fitted.predict(x)[i] == pytest.approx(mean, abs=1e-6)
        assert fitted.predict_std(x)[i] == pytest.approx(np.sqrt(mass @ (grid - mean) ** 2), abs=1e-5)
        for p in (0.05, 0.5, 0.9):
            expected = grid[np.searchsorted(np.cumsum(mass), p)]
            assert fitted.predict_quantiles(x, [p])[i, 0] == pytest.approx(expected, abs=2e-3)
    y = np.array([1.0, 2.0, 0.0])
    theirs = fitted.predict_dist(x).log_prob(torch.from_numpy(y))
    np.testing.assert_allclose(theirs, fitted.log_density(x, y), rtol=1e-10)


def test_outputs_are_spread_evenly_over_their_distributions():
    """Draws of the model are uniform by it, and so are the rows; moved ones are not."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (2000, 1))
    y = np.where(x[:, 0] > 0, x[:, 0], -x[:, 0]) + 0.3 * rng.normal(size=2000)
    model = SoftmaxMoE(2, n_init=1, tol=1e-5, random_state=0).fit(x, y)
    drawn = model.sample(x, random_state=1)
    assert kstest(model.pit(x, drawn), "uniform").pvalue > 0.01
    lows = [model.predict_quantiles(x, [p])[:, 0] for p in (0.1, 0.9)]
    np.testing.assert_allclose(model.pit(x, lows[0]), 0.1, atol=1e-6)
    np.testing.assert_allclose(model.pit(x, lows[1]), 0.9, atol=1e-6)
    assert kstest(model.pit(x, y), "uniform").pvalue > 0.01
    assert kstest(model.pit(x, y + 0.2), "uniform").pvalue < 1e-6
    two = SoftmaxMoE(1).fit(x, np.c_[y, y + rng.normal(size=2000)])
    with pytest.raises(ValueError, match="no order"):
        two.pit(x, np.c_[y, y])


def test_load_is_shared_out():
    resp = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]).double()
    found = load(resp)
    torch.testing.assert_close(found.shares, torch.tensor([0.5, 0.5, 0.0]).double())
    assert found.entropy == pytest.approx(np.log(2)) and found.effective == pytest.approx(2)
    times = torch.tensor([3, 1, 2])
    torch.testing.assert_close(load(resp, times.double()).shares, load(resp.repeat_interleave(times, 0)).shares)


def test_draws_have_the_moments(fitted):
    x = np.full((40_000, 1), 0.3)
    y = fitted.sample(x, random_state=1)
    assert y.mean() == pytest.approx(fitted.predict(x[:1])[0], abs=0.03)
    assert y.std() == pytest.approx(fitted.predict_std(x[:1])[0], abs=0.03)


def test_weights_are_replication(data):
    x, y = data
    times = np.random.default_rng(1).integers(0, 3, len(x))
    labels = (y > 0).astype(int)
    weighted = SoftmaxMoE(2, init=labels).fit(x, y, sample_weight=times)
    repeated = SoftmaxMoE(2, init=np.repeat(labels, times)).fit(np.repeat(x, times, 0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-6)
    assert weighted.bic(x, y, times) == pytest.approx(
        repeated.bic(np.repeat(x, times, 0), np.repeat(y, times)), rel=1e-8
    )


def test_several_outputs_and_columns_of_the_gate(rng):
    x = torch.randn(400, 2, generator=rng, dtype=torch.float64)
    g = torch.randn(400, 1, generator=rng, dtype=torch.float64)
    noise = 0.1 * torch.randn(400, 2, generator=rng, dtype=torch.float64)
    y = torch.where(g > 0, x @ torch.tensor([[1.0, 2.0], [0.5, -1.0]]).double(), -x) + noise
    model = SoftmaxMoE(2, reg_gate=0.04, random_state=0).fit(x, y, Xg=g)
    assert isinstance(model.predict(x, Xg=g), torch.Tensor)
    assert float(((model.predict(x, Xg=g) - y) ** 2).mean()) < 0.1
    assert model.coef_.shape == (2, 2, 2) and model.variances_.shape == (2, 2, 2)
    with pytest.raises(BadData, match="as the gate was fitted to"):
        model.predict(x)


def test_steps_can_be_taken_one_by_one(data):
    ways = SoftmaxMoE(2, random_state=0, n_init=1)
    end = climb(ways.steps(*data), 1000)
    assert end.bounds == pytest.approx(ways.fit(*data).loglik_path_[: len(end.bounds)], rel=1e-8, abs=1e-8)


def test_a_session_knows_weights_and_columns_of_the_gate():
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(80, 1)), rng.normal(size=(80, 2))
    y, times = np.where(g[:, 0] > 0, x[:, 0], -x[:, 0]) + 0.1 * rng.normal(size=80), rng.integers(1, 3, 80)
    model = SoftmaxMoE(2, n_init=1, tol=1e-3, random_state=0)
    session = model.watch(x, y, times, g)
    try:
        assert session.names == ["x0", "gate 0", "gate 1", "y"]
        session.play()
        session.wait(60)
        model.fit(x, y, times, g)
        torch.testing.assert_close(session.snapshot.model.components.coef, model.mixture_.components.coef)
    finally:
        session.close()


@pytest.mark.parametrize("heteroscedastic", [False, True])
def test_nothing_higher_is_found_by_other_means(heteroscedastic, data):
    """L-BFGS over all parameters: from the end of EM it gains nothing, from its second step it comes to the same."""
    rows = torch.from_numpy(np.column_stack(data))
    ways = SoftmaxMoE(2, heteroscedastic=heteroscedastic, random_state=0, n_init=1, tol=1e-11)
    end = float(ways.fit(*data).mixture_.log_prob(rows).mean())
    assert float(polish(ways.mixture_, rows).log_prob(rows).mean()) == pytest.approx(end, abs=1e-7)
    early = climb(ways.steps(*data), 2).model
    assert float(early.log_prob(rows).mean()) < end - 1e-5
    assert float(polish(early, rows).log_prob(rows).mean()) == pytest.approx(end, abs=1e-6)


def test_noise_that_grows_with_x_is_a_gamma_regression_of_squares(rng):
    """For one expert: weighted least squares, and scikit-learn's Gamma regression of squared residuals."""
    x = torch.rand(800, 1, generator=rng, dtype=torch.float64) * 4
    y = 1 + 2 * x[:, 0] + torch.exp(0.5 * (-2 + 0.8 * x[:, 0])) * torch.randn(800, generator=rng).double()
    model = SoftmaxMoE(1, heteroscedastic=True, tol=1e-14).fit(x.numpy(), y.numpy())
    found = torch.from_numpy(model.log_variances_[0])
    np.testing.assert_allclose(found, [-2, 0.8], atol=0.2)
    variance = torch.exp(found[0] + found[1] * x[:, 0]).numpy()
    line = LinearRegression().fit(x.numpy(), y.numpy(), sample_weight=1 / variance)
    np.testing.assert_allclose(model.coef_[0], line.coef_, rtol=1e-6)
    squares = (y.numpy() - model.predict(x.numpy())) ** 2
    peer = GammaRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(x.numpy(), squares)
    np.testing.assert_allclose(found, [peer.intercept_, peer.coef_[0]], rtol=1e-4)
    np.testing.assert_allclose(model.predict_std(x.numpy()), np.sqrt(variance), rtol=1e-6)


def test_noise_without_slopes_is_the_variance(data):
    x, y = data
    rows, none = torch.from_numpy(np.column_stack([x, y])), torch.zeros(2, 1, dtype=torch.float64)
    resp = torch.softmax(torch.randn(500, 2, generator=torch.Generator().manual_seed(0)), 1).double()
    scaled = ScaledLinear.near(rows, resp, inputs=[0], outputs=[1])
    plain = scaled.lines
    assert torch.equal(scaled.noise[:, 1:], none)
    features = scaled.features(rows)
    torch.testing.assert_close(scaled.table(features), plain.table(plain.features(rows)))
    torch.testing.assert_close(scaled.factors(rows), plain.factors(rows))
    gradient = scaled.replace(turn=True).stats(features, resp).gradient
    torch.testing.assert_close(gradient[:, 0], none[:, 0], rtol=0, atol=1e-8)


def test_voronoi_loss_is_zero_at_the_truth_however_it_is_written(fitted):
    mixture = fitted.mixture_
    turned = mixture.replace(
        components=mixture.components.take(torch.tensor([1, 0])), gate=mixture.gate.take(torch.tensor([1, 0]))
    )
    shifted = turned.replace(gate=turned.gate.replace(w=turned.gate.w + torch.tensor([0.7, 1.9]).double()))
    assert voronoi_loss(shifted, mixture) == pytest.approx(0, abs=1e-6)
    level = mixture.components.level + torch.tensor([[0.1], [0.0]]).double()
    off = mixture.replace(components=mixture.components.replace(level=level))
    weights = torch.softmax(mixture.gate.intercepts, 0)
    assert voronoi_loss(off, mixture) == pytest.approx(0.1 * float(weights[0]), rel=1e-2)


def test_what_cannot_be_fitted_is_refused_in_words(data):
    x, y = data
    with pytest.raises(BadData, match="y contains NaN"):
        SoftmaxMoE().fit(torch.from_numpy(x), torch.full((500,), torch.nan))
    with pytest.raises(BadData, match="n_experts=9 and n_samples=5"):
        SoftmaxMoE(9).fit(x[:5], y[:5])
    with pytest.warns(DataWarning, match="pass through their rows"):
        SoftmaxMoE(2).fit(x[:5], y[:5])
    model = SoftmaxMoE(1).fit(x, y)
    with pytest.raises(ValueError, match="probabilities between 0 and 1"):
        model.predict_quantiles(x, [0.0])
    with pytest.raises(TypeError, match=r"bind it to them first"):
        model.mixture_.gate.posterior(torch.zeros(3, 1, dtype=torch.float64))
    with pytest.raises(TypeError, match="draw outputs for given inputs"):
        model.mixture_.components.sample(torch.zeros(3, dtype=torch.long), torch.Generator())
