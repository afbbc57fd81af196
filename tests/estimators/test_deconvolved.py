"""`DeconvolvedGaussianMixture`: manners, agreement with `GaussianMixture` without errors, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import DeconvolvedGaussianMixture, GaussianMixture
from gmmlab.errors import BadData
from gmmlab.widgets import Session


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks([DeconvolvedGaussianMixture()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def measured():
    """Three clusters, errors whose sizes span a factor of twenty."""
    rng = np.random.default_rng(0)
    z = rng.integers(3, size=900)
    y = np.array([[0.0, 0.0], [4.0, 1.0], [-1.0, 4.0]])[z] + rng.normal(size=(900, 2)) @ np.diag([0.5, 0.3])
    sd = np.exp(rng.uniform(np.log(0.1), np.log(2), 900))
    return y, y + sd[:, None] * rng.normal(size=(900, 2)), sd


def test_without_errors_it_is_the_gaussian_mixture():
    x = load_iris().data
    for kind in ("full", "tied", "diag", "spherical"):
        start = {"means_init": x[[0, 60, 120]], "covariance_type": kind, "random_state": 0, "init_params": "ward"}
        one = DeconvolvedGaussianMixture(3, **start).fit(x)
        other = GaussianMixture(3, **start).fit(x)
        np.testing.assert_allclose(one.means_, other.means_, rtol=1e-7)
        np.testing.assert_allclose(one.covariances_, other.covariances_, rtol=1e-6, atol=1e-9)
        assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-9)
        np.testing.assert_allclose(one.score_samples(x), other.score_samples(x), rtol=1e-6)
        assert one.bic(x) == pytest.approx(other.bic(x))
        assert one.icl(x) == pytest.approx(other.icl(x))


def test_gaps_are_the_gaussian_mixtures_too():
    x = load_iris().data.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    precisions = np.stack([2 * np.eye(4)] * 3)
    means = load_iris().data[[0, 60, 120]]
    start = {"weights_init": np.full(3, 1 / 3), "means_init": means, "precisions_init": precisions, "tol": 1e-6}
    one, other = (kind(3, max_iter=500, **start).fit(x) for kind in (DeconvolvedGaussianMixture, GaussianMixture))
    assert one.n_iter_ == other.n_iter_
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-6)
    np.testing.assert_allclose(one.score_samples(x), other.score_samples(x), rtol=1e-6)


def test_the_true_spread_is_found_behind_the_errors(measured):
    y, x, sd = measured
    known = DeconvolvedGaussianMixture(3, random_state=0, tol=1e-6, max_iter=500).fit(x, errors=sd)
    naive = GaussianMixture(3, random_state=0, tol=1e-6, max_iter=500).fit(x)

    def error(model):
        return np.mean([np.abs(cov - np.diag([0.25, 0.09])).max() for cov in model.covariances_])

    assert error(known) < 0.1
    assert error(naive) > 0.5
    assert known.score(x, errors=sd) == pytest.approx(known.lower_bound_, abs=1e-4)
    clean = known.denoise(x, sd)
    assert np.sqrt(((clean.mean - y) ** 2).mean()) < 0.7 * np.sqrt(((x - y) ** 2).mean())
    z = (y - clean.mean) / clean.sd
    assert 0.9 < z.std() < 1.1
    draws = known.denoise(x, sd, random_state=1)
    assert draws.shape == y.shape and not np.allclose(draws, known.denoise(x, sd, random_state=2))
    np.testing.assert_allclose(known.predict_proba(x, sd).sum(1), 1)
    np.testing.assert_array_equal(known.predict(x, sd), known.predict_proba(x, sd).argmax(1))


def test_shapes_of_errors_agree(measured):
    _, x, sd = measured
    x, sd = x[:200], sd[:200]
    fits = [DeconvolvedGaussianMixture(2, random_state=0, max_iter=5, tol=0.0) for _ in range(3)]
    forms = (sd, np.repeat(sd[:, None], 2, 1), sd[:, None, None] ** 2 * np.eye(2))
    for model, errors in zip(fits, forms, strict=True):
        with pytest.warns(UserWarning, match="did not converge"):
            model.fit(x, errors=errors)
    for model in fits[1:]:
        np.testing.assert_allclose(model.means_, fits[0].means_, rtol=1e-8)


def test_projected_rows_show_all_columns_together():
    """Every row shows one combination of two columns; together they tell the whole covariance."""
    rng = np.random.default_rng(1)
    cov = np.array([[1.0, 0.6], [0.6, 1.0]])
    y = rng.multivariate_normal([1.0, -2.0], cov, size=4000)
    angle = rng.uniform(0, np.pi, 4000)
    maps = np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None, :]
    x = (maps @ y[:, :, None])[:, :, 0]
    model = DeconvolvedGaussianMixture(tol=1e-6).fit(x, projection=maps)
    np.testing.assert_allclose(model.means_, [[1.0, -2.0]], atol=0.1)
    np.testing.assert_allclose(model.covariances_[0], cov, atol=0.15)
    assert model.n_features_in_ == 1
    assert model.denoise(x, None, maps).mean.shape == (4000, 2)


def test_the_selection_is_undone():
    rng = np.random.default_rng(2)
    y = np.concatenate([rng.normal(-1.5, 0.7, 3000), rng.normal(1.5, 0.7, 3000)])[:, None]
    sd = rng.uniform(0.1, 0.5, len(y))
    x = y + sd[:, None] * rng.normal(size=y.shape)

    def chance(at):
        return 1 / (1 + np.exp(-2 * at[:, 0]))

    kept = rng.random(len(x)) < chance(x)
    parameters = {"random_state": 0, "tol": 1e-6, "max_iter": 500}
    model = DeconvolvedGaussianMixture(2, selection=chance, **parameters).fit(x[kept], errors=sd[kept])
    naive = DeconvolvedGaussianMixture(2, **parameters).fit(x[kept], errors=sd[kept])
    low = [float(m.weights_[m.means_.argmin()]) for m in (model, naive)]
    assert low[0] == pytest.approx(0.5, abs=0.06)
    assert low[1] < 0.3
    assert model.selected_ == pytest.approx(kept.mean(), abs=0.04)
    grid = np.linspace(-6, 6, 2001)[:, None]
    density = np.exp(model.score_samples(grid, errors=0.3))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1, abs=0.03)  # of rows that are recorded


def test_a_background_takes_what_belongs_to_no_component(measured):
    y = measured[0]
    rng = np.random.default_rng(3)
    rows = np.concatenate([y, rng.uniform(-8, 8, size=(300, 2))])
    sd = np.full(len(rows), 0.2)
    model = DeconvolvedGaussianMixture(3, noise=True, random_state=0, tol=1e-5, max_iter=300).fit(rows, errors=sd)
    assert model.noise_weight_ == pytest.approx(0.25, abs=0.05)
    assert (model.predict(rows, sd)[-300:] == -1).mean() > 0.8


def test_moves_leave_a_poor_optimum():
    """Two components for one cluster and one for two others, of five: no small step leads from there.

    There are thirty moves, of which the best five are tried;
    """
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [0.0, 5.0], [5.0, 0.0], [8.0, 6.0], [11.0, 6.0]])
    sd = np.exp(rng.uniform(np.log(0.1), np.log(2), 1000))
    y = centres[np.arange(1000) % 5] + 0.4 * rng.normal(size=(1000, 2))
    x = y + sd[:, None] * rng.normal(size=(1000, 2))
    begin = np.concatenate([centres[:3], [[0.0, 0.4], [9.5, 6.0]]])
    options = {"means_init": begin, "tol": 1e-5, "max_iter": 500, "random_state": 0}
    stuck, moved = (DeconvolvedGaussianMixture(5, split_merge=on, **options).fit(x, errors=sd) for on in (False, True))
    assert moved.lower_bound_ > stuck.lower_bound_ + 0.05
    found = moved.means_[np.lexsort((moved.means_[:, 1].round(), moved.means_[:, 0].round()))]
    np.testing.assert_allclose(found, centres, atol=0.2)


def test_weights_count_rows(measured):
    _, x, sd = measured
    x, sd = x[:150], sd[:150]
    twice = np.r_[np.arange(150), np.arange(50)]
    weight = 1.0 + (np.arange(150) < 50)
    start = {"means_init": x[[0, 1]], "init_params": "ward", "tol": 1e-8, "max_iter": 500}
    one = DeconvolvedGaussianMixture(2, **start).fit(x, sample_weight=weight, errors=sd)
    other = DeconvolvedGaussianMixture(2, **start).fit(x[twice], errors=sd[twice])
    assert one.score(x, sample_weight=weight, errors=sd) == pytest.approx(
        other.score(x[twice], errors=sd[twice]), abs=1e-4
    )


def test_steps_can_be_watched(measured):
    _, x, sd = measured
    model = DeconvolvedGaussianMixture(3, random_state=0)
    steps = list(model.steps(x, sd))
    assert len(steps) == model.fit(x, errors=sd).n_iter_
    np.testing.assert_allclose(steps[-1].model.weights, model.weights_)
    view = model.explore(x, sd, panels=())
    view.session.step()
    shown = view.session.wait(timeout=20)
    assert shown.step == 1 and isinstance(view.session, Session)
    view.session.close()


def test_a_component_keeps_a_width(measured):
    y = measured[0]
    x = np.concatenate([y, 9.0 + 0.1 * np.random.default_rng(0).normal(size=(20, 2))])
    sd = np.full(len(x), 0.5)
    start = {"means_init": [[0, 0], [4, 1], [-1, 4], [9, 9]], "init_params": "ward", "max_iter": 500}
    free, wide = (DeconvolvedGaussianMixture(4, min_sd=w, **start).fit(x, errors=sd) for w in (0.0, 0.2))
    least = [np.sqrt(np.linalg.eigvalsh(model.covariances_).min()) for model in (free, wide)]
    assert least[0] < 0.05  # the errors explain these rows, and nothing is left for the component
    assert least[1] > 0.15
    with pytest.raises(ValueError, match="min_sd"):
        DeconvolvedGaussianMixture(4, min_sd=0.2, prior="mclust").fit(x, errors=sd)


def test_what_cannot_be_is_refused(measured):
    _, x, sd = measured
    with pytest.raises(BadData, match="shape"):
        DeconvolvedGaussianMixture().fit(x, errors=sd[:10])
    with pytest.raises(BadData, match="directions"):
        DeconvolvedGaussianMixture().fit(x, projection=np.eye(3)[:2])
    with pytest.raises(BadData, match="gives 0 for"):
        DeconvolvedGaussianMixture(selection=lambda at: (at[:, 0] > 0).astype(float)).fit(x)
    gap = x.copy()
    gap[0, 0] = np.nan
    with pytest.raises(BadData, match="whole rows"):
        DeconvolvedGaussianMixture(selection=lambda at: np.ones(len(at))).fit(gap)


def test_tensors_stay_tensors(measured):
    _, x, sd = (torch.from_numpy(part) for part in measured)
    model = DeconvolvedGaussianMixture(2, random_state=0, selection=lambda at: torch.ones(len(at))).fit(x, errors=sd)
    assert isinstance(model.means_, torch.Tensor)
    assert isinstance(model.denoise(x, sd).sd, torch.Tensor)
