"""`GaussianMixture`, a drop-in for scikit-learn's: the same constructor, attributes and manners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import copy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab.algebra import missing
from gmmlab.axes import Tensor
from gmmlab.data import Rows, as_rows
from gmmlab.data.streams import Stream
from gmmlab.errors import NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.answers import Answers
from gmmlab.estimators.beginning import begins
from gmmlab.estimators.fitting import Begin, Budget, Fit, Interrupted, Online, best_of, best_together
from gmmlab.estimators.kept import mixture_of
from gmmlab.estimators.sample import Sample, numpy_head, sample_of
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import Components, Gaussian, Student
from gmmlab.fit import anderson, identity, squarem
from gmmlab.gates import Noisy
from gmmlab.init import METHODS
from gmmlab.kernels.chunks import Chunk
from gmmlab.model import Mixture
from gmmlab.score import criteria

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

ACCELERATIONS = {"squarem": squarem(), "anderson": anderson()}


class GaussianMixture(Answers, DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by expectation maximisation.

    Takes what `sklearn.mixture.GaussianMixture` takes and, from the same start, ends at the same numbers. Its own
    starts come from other random streams: a seed stored for scikit-learn gives other, equally good ones. Tensors are
    accepted beside arrays and frames; a tensor in means tensors out, on the same device. Entries may be missing (NaN):
    EM is exact by what is there. A `stream` of rows that do not fit in memory is read once for every step. float32 rows
    are scored in float32 while a fit keeps parameters and sums in float64; every other dtype becomes float64. The
    fitted attributes have the dtype of the rows.

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
        The start: 'auto', the best of several partitions by short runs, whatever the units of the columns (on the whole
        better than k-means, but not on all data); 'hierarchical', the tree that mclust starts from; 'ward'; 'kmeans';
        'k-means++' or 'random_from_data', every row to the nearest of k seeds (where scikit-learn gives the seeds
        alone); 'random' responsibilities. Or
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
    prior : 'mclust', dict or None, default=None
        A conjugate prior, whose mode is found: mclust's weak one, or `kappa`, `dof`, `mean` and `scale` of a normal
        inverse Wishart prior (what is left out is mclust's).
    noise : bool or float, default=False
        A uniform background in the box around the rows, for those that belong to no component; a number is its share
        to begin with. `predict` gives them -1.
    acceleration : {'squarem', 'anderson'} or None, default=None
        Leaps along the steps of EM, taken back where the objective would fall: fewer steps where EM is slow.

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
        Mean log-likelihood per row at the last E-step (before the last refit); with a prior, the log density of the
        parameters, up to a constant, is added to the total.
    lower_bounds_ : list of float
        The same at every step.
    noise_weight_, noise_box_ : float, array of shape (2, d)
        Share of the noise and the corners of its box, with `noise`.
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
        "prior": [StrOptions({"mclust"}), dict, None],
        "noise": ["boolean", Interval(Real, 0.0, 1.0, closed="neither")],
        "acceleration": [StrOptions(set(ACCELERATIONS)), None],
    }

    _takes_gaps: ClassVar[bool] = True  # whether entries may be missing

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
        prior: Any = None,
        noise: bool | float = False,
        acceleration: str | None = None,
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
        self.prior = prior
        self.noise = noise
        self.acceleration = acceleration

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
        self._fit(X, sample_weight)
        return self.predict(X)

    def _fit(self, X: Any, sample_weight: Any) -> None:
        """Fit, store and warn."""
        self._check_columns(X, fitting=True)
        device = X.device if isinstance(X, Tensor) else torch.device("cpu")
        rng = generator(self.random_state, device)
        sample = sample_of(X, sample_weight, self, rng)
        try:
            best = self._best_fit(sample, rng)
        except Interrupted as interrupt:
            self._store(interrupt.fit, X, sample.n)
            message = f"Interrupted at step {len(interrupt.fit.bounds)}; the best parameters so far are kept."
            warn(message, ConvergenceWarning)
            raise
        self._store(best, X, sample.n)
        self.__dict__.pop("_online", None)
        self._warn(best)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """One step of online EM with a batch of rows; the first batch also gives the start.

        Statistics are averaged over batches with a step size that falls as t^-0.7, so that one pass over many batches
        comes near a fit of all their rows. See Cappé and Moulines (2009). `fit` begins anew.
        """
        online: Online | None = getattr(self, "_online", None)
        if online is None:
            self._check_columns(X, fitting=True)
            device = X.device if isinstance(X, Tensor) else torch.device("cpu")
            rng = generator(self.random_state, device)
            sample = sample_of(X, sample_weight, self, rng)
            online = Online(next(iter(begins(self, sample, rng))).model)
        else:
            self._check_columns(X)
        rows = as_rows(X)
        weight = None if sample_weight is None else sk.check_sample_weight(sample_weight, rows.x)
        online = online.after(Chunk(rows.x, weight))
        self._store(Fit(online.model, online.bounds), X, online.n)
        self._online = online
        return self

    def _best_fit(self, sample: Sample, rng: torch.Generator) -> Fit:
        """The best of all starts, which climb together where they can."""
        budget = Budget(float(self.tol), int(self.max_iter), ACCELERATIONS.get(self.acceleration or "", identity))
        models: Iterable[Begin] = begins(self, sample, rng)
        plain = sample.complete and self._takes_gaps and not (self.noise or self.prior or self.acceleration)
        if self.n_init > 1 and plain and self.max_iter > 0 and not (self.verbose or self.warm_start):
            models = list(models)
            best, fits = best_together(models, sample.source, budget)
            if fits:
                return best
        return best_of(models, sample.source, budget, Reporter(self.verbose, self.verbose_interval))[0]

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        """Set the fitted attributes, in the dtype of the rows and the kind of array that came in."""
        if like is not None:
            self._check_columns(like, keep=True)
        model, dtype = fit.model, fit.model.located.origin.dtype
        layout = sk.COVARIANCES[self.covariance_type]
        values = {"weights_": model.weights, "means_": model.located.mean}
        values |= sk.attributes(model.located.chol, layout)
        for name, value in values.items():
            setattr(self, name, _like(like, value.to(dtype).clone()))
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.bounds)
        self.lower_bound_ = fit.bound
        self.lower_bounds_ = fit.bounds
        self.certificate_ = fit.certificate(n)
        if isinstance(model.components, Student):
            self.dofs_ = _like(like, model.components.dof.to(dtype).clone())
        if isinstance(model.gate, Noisy):
            self.noise_weight_ = float(model.gate.none)
            self.noise_box_ = _like(like, torch.stack([model.gate.low, model.gate.high]).to(dtype))
        elif hasattr(self, "noise_box_"):
            del self.noise_weight_, self.noise_box_

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

    def _family(self, components: Gaussian, old: Components) -> Components:
        """What the components of a start become; `old` ones are those of a fit that goes on."""
        return components

    # -- the fitted model ------------------------------------------------------------------------------------------

    @property
    def mixture_(self) -> Mixture:
        """The fitted model as an immutable value, made from the fitted attributes."""
        check_is_fitted(self, "means_")
        return mixture_of(self)

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
        """Log density of each row; of what is there, where entries are missing."""
        return _like(X, self._over(X, _log_prob))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-likelihood per row."""
        each = self._over(X, _log_prob).double()
        if sample_weight is None:
            return float(each.mean())
        weight = sk.check_sample_weight(sample_weight, each[:, None])
        return float((weight * each).sum() / weight.sum())

    def predict(self, X: Any) -> Any:
        """Most probable component of each row; -1 for noise."""
        return _like(X, self._over(X, _labels))

    def predict_proba(self, X: Any) -> Any:
        """Responsibilities (n, k): the probability of each component given the row. With noise, the rest is its."""
        return _like(X, self._over(X, _responsibilities))

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draws (n, d) from the mixture and their components (n,), ordered by component."""
        mixture = self.mixture_
        n_samples = int(n_samples)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        rng = generator(self.random_state, mixture.weights.device)
        x, z = mixture.sample(n_samples, rng)
        order = z.argsort(stable=True)
        return _like(self.means_, x[order].to(mixture.located.origin.dtype)), _like(self.means_, z[order])

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on rows `X`; the lower the better."""
        each = self._over(X, _log_prob)
        return criteria.bic(float(each.sum(dtype=torch.float64)), self._n_parameters(), len(each))

    def aic(self, X: Any) -> float:
        """Akaike information criterion on rows `X`; the lower the better."""
        return criteria.aic(float(self._over(X, _log_prob).sum(dtype=torch.float64)), self._n_parameters())

    def icl(self, X: Any) -> float:
        """Integrated complete-data likelihood on rows `X`, as mclust has it with our sign; the lower the better."""
        return self.bic(X) + 2 * criteria.doubt(self._over(X, _responsibilities))

    def explore(self, X: Any, **options: Any) -> Explorer:
        """Watch and steer this model on rows `X` in a notebook; unfitted, its parameters give the start."""
        from gmmlab.widgets.explorer import explore

        return explore(X, model=self, **options)

    # -- data ------------------------------------------------------------------------------------------------------

    def _over(self, X: Any, function: Callable[[Mixture, Rows], Tensor]) -> Tensor:
        """A function of the fitted model and checked rows, on their device; of a stream, chunk by chunk."""
        check_is_fitted(self, "means_")
        if isinstance(X, Stream):
            return torch.cat([self._over(chunk.x, function) for chunk in X])
        rows = as_rows(X, missing=self._takes_gaps)
        self._check_columns(X)
        mixture = self.mixture_
        with torch.no_grad():
            return function(mixture if mixture.weights.device == rows.x.device else mixture.to(rows.x.device), rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_gaps
        return tags

    def _check_columns(self, X: Any, *, fitting: bool = False, keep: bool = False) -> None:
        """scikit-learn's bookkeeping of the names and the number of columns.

        A fit takes them over (`keep`) only when it has succeeded; before, it looks whether they are names.
        """
        validate_data(copy(self) if fitting else self, numpy_head(X), reset=fitting or keep, skip_check_array=True)


def _log_prob(mixture: Mixture, rows: Rows) -> Tensor:
    return missing.log_prob(mixture, rows.x) if rows.gaps else mixture.log_prob(rows.x)


def _labels(mixture: Mixture, rows: Rows) -> Tensor:
    if not rows.gaps:
        return mixture.assign(rows.x)[0]
    resp, _, none = missing.posterior(mixture, rows.x)
    best = resp.max(1)
    return best.indices if none is None else torch.where(none > best.values, -1, best.indices)


def _responsibilities(mixture: Mixture, rows: Rows) -> Tensor:
    return (missing.posterior(mixture, rows.x) if rows.gaps else mixture.posterior(rows.x)).resp


def generator(random_state: Any, device: torch.device) -> torch.Generator:
    """A torch generator seeded the way scikit-learn's users expect."""
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    return torch.Generator(device=device).manual_seed(seed)


def _like(X: Any, value: Tensor) -> Any:
    """Tensors for those who gave tensors, arrays for all others."""
    return value if isinstance(X, Tensor) else value.cpu().numpy()
