"""Normal-inverse-Wishart arithmetic: the chain rule, scipy's densities, and draws that have the moments they should."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

from gmmlab.families import NormalInverseWishart
from gmmlab.families.niw import grouped


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def case(d: int, n: int, seed: int = 0, far: float = 0.0) -> tuple[torch.Tensor, NormalInverseWishart]:
    """Rows, and a prior that is not centred on them."""
    rng = rng_of(seed)
    x = torch.randn(n, d, generator=rng, dtype=torch.float64) * 2 + 1 + far
    a = torch.randn(d, d, generator=rng, dtype=torch.float64)
    prior = NormalInverseWishart.of(
        torch.zeros(d).double() + far, a @ a.T + torch.eye(d).double(), kappa=0.3, dof=d + 1.5
    )
    return x, prior


def one_set(x: torch.Tensor, origin: torch.Tensor | None = None):
    return grouped(x, torch.zeros(len(x), dtype=torch.int64), 1, x.mean(0) if origin is None else origin)


def table(student, x):
    return student.table(student.features(x))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_sequential_predictives_multiply_to_the_marginal(d):
    x, prior = case(d, 7)
    total = sum(float(table(prior.posterior(one_set(x[:i], x[0])).predictive(), x[i : i + 1])) for i in range(len(x)))
    assert total == pytest.approx(float(prior.log_marginal(one_set(x))), rel=1e-11)


def test_rows_come_in_through_moments_alone():
    """Other rows with the same count, mean and scatter have the same density; any origin will do."""
    x, prior = case(3, 9)
    u = torch.randn(9, 1, generator=rng_of(5), dtype=torch.float64)
    u = u - u.mean()  # a reflection along it leaves sums and cross products as they are
    other = x - 2 * u @ (u.T @ x) / (u.T @ u)
    assert not torch.allclose(other, x)
    assert torch.allclose(prior.log_marginal(one_set(other)), prior.log_marginal(one_set(x)), rtol=1e-10)
    moved = one_set(x, torch.full((3,), 50.0).double())
    assert torch.allclose(prior.log_marginal(moved), prior.log_marginal(one_set(x)), rtol=1e-9)


def test_digits_are_kept_far_from_zero():
    near, prior = case(2, 20)
    far, moved = case(2, 20, far=1e6)
    expected, got = prior.log_marginal(one_set(near)), moved.log_marginal(one_set(far))
    assert torch.allclose(got, expected, rtol=1e-8)


@pytest.mark.parametrize("d", [1, 3])
def test_against_scipy(d):
    """The marginal is the joint density over the posterior's, at any parameters; the predictive is scipy's t."""
    x, prior = case(d, 6)
    draw = prior.sample(rng_of(1))
    cov, mean = draw.cov[0].numpy(), draw.mean[0].numpy()

    def density(niw):
        p = niw.scale[0].numpy(), float(niw.dof[0])
        wishart = scipy.stats.invwishart(df=p[1], scale=p[0]).logpdf(cov if d > 1 else cov.item())
        normal = scipy.stats.multivariate_normal(niw.mean[0].numpy(), cov / float(niw.kappa[0])).logpdf(mean)
        return float(wishart + normal)

    after = prior.posterior(one_set(x))
    assert density(prior) == pytest.approx(float(prior.log_prob(draw.mean, draw.chol)), rel=1e-10)
    rows = scipy.stats.multivariate_normal(mean, cov).logpdf(x.numpy()).sum()
    assert density(prior) + rows - density(after) == pytest.approx(float(prior.log_marginal(one_set(x))), rel=1e-9)
    t = scipy.stats.multivariate_t(after.mean[0], after.predictive().scale[0], float(after.dof[0]) - d + 1)
    assert torch.allclose(table(after.predictive(), x)[:, 0], torch.as_tensor(t.logpdf(x.numpy())), rtol=1e-10)


def test_sets_are_independent_and_empty_ones_say_nothing():
    x, prior = case(2, 12)
    labels = torch.tensor([0, 0, 2, 2, 2, 3, -1, 0, 3, 3, 3, 0])
    many = prior.log_marginal(grouped(x, labels, 4, x.mean(0)))
    each = torch.cat([prior.log_marginal(one_set(x[labels == j], x[0])) for j in (0, 2, 3)])
    assert torch.allclose(many[[0, 2, 3]], each, rtol=1e-10)
    assert float(many[1]) == pytest.approx(0, abs=1e-12)


def test_draws_have_their_moments():
    """E[Sigma] = scale / (dof - d - 1), E[Sigma^-1] = dof scale^-1, and mu spreads as E[Sigma] / kappa."""
    _, prior = case(2, 1)
    prior = prior.replace(dof=torch.tensor([9.0]).double())
    draw = prior.repeated(40_000).sample(rng_of(2))
    assert torch.equal(draw.chol.triu(1), torch.zeros_like(draw.chol))
    assert bool((draw.chol.diagonal(dim1=-2, dim2=-1) > 0).all())
    expected = prior.scale[0] / 6
    assert torch.allclose(draw.cov.mean(0), expected, rtol=0.03, atol=0.02)
    assert torch.allclose(
        torch.linalg.inv(draw.cov).mean(0), 9 * torch.linalg.inv(prior.scale[0]), rtol=0.03, atol=0.03
    )
    assert torch.allclose(draw.mean.T.cov(), expected / prior.kappa[0], rtol=0.04, atol=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kappa": 0.0}, "kappa above 0"),
        ({"dof": 1.0}, "dof above 1"),
        ({"scale": torch.eye(3)}, "expected \\(2, 2\\)"),
        ({"scale": -torch.eye(2)}, "positive definite"),
    ],
)
def test_improper_priors_are_refused(changes, message):
    given_ = {"scale": torch.eye(2), "kappa": 1.0, "dof": 4.0} | changes
    with pytest.raises(ValueError, match=message):
        NormalInverseWishart.of(torch.zeros(2), given_.pop("scale"), **given_)
