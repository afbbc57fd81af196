"""Laws of uncertainty: exact derivatives, textbook formulas for one component, and the bootstrap beside them."""

from __future__ import annotations

import math

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import Full, Gaussian, Structure
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture
from gmmlab.score.information import UNITS, Chart, observed_information
from gmmlab.score.uncertainty import (
    align,
    bhattacharyya,
    bootstrap_model,
    bootstrap_rows,
    counts,
    exponential,
    match,
    summary,
)
from gmmlab.steps import e_step, m_step


@pytest.fixture(params=[kind.__name__ for kind in UNITS])
def structure(request: pytest.FixtureRequest) -> Structure:
    """Those that are linear spaces: only they have an observed information here."""
    return cases.STRUCTURES[request.param]


def climb(x: Tensor, weight: Tensor, model: Mixture, steps: int) -> Mixture:
    """EM on weighted rows."""
    for _ in range(steps):
        model = m_step(model, e_step(model, x, weight))
    return model


def fitted(x: Tensor, model: Mixture, steps: int = 300) -> Mixture:
    return climb(x, torch.ones(len(x), dtype=torch.float64), model, steps)


def loglik(chart: Chart, x: Tensor, weight: Tensor, theta: Tensor) -> Tensor:
    """The total log-likelihood as a function of the coordinates, straight from its definition."""
    log_w, mean, square = chart.unpack(theta)
    chol = torch.linalg.cholesky(square if square.ndim == 3 else torch.diag_embed(square))
    z = torch.linalg.solve_triangular(chol, (x - mean[:, None]).mT, upper=False)
    log_det = chol.diagonal(dim1=1, dim2=2).log().sum(1)
    table = -0.5 * z.square().sum(1) - log_det[:, None] - 0.5 * chart.d * math.log(2 * math.pi)
    return (weight * (log_w[:, None] + table).logsumexp(0)).sum()


@pytest.fixture
def apart(structure, rng) -> tuple[Tensor, Mixture]:
    """Three well separated clouds of 600 rows, and the mixture fitted to them."""
    x = cases.blobs(rng, n=600, d=2, spread=12.0)
    mean = torch.stack([x[k::3].mean(0) for k in range(3)])
    start = Gaussian.of(mean, torch.eye(2).expand(3, 2, 2), structure, origin=x.mean(0))
    return x, fitted(x, Mixture(start, Constant.of(torch.ones(3))), steps=40)


# -- the observed information ------------------------------------------------------------------------------------------


def test_information_equals_automatic_differentiation(structure, rng):
    """Anywhere, not only at a maximum, and with weights: gradient, Hessian and scores."""
    x = cases.blobs(rng, n=20, d=2)
    mixture = cases.random_mixture(structure, x, 3, rng)
    weight = torch.rand(20, generator=rng, dtype=torch.float64)
    info = observed_information(mixture, x, weight)
    assert len(info.theta) == mixture.n_parameters
    each = torch.func.jacrev(lambda t: loglik_rows(info.chart, x, t))(info.theta)
    torch.testing.assert_close(info.empirical, (each.T * weight) @ each, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(info.gradient, weight @ each, rtol=1e-9, atol=1e-9)
    hessian = torch.func.jacrev(torch.func.jacrev(lambda t: loglik(info.chart, x, weight, t)))(info.theta)
    torch.testing.assert_close(info.observed, -hessian, rtol=1e-9, atol=1e-9 * float(hessian.abs().max()))


def test_information_of_noise_holds_its_weight(structure, rng):
    """The coordinates are those of the components: noise keeps its weight and its box."""
    x = cases.blobs(rng, n=20, d=2)
    mixture = cases.random_mixture(structure, x, 3, rng)
    noisy = mixture.replace(gate=Noisy.around(x, mixture.weights, 0.2))
    info, level = observed_information(noisy, x), noisy.gate.log_none - (x.amax(0) - x.amin(0)).log().sum()

    def total(theta: Tensor) -> Tensor:
        rows = loglik_rows(info.chart, x, theta) + math.log(0.8)
        return torch.logaddexp(rows, level.expand_as(rows)).sum()

    hessian = torch.func.jacrev(torch.func.jacrev(total))(info.theta)
    torch.testing.assert_close(info.observed, -hessian, rtol=1e-9, atol=1e-9 * float(hessian.abs().max()))


def loglik_rows(chart: Chart, x: Tensor, theta: Tensor) -> Tensor:
    return torch.stack([loglik(chart, row[None], torch.ones(1, dtype=torch.float64), theta) for row in x])


def test_coordinates_lead_back_to_the_mixture(mixture):
    chart = Chart.of(mixture.components)
    log_w, mean, square = chart.unpack(chart.pack(mixture))
    torch.testing.assert_close(log_w, mixture.gate.log_w)
    torch.testing.assert_close(mean, mixture.components.mean)
    expected = mixture.components.cov if mixture.components.structure.dense else mixture.components.chol**2
    torch.testing.assert_close(square, expected)


def test_one_component_has_the_errors_of_the_textbook(structure, rng):
    """sd / n^1/2 for means; (S_ii S_jj + S_ij^2) / n for the elements of a covariance, Anderson (2003), eq. 3.4.23."""
    n, d = 400, 3
    x = cases.blobs(rng, n=n, d=d, k=1)
    mixture = fitted(x, cases.random_mixture(structure, x, 1, rng), steps=2)
    info = observed_information(mixture, x)
    errors, cov = info.errors(info.covariance), mixture.components.cov[0]
    variances = cov.diagonal()
    assert info.gap < 1e-8 and errors.weights.tolist() == [0.0]
    torch.testing.assert_close(errors.mean[0], (variances / n).sqrt())
    expected = ((variances[:, None] * variances + cov**2) / n).sqrt()
    expected = cases.within(structure, expected)
    if not structure.dense:
        expected = expected.diagonal().diag()
    if structure.spherical:
        expected = expected / d**0.5  # one variance out of d times as many squares
    torch.testing.assert_close(errors.cov[0], expected)


def test_a_row_of_weight_two_is_two_rows(apart):
    x, mixture = apart
    weight = torch.ones(len(x), dtype=torch.float64)
    weight[:100] = 2
    once, twice = observed_information(mixture, x, weight), observed_information(mixture, torch.cat([x, x[:100]]))
    for left, right in zip(once[2:], twice[2:], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9 * (1 + float(right.abs().max())))


def test_errors_follow_the_units_of_the_columns(apart):
    x, mixture = apart
    scale = torch.tensor([1e-5, 1e5], dtype=torch.float64)
    if mixture.gaussian.structure.spherical:
        scale = scale.new_full((2,), 1e5)
    components = Gaussian.of(
        mixture.components.mean * scale,
        mixture.components.cov * scale[:, None] * scale,
        mixture.components.structure,
        origin=mixture.components.origin * scale,
    )
    infos = observed_information(mixture, x), observed_information(mixture.replace(components=components), x * scale)
    plain, scaled = (info.errors(info.covariance) for info in infos)
    torch.testing.assert_close(scaled.weights, plain.weights, rtol=1e-6, atol=0)
    torch.testing.assert_close(scaled.mean / scale, plain.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(scaled.cov / (scale[:, None] * scale), plain.cov, rtol=1e-6, atol=0)


def test_where_the_model_is_right_all_three_covariances_agree(apart, rng):
    _, truth = apart
    x = truth.sample(20_000, rng)[0]
    info = observed_information(fitted(x, truth, steps=30), x)
    plain, *others = (info.errors(c) for c in (info.covariance, info.empirical_covariance, info.sandwich))
    for other in others:
        for left, right in zip(plain, other, strict=True):
            seen = left > 0
            torch.testing.assert_close(left[seen], right[seen], rtol=0.1, atol=0)


def test_errors_of_weights_are_binomial_where_labels_are_certain(apart):
    x, mixture = apart
    info = observed_information(mixture, x)
    w = mixture.weights
    torch.testing.assert_close(info.errors(info.covariance).weights, (w * (1 - w) / len(x)).sqrt(), rtol=0.02, atol=0)


def test_the_gap_tells_an_unfinished_fit(rng):
    x = cases.blobs(rng, n=500, d=2, k=2)
    start = fitted(x, cases.random_mixture(Full(), x, 2, rng), steps=400)
    assert observed_information(start, x).gap < 1e-3
    moved = start.components.mean + 0.3 * start.components.cov.diagonal(dim1=1, dim2=2).sqrt() / 250**0.5
    info = observed_information(start.replace(components=start.components.replace(mean=moved)), x)
    assert info.gap == pytest.approx(0.3, rel=0.5)


def test_what_has_no_information_is_refused(rng):
    x = cases.blobs(rng, n=100, d=2)
    one = fitted(x, cases.random_mixture(Full(), x, 1, rng), steps=2)
    twins = Mixture(one.components.take(torch.tensor([0, 0])), Constant.of(torch.ones(2)))
    with pytest.raises(NotPositiveDefinite, match="not at a strict maximum"):
        _ = observed_information(twins, x).covariance
    with pytest.raises(ValueError, match="weight zero"):
        observed_information(twins.replace(gate=Constant.of(torch.tensor([1.0, 0.0]))), x)

    class Odd(Full):
        pass

    odd = one.replace(components=one.components.replace(structure=Odd()))
    with pytest.raises(ValueError, match=r"for the structures VVV, Blocks, EEE.*bootstrap works for every structure"):
        observed_information(odd, x)


# -- the bootstrap -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [counts, exponential])
def test_weights_of_rows_have_mean_one_and_variance_one(scheme, rng):
    weight = scheme(20_000, rng)
    assert float(weight.sum()) == pytest.approx(20_000) and bool((weight >= 0).all())
    assert float(weight.var()) == pytest.approx(1, abs=0.1)


def agreement(truth: Mixture, n: int, draws: int, rng: torch.Generator) -> list[Tensor]:
    """Log ratios of the standard errors of both bootstraps to those of the information, on rows from the model."""
    x = truth.sample(n, rng)[0]
    model = fitted(x, truth, steps=8)
    info = observed_information(model, x)
    expected = info.errors(info.covariance)
    by_rows = bootstrap_rows(model, n, lambda w, s: climb(x, w, s, 3), rng, draws=draws, scheme=exponential)
    by_model = bootstrap_model(model, n, lambda rows, s: fitted(rows, s, 3), rng, draws=draws)
    ratios = []
    for replicates in (by_rows, by_model):
        assert replicates.failed == 0
        pairs = [(a[b > 0], b[b > 0]) for a, b in zip(replicates.errors, expected, strict=True)]
        ratios.append(torch.cat([(a / b).log() for a, b in pairs]))
    return ratios


def test_bootstrap_and_information_agree(apart, rng):
    """Standard errors of 60 replicates are themselves right to 1 / 120^1/2, 9 %."""
    for ratio in agreement(apart[1], 600, 60, rng):
        assert float(ratio.square().mean().sqrt()) < 0.18 and float(ratio.abs().max()) < 0.45


@pytest.mark.slow
def test_many_replicates_agree_closely(apart, rng):
    """Standard errors of 300 replicates are right to 4 %; what is left is of order 1 / n^1/2."""
    for ratio in agreement(apart[1], 2000, 300, rng):
        assert float(ratio.square().mean().sqrt()) < 0.08 and float(ratio.abs().max()) < 0.2


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(rng):
    """Means of two far clouds, 40 data sets of 4 means each: 160 intervals, of which 80 % to 97 % should hold."""
    mean = torch.tensor([[0.0, 0.0], [20.0, 5.0]], dtype=torch.float64)
    truth = Mixture(Gaussian.of(mean, torch.eye(2).expand(2, 2, 2)), Constant.of(torch.ones(2)))
    held = []
    for _ in range(40):
        x = truth.sample(200, rng)[0]

        def refit(weight: Tensor, start: Mixture, x: Tensor = x) -> Mixture:
            return climb(x, weight, start, 1)

        replicates = bootstrap_rows(fitted(x, truth, 2), 200, refit, rng, draws=60)
        low, high = replicates.interval(0.9)
        held.append((low.mean <= mean) & (mean <= high.mean))
    assert 0.8 < float(torch.stack(held).double().mean()) < 0.97


def test_components_are_matched_to_the_original(mixture, rng):
    order = torch.randperm(mixture.k, generator=rng).to(mixture.weights.device)
    shuffled = Mixture(mixture.components.take(order), mixture.gate.take(order))
    back = align(shuffled, mixture)
    assert torch.equal(back.components.mean, mixture.components.mean) and torch.equal(back.weights, mixture.weights)
    with pytest.raises(ValueError, match="expected the same numbers"):
        align(mixture, mixture.replace(components=mixture.components.take(order[:1])))


def test_bhattacharyya_equals_the_integral(structure, rng):
    x = cases.blobs(rng, d=1, k=2)
    left, right = (cases.random_mixture(structure, x, 2, rng) for _ in range(2))
    axis = torch.linspace(-100, 100, 20_001, dtype=torch.float64)[:, None]
    tables = [torch.cat(list(m.tables(axis))).exp() for m in (left, right)]
    affinity = tables[0].sqrt().T @ tables[1].sqrt() * 0.01
    torch.testing.assert_close(bhattacharyya(left.components, right.components), -affinity.log())
    same = bhattacharyya(left.components, left.components).diagonal()
    torch.testing.assert_close(same, torch.zeros_like(same))
    assert match(torch.tensor([[5.0, 1.0], [1.0, 9.0]])).tolist() == [1, 0]


def test_refits_that_fail_are_counted_and_too_few_are_refused(rng):
    x = cases.blobs(rng, n=50, d=2)
    mixture = cases.random_mixture(Full(), x, 2, rng)
    turn = iter(range(100))

    def refit(weight: Tensor, start: Mixture) -> Mixture:
        if next(turn) % 2:
            raise NotPositiveDefinite("no")
        return start

    found = bootstrap_rows(mixture, 50, refit, rng, draws=10)
    assert found.failed == 5 and len(found.weights) == 5 and float(found.errors.mean.max()) == 0
    with pytest.raises(ValueError, match="0 of 3 refits succeeded"):
        summary(mixture, [None] * 3)
    with pytest.raises(ValueError, match="level of an interval is 1"):
        found.interval(1.0)
