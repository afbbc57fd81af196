"""Autoregressive hidden Markov models: regressions by state, partial knowledge, paths that go on, remaining lives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from gmmlab.errors import BadData, NumericalWarning
from gmmlab.sequences import ARHMM, HMM, health_index, labels_to_weights, phm_score, share_in_time
from gmmlab.sequences.prognosis import remaining

SLOPES, LEVELS = np.array([0.9, 0.5, 0.2]), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def dynamics(rng: np.random.Generator, n: int = 3, t: int = 150) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Check (b) of the system: three regimes of two columns that are left with probability 0.05."""
    rows, states = [], []
    for _ in range(n):
        z, x = np.empty(t, dtype=int), np.zeros((t, 2))
        z[0] = rng.integers(3)
        for i in range(1, t):
            z[i] = z[i - 1] if rng.random() < 0.95 else (z[i - 1] + rng.integers(1, 3)) % 3
            x[i] = SLOPES[z[i]] * x[i - 1] + LEVELS[z[i]] + 0.1**0.5 * rng.normal(size=2)
        rows.append(x)
        states.append(z)
    return rows, states


@pytest.fixture(scope="module")
def data():
    return dynamics(np.random.default_rng(0))


def test_without_lags_it_is_the_gaussian_model(data):
    X, _ = data
    resp = np.eye(3)[np.arange(450) % 3]
    options = {"covariance_type": "full", "init_params": resp, "reg_covar": 0.0, "max_iter": 30, "tol": 0.0}
    with pytest.warns(UserWarning, match="did not converge"):
        plain, lagged = HMM(3, **options).fit(X), ARHMM(3, order=0, **options).fit(X)
    assert lagged.log_likelihood_history_ == pytest.approx(plain.log_likelihood_history_)
    assert lagged.coefs_[:, :, 0] == pytest.approx(plain.means_)
    assert lagged.covariances_ == pytest.approx(plain.covariances_)
    assert lagged.mixture_.n_parameters == plain.mixture_.n_parameters
    assert (lagged.spectral_radius_ == 0).all()


@pytest.mark.parametrize("order", [1, 2])
def test_known_states_give_least_squares_of_each(data, order):
    X, states = data
    z = np.concatenate(states)
    model = ARHMM(3, order=order).fit(X, state_weights=labels_to_weights(z, 3))
    now = np.concatenate([x[order:] for x in X])
    past = np.concatenate([np.hstack([x[order - lag : len(x) - lag] for lag in range(1, order + 1)]) for x in X])
    of = np.concatenate([s[order:] for s in states])
    for s in range(3):
        design = np.hstack([np.ones((int((of == s).sum()), 1)), past[of == s]])
        coef, *_ = np.linalg.lstsq(design, now[of == s], rcond=None)
        assert model.coefs_[s] == pytest.approx(coef.T, abs=1e-8)
        left = now[of == s] - design @ coef
        assert model.covariances_[s] == pytest.approx(left.T @ left / len(left), abs=1e-8)
    assert np.array_equal(model.predict(X, state_weights=labels_to_weights(z, 3))[order:150], z[order:150])


def test_knowing_nothing_changes_nothing(data):
    X, _ = data
    resp = np.eye(3)[np.arange(3 * 149) % 3]
    plain = ARHMM(3, init_params=resp).fit(X)
    told = ARHMM(3, init_params=resp).fit(X, state_weights=np.ones((450, 3)))
    assert told.log_likelihood_history_ == pytest.approx(plain.log_likelihood_history_)
    scales = np.random.default_rng(1).uniform(0.5, 2, size=(450, 1))
    scaled = ARHMM(3, init_params=resp).fit(X, state_weights=np.ones((450, 3)) * scales)
    counted = np.concatenate([part[1:] for part in np.log(scales).reshape(3, 150)]).sum()
    assert np.array(scaled.log_likelihood_history_) == pytest.approx(np.array(plain.log_likelihood_history_) + counted)
    assert scaled.coefs_ == pytest.approx(plain.coefs_)


def test_the_objective_never_falls_and_excluded_states_are_not_met(data):
    X, states = data
    z = np.concatenate(states)
    weights = labels_to_weights(np.where(np.arange(450) % 3 == 0, z, -1), 3)
    model = ARHMM(3).fit(X, state_weights=weights)
    history = model.log_likelihood_history_
    assert all(after >= before - 1e-6 for before, after in itertools.pairwise(history))
    path = model.predict(X, state_weights=weights)
    scored = np.arange(450) % 150 > 0
    assert (weights[np.arange(450), path] > 0)[scored].all()


def test_dynamics_are_found(data):
    X, states = data
    model = ARHMM(3, random_state=0, n_init=3).fit(X)
    assert adjusted_rand_score(np.concatenate(states), model.predict(X)) > 0.7
    assert sorted(model.spectral_radius_) == pytest.approx(sorted(SLOPES), abs=0.12)
    assert model.score_samples(X).sum() == pytest.approx(model.log_likelihood(X))
    assert model.score_samples(X)[[0, 150, 300]].tolist() == [0, 0, 0]
    free = 2 + 6 + 3 * (2 * 3 + 3)
    assert model.bic(X) == pytest.approx(-2 * model.log_likelihood(X) + free * np.log(447))


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.2, 0.6])
def test_soft_labels_are_no_worse_than_none_or_all_too_sure_ones(rho):
    """Check (b) of the system; a label is wrong with a probability that is known, and its plausibility says so."""
    rng = np.random.default_rng(0)
    (X, states), (fresh, truth) = dynamics(rng, 5, 200), dynamics(rng, 5, 200)
    z = np.concatenate(states)
    doubt = rng.beta(2 * rho, 2 * (1 - rho), size=len(z))
    labels = np.where(rng.random(len(z)) < doubt, rng.integers(3, size=len(z)), z)
    soft = np.repeat(doubt[:, None], 3, axis=1)
    soft[np.arange(len(z)), labels] = 1
    found = {}
    for name, weights in {"none": None, "sure": labels_to_weights(labels, 3), "soft": soft}.items():
        model = ARHMM(3, random_state=0, n_init=3).fit(X, state_weights=weights)
        found[name] = adjusted_rand_score(np.concatenate(truth), model.predict(fresh))
    assert found["soft"] >= found["none"] - 0.03
    assert found["soft"] > found["sure"] + 0.03


def test_its_steps_can_be_watched():
    """Rows of the session have the rows before them in front."""
    rng = np.random.default_rng(0)
    X = [np.cumsum(rng.normal(size=(30, 1)), axis=0), rng.normal(size=(20, 1))]
    model = ARHMM(2, order=2, random_state=0, tol=1e-3)
    told = np.ones((50, 2))
    told[:4] = [1, 0]
    session = model.watch(X, state_weights=told)
    try:
        assert session.names == ["x0, 1 before", "x0, 2 before", "x0"]
        np.testing.assert_allclose(session.x[0].numpy(), X[0][[1, 0, 2], 0])
        assert len(session.x) == 50 - 2 * 2
        session.play()
        session.wait(60)
        model.fit(X, state_weights=told)
        np.testing.assert_allclose(session.snapshot.model.components.coef[:, 0].numpy(), model.coefs_[:, 0, 1:])
        assert session.trace().chart(session.snapshot).alt
    finally:
        session.close()


def test_paths_go_on_as_the_dynamics_say(data):
    X, _ = data
    model = ARHMM(3, random_state=0, n_init=3).fit(X)
    paths = model.simulate(X[0], 60, n_paths=2000, random_state=0)
    assert paths.rows.shape == (2000, 60, 2) and paths.states.shape == (2000, 60)
    ahead = model.forecast(X[0])
    assert paths.rows[:, 0].mean(0) == pytest.approx((ahead.weights @ ahead.components.mean).numpy(), abs=0.06)
    then = model.filter(X[0])[-1] @ np.linalg.matrix_power(model.transmat_, 60)
    assert np.bincount(paths.states[:, -1], minlength=3) / 2000 == pytest.approx(then, abs=0.05)
    again = model.simulate(X[0], 60, n_paths=2000, random_state=0)
    assert np.array_equal(again.rows, paths.rows)


def a_life(rng: np.random.Generator, wear: float) -> np.ndarray:
    """A health that stays, then falls until it is gone."""
    healthy = 1 + 0.02 * rng.normal(size=rng.integers(30, 50))
    falling = 1 - wear * np.arange(1, int(1 / wear) + 1) + 0.02 * rng.normal(size=int(1 / wear))
    return np.concatenate([healthy, falling])[:, None]


def test_remaining_lives_are_of_the_right_length():
    rng = np.random.default_rng(0)
    lives = [a_life(rng, 0.025) for _ in range(12)]
    model = ARHMM(2, order=2, topology="left-right", random_state=0).fit(lives)
    late = lives[0][: len(lives[0]) - 15]
    left = model.rul(late, 0.02, n_paths=400, max_horizon=200, random_state=0)
    assert left.low <= left.median <= left.high
    assert left.median == pytest.approx(15, abs=6)
    assert left.paths.shape == (400,)
    with pytest.warns(NumericalWarning, match="do not reach -100 within 20 rows"):
        assert model.rul(late, -100.0, n_paths=50, max_horizon=20).median == np.inf


def test_first_crossings_are_counted_from_one():
    import torch

    paths = torch.tensor([[1.0, 0.4, 0.2], [0.4, 0.9, 0.4], [1.0, 1.0, 1.0]]).double()
    assert remaining(paths, 0.5).paths.tolist() == [2, 1, np.inf]
    assert remaining(-paths, -0.5, below=False).paths.tolist() == [2, 1, np.inf]


def test_one_number_has_the_least_relative_error():
    """By trying all of them; paths without an end say nothing, unless there are no others."""
    import torch

    rng = np.random.default_rng(0)
    ends = rng.geometric(0.02, size=300)
    paths = torch.from_numpy(1.0 - (np.arange(1, 101) >= ends[:, None]))
    found = remaining(paths, 0.5)
    seen = ends[ends <= 100]
    errors = [np.mean(np.abs(c - seen) / seen) for c in range(1, 101)]
    assert np.isinf(found.paths).any()
    assert found.relative == 1 + np.argmin(errors) < found.median
    assert remaining(torch.ones(3, 4).double(), 0.5).relative == np.inf


def test_health_falls_from_one_to_zero():
    rng = np.random.default_rng(0)
    lives = [np.linspace(1, 0, n)[:, None] * [2.0, -1.0, 0.5] + [3.0, 0.0, 1.0] for n in (40, 60)]
    index = health_index([life + 0.001 * rng.normal(size=life.shape) for life in lives])
    assert index(lives[0])[[0, -1], 0] == pytest.approx([1, 0], abs=0.01)
    with pytest.raises(BadData, match="one row"):
        health_index([lives[0], lives[0][:1]])


def test_scores_punish_late_predictions_more():
    assert phm_score([10, 20], [10, 20]) == 0
    assert phm_score([0], [13]) == pytest.approx(np.e - 1)
    assert phm_score([20], [10]) == pytest.approx(np.e - 1)
    assert share_in_time([0, 0, 21, 20], [13, 14, 10, 10]) == 0.5


def test_bad_sequences_are_refused_in_words(data):
    X, _ = data
    with pytest.raises(BadData, match="Sequence 1 has 2 rows; expected more than order=2"):
        ARHMM(2, order=2).fit([X[0], X[1][:2]])
    with pytest.raises(BadData, match="NaN"):
        ARHMM(2).fit(np.full((10, 1), np.nan))
    never = np.ones((450, 3))
    never[5] = 0
    with pytest.raises(BadData, match=r"state_weights\[5\] is zero"):
        ARHMM(3).fit(X, state_weights=never)
    blocked = np.ones((450, 2))
    blocked[10, 0], blocked[11, 1] = 0, 0
    with pytest.raises(BadData, match="at its row 10"):
        ARHMM(2, topology="left-right").fit(X, state_weights=blocked)
