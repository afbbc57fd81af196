"""`GMRegressor`: a regression by a Gaussian mixture of inputs and outputs together, asked in any direction."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context, clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab import algebra
from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.errors import BadData
from gmmlab.estimators import GaussianMixture
from gmmlab.estimators import parameters as sk
from gmmlab.experts import trajectory
from gmmlab.experts.answers import Distributions
from gmmlab.experts.base import head, outputs_of
from gmmlab.experts.conditional import Conditional
from gmmlab.experts.joint import difference, given
from gmmlab.experts.trajectory import LEVEL, GlobalVariance, Windows
from gmmlab.families import Blocks, Structure
from gmmlab.families.conditioning import complement
from gmmlab.init import METHODS
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

CROSS = "cross-diag"


@dataclass(kw_only=True, eq=False, repr=False)
class GMRegressor(Distributions, RegressorMixin, BaseEstimator):
    """Gaussian mixture regression: a mixture of rows (x, y), conditioned on what is known of them.

    p(y | x) = sum_k w_k(x) N(y | m_k(x), C_k): lines m_k whose weights w_k follow from where x lies. One fit answers in
    every direction (`condition`), with the whole density; inputs may be missing (NaN), in the fit and after it. The fit
    is that of the joint density, which a regression need not maximise: `SoftmaxMoE` fits p(y | x) itself.

    Parameters
    ----------
    n_components : int or list of int, default=1
        Number of components; of several the one with the highest conditional density of held-out outputs is taken.
        (Criteria of the joint density, such as BIC, ask for as many components as the inputs need.)
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'cross-diag'}, three letters or `Blocks`, default='full'
        As `GaussianMixture` has it. With 'tied' all lines are parallel; axis-aligned covariances have lines that are
        level. 'cross-diag' takes as many inputs as outputs, and output j to hang on input j alone within a component:
        three numbers a pair, where full covariances of many columns want many rows.
    tol : float, default=1e-4
        The fit ends when the mean log-likelihood changes by less than this in a step.
    reg_covar : float, default=1e-6
        Added to all variances, in squared units of the columns: it shrinks the slopes of lines.
    max_iter : int, default=500
        Most steps of a start.
    n_init : int, default=1
        Number of starts, of which the best is kept.
    init_params : str, clusterer or array, default='auto'
        The start, of rows (x, y), as `GaussianMixture` has it.
    cv : int, splitter or list of pairs, default=5
        Folds for the choice of `n_components`: so many, of rows in random order; or scikit-learn's splitters, or pairs
        of row numbers. Frames of a sequence should stay together.
    random_state : int, RandomState instance or None
        Seed of starts and folds, and of `sample`.

    Attributes
    ----------
    joint_ : GaussianMixture
        The fitted mixture of rows (x, y), with all that it answers: `impute`, `regress`, `marginal`, `explore`.
    mixture_ : Mixture
        The same as a value.
    n_components_ : int
        The number of components, given or chosen.
    cv_scores_ : dict of int to float
        Mean held-out log density of y given x, where several numbers were asked for.
    converged_, n_iter_, lower_bound_
        As those of `joint_`.
    n_features_in_ : int
    feature_names_in_ : array of str

    References
    ----------
    Ghahramani and Jordan (1994); Kain and Macon (1998); Toda, Black and Tokuda (2007) for `predict_trajectory`.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.experts import GMRegressor
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-2, 2, size=(400, 1))
    >>> y = np.abs(x[:, 0]) + 0.1 * rng.normal(size=400)
    >>> model = GMRegressor(2, random_state=0).fit(x, y)
    >>> model.predict([[-1.0], [1.0]]).round(1).tolist()
    [1.0, 1.0]
    """

    n_components: Any = field(default=1, kw_only=False)
    covariance_type: str | Structure = "full"
    tol: float = 1e-4
    reg_covar: float = 1e-6
    max_iter: int = 500
    n_init: int = 1
    init_params: Any = "auto"
    cv: Any = 5
    random_state: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "covariance_type": [StrOptions({*sk.COVARIANCES, CROSS}), Structure],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(METHODS)), HasMethods(["fit_predict"]), "array-like"],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
    }

    # -- fitting ---------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to inputs `X` (n, p) and outputs `y` (n,) or (n, q), each row of which counts `sample_weight` times."""
        x, out = self._asked(X, y)
        rows = torch.cat([x, out], 1)
        weight = row_weights(sample_weight, x)
        chosen, scores = self.n_components, None
        if not isinstance(chosen, Integral):
            scores = self._held_out(_counts(chosen), x, out, weight)
            chosen = max(scores, key=lambda k: (scores[k], -k))
        joint = self._joint(int(chosen), x.shape[1], out.shape[1]).fit(sk.like(X, rows), sample_weight=weight)
        self.joint_, self.n_components_ = joint, int(chosen)
        self.__dict__.pop("cv_scores_", None)
        if scores is not None:
            self.cv_scores_ = scores
        self.converged_, self.n_iter_, self.lower_bound_ = joint.converged_, joint.n_iter_, joint.lower_bound_
        self._flat = (y if isinstance(y, Tensor) else np.asarray(y)).ndim == 1
        self._outputs = _names_of(y, out.shape[1])
        validate_data(self, head(X), reset=True, skip_check_array=True)
        return self

    def watch(self, X: Any, y: Any, sample_weight: Any = None, *, name: str | None = None) -> Session:
        """A session of the fit of the joint density, for the widgets; its rows are those of `X` with `y` behind.

        It begins at the fitted model, or where the fit of an unfitted one would begin.
        """
        from gmmlab.widgets.fits import expectation_maximisation
        from gmmlab.widgets.session import Session

        self._validate_params()
        x, out = self._asked(X, y)
        rows, names = torch.cat([x, out], 1), [*as_rows(X, missing=True).names, *_names_of(y, out.shape[1])]
        weight = row_weights(sample_weight, x)
        if hasattr(self, "joint_"):
            begin = self.mixture_
        else:
            start = self._joint(_counts(self.n_components)[0], x.shape[1], out.shape[1]).set_params(
                max_iter=0, n_init=1
            )
            begin = start.fit(rows, sample_weight=weight).mixture_
        begin = begin.relocated(origin=rows.nanmean(0))
        fit = expectation_maximisation(rows, tol=float(self.tol), weight=weight)
        return Session(rows, begin, fit=fit, names=names, name=name, weight=weight)

    def _asked(self, X: Any, y: Any) -> tuple[Float[Tensor, "n p"], Float[Tensor, "n q"]]:
        """Inputs and outputs of a fit."""
        x = as_rows(X, min_rows=2, missing=True).x
        validate_data(copy(self), head(X), reset=True, skip_check_array=True)
        return x, outputs_of(y, x)

    def _joint(self, k: int, p: int, q: int) -> GaussianMixture:
        """The mixture to be fitted, of p inputs and q outputs."""
        kind = self.covariance_type
        if kind == CROSS and p != q:
            raise BadData(f"There are {p} inputs and {q} outputs; {CROSS!r} covariances expect as many of both.")
        return GaussianMixture(
            k,
            covariance_type=Blocks(tuple((j, p + j) for j in range(p))) if kind == CROSS else kind,
            tol=self.tol,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            n_init=self.n_init,
            init_params=self.init_params,
            random_state=self.random_state,
        )

    def _held_out(
        self, counts: Sequence[int], x: Float[Tensor, "n p"], y: Float[Tensor, "n q"], weight: Tensor | None
    ) -> dict[int, float]:
        """Mean log density of the outputs of held-out rows, for each number of components."""
        sums, total = dict.fromkeys(counts, 0.0), 0.0
        for train, test in self._folds(len(x)):
            counted = None if weight is None else weight[train]
            each = torch.ones(len(test), dtype=torch.float64) if weight is None else weight[test].double()
            total += float(each.sum())
            for k in counts:
                model = clone(self).set_params(n_components=k).fit(x[train], y[train], counted)
                sums[k] += float(each.to(x.device) @ model.log_density(x[test], y[test]).double())
        return {k: value / total for k, value in sums.items()}

    def _folds(self, n: int) -> list[tuple[Any, Any]]:
        """Row numbers to fit to and to hold out."""
        if isinstance(self.cv, Integral):
            splits = KFold(int(self.cv), shuffle=True, random_state=check_random_state(self.random_state))
        else:
            splits = check_cv(self.cv)
        return [(torch.as_tensor(a), torch.as_tensor(b)) for a, b in splits.split(np.empty((n, 1)))]

    # -- the fitted model ------------------------------------------------------------------------------------------

    @property
    def mixture_(self) -> Mixture:
        """The mixture of rows (x, y) as a value."""
        check_is_fitted(self, "joint_")
        return self.joint_.mixture_

    @property
    def _dtype(self) -> torch.dtype:
        return self.mixture_.located.origin.dtype

    def conditional(self, X: Any) -> Conditional:
        """The mixture of Gaussians that y is drawn from, for each row of inputs; NaN where an input is not known."""
        x, p = self._checked(X), self.n_features_in_
        mixture = self.mixture_.to(x.device)
        return given(mixture, range(p), x, range(p, mixture.d))

    def condition(self, index: Sequence[int | str] | int | str, X: Any) -> Conditional:
        """The mixture of Gaussians that the other columns are drawn from, where those of `index` have the values `X`.

        Columns go by number, inputs first and then outputs, or by name: any may be given, any may follow. `log_w`,
        `mean` and `chol` of what comes back are for each row of X; the columns are those left, in their order.
        """
        check_is_fitted(self)
        x, mixture = as_rows(X, missing=True).x, self.mixture_
        columns = [self._column(j) for j in ([index] if isinstance(index, int | str) else index)]
        return given(mixture.to(x.device), columns, x, complement(columns, mixture.d))

    def predict_map(self, X: Any) -> Any:
        """The mean of the component that most probably holds at each row: jumps where `predict` bends."""
        return self._shaped(X, _likeliest(self.conditional(X))[0])

    def log_density(self, X: Any, y: Any) -> Any:
        """Log density of y given x, of each row."""
        found = self.conditional(X)
        out = outputs_of(y, found.mean[:, 0])
        if out.shape[1] != (q := found.mean.shape[2]):
            raise ValueError(f"y has {out.shape[1]} outputs; expected {q}, as the model was fitted to.")
        return sk.like(X, found.log_prob(out))

    def log_likelihood(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The same summed over all rows, each of which counts `sample_weight` times."""
        return sk.total(torch.as_tensor(self.log_density(X, y)), sample_weight)[0]

    def to_diff(self) -> Self:
        """The regression of y - x on x that follows from this one, for as many outputs as inputs.

        A linear map of the parameters; nothing is fitted. Its predictions plus x are those of this model. In voice
        conversion a filter of differences is put over the source, which keeps what no model has (Kobayashi et al.
        2014).
        """
        p, mixture = self.n_features_in_, self.mixture_
        if mixture.d != 2 * p:
            raise ValueError(f"There are {p} inputs and {mixture.d - p} outputs; differences need as many of both.")
        found = copy(self)
        found.joint_ = GaussianMixture.from_mixture(algebra.affine(mixture, *difference(mixture, p)))
        return found

    # -- courses in time -------------------------------------------------------------------------------------------

    def predict_trajectory(
        self, X: Any, windows: Windows = (LEVEL,), gv: Any = None, gv_weight: float | None = None
    ) -> Any:
        """The course (n, q / number of windows) of outputs that is most likely for rows `X` in the order of time.

        The model was fitted to the `windows` of outputs side by side, as `trajectory.with_windows` makes them: levels
        of all outputs, then slopes of all. At each frame the component that x makes most probable says what to expect
        of each window, and how surely. With `gv`, a variance for each output or what `trajectory.global_variance` says
        of those of courses, the course is stretched to have it. With a `gv_weight` too, the course is the one that is
        most likely if its variance counts (`trajectory.varied`); 1 is the weight of Toda, Black and Tokuda (2007).
        """
        if gv_weight is not None and not isinstance(gv, GlobalVariance):
            raise ValueError(
                f"gv_weight is {gv_weight}, and gv does not say how variances of courses vary; expected "
                "gv=trajectory.global_variance(courses)."
            )
        means, variances = self._frames(X, windows)
        if gv_weight is not None:
            return self._shaped(X, trajectory.varied(means, variances, windows, gv, gv_weight))
        course = torch.stack(
            [trajectory.most_likely(m, v, windows) for m, v in zip(means, variances, strict=True)], dim=1
        )
        if gv is not None:
            wanted = gv.mean if isinstance(gv, GlobalVariance) else torch.atleast_1d(sk.as_tensor(gv))
            course = trajectory.rescaled(course, wanted.to(course))
        return self._shaped(X, course)

    def sample_trajectory(self, X: Any, windows: Windows = (LEVEL,), random_state: Any = None) -> Any:
        """A course drawn from the Gaussian whose mode `predict_trajectory` gives: as smooth as the windows ask."""
        means, variances = self._frames(X, windows)
        rng = self._rng(random_state, torch.device("cpu"))
        course = [trajectory.drawn(m, v, windows, rng) for m, v in zip(means, variances, strict=True)]
        return self._shaped(X, torch.stack(course, dim=1))

    def _frames(self, X: Any, windows: Windows) -> tuple[Float[Tensor, "q t w"], Float[Tensor, "q t w"]]:
        """Means and variances of the windows of each output in the likeliest component of each frame."""
        trajectory.check_windows(windows)
        mean, variance = _likeliest(self.conditional(X))
        if mean.shape[1] % len(windows):
            raise ValueError(
                f"The model has {mean.shape[1]} outputs; expected {len(windows)} windows of each, side by side, as "
                "trajectory.with_windows makes them."
            )
        shape = len(mean), len(windows), -1
        return mean.view(shape).permute(2, 0, 1), variance.view(shape).permute(2, 0, 1)

    # -- what people give ------------------------------------------------------------------------------------------

    def _checked(self, X: Any) -> Float[Tensor, "n p"]:
        check_is_fitted(self)
        x = as_rows(X, missing=True).x
        validate_data(self, head(X), reset=False, skip_check_array=True)
        return x

    def _column(self, column: int | str) -> int:
        """The number of a column of rows (x, y). Raises `KeyError` for a name that is not there."""
        if not isinstance(column, str):
            return int(column)
        names = [*getattr(self, "feature_names_in_", [f"x{j}" for j in range(self.n_features_in_)]), *self._outputs]
        if column not in names:
            raise KeyError(f"There is no column {column!r}; the model has {', '.join(names)}.")
        return names.index(column)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        return tags

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        return sorted(parameter.name for parameter in fields(cls))


def _likeliest(found: Conditional) -> tuple[Float[Tensor, "n q"], Float[Tensor, "n q"]]:
    """Means and variances of the component that most probably holds at each row."""
    at, best = torch.arange(len(found.mean), device=found.mean.device), found.log_w.argmax(1)
    return found.mean[at, best], found.chol[at, best].square().sum(-1)


def _counts(n_components: Any) -> list[int]:
    """The numbers of components to choose from. Raises `BadData` unless they are whole numbers of at least 1."""
    found = [n_components] if isinstance(n_components, Integral) else list(n_components)
    if not found or not all(isinstance(k, Integral) and int(k) >= 1 for k in found):
        raise BadData(f"n_components is {n_components!r}; expected whole numbers of at least 1.")
    return [int(k) for k in found]


def _names_of(y: Any, q: int) -> list[str]:
    """Names of the outputs: those they came with, or y, or y0, y1 and so on."""
    columns = [str(name) for name in getattr(y, "columns", [])]
    if columns:
        return columns
    own = getattr(y, "name", None)
    return [own] if q == 1 and isinstance(own, str) else ["y"] if q == 1 else [f"y{j}" for j in range(q)]
