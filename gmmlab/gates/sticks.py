"""Mixing weights of infinitely many components, of which the first k are looked at: a stick that is broken.

    pi_k = v_k prod_{j before k} (1 - v_j)      v_k ~ Beta(1 - d, alpha + k d),   k = 1, 2, ...

is the Dirichlet process for the discount d = 0, and the Pitman-Yor process for d between 0 and 1, whose weights fall as
a power of k. Rows belong to the first k pieces alone; the pieces behind them keep their prior and take no part. With
rows w_k of each component, the posterior and what it expects are

    v_k ~ Beta(a_k, b_k)      a_k = 1 - d + w_k      b_k = alpha + k d + sum_{j behind k} w_j

    E log pi_k = psi(a_k) - psi(a_k + b_k) + sum_{j before k} (psi(b_j) - psi(a_j + b_j))

The concentration alpha is known, or has a gamma distribution. See Blei and Jordan (2006); Kurihara, Welling and Teh
(2007) for pieces that keep their prior, and for their order; Pitman and Yor (1997).
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.expected import Expected
from gmmlab.record import Record, shared, static
from gmmlab.stats import Counts


class Known(Record):
    """A concentration alpha that is given."""

    mean: Float[Tensor, ""] = shared()

    @classmethod
    def of(cls, alpha: float) -> Known:
        """Raises `ValueError` unless alpha is above 0."""
        return cls(_positive(alpha, "concentration alpha"))

    @property
    def mean_log(self) -> Float[Tensor, ""]:
        """log alpha."""
        return self.mean.log()

    def after(self, log_rest: Float[Tensor, "k"]) -> Known:  # noqa: ARG002 - as `Learned` has it
        """What is known after the stick was broken: the same."""
        return self

    def penalty(self) -> Float[Tensor, ""]:
        """Zero."""
        return torch.zeros_like(self.mean)


class Learned(Record):
    """A concentration with a gamma distribution, of which `shape` and `rate` are the posterior's.

        alpha ~ Gamma(shape0 + k, rate0 - sum_k E log(1 - v_k))

    See Escobar and West (1995) for the prior, and Blei and Jordan (2006), section 5, for its variational posterior.
    """

    shape: Float[Tensor, ""] = shared()
    rate: Float[Tensor, ""] = shared()
    shape0: Float[Tensor, ""] = shared()
    rate0: Float[Tensor, ""] = shared()

    @classmethod
    def of(cls, shape: float, rate: float) -> Learned:
        """The prior. Raises `ValueError` unless shape and rate are above 0."""
        prior = (
            _positive(shape, "shape of the prior of alpha"),
            _positive(rate, "rate of the prior of alpha"),
        )
        return cls(*prior, *prior)

    @property
    def mean(self) -> Float[Tensor, ""]:
        """E alpha."""
        return self.shape / self.rate

    @property
    def mean_log(self) -> Float[Tensor, ""]:
        """E log alpha."""
        return torch.digamma(self.shape) - self.rate.log()

    def after(self, log_rest: Float[Tensor, "k"]) -> Learned:
        """The posterior after the stick was broken, by the expected logarithms of what each break leaves."""
        return self.replace(shape=self.shape0 + len(log_rest), rate=self.rate0 - log_rest.sum())

    def penalty(self) -> Float[Tensor, ""]:
        """Minus the Kullback-Leibler divergence of the posterior from the prior."""
        prior = self.shape0 * self.rate0.log() - torch.lgamma(self.shape0)
        own = self.shape * self.rate.log() - torch.lgamma(self.shape)
        moved = (self.shape0 - self.shape) * self.mean_log + (self.rate - self.rate0) * self.mean
        return prior - own + moved


class StickWeights(Expected):
    """Beta posteriors (a, b) of the breaks; `place` is where a component lies along the stick, from 1.

    With `by_size`, a refit lets the components follow each other by size, which no other order surpasses in the bound;
    else they lie as they are numbered, as scikit-learn has them.
    """

    a: Float[Tensor, "k"]
    b: Float[Tensor, "k"]
    place: Int[Tensor, "k"]
    concentration: Known | Learned = shared()
    discount: float = static(default=0.0)
    by_size: bool = static(default=False)

    @classmethod
    def of(
        cls,
        k: int,
        concentration: Known | Learned,
        *,
        discount: float = 0.0,
        by_size: bool = False,
    ) -> StickWeights:
        """The prior of k pieces.

        Raises `ValueError` unless the discount is at least 0 and below 1, and where a concentration would be learned
        beside a discount: its posterior is no gamma distribution then.
        """
        if not 0 <= discount < 1:
            raise ValueError(f"The discount is {discount:g}; expected a number of at least 0 and below 1.")
        if discount > 0 and isinstance(concentration, Learned):
            raise ValueError(
                f"A concentration cannot be learned beside a discount of {discount:g}: its posterior is no gamma "
                "distribution. Set the discount to 0, or give the concentration."
            )
        place = torch.arange(1, k + 1, device=concentration.mean.device)
        a = concentration.mean.new_full((k,), 1 - discount)
        return cls._of(
            a, concentration.mean + discount * place.double(), place, concentration, discount, by_size=by_size
        )

    @classmethod
    def _of(
        cls,
        a: Float[Tensor, "k"],
        b: Float[Tensor, "k"],
        place: Int[Tensor, "k"],
        concentration: Known | Learned,
        discount: float,
        *,
        by_size: bool,
    ) -> StickWeights:
        """With what follows from the posteriors of the breaks."""
        both = torch.digamma(a + b)
        log_w = torch.digamma(a) - both + _before(torch.digamma(b) - both, place)
        share = a.log() - (a + b).log() + _before(b.log() - (a + b).log(), place)
        return cls(log_w, torch.softmax(share, 0), a, b, place, concentration, discount, by_size)

    def pieces(self, log_v: Float[Tensor, "k"], log_rest: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        """Log weights from logarithms of breaks and of what they leave, in their order; what is left over is shared."""
        return torch.log_softmax(log_v + _before(log_rest, self.place), 0)

    def having(self, a: Float[Tensor, "k"], b: Float[Tensor, "k"], concentration: Known | Learned) -> StickWeights:
        """The same process with these posteriors of the breaks and the concentration."""
        return self._of(a, b, self._places(a), concentration, self.discount, by_size=self.by_size)

    def refit(self, stats: Counts) -> StickWeights:
        """The posterior after the rows that were counted: of the breaks, then of the concentration."""
        place = self._places(stats.w)
        a = 1 - self.discount + stats.w
        b = self.concentration.mean + self.discount * place.double() + _behind(stats.w, place)
        concentration = self.concentration.after(torch.digamma(b) - torch.digamma(a + b))
        return self._of(a, b, place, concentration, self.discount, by_size=self.by_size)

    def penalty(self) -> Float[Tensor, ""]:
        """Minus the Kullback-Leibler divergences of the posteriors from the priors."""
        both = torch.digamma(self.a + self.b)
        log_v, log_rest = torch.digamma(self.a) - both, torch.digamma(self.b) - both
        b0 = self.concentration.mean + self.discount * self.place.double()
        prior = -self.discount * log_v + (b0 - 1) * log_rest
        own = (self.a - 1) * log_v + (self.b - 1) * log_rest - _log_beta(self.a, self.b)
        return (prior - own).sum() - self._log_norm0 + self.concentration.penalty()

    @property
    def settled(self) -> Float[Tensor, ""]:
        """The part of the penalty that no refit changes, with its sign turned; none if alpha is learned."""
        return self._log_norm0 if isinstance(self.concentration, Known) else torch.zeros_like(self.concentration.mean)

    @property
    def _log_norm0(self) -> Float[Tensor, ""]:
        """Expected log of the integrals over the breaks that make their priors densities."""
        if self.discount == 0:  # Beta(1, alpha) is alpha (1 - v)^(alpha - 1)
            return -len(self.a) * self.concentration.mean_log
        b0 = self.concentration.mean + self.discount * self.place.double()
        return _log_beta(torch.full_like(b0, 1 - self.discount), b0).sum()

    def _places(self, size: Float[Tensor, "k"]) -> Int[Tensor, "k"]:
        """Where components of these sizes come to lie."""
        number = torch.arange(1, len(size) + 1, device=size.device)
        if not self.by_size:
            return number
        return torch.empty_like(number).scatter_(0, size.argsort(descending=True, stable=True), number)


def _before(values: Float[Tensor, "k"], place: Int[Tensor, "k"]) -> Float[Tensor, "k"]:
    """Sums over the components that lie before each."""
    along = values[place.argsort()]
    return (along.cumsum(0) - along)[place - 1]


def _behind(values: Float[Tensor, "k"], place: Int[Tensor, "k"]) -> Float[Tensor, "k"]:
    """Sums over the components that lie behind each."""
    return _before(values, len(place) + 1 - place)


def _log_beta(a: Float[Tensor, "k"], b: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _positive(value: float, what: str) -> Float[Tensor, ""]:
    if not 0 < value < float("inf"):
        raise ValueError(f"The {what} is {value:g}; expected a finite number above 0.")
    return torch.tensor(value, dtype=torch.float64)
