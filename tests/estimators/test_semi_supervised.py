"""A classifier out of a mixture and a few labels."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmlab import GaussianMixture, SemiSupervisedGMM
from gmmlab.errors import BadData

X, Y = load_iris(return_X_y=True)
EXPECTED = {
    "check_classifiers_classes": "it has -1 for the name of a class: here, as in sklearn.semi_supervised, it is none",
    "check_sample_weight_equivalence_on_dense_data": "starts part rows without looking at their weights",
    "check_sample_weight_equivalence_on_sparse_data": "the same",
}


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks fit odd data on purpose
@parametrize_with_checks([SemiSupervisedGMM(3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def few(y: np.ndarray, each: int, seed: int = 0) -> np.ndarray:
    """The labels of some rows of each class, -1 for the others."""
    rng, told = np.random.default_rng(seed), np.full(len(y), -1)
    for c in np.unique(y):
        rows = rng.choice(np.flatnonzero(y == c), each, replace=False)
        told[rows] = c
    return told


def by_the_book(x, y, begin, steps, *, latent=False, prior=0.01):
    """EM of Miller and Uyar, row by row and component by component, from a fitted start."""
    w, mean, cov = begin.weights_.copy(), begin.means_.copy(), begin.covariances_.copy()
    c = y.max() + 1
    told, one = y >= 0, np.eye(c)[np.maximum(y, 0)]
    share = one[told].mean(0)
    resp = begin.mixture_.posterior(torch.from_numpy(x)).resp.numpy()
    beta = resp[told].T @ one[told] + share
    beta /= beta.sum(1, keepdims=True)
    trace = []
    for _ in range(steps):
        density = np.stack([w[k] * multivariate_normal(mean[k], cov[k]).pdf(x) for k in range(len(w))], 1)
        joint = np.where(told[:, None], density * beta[:, np.maximum(y, 0)].T, density)
        resp = joint / joint.sum(1, keepdims=True)
        trace.append((np.log(joint.sum(1)).sum() + prior * (share * np.log(beta)).sum()) / len(x))
        counts = resp[told].T @ one[told] + prior * share
        counts += latent * resp[~told].sum(0)[:, None] * beta
        beta = counts / counts.sum(1, keepdims=True)
        w = resp.mean(0)
        mean = resp.T @ x / resp.sum(0)[:, None]
        cov = np.stack([np.cov(x.T, aweights=resp[:, k], bias=True) + 1e-6 * np.eye(x.shape[1]) for k in range(len(w))])
    return trace, beta, mean


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.parametrize("variant", ["EM-I", "EM-II"])
def test_it_is_the_algorithm_of_the_book(variant):
    y = few(Y, 5)
    begin = GaussianMixture(4, random_state=0, init_params="kmeans", max_iter=0).fit(X)
    trace, beta, mean = by_the_book(X, y, begin, 6, latent=variant == "EM-II")
    start = {"weights_init": begin.weights_, "means_init": begin.means_, "precisions_init": begin.precisions_}
    model = SemiSupervisedGMM(4, variant=variant, max_iter=6, tol=0, **start).fit(X, y)
    np.testing.assert_allclose(model.lower_bounds_, trace, rtol=1e-9)
    np.testing.assert_allclose(model.component_class_, beta, atol=1e-8)
    np.testing.assert_allclose(model.means_, mean, rtol=1e-8)


def test_with_all_labels_it_is_discriminant_analysis():
    model = SemiSupervisedGMM(3, one_class=True, reg_covar=0, random_state=0).fit(X, Y)
    own = model.component_class_.argmax(1)
    assert sorted(own) == [0, 1, 2] and set(model.component_class_.ravel()) == {0, 1}
    for k, c in enumerate(own):
        np.testing.assert_allclose(model.means_[k], X[c == Y].mean(0))
        np.testing.assert_allclose(model.covariances_[k], np.cov(X[c == Y].T, bias=True))
    tied = SemiSupervisedGMM(3, one_class=True, covariance_type="tied", reg_covar=0, random_state=0).fit(X, Y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, Y)
    np.testing.assert_allclose(tied.predict_proba(X), theirs.predict_proba(X), atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"variant": "EM-II"}, {"label_weight": 10.0}, {"acceleration": "squarem"}])
def test_it_climbs_and_probabilities_are_some(options):
    model = SemiSupervisedGMM(5, random_state=0, max_iter=500, **options).fit(X, few(Y, 4))
    assert np.all(np.diff(model.lower_bounds_) > -1e-9) and model.converged_
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1)
    np.testing.assert_allclose(model.component_class_.sum(1), 1)
    assert model.score(X, Y) > 0.9


def test_both_variants_end_alike():
    ends = [
        SemiSupervisedGMM(4, variant=variant, random_state=0, tol=1e-10, max_iter=5000).fit(X, few(Y, 8))
        for variant in ("EM-I", "EM-II")
    ]
    np.testing.assert_allclose(ends[0].component_class_, ends[1].component_class_, atol=1e-3)
    assert ends[0].n_iter_ < ends[1].n_iter_


def test_classes_of_several_components_keep_theirs():
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [8, 8], [0, 8], [8, 0]])
    z = rng.integers(0, 4, 400)
    x, y = corners[z] + rng.normal(size=(400, 2)), np.array(["even", "even", "odd", "odd"])[z]
    told = np.full(400, None, dtype=object)
    for k in range(4):
        rows = np.flatnonzero(z == k)[:2]
        told[rows] = y[rows]
    model = SemiSupervisedGMM(4, one_class=True, random_state=0).fit(x, told)
    assert model.score(x, y) > 0.99 and model.classes_.tolist() == ["even", "odd"]
    assert sorted(model.component_class_.argmax(1)) == [0, 0, 1, 1]


def test_links_are_about_classes():
    y = few(Y, 1)
    a, b = np.flatnonzero((Y == 1) & (y < 0))[0], np.flatnonzero(y == 2)[0]
    plain = SemiSupervisedGMM(3, random_state=0).fit(X, y)
    alike = SemiSupervisedGMM(3, random_state=0).fit(X, y, must=[(a, b)])
    told = y.copy()
    told[a] = 2
    same = SemiSupervisedGMM(3, random_state=0).fit(X, told)
    np.testing.assert_allclose(alike.predict_proba(X), same.predict_proba(X), atol=1e-10)
    assert abs(plain.predict_proba(X) - alike.predict_proba(X)).max() > 1e-3
    unlike = SemiSupervisedGMM(3, random_state=0).fit(X, y, cannot=[(a, b)])
    assert unlike.lower_bound_ < plain.lower_bound_ + 1e-3


def test_weights_of_rows_are_replication():
    y, times = few(Y, 6), np.random.default_rng(0).integers(0, 3, len(X))
    times[y >= 0] += 1
    begin = GaussianMixture(3, random_state=0).fit(X).predict(X)
    weighted = SemiSupervisedGMM(3, init_params=begin).fit(X, y, sample_weight=times)
    repeated = SemiSupervisedGMM(3, init_params=np.repeat(begin, times)).fit(
        np.repeat(X, times, axis=0), np.repeat(y, times)
    )
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)
    start = {"weights_init": weighted.weights_, "means_init": weighted.means_, "precisions_init": weighted.precisions_}
    heavy = SemiSupervisedGMM(3, label_weight=3, **start).fit(X, y)
    same = SemiSupervisedGMM(3, **start).fit(X, y, sample_weight=np.where(y >= 0, 3, 1))
    np.testing.assert_allclose(heavy.predict_proba(X), same.predict_proba(X))


def test_gaps_tensors_and_pickles():
    rng = np.random.default_rng(0)
    gappy = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    gappy[3] = np.nan
    y = few(Y, 10)
    with pytest.warns(UserWarning, match="1 of 150 rows have no entry"):
        model = SemiSupervisedGMM(3, covariance_type="tied", random_state=0).fit(gappy, y)
    assert model.score(gappy, Y) > 0.85
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(gappy), model.predict_proba(gappy))
    x = torch.tensor(X, dtype=torch.float32)
    single = SemiSupervisedGMM(3, random_state=0).fit(x, torch.tensor(y))
    assert single.predict_proba(x).dtype == torch.float32 and isinstance(single.component_class_, torch.Tensor)
    assert single.predict(x).dtype == torch.int64 and single.score(x, torch.tensor(Y)) > 0.9


def test_a_fit_goes_on_and_can_be_watched():
    y = few(Y, 5)
    model = SemiSupervisedGMM(3, random_state=0, warm_start=True, max_iter=3, tol=0)
    with pytest.warns(UserWarning, match="did not converge"):
        first = model.fit(X, y).lower_bound_
    with pytest.warns(UserWarning, match="did not converge"):
        assert model.fit(X, y).lower_bound_ > first
    steps = list(SemiSupervisedGMM(3, random_state=0, max_iter=4, tol=0).steps(X, y))
    assert [step.i for step in steps] == [1, 2, 3, 4] and steps[0].model.gate.beta.shape == (3, 3)
    explorer = SemiSupervisedGMM(3, random_state=0).explore(X, y, panels=())
    explorer.session.set(label_weight=4.0)
    explorer.session.step()
    explorer.close()


def test_a_session_is_told_what_the_fit_is():
    """Weights and links, as the labels are: it ends where the fit does."""
    y, times = few(Y, 5), np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    links = {"must": [(0, 1), (60, 61)], "cannot": [(2, 70)]}
    model = SemiSupervisedGMM(3, random_state=0, tol=1e-6, label_weight=2.0, max_iter=2000)
    explorer = model.explore(X, y, times, **links, panels=())
    explorer.session.play()
    shown = explorer.session.wait(60).model
    model.fit(X, y, times, **links)
    np.testing.assert_allclose(shown.gaussian.mean.numpy(), model.means_, atol=1e-6)
    assert explorer.session.snapshot.settings["cannot"] == ((2, 70),)
    explorer.close()


def test_what_cannot_be_fitted_gets_a_sentence():
    with pytest.raises(BadData, match="None of the 150 rows has a label"):
        SemiSupervisedGMM(3).fit(X, np.full(150, -1))
    with pytest.raises(BadData, match="There are 3 classes and n_components=2"):
        SemiSupervisedGMM(2, one_class=True).fit(X, Y)
    with pytest.warns(UserWarning, match="There are 3 classes in n_components=1: some will share"):
        SemiSupervisedGMM(1).fit(X, Y)
    model = SemiSupervisedGMM(3, random_state=0).fit(X, Y)
    with pytest.raises(BadData, match="The class 5 was not among those of the fit; expected 0, 1, 2"):
        model.score(X, Y + 5)
    with pytest.raises(ValueError, match="y has 4 labels and X has 150 rows"):
        SemiSupervisedGMM(3).fit(X, Y[:4])
    assert not hasattr(model, "partial_fit")
    with pytest.raises(TypeError, match="says nothing of classes"):
        SemiSupervisedGMM.from_mixture(model.mixture_)


def test_many_rows_without_a_label_help():
    wine = load_wine()
    x = (wine.data - wine.data.mean(0)) / wine.data.std(0)
    gains = []
    for seed in range(5):
        y = few(wine.target, 3, seed)
        semi = SemiSupervisedGMM(3, covariance_type="tied", random_state=0).fit(x, y)
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x[y >= 0], y[y >= 0])
        gains.append(semi.score(x, wine.target) - lda.score(x, wine.target))
    assert np.mean(gains) > 0
