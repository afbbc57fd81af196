"""What clusterers with scikit-learn's manners share: checked rows in, attributes in the kind of array that came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows, warn_of_idle_columns
from gmmlab.errors import BadData
from gmmlab.estimators import GaussianMixture
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer


@dataclass(kw_only=True, eq=False, repr=False)
class Clusterer(ClusterMixin, BaseEstimator, ABC):
    """A partition of rows. Classes say how, by `_found`: their fitted attributes, of which tensors become arrays."""

    random_state: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"random_state": ["random_state"]}

    @abstractmethod
    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:
        """The fitted attributes of checked rows; `labels_` among them."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn hands it to all
        """Find the groups of rows `X`; `y` is ignored."""
        self._keep(X, self._found(*self._checked(X)))
        return self

    def _keep(self, X: Any, found: Mapping[str, Any]) -> None:
        """Set the fitted attributes, in the kind of array that came in."""
        validate_data(self, X, reset=True, skip_check_array=True)
        for name, value in found.items():
            setattr(self, name, sk.like(X, value) if isinstance(value, Tensor) else value)

    def _checked(self, X: Any) -> tuple[Float[Tensor, "n d"], torch.Generator]:
        """Rows to be parted, and the random numbers of that."""
        rows = as_rows(X, min_rows=2)
        validate_data(copy(self), X, reset=True, skip_check_array=True)
        if len(rows.x) < (k := getattr(self, "n_clusters", 1)):
            raise BadData(f"Expected n_samples >= n_clusters but got n_clusters={k}, n_samples={len(rows.x)}.")
        warn_of_idle_columns(rows)
        return rows.x, generator(self.random_state, rows.x.device)

    def _again(self, X: Any) -> Float[Tensor, "n d"]:
        """Rows with the columns of the fit, for a fitted clusterer."""
        check_is_fitted(self)
        x = as_rows(X).x
        validate_data(self, X, reset=False, skip_check_array=True)
        return x

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        return sorted(parameter.name for parameter in fields(cls))


@dataclass(kw_only=True, eq=False, repr=False)
class MixtureClusterer(Clusterer):
    """A clusterer whose groups are also a mixture, `mixture_`, found step by step."""

    mixture_: ClassVar[Mixture]

    @abstractmethod
    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[Any]:
        """The way to the groups; every step has a `model`."""

    def steps(self, X: Any) -> Iterator[Any]:
        """The steps that `fit` would take, one by one; a `Session` can show them. Bad parameters raise at once."""
        self._validate_params()
        return self._steps(*self._checked(X))

    def explore(self, X: Any, **options: Any) -> Explorer:
        """Watch the clustering of rows `X` in a notebook; see `gmmlab.explore` for the options."""
        from gmmlab.widgets.opening import explore, watching

        return explore(session=watching(X, partial(self.steps, X), keeps=getattr(self, "keeps", None)), **options)

    def predict(self, X: Any) -> Any:
        """The group of greatest classification likelihood, log weight plus log density, of each row."""
        x = self._again(X)
        return sk.like(X, self.mixture_.to(x.device).labels(x))

    def to_mixture(self) -> GaussianMixture:
        """The groups as a fitted `GaussianMixture`. To polish them by EM, give this clusterer as its `init_params`."""
        check_is_fitted(self)
        return GaussianMixture.from_mixture(self.mixture_)
