"""`CensoredGaussianMixture`: rows of which some entries are not seen but known to lie between limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from gmmlab.algebra import censored as answers
from gmmlab.axes import Float, Tensor
from gmmlab.data import Rows, as_rows, row_weights, warn_of_idle_columns
from gmmlab.data.streams import Stream
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.predictions import most_probable
from gmmlab.estimators.sample import Sample, generator
from gmmlab.estimators.shaped import CovarianceMixture
from gmmlab.estimators.sourced import SourcedMixture
from gmmlab.families import Diagonal, Full, Gaussian
from gmmlab.families.censored import NODES, Entries, entries
from gmmlab.fit import Step
from gmmlab.fit.censored import censored
from gmmlab.gates import Constant, Posterior
from gmmlab.model import Mixture
from gmmlab.score import criteria
from gmmlab.steps import m_step

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

FIRST_STEPS = ((Diagonal(), 15), (Full(), 5))  # of EM for the one Gaussian from which the start is drawn
FEW = 16  # points that it is taken with


class Told(NamedTuple):
    """What comes with the rows of a fit."""

    lower: Any = None
    upper: Any = None
    sample_weight: Any = None


@dataclass(kw_only=True, eq=False, repr=False)
class CensoredGaussianMixture(SourcedMixture):
    """Gaussian mixture of rows whose entries may be censored: not seen, but known to lie between limits.

    A lifetime that had not ended when the study did lies above the time of the study, a concentration that was not
    detected lies below the detection limit, and what is told in groups lies in its group. An entry of `X` is seen where
    it is a number. Where it is NaN it lies between `lower` and `upper`; without limits it is missing, as it is for
    `GaussianMixture`. EM is exact for one censored entry a row, and for covariances along the axes ('diag',
    'spherical'). Two or more in a row that are correlated are integrated over points, the same in every step.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    nodes : int, default=127
        Points of the integration over three or more correlated entries of a row; a quarter of them serve two. Log
        densities were off by 1e-8 on average for two and for three, 1e-5 for four, 4e-4 for five and 3e-3 for twelve,
        where correlations were about 0.2; strong ones, and limits that lie far out, need more points.
    covariance_type, tol, reg_covar, max_iter, n_init, init_params, weights_init, means_init, precisions_init,
    random_state, warm_start, verbose, verbose_interval, prior, weights_prior, acceleration, noise
        As of `GaussianMixture`. EM is slow where much is hidden: a small `tol` and `acceleration='squarem'` help. To
        start from, what is not seen is drawn from one Gaussian of all rows.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_, converged_, n_iter_, lower_bound_, lower_bounds_,
    noise_weight_, noise_box_, certificate_, mixture_
        As of `GaussianMixture`: of the rows as they are, seen or not. The likelihood of a row is the density of what is
        seen times the probability of its limits given that.

    Notes
    -----
    `lower` and `upper` are one number, one for each column (d,), or one for each entry (n, d), infinite where there is
    none; None for no limit. They tell of the NaN in `X`: a detection limit is one number for its column. Where each
    entry has limits, those that are seen have to lie between their own. What the limits are must not depend on the
    hidden values otherwise than by the limits themselves. A component of rows that all lie below one limit has no scale
    there, and may shrink to `reg_covar`: more starts (`n_init`), or a `prior`.

    References
    ----------
    McLachlan and Jones (1988); Lee and Scott (2012); Genz (1992) for the integration.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import CensoredGaussianMixture
    >>> x = np.random.default_rng(0).normal(size=(5000, 1))
    >>> seen = np.where(x < 0.5, x, np.nan)
    >>> model = CensoredGaussianMixture(tol=1e-8, max_iter=500).fit(seen, lower=np.where(x < 0.5, -np.inf, 0.5))
    >>> bool(abs(model.means_[0, 0]) < 0.05)
    True
    """

    nodes: int = NODES

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CovarianceMixture._parameter_constraints | {
        "nodes": [Interval(Integral, 8, None, closed="left")],
    }
    _takes_gaps: ClassVar[bool] = True

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, lower: Any = None, upper: Any = None) -> Self:
        """Fit the mixture to rows `X`, whose NaN lie between `lower` and `upper`; `y` is ignored."""
        self._fit(X, Told(lower, upper, sample_weight))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, lower: Any = None, upper: Any = None
    ) -> Any:
        """Fit, and return the most probable component of each row."""
        self._fit(X, Told(lower, upper, sample_weight))
        return self.predict(X, lower, upper)

    def steps(self, X: Any, lower: Any = None, upper: Any = None, sample_weight: Any = None) -> Iterator[Step]:
        """The steps that `fit` would take from its first start, one by one; a `Session` can show them."""
        return self._steps_of(X, Told(lower, upper, sample_weight))

    def explore(
        self, X: Any, lower: Any = None, upper: Any = None, sample_weight: Any = None, **options: Any
    ) -> Explorer:
        """Watch and steer the fit on rows `X` in a notebook; see `gmmlab.explore` for the options."""
        return self._watched(X, Told(lower, upper, sample_weight), **options)

    def impute(self, X: Any, random_state: int | None = None, *, lower: Any = None, upper: Any = None) -> Any:
        """The rows with every NaN replaced by its expectation between the limits, or with a seed by a draw."""
        rows, mixture = self._entries(X, lower, upper), self._on(X)
        if random_state is None:
            return sk.like(X, answers.impute(mixture, rows))
        return sk.like(X, answers.sample_censored(mixture, rows, torch.Generator().manual_seed(random_state)))

    # -- what scikit-learn asks of a fitted mixture, of rows with limits -----------------------------------------------

    def score_samples(self, X: Any, lower: Any = None, upper: Any = None) -> Any:
        """Log density of what is seen of each row, and log probability of its limits given that."""
        return sk.like(X, self._posterior(X, lower, upper).evidence)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None, *, lower: Any = None, upper: Any = None) -> float:
        """Mean log-likelihood per row."""
        loglik, n = self._loglik(X, sample_weight, lower, upper)
        return loglik / n

    def predict(self, X: Any, lower: Any = None, upper: Any = None) -> Any:
        """Most probable component of each row; -1 for noise."""
        return sk.like(X, most_probable(self._posterior(X, lower, upper)))

    def predict_proba(self, X: Any, lower: Any = None, upper: Any = None) -> Any:
        """Responsibilities (n, k): the probability of each component given the row. With noise, the rest is its."""
        return sk.like(X, self._posterior(X, lower, upper).resp)

    def bic(self, X: Any, sample_weight: Any = None, lower: Any = None, upper: Any = None) -> float:
        """Bayesian information criterion on rows `X`; lower is better."""
        loglik, n = self._loglik(X, sample_weight, lower, upper)
        return criteria.bic(loglik, self._n_parameters(), n)

    def aic(self, X: Any, sample_weight: Any = None, lower: Any = None, upper: Any = None) -> float:
        """Akaike information criterion on rows `X`; lower is better."""
        return criteria.aic(self._loglik(X, sample_weight, lower, upper)[0], self._n_parameters())

    def icl(self, X: Any, sample_weight: Any = None, lower: Any = None, upper: Any = None) -> float:
        """Integrated complete-data likelihood on rows `X`; lower is better."""
        resp = self._posterior(X, lower, upper).resp
        weight = row_weights(sample_weight, resp)
        return self.bic(X, sample_weight, lower, upper) + 2 * criteria.doubt(resp, weight)

    # -- the fit -----------------------------------------------------------------------------------------------------

    def _sample(self, X: Any, sample_weight: Told | None) -> tuple[Sample, torch.Generator]:
        """Rows to start from, and the source of statistics of all; without limits, those of `GaussianMixture`."""
        told = sample_weight or Told()
        if told.lower is None and told.upper is None:
            return super()._sample(X, told.sample_weight)
        if isinstance(X, Stream):
            raise BadData("lower and upper were given beside a stream; expected rows in memory, or no limits.")
        self._check_columns(X, fitting=True)
        rows, k = as_rows(X, min_rows=2, missing=True), int(self.n_components)
        if len(rows.x) < k:
            raise BadData(f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {len(rows.x)}")
        known = self._with_limits(rows, told.lower, told.upper)
        if not bool(known.bounded.any()):
            return super()._sample(X, told.sample_weight)
        weight = row_weights(told.sample_weight, rows.x)
        known, weight = _telling(known, weight)
        _check_held(known)
        rng = generator(self.random_state, rows.x.device)
        begin = _start_rows(known, weight, rng)
        warn_of_idle_columns(Rows(begin, rows.names), float(self.reg_covar))
        n = float(len(begin) if weight is None else weight.sum())
        sample = Sample(begin, weight, begin.mean(0), n, (), complete=False, told=censored(known, weight))
        return sample, rng

    # -- rows --------------------------------------------------------------------------------------------------------

    def _with_limits(self, rows: Rows, lower: Any, upper: Any) -> Entries:
        return entries(rows.x, _numbers(lower, "lower", rows), _numbers(upper, "upper", rows), int(self.nodes))

    def _entries(self, X: Any, lower: Any, upper: Any) -> Entries:
        check_is_fitted(self, "means_")
        rows = as_rows(X, missing=True)
        self._check_columns(X)
        return self._with_limits(rows, lower, upper)

    def _on(self, X: Any) -> Mixture:
        """The fitted mixture where the rows are."""
        mixture = self.mixture_
        return mixture.to(X.device) if isinstance(X, Tensor) else mixture

    def _posterior(self, X: Any, lower: Any, upper: Any) -> Posterior:
        return answers.posterior(self._on(X), self._entries(X, lower, upper))

    def _loglik(self, X: Any, sample_weight: Any, lower: Any, upper: Any) -> tuple[float, float]:
        return sk.total(self._posterior(X, lower, upper).evidence, sample_weight)


def _numbers(limit: Any, name: str, rows: Rows) -> Tensor | None:
    """Limits as numbers. Raises `BadData` for what is none, and a frame whose columns are not those of the rows."""
    if limit is None:
        return None
    names = [str(column) for column in getattr(limit, "columns", ())]
    if names and names != rows.names:
        raise BadData(f"{name} has the columns {', '.join(names)}; expected those of X: {', '.join(rows.names)}.")
    try:
        return sk.as_tensor(limit)
    except (TypeError, ValueError) as error:
        raise BadData(f"{name} cannot be read as numbers ({error}); expected one, (d,) or (n, d) of them.") from error


def _telling(known: Entries, weight: Tensor | None) -> tuple[Entries, Tensor | None]:
    """The rows of which something is known."""
    empty = (torch.isnan(known.x) & ~known.bounded).all(1)
    if dropped := int(empty.sum()):
        warn(f"{dropped} of {len(empty)} rows have neither entries nor limits and tell the fit nothing.", DataWarning)
    return known.take(~empty), None if weight is None else weight[~empty]


def _check_held(known: Entries) -> None:
    """Raises `BadData` for a column without entries that is not held on both sides: its likelihood has no maximum."""
    seen = (~torch.isnan(known.x)).any(0)
    for name, limit in (("lower", known.low), ("upper", known.high)):
        held = (torch.isfinite(limit) & known.bounded).any(0)
        if loose := (~seen & ~held).nonzero().flatten().tolist():
            raise BadData(
                f"Column {loose[0]} has no entry that is seen, and none with a finite {name} ({len(loose)} such "
                "columns): the likelihood rises as its mean goes to infinity. Expected entries that are seen, or "
                "limits on both sides. Leave it out."
            )


def _start_rows(known: Entries, weight: Tensor | None, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Rows to start from: what is not seen is drawn, given what is known of the row, from one Gaussian of all rows.

    Expectations would all lie in few places, on which components would shrink.
    """
    low, high = (limit.masked_fill(torch.isinf(limit), torch.nan) for limit in (known.low, known.high))
    ends = torch.where(known.bounded, torch.stack([low, high]).nanmean(0), torch.nan)
    guess = torch.where(torch.isnan(known.x), ends, known.x.double())
    mean = guess.nanmean(0)
    variance = (guess - mean).square().nanmean(0)
    variance = torch.where(variance > 0, variance, 1.0)
    ridge = 1e-3 * float(variance.min())
    mean, cov = mean[None], torch.diag_embed(variance[None])
    source = censored(known._replace(nodes=FEW), weight)
    for structure, steps in FIRST_STEPS:
        model = Mixture(Gaussian.of(mean, cov, structure, ridge=ridge), Constant.of(mean.new_ones(1)))
        for _ in range(steps):
            model = m_step(model, source(model))
        mean, cov = model.gaussian.mean, model.gaussian.cov
    return answers.sample_censored(model, known, rng)
