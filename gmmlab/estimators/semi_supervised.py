"""`SemiSupervisedGMM`: a classifier out of a mixture, a few labels and many rows without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from gmmlab.algebra import missing
from gmmlab.axes import Float, Int, Tensor
from gmmlab.data import Rows, as_rows, row_weights
from gmmlab.data.streams import Stream
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.beginning import begins
from gmmlab.estimators.fitting import Fit
from gmmlab.estimators.sample import Sample
from gmmlab.estimators.shaped import ShapedMixture
from gmmlab.families import Gaussian
from gmmlab.fit import Step, Supervised, plateau
from gmmlab.fit.known import known
from gmmlab.gates import Classes
from gmmlab.init.given import is_known
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

LATENT = {"EM-I": False, "EM-II": True}


@dataclass(kw_only=True, eq=False, repr=False)
class SemiSupervisedGMM(ClassifierMixin, ShapedMixture):
    """Classifier by a Gaussian mixture whose components have classes, fitted to rows of which few have a label.

    Each component has a table of how probable each class is in it, p(x, c) = sum_k w_k N_k(x) beta_kc. Rows with a
    label say where the classes are, all rows say where the components are. Entries may be missing (NaN); tensors in
    mean tensors out.

    Parameters
    ----------
    n_components : int, default=1
        Number of components of all classes together; at least as many as classes, or classes are merged.
    variant : {'EM-I', 'EM-II'}, default='EM-I'
        Whether the table counts rows of known class alone, or takes the class of the others as unknown too. Both climb
        the same likelihood to the same kind of end; the second in more steps.
    label_weight : float, default=1.0
        How many rows a row with a label counts as: more than 1 where labels should not drown among other rows.
    beta_prior : float, default=1e-2
        So many rows are taken to have been seen in each component, of the classes in the shares of the labels: what
        components without labelled rows go by. 0 for maximum likelihood.
    one_class : bool, default=False
        Each component belongs to one class: mixture discriminant analysis. It is found at the start and stays.
    covariance_type, tol, reg_covar, max_iter, n_init, init_params, weights_init, means_init, precisions_init,
    random_state, warm_start, verbose, verbose_interval, prior, weights_prior, noise, acceleration
        As of `GaussianMixture`. Starts do not see the labels. With noise, classes are those of rows that are none.

    Attributes
    ----------
    classes_ : array of shape (c,)
        The classes.
    component_class_ : array of shape (k, c)
        Probability of each class in each component.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        The components, as of `GaussianMixture`.
    converged_, n_iter_, lower_bound_, lower_bounds_, certificate_, mixture_, n_features_in_, feature_names_in_
        As of `GaussianMixture`; the bound is the log-likelihood of rows and labels. `mixture_` is the mixture of rows.

    References
    ----------
    Miller and Uyar (1997), "A mixture of experts classifier with learning based on both labelled and unlabelled data";
    Hastie and Tibshirani (1996) for mixture discriminant analysis; Yann and Xing (2025), "SemiOccam".

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import SemiSupervisedGMM
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> y = np.array(["left", None, None, None, None, "right"])
    >>> SemiSupervisedGMM(2, random_state=0).fit(X, y).predict(X).tolist()
    ['left', 'left', 'left', 'right', 'right', 'right']
    """

    variant: str = "EM-I"
    label_weight: float = 1.0
    beta_prior: float = 1e-2
    one_class: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ShapedMixture._parameter_constraints | {
        "variant": [StrOptions(set(LATENT))],
        "label_weight": [Interval(Real, 0.0, None, closed="neither")],
        "beta_prior": [Interval(Real, 0.0, None, closed="left")],
        "one_class": ["boolean"],
        "batch_size": [None],
    }
    _takes_gaps: ClassVar[bool] = True

    # -- fitting ---------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, must: Any = (), cannot: Any = ()) -> Self:
        """Fit rows `X` with labels `y`: -1 (or None, or NaN) where there is none.

        Pairs of rows in `must` are of one class, and those in `cannot` are not, whatever it is.
        """
        sample, rng, self.classes_ = self._told(X, y, sample_weight, (must, cannot))
        self._fit_sample(X, sample, rng)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and return the most probable class of each row."""
        return self.fit(X, y, sample_weight).predict(X)

    def steps(self, X: Any, y: Any, sample_weight: Any = None, *, must: Any = (), cannot: Any = ()) -> Iterator[Step]:
        """The steps that `fit` would take from its first start, one by one. The gate of each model has the classes."""
        self._validate_params()
        sample, rng, _ = self._told(X, y, sample_weight, (must, cannot))
        begin = next(iter(begins(self, sample, rng)))
        return islice(self._climb(sample, rng)(begin, plateau(float(self.tol))), int(self.max_iter))

    @property
    def partial_fit(self) -> Any:
        """There is none: batches would each need labels of all classes."""
        raise AttributeError("A SemiSupervisedGMM has no partial_fit; fit all rows at once.")

    # -- predictions -----------------------------------------------------------------------------------------------

    def predict_proba(self, X: Any) -> Any:
        """Probability of each class given the row, in the order of `classes_`."""
        return sk.like(X, self._over(X, self._proba))

    def predict(self, X: Any) -> Any:
        """Most probable class of each row."""
        best = self._over(X, self._proba).max(1).indices
        if isinstance(X, Tensor) and self.classes_.dtype.kind in "biuf":
            return torch.as_tensor(self.classes_, device=best.device)[best]
        return self.classes_[best.cpu().numpy()]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Share of the rows whose class is predicted. Raises `BadData` for a class that the fit has not seen."""
        y = _as_array(y)
        if unseen := sorted(set(y.tolist()) - set(self.classes_.tolist()), key=str):
            raise BadData(f"The class {unseen[0]!r} was not among those of the fit; expected {_shown(self.classes_)}.")
        predicted = _as_array(self.predict(X))
        return float(np.average(predicted == y, weights=sample_weight))

    def explore(
        self, X: Any, y: Any, sample_weight: Any = None, *, must: Any = (), cannot: Any = (), **options: Any
    ) -> Explorer:
        """Watch and steer the fit of rows `X` with labels `y` in a notebook; see `gmmlab.explore` for the options.

        Labels and links are settings of the session: `session.set(labels=..., must=..., label_weight=...)`, labels by
        the order of the classes and -1 where unknown.
        """
        from gmmlab.widgets.labelling import labelling
        from gmmlab.widgets.opening import explore
        from gmmlab.widgets.session import Session

        links = [[(int(a), int(b)) for a, b in pairs] for pairs in (must, cannot)]
        sample, rng, _ = self._told(X, y, sample_weight, (links[0], links[1]))
        assert isinstance(sample.told, Supervised)
        begin = next(iter(begins(self, sample, rng))).model
        rows = as_rows(X, missing=True)
        weight = row_weights(sample_weight, rows.x)
        fit = labelling(
            rows.x,
            sample.told.facts.labels,
            must=links[0],
            cannot=links[1],
            weight=weight,
            label_weight=float(self.label_weight),
            tol=float(self.tol),
        )
        return explore(session=Session(rows.x, begin, fit=fit, names=rows.names, weight=weight), **options)

    # -- what is known of the classes ------------------------------------------------------------------------------

    def _labels(self, X: Any, y: Any) -> tuple[Int[Tensor, "n"], np.ndarray]:
        """The number of each row's class, -1 where unknown, and the classes."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Give labels of some rows, "
                "and -1 for the others."
            )
        if isinstance(X, Stream):
            raise BadData("A stream has no labels; expected rows in memory.")
        y = column_or_1d(_as_array(y), warn=True)
        there = np.array([is_known(cell) for cell in y.tolist()], dtype=bool)
        if not there.any():
            raise BadData(f"None of the {len(y)} rows has a label; expected some. Without labels, use GaussianMixture.")
        check_classification_targets(np.array(y[there].tolist()))
        classes, codes = np.unique(np.array(y[there].tolist()), return_inverse=True)
        labels = np.full(len(y), -1)
        labels[there] = codes
        k, c = int(self.n_components), len(classes)
        if k < c and self.one_class:
            raise BadData(f"There are {c} classes and n_components={k}; expected at least one component for each.")
        return torch.from_numpy(labels), classes

    def _told(
        self, X: Any, y: Any, sample_weight: Any = None, links: tuple[Any, Any] = ((), ())
    ) -> tuple[Sample, torch.Generator, np.ndarray]:
        """Checked rows that know what is said of their classes, random numbers, and the classes."""
        labels, classes = self._labels(X, y)
        sample, rng = self._sample(X, sample_weight)
        x = as_rows(X, missing=True).x
        if len(labels) != len(x):
            raise ValueError(f"y has {len(labels)} labels and X has {len(x)} rows; expected one for each.")
        if int(self.n_components) < len(classes):
            warn(
                f"There are {len(classes)} classes in n_components={self.n_components}: some will share a component. "
                "Expected at least as many components.",
                DataWarning,
            )
        facts = known(len(x), labels, *([[int(row) for row in pair] for pair in pairs] for pairs in links))
        weight = row_weights(sample_weight, x)
        if self.label_weight != 1:
            own = torch.where(facts.labels.to(x.device) >= 0, float(self.label_weight), 1.0).to(x)
            weight = own if weight is None else own * weight
        return sample._replace(told=Supervised(x, facts, weight)), rng, classes

    def _gated(self, model: Mixture, sample: Sample) -> Mixture:
        """A first model whose components have the classes of the labelled rows that they have."""
        assert isinstance(sample.told, Supervised)
        x, labels = sample.told.x, sample.told.facts.labels.to(sample.told.x.device)
        told = labels >= 0
        resp = missing.posterior(model, x[told]).resp.double()
        one = torch.nn.functional.one_hot(labels[told]).double()
        one = one if sample.told.weight is None else one * sample.told.weight[told, None].double()
        share = one.sum(0) / one.sum()
        if self.warm_start and getattr(self, "component_class_", np.empty(0)).shape == (model.k, len(share)):
            beta = sk.as_tensor(self.component_class_).to(share)
        elif self.one_class:
            beta = _owned(resp.T @ one / one.sum(0))
        else:
            beta = (resp.T @ one + share) / (resp.T @ one + share).sum(1, keepdim=True)  # as if one more row was seen
        gate = Classes(model.gate, beta.log(), float(self.beta_prior) * share, latent=LATENT[self.variant])
        return model.replace(gate=gate)

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        gate = fit.model.gate
        if not isinstance(gate, Classes):
            raise TypeError("The mixture says nothing of classes; expected one that fit() found.")
        super()._store(fit._replace(model=fit.model.replace(gate=gate.gate)), like, n)
        self.component_class_ = sk.like(like, gate.beta.to(fit.model.located.origin.dtype))

    def _proba(self, mixture: Mixture, rows: Rows) -> Float[Tensor, "n c"]:
        resp = missing.posterior(mixture, rows.x).resp if rows.gaps else mixture.posterior(rows.x).resp
        found = resp @ sk.as_tensor(self.component_class_).to(resp)
        return found / found.sum(1, keepdim=True)

    def _read(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> Gaussian:
        return self._read_gaussian(values, origin)


def _owned(share: Float[Tensor, "k c"]) -> Float[Tensor, "k c"]:
    """One class for each component: the one it has the largest share of, but one component at least for each class."""
    gain = share.cpu().numpy()
    owner = gain.argmax(1)
    components, classes = linear_sum_assignment(gain, maximize=True)
    owner[components] = classes
    return torch.nn.functional.one_hot(torch.from_numpy(owner), share.shape[1]).to(share)


def _as_array(y: Any) -> np.ndarray:
    return np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)


def _shown(classes: np.ndarray) -> str:
    return ", ".join(map(repr, classes[:8].tolist())) + (", ..." if len(classes) > 8 else "")
