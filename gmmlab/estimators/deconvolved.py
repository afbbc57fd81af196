"""`DeconvolvedGaussianMixture`: the mixture of true values, from rows with errors, maps, gaps, and rows left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from gmmlab.algebra import measured as answers
from gmmlab.axes import Float, Tensor
from gmmlab.data import Rows, as_rows, row_weights, warn_of_idle_columns
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.answers import Regressed
from gmmlab.estimators.fitting import Fit, moved
from gmmlab.estimators.predictions import most_probable
from gmmlab.estimators.sample import Behind, Sample, generator
from gmmlab.estimators.shaped import CovarianceMixture
from gmmlab.estimators.sourced import SourcedMixture
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import Full, Gaussian, Prior
from gmmlab.families.measured import Measured, measured
from gmmlab.fit import Source, Step
from gmmlab.fit.blurred import blurred
from gmmlab.fit.unseen import Imputed, checked, with_unseen
from gmmlab.gates import Constant
from gmmlab.model import Mixture
from gmmlab.score import criteria
from gmmlab.steps import m_step

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

FIRST_STEPS = 20  # of EM for the one Gaussian that says how much each row tells


class Told(NamedTuple):
    """What comes with the rows of a fit."""

    errors: Any = None
    projection: Any = None
    sample_weight: Any = None


@dataclass(kw_only=True, eq=False, repr=False)
class DeconvolvedGaussianMixture(SourcedMixture):
    """Gaussian mixture of true values that were measured with known errors: extreme deconvolution.

    A row is x = R y + e with e ~ N(0, C), where y comes from the mixture, and every row may have its own errors C and
    its own linear map R. Entries may be missing (NaN). Rows may also be missing as a whole, where how probable it is
    that a row is recorded depends on where it is measured (`selection`).

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str, default='full'
        As of `GaussianMixture`: of the true values.
    min_sd : float, default=0.0
        A component that errors do not tell from a point may shrink to one. With a positive number its covariance is
        (n_k V + min_sd^2 (n / k + 1) I) / (n_k + 1): the mode under an inverse Wishart prior that keeps it about that
        wide. Not beside `prior`.
    selection : callable or None, default=None
        Takes rows (m, c) as they would be measured (arrays, or tensors if the rows are tensors) and gives the
        probability in [0, 1] that each is recorded. In every step the rows that were left out are imputed by draws.
    oversampling : float, default=10.0
        Draws for each row. They are the same quasi-random numbers in every step.
    split_merge : bool, default=False
        As of `GaussianMixture`; moves are drawn up from draws of the true values behind the rows.
    noise : bool or float, default=False
        A uniform background in the box around the measured rows, as of `GaussianMixture`.
    tol, reg_covar, max_iter, n_init, init_params, weights_init, means_init, precisions_init, random_state, warm_start,
    verbose, verbose_interval, prior, weights_prior, acceleration
        As of `GaussianMixture`. Rows count in the start by how much they tell: by the share of the variance of one
        Gaussian that their measurement explains.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_, converged_, n_iter_, lower_bound_, lower_bounds_,
    noise_weight_, noise_box_, certificate_, mixture_
        As of `GaussianMixture`: the mixture of true values. Likelihoods are those of the rows as they were measured,
        given that they were recorded.
    selected_ : float
        With `selection`, the share of the mixture's rows that are recorded.
    n_features_in_ : int
        Columns of the rows as they are measured.

    Notes
    -----
    `errors` are None for none; standard errors, one for all, (n,) or (n, c); covariances (n, c, c), or (c, c) for all
    rows. A square table where n = c is taken as standard errors. `projection` is (n, c, d), or (c, d) for all rows.

    References
    ----------
    Bovy, Hogg and Roweis (2011), also for `split_merge`; Melchior and Goulding (2018) for `selection` and `min_sd`.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import DeconvolvedGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> true, errors = rng.normal(size=(2000, 1)), rng.uniform(0.1, 3, size=2000)
    >>> model = DeconvolvedGaussianMixture().fit(true + errors[:, None] * rng.normal(size=(2000, 1)), errors=errors)
    >>> bool(0.9 < model.covariances_[0, 0, 0] < 1.1)
    True
    """

    min_sd: float = 0.0
    selection: Callable[[Any], Any] | None = None
    oversampling: float = 10.0
    split_merge: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CovarianceMixture._parameter_constraints | {
        "min_sd": [Interval(Real, 0.0, None, closed="left")],
        "selection": [callable, None],
        "oversampling": [Interval(Real, 0.0, None, closed="neither")],
        "split_merge": ["boolean"],
    }
    _takes_gaps: ClassVar[bool] = True

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, errors: Any = None, projection: Any = None
    ) -> Self:
        """Fit the mixture of true values to measured rows `X`; `y` is ignored."""
        self._fit(X, Told(errors, projection, sample_weight))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, errors: Any = None, projection: Any = None
    ) -> Any:
        """Fit, and return the most probable component of each row."""
        self._fit(X, Told(errors, projection, sample_weight))
        return self.predict(X, errors, projection)

    def steps(self, X: Any, errors: Any = None, projection: Any = None, sample_weight: Any = None) -> Iterator[Step]:
        """The steps that `fit` would take from its first start, one by one; a `Session` can show them."""
        return self._steps_of(X, Told(errors, projection, sample_weight))

    def explore(self, X: Any, errors: Any = None, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch and steer the fit on rows `X` in a notebook; see `gmmlab.explore` for the options."""
        return self._watched(X, Told(errors, None, sample_weight), **options)

    def denoise(
        self, X: Any, errors: Any = None, projection: Any = None, random_state: int | None = None
    ) -> Regressed | Any:
        """Mean and standard deviation of the true values of each row, (n, d) each; with a seed, a draw of them."""
        rows = self._measured(X, errors, projection)
        mixture = self.mixture_.to(rows.x.device)
        if random_state is not None:
            rng = torch.Generator(rows.x.device).manual_seed(random_state)
            return sk.like(X, answers.sample_denoised(mixture, rows, rng))
        found = answers.denoised(mixture, rows)
        sd = found.cov.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
        return Regressed(sk.like(X, found.mean), sk.like(X, sd))

    # -- what scikit-learn asks of a fitted mixture, of rows with errors -----------------------------------------------

    def score_samples(self, X: Any, errors: Any = None, projection: Any = None) -> Any:
        """Log density of each row as it is measured; with `selection`, given that it is recorded."""
        return sk.like(X, self._evidence(X, errors, projection))

    def score(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, errors: Any = None, projection: Any = None
    ) -> float:
        """Mean log-likelihood per row."""
        loglik, n = self._loglik(X, sample_weight, errors, projection)
        return loglik / n

    def predict(self, X: Any, errors: Any = None, projection: Any = None) -> Any:
        """Most probable component of each row; -1 for noise."""
        return sk.like(X, most_probable(self._posterior(X, errors, projection)))

    def predict_proba(self, X: Any, errors: Any = None, projection: Any = None) -> Any:
        """Responsibilities (n, k): the probability of each component given the row. With noise, the rest is its."""
        return sk.like(X, self._posterior(X, errors, projection).resp)

    def bic(self, X: Any, sample_weight: Any = None, errors: Any = None, projection: Any = None) -> float:
        """Bayesian information criterion on rows `X`; lower is better."""
        loglik, n = self._loglik(X, sample_weight, errors, projection)
        return criteria.bic(loglik, self._n_parameters(), n)

    def aic(self, X: Any, sample_weight: Any = None, errors: Any = None, projection: Any = None) -> float:
        """Akaike information criterion on rows `X`; lower is better."""
        return criteria.aic(self._loglik(X, sample_weight, errors, projection)[0], self._n_parameters())

    def icl(self, X: Any, sample_weight: Any = None, errors: Any = None, projection: Any = None) -> float:
        """Integrated complete-data likelihood on rows `X`; lower is better."""
        resp = self._posterior(X, errors, projection).resp
        weight = row_weights(sample_weight, resp)
        return self.bic(X, sample_weight, errors, projection) + 2 * criteria.doubt(resp, weight)

    # -- the fit -----------------------------------------------------------------------------------------------------

    def _sample(self, X: Any, sample_weight: Told | None) -> tuple[Sample, torch.Generator]:
        """Rows to start from, which count by how much they tell, and the source of statistics of all."""
        told = sample_weight or Told()
        rows, seen = self._rows(X, told.errors, told.projection, min_rows=2)
        weight = row_weights(told.sample_weight, rows.x)
        k = int(self.n_components)
        if len(rows.x) < k:
            raise BadData(f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {len(rows.x)}")
        if told.errors is None and told.projection is None and not rows.gaps:
            warn_of_idle_columns(rows, float(self.reg_covar))
        rng = generator(self.random_state, rows.x.device)
        begin, tells = _start_rows(rows, seen, weight)
        n = float(len(rows.x) if weight is None else weight.sum())
        source = self._source(seen, rows, weight, X)
        behind = Behind(lambda mixture: answers.sample_denoised(mixture, seen, rng), weight)
        sample = Sample(begin, tells, begin.mean(0), n, (), complete=False, told=source, behind=behind)
        return sample, rng

    def _best_fit(self, sample: Sample, rng: torch.Generator) -> Fit:
        best = super()._best_fit(sample, rng)
        if not self.split_merge or self.max_iter == 0 or sample.behind is None:
            return best
        report = Reporter(self.verbose, self.verbose_interval)
        return moved(best, sample.source, sample.behind, self._budget(), report)

    def _source(self, seen: Measured, rows: Rows, weight: Tensor | None, like: Any) -> Source:
        source = blurred(seen, weight)
        region = self._region(seen, rows, like)
        return source if region is None else with_unseen(source, region)

    def _region(self, seen: Measured, rows: Rows, like: Any) -> Imputed | None:
        """What is left out, by draws. Raises `BadData` where a recorded row could not have been."""
        selection = self.selection
        if selection is None:
            return None
        if rows.gaps:
            raise BadData("Entries are missing (NaN), and selection looks at whole rows. Leave rows with gaps out.")

        def probability(x: Float[Tensor, "m c"]) -> Float[Tensor, "m"]:
            return torch.as_tensor(selection(x if isinstance(like, Tensor) else x.cpu().numpy())).to(x)

        own = checked(probability(seen.x), len(seen.x))
        if bool((own <= 0).any()):
            raise BadData(
                f"selection gives 0 for {int((own <= 0).sum())} of {len(own)} rows that were recorded; expected more."
            )
        return Imputed(probability, seen, float(self.oversampling), seed=0)

    def _family(self, begin: Mixture, sample: Sample) -> Mixture:
        begin = super()._family(begin, sample)
        if not self.min_sd:
            return begin
        if self.prior is not None:
            raise ValueError(f"min_sd={self.min_sd} is a prior, and so is prior={self.prior!r}; expected one of them.")
        k, d, structure = begin.k, begin.d, self._structure()
        variance = float(self.min_sd) ** 2 * (sample.n / k + 1)
        unit = torch.ones(d) if not structure.dense else torch.eye(d)
        mean = begin.gaussian.mean
        ones = mean.new_ones(k)
        scale = variance * unit.to(mean).expand(k, *unit.shape)
        return begin.relocated(prior=Prior(torch.zeros_like(mean), 0 * ones, scale, ones))

    def _store(self, fit: Any, like: Any, n: float) -> None:
        super()._store(fit, like, n)
        self.__dict__.pop("selected_", None)

    def _fit(self, X: Any, sample_weight: Any) -> None:
        super()._fit(X, sample_weight)
        if self.selection is not None:
            rows, seen = self._rows(X, sample_weight.errors, sample_weight.projection)
            region, mixture = self._region(seen, rows, X), self.mixture_.to(rows.x.device)
            assert region is not None
            self.selected_ = float(region(mixture).shares(mixture)[0])

    # -- rows --------------------------------------------------------------------------------------------------------

    def _rows(self, X: Any, errors: Any, projection: Any, min_rows: int = 1) -> tuple[Rows, Measured]:
        rows = as_rows(X, min_rows=min_rows, missing=True)
        self._check_columns(X, fitting=not hasattr(self, "n_features_in_") or min_rows > 1)
        device = rows.x.device
        given = (None if told is None else sk.as_tensor(told).double().to(device) for told in (errors, projection))
        return rows, measured(rows.x, *given)

    def _measured(self, X: Any, errors: Any, projection: Any) -> Measured:
        check_is_fitted(self, "means_")
        return self._rows(X, errors, projection)[1]

    def _posterior(self, X: Any, errors: Any, projection: Any) -> Any:
        rows = self._measured(X, errors, projection)
        return answers.posterior(self.mixture_.to(rows.x.device), rows)

    def _evidence(self, X: Any, errors: Any, projection: Any) -> Float[Tensor, "n"]:
        evidence: Tensor = self._posterior(X, errors, projection).evidence
        if not hasattr(self, "selected_"):
            return evidence
        rows, seen = self._rows(X, errors, projection)
        region = self._region(seen, rows, X)
        if region is None:
            raise BadData(
                "The mixture was fitted with a selection, which it has no more (files do not hold functions): put it "
                "back by set_params(selection=...)."
            )
        shown = torch.as_tensor(self.selected_).to(evidence)
        return evidence + checked(region.selection(seen.x), len(seen.x)).to(evidence).log() - shown.log()

    def _loglik(self, X: Any, sample_weight: Any, errors: Any, projection: Any) -> tuple[float, float]:
        return sk.total(self._evidence(X, errors, projection), sample_weight)


def _start_rows(rows: Rows, seen: Measured, weight: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Rows of true values to start from, and how often each counts.

    One Gaussian is fitted to all. Rows are what it expects behind them, and count by the share of their variance that
    the measurement explains, the mean over columns of 1 - B_jj / V_jj: poor rows would scatter far from all groups.
    Rows without errors are what they are.
    """
    model = _one_gaussian(seen, weight)
    guess = answers.denoised(model, seen)
    told = 1 - guess.cov.diagonal(dim1=-2, dim2=-1) / model.gaussian.cov[0].diagonal()
    told = told.mean(1).clamp(0, 1).to(rows.x)
    if bool((told > 1 - 1e-9).all()):
        return (rows.x if guess.mean.shape == rows.x.shape else guess.mean.to(rows.x)), weight
    told = told.clamp(min=1e-3)
    return guess.mean.to(rows.x), told if weight is None else told * weight


def _one_gaussian(seen: Measured, weight: Tensor | None) -> Mixture:
    """One Gaussian of the true values, by a few steps from least squares.

    Raises `BadData` where a direction is seen in no row.
    """
    maps, x = seen.maps, seen.x
    square = torch.einsum("mce,mcf->ef", maps, maps) * (len(x) / len(maps))
    if (rank := int(torch.linalg.matrix_rank(square))) < len(square):
        raise BadData(
            f"The rows are seen through maps that show {rank} of {len(square)} directions; expected each to be seen in "
            "some row. Leave a column that is never seen out."
        )
    pulled = torch.einsum("ncd,nc->d", maps.expand(len(x), -1, -1), x)
    mean = torch.linalg.solve(square, pulled)
    rest = x - torch.einsum("ncd,d->nc", maps.expand(len(x), -1, -1), mean)
    size = float(rest.square().mean()) or 1.0
    cov = size * torch.eye(len(mean)).to(mean)
    ridge = 1e-9 * size
    model = Mixture(Gaussian.of(mean[None], cov[None], Full(), ridge=ridge), Constant.of(mean.new_ones(1)))
    source = blurred(seen, weight)
    for _ in range(FIRST_STEPS):
        model = m_step(model, source(model))
    return model
