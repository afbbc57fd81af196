"""Factor analysers against densities of their full covariances, and against scikit-learn."""

from __future__ import annotations

from itertools import islice

import cases
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import FactorAnalysis

from gmmlab.families import Diagonal, FactorAnalyzers, Full, Spherical
from gmmlab.families import factor as module
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Constant
from gmmlab.model import Mixture

NOISES = {"diag": Diagonal(), "spherical": Spherical()}


@pytest.fixture(params=NOISES)
def noise(request):
    return NOISES[request.param]


def one(x, q, noise, rng) -> Mixture:
    resp = torch.ones(len(x), 1, dtype=x.dtype)
    return Mixture(FactorAnalyzers.near(x, resp, q, noise, rng=rng), Constant.of(torch.ones(1)))


def climbed(model, x, tol=1e-13):
    return list(islice(run(model, whole(x), stop=plateau(tol)), 5000))[-1]


@pytest.mark.parametrize("positive", [False, True], ids=["difference", "sum of squares"])
def test_density_is_that_of_the_full_covariance(noise, positive, rng, monkeypatch):
    """Both ways of computing the quadratic form."""
    monkeypatch.setattr(module, "ALLOWED", {torch.float64: -1.0 if positive else 1.0})
    x = cases.blobs(rng, n=60, d=7)
    components = cases.factor_analyzers(noise, 3)(x, 3, rng)
    table = components.table(components.features(x))
    for k in range(3):
        law = stats.multivariate_normal(components.mean[k].numpy(), components.cov[k].numpy())
        assert table[:, k].numpy() == pytest.approx(law.logpdf(x.numpy()), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_noise_that_is_small_beside_the_factors_keeps_the_density(dtype, rng):
    """A difference of two numbers near 1e10 has no digits left in float32."""
    basis = torch.linalg.qr(torch.randn(6, 6, generator=rng, dtype=torch.float64))[0]
    loadings = (1e3 * basis[:, :2])[None]
    components = FactorAnalyzers.of(
        torch.zeros(1, 6), loadings, torch.full((1, 6), 1e-4), Spherical(), origin=torch.zeros(6, dtype=dtype)
    )
    z, e = torch.randn(50, 2, generator=rng, dtype=torch.float64), torch.randn(50, 6, generator=rng).double()
    x = (z @ loadings[0].T + 1e-2 * e).to(dtype)
    inside, outside = x.double() @ basis[:, :2], x.double() @ basis[:, 2:]
    variances = torch.tensor([1e6 + 1e-4] * 2 + [1e-4] * 4, dtype=torch.float64)
    exact = -0.5 * (torch.cat([inside, outside], 1).square() / variances + (2 * torch.pi * variances).log()).sum(1)
    found = components.table(components.features(x)).double()[:, 0]
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-6 if dtype == torch.float64 else 0.3)


def test_one_component_is_scikit_learns_factor_analysis(rng):
    """Theirs alternates eigen-decompositions, ours is EM: the same maximum."""
    x = cases.blobs(rng, n=400, d=6, k=3)
    theirs = FactorAnalysis(2, tol=1e-10, max_iter=20_000, svd_method="lapack").fit(x.numpy())
    ours = climbed(one(x, 2, Diagonal(), rng), x)
    assert ours.info.evidence == pytest.approx(theirs.score(x.numpy()), abs=1e-6)
    assert ours.model.components.cov[0].numpy() == pytest.approx(theirs.get_covariance(), rel=1e-2, abs=1e-2)


def test_one_component_of_one_variance_is_principal_component_analysis(rng):
    """The start is the maximum already: Lambda and s^2 from the eigenvalues (Tipping and Bishop, 1999)."""
    x = cases.blobs(rng, n=400, d=6, k=3)
    values = np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True))[::-1]
    spread = np.concatenate([values[:2], np.full(4, values[2:].mean())])
    best = -0.5 * (6 * np.log(2 * np.pi) + np.log(spread).sum() + 6)
    begin = one(x, 2, Spherical(), rng)
    assert float(begin.assign(x)[1]) == pytest.approx(best, abs=1e-9)
    assert climbed(begin, x).info.evidence == pytest.approx(best, abs=1e-9)


def test_parameters_are_counted_up_to_rotation():
    """As many factors as determine a covariance leave nothing to count twice: d = 3, q = 1 has 3 + 3 + 3."""
    for structure, variances in ((Diagonal(), 5), (Spherical(), 1)):
        components = FactorAnalyzers.of(torch.zeros(2, 5), torch.ones(2, 5, 3), torch.ones(2, 5), structure)
        assert components.n_parameters == 2 * (5 + 5 * 3 - 3 + variances)


def test_a_mixture_is_recovered(noise, rng):
    x = cases.blobs(rng, d=6)
    truth = Mixture(cases.factor_analyzers(noise, 2)(x, 2, rng), Constant.of(torch.tensor([0.4, 0.6])))
    rows, z = truth.sample(8_000, rng)
    resp = torch.nn.functional.one_hot(z, 2).double()
    begin = truth.replace(components=FactorAnalyzers.near(rows, resp, 2, noise, rng=rng))
    found = climbed(begin, rows, 1e-7).model.components
    scale = float(truth.components.cov.abs().max())
    torch.testing.assert_close(found.cov, truth.components.cov, rtol=0, atol=0.08 * scale)


def test_bad_shapes_and_statistics_of_other_models_are_refused(rng):
    with pytest.raises(ValueError, match="expected an axis-aligned one"):
        FactorAnalyzers.of(torch.zeros(1, 3), torch.ones(1, 3, 1), torch.ones(1, 3), Full())
    with pytest.raises(ValueError, match="3 factors of 3 columns"):
        FactorAnalyzers.of(torch.zeros(1, 3), torch.ones(1, 3, 3), torch.ones(1, 3))
    x, resp = cases.blobs(rng), torch.ones(300, 2, dtype=torch.float64)
    one, two = (cases.factor_analyzers(Diagonal(), 1)(x, 2, rng) for _ in range(2))
    with pytest.raises(ValueError, match="taken at different factor analysers"):
        one.stats(one.features(x), resp) + two.stats(two.features(x), resp)
