"""`TruncatedGaussianMixture`: manners, what it finds behind a cut, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import GaussianMixture, TruncatedGaussianMixture
from gmmlab.errors import BadData, DataWarning


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks([TruncatedGaussianMixture()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def cut():
    """Two groups at -1 and 1, of which [-1, 1.5] was seen."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(100_000) < 0.6, 1.0, -1.0) + rng.normal(size=100_000)
    seen = x[(x >= -1) & (x <= 1.5)][:, None]
    return seen, len(x) - len(seen)


OPTIONS = {"covariance_type": "tied", "tol": 1e-8, "max_iter": 2000, "acceleration": "squarem", "init_params": "ward"}


def test_without_a_box_it_is_the_gaussian_mixture():
    x = load_iris().data
    for kind in ("full", "diag", "tied"):
        start = {"means_init": x[[0, 60, 120]], "covariance_type": kind, "init_params": "ward"}
        one, other = (each(3, **start).fit(x) for each in (TruncatedGaussianMixture, GaussianMixture))
        np.testing.assert_allclose(one.means_, other.means_, rtol=1e-5)
        assert one.score(x) == pytest.approx(other.score(x), rel=1e-5)
        assert one.observed_fraction_ == pytest.approx(1)


def test_censored_rows_are_found_again(cut):
    seen, unseen = cut
    model = TruncatedGaussianMixture(2, lower=-1.0, upper=1.5, n_unseen=unseen, **OPTIONS).fit(seen)
    naive = GaussianMixture(2, **OPTIONS).fit(seen)
    np.testing.assert_allclose(np.sort(model.means_[:, 0]), [-1, 1], atol=0.25)
    assert np.abs(np.sort(naive.means_[:, 0]) - [-1, 1]).max() > 0.25
    assert model.observed_fraction_ == pytest.approx(len(seen) / 100_000, abs=1e-3)
    assert model.score(seen) == pytest.approx(model.lower_bound_, abs=1e-4)


def test_the_number_outside_tells_more_than_none():
    """Over 20 samples cut at 1/2 estimates spread as Fisher's information says, and twice as far where none is known.

    Of a row it is the expected square of the score in (mean, sd): of a seen one d log p, less d log P(seen) where only
    those are counted; of another d log P(unseen).
    """
    edge, n = 0.5, 500
    ends = {"censored": [], "truncated": []}
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(n, 1))
        seen = x[x[:, 0] < edge]
        for kind, unseen in (("censored", n - len(seen)), ("truncated", None)):
            options = {"n_unseen": unseen, "tol": 1e-9, "max_iter": 2000, "acceleration": "squarem", "reg_covar": 0.0}
            model = TruncatedGaussianMixture(upper=edge, **options).fit(seen)
            ends[kind].append([model.means_.item(), model.covariances_.item() ** 0.5])
    grid = np.linspace(-10, edge, 20_001)
    weight = stats.norm.pdf(grid) * (grid[1] - grid[0])
    score, inside = np.stack([grid, grid**2 - 1]), stats.norm.cdf(edge)
    common = -stats.norm.pdf(edge) / inside * np.array([1, edge])  # d log P(seen)
    hidden = common * inside / (1 - inside)  # minus d log P(unseen)
    apart = score - common[:, None]
    known = {
        "censored": (weight * score) @ score.T + (1 - inside) * np.outer(hidden, hidden),
        "truncated": (weight * apart) @ apart.T,
    }
    assert np.linalg.eigvalsh(known["censored"] - known["truncated"]).min() > -1e-6
    for kind, information in known.items():
        expected = np.sqrt(np.diag(np.linalg.inv(information)) / n)
        np.testing.assert_allclose(np.std(ends[kind], axis=0), expected, rtol=0.35)  # 16 % is the error of 20 samples
        assert (np.abs(np.mean(ends[kind], axis=0) - [0, 1]) < 4 * expected / 20**0.5).all()
    assert (np.std(ends["truncated"], axis=0) > 1.6 * np.std(ends["censored"], axis=0)).all()


def test_the_density_of_what_is_seen_integrates_to_one(cut):
    seen, _ = cut
    model = TruncatedGaussianMixture(1, lower=-1.0, upper=1.5, tol=1e-7, acceleration="squarem").fit(seen)
    grid = np.linspace(-3, 4, 70_001)[:, None]
    assert np.trapezoid(np.exp(model.score_samples(grid)), grid[:, 0]) == pytest.approx(1, abs=1e-3)
    latent = np.exp(model.score_latent(grid))
    assert latent[0] > 0
    assert model.score_samples(grid)[0] == -np.inf
    assert model.score(seen) == pytest.approx(model.lower_bound_, abs=1e-5)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_a_corner_of_a_cloud(kind):
    rng = np.random.default_rng(1)
    cov = np.array([[1.0, 0.5], [0.5, 1.0]]) if kind == "full" else np.diag([1.0, 0.5])
    x = rng.multivariate_normal([0, 0], cov, size=8000)
    seen = x[(x < 0.5).all(1)]
    model = TruncatedGaussianMixture(
        1, upper=[0.5, 0.5], n_unseen=len(x) - len(seen), covariance_type=kind, tol=1e-8, max_iter=500
    ).fit(seen)
    np.testing.assert_allclose(model.means_[0], [0, 0], atol=0.06)
    found = model.covariances_[0] if kind == "full" else np.diag(model.covariances_[0])
    np.testing.assert_allclose(found, cov, atol=0.08)


def test_iris_petals_cut_off():
    x = load_iris().data[:, [2]]
    seen = x[(x >= 1.3) & (x <= 5.3)].reshape(-1, 1)
    options = {"tol": 1e-7, "max_iter": 3000, "means_init": [[1.5], [4.5]], "init_params": "ward"}
    model = TruncatedGaussianMixture(2, lower=1.25, upper=5.35, n_unseen=len(x) - len(seen), **options).fit(seen)
    whole = GaussianMixture(2, **options).fit(x)
    naive = GaussianMixture(2, **options).fit(seen)
    assert abs(model.means_[1, 0] - whole.means_[1, 0]) < 0.5 * abs(naive.means_[1, 0] - whole.means_[1, 0])


def test_steps_and_a_session(cut):
    seen, unseen = cut
    model = TruncatedGaussianMixture(2, lower=-1.0, upper=1.5, n_unseen=unseen, max_iter=5, tol=0.0, random_state=0)
    steps = list(model.steps(seen))
    assert len(steps) == 5
    assert all(later.info.gain > 0 for later in steps[1:])
    two = np.c_[seen[:500], np.random.default_rng(0).normal(size=500)]
    view = TruncatedGaussianMixture(2, lower=[-1, -9], upper=[1.5, 9], random_state=0).explore(two, panels=())
    view.session.step()
    assert view.session.wait(timeout=20).step == 1
    view.session.close()


def test_what_cannot_be_is_refused(cut):
    seen, _ = cut
    with pytest.raises(BadData, match="outside of the box"):
        TruncatedGaussianMixture(upper=1.0).fit(seen)
    with pytest.raises(BadData, match="below upper"):
        TruncatedGaussianMixture(lower=2.0, upper=1.0).fit(seen)
    with pytest.raises(BadData, match="one number"):
        TruncatedGaussianMixture(lower=[0.0, 1.0]).fit(seen)
    with pytest.raises(ValueError, match="n_unseen"):
        TruncatedGaussianMixture(n_unseen=-1).fit(seen)


def test_a_component_that_nothing_tells_of_is_warned_of(cut):
    seen, _ = cut
    start = {"weights_init": [0.5, 0.5], "means_init": [[0.0], [60.0]], "precisions_init": [[1.0], [1.0]]}
    model = TruncatedGaussianMixture(2, upper=1.5, covariance_type="spherical", max_iter=0)
    model.set_params(**start | {"precisions_init": [1.0, 1.0]})
    with pytest.warns(DataWarning, match="Component 1 lies outside"):
        model.fit(seen)


def test_weights_count_rows_and_tensors_stay(cut):
    seen, _ = cut
    x = torch.from_numpy(seen[:300])
    weight = torch.ones(300).double()
    weight[:50] = 2.0
    options = {"lower": -1.0, "upper": 1.5, "tol": 1e-8, "max_iter": 500, "acceleration": "squarem"}
    one = TruncatedGaussianMixture(1, **options).fit(x, sample_weight=weight)
    other = TruncatedGaussianMixture(1, **options).fit(torch.cat([x, x[:50]]))
    assert isinstance(one.means_, torch.Tensor)
    torch.testing.assert_close(one.means_, other.means_, rtol=1e-3, atol=1e-4)
