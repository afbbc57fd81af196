"""Watching variational Bayes: a fit that goes on from any Gaussians, with the prior as its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.base import clone

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.estimators.bayesian_mixture import BayesianGaussianMixture, variational
from gmmlab.estimators.believed import prior_of
from gmmlab.estimators.sample import of_rows
from gmmlab.fit import Step
from gmmlab.model import Mixture
from gmmlab.steps import m_step
from gmmlab.widgets.explorer import Explorer
from gmmlab.widgets.fits import Fit, Recipe, ending
from gmmlab.widgets.opening import explore
from gmmlab.widgets.runs import called
from gmmlab.widgets.session import Session


def explore_posterior(
    estimator: BayesianGaussianMixture, X: Any, sample_weight: Any, options: dict[str, Any]
) -> Explorer:
    """An Explorer of the fit, with its bound and the dials of its prior beside it."""
    rows, fitted = as_rows(X, min_rows=2), estimator
    if not hasattr(estimator, "means_"):
        fitted = clone(estimator).set_params(max_iter=0, n_init=1).fit(X, sample_weight=sample_weight)
    begin = fitted.expected_.relocated(origin=rows.x.mean(0))
    name = called("Explorer", rows.x, rows.names)
    weight = row_weights(sample_weight, rows.x)
    fit = variational_bayes(estimator, rows.x, weight)
    session = Session(rows.x, begin, fit=fit, names=rows.names, name=name, weight=weight)
    return explore(session=session, **{"panels": ("trace", "dials")} | options)


def variational_bayes(
    estimator: BayesianGaussianMixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None
) -> Recipe:
    """Variational Bayes with the prior of an estimator, from Gaussians that assign the rows first.

    Its settings are the `concentration` of the weights; `mean_rows`, how many rows the prior of the means counts as;
    and `scale_rows`, how many that of the covariances counts as beyond the d - 1 that it must. What a step reports is
    the lower bound, per row, in place of a log-likelihood.
    """
    sample, d = of_rows(as_rows(x), weight), x.shape[1]
    begin = prior_of(estimator, sample).located.prior
    assert begin is not None

    def make(tol: Any, max_iter: Any, concentration: Any, mean_rows: Any, scale_rows: Any) -> Fit:
        asked = clone(estimator).set_params(
            weight_concentration_prior=concentration,
            mean_precision_prior=mean_rows,
            degrees_of_freedom_prior=d - 1 + scale_rows,
        )
        asked._validate_params()
        stop = ending(tol, max_iter)
        prior_of(asked, sample)  # raises for a prior that is none

        def fit(model: Mixture) -> Iterator[Step]:
            prior = prior_of(asked.set_params(n_components=model.k), sample)
            return variational(m_step(prior, sample.source(model)), sample.source, stop)

        return fit

    given = estimator.weight_concentration_prior
    settings = {
        "tol": max(float(estimator.tol), 1e-9) / sample.n,
        "max_iter": None,
        "concentration": 1 / int(estimator.n_components) if given is None else float(given),
        "mean_rows": float(begin.kappa[0]),
        "scale_rows": float(begin.rows[0]) - (d - 1),
    }
    return Recipe(make, settings)
