"""What scikit-learn's methods ask of a fitted mixture: densities, labels, draws and criteria."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from sklearn.utils.validation import check_is_fitted

from gmmlab.algebra import missing
from gmmlab.axes import Tensor
from gmmlab.data import Rows, as_rows, row_weights
from gmmlab.data.streams import Stream
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.gates import Posterior
from gmmlab.model import Mixture
from gmmlab.score import criteria


class Predictions(ABC):
    """Methods of fitted estimators that have `mixture_`."""

    mixture_: Any
    means_: Any
    random_state: Any
    _takes_gaps: ClassVar[bool] = False  # whether entries may be missing

    def score_samples(self, X: Any) -> Any:
        """Log density of each row; of what is there, where entries are missing."""
        return sk.like(X, self._over(X, _log_prob))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-likelihood per row."""
        loglik, n = self._total(X, sample_weight)
        return loglik / n

    def _total(self, X: Any, sample_weight: Any) -> tuple[float, float]:
        """Log-likelihood of all rows, and how many they are: the sum of their weights."""
        return sk.total(self._over(X, _log_prob), sample_weight)

    def predict(self, X: Any) -> Any:
        """Most probable component of each row; -1 for noise."""
        return sk.like(X, self._over(X, _labels))

    def predict_proba(self, X: Any) -> Any:
        """Responsibilities (n, k): the probability of each component given the row. With noise, the rest is its."""
        return sk.like(X, self._over(X, _responsibilities))

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draws (n, d) from the mixture and their components (n,), ordered by component."""
        mixture = self.mixture_
        n_samples = int(n_samples)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        rng = generator(self.random_state, mixture.weights.device)
        x, z = mixture.sample(n_samples, rng)
        order = z.argsort(stable=True)
        return sk.like(self.means_, x[order].to(mixture.located.origin.dtype)), sk.like(self.means_, z[order])

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

    @abstractmethod
    def _check_columns(self, X: Any) -> None:
        """Raises unless the rows have the columns of the fit."""


class Criteria(Predictions):
    """What models are chosen by, of fitted estimators whose `mixture_` is a density."""

    def _n_parameters(self) -> int:
        """Free parameters; scikit-learn's users call it by this name."""
        return self.mixture_.n_parameters

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Bayesian information criterion on rows `X`, each of which counts `sample_weight` times; lower is better."""
        loglik, n = self._total(X, sample_weight)
        return criteria.bic(loglik, self._n_parameters(), n)

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Akaike information criterion on rows `X`, each of which counts `sample_weight` times; lower is better."""
        return criteria.aic(self._total(X, sample_weight)[0], self._n_parameters())

    def icl(self, X: Any, sample_weight: Any = None) -> float:
        """Integrated complete-data likelihood on rows `X`, as mclust has it with our sign; lower is better."""
        resp = self._over(X, _responsibilities)
        weight = row_weights(sample_weight, resp)
        return self.bic(X, sample_weight) + 2 * criteria.doubt(resp, weight)


def _log_prob(mixture: Mixture, rows: Rows) -> Tensor:
    return missing.log_prob(mixture, rows.x) if rows.gaps else mixture.log_prob(rows.x)


def _labels(mixture: Mixture, rows: Rows) -> Tensor:
    if not rows.gaps:
        return mixture.labels(rows.x)
    return most_probable(missing.posterior(mixture, rows.x))


def most_probable(posterior: Posterior) -> Tensor:
    """The most probable component of each row; -1 for noise."""
    best = posterior.resp.max(1)
    return best.indices if posterior.none is None else torch.where(posterior.none > best.values, -1, best.indices)


def _responsibilities(mixture: Mixture, rows: Rows) -> Tensor:
    return (missing.posterior(mixture, rows.x) if rows.gaps else mixture.posterior(rows.x)).resp
