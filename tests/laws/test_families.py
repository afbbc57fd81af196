"""Laws of components: they are densities, their refit maximises the likelihood, and the forms of the kernel agree."""

from __future__ import annotations

import math

import cases
import pytest
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from gmmlab.families import Gaussian
from gmmlab.families.structures import Tie
from gmmlab.kernels import forms
from gmmlab.kernels.cholesky import safe_cholesky
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step


def table(mixture: Mixture, x: Tensor) -> Tensor:
    return torch.cat(list(mixture.tables(x)))


def test_density_equals_scipy(mixture, x):
    rows = x[:50]
    ours = table(mixture, rows).double().cpu()
    for k in range(mixture.k):
        theirs = scipy_stats.multivariate_normal(
            mixture.components.mean[k].cpu().numpy(), mixture.components.cov[k].cpu().numpy()
        ).logpdf(rows.double().cpu().numpy())
        tol = 1e-9 if x.dtype == torch.float64 else 1e-4
        assert ours[:, k].numpy() == pytest.approx(theirs, rel=tol, abs=10 * tol)


def test_density_integrates_to_one(structure, rng):
    x = cases.blobs(rng, d=2)
    mixture = cases.random_mixture(structure, x, 3, rng)
    std = float(mixture.components.cov.diagonal(dim1=1, dim2=2).max().sqrt())
    low, high = float(mixture.components.mean.min()) - 8 * std, float(mixture.components.mean.max()) + 8 * std
    axis = torch.linspace(low, high, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = mixture.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_refit_is_a_stationary_point_of_the_expected_likelihood(mixture, x, rng):
    """Small moves of any parameter from the refit, within the structure, do not raise the expected log-likelihood."""
    resp = mixture.posterior(x).resp
    best = m_step(mixture, e_step(mixture, x))

    def expected(model: Mixture) -> float:
        return float((resp * model.gate.joint(table(model, x))).sum(dtype=torch.float64))

    top = expected(best)
    slack = (1e-12 if x.dtype == torch.float64 else 1e-5) * abs(top) + 1e-9
    for _ in range(5):
        mean = best.components.mean + 0.05 * torch.randn(best.components.mean.shape, generator=rng).to(x.device)
        assert expected(best.replace(components=best.components.replace(mean=mean))) <= top + slack
        scale = 1 + 0.05 * torch.randn(best.d, generator=rng).double().to(x.device)
        cov = best.components.cov * scale[:, None] * scale
        moved = Gaussian.of(best.components.mean, cov, best.components.structure, origin=best.components.origin)
        assert expected(best.replace(components=moved)) <= top + slack


def test_forms_agree(mixture, x):
    """All sides of the rule that picks the kernel's form give the same table and the same sums."""
    components, rows = mixture.components, x[:500].double()
    dense = (forms.Packed(), forms.Blocks(), forms.Whitened())
    some = dense if components.structure.dense else (forms.Squares(), forms.WhitenedSquares())
    resp = mixture.posterior(rows).resp
    m = components.mean - components.origin
    tables, sums = [], []
    for form in some:
        features = form.features(rows, components.origin)
        tables.append(form.table(features, form.natural(forms.Parameters.of(m, components.chol))))
        sums.append(form.sums(features, resp))
    for other in range(len(some) - 1):
        torch.testing.assert_close(tables[other], tables[-1], rtol=1e-9, atol=1e-8)
        for left, right in zip(sums[other], sums[-1], strict=True):
            torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize(
    ("dense", "plain", "whitened"),
    [(True, forms.Packed, forms.Whitened), (False, forms.Squares, forms.WhitenedSquares)],
)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 670.0), (torch.float32, 91.0)])
def test_rule_of_forms(dense, plain, whitened, dtype, limit):
    chol = torch.eye(2, dtype=torch.float64)[None] if dense else torch.ones(1, 2, dtype=torch.float64)
    near, far = (torch.tensor([[side * limit, 0.0]], dtype=torch.float64) for side in (0.99, 1.01))
    assert type(forms.choose(forms.Parameters.of(near, chol), dtype)) is plain
    assert type(forms.choose(forms.Parameters.of(far, chol), dtype)) is whitened


SIDES = [(1, 6, forms.Packed), (1, 7, forms.Blocks), (9, 22, forms.Packed), (99, 65, forms.Blocks)]


@pytest.mark.parametrize(("k", "d", "form"), SIDES)
def test_rule_of_forms_by_dimension(k, d, form):
    chol = torch.eye(d, dtype=torch.float64).expand(k, d, d)
    assert type(forms.choose(forms.Parameters.of(torch.zeros(k, d, dtype=torch.float64), chol), torch.float64)) is form
    for side, expected in ((0.99, forms.Blocks), (1.01, forms.Whitened)):
        m = torch.full((1, 40), side * forms.FAR / 40**0.5, dtype=torch.float64)
        chol = torch.eye(40, dtype=torch.float64)[None]
        assert type(forms.choose(forms.Parameters.of(m, chol), torch.float64)) is expected


@pytest.mark.parametrize("d", [16, 17, 40, 150])
def test_forms_agree_on_many_columns(d, dtype, rng):
    """Whole blocks and cut ones, more than one of them; each component sees its own rows, some of them not at all."""
    k, tol = 3, {torch.float64: 1e-11, torch.float32: 2e-5}[dtype]
    x = torch.randn(200, d, generator=rng, dtype=torch.float64).to(dtype)
    root = torch.randn(k, d, 2 * d, generator=rng, dtype=torch.float64)
    chol, m = torch.linalg.cholesky(root @ root.mT / d), torch.randn(k, d, generator=rng, dtype=torch.float64)
    resp = torch.rand(200, k, generator=rng, dtype=torch.float64).to(dtype).square()
    resp[:, 1] = 0
    found = []
    for form in (forms.Blocks(), forms.Whitened()):
        features = form.features(x, torch.zeros_like(x[0]))
        assert torch.equal(form.rows(features), x.T)
        found.append([form.table(features, form.natural(forms.Parameters.of(m, chol))), *form.sums(features, resp)])
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=tol, atol=tol * float(right.abs().max()))


@pytest.mark.parametrize("away", [0.0, 3.0, 30.0, 300.0])
@pytest.mark.parametrize("thin", [1.0, 1e-2, 1e-4])
def test_densities_of_wide_and_nearly_collinear_rows_keep_their_digits(away, thin, dtype, rng):
    """Where columns almost follow from each other, what is far from the origin must not be multiplied first."""
    d = 40
    chol = torch.linalg.cholesky(torch.full((1, d, d), 1 - thin**2).double() + thin**2 * torch.eye(d))
    m = torch.full((1, d), away, dtype=torch.float64)
    y = (m + torch.randn(50, d, generator=rng, dtype=torch.float64) @ chol[0].T).to(dtype)
    of = forms.Parameters.of(m, chol)
    form = forms.choose(of, dtype)
    table = form.table(form.features(y, torch.zeros_like(y[0])), form.natural(of))
    z = torch.linalg.solve_triangular(chol[0], (y.double() - m).T, upper=False)
    exact = of.peak - 0.5 * z.square().sum(0)
    slack = max(20 * forms.ALLOWED[dtype], 100 * torch.finfo(dtype).eps * d / thin)  # rows themselves are rounded less
    torch.testing.assert_close(table[:, 0].double(), exact, rtol=0, atol=slack)


@pytest.mark.parametrize(("dtype", "spread", "tol"), [(torch.float64, 1e4, 1e-8), (torch.float32, 1e3, 1e-3)])
def test_tight_clusters_far_apart(dtype, spread, tol, rng):
    """Responsibilities near tight clusters whose distance is many times their width."""
    mean = torch.tensor([[0.0, 0.0], [spread, 0.0], [spread + 2.0, 0.0]], dtype=torch.float64)
    mean = mean.to(dtype).double()
    cov = torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    gaussian = Gaussian.of(mean, cov, origin=mean.mean(0).to(dtype))
    mixture = Mixture(gaussian, cases.Constant.of(torch.ones(3)))
    x = (mean[1:].mean(0) + torch.randn(200, 2, generator=rng)).to(dtype)
    z = x.double()[:, None] - mean
    exact = torch.softmax(-0.5 * (z * z).sum(-1), dim=1)
    torch.testing.assert_close(mixture.posterior(x).resp.double(), exact, rtol=0, atol=tol)


def test_gradient_is_the_fisher_identity(mixture, x):
    """d log p / d mean = sum_i r_ik Sigma_k^-1 (x_i - mu_k)."""
    rows = x[:100].double()
    mean = mixture.components.mean.clone().requires_grad_()
    model = mixture.replace(components=mixture.components.replace(mean=mean))
    model.log_prob(rows).sum().backward()
    resp = mixture.posterior(rows).resp
    prec = torch.linalg.inv(mixture.components.cov)
    expected = torch.einsum("nk,kde,nke->kd", resp, prec, rows[:, None] - mixture.components.mean)
    torch.testing.assert_close(mean.grad, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


def test_sample_then_fit_recovers(structure, rng):
    mean = torch.tensor([[0.0, 0.0], [9.0, 3.0]], dtype=torch.float64)
    cov = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 0.7]]], dtype=torch.float64)
    truth = Mixture(Gaussian.of(mean, cov, structure), cases.Constant.of(torch.tensor([0.3, 0.7])))
    x, z = truth.sample(40_000, rng)
    model = truth
    for _ in range(5):
        model = m_step(model, e_step(model, x))
    torch.testing.assert_close(model.weights, truth.weights, rtol=0, atol=0.01)
    torch.testing.assert_close(model.components.mean, mean, rtol=0, atol=0.05)
    torch.testing.assert_close(model.components.cov, truth.components.cov, rtol=0, atol=0.06)
    assert float((z == model.assign(x)[0]).double().mean()) > 0.99


def test_covariances_belong_to_the_structure(structure, rng):
    x = cases.blobs(rng)
    mixture = cases.random_mixture(structure, x, 3, rng)
    cov = m_step(mixture, e_step(mixture, x)).components.cov
    off = cov - torch.diag_embed(cov.diagonal(dim1=1, dim2=2))
    assert (float(off.abs().max()) > 0) == structure.dense
    assert torch.equal(cov[0], cov[1]) == structure.shared
    if structure.spherical:
        assert torch.equal(cov[0], cov[0, 0, 0] * torch.eye(3, dtype=cov.dtype))
    spectrum, axes = torch.linalg.eigh(cov)
    volume = spectrum.log().mean(1).exp()
    assert equal(volume) == (structure.volume is Tie.E)
    if not structure.spherical:  # the variances along the axes, in the order of the columns where that means something
        kept = spectrum if structure.orientation is Tie.V else (axes[0].mT @ cov @ axes[0]).diagonal(dim1=1, dim2=2)
        assert equal(kept / volume[:, None]) == (structure.shape is Tie.E)
    commute = cov[0] @ cov[1] - cov[1] @ cov[0]
    assert (float(commute.abs().max()) < 1e-10 * float(cov.abs().max()) ** 2) == (structure.orientation is not Tie.V)


def equal(values: Tensor) -> bool:
    """Whether all components have the same, up to rounding."""
    return torch.allclose(values, values[:1].expand_as(values), rtol=1e-9)


def test_component_without_rows_keeps_its_parameters(structure, rng):
    x = cases.blobs(rng)
    mixture = cases.random_mixture(structure, x, 3, rng)
    mixture = mixture.replace(components=mixture.components.replace(ridge=0.0 if structure.shared else 0.1))
    stats = e_step(mixture, x)
    gone = stats.components.w * torch.tensor([1.0, 0.0, 1.0])
    lonely = stats.components.replace(
        w=gone,
        s1=stats.components.s1 * torch.tensor([1.0, 0, 1.0])[:, None],
        s2=stats.components.s2 * torch.tensor([1.0, 0, 1.0]).view(-1, *[1] * (stats.components.s2.ndim - 1)),
    )
    refit = mixture.components.refit(lonely)
    assert torch.equal(refit.mean[1], mixture.components.mean[1])
    assert bool(torch.isfinite(refit.chol).all())
    others = mixture.components.take(torch.tensor([0, 2])).refit(lonely.take(torch.tensor([0, 2])))
    torch.testing.assert_close(refit.cov[[0, 2]], others.cov, rtol=1e-6, atol=1e-8)
    if all(tie is not Tie.E for tie in (structure.volume, structure.shape, structure.orientation)):
        torch.testing.assert_close(refit.chol[1], mixture.components.chol[1])


def test_cholesky_reports_the_jitter():
    good, singular = (
        torch.eye(2, dtype=torch.float64),
        torch.ones(2, 2, dtype=torch.float64) - 1e-14 * torch.eye(2),
    )
    chol, added = safe_cholesky(torch.stack([good, singular]))
    assert added[0] == 0 and 0 < float(added[1]) < 1e-6
    torch.testing.assert_close(chol @ chol.mT, torch.stack([good, singular]), rtol=0, atol=1e-6)
    deviations, added = safe_cholesky(torch.tensor([[4.0, 0.0], [1.0, 9.0]], dtype=torch.float64))
    assert float(added[0]) > 0 and added[1] == 0
    assert deviations[1].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    "bad", [torch.zeros(1, 2, 2), -torch.eye(2)[None], torch.full((1, 2, 2), math.nan), torch.zeros(1, 2)]
)
def test_cholesky_refuses_in_words(bad):
    with pytest.raises(ValueError, match=r"Try to decrease the number of components.*Component 0 of 1"):
        safe_cholesky(bad.double())


def test_gradients_are_not_kept_from_an_earlier_call(mixture, x):
    """The natural parameters are kept over chunks; a second backward pass must not meet the first one's graph."""
    rows = x[:20].double()
    mean = mixture.components.mean.clone().requires_grad_()
    model = mixture.replace(components=mixture.components.replace(mean=mean))
    model.posterior(rows)
    for _ in range(2):
        mean.grad = None
        model.log_prob(rows).sum().backward()
        assert mean.grad is not None


@pytest.mark.parametrize(("dtype", "ratio", "tol"), [(torch.float32, 1e-3, 1e-2), (torch.float64, 1e-6, 1e-5)])
def test_nearly_collinear_columns_keep_their_density(dtype, ratio, tol, rng):
    """y' P y cancels where P is ill-conditioned: the rule of forms must see it."""
    a = 1e3 * torch.randn(500, 1, generator=rng, dtype=torch.float64)
    x = torch.cat([a, a + ratio * 1e3 * torch.randn(500, 1, generator=rng, dtype=torch.float64)], dim=1).to(dtype)
    y = x.double()
    gaussian = Gaussian.of(y.mean(0)[None], torch.cov(y.T)[None], origin=x.mean(0))
    mixture = Mixture(gaussian, cases.Constant.of(torch.ones(1)))
    z = torch.linalg.solve_triangular(gaussian.chol[0], (y - gaussian.mean[0]).T, upper=False)
    exact = -0.5 * z.square().sum(0) - gaussian.chol[0].diagonal().log().sum() - math.log(2 * math.pi)
    torch.testing.assert_close(mixture.log_prob(x).double(), exact, rtol=0, atol=tol)


def test_covariances_of_tight_clusters_far_apart_in_float32(structure, rng):
    """Squares about a shared origin 1e4 standard deviations away have no digits left for the variance in float32."""
    clouds = torch.randn(2, 500, 2, generator=rng, dtype=torch.float64)
    x = torch.cat([clouds[0] - 1e4, clouds[1] + 1e4]).float()
    mean = torch.tensor([[-1e4, -1e4], [1e4, 1e4]], dtype=torch.float64)
    gaussian = Gaussian.of(mean, torch.eye(2).expand(2, 2, 2), structure, origin=x.mean(0))
    mixture = Mixture(gaussian, cases.Constant.of(torch.ones(2)))
    refit = m_step(mixture, e_step(mixture, x))
    y = x.double()
    exact = torch.stack([torch.cov(part.T, correction=0) for part in (y[:500], y[500:])])
    expected = cases.project(structure, torch.full((2,), 500.0, dtype=torch.float64), 500 * exact)
    torch.testing.assert_close(refit.components.cov, expected, rtol=1e-2, atol=1e-2)


def test_values_that_are_no_parameters_are_refused():
    with pytest.raises(ValueError, match="expected numbers of at least 0"):
        cases.Constant.of(torch.tensor([1.0, -0.5]))
    lopsided = torch.tensor([[[1.0, 0.5], [0.0, 1.0]]])
    with pytest.raises(ValueError, match="not symmetric"):
        Gaussian.of(torch.zeros(1, 2), lopsided)
