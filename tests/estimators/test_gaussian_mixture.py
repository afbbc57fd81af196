"""The manners of the estimator: what scikit-learn's users expect beyond the numbers."""

from __future__ import annotations

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import FactorMixture, GaussianMixture, StudentMixture
from gmmlab.data.streams import stream
from gmmlab.errors import DataWarning, NumericalWarning
from gmmlab.estimators.sample import generator
from gmmlab.families import EIGEN

X = load_iris().data
KINDS = ["full", "tied", "diag", "spherical"]


# scikit-learn skips its own array-API check unless SCIPY_ARRAY_API is set
@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")
@parametrize_with_checks([GaussianMixture(covariance_type=kind) for kind in KINDS])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, FactorMixture])
def test_defaults_are_valid_as_a_fit_takes_for_granted(kind):
    validate_parameter_constraints(kind._parameter_constraints, kind().get_params(), kind.__name__)


def test_frames_clones_pipelines_grids_and_pickles():
    frame = load_iris(as_frame=True).data
    model = GaussianMixture(3, random_state=0).fit(frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    assert clone(model).get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(frame), model.predict(frame))
    pipe = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0)).fit(frame)
    assert pipe.predict(frame).shape == (150,)
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 2, 3]}, cv=3).fit(frame)
    assert search.best_params_["n_components"] in (1, 2, 3)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={frame.columns[0]: "other"}))


@pytest.mark.parametrize("kind", KINDS)
def test_tensor_in_tensor_out(kind):
    x = torch.tensor(X)
    ours = GaussianMixture(3, covariance_type=kind, random_state=0)
    labels = ours.fit_predict(x)
    plain = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
    for value in (
        labels,
        ours.means_,
        ours.covariances_,
        ours.predict_proba(x),
        ours.score_samples(x),
        *ours.sample(5),
    ):
        assert isinstance(value, torch.Tensor)
    np.testing.assert_array_equal(ours.means_.numpy(), plain.means_)
    assert isinstance(ours.predict(X), np.ndarray)


def test_float32_stays_float32_and_other_numbers_become_float64():
    model = GaussianMixture(3, random_state=0).fit(X.astype(np.float32))
    assert model.means_.dtype == model.precisions_.dtype == np.float32
    assert model.score_samples(X.astype(np.float32)).dtype == np.float32
    for rows in (
        np.round(10 * X).astype(np.int64),
        X.astype(np.float16),
        torch.tensor(X, dtype=torch.float16),
    ):
        means = GaussianMixture(random_state=0).fit(rows).means_
        assert str(means.dtype).endswith("float64")
        np.testing.assert_allclose(means, np.asarray(rows, dtype=float).mean(0, keepdims=True), rtol=1e-12)


def test_float32_far_from_zero():
    """Unit clouds at offset 1e4, where scikit-learn 1.9 refuses to go on."""
    rng = np.random.default_rng(0)
    clouds = np.concatenate([rng.normal(m, 1, (500, 3)) for m in (0, 6)]) + 1e4
    near = GaussianMixture(2, random_state=0).fit(clouds - 1e4)
    far = GaussianMixture(2, random_state=0).fit(clouds.astype(np.float32))
    assert far.converged_
    np.testing.assert_allclose(np.sort(far.weights_), np.sort(near.weights_), atol=1e-3)
    assert abs(far.score(clouds.astype(np.float32)) - near.score(clouds - 1e4)) < 2e-3


def test_warm_start_goes_on():
    whole = GaussianMixture(3, max_iter=40, tol=0, random_state=0)
    halves = GaussianMixture(3, max_iter=20, tol=0, random_state=0, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole.fit(X)
        halves.fit(X).fit(X)
    np.testing.assert_allclose(halves.means_, whole.means_, rtol=1e-10)
    assert halves.lower_bound_ == pytest.approx(whole.lower_bound_, rel=1e-12)


def test_best_of_several_starts_and_max_iter_zero():
    options = {"init_params": "random_from_data", "random_state": 1, "tol": 1e-5, "max_iter": 1000}
    bounds = [GaussianMixture(4, n_init=n, **options).fit(X).lower_bound_ for n in range(1, 7)]
    assert np.diff(bounds).min() > -1e-9 and bounds[-1] > bounds[0] + 1e-6
    start = GaussianMixture(3, max_iter=0, random_state=0).fit(X)
    assert start.n_iter_ == 0 and not start.converged_ and start.lower_bounds_ == []


def test_weights_of_rows_are_replication():
    times = np.random.default_rng(0).integers(0, 4, len(X))
    begin = GaussianMixture(3, random_state=0).fit(X)
    options = {f"{name}_init": getattr(begin, f"{name}_") for name in ("weights", "means", "precisions")}
    weighted = GaussianMixture(3, **options).fit(X, sample_weight=times)
    repeated = GaussianMixture(3, **options).fit(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9, atol=1e-12)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-12)
    assert weighted.n_iter_ == repeated.n_iter_
    one = GaussianMixture(3, random_state=0).fit(X, sample_weight=1.0)
    np.testing.assert_allclose(one.means_, begin.means_, rtol=1e-10)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "score"])
def test_criteria_of_weighted_rows_are_those_of_repeated_ones(criterion):
    times = np.random.default_rng(0).integers(0, 4, len(X))
    value = getattr(GaussianMixture(3, random_state=0).fit(X), criterion)
    repeated = value(np.repeat(X, times, axis=0))
    assert value(X, sample_weight=times) == pytest.approx(repeated, rel=1e-12)
    assert value(X) != pytest.approx(repeated, rel=1e-3)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        value(X, sample_weight=[1.0, 2.0])


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ([1.0, 2.0], r"shape \(2,\); expected one number for each of the 150 rows"),
        (np.where(np.arange(150) == 7, -1.0, 1.0), r"sample_weight\[7\] is -1.0"),
        (np.where(np.arange(150) == 7, np.nan, 1.0), r"sample_weight\[7\] is nan"),
        (np.zeros(150), "zero for all rows"),
    ],
)
def test_weights_that_are_none_get_a_sentence(weight, sentence):
    with pytest.raises(ValueError, match=sentence):
        GaussianMixture(2).fit(X, sample_weight=weight)


def test_starts_together_end_where_they_would_alone():
    """Several starts share every pass over the rows; with verbose they run one by one."""
    options = {"n_init": 5, "init_params": "random_from_data", "random_state": 3, "tol": 1e-6, "max_iter": 500}
    together = GaussianMixture(4, **options).fit(X)
    alone = GaussianMixture(4, verbose=1, **options).fit(X)
    assert together.n_iter_ == alone.n_iter_
    np.testing.assert_allclose(together.means_, alone.means_, rtol=1e-8)


def test_certificate_says_how_sure_the_end_is():
    model = GaussianMixture(3, random_state=0, tol=1e-4).fit(X)
    found = model.certificate_
    assert found.converged and 0 <= found.last_gain < 1e-4 and found.jitter == 0
    assert found.smallest == pytest.approx(150 * model.weights_.min())
    assert found.condition == pytest.approx([np.linalg.cond(cov) for cov in model.covariances_], rel=1e-6)


def test_missing_entries_are_no_trouble():
    """A tenth of the entries is missing at random: about the same fit, and rows are scored by what they have."""
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    whole, part = (GaussianMixture(2, random_state=0, tol=1e-6, max_iter=500).fit(rows) for rows in (X, holes))
    order = np.argsort(whole.means_[:, 2]), np.argsort(part.means_[:, 2])
    np.testing.assert_allclose(part.means_[order[1]], whole.means_[order[0]], atol=0.1)
    assert np.all(np.diff(part.lower_bounds_) > -1e-12)
    assert adjusted_rand_score(part.predict(holes), whole.predict(X)) > 0.95
    assert np.isfinite(part.score_samples(holes)).all() and part.predict_proba(holes).sum(1) == pytest.approx(1)
    assert part.score(holes) == pytest.approx(part.lower_bound_, abs=1e-4)
    np.testing.assert_allclose(part.score_samples(X), GaussianMixture.from_mixture(part.mixture_).score_samples(X))


def test_rows_without_entries_are_left_out_with_a_count():
    holes = X.copy()
    holes[[3, 77]] = np.nan
    with pytest.warns(DataWarning, match="2 of 150 rows have no entry at all"):
        model = GaussianMixture(2, random_state=0).fit(holes)
    plain = GaussianMixture(2, random_state=0).fit(np.delete(X, [3, 77], axis=0))
    np.testing.assert_allclose(model.means_, plain.means_, rtol=1e-8)
    assert model.predict(holes).shape == (150,) and model.score_samples(holes)[3] == 0


def test_noise_takes_outliers():
    rng = np.random.default_rng(0)
    clouds = np.concatenate([rng.normal(m, 0.5, (200, 2)) for m in (-4, 4)] + [rng.uniform(-20, 20, (40, 2))])
    truth = np.repeat([0, 1, -1], [200, 200, 40])
    model = GaussianMixture(2, noise=True, random_state=0, max_iter=500).fit(clouds)
    labels = model.predict(clouds)
    assert adjusted_rand_score(truth, labels) > 0.95 and set(labels) == {-1, 0, 1}
    assert model.noise_weight_ == pytest.approx(40 / 440, abs=0.03)
    assert model.weights_.sum() == pytest.approx(1 - model.noise_weight_)
    assert np.abs(np.linalg.eigvalsh(model.covariances_) - 0.25).max() < 0.1
    proba = model.predict_proba(clouds)
    assert proba[truth == -1].sum(1).mean() < 0.1 and proba[truth != -1].sum(1).mean() > 0.99
    plain = GaussianMixture(2, random_state=0).fit(clouds)
    assert model.bic(clouds) < plain.bic(clouds)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(clouds), labels)
    drawn = model.sample(2000)[1]
    assert (drawn == -1).mean() == pytest.approx(model.noise_weight_, abs=0.03)
    assert not hasattr(model.set_params(noise=False).fit(clouds), "noise_weight_")


def test_prior_keeps_components_from_collapsing():
    """mclust's weak prior: more components than the rows can carry, no ridge."""
    few = X[:30]
    model = GaussianMixture(5, prior="mclust", random_state=0, tol=1e-6, max_iter=1000).fit(few)
    assert np.all(np.diff(model.lower_bounds_) > -1e-10)
    scale = np.cov(few.T) / 5 ** (2 / 4)
    least = np.linalg.eigvalsh(scale)[0] / (30 + 4 + 2 + 4 + 2)  # the scatter is at least the prior's scale
    assert np.linalg.eigvalsh(model.covariances_).min() >= 0.99 * least
    strong = GaussianMixture(2, prior={"kappa": 1e6, "mean": [5, 3, 4, 1]}, random_state=0).fit(X)
    np.testing.assert_allclose(strong.means_, [[5, 3, 4, 1]] * 2, atol=0.01)
    with pytest.raises(ValueError, match=r"entries \['strength'\]; expected some of kappa, dof, mean and scale"):
        GaussianMixture(2, prior={"strength": 1}).fit(X)


@pytest.mark.parametrize("acceleration", ["squarem", "anderson"])
def test_acceleration_takes_fewer_steps_to_the_same_end(acceleration):
    pair = np.random.default_rng(0).normal(np.repeat([-1.0, 1.0], 300), 1)[:, None]
    begin = GaussianMixture(2, random_state=0, max_iter=0).fit(pair)
    options = {f"{name}_init": getattr(begin, f"{name}_") for name in ("weights", "means", "precisions")}
    options |= {"tol": 1e-9, "max_iter": 5000}
    plain = GaussianMixture(2, **options).fit(pair)
    fast = GaussianMixture(2, acceleration=acceleration, **options).fit(pair)
    assert fast.n_iter_ < plain.n_iter_ / 3
    assert fast.score(pair) >= plain.score(pair) - 1e-5  # both stop at a small gain, not at the end
    assert np.all(np.diff(fast.lower_bounds_) >= -1e-12)


def test_a_stream_is_fitted_like_its_rows():
    rows = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 2)) for m in (0, 6)])
    begin = GaussianMixture(2, random_state=0, max_iter=0).fit(rows)
    options = {f"{name}_init": getattr(begin, f"{name}_") for name in ("weights", "means", "precisions")}
    whole = GaussianMixture(2, **options).fit(rows)
    parts = stream(lambda: iter(np.array_split(rows, 7)))
    model = GaussianMixture(2, **options).fit(parts)
    np.testing.assert_allclose(model.covariances_, whole.covariances_, rtol=1e-9)
    assert model.n_features_in_ == 2
    np.testing.assert_array_equal(model.predict(parts), whole.predict(rows))
    assert model.score(parts) == pytest.approx(whole.score(rows))
    with pytest.raises(ValueError, match=r"can be read only once .* every step of a fit is a pass over all of them"):
        GaussianMixture(2).fit(stream(iter(np.array_split(rows, 7))))
    with pytest.raises(ValueError, match="sample_weight was given beside a stream"):
        GaussianMixture(2).fit(parts, sample_weight=np.ones(1000))


def test_partial_fit_comes_near_the_fit_of_all_rows():
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(m, 1, (3000, 2)) for m in (0, 6, 12)])[rng.permutation(9000)]
    whole = GaussianMixture(3, random_state=0).fit(rows)
    model = GaussianMixture(3, random_state=0)
    for batch in np.array_split(rows, 30):
        model.partial_fit(batch)
    assert model.score(rows) == pytest.approx(whole.score(rows), abs=0.01)
    assert model.n_iter_ == 30 and len(model.lower_bounds_) == 30
    twice = GaussianMixture(3, random_state=0).partial_fit(rows[:600], sample_weight=np.full(600, 2.0))
    once = GaussianMixture(3, random_state=0).partial_fit(rows[:600])
    np.testing.assert_allclose(twice.means_, once.means_, rtol=1e-9)
    with pytest.raises(ValueError, match="3 features"):
        model.partial_fit(np.ones((10, 3)))
    np.testing.assert_array_equal(model.fit(rows).means_, whole.means_)


def test_sample_is_repeatable_and_ordered():
    model = GaussianMixture(3, random_state=0).fit(X)
    (a, za), (b, _) = model.sample(500), model.sample(500)
    assert np.array_equal(a, b) and np.array_equal(za, np.sort(za)) and a.shape == (500, 4)
    with pytest.raises(ValueError, match="n_samples"):
        model.sample(0)


def test_verbose_prints_starts_and_steps(capsys):
    GaussianMixture(3, random_state=0, verbose=2, verbose_interval=1).fit(X)
    out = capsys.readouterr().out
    assert (
        "Initialization 0" in out
        and "Iteration 1\t time lapse" in out
        and "Initialization converged. time lapse" in out
    )


def test_from_mixture_round_trip():
    for kind in KINDS:
        model = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
        again = GaussianMixture.from_mixture(model.mixture_)
        assert again.covariance_type == kind
        np.testing.assert_allclose(again.score_samples(X), model.score_samples(X), rtol=1e-9)
        np.testing.assert_allclose(again.covariances_, model.covariances_, rtol=1e-9, atol=1e-12)


def test_interrupt_keeps_the_best_so_far(monkeypatch):
    from gmmlab.estimators import fitting as module

    def interrupted(model, source, **options):
        yield from itertools.islice(run(model, source, **options), 3)
        raise KeyboardInterrupt

    run = module.run
    monkeypatch.setattr(module, "run", interrupted)
    monkeypatch.setattr("gmmlab.init.race.FEW", 0)
    check_interrupted()


def test_interrupt_keeps_the_best_so_far_of_few_rows(monkeypatch):
    from gmmlab.init import Race

    def steps(race, candidates):
        yield from itertools.islice(taken(race, candidates), 3)
        raise KeyboardInterrupt

    taken = Race.steps
    monkeypatch.setattr(Race, "steps", steps)
    check_interrupted()


def check_interrupted():
    model = GaussianMixture(3, init_params="kmeans", random_state=0, tol=0)
    with pytest.warns(ConvergenceWarning, match="Interrupted at step 3"), pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert model.n_iter_ == 3 and model.predict(X).shape == (150,)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**32 - 1, np.int64(7)])
def test_seeds_are_those_of_numpy(seed):
    expected = check_random_state(seed).randint(np.iinfo(np.int32).max)
    assert generator(seed, torch.device("cpu")).initial_seed() == expected
    with pytest.raises(ValueError, match="Seed must be between 0 and"):
        generator(-1, torch.device("cpu"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"noise": True}, {"means_init": X[[0, 60, 120]]}])
def test_a_fit_begins_at_its_start(kind, options):
    model = GaussianMixture(3, covariance_type=kind, random_state=0, tol=1e-9, max_iter=3000, **options).fit(X)
    assert np.diff(model.lower_bounds_).min() > -1e-9
    first = GaussianMixture(3, covariance_type=kind, random_state=0, max_iter=0, **options).fit(X)
    assert model.lower_bounds_[0] == pytest.approx(first.score(X), rel=1e-9)
    assert first.n_iter_ == 0 and model.n_iter_ == len(model.lower_bounds_)


def test_the_default_start_of_a_first_batch_does_not_climb_on():
    one, many = (GaussianMixture(3, max_iter=most, random_state=0).partial_fit(X) for most in (1, 100))
    np.testing.assert_array_equal(one.means_, many.means_)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"max_iter": 1}, {"max_iter": 2}, {"tol": 1e-7, "max_iter": 500}])
def test_steps_that_are_printed_are_those_that_are_not(kind, options, capsys):
    """A fit whose steps are printed takes them all in torch."""
    options = {"covariance_type": kind, "random_state": 0} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        quiet, watched = (GaussianMixture(3, verbose=v, verbose_interval=1, **options).fit(X) for v in (0, 1))
    assert "Iteration" in capsys.readouterr().out
    assert quiet.n_iter_ == watched.n_iter_ and quiet.converged_ == watched.converged_
    np.testing.assert_allclose(quiet.lower_bounds_, watched.lower_bounds_, rtol=1e-9)
    np.testing.assert_allclose(quiet.means_, watched.means_, rtol=1e-6)
    np.testing.assert_allclose(quiet.covariances_, watched.covariances_, rtol=1e-5, atol=1e-8)


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD = {
    "a column without entries": (
        np.where(np.arange(4) == 1, np.nan, X),
        "Column 1 has no entry in any of the 150 rows",
    ),
    "inf": (np.where(np.arange(600).reshape(150, 4) == 5, np.inf, X), "contains inf in 1 of 150 rows"),
    "one row": (X[:1], "1 sample\\(s\\).* a minimum of 2 is required"),
    "fewer rows than components": (X[:2], "n_samples >= n_components .* n_components = 3, n_samples = 2"),
    "one dimension": (X[:, 0], "Reshape your data"),
    "empty frame": (pd.DataFrame(), "at least one array or dtype is required|0 feature"),
    "no rows": (X[:0], "0 sample"),
    "sparse": (csr_array(X), "[Ss]parse"),
    "strings": (np.array([["a", "b"]] * 5), "could not convert string to float|numeric"),
    "text column": (pd.DataFrame({"a": [1.0, 2, 3], "b": ["x", "y", "z"]}), "Columns 'b' hold text"),
    "complex": (X + 1j, "Complex data not supported"),
    "huge": (X * 1e200, "whose squares overflow"),
    "1-D tensor": (torch.ones(5), "Reshape your data"),
    "tensor with nan": (torch.full((5, 2), torch.nan), "Column 0 has no entry in any of the 5 rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_get_a_sentence(name):
    rows, sentence = BAD[name]
    with pytest.raises((ValueError, TypeError), match=sentence):
        GaussianMixture(3).fit(rows)


def test_parameters_may_be_lists_frames_and_tensors():
    fitted = GaussianMixture(3, random_state=0).fit(X)
    weights = [0.2, 0.3, 0.5]
    for means in (fitted.means_.tolist(), pd.DataFrame(fitted.means_), torch.tensor(fitted.means_).requires_grad_()):
        model = GaussianMixture(
            3, weights_init=weights, means_init=means, precisions_init=fitted.precisions_.tolist(), max_iter=0
        ).fit(X)
        np.testing.assert_array_equal(model.means_, fitted.means_)
        np.testing.assert_allclose(model.weights_, weights, rtol=1e-15)


def test_ill_conditioned_precisions_are_taken_as_they_are():
    """Their Cholesky factor is found without an inverse, which would need jitter here."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    precision = (rotation * [1e-6, 1, 10, 1e6]) @ rotation.T
    precision = (precision + precision.T) / 2
    model = GaussianMixture(1, weights_init=[1.0], means_init=[X.mean(0)], precisions_init=[precision], max_iter=0).fit(
        X
    )
    np.testing.assert_allclose(model.precisions_[0], precision, rtol=0, atol=1e-3)
    z = X - X.mean(0)
    exact = -0.5 * np.einsum("nd,de,ne->n", z, precision, z)
    np.testing.assert_allclose(model.score_samples(X) - model.score_samples(X)[0], exact - exact[0], rtol=1e-6)


def test_warm_start_with_other_parameters_gets_a_sentence():
    model = GaussianMixture(3, random_state=0, warm_start=True).fit(X)
    with pytest.raises(ValueError, match="warm_start goes on from means_ of shape"):
        model.set_params(n_components=5).fit(X)
    with pytest.raises(ValueError, match="warm_start goes on"):
        model.set_params(n_components=3, covariance_type="tied").fit(X)


def test_a_refit_that_fails_leaves_the_model_usable():
    model = GaussianMixture(3, random_state=0).fit(X)
    same = np.repeat([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]], 5, axis=0)  # 4 columns before, 2 now, and three points
    with pytest.raises(ValueError, match="ill-defined"):
        model.set_params(reg_covar=0.0).fit(same)
    assert model.predict(X).shape == (150,)


def test_nothing_is_lost_when_a_refit_is_refused():
    model = GaussianMixture(3, random_state=0).fit(X)
    before = model.means_.copy()
    with pytest.raises(ValueError, match="no entry"):
        model.fit(np.full((10, 4), np.nan))
    assert np.array_equal(model.means_, before)


def test_constant_and_duplicate_columns_warn_and_fit():
    constant = np.column_stack([X, np.ones(150)])
    with pytest.warns(DataWarning, match="Column 'x4' is constant") as caught:
        model = GaussianMixture(2, random_state=0).fit(constant)
    assert model.covariances_[0, 4, 4] == pytest.approx(1e-6)
    assert caught[0].filename == __file__, "a warning points at the line of the user"
    with pytest.warns(DataWarning, match="Column 'x4' is a duplicate of another"):
        GaussianMixture(2, random_state=0).fit(np.column_stack([X, X[:, 1]]))
    with pytest.warns(DataWarning, match="'x0', 'x1' is of a variance below reg_covar=0.1"):
        GaussianMixture(2, random_state=0, reg_covar=0.1).fit(X * [0.1, 0.1, 1, 1])


@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 2, "init_params": "random"},
        {"n_components": 3, "covariance_type": "tied", "init_params": "kmeans"},  # repaired in the start alone
    ],
)
def test_variance_lost_to_rounding_is_helped_out_and_reported(options):
    """Equal values beside a far one: their variance is below the rounding error of moments about the mean.

    Which way the error falls is luck, so several are tried: all are fitted, and those helped out say so once.
    """
    said = []
    for far in np.linspace(1e5, 1e6, 20):
        rows = np.array([[far], *[[-far / 3]] * 13])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = GaussianMixture(**options, random_state=0, max_iter=20).fit(rows)
        assert np.isfinite(model.score_samples(rows)).all()
        said.append([w.category for w in caught].count(NumericalWarning))
    assert set(said) == {0, 1}


def test_jitter_is_reported_once_with_its_amount():
    flat = np.random.default_rng(0).normal(size=(50, 2)) @ np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]])
    with pytest.warns(NumericalWarning, match="Up to .* was added to the variances") as caught:
        GaussianMixture(1, reg_covar=0, random_state=0).fit(flat)
    assert len([w for w in caught if w.category is NumericalWarning]) == 1


def test_collapse_without_ridge_is_an_error_that_helps():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(ValueError, match=r"ill-defined empirical covariance.*increase reg_covar"):
            GaussianMixture(2, reg_covar=0).fit(np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0))


def test_unfitted_and_not_converged():
    with pytest.raises(NotFittedError):
        GaussianMixture().predict(X)
    with pytest.warns(ConvergenceWarning, match="did not converge.*At step 2"):
        GaussianMixture(3, max_iter=2, tol=0, random_state=0).fit(X)


@pytest.mark.parametrize("kind", [structure.name for structure in EIGEN])
def test_fourteen_covariance_types(kind):
    model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    assert model.covariances_.shape == ((2, 4) if kind.endswith("I") else (2, 4, 4))
    assert model.mixture_.gaussian.structure.name == kind
    again = GaussianMixture.from_mixture(model.mixture_)
    assert again.mixture_.gaussian.structure.name == kind
    np.testing.assert_allclose(again.score_samples(X), model.score_samples(X), rtol=1e-9)
    given = {"weights_init": model.weights_, "means_init": model.means_, "precisions_init": model.precisions_}
    resumed = GaussianMixture(2, covariance_type=kind, **given).fit(X)
    assert resumed.score(X) >= model.score(X) - 1e-9


def test_an_unknown_covariance_type_is_answered_with_all_of_them():
    with pytest.raises(ValueError, match="covariance_type") as error:
        GaussianMixture(covariance_type="VEX").fit(X)
    assert all(structure.name in str(error.value) for structure in EIGEN)
    assert all(kind in str(error.value) for kind in KINDS)


def test_the_kept_model_follows_the_attributes():
    """The model is kept between calls; attributes that are replaced or edited in place are seen all the same."""
    x = np.random.default_rng(3).normal(size=(60, 2))
    model = GaussianMixture(2, random_state=0).fit(x)
    first = model.mixture_
    assert model.mixture_ is first
    model.means_[0, 0] += 1.0
    edited = model.mixture_
    assert edited is not first and float(edited.components.mean[0, 0]) == model.means_[0, 0]
    model.weights_ = model.weights_[::-1].copy()
    assert model.mixture_.weights.numpy() == pytest.approx(model.weights_)
    model.reg_covar = 0.5
    assert model.mixture_.components.ridge == 0.5
    assert pickle.loads(pickle.dumps(model)).mixture_ is not model.mixture_


def test_the_kept_model_follows_tensors_edited_in_place():
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(60, 2)))
    model = GaussianMixture(2, random_state=0).fit(x)
    before = model.score(x)
    model.means_[0] += 5.0
    assert model.score(x) != before
