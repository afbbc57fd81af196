"""Censored entries: densities and moments against quadrature, EM that climbs to where it is flat, and special cases."""

from __future__ import annotations

from itertools import islice, pairwise, product

import cases
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from gmmlab import algebra, fit
from gmmlab.algebra import censored as answers
from gmmlab.errors import BadData
from gmmlab.families import Diagonal, Full, Gaussian, Spherical, Tied
from gmmlab.families.censored import Entries, entries
from gmmlab.fit.censored import censored
from gmmlab.fit.missing import observed
from gmmlab.gates import Constant, Noisy
from gmmlab.kernels.boxes import drawn_in_correlated_box, inside_correlated_box, rule
from gmmlab.kernels.truncation import inside_interval, taken
from gmmlab.model import Mixture

INF = torch.inf
X, W = (torch.tensor(part) for part in np.polynomial.legendre.leggauss(40))


def double(*values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Points and weights of Gauss and Legendre in a box with ends."""
    half = (high - low) / 2
    points = torch.cartesian_prod(*((low + half * (1 + X[:, None])).T)).view(-1, len(low))
    return points, torch.cartesian_prod(*(half[:, None] * W)).view(-1, len(low)).prod(1)


def by_quadrature(mean: Tensor, cov: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log probability of a box, and moments inside, by a grid of points."""
    points, weights = grid(low, high)
    density = torch.distributions.MultivariateNormal(mean, cov).log_prob(points).exp() * weights
    share = density / density.sum()
    middle = share @ points
    apart = points - middle
    return density.sum().log(), middle, (share[:, None] * apart).T @ apart


def some_covariance(c: int, strength: float, seed: int) -> Tensor:
    a = torch.randn(c, c, generator=seeded(seed), dtype=torch.float64)
    cov = strength * (a @ a.T) / c + torch.eye(c, dtype=torch.float64)
    scale = torch.rand(c, generator=seeded(seed + 1), dtype=torch.float64) + 0.5
    return scale[:, None] * cov * scale


# kernels


@pytest.mark.parametrize(("c", "tol"), [(2, 1e-6), (3, 2e-5)])
@pytest.mark.parametrize("seed", range(4))
def test_a_box_against_quadrature(c, tol, seed):
    cov = torch.stack([some_covariance(c, strength, seed) for strength in (0.3, 2.0)])
    low = torch.randn(2, c, generator=seeded(seed), dtype=torch.float64)
    high = low + 0.5 + 2 * torch.rand(2, c, generator=seeded(seed), dtype=torch.float64)
    which = torch.tensor([0, 1])
    found = inside_correlated_box(torch.linalg.cholesky(cov), which, low, high, rule(31 if c == 2 else 127, c - 1))
    for i in (0, 1):
        log_mass, mean, within = by_quadrature(torch.zeros(c).double(), cov[i], low[i], high[i])
        torch.testing.assert_close(found.log_mass[i], log_mass, rtol=0.0, atol=tol)
        torch.testing.assert_close(found.mean[i], mean, rtol=0.0, atol=5 * tol)
        torch.testing.assert_close(found.cov[i], within, rtol=0.0, atol=20 * tol)


@pytest.mark.parametrize("correlation", [-0.7, 0.2, 0.95])
def test_two_columns_against_scipys_distribution_function(correlation):
    cov = double([1.0, correlation], [correlation, 1.0])
    ends = torch.stack([double(*u) for u in product((-1.5, 0.0, 0.8, INF), repeat=2)])
    chol, low = torch.linalg.cholesky(cov)[None], torch.full_like(ends, -INF)
    found = inside_correlated_box(chol, torch.zeros(len(ends), dtype=torch.int64), low, ends, rule(31, 1))
    law = stats.multivariate_normal(cov=cov.numpy(), abseps=1e-9, releps=1e-9)
    expected = [law.cdf(np.minimum(u, 40)) for u in ends.numpy()]
    np.testing.assert_allclose(found.log_mass.exp().numpy(), expected, rtol=0.0, atol=1e-7)


def test_columns_may_come_in_any_order():
    cov, order = some_covariance(4, 1.0, 0), torch.tensor([2, 0, 3, 1])
    low, high = double(-1.0, 0.5, -INF, 0.2)[None], double(0.3, INF, 1.0, 0.6)[None]
    one = torch.tensor([0])
    found = inside_correlated_box(torch.linalg.cholesky(cov)[None], one, low, high, rule(127, 3))
    turned = torch.linalg.cholesky(cov[order][:, order])[None]
    other = inside_correlated_box(turned, one, low[:, order], high[:, order], rule(127, 3))
    torch.testing.assert_close(found.mean[:, order], other.mean)
    torch.testing.assert_close(found.cov[:, order][:, :, order], other.cov)


@pytest.mark.parametrize(("m", "d"), [(8, 1), (31, 1), (127, 2), (127, 3), (64, 6)])
def test_points_average_smooth_functions(m, d):
    points, weights = rule(m, d)
    assert points.shape == (m, d) and bool(((points >= 0) & (points <= 1)).all())
    assert float(weights.sum()) == pytest.approx(1)
    assert float(weights @ points.prod(1)) == pytest.approx(0.5**d, rel=1e-3 if d == 1 else 0.06 if d < 5 else 0.25)


@pytest.mark.parametrize("far", [5.0, 20.0, 60.0, 1e4])
@pytest.mark.parametrize("width", [1e-9, 1e-3, 1.0, INF])
def test_tails_keep_their_digits(far, width):
    """On both sides; in units of what an exponential of the same slope would have, which far tails come near."""
    low = double(far)
    log_a, mean, variance = inside_interval(low, low + width)
    reach = float(low + width - low)  # as it is held
    slope = torch.linspace(0, 1, 2_000_001, dtype=torch.float64) * min(reach, 60 / far)
    density = (-slope * (far + slope / 2)).exp()
    mass = torch.trapezoid(density, slope)
    middle = torch.trapezoid(slope * density, slope) / mass
    spread = torch.trapezoid((slope - middle).square() * density, slope) / mass
    assert float(log_a) == pytest.approx(stats.norm.logpdf(far) + float(mass.log()), rel=1e-10)
    assert float(mean - far) == pytest.approx(float(middle), rel=1e-6, abs=1e-15 * far)
    assert float(variance) == pytest.approx(float(spread), rel=1e-6)
    mirrored = inside_interval(-(low + width), -low)
    torch.testing.assert_close(torch.stack(mirrored), torch.stack((log_a, -mean, variance)), rtol=1e-12, atol=0.0)
    log_mass, z = taken(low.expand(9), (low + width).expand(9), torch.linspace(0, 1, 11).double()[1:-1])
    torch.testing.assert_close(log_mass, log_a.expand(9))
    assert bool((z >= low).all()) and bool((z <= low + width).all()) and bool((z.diff() >= 0).all())


def test_draws_have_the_moments_of_their_box():
    cov = some_covariance(3, 1.0, 2)
    low, high = double(-0.5, 0.3, -INF)[None].expand(20_000, -1), double(1.0, INF, 0.2)[None].expand(20_000, -1)
    chol, which = torch.linalg.cholesky(cov)[None], torch.zeros(20_000, dtype=torch.int64)
    drawn = drawn_in_correlated_box(chol, which, low, high, seeded())
    found = inside_correlated_box(chol, which[:1], low[:1], high[:1], rule(509, 2))
    assert bool(((drawn > low) & (drawn < high)).all())
    torch.testing.assert_close(drawn.mean(0), found.mean[0], rtol=0.0, atol=0.02)
    torch.testing.assert_close(drawn.T.cov(), found.cov[0], rtol=0.0, atol=0.03)


# rows


def hide(x: Tensor, share: float = 0.3, gone: float = 0.05) -> Entries:
    """What is low in its column is known to be, and some entries are gone."""
    limit = x.quantile(share, 0)
    low, high = torch.full_like(x, -INF), torch.where(x < limit, limit, INF)
    missing = torch.rand(x.shape, generator=seeded(9)) < gone
    high = torch.where(missing, INF, high)
    return Entries(torch.where((x < limit) | missing, torch.nan, x), low, high)


def one_a_row(x: Tensor) -> Entries:
    """One entry of each second row lies between limits of its own, open on either side or on none."""
    n, d = x.shape
    picked = torch.nn.functional.one_hot(torch.arange(n) % d, d).bool() & (torch.arange(n) % 2 == 0)[:, None]
    width = torch.rand(x.shape, generator=seeded(3), dtype=torch.float64) * 2
    side = torch.randint(3, x.shape, generator=seeded(4))
    low = torch.where(picked & (side != 0), x - width, -INF)
    high = torch.where(picked & (side != 1), x + width, INF)
    return Entries(torch.where(picked, torch.nan, x), low, high)


def test_a_row_is_the_density_of_what_is_seen_times_the_probability_of_the_limits():
    """And its statistics are expectations of complete rows, by a grid over what is not seen."""
    mean, cov = (
        double([0.0, 0.5, -0.3, 1.0], [1.0, -0.5, 0.7, 0.0]),
        torch.stack([some_covariance(4, 1.0, s) for s in (0, 5)]),
    )
    gaussian = Gaussian.of(mean, cov, Full(), origin=double(0.3, -0.2, 0.1, 0.4))
    model = Mixture(gaussian, Constant.of(double(0.3, 0.7)))
    row = Entries(
        double(0.4, torch.nan, torch.nan, torch.nan)[None],
        double(-INF, -0.5, 0.2, -INF)[None],
        double(INF, 1.0, 1.1, INF)[None],
    )
    points, weights = grid(double(-0.5, 0.2, -7.0), double(1.0, 1.1, 8.0))
    points = torch.cat([torch.full((len(points), 1), 0.4).double(), points], dim=1)
    table = torch.stack(
        [torch.distributions.MultivariateNormal(m, c).log_prob(points) for m, c in zip(mean, cov, strict=True)]
    )
    joint = model.weights[:, None] * table.exp() * weights
    stats_ = censored(row)(model)
    assert float(stats_.evidence) == pytest.approx(float(joint.sum().log()), abs=1e-6)
    resp = joint.sum(1) / joint.sum()
    torch.testing.assert_close(stats_.gate.w, resp, rtol=1e-6, atol=0.0)
    y, share = points - gaussian.origin, joint / joint.sum()
    torch.testing.assert_close(stats_.components.s1, share @ y, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(stats_.components.s2, torch.einsum("kn,nd,ne->kde", share, y, y), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(answers.impute(model, row)[0], share.sum(0) @ points, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal(), Spherical()], ids=lambda s: s.name)
@pytest.mark.parametrize("make", [lambda x: hide(x, gone=0.0), one_a_row], ids=["several", "one"])
def test_the_likelihood_never_falls(structure, make):
    x = cases.blobs(seeded(), n=90, d=3, k=2, spread=1.5)
    rows, model = make(x), cases.random_mixture(structure, x, 2, seeded(1))
    assert len({len(p.bounded) for p in rows.patterns}) > 1
    trace = [step.info.evidence for step in islice(fit.run(model, censored(rows), stop=fit.plateau(-1.0)), 15)]
    several = max(len(p.bounded) for p in rows.patterns) > 1
    slack = 1e-7 if structure.dense and several else 1e-12  # the error of an integral, or rounding
    assert trace[-1] > trace[0]
    assert all(after >= before - slack * abs(before) for before, after in pairwise(trace))
    assert float(answers.posterior(model, rows).evidence.mean()) == pytest.approx(trace[0])


def test_em_rests_where_the_gradient_is_zero():
    """The likelihood by automatic differentiation of textbook formulas; some rows have two bounded entries."""
    x = cases.blobs(seeded(2), n=48, d=2, k=2, spread=3.0)
    low, high = x - 0.3, x + 0.9
    hidden = torch.stack([torch.arange(48) % 4 % 2 == 1, torch.arange(48) % 4 >= 2], dim=1)
    rows = Entries(torch.where(hidden, torch.nan, x), low, high)
    begin = cases.random_mixture(Full(), x, 2, seeded(1))
    end = fit.last(fit.run(begin, censored(rows), transform=fit.squarem(), stop=lambda step: step.i == 60)).model
    now = (end.gaussian.mean, end.gaussian.cov, end.gate.log_w)
    mean, cov, log_w = (t.detach().clone().requires_grad_() for t in now)

    def row(i: int, k: int) -> Tensor:
        (first, second), m, c = hidden[i].tolist(), mean[k], (cov[k] + cov[k].T) / 2
        law = torch.distributions.MultivariateNormal(m, c)
        if not first and not second:
            return law.log_prob(x[i])
        if first and second:
            points, weights = grid(low[i], high[i])
            return (law.log_prob(points).exp() @ weights).log()
        j, o = (0, 1) if first else (1, 0)  # bounded, seen
        middle, spread = m[j] + c[j, o] / c[o, o] * (x[i, o] - m[o]), (c[j, j] - c[j, o] ** 2 / c[o, o]).sqrt()
        given = torch.distributions.Normal(middle, spread)
        share = given.cdf(high[i, j]) - given.cdf(low[i, j])
        return torch.distributions.Normal(m[o], c[o, o].sqrt()).log_prob(x[i, o]) + share.log()

    table = torch.stack([row(i, k) for i in range(48) for k in range(2)]).view(48, 2)
    loglik = (table + log_w - log_w.logsumexp(0)).logsumexp(1).mean()
    assert float(censored(rows)(end).score) == pytest.approx(float(loglik.detach()), abs=1e-7)
    slopes = torch.autograd.grad(loglik, (mean, cov, log_w))
    assert max(float(g.abs().max()) for g in slopes) < 1e-5


@pytest.mark.parametrize("structure", [Full(), Diagonal()], ids=lambda s: s.name)
def test_entries_without_limits_are_missing(structure, dtype):
    x = cases.blobs(seeded(), n=200, d=4).to(dtype)
    x[torch.rand(x.shape, generator=seeded(1)) < 0.2] = torch.nan
    model = cases.random_mixture(structure, cases.blobs(seeded(), n=200, d=4).to(dtype), 3, seeded())
    weight = torch.rand(200, generator=seeded(2)).to(dtype)
    for w in (None, weight):
        left, right = censored(entries(x), w)(model), observed(x, w)(model)
        for one, other in ((left.components, right.components), (left, right)):
            assert torch.equal(
                one.s2 if one is left.components else one.evidence,
                other.s2 if one is left.components else other.evidence,
            )
    found, other = answers.posterior(model, entries(x)), algebra.posterior(model, x)
    torch.testing.assert_close(found.resp, other.resp)
    torch.testing.assert_close(found.evidence, other.evidence)
    torch.testing.assert_close(answers.impute(model, entries(x)), algebra.impute(model, x))


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_limits_that_are_close_are_a_value(width):
    x = cases.blobs(seeded(), n=60, d=3)
    model = cases.random_mixture(Full(), x, 2, seeded())
    hidden = torch.rand(x.shape, generator=seeded(1)) < 0.5
    rows = Entries(torch.where(hidden, torch.nan, x), x - width / 2, x + width / 2)
    real = (rows.high - rows.low).log().where(hidden, 0.0).sum(1)  # widths as they are held
    torch.testing.assert_close(
        answers.posterior(model, rows).evidence - real, model.log_prob(x), rtol=0.0, atol=width + 1e-14 / width
    )
    torch.testing.assert_close(answers.impute(model, rows), x, rtol=0.0, atol=width)
    one, other = censored(rows)(model).components, fit.whole(x)(model).components
    torch.testing.assert_close(one.s2, other.s2, rtol=0.0, atol=10 * width + 1e-13 / width)  # of 60 rows


@pytest.mark.parametrize("structure", [Full(), Diagonal()], ids=lambda s: s.name)
def test_limits_far_from_all_components_are_finite(structure):
    x = cases.blobs(seeded(), n=40, d=3, k=2)
    model = cases.random_mixture(structure, x, 2, seeded())
    for far in (1e2, 1e3, 1e5):
        rows = Entries(torch.full_like(x, torch.nan), torch.full_like(x, far), torch.full_like(x, INF))
        rows.x[:, 0] = x[:, 0]
        found = censored(rows)(model)
        assert bool(torch.isfinite(found.evidence)) and bool(torch.isfinite(found.components.s2).all())
        filled = answers.impute(model, rows)
        assert bool((filled[:, 1:] >= far).all()) and bool((filled[:, 1:] < 1.5 * far).all())


def test_a_background_lies_between_limits_too():
    x = cases.blobs(seeded(), n=30, d=2)
    model = cases.random_mixture(Full(), x, 2, seeded())
    model = model.replace(gate=Noisy.of(double(1.0, 2.0), 0.4, double(-5.0, -8.0), double(5.0, 2.0)))
    rows = Entries(double(0.5, torch.nan)[None], double(-INF, 1.0)[None], double(INF, 4.0)[None])
    found = answers.posterior(model, rows)
    plain = answers.posterior(model.replace(gate=Constant.of(double(1.0, 2.0))), rows)
    share = 0.4 / 10 * (2.0 - 1.0) / 10
    assert float(found.evidence.exp()) == pytest.approx(0.6 * float(plain.evidence.exp()) + share)
    assert float(found.none) == pytest.approx(share / float(found.evidence.exp()))
    assert float(answers.posterior(model, rows._replace(low=double(-INF, 3.0)[None])).none) == 0
    assert float(censored(rows)(model).gate.none) == pytest.approx(float(found.none))


def test_weights_count_rows():
    x = cases.blobs(seeded(), n=100, d=3, k=2)
    rows, model = hide(x), cases.random_mixture(Full(), x, 2, seeded())
    times = torch.arange(100) % 3
    index = torch.arange(100).repeat_interleave(times)
    again = Entries(rows.x[index], rows.low[index], rows.high[index])
    cases.close(censored(rows, times.double())(model), censored(again)(model), 1e-9)


def test_draws_lie_between_limits_and_average_to_expectations():
    x = cases.blobs(seeded(), n=4, d=3, k=2, spread=1.0)
    rows, model = hide(x, share=0.6, gone=0.2), cases.random_mixture(Full(), x, 2, seeded())
    many = torch.arange(4).repeat(3000)
    copies = Entries(rows.x[many], rows.low[many], rows.high[many])
    drawn = answers.sample_censored(model, copies, seeded())
    assert bool(((drawn >= copies.low) & (drawn <= copies.high)).all())
    expected = answers.impute(model, rows)
    assert torch.equal(drawn.where(~copies.x.isnan(), 0.0), copies.x.nan_to_num())
    torch.testing.assert_close(drawn.view(3000, 4, 3).mean(0), expected, rtol=0.0, atol=0.1)


def test_limits_in_any_shape():
    x = double([1.0, torch.nan], [torch.nan, 2.0], [0.5, 0.5])
    for lower in (double(0.0).squeeze(), double(0.0, 0.0), torch.zeros(3, 2).double()):
        found = entries(x, lower, None)
        assert torch.equal(found.low, torch.zeros(3, 2).double()) and bool(torch.isinf(found.high).all())
    column = entries(x[:, :1], double(-1.0, 0.0, -3.0))
    assert column.low[:, 0].tolist() == [-1.0, 0.0, -3.0]
    assert entries(x, double(4.0, 4.0)).bounded.sum() == 2  # a column's limit tells of its NaN


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [
        (double(1.0, 2.0, 3.0), None, "shape"),
        (double(torch.nan, 0.0), None, "NaN"),
        (double(1.0, 1.0), double(0.0, 0.0), "lower below upper"),
        (double(1.0, 1.0), double(1.0, 2.0), "known exactly"),
        (double([2.0, 0.0], [0.0, 0.0], [0.0, 0.0]), None, "Row 0 is 1 in column 0, with limits from 2 to inf"),
    ],
)
def test_limits_that_cannot_be(lower, upper, words):
    with pytest.raises(BadData, match=words):
        entries(double([1.0, torch.nan], [torch.nan, 2.0], [0.5, 0.5]), lower, upper)


def test_many_entries_of_a_row_agree_with_independent_columns():
    """Ten at a time, where the points are others; without correlations the integral has a formula."""
    x = cases.blobs(seeded(), n=20, d=10, k=2, spread=1.0)
    model = cases.random_mixture(Diagonal(), x, 2, seeded())
    dense = Mixture(Gaussian.of(model.gaussian.mean, model.gaussian.cov, Full()), model.gate)
    rows = Entries(torch.full_like(x, torch.nan), x - 1, torch.full_like(x, INF))
    one, other = answers.posterior(dense, rows), answers.posterior(model, rows)
    torch.testing.assert_close(one.evidence, other.evidence, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(answers.impute(dense, rows), answers.impute(model, rows), rtol=0.0, atol=0.02)
