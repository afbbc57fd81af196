"""`TruncatedGaussianMixture`: the mixture of all rows, where only those in a box were seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from gmmlab.axes import Float, Tensor
from gmmlab.data import Rows
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.fitting import Fit
from gmmlab.estimators.predictions import _log_prob
from gmmlab.estimators.sample import Sample
from gmmlab.estimators.shaped import CovarianceMixture
from gmmlab.estimators.sourced import SourcedMixture
from gmmlab.fit import Step
from gmmlab.fit.unseen import Box, with_unseen
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

GONE = 1e-12  # of a component that is seen: less cannot be told from nothing


@dataclass(kw_only=True, eq=False, repr=False)
class TruncatedGaussianMixture(SourcedMixture):
    """Gaussian mixture of rows of which only those inside a box were seen.

    Truncated: nobody knows how many rows lie outside (`n_unseen` None). Censored: their number is known, not where they
    are. The rows outside enter every step of EM by their expected number and moments. For one column and for
    covariances along the axes ('diag', 'spherical') these are exact; others are integrated over `nodes` quasi-random
    points, the same in every step. For rows that are there, with limits of single entries, see
    `CensoredGaussianMixture`.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    lower, upper : float, array of shape (d,) or None, default=None
        Ends of the box; None or infinite where rows are seen without end.
    n_unseen : float or None, default=None
        How many rows lie outside, where that is known.
    nodes : int, default=1024
        Points of the integration.
    covariance_type, tol, reg_covar, max_iter, n_init, init_params, weights_init, means_init, precisions_init,
    random_state, warm_start, verbose, verbose_interval, prior, weights_prior, acceleration, noise
        As of `GaussianMixture`. EM is slow where much is hidden: a small `tol` and `acceleration='squarem'` help, and a
        `prior` where components may wander off.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_, converged_, n_iter_, lower_bound_, lower_bounds_,
    noise_weight_, noise_box_, certificate_, mixture_
        As of `GaussianMixture`: of all rows, seen or not. Bounds are per seen row: the log density of rows given that
        they are seen (truncated), or with what the number outside adds to it (censored).
    observed_fraction_ : float
        The share of the mixture inside the box.

    References
    ----------
    McLachlan and Jones (1988); Lee and Scott (2012); Genz (1992) for the integration.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import TruncatedGaussianMixture
    >>> x = np.random.default_rng(0).normal(size=(5000, 1))
    >>> seen = x[x[:, 0] < 0.5]
    >>> model = TruncatedGaussianMixture(upper=0.5, n_unseen=5000 - len(seen), tol=1e-8, max_iter=500).fit(seen)
    >>> bool(abs(model.means_[0, 0]) < 0.05)
    True
    """

    lower: Any = None
    upper: Any = None
    n_unseen: float | None = None
    nodes: int = 1024

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CovarianceMixture._parameter_constraints | {
        "lower": [Real, "array-like", None],
        "upper": [Real, "array-like", None],
        "n_unseen": [Interval(Real, 0.0, None, closed="left"), None],
        "nodes": [Interval(Integral, 1, None, closed="left")],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture of all rows to those that were seen, `X`; `y` is ignored."""
        self._fit(X, sample_weight)
        return self

    def steps(self, X: Any, sample_weight: Any = None) -> Iterator[Step]:
        """The steps that `fit` would take from its first start, one by one; a `Session` can show them."""
        return self._steps_of(X, sample_weight)

    def explore(self, X: Any, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch and steer the fit on rows `X` in a notebook; see `gmmlab.explore` for the options."""
        return self._watched(X, sample_weight, **options)

    def score_samples(self, X: Any) -> Any:
        """Log density of rows given that they are seen; -inf outside of the box."""
        return sk.like(X, self._over(X, self._log_seen))

    def score_latent(self, X: Any) -> Any:
        """Log density of the mixture of all rows, inside and outside."""
        return super().score_samples(X)

    def _total(self, X: Any, sample_weight: Any) -> tuple[float, float]:
        loglik, n = sk.total(self._over(X, self._log_seen), sample_weight)
        if self.n_unseen is None:
            return loglik, n
        left = max(1 - self.observed_fraction_, np.finfo(float).tiny)
        return loglik + n * np.log(self.observed_fraction_) + float(self.n_unseen) * np.log(left), n

    def _sample(self, X: Any, sample_weight: Any) -> tuple[Sample, torch.Generator]:
        sample, rng = super()._sample(X, sample_weight)
        box = self._box(sample.x)
        _check_inside(sample.x, box)
        count = None if self.n_unseen is None else float(self.n_unseen)
        return sample._replace(told=with_unseen(sample.source, box, count), complete=False), rng

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        super()._store(fit, like, n)
        box = self._box(fit.model.gaussian.mean)
        unseen = box(fit.model)
        self.observed_fraction_ = float(unseen.shares(fit.model)[0])
        if gone := (unseen.inside < GONE).nonzero().flatten().tolist():
            warn(
                f"Component {gone[0]} lies outside of the box ({float(unseen.inside[gone[0]]):.1g} of it is seen; "
                f"{len(gone)} such in all): nothing that was seen tells of it. Try fewer components, or a prior.",
                DataWarning,
            )

    def _box(self, x: Float[Tensor, "n d"]) -> Box:
        """The box of rows like these. Raises `BadData` where it has no inside."""
        lower, upper = (_end(value, sign, x) for value, sign in ((self.lower, -1.0), (self.upper, 1.0)))
        if not bool((lower < upper).all()):
            at = int((~(lower < upper)).nonzero()[0])
            raise BadData(
                f"The box goes from {float(lower[at]):g} to {float(upper[at]):g} along column {at}; expected lower "
                "below upper."
            )
        return Box(lower, upper, int(self.nodes))

    def _log_seen(self, mixture: Mixture, rows: Rows) -> Float[Tensor, "n"]:
        box = self._box(rows.x)
        inside = ((rows.x >= box.lower) & (rows.x <= box.upper)).all(1)
        return torch.where(inside, _log_prob(mixture, rows) - np.log(self.observed_fraction_), -torch.inf)


def _end(value: Any, sign: float, x: Float[Tensor, "n d"]) -> Float[Tensor, "d"]:
    d = x.shape[1]
    if value is None:
        return x.new_full((d,), sign * torch.inf, dtype=torch.float64)
    end = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value, dtype=float))
    end = end.double().to(x.device)
    if end.shape not in ((), (d,)) or bool(torch.isnan(end).any()):
        raise BadData(f"An end of the box has the shape {tuple(end.shape)}; expected one number, or {d}: one a column.")
    return end.expand(d)


def _check_inside(x: Float[Tensor, "n d"], box: Box) -> None:
    out = (x < box.lower) | (x > box.upper)
    if bool(out.any()):
        row, column = (int(i) for i in out.nonzero()[0])
        raise BadData(
            f"Row {row} is {float(x[row, column]):g} in column {column}, outside of the box "
            f"({float(box.lower[column]):g} to {float(box.upper[column]):g}); {int(out.any(1).sum())} such rows. "
            "Expected the rows that were seen: leave the others out, and give their number as n_unseen."
        )
