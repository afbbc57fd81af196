"""What a fitted mixture answers beyond scikit-learn's methods: its parts, what follows from some columns, how sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab import algebra
from gmmlab.data import row_weights
from gmmlab.data.rows import as_rows, default_names
from gmmlab.errors import NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.model import Mixture


class Regressed(NamedTuple):
    """What rows make one expect of other columns: mean and standard deviation, (n, t) each."""

    mean: Any
    sd: Any


class Errors(NamedTuple):
    """Standard errors, in the shapes of the parameters: (k), (k, d) and (k, d, d)."""

    weights: Any
    means: Any
    covariances: Any


class Answers:
    """Methods of fitted estimators that have `mixture_`; columns go by name or by number."""

    mixture_: Any

    def marginal(self, columns: Sequence[str | int]) -> Mixture:
        """The mixture of some columns, in the order given."""
        return algebra.marginal(self.mixture_, self._columns(columns))

    def condition(self, columns: Sequence[str | int], values: Any) -> Mixture:
        """The mixture of the other columns, given the values of these; values far from every component are refused."""
        return algebra.condition(self.mixture_, self._columns(columns), sk.as_tensor(values).double().flatten())

    def regress(self, X: Any, given: Sequence[str | int], targets: Sequence[str | int]) -> Regressed:
        """Mean and standard deviation of the columns `targets`, for rows `X` of the columns `given`.

        The conditional mean of a mixture is a regression curve that bends from the line of one component to that of
        the next. See Ghahramani and Jordan (1994).
        """
        x = as_rows(X).x
        found = algebra.regress(self.mixture_, x, self._columns(given), self._columns(targets))
        return Regressed(sk.like(X, found.mean), sk.like(X, found.sd))

    def impute(self, X: Any, random_state: int | None = None) -> Any:
        """The rows with every missing entry (NaN) replaced by its expectation, or with a seed by a draw."""
        x = as_rows(X, missing=True).x
        if random_state is None:
            return sk.like(X, algebra.impute(self.mixture_, x))
        return sk.like(X, algebra.sample_missing(self.mixture_, x, torch.Generator().manual_seed(random_state)))

    def cdf(self, X: Any) -> Any:
        """P(X <= x) for each row of one column."""
        return sk.like(X, algebra.cdf(self.mixture_, as_rows(X).x))

    def quantile(self, p: Any) -> Any:
        """The rows (n, 1) at which the distribution function of one column reaches `p`."""
        return sk.like(p, algebra.quantile(self.mixture_, sk.as_tensor(np.atleast_1d(p)).double()))

    def level(self, mass: float, random_state: int = 0) -> algebra.Level:
        """The log density above which the highest-density region of this mass lies, and its standard error."""
        return algebra.level_set(self.mixture_, float(mass), torch.Generator().manual_seed(random_state))

    def standard_errors(self, X: Any, sample_weight: Any = None) -> Errors:
        """Standard errors of the parameters, from the observed information of rows `X`.

        They hold at a maximum of the likelihood, for large n, and for the structures that are linear spaces (full,
        tied, diagonal, spherical, EII and EEI); the bootstrap (`gmmlab.score.uncertainty`) has none of these limits.
        """
        from gmmlab.score.information import observed_information

        x = as_rows(X).x
        weight = row_weights(sample_weight, x)
        information = observed_information(self.mixture_, x, weight)
        if float(information.gap) > 0.1:
            warn(
                f"The likelihood still has a maximum {float(information.gap):.2g} standard errors away from this fit: "
                "its errors are those of another point. A smaller tol and reg_covar would help.",
                NumericalWarning,
            )
        errors = information.errors(information.covariance)
        return Errors(sk.like(X, errors.weights), sk.like(X, errors.mean), sk.like(X, errors.cov))

    def _columns(self, columns: Sequence[str | int]) -> list[int]:
        """Numbers of columns. Raises `KeyError` for a name that is not there."""
        names = [str(name) for name in getattr(self, "feature_names_in_", default_names(self.mixture_.d))]
        chosen = [columns] if isinstance(columns, str | int) else list(columns)
        for column in chosen:
            if isinstance(column, str) and column not in names:
                raise KeyError(f"There is no column {column!r}; the model has {', '.join(names)}.")
        return [names.index(column) if isinstance(column, str) else int(column) for column in chosen]
