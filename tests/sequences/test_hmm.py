"""Hidden Markov models as people use them: sequences of all kinds in, states and forecasts out, errors in words."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from gmmlab import GaussianMixture
from gmmlab.errors import BadData
from gmmlab.gates import Constant
from gmmlab.sequences import HMM, FactorEmission, GaussianEmission, GMMEmission, StudentEmission, labels_to_weights

LENGTHS = [60, 25, 90, 25]
MEANS = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 1.0], [0.0, 4.0, -1.0]])
EMISSIONS = {
    "gaussian": GaussianEmission(),
    "student": StudentEmission(),
    "factors": FactorEmission(1),
    "mixture": GMMEmission(2),
    "tied mixture": GMMEmission(5, tied=True),
}


@pytest.fixture
def truth():
    """States that last, and the rows of four sequences."""
    rng = np.random.default_rng(0)
    states = np.concatenate([rng.integers(3, size=n // 5 + 1).repeat(5)[:n] for n in LENGTHS])
    return MEANS[states] + rng.normal(size=(200, 3)), states


@pytest.fixture
def X(truth):  # noqa: N802 - the name that everybody gives to rows
    return truth[0]


def agreement(found, states) -> float:
    return max(float((np.array(names)[found] == states).mean()) for names in itertools.permutations(range(3)))


@pytest.mark.parametrize("emission", EMISSIONS)
def test_states_are_found_whatever_they_emit(emission, truth):
    X, states = truth
    model = HMM(3, emission=EMISSIONS[emission], random_state=0, tol=1e-4).fit(X, LENGTHS)
    assert model.converged_ and model.n_iter_ == len(model.log_likelihood_history_)
    history = model.log_likelihood_history_
    assert all(after >= before - 1e-6 for before, after in itertools.pairwise(history))
    assert agreement(model.predict(X, LENGTHS), states) > 0.93
    assert model.predict_proba(X, LENGTHS).sum(1) == pytest.approx(1)
    assert model.transmat_.sum(1) == pytest.approx(1)
    assert model.score_samples(X, LENGTHS).sum() == pytest.approx(model.log_likelihood(X, LENGTHS))
    assert model.score(X, LENGTHS) == pytest.approx(model.log_likelihood(X, LENGTHS) / 200)
    assert model.decode(X, LENGTHS).log_prob.sum() <= model.log_likelihood(X, LENGTHS)
    rows, drawn = model.sample(30, 2)
    assert rows.shape == (60, 3) and drawn.shape == (60,)
    np.testing.assert_array_equal(model.sample(30, 2, random_state=7)[0], model.sample(30, 2, random_state=7)[0])
    assert not np.array_equal(model.sample(30, 2, random_state=7)[0], rows)


def test_sequences_come_in_every_form(X):
    model = HMM(3, random_state=0).fit(X, LENGTHS)
    ends = np.cumsum(LENGTHS)
    parts = np.split(X, ends[:-1])
    padded, mask = np.zeros((4, 90, 3)), np.zeros((4, 90), dtype=bool)
    for i, part in enumerate(parts):
        padded[i, : len(part)], mask[i, : len(part)] = part, True
    forms = [(parts, None), (padded, mask), (padded, LENGTHS), (pd.DataFrame(X), LENGTHS)]
    for form, lengths in forms:
        again = HMM(3, random_state=0).fit(form, lengths)
        assert np.allclose(again.means_, model.means_)
        assert again.score(form, lengths) == pytest.approx(model.score(X, LENGTHS))
    tensors = HMM(3, random_state=0).fit(torch.from_numpy(X), LENGTHS)
    assert isinstance(tensors.means_, torch.Tensor)
    assert isinstance(tensors.predict(torch.from_numpy(X), LENGTHS), torch.Tensor)
    single = HMM(3, random_state=0).fit(X.astype(np.float32), LENGTHS)
    assert np.allclose(single.means_, model.means_, atol=1e-3)
    whole = HMM(3, random_state=0).fit(padded[:, :25])
    assert whole.predict(padded[:, :25]).shape == (100,)


def test_all_ways_through_time_agree(X):
    fits = [HMM(3, scan=scan, random_state=0).fit(X, LENGTHS) for scan in ("auto", "sequential", "associative")]
    for other in fits[1:]:
        assert np.allclose(other.means_, fits[0].means_)
        assert other.log_likelihood_history_ == pytest.approx(fits[0].log_likelihood_history_)


def test_parameters_are_counted_and_criteria_follow(X):
    model = HMM(3, random_state=0).fit(X, LENGTHS)
    free = 2 + 6 + 3 * 6  # starts, moves, means and variances
    assert model.bic(X, LENGTHS) == pytest.approx(-2 * model.log_likelihood(X, LENGTHS) + free * np.log(200))
    assert model.aic(X, LENGTHS) == pytest.approx(-2 * model.log_likelihood(X, LENGTHS) + 2 * free)
    mixed = HMM(3, emission=GMMEmission(2), covariance_type="full", random_state=0).fit(X, LENGTHS)
    assert mixed.mixture_.n_parameters == 2 + 6 + 3 * (1 + 2 * (3 + 6))
    assert mixed.weights_.shape == (3, 6) and mixed.weights_.sum(1) == pytest.approx(1)


def test_states_that_go_from_left_to_right_are_counted_so():
    rng = np.random.default_rng(1)
    parts = [np.repeat([0.0, 3.0, 6.0], [20, 10 + i, 15])[:, None] + rng.normal(size=(45 + i, 1)) for i in range(6)]
    model = HMM(3, topology="left-right", random_state=0).fit(parts)
    assert np.array_equal(model.startprob_, [1, 0, 0])
    assert (model.transmat_[np.tril_indices(3, -1)] == 0).all() and model.transmat_[0, 2] == 0
    assert model.means_.ravel() == pytest.approx([0, 3, 6], abs=0.3)
    assert model.mixture_.n_parameters == 0 + (1 + 1 + 0) + 6
    mask = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    assert (HMM(3, topology=mask, random_state=0, tol=1e-3).fit(parts).transmat_[mask == 0] == 0).all()


def test_stickiness_adds_moves_that_were_not_seen(X):
    loose, sticky = (HMM(3, stickiness=kappa, random_state=0).fit(X, LENGTHS) for kappa in (0.0, 200.0))
    assert (sticky.transmat_.diagonal() > loose.transmat_.diagonal()).all()
    assert sticky.lower_bounds_ == sorted(sticky.lower_bounds_)


def test_what_is_told_of_states_is_kept(truth):
    X, states = truth
    labels = np.where(np.arange(200) % 4 == 0, states, -1)
    weights = labels_to_weights(labels, 3)
    model = HMM(3, random_state=0).fit(X, LENGTHS, state_weights=weights)
    assert np.array_equal(model.predict(X, LENGTHS, state_weights=weights)[::4], states[::4])
    assert (model.predict(X, LENGTHS) == states).mean() > 0.93  # by their own names
    certain = HMM(3, random_state=0, covariance_type="full").fit(X, LENGTHS, state_weights=labels_to_weights(states, 3))
    for s in range(3):
        assert certain.means_[s] == pytest.approx(X[states == s].mean(0))
    soft = labels_to_weights(labels, 3, trust=0.6)
    assert soft[0].tolist() == pytest.approx([1.0 if s == states[0] else 0.4 for s in range(3)])
    assert (soft[1] == 1).all()


def test_gaps_are_integrated_out(truth):
    X, states = truth
    gaps = X.copy()
    gaps[np.random.default_rng(2).random(X.shape) < 0.25] = np.nan
    with pytest.raises(BadData, match="NaN"):
        HMM(3).fit(gaps, LENGTHS)
    model = HMM(3, missing="marginal", random_state=0).fit(gaps, LENGTHS)
    assert agreement(model.predict(gaps, LENGTHS), states) > 0.85


def test_filtering_and_forecasts_look_back_only(X):
    model = HMM(3, random_state=0, covariance_type="full").fit(X, LENGTHS)
    filtered = model.filter(X[:60])
    assert np.allclose(filtered[:20], model.filter(X[:20]))
    near, far = model.forecast(X[:60]), model.forecast(X[:60], k=500)
    assert isinstance(near.gate, Constant)
    assert near.weights.numpy() == pytest.approx(filtered[-1] @ model.transmat_)
    assert far.weights.numpy() == pytest.approx(np.linalg.matrix_power(model.transmat_, 2000)[0], abs=1e-6)
    again = model.score_samples(np.concatenate([X[:60], X[60:61]]))[-1]
    assert float(near.log_prob(torch.from_numpy(X[60:61]))) == pytest.approx(again)
    with pytest.raises(ValueError, match="at least 1"):
        model.forecast(X, k=0)


def test_a_chain_of_single_rows_is_a_mixture(X):
    """Sequences of one row have no moves: the fit is that of a mixture from the same start."""
    resp = np.eye(3)[np.arange(200) % 3]
    chained = HMM(3, init_params=resp, tol=1e-8, max_iter=500).fit(X, np.ones(200, dtype=int))
    plain = GaussianMixture(3, covariance_type="diag", init_params=resp, tol=1e-8, max_iter=500).fit(X)
    assert chained.score(X, np.ones(200, dtype=int)) == pytest.approx(plain.score(X), abs=1e-5)
    assert chained.means_ == pytest.approx(plain.means_, abs=1e-2)


def test_manners_of_scikit_learn(X):
    model = HMM(3, emission=StudentEmission(), random_state=0)
    assert clone(model).get_params() == model.get_params()
    assert "n_states=3" in repr(model)
    with pytest.raises(NotFittedError):
        model.predict(X)
    before = dict(vars(model))
    model.fit(X, LENGTHS)
    assert all(vars(model)[name] == value for name, value in before.items())
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X, LENGTHS), model.predict(X, LENGTHS))
    assert model.n_features_in_ == 3
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])
    named = HMM(3, random_state=0).fit(pd.DataFrame(X, columns=list("abc")), LENGTHS)
    assert list(named.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(pd.DataFrame(X, columns=list("cba")), LENGTHS)
    for bad in ({"n_states": 0}, {"topology": "circle"}, {"scan": "fast"}, {"emission": "gaussian"}, {"tol": -1.0}):
        with pytest.raises(ValueError, match=f"The '{next(iter(bad))}' parameter of HMM"):
            HMM(**bad).fit(X)


def test_steps_can_be_watched(X):
    steps = list(HMM(3, random_state=0, max_iter=2).steps(X, LENGTHS))
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 steps"):
        model = HMM(3, random_state=0, max_iter=2).fit(X, LENGTHS)
    assert [float(step.info.stats.evidence) for step in steps] == model.log_likelihood_history_
    explorer = HMM(3, random_state=0).explore(X, LENGTHS)
    explorer.play()
    assert explorer.result().k == 3


def test_what_is_told_is_told_to_a_session(X):
    """Rows of the session are those of the fit, with gaps too; what is known and weights are the fit's."""
    told, times = np.ones((200, 3)), np.arange(len(LENGTHS)) + 1.0
    told[:5] = [0, 1, 0]
    gaps = X.copy()
    gaps[3, 0] = np.nan
    model = HMM(3, random_state=0, tol=1e-3, missing="marginal")
    model.fit(gaps, LENGTHS, state_weights=told, sample_weight=times)
    session = model.watch(gaps, LENGTHS, state_weights=told, sample_weight=times, name="Told")
    try:
        session.play()
        session.wait(60)
        seen = session.snapshot.model.components
        np.testing.assert_allclose(seen.mean.numpy(), model.means_, rtol=1e-9)
        assert session.name == "Told"
        assert session.trace().chart(session.snapshot).alt
        assert np.isfinite(float(session.snapshot.model.log_prob(session.x[4:9]).sum()))
    finally:
        session.close()
    explorer = model.explore(gaps, LENGTHS, state_weights=told)
    assert explorer.result().k == 3


def test_the_best_of_several_starts_is_kept(X):
    one, several = (HMM(3, init_params="random_from_data", n_init=n, random_state=1).fit(X, LENGTHS) for n in (1, 6))
    assert several.lower_bounds_[-1] >= one.lower_bounds_[-1] - 1e-9


BAD = [
    ({"lengths": [60, 25]}, "sum to 85; expected 200"),
    ({"lengths": [200, 0]}, "whole numbers of at least 1"),
    ({"lengths": [100.5, 99.5]}, "whole numbers of at least 1"),
    ({"lengths": LENGTHS, "state_weights": np.ones((200, 2))}, r"expected \(200, 3\)"),
    ({"lengths": LENGTHS, "state_weights": -np.ones((200, 3))}, "finite numbers of at least 0"),
    ({"lengths": LENGTHS, "state_weights": np.zeros((200, 3))}, r"state_weights\[0\] is zero for all"),
    ({"lengths": LENGTHS, "sample_weight": np.ones(200)}, "one number for each of the 4 rows"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_sequences_are_refused_in_words(X, given, message):
    with pytest.raises(BadData, match=message):
        HMM(3).fit(X, **given)


def test_bad_forms_are_refused_in_words(X):
    with pytest.raises(BadData, match="lengths were given too"):
        HMM(3).fit([X], [200])
    with pytest.raises(BadData, match=r"have \[2, 3\] columns"):
        HMM(3).fit([X, X[:, :2]])
    with pytest.raises(BadData, match="mask has gaps"):
        HMM(3).fit(np.zeros((1, 3, 1)), np.array([[True, False, True]]))
    with pytest.raises(BadData, match="2 lengths up to 9; expected 1, up to 3"):
        HMM(3).fit(np.zeros((1, 3, 1)), [9, 1])
    with pytest.raises(BadData, match="no move from state 1"):
        HMM(2, topology=np.array([[1, 1], [0, 0]])).fit(X)
    with pytest.raises(BadData, match=r"expected \(2, 2\): True"):
        HMM(2, topology=np.ones((3, 3))).fit(X)
    with pytest.raises(BadData, match="got 2 rows and n_states=3"):
        HMM(3).fit(X[:2])
    with pytest.raises(BadData, match=r"transmat_prior has the shape \(2,\)"):
        HMM(3, transmat_prior=[1.0, 1.0]).fit(X)
    with pytest.raises(BadData, match="labels are no states"):
        labels_to_weights([0, 3], 3)
    with pytest.raises(BadData, match="trust=2"):
        labels_to_weights([0, 1], 3, trust=2)
