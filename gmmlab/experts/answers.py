"""What fitted experts are asked, said once: of the density of y at each row, and of how well it does on given rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.data import row_weights
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.experts.base import outputs_of
from gmmlab.experts.conditional import Conditional
from gmmlab.model import Mixture
from gmmlab.score import criteria

if TYPE_CHECKING:
    from torch.distributions import MixtureSameFamily


class Distributions(ABC):
    """Answers of a regression that knows the whole distribution of y at each row.

    What the gate looks at beside `X`, if anything, is given by name (`Xg`), as in the fit.
    """

    random_state: Any
    _flat: bool

    @abstractmethod
    def conditional(self, X: Any) -> Conditional:
        """The mixture of Gaussians that y is drawn from, for each row of inputs."""

    @property
    @abstractmethod
    def _dtype(self) -> torch.dtype:
        """That of the rows that were fitted."""

    def predict(self, X: Any, **gate: Any) -> Any:
        """The mean of y for each row, sum_k pi_k(x) m_k(x): the answer of least squared error."""
        return self._shaped(X, self.conditional(X, **gate).expectation)

    def predict_std(self, X: Any, **gate: Any) -> Any:
        """The standard deviation of y for each row: noise, and doubt which expert answers."""
        return self._shaped(X, self.conditional(X, **gate).variance.sqrt())

    def predict_dist(self, X: Any, **gate: Any) -> MixtureSameFamily:
        """The distribution of y for each row, as torch has it."""
        return self.conditional(X, **gate).distribution

    def predict_quantiles(self, X: Any, p: Any, **gate: Any) -> Any:
        """The values (n, j) that y stays below with probabilities p (j), for one output.

        Raises `ValueError` for several outputs, and unless each p is between 0 and 1.
        """
        return sk.like(X, self.conditional(X, **gate).quantile(torch.atleast_1d(sk.as_tensor(p).double())))

    def pit(self, X: Any, y: Any, **gate: Any) -> Any:
        """P(Y <= y | x) of the output that each row has, the probability integral transform.

        Where the distributions are right these are uniform: a histogram with a hump in the middle says that they are
        too wide, one with full ends that they are too narrow, a slope that they lie too low or too high. See Dawid
        (1984) and Diebold, Gunther and Tay (1998). Raises `ValueError` for several outputs.
        """
        found = self.conditional(X, **gate)
        if found.mean.shape[2] > 1:
            raise ValueError("Several outputs have no order; fit one of them to transform it.")
        return sk.like(X, found.cdf(outputs_of(y, found.mean[:, 0]))[:, 0])

    def gate_proba(self, X: Any, **gate: Any) -> Any:
        """The weights pi_k(x) of the experts (n, K), before y is known."""
        return sk.like(X, self.conditional(X, **gate).log_w.exp())

    def sample(self, X: Any, random_state: Any = None, **gate: Any) -> Any:
        """A draw of y for each row."""
        found = self.conditional(X, **gate)
        return self._shaped(X, found.sample(self._rng(random_state, found.mean.device))[0])

    def _rng(self, random_state: Any, device: torch.device) -> torch.Generator:
        return generator(self.random_state if random_state is None else random_state, device)

    def _shaped(self, X: Any, value: Float[Tensor, "n q"]) -> Any:
        """Outputs in the shape and the dtype of those that were fitted."""
        value = value.to(self._dtype)
        return sk.like(X, value[:, 0] if self._flat and value.shape[1] == 1 else value)


class Scored(ABC):
    """How well a mixture of experts does on rows (x, y).

    What the gate looks at beside `X`, if anything, is given by name (`Xg`), as in the fit.
    """

    mixture_: Mixture

    @abstractmethod
    def _with(self, X: Any, y: Any) -> Float[Tensor, "n d"]:
        """Checked rows of inputs and outputs, as `mixture_` scores them."""

    def log_likelihood(self, X: Any, y: Any, sample_weight: Any = None, **gate: Any) -> float:
        """Log density of y given x, summed over all rows, each of which counts `sample_weight` times."""
        return self._total(X, y, sample_weight, **gate)[0]

    def bic(self, X: Any, y: Any, sample_weight: Any = None, **gate: Any) -> float:
        """Bayesian information criterion of the conditional density; lower is better."""
        loglik, n = self._total(X, y, sample_weight, **gate)
        return criteria.bic(loglik, self.mixture_.n_parameters, n)

    def aic(self, X: Any, y: Any, sample_weight: Any = None, **gate: Any) -> float:
        """Akaike information criterion; lower is better."""
        return criteria.aic(self._total(X, y, sample_weight, **gate)[0], self.mixture_.n_parameters)

    def icl(self, X: Any, y: Any, sample_weight: Any = None, **gate: Any) -> float:
        """BIC with a price for rows whose expert is in doubt; lower is better."""
        resp = self.mixture_.posterior(self._with(X, y, **gate)).resp
        weight = row_weights(sample_weight, resp)
        return self.bic(X, y, sample_weight, **gate) + 2 * criteria.doubt(resp, weight)

    def _total(self, X: Any, y: Any, sample_weight: Any, **gate: Any) -> tuple[float, float]:
        with torch.no_grad():
            return sk.total(self.mixture_.log_prob(self._with(X, y, **gate)), sample_weight)
