"""What a fitted estimator answers: by column names, in the kind of array that came in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.datasets import load_iris

from gmmlab import GaussianMixture
from gmmlab.errors import NumericalWarning

FRAME = load_iris(as_frame=True).data
X = FRAME.to_numpy()
NAMES = list(FRAME.columns)


@pytest.fixture(scope="module")
def model() -> GaussianMixture:
    return GaussianMixture(3, random_state=0, tol=1e-10, max_iter=2000, reg_covar=0).fit(FRAME)


def test_columns_go_by_name_or_number(model):
    by_name, by_number = model.marginal(NAMES[2:]), model.marginal([2, 3])
    assert torch.equal(by_name.gaussian.mean, by_number.gaussian.mean) and by_name.d == 2
    with pytest.raises(KeyError, match="no column 'width'; the model has sepal length"):
        model.marginal(["width"])


def test_regression_is_the_mean_of_the_conditional(model):
    found = model.regress(X[:5, :2], given=NAMES[:2], targets=[2, 3])
    for i in range(5):
        rest = model.condition([0, 1], X[i, :2])
        mean = (rest.weights[:, None] * rest.gaussian.mean).sum(0)
        np.testing.assert_allclose(found.mean[i], mean, rtol=1e-9)
    assert np.corrcoef(model.regress(X[:, :3], [0, 1, 2], [3]).mean[:, 0], X[:, 3])[0, 1] > 0.95
    assert isinstance(model.regress(torch.tensor(X[:3, :2]), [0, 1], [2]).mean, torch.Tensor)


def test_gaps_are_filled_by_expectations_or_draws(model):
    holes = X.copy()
    holes[::3, 2] = np.nan
    filled, drawn = model.impute(holes), model.impute(holes, random_state=1)
    assert np.array_equal(filled[1], X[1]) and not np.isnan(filled).any()
    wrong = np.abs(filled[::3, 2] - X[::3, 2])
    assert wrong.mean() < 0.4 and np.abs(drawn[::3, 2] - X[::3, 2]).mean() > wrong.mean()
    assert np.array_equal(drawn, model.impute(holes, random_state=1))


def test_distribution_of_one_column():
    column = X[:, [2]]
    model = GaussianMixture(2, random_state=0).fit(column)
    means, sds = model.means_[:, 0], np.sqrt(model.covariances_[:, 0, 0])
    expected = norm.cdf(column, means, sds) @ model.weights_
    np.testing.assert_allclose(model.cdf(column), expected, rtol=1e-9)
    np.testing.assert_allclose(model.cdf(model.quantile([0.1, 0.5])), [0.1, 0.5], rtol=1e-9)


def test_level_holds_its_mass(model):
    level = model.level(0.5)
    rows, _ = model.set_params(random_state=3).sample(20_000)
    rows = pd.DataFrame(rows, columns=NAMES)
    assert (model.score_samples(rows) >= level.log_density).mean() == pytest.approx(0.5, abs=0.02)


def test_standard_errors_of_one_component_are_those_of_the_textbook():
    one = GaussianMixture(1, reg_covar=0).fit(X)
    errors = one.standard_errors(X)
    np.testing.assert_allclose(errors.means[0], X.std(0) / 150**0.5, rtol=1e-6)
    assert errors.weights.tolist() == [0.0] and errors.covariances.shape == (1, 4, 4)
    with pytest.warns(NumericalWarning, match="standard errors away from this fit"):
        GaussianMixture(3, init_params="random", random_state=0, tol=1e-2).fit(X).standard_errors(X)
