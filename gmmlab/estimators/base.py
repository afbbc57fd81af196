"""What all mixtures with scikit-learn's manners share: parameters, the way of a fit, and keeping what it found.

An estimator is a dataclass, so that its constructor has a signature that people, editors and `get_params` can read. It
adds its own parameters as fields, and says by a few methods how its components begin (`_structure`, `_family`), and
what attributes they are written to and read from (`_shapes`, `_written`, `_read`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab.axes import Float, Tensor
from gmmlab.data.streams import Stream
from gmmlab.errors import NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.answers import Answers
from gmmlab.estimators.beginning import begins, gaussian_start
from gmmlab.estimators.few import over_few
from gmmlab.estimators.fitting import (
    Begin,
    Budget,
    Climb,
    Fit,
    Interrupted,
    best_of,
    best_together,
    by_passes,
)
from gmmlab.estimators.kept import ends_of, keep_ends, mixture_of
from gmmlab.estimators.predictions import Criteria, Predictions
from gmmlab.estimators.sample import Sample, generator, numpy_head, sample_of
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import Components, Structure
from gmmlab.gates import Constant, Noisy
from gmmlab.init import METHODS
from gmmlab.init.race import are_few
from gmmlab.kernels.chunks import check_reread
from gmmlab.kernels.threads import worth
from gmmlab.model import Mixture


@dataclass(kw_only=True, eq=False, repr=False)
class ClimbingMixture(Predictions, DensityMixin, BaseEstimator, ABC):
    """A mixture that is fitted by climbing from starts; subclasses say from where, and what climbs."""

    n_components: int = field(default=1, kw_only=False)
    tol: float = 1e-3
    reg_covar: float = 1e-6
    max_iter: int = 100
    n_init: int = 1
    init_params: Any = "auto"
    random_state: Any = None
    warm_start: bool = False
    verbose: int = 0
    verbose_interval: int = 10

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(METHODS)), HasMethods(["fit_predict"]), "array-like"],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }
    _climbs: ClassVar[str] = "mean log-likelihood"  # what a step raises
    _made_of: ClassVar[tuple[str, ...]]  # the fitted attributes that components are read from

    # -- what a mixture says of its components ----------------------------------------------------------------------

    @abstractmethod
    def _best_fit(self, sample: Sample, rng: torch.Generator) -> Fit:
        """The best of all starts."""

    @abstractmethod
    def _shapes(self, k: int, d: int) -> dict[str, tuple[int, ...]]:
        """The fitted attributes of k components of d columns, and their shapes."""

    @abstractmethod
    def _written(self, components: Any) -> dict[str, Tensor]:
        """The fitted attributes of components."""

    @abstractmethod
    def _settings(self) -> tuple[Any, ...]:
        """What components depend on beside their attributes."""

    @abstractmethod
    def _model(self, values: Mapping[str, Tensor]) -> Mixture:
        """The model of fitted attributes, in memory of its own."""

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
        self._fit_sample(X, *self._sample(X, sample_weight))

    def _fit_sample(self, X: Any, sample: Sample, rng: torch.Generator) -> None:
        try:
            with worth(round(max(sample.n, len(sample.x))) * sample.x.shape[1] * int(self.n_components)):
                best = self._best_fit(sample, rng)
        except Interrupted as interrupt:
            self._store(interrupt.fit, X, sample.n)
            keep_ends(self, [interrupt.fit])
            message = f"Interrupted at step {len(interrupt.fit.bounds)}; the best parameters so far are kept."
            warn(message, ConvergenceWarning)
            raise
        self._store(best, X, sample.n)
        self._warn(best)

    def _sample(self, X: Any, sample_weight: Any) -> tuple[Sample, torch.Generator]:
        """Checked rows, and the random numbers of their fit."""
        if isinstance(X, Stream):
            check_reread(X, "every step of a fit is a pass over all of them")
        self._check_columns(X, fitting=True)
        rng = generator(self.random_state, X.device if isinstance(X, Tensor) else torch.device("cpu"))
        return sample_of(X, sample_weight, self, rng), rng

    def _budget(self) -> Budget:
        return Budget(float(self.tol), int(self.max_iter))

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        """Set the fitted attributes, in the dtype of the rows and the kind of array that came in."""
        if like is not None:
            self._check_columns(like, keep=True)
        model, dtype = fit.model, fit.model.located.origin.dtype
        for name, value in ({"weights_": model.weights} | self._written(model.components)).items():
            setattr(self, name, sk.like(like, value.to(dtype).clone()))
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
                f"tol, or check for degenerate data. (At step {self.n_iter_} the {self._climbs} still changes by "
                f"tol={self.tol:g} or more.)",
                ConvergenceWarning,
            )

    # -- the fitted model ------------------------------------------------------------------------------------------

    @property
    def mixture_(self) -> Mixture:
        """The fitted model as an immutable value, made from the fitted attributes."""
        check_is_fitted(self, "means_")
        return mixture_of(self)

    @property
    def restarts_(self) -> list[Fit]:
        """Where the starts of the last fit ended, best first: their `model`, `bounds` (objective per row) and more.

        Starts that turned singular are left out if others did not, and models that would take more than 256 MB if they
        are not the best. It is no part of a stored estimator.
        """
        return ends_of(self)

    def _validate_params(self) -> None:
        """scikit-learn's check of the parameters that are not left at their defaults, which are valid."""
        given = {name: value for name, value in vars(self).items() if value is not getattr(type(self), name, self)}
        validate_parameter_constraints(self._parameter_constraints, given, caller_name=type(self).__name__)

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """Names of the parameters, which scikit-learn would read from the signature anew in every fit."""
        return sorted(parameter.name for parameter in fields(cls))

    # -- columns ---------------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_gaps
        return tags

    def _has_columns_of(self, X: Any) -> bool:
        """Whether the fit was of as many columns, without names."""
        return not hasattr(self, "feature_names_in_") and X.shape[1:] == (getattr(self, "n_features_in_", None),)

    def _check_columns(self, X: Any, *, fitting: bool = False, keep: bool = False) -> None:
        """scikit-learn's bookkeeping of the names and the number of columns.

        A fit takes them over (`keep`) only when it has succeeded; before, it looks whether they are names. Arrays have
        none, and are most often of the right width: then nothing is left to do.
        """
        if type(X) is np.ndarray and (self._has_columns_of(X) or (fitting and not keep)):
            return
        validate_data(copy(self) if fitting else self, numpy_head(X), reset=fitting or keep, skip_check_array=True)


@dataclass(kw_only=True, eq=False, repr=False)
class MixtureEstimator(Criteria, Answers, ClimbingMixture):
    """A mixture that is fitted by expectation maximisation; see the classes for what the parameters mean."""

    weights_init: Any = None
    means_init: Any = None
    noise: bool | float = False
    weights_prior: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ClimbingMixture._parameter_constraints | {
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "noise": ["boolean", Interval(Real, 0.0, 1.0, closed="neither")],
        "weights_prior": [Interval(Real, 1.0, None, closed="left"), "array-like", None],
    }

    # -- what an estimator says of its components ------------------------------------------------------------------

    @abstractmethod
    def _structure(self) -> Structure:
        """Of the Gaussians that the components are, or are built on."""

    def _first(self, sample: Sample, rng: torch.Generator) -> Mixture:
        """The start that `init_params` asks for."""
        return gaussian_start(self, sample, rng)

    @abstractmethod
    def _family(self, begin: Mixture, sample: Sample) -> Mixture:
        """A start, or a fit that goes on, as a mixture of this kind of components about the origin of the rows."""

    @abstractmethod
    def _read(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> Components:
        """The components of fitted attributes, in memory of their own."""

    @classmethod
    @abstractmethod
    def _parameters_of(cls, mixture: Mixture) -> dict[str, Any]:
        """The parameters that a mixture of this kind was made with."""

    def _gated(self, model: Mixture, sample: Sample) -> Mixture:
        """A first model with the gate that this estimator has in place of plain weights."""
        return model

    def _given(self, k: int, d: int) -> dict[str, Tensor]:
        """The checked parameters of the Gaussians to start from, as the caller gave them."""
        return {} if self.means_init is None else {"mean": sk.check_means(self.means_init, k, d)}

    def _climb(self, sample: Sample, rng: torch.Generator) -> Climb:
        """The way up from a start."""
        return by_passes(sample.source)

    def _plain(self) -> bool:
        """Whether the way up from a start is by EM for Gaussians without priors: several starts may climb together."""
        return False

    # -- fitting ---------------------------------------------------------------------------------------------------

    def _best_fit(self, sample: Sample, rng: torch.Generator) -> Fit:
        """The best of all starts, which climb together where they can."""
        budget, climb = self._budget(), self._climb(sample, rng)
        models: Iterable[Begin] = begins(self, sample, rng)
        alone = self.n_init == 1 or self.max_iter == 0 or self.verbose or self.warm_start or self.noise
        if sample.complete and self._plain() and not alone:
            models = list(models)
            best, fits = best_together(models, sample.source, budget)
            if fits:
                keep_ends(self, fits)
                return best
        elif sample.complete and self._plain() and not self.verbose and are_few(sample.x, int(self.n_components)):
            models = (over_few(begin, sample.x, sample.weight, budget) for begin in models)
        best, fits = best_of(models, climb, budget, Reporter(self.verbose, self.verbose_interval))
        keep_ends(self, fits)
        return best

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        super()._store(fit, like, n)
        model = fit.model
        if isinstance(model.gate, Noisy):
            self.noise_weight_ = float(model.gate.none)
            self.noise_box_ = sk.like(
                like, torch.stack([model.gate.low, model.gate.high]).to(model.located.origin.dtype)
            )
        elif hasattr(self, "noise_box_"):
            del self.noise_weight_, self.noise_box_

    # -- the fitted model ------------------------------------------------------------------------------------------

    @classmethod
    def from_mixture(cls, mixture: Mixture, **parameters: Any) -> Self:
        """A fitted estimator out of a model; `parameters` go to the constructor."""
        if isinstance(mixture.gate, Noisy):
            parameters = {"noise": True} | parameters
        model = cls(mixture.k, **cls._parameters_of(mixture), **parameters)
        model._store(Fit(mixture), like=None, n=math.nan)
        model.n_features_in_ = mixture.d
        return model

    def _model(self, values: Mapping[str, Tensor]) -> Mixture:
        """The model of fitted attributes, in memory of its own."""
        weights, mean = values["weights_"].double(), values["means_"]
        total = weights.sum()
        components = self._read(values, (weights @ mean.double() / total).to(mean.dtype))
        if "noise_box_" not in values:
            return Mixture(components, Constant(weights.log()))
        none = (1 - total).clamp(min=0).log()
        return Mixture(components, Noisy(weights.log(), none, *values["noise_box_"].double()))
