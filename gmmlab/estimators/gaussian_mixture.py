"""`GaussianMixture`, a drop-in for scikit-learn's: the same constructor, attributes and manners."""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import copy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab.axes import Tensor
from gmmlab.data import as_rows, warn_of_idle_columns
from gmmlab.errors import NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.fitting import Begin, Budget, Fit, Interrupted, best_of, best_together
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import Gaussian
from gmmlab.fit import whole
from gmmlab.gates import Constant
from gmmlab.init import METHODS, from_responsibilities, given_responsibilities
from gmmlab.model import Mixture
from gmmlab.score import criteria

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by expectation maximisation.

    Takes what `sklearn.mixture.GaussianMixture` takes and, from the same start, ends at the same numbers. Its own
    starts come from other random streams: a seed stored for scikit-learn gives other, equally good ones. Tensors are
    accepted beside arrays and frames; a tensor in means tensors out, on the same device. float32 rows are scored
    in float32 while a fit keeps parameters and sums in float64; every other dtype becomes float64. The fitted
    attributes have the dtype of the rows.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str, default='full'
        Own covariance matrix each ('full'), one for all ('tied'), own variances along the axes ('diag'), or one
        variance each ('spherical'); or one of the fourteen by its letters, 'EII' to 'VVV', for volume, shape and
        orientation that are equal, variable or the identity.
    tol : float, default=1e-3
        The fit ends when the mean log-likelihood changes by less than this in a step.
    reg_covar : float, default=1e-6
        Added to all variances at every step, in squared data units.
    max_iter : int, default=100
        Steps at most; 0 keeps the start.
    n_init : int, default=1
        Number of starts, of which the best is kept.
    init_params : str or array, default='auto'
        The start: 'auto', the best of several partitions by short runs, at least as good as k-means on any scale of the
        columns; 'hierarchical', the tree that mclust starts from; 'ward'; 'kmeans'; 'k-means++' or 'random_from_data',
        every row to the nearest of k seeds (where scikit-learn gives the seeds alone); 'random' responsibilities. Or
        what you have: a label for each row, or responsibilities (n, k); -1 or NaN leaves a row out of the start.
    weights_init, means_init, precisions_init : array-like or None
        Parameters to start from, in place of those of the start; with all three, no start is made.
    random_state : int, RandomState instance or None
        Seed of the start and of `sample`.
    warm_start : bool, default=False
        Go on from the last fit.
    verbose : int, default=0
        1 prints starts and steps, 2 also times and changes.
    verbose_interval : int, default=10
        Steps between two lines.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        The fitted parameters, in scikit-learn's shapes; covariances of three letters are (k, d, d), or (k, d) where
        the last is I.
    converged_ : bool
        Whether the best start reached `tol`.
    n_iter_ : int
        Steps of the best start.
    lower_bound_ : float
        Mean log-likelihood per row at the last E-step (before the last refit).
    lower_bounds_ : list of float
        The same at every step.
    certificate_ : Certificate
        What is known about the end: last gain, what is still to come, condition numbers, smallest component, jitter.
    mixture_ : Mixture
        The fitted model as a value.
    n_features_in_ : int
    feature_names_in_ : array of str

    References
    ----------
    Dempster, Laird and Rubin (1977); Bishop (2006), section 9.2.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> model = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> sorted(model.means_[:, 0].round(6).tolist())
    [1.0, 10.0]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(sk.COVARIANCES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(METHODS)), "array-like"],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Any = "auto",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # -- fitting ---------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture to rows `X`, each of which counts `sample_weight` times; `y` is ignored.

        An interrupt (the notebook's stop button) keeps the best parameters so far and is raised again.
        """
        self._fit(X, sample_weight)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and return the most probable component of each row."""
        x = self._fit(X, sample_weight)
        return _like(X, self.mixture_.assign(x)[0])

    def _fit(self, X: Any, sample_weight: Any) -> Tensor:
        """Fit, store and warn; the checked rows are given back."""
        x = self._rows(X, fitting=True)
        weight = None if sample_weight is None else sk.check_sample_weight(sample_weight, x)
        n = float(len(x) if weight is None else weight.sum())
        try:
            best = self._best_fit(x, weight)
        except Interrupted as interrupt:
            self._store(interrupt.fit, X, n)
            message = f"Interrupted at step {len(interrupt.fit.bounds)}; the best parameters so far are kept."
            warn(message, ConvergenceWarning)
            raise
        self._store(best, X, n)
        self._warn(best)
        return x

    def _best_fit(self, x: Tensor, weight: Tensor | None) -> Fit:
        """The best of all starts."""
        source = whole(x, weight)
        budget = Budget(float(self.tol), int(self.max_iter))
        begins = self._begins(x, weight)
        if self.n_init > 1 and self.max_iter > 0 and not (self.verbose or self.warm_start):
            begins = list(begins)
            best, fits = best_together(begins, source, budget)
            if fits:
                return best
        report = Reporter(self.verbose, self.verbose_interval)
        return best_of(begins, source, budget, report)[0]

    def _begins(self, x: Tensor, weight: Tensor | None) -> Iterable[Begin]:
        """Models to climb from."""
        if self.warm_start and hasattr(self, "converged_"):
            return [Begin(self._resumed(x), self.lower_bound_)]
        given, rng = self._given(x), generator(self.random_state, x.device)
        return (Begin(self._start(x, weight, given, rng)) for _ in range(self.n_init))

    def _resumed(self, x: Tensor) -> Mixture:
        """The fitted model, about the new rows. Raises `ValueError` if it does not suit the parameters any more."""
        axes = sk.COVARIANCES[self.covariance_type].axes(self.n_components, x.shape[1])
        if tuple(self.covariances_.shape) != axes:
            raise ValueError(
                f"warm_start goes on from covariances of shape {tuple(self.covariances_.shape)}; n_components, "
                f"covariance_type and the rows now ask for {axes}. Set warm_start=False, or set them back."
            )
        model = self.mixture_.to(x.device)
        return model.replace(components=model.gaussian.replace(origin=x.mean(0)))

    def _start(self, x: Tensor, weight: Tensor | None, given: dict[str, Tensor], rng: torch.Generator) -> Mixture:
        """A first model, with the given parameters in place of those of the start."""
        structure, ridge = sk.COVARIANCES[self.covariance_type].structure, float(self.reg_covar)
        if len(given) == 3:
            return _mixture(**given, origin=x.mean(0), structure=structure, ridge=ridge)
        begin = self._first(x, weight, rng)
        parts = {name: given[name] for name in ("mean", "chol") if name in given}
        gate = Constant(given["weights"].log()) if "weights" in given else begin.gate
        return begin.replace(components=begin.gaussian.replace(**parts), gate=gate)

    def _first(self, x: Tensor, weight: Tensor | None, rng: torch.Generator) -> Mixture:
        """The start by name, of the rows that count; or one M-step from labels or responsibilities."""
        k, ridge = int(self.n_components), float(self.reg_covar)
        structure = sk.COVARIANCES[self.covariance_type].structure
        if isinstance(self.init_params, str):
            if weight is not None:
                x, weight = x[weight > 0], weight[weight > 0]
            return METHODS[self.init_params](x, k, structure, rng, ridge=ridge, weight=weight)
        resp = given_responsibilities(self.init_params, len(x), k).to(x)
        return from_responsibilities(x, resp, structure, ridge=ridge, weight=weight)

    def _given(self, x: Tensor) -> dict[str, Tensor]:
        """The checked parameters of the start that the caller gave; precisions as factors of covariances."""
        k, d, given = self.n_components, x.shape[1], {}
        if self.weights_init is not None:
            given["weights"] = sk.check_weights(self.weights_init, k)
        if self.means_init is not None:
            given["mean"] = sk.check_means(self.means_init, k, d)
        if self.precisions_init is not None:
            given["chol"] = sk.check_precisions(self.precisions_init, self.covariance_type, k, d)
        return {name: value.to(x.device) for name, value in given.items()}

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        """Set the fitted attributes, in the dtype of the rows and the kind of array that came in."""
        if like is not None:
            validate_data(self, like, skip_check_array=True)
        model, dtype = fit.model, fit.model.gaussian.origin.dtype
        layout = sk.COVARIANCES[self.covariance_type]
        values = {"weights_": model.weights, "means_": model.gaussian.mean}
        values |= sk.attributes(model.gaussian.chol, layout)
        for name, value in values.items():
            setattr(self, name, _like(like, value.to(dtype).clone()))
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.bounds)
        self.lower_bound_ = fit.bound
        self.lower_bounds_ = fit.bounds
        self.certificate_ = fit.certificate(n)

    def _warn(self, fit: Fit) -> None:
        if fit.jitter > 0:
            warn(
                f"Up to {fit.jitter:.2g} was added to the variances of a component to make its covariance positive "
                "definite. Fewer components, a larger reg_covar, or a simpler covariance_type would help.",
                NumericalWarning,
            )
        # max_iter=0 asks for the start alone, which need not have converged
        if not fit.converged and self.max_iter > 0:
            warn(
                "Best performing initialization did not converge. Try different init parameters, or increase max_iter, "
                f"tol, or check for degenerate data. (At step {self.n_iter_} the mean log-likelihood still changes by "
                f"tol={self.tol:g} or more.)",
                ConvergenceWarning,
            )

    # -- the fitted model ------------------------------------------------------------------------------------------

    @property
    def mixture_(self) -> Mixture:
        """The fitted model as an immutable value, made from the fitted attributes.

        It is kept until one of them changes, in place or not: to predict one row must not cost a factorisation.
        """
        check_is_fitted(self, "means_")
        weights, mean, upper = map(sk.as_tensor, (self.weights_, self.means_, self.precisions_cholesky_))
        made_of = _MadeOf(weights, mean, upper, self.covariance_type, float(self.reg_covar))
        kept = _KEPT.get(self)
        if kept is None or not made_of.same(kept[0]):
            kept = _KEPT[self] = made_of.copy(), made_of.mixture()
        return kept[1]

    @classmethod
    def from_mixture(cls, mixture: Mixture, **parameters: Any) -> Self:
        """A fitted estimator out of a model; `parameters` go to the constructor."""
        kind = sk.covariance_type(mixture.gaussian.structure)
        model = cls(mixture.k, covariance_type=kind, reg_covar=mixture.gaussian.ridge, **parameters)
        model._store(Fit(mixture), like=None, n=math.nan)
        model.n_features_in_ = mixture.d
        return model

    def _n_parameters(self) -> int:
        """Free parameters; scikit-learn's users call it by this name."""
        return self.mixture_.n_parameters

    def score_samples(self, X: Any) -> Any:
        """Log density of each row."""
        x, mixture = self._scoring(X)
        with torch.no_grad():
            return _like(X, mixture.log_prob(x))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood per row."""
        x, mixture = self._scoring(X)
        return float(mixture.assign(x)[1])

    def predict(self, X: Any) -> Any:
        """Most probable component of each row."""
        x, mixture = self._scoring(X)
        return _like(X, mixture.assign(x)[0])

    def predict_proba(self, X: Any) -> Any:
        """Responsibilities (n, k): the probability of each component given the row."""
        x, mixture = self._scoring(X)
        return _like(X, mixture.posterior(x).resp)

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draws (n, d) from the mixture and their components (n,), ordered by component."""
        mixture = self.mixture_
        n_samples = int(n_samples)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        rng = generator(self.random_state, mixture.weights.device)
        z = mixture.gate.sample(n_samples, rng).sort().values
        x = mixture.components.sample(z, rng).to(mixture.gaussian.origin.dtype)
        return _like(self.means_, x), _like(self.means_, z)

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on rows `X`; the lower the better."""
        x, mixture = self._scoring(X)
        return criteria.bic(float(mixture.assign(x)[1]) * len(x), mixture.n_parameters, len(x))

    def aic(self, X: Any) -> float:
        """Akaike information criterion on rows `X`; the lower the better."""
        x, mixture = self._scoring(X)
        return criteria.aic(float(mixture.assign(x)[1]) * len(x), mixture.n_parameters)

    def explore(self, X: Any, **options: Any) -> Explorer:
        """Watch and steer this model on rows `X` in a notebook; unfitted, its parameters give the start."""
        from gmmlab.widgets.explorer import explore

        return explore(X, model=self, **options)

    # -- data ------------------------------------------------------------------------------------------------------

    def _scoring(self, X: Any) -> tuple[Tensor, Mixture]:
        """Checked rows and the fitted model, on the device of the rows."""
        check_is_fitted(self, "means_")
        x, mixture = self._rows(X), self.mixture_
        return x, mixture if mixture.weights.device == x.device else mixture.to(x.device)

    def _rows(self, X: Any, *, fitting: bool = False) -> Tensor:
        """Checked rows, with scikit-learn's bookkeeping of feature names and counts."""
        rows = as_rows(X, min_rows=2 if fitting else 1)
        if fitting and len(rows.x) < self.n_components:
            raise ValueError(
                "Expected n_samples >= n_components but got n_components = "
                f"{self.n_components}, n_samples = {len(rows.x)}"
            )
        # A fit takes over the names of the columns only when it has succeeded: see _store.
        validate_data(copy(self) if fitting else self, X, reset=fitting, skip_check_array=True)
        if fitting:
            warn_of_idle_columns(rows, float(self.reg_covar))
        return rows.x


class _MadeOf(NamedTuple):
    """The attributes that a fitted model is made of."""

    weights: Tensor
    mean: Tensor
    upper: Tensor  # precisions_cholesky_
    covariance_type: str
    ridge: float

    def same(self, other: _MadeOf) -> bool:
        """Whether all values are equal, and of the same type."""
        pairs = zip(self[:3], other[:3], strict=True)
        kinds = all(a.dtype == b.dtype and a.device == b.device for a, b in pairs)
        return kinds and self[3:] == other[3:] and all(map(torch.equal, self[:3], other[:3]))

    def copy(self) -> _MadeOf:
        """The same values in memory of their own."""
        return self._replace(weights=self.weights.clone(), mean=self.mean.clone(), upper=self.upper.clone())

    def mixture(self) -> Mixture:
        layout = sk.COVARIANCES[self.covariance_type]
        chol = sk.factors(self.upper, layout, *self.mean.shape)
        origin = (self.weights.double() @ self.mean.double()).to(self.mean.dtype)
        mean = self.mean.clone()  # of tensors, which may be changed in place
        return _mixture(self.weights, mean, chol, origin=origin, structure=layout.structure, ridge=self.ridge)


# Not an attribute: a fitted estimator does not change when it predicts, and its pickle holds each number once.
_KEPT: WeakKeyDictionary[GaussianMixture, tuple[_MadeOf, Mixture]] = WeakKeyDictionary()


def _mixture(weights: Tensor, mean: Tensor, chol: Tensor, **fields: Any) -> Mixture:
    jitter = torch.zeros(len(mean), dtype=torch.float64, device=mean.device)
    return Mixture(Gaussian(mean.double(), chol, jitter, **fields), Constant(weights.double().log()))


def generator(random_state: Any, device: torch.device) -> torch.Generator:
    """A torch generator seeded the way scikit-learn's users expect."""
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    return torch.Generator(device=device).manual_seed(seed)


def _like(X: Any, value: Tensor) -> Any:
    """Tensors for those who gave tensors, arrays for all others."""
    return value if isinstance(X, Tensor) else value.cpu().numpy()
