"""`IncrementalGaussianMixture`: a mixture that grows while rows come; classifiers and regressions made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, DensityMixin, RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.answers import Answers, Regressed
from gmmlab.estimators.monitored import Monitored
from gmmlab.estimators.predictions import Predictions
from gmmlab.fit.growing import Event, Grown, Rule, Step, exact, grow, published
from gmmlab.kernels import precision
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

UPDATES = {"exact": exact, "published": published}
FLAT = 1e-3  # of the widest column: the width of one that was constant


@dataclass(eq=False, repr=False)
class _Parameters(BaseEstimator):
    """What all that grow are told."""

    delta: float = 0.1
    tau: float = 0.1
    v_min: int | None = field(default=None, kw_only=True)
    sp_min: float | None = field(default=None, kw_only=True)
    update: str = field(default="exact", kw_only=True)
    max_components: int | None = field(default=None, kw_only=True)
    feature_range: Any = field(default=None, kw_only=True)
    forgetting: float = field(default=1.0, kw_only=True)

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "delta": [Interval(Real, 0.0, None, closed="neither")],
        "tau": [Interval(Real, 0.0, 1.0, closed="neither")],
        "v_min": [Interval(Integral, 0, None, closed="left"), None],
        "sp_min": [Interval(Real, 0.0, None, closed="left"), None],
        "update": [StrOptions(set(UPDATES))],
        "max_components": [Interval(Integral, 1, None, closed="left"), None],
        "feature_range": ["array-like", None],
        "forgetting": [Interval(Real, 0.0, 1.0, closed="right")],
    }

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        return sorted(parameter.name for parameter in fields(cls))

    def _rule(self, x: Float[Tensor, "n d"]) -> Rule:
        """How to grow, from the first rows. Raises `BadData` where these do not say how wide columns are."""
        d = x.shape[1]
        width = _widths(self.feature_range, x)
        return Rule(
            width=float(self.delta) * width,
            tau=float(self.tau),
            oldest=2.0 * d if self.v_min is None else float(self.v_min),
            fewest=d + 1.0 if self.sp_min is None else float(self.sp_min),
            most=None if self.max_components is None else int(self.max_components),
            coefficient=UPDATES[self.update],
            forgetting=float(self.forgetting),
        )


@dataclass(eq=False, repr=False)
class IncrementalGaussianMixture(Monitored, Predictions, Answers, DensityMixin, _Parameters):
    """Gaussian mixture that learns from a stream, each row seen once; components are born and die.

    The incremental Gaussian mixture network in its fast form: precisions are moved by rank-one updates, so that a row
    costs O(k d^2). It knows no number of components: where no component is near a row, one is born there. Any columns
    can be predicted from the others (`regress`). Entries may be missing (NaN). The result depends on the order of rows.

    Parameters
    ----------
    delta : float, default=0.1
        Standard deviations of a new component, as a part of those of the columns.
    tau : float, default=0.1
        A row is new if its squared distance from every component is beyond the 1 - tau quantile of chi-square. Small
        tau and large delta: few components.
    v_min, sp_min : int, float or None, default=None
        A component that has been there for more than `v_min` rows (None: 2 d) and took fewer than `sp_min` of them
        (None: d + 1) dies.
    update : {'exact', 'published'}, default='exact'
        'exact' keeps weighted moments. 'published' is the recursion of the papers and their code, which may lose
        positive definiteness in the first rows of a component; such updates are left out.
    max_components : int or None, default=None
        When there are so many no more are born.
    feature_range : array or None, default=None
        How wide the columns are, (d,), or their ends (2, d); standard deviations of the first batch unless given.
    forgetting : float, default=1.0
        Counts are multiplied by this before every row: below 1 the mixture follows a drift, with a memory of about
        1 / (1 - forgetting) rows.

    Attributes
    ----------
    n_components_ : int
    weights_, means_, precisions_, covariances_ : arrays of shape (k,), (k, d), (k, d, d) and (k, d, d)
    counts_, ages_ : arrays of shape (k,)
        Rows that each component took, and rows since its birth.
    history_ : list of Event
        Births and deaths: row (counted from 1), kind, and the lasting name of the component.
    n_seen_ : int
        Rows so far.
    mixture_ : Mixture
    n_features_in_ : int
    feature_names_in_ : array of str

    References
    ----------
    Heinen, Engel and Pinto (2012); Pinto and Engel (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import IncrementalGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(200, 2)), 9 + rng.normal(size=(200, 2))])
    >>> model = IncrementalGaussianMixture(delta=0.4, tau=0.001)
    >>> for row in rng.permutation(X).reshape(40, 10, 2):
    ...     model = model.partial_fit(row)
    >>> model.n_components_
    2
    """

    random_state: Any = field(default=None, kw_only=True)

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _Parameters._parameter_constraints | {
        "random_state": ["random_state"],
    }
    _takes_gaps: ClassVar[bool] = True

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Begin anew, and see rows `X` in their order; `y` is ignored."""
        for name in ("_grown", "_rule_", "history_"):
            self.__dict__.pop(name, None)
        return self._see(X, sample_weight)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """See some more rows. The first batch says how wide the columns are, unless `feature_range` does."""
        return self._see(X, sample_weight)

    def steps(self, X: Any, every: int = 1, sample_weight: Any = None) -> Iterator[Step]:
        """The mixture after every so many rows of `X`, from a new beginning; a `Session` can show it."""
        self._validate_params()
        x = as_rows(X, missing=True).x
        weight = row_weights(sample_weight, x.double())
        return grow(Grown.empty(x[0]), x, self._rule(x), weight, every)

    def explore(self, X: Any, every: int | None = None, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch the mixture grow on rows `X` in a notebook, by default in 200 steps; births and deaths are events."""
        from gmmlab.widgets.opening import explore
        from gmmlab.widgets.session import Session

        rows = as_rows(X, missing=True)
        size = max(1, len(rows.x) // 200) if every is None else every
        begin = next(self.steps(X, size, sample_weight)).model
        fit = _Replay(self, X, size, sample_weight).recipe
        weight = row_weights(sample_weight, rows.x)
        session = Session(rows.x, begin, fit=fit, names=rows.names, weight=weight)
        return explore(session=session, **options)

    def regress(self, X: Any, given: Sequence[str | int], targets: Sequence[str | int]) -> Regressed:
        """Mean and standard deviation of the columns `targets`, for rows `X` of the columns `given`.

        Where these are all columns it is done by precisions, O(k (t^3 + d^2)) a row.
        """
        o, t = self._columns(given), self._columns(targets)
        if sorted(o + t) != list(range(self._grown.mean.shape[1])):
            return super().regress(X, given, targets)
        values = as_rows(X).x.double()
        found = precision.conditional(*self._gaussians(values), values[:, np.argsort(o).tolist()], t)
        return _expected(self._grown.sp.to(values), found, X)

    def to_mixture(self) -> Any:
        """The same as a fitted `GaussianMixture`."""
        from gmmlab.estimators.gaussian_mixture import GaussianMixture

        return GaussianMixture.from_mixture(self.mixture_)

    @property
    def mixture_(self) -> Mixture:
        """The mixture as an immutable value, O(k d^3)."""
        check_is_fitted(self, "means_")
        return self._grown.mixture()

    @property
    def covariances_(self) -> Any:
        """Covariance matrices (k, d, d), made when they are asked for."""
        return sk.like(self.means_, self.mixture_.gaussian.cov)

    @property
    def n_components_(self) -> int:
        """How many components there are."""
        return self._grown.k

    @property
    def n_seen_(self) -> int:
        """Rows so far."""
        return int(self._grown.seen)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = False
        return tags

    def _see(self, X: Any, sample_weight: Any) -> Self:
        first = not hasattr(self, "_grown")
        x = as_rows(X, min_rows=1 if not first or self.feature_range is not None else 2, missing=True).x
        validate_data(copy(self) if first else self, X, reset=first, skip_check_array=True)
        weight = row_weights(sample_weight, x.double())
        rule = self._rule(x) if first else self._rule_
        begin = Grown.empty(x[0]) if first else self._grown
        last = next(grow(begin, x, rule, weight, every=len(x)))
        if not last.grown.k:
            raise BadData("No row had an entry that counts; expected at least one.")
        validate_data(self, X, reset=first, skip_check_array=True)
        self._keep(last, rule, X)
        if not math.isnan(last.evidence):  # a first row alone has none, nor have rows without entries
            self._tell(last)
        return self

    def _keep(self, step: Step, rule: Rule, like: Any) -> None:
        grown = step.grown
        self._grown, self._rule_ = grown, rule
        self.history_: list[Event] = [*getattr(self, "history_", []), *step.happened]
        self.weights_, self.means_ = sk.like(like, grown.weights), sk.like(like, grown.mean)
        self.precisions_ = sk.like(like, grown.precision)
        self.counts_, self.ages_ = sk.like(like, grown.sp), sk.like(like, grown.age)

    def _gaussians(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        check_is_fitted(self, "means_")
        grown = self._grown
        return grown.mean.to(like), grown.precision.to(like), grown.log_det.to(like)

    def _check_columns(self, X: Any) -> None:
        validate_data(self, X, reset=False, skip_check_array=True)


class _Replay:
    """The growth of an estimator as a fit that a session watches: it goes its own way."""

    def __init__(self, model: IncrementalGaussianMixture, X: Any, every: int, sample_weight: Any) -> None:
        self.model, self.given = model, (X, every, sample_weight)

    @property
    def recipe(self) -> Any:
        """For a `Session`."""
        from gmmlab.widgets.fits import Recipe

        return Recipe(lambda: lambda _: self.model.steps(*self.given), steers=False)


@dataclass(eq=False, repr=False)
class _Joint(_Parameters):
    """Rows and what is to be predicted of them, in one mixture that grows."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags

    def _grow(self, X: Any, y: Float[Tensor, "n t"], sample_weight: Any, *, anew: bool) -> Self:
        if anew:
            self.__dict__.pop("_joint", None)
        first = not hasattr(self, "_joint")
        x = as_rows(X, min_rows=1 if not first or self.feature_range is not None else 2).x.double()
        validate_data(self, X, reset=first, skip_check_array=True)
        if len(y) != len(x):
            raise BadData(f"Found input variables with inconsistent numbers of samples: [{len(x)}, {len(y)}]")
        joint = self._joint if not first else IncrementalGaussianMixture(**self.get_params() | self._range(y.shape[1]))
        self._joint: IncrementalGaussianMixture = joint.partial_fit(torch.cat([x, y.to(x)], dim=1), None, sample_weight)
        return self

    def _range(self, targets: int) -> dict[str, Any]:
        """How wide the columns of the mixture are, where that is given."""
        return {"feature_range": self.feature_range}

    def _predicted(self, X: Any) -> Regressed:
        check_is_fitted(self, "_joint")
        x = as_rows(X).x.double()
        validate_data(self, X, reset=False, skip_check_array=True)
        d = x.shape[1]
        return self._joint.regress(x, list(range(d)), list(range(d, self._joint.n_features_in_)))

    @property
    def n_components_(self) -> int:
        """How many components there are."""
        check_is_fitted(self, "_joint")
        return self._joint.n_components_

    @property
    def mixture_(self) -> Mixture:
        """The mixture of all columns, those to be predicted last."""
        check_is_fitted(self, "_joint")
        return self._joint.mixture_


@dataclass(eq=False, repr=False)
class IncrementalGMRegressor(RegressorMixin, _Joint):
    """Regression from a stream: an `IncrementalGaussianMixture` of columns and targets, conditioned on the columns.

    Parameters are those of `IncrementalGaussianMixture`; `feature_range` is of the columns and then the targets.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import IncrementalGMRegressor
    >>> x = np.random.default_rng(0).uniform(0, 6, size=(2000, 1))
    >>> model = IncrementalGMRegressor(delta=0.3, tau=0.01).fit(x, np.sin(x[:, 0]))
    >>> bool(abs(model.predict([[1.5]])[0] - np.sin(1.5)) < 0.1)
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Begin anew, and see rows and their targets, (n,) or (n, t), in their order."""
        return self._grow(X, self._targets(y), sample_weight, anew=True)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """See some more rows."""
        return self._grow(X, self._targets(y), sample_weight, anew=False)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected targets, and with `return_std` their standard deviations."""
        found = self._predicted(X)
        mean, sd = (part[:, 0] if self._flat else part for part in found)
        return (sk.like(X, mean), sk.like(X, sd)) if return_std else sk.like(X, mean)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # rows are seen once, in their order
        return tags

    def _targets(self, y: Any) -> Float[Tensor, "n t"]:
        if y is None:
            raise ValueError("This IncrementalGMRegressor estimator requires y to be passed, but the target y is None.")
        table = y if isinstance(y, Tensor) else np.asarray(y, dtype=float)
        if table.ndim == 2 and table.shape[1] == 1 and not isinstance(table, Tensor):
            table = column_or_1d(table, warn=True)
        self._flat = table.ndim == 1
        return as_rows(table.reshape(len(table), -1)).x


@dataclass(eq=False, repr=False)
class IncrementalGMClassifier(ClassifierMixin, _Joint):
    """Classification from a stream: an `IncrementalGaussianMixture` of columns and of indicators of the classes.

    Indicators are predicted from the columns, cut to [0, 1] and scaled to sum to one. Parameters are those of
    `IncrementalGaussianMixture`; `feature_range` is of the columns alone. The chi-square quantile of `tau` counts the
    indicators too.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.utils import shuffle
    >>> from gmmlab import IncrementalGMClassifier
    >>> X, y = shuffle(*load_iris(return_X_y=True), random_state=0)
    >>> model = IncrementalGMClassifier(delta=0.5, tau=0.01).fit(X[:100], y[:100])
    >>> bool(model.score(X[100:], y[100:]) > 0.9)
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Begin anew, and see rows and their classes in their order."""
        self.classes_ = np.unique(_classes(y))
        return self._grow(X, self._indicators(y), sample_weight, anew=True)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """See some more rows. The first call has to name all `classes`, or to hold a row of each."""
        if not hasattr(self, "_joint"):
            self.classes_ = np.unique(_classes(y) if classes is None else np.asarray(classes))
        return self._grow(X, self._indicators(y), sample_weight, anew=False)

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, (n, classes)."""
        share = self._predicted(X).mean.clamp(min=1e-12)
        return sk.like(X, share / share.sum(1, keepdim=True))

    def predict(self, X: Any) -> Any:
        """The most probable class of each row."""
        best = np.asarray(self.predict_proba(X)).argmax(1)
        return self.classes_[best]

    def _range(self, targets: int) -> dict[str, Any]:
        if self.feature_range is None:
            return {}
        ends = np.asarray(self.feature_range, dtype=float)
        width = ends if ends.ndim == 1 else ends[1] - ends[0]
        return {"feature_range": np.append(width, np.ones(targets))}

    def _indicators(self, y: Any) -> Float[Tensor, "n t"]:
        labels = _classes(y)
        if unknown := sorted(set(labels.tolist()) - set(self.classes_.tolist()), key=str):
            known = self.classes_.tolist()
            raise BadData(f"The classes {unknown} are new; expected some of {known}. Name all of them at first.")
        return torch.from_numpy((labels[:, None] == self.classes_).astype(float))


def _classes(y: Any) -> Any:
    if y is None:
        raise ValueError("This IncrementalGMClassifier estimator requires y to be passed, but the target y is None.")
    y = y.cpu().numpy() if isinstance(y, Tensor) else y
    check_classification_targets(y)
    return column_or_1d(y, warn=True)


def _widths(given: Any, x: Float[Tensor, "n d"]) -> Float[Tensor, "d"]:
    """How wide the columns are, as they were given or as these rows have them; a flat one is a little wide."""
    d = x.shape[1]
    if given is not None:
        ends = sk.as_tensor(given).double().to(x.device)
        if ends.shape not in ((d,), (2, d)):
            raise BadData(
                f"feature_range has the shape {tuple(ends.shape)}; expected {(d,)} for widths, {(2, d)} for ends."
            )
        width = ends if ends.ndim == 1 else ends[1] - ends[0]
        if not bool((width > 0).all()):
            raise BadData(f"feature_range has the width {float(width.min()):g}; expected positive numbers.")
        return width
    there = ~torch.isnan(x)
    count = there.sum(0).clamp(min=1)
    centre = x.double().nan_to_num().sum(0) / count
    width = (((x.double() - centre).nan_to_num() ** 2).sum(0) / count).sqrt()
    widest = float(width.max()) or 1.0
    return torch.where(width > 1e-12 * widest, width, FLAT * widest)


def _expected(sp: Float[Tensor, "k"], found: precision.Given, like: Any) -> Regressed:
    """Mean and standard deviation over components."""
    resp = torch.softmax(sp.log() + found.log_prob, dim=1)
    mean = torch.einsum("nk,nkt->nt", resp, found.mean)
    second = found.cov.diagonal(dim1=-2, dim2=-1) + (found.mean - mean[:, None]).square()
    sd = torch.einsum("nk,nkt->nt", resp, second).sqrt()
    return Regressed(sk.like(like, mean), sk.like(like, sd))
