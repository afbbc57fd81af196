"""Laws of one column: joint = marginal x conditional for every family and gate, scipy and integrals elsewhere."""

from __future__ import annotations

import cases
import pytest
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from gmmlab import algebra
from gmmlab.algebra.univariate import column, column_given
from gmmlab.errors import BadData
from gmmlab.families import Gaussian, Student
from gmmlab.families.parts import columns_of, dof_of, ellipsoids, squared_distances
from gmmlab.gates import Constant, Noisy
from gmmlab.kernels.tails import distance_at, distance_tail, order_tail, student_cdf, student_quantile
from gmmlab.model import Mixture


@pytest.fixture
def x(rng: torch.Generator, dtype: torch.dtype) -> Tensor:
    return cases.blobs(rng, d=3).to(dtype)


@pytest.fixture
def mixture(family: str, gate: str, x: Tensor, rng: torch.Generator) -> Mixture:
    return Mixture(cases.FAMILIES[family](x, 3, rng), cases.GATES[gate](x, 3))


def inside(x: Tensor, steps: int = 7) -> Tensor:
    """Points within the range of the rows, where noise is what the mixture says."""
    return torch.linspace(float(x.min(0).values.max()) + 0.1, float(x.max(0).values.min()) - 0.1, steps).double()


def test_one_column_is_its_marginal(mixture, x):
    at, found = inside(x), column(mixture, 1)
    torch.testing.assert_close(
        found.prob(at[None])[0], algebra.marginal(mixture, [1]).log_prob(at[:, None]).exp(), rtol=1e-6, atol=1e-12
    )
    torch.testing.assert_close(found.weights.sum(1) + found.none, torch.ones(1).double())


@pytest.mark.parametrize(("target", "given"), [(0, [2]), (2, [1, 0])])
def test_joint_is_marginal_times_conditional_for_every_family(mixture, x, target, given):
    at, values = inside(x), x[:4][:, given].double()
    conditional = column_given(mixture, target, given, values).prob(at[None])
    before = algebra.marginal(mixture, given).log_prob(values).exp()
    rows = torch.cat([values.repeat_interleave(len(at), 0), at.repeat(len(values))[:, None]], dim=1)
    joint = algebra.marginal(mixture, [*given, target]).log_prob(rows).exp().view(len(values), len(at))
    torch.testing.assert_close(conditional * before[:, None], joint, rtol=1e-5, atol=1e-14)


def test_distribution_function_is_the_integral_and_quantiles_invert_it(mixture, x):
    line = column_given(mixture, 0, [2], x[:3, 2:].double())
    at = torch.linspace(float(x[:, 0].min()) - 0.5, float(x[:, 0].max()) + 0.5, 20_001, dtype=torch.float64)[None]
    density, total = line.prob(at), line.cdf(at)
    steps = torch.cumulative_trapezoid(density, at[0], dim=1)
    torch.testing.assert_close(total[:, 1:] - total[:, :1], steps, rtol=0, atol=3e-4)  # noise begins within a step
    p = torch.tensor([1e-3, 0.05, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)
    found = line.quantile(p)
    back = line.cdf(found)
    torch.testing.assert_close(back, p.expand_as(back), rtol=1e-9, atol=0)
    ends = line.quantile(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.tolist() == [[-torch.inf, torch.inf]] * 3


def test_means_are_integrals(gate, rng):
    x = cases.blobs(rng, d=2)
    mixture = Mixture(cases.gaussians(cases.STRUCTURES["VVV"], x, 3, rng), cases.GATES[gate](x, 3))
    line = column_given(mixture, 1, [0], x[:5, :1])
    at = torch.linspace(-150, 150, 300_001, dtype=torch.float64)[None]
    torch.testing.assert_close(line.mean(), (at * line.prob(at)).sum(1) * 1e-3, rtol=1e-3, atol=1e-3)
    clean = line.without_noise()
    torch.testing.assert_close(clean.weights.sum(1), torch.ones(5).double())
    torch.testing.assert_close(clean.mean(), algebra.regress(mixture, x[:5, :1], [0], [1]).mean[:, 0])


def test_regression_and_its_quantiles_leave_noise_out(rng):
    x = cases.blobs(rng, d=2)
    mixture = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng)
    noisy = mixture.replace(gate=Noisy.around(x, mixture.weights, 0.3))
    for found, expected in zip(
        algebra.regress(noisy, x[:, :1], [0], [1]), algebra.regress(mixture, x[:, :1], [0], [1]), strict=True
    ):
        torch.testing.assert_close(found, expected)
    left, right = (algebra.regress_quantile(model, x[:, :1], [0], 1, 0.9) for model in (noisy, mixture))
    torch.testing.assert_close(left, right)


def test_marginals_of_students_and_factors_equal_scipy(rng):
    x = cases.blobs(rng, d=4)
    for name in ("student, full", "factor analyzers"):
        components = cases.FAMILIES[name](x, 2, rng)
        mixture = Mixture(components, Constant.of(torch.ones(2)))
        ellipses, rows = ellipsoids(components), x[:50][:, [3, 1]]
        theirs = torch.zeros(50, dtype=torch.float64)
        for mean, cov, dof in zip(ellipses.mean, ellipses.cov, dof_of(components).tolist(), strict=True):
            law = scipy_stats.multivariate_t(mean[[3, 1]].numpy(), cov[[3, 1]][:, [3, 1]].numpy(), df=dof)
            theirs += 0.5 * torch.from_numpy(law.pdf(rows.numpy()))
        torch.testing.assert_close(algebra.marginal(mixture, [3, 1]).log_prob(rows).exp(), theirs, rtol=1e-9, atol=0)
        torch.testing.assert_close(
            ellipses.cov, components.scale if isinstance(components, Student) else components.cov
        )


def test_distances_are_those_of_the_inverse(family, rng):
    x = cases.blobs(rng, d=3)
    gaussian = ellipsoids(columns_of(cases.FAMILIES[family](x, 2, rng), [2, 0]))
    offset = x[:, None, [2, 0]] - gaussian.mean
    theirs = torch.einsum("nkd,kde,nke->nk", offset, gaussian.cov.inverse(), offset)
    torch.testing.assert_close(squared_distances(gaussian, x[:, [2, 0]]), theirs)
    torch.testing.assert_close(squared_distances(gaussian, x[:, [2, 0]].float()), theirs, rtol=1e-4, atol=1e-6)


def test_tails_equal_scipy():
    z = torch.linspace(-9, 9, 41, dtype=torch.float64)
    p = torch.tensor([1e-14, 0.1, 0.5, 0.99], dtype=torch.float64)
    delta, d = torch.tensor([1e-8, 0.1, 3.0, 50.0, 900.0], dtype=torch.float64), 3
    for dof in (0.7, 4.0, 250.0):
        torch.testing.assert_close(student_cdf(z, dof), torch.from_numpy(scipy_stats.t(dof).cdf(z)), rtol=1e-9, atol=0)
        torch.testing.assert_close(
            student_quantile(p, dof), torch.from_numpy(scipy_stats.t(dof).ppf(p)), rtol=1e-9, atol=1e-15
        )
        theirs = scipy_stats.f(d, dof).sf(delta / d)
        torch.testing.assert_close(distance_tail(delta, d, dof), torch.from_numpy(theirs), rtol=1e-9, atol=0)
        torch.testing.assert_close(distance_at(distance_tail(delta, d, dof), d, dof), delta, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        distance_tail(delta, d, torch.inf), torch.from_numpy(scipy_stats.chi2(d).sf(delta)), rtol=1e-9, atol=0
    )
    near = delta[:4]
    torch.testing.assert_close(distance_at(distance_tail(near, d, torch.inf), d, torch.inf), near, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(distance_tail(near, d, 1e6), distance_tail(near, d, torch.inf), rtol=1e-2, atol=0)
    rank = torch.arange(1, 8, dtype=torch.float64)
    theirs = 1 - scipy_stats.beta(rank, 8 - rank).ppf(0.9)
    torch.testing.assert_close(order_tail(rank, 7.0, 0.1), torch.from_numpy(theirs))


def test_one_component_of_any_family_has_a_level_that_holds_its_mass(family, gate, rng):
    x = cases.blobs(rng, d=3, k=1)
    mixture = Mixture(cases.FAMILIES[family](x, 1, rng), cases.GATES[gate](x, 1))
    level = algebra.level_set(mixture, 0.8, rng, n=20_000)
    held = level.contains(mixture, mixture.sample(20_000, rng)[0]).double().mean()
    assert float(held) == pytest.approx(0.8, abs=5 * (2 * 0.16 / 20_000) ** 0.5)


def test_rows_and_models_may_differ_in_precision(mixture, x):
    """A model fitted to float64 rows scores float32 ones, with gaps or without."""
    rows = x.float()
    rows[::3, 0] = torch.nan
    whole = ~rows.isnan().any(1)
    found = algebra.log_prob(mixture, rows)
    assert found.dtype == mixture.located.origin.dtype
    torch.testing.assert_close(found[whole], mixture.log_prob(rows[whole]))
    part = algebra.marginal(mixture, [1, 2]).log_prob(rows[~whole][:, 1:])
    torch.testing.assert_close(found[~whole], part)


def test_what_cannot_be_given_is_refused(rng):
    x = cases.blobs(rng, d=2)
    mixture = cases.random_mixture(cases.STRUCTURES["VVV"], x, 2, rng)
    for value in (torch.nan, torch.inf, 1e200):
        with pytest.raises(BadData, match="leave a column out whose value is not known"):
            column_given(mixture, 0, [1], torch.tensor([[value]], dtype=torch.float64))
    with pytest.raises(ValueError, match=r"values for 1 column\(s\); expected 2"):
        column_given(mixture, 0, [1, 0], torch.zeros(1, 1))
    with pytest.raises(ValueError, match=r"Columns \[0\] are both given and targets"):
        column_given(mixture, 0, [0], torch.zeros(1, 1))
    with pytest.raises(IndexError, match="no column 2"):
        column(mixture, 2)
    with pytest.raises(ValueError, match=r"expected them in \[0, 1\]"):
        column(mixture, 0).quantile(torch.tensor([1.5]))
    wild = Student(Gaussian.of(torch.zeros(1, 1), torch.ones(1, 1, 1)), torch.ones(1).double())
    assert bool(column(Mixture(wild, Constant.of(torch.ones(1))), 0).mean().isnan())
