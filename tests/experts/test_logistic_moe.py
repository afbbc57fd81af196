"""Logistic experts: one is a logistic regression, two know an exclusive or."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from gmmlab.errors import BadData, NumericalWarning
from gmmlab.experts import LogisticMoE
from gmmlab.families import Logits


@pytest.fixture(scope="module")
def crossed():
    """Classes by the sign of a product, a tenth of them wrong."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(600, 2))
    right = rng.random(600) < 0.95
    return x, np.where((x[:, 0] * x[:, 1] > 0) == right, "same", "apart")


@pytest.fixture(scope="module")
def fitted(crossed):
    return LogisticMoE(2, ridge=0.1, reg_gate=0.1, random_state=0).fit(*crossed)


def test_one_expert_is_a_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = (x @ [[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]] + rng.gumbel(size=(300, 3))).argmax(1)
    model = LogisticMoE(1, ridge=1e-9, tol=1e-13, n_init=1).fit(x, y)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(x), peer.predict_proba(x), atol=1e-4)
    np.testing.assert_allclose(model.expert_coef_[0], peer.coef_[:2] - peer.coef_[2], atol=1e-2)


def test_two_experts_know_an_exclusive_or(fitted, crossed):
    x, y = crossed
    one = LogisticMoE(1).fit(x, y)
    assert one.score(x, y) < 0.6
    assert fitted.score(x, y) > 0.9  # of 0.95 that can be known
    assert fitted.bic(x, y) < one.bic(x, y)
    np.testing.assert_allclose(fitted.predict_proba(x).sum(1), 1)
    np.testing.assert_allclose(fitted.gate_proba(x).sum(1), 1)
    mixed = (fitted.gate_proba(x)[:, :, None] * fitted.expert_proba(x)).sum(1)
    np.testing.assert_allclose(mixed, fitted.predict_proba(x))


@pytest.mark.filterwarnings("ignore:The fit did not settle")
@pytest.mark.parametrize("solver", ["newton", "mm"])
def test_penalised_likelihood_never_falls(solver, crossed):
    model = LogisticMoE(2, gate_solver=solver, ridge=0.1, reg_gate=1.0, n_init=1, max_iter=60).fit(*crossed)
    path = model.loglik_path_
    assert path[-1] > path[0] and all(after >= before - 1e-9 for before, after in pairwise(path))


def test_log_likelihood_is_that_of_the_probabilities(fitted, crossed):
    x, y = crossed
    own = fitted.predict_proba(x)[np.arange(600), np.searchsorted(fitted.classes_, y)]
    assert fitted.log_likelihood(x, y) == pytest.approx(np.log(own).sum(), rel=1e-10)
    assert fitted.mixture_.n_parameters == 2 * 3 + 3


def test_numbering_of_the_classes_does_not_matter(fitted, crossed):
    x, y = crossed
    renamed = LogisticMoE(2, ridge=0.1, reg_gate=0.1, random_state=0).fit(x, np.where(y == "same", "a", "b"))
    np.testing.assert_allclose(renamed.predict_proba(x), fitted.predict_proba(x)[:, ::-1], atol=1e-4)


def test_a_gate_that_looks_at_something_else(crossed):
    x, y = crossed
    model = LogisticMoE(2, gate_transform="tanh", ridge=0.1, reg_gate=0.1, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.9
    own = LogisticMoE(2, gate_transform=lambda x: x[:, :1].sign(), ridge=0.1, reg_gate=0.1, random_state=0).fit(x, y)
    assert own.gate_weights_.shape == (2, 2) and own.score(x, y) > 0.9


def test_differential_equation_of_gate_and_expert():
    """With u = exp(w x) P(s; a x + b): d2u / dw db = du / da."""
    w, a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, -0.4, 0.3))
    x = torch.tensor(1.3).double()
    u = torch.exp(w * x) * torch.sigmoid(a * x + b)
    by_b, by_a = torch.autograd.grad(u, [b, a], create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(by_b, w)[0], by_a, rtol=1e-10, atol=0)


def test_its_steps_can_be_watched():
    """To the fit itself, with weights and with a gate that looks at something else."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.uniform(-1, 1, (120, 2)), columns=["a", "b"])
    y = np.where(x["a"] * x["b"] > 0, "blue", "red")
    times = rng.integers(1, 4, 120)
    model = LogisticMoE(2, gate_transform="tanh", ridge=0.1, n_init=1, tol=1e-3, random_state=0)
    session = model.watch(x, y, times, name="Regions")
    try:
        assert session.names == ["a", "b", "gate 0", "gate 1", "class"]
        session.play()
        session.wait(60)
        model.fit(x, y, times)
        torch.testing.assert_close(session.snapshot.model.gate.w, model.mixture_.gate.w)
        assert session.trace().chart(session.snapshot).alt
    finally:
        session.close()


def test_separation_is_told_and_still_right(rng):
    x = torch.randn(200, 1, generator=rng, dtype=torch.float64)
    with pytest.warns(NumericalWarning, match="parts its rows without error"):
        model = LogisticMoE(1, ridge=1e-9, tol=1e-4).fit(x, (x[:, 0] > 0).long())
    assert model.score(x, (x[:, 0] > 0).long()) == 1


def test_what_cannot_be_fitted_is_refused_in_words(fitted, crossed):
    x = crossed[0]
    with pytest.raises(BadData, match="expected at least 2 classes"):
        LogisticMoE().fit(x, np.zeros(600))
    with pytest.raises(BadData, match="which the fit has not seen"):
        fitted.log_likelihood(x, np.full(600, "else"))
    with pytest.raises(TypeError, match="given inputs"):
        fitted.mixture_.components.sample(torch.zeros(2, dtype=torch.long), torch.Generator())
    stats = fitted.mixture_.components.stats(torch.zeros(4, 3).double(), torch.ones(3, 2).double())
    moved = fitted.mixture_.components.replace(w=fitted.mixture_.components.w + 1)
    assert isinstance(moved, Logits)
    with pytest.raises(ValueError, match="other logistic experts"):
        moved.refit(stats)
