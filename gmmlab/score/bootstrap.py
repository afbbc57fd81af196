"""Is one more component worth it? The likelihood ratio against samples of the smaller model.

Under the null hypothesis the ratio of mixtures has no chi-squared distribution (a parameter lies on the boundary), so
that it is compared with ratios of data drawn from the smaller model. See McLachlan (1987).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture

#: Fits both models to each of b samples (b, n, d): total log-likelihoods (b, 2), of the smaller model first.
Refit = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The statistic of the data and those drawn so far."""

    observed: float
    drawn: Float[Tensor, "b"]

    @property
    def p_value(self) -> float:
        """(1 + how many drawn statistics are at least the observed one) / (1 + how many were drawn).

        Samples to which a model could not be fitted (NaN) do not count.
        """
        valid = self.drawn[~self.drawn.isnan()]
        return (1 + int((valid >= self.observed).sum())) / (1 + len(valid))

    @property
    def failed(self) -> int:
        """Samples to which a model could not be fitted."""
        return int(self.drawn.isnan().sum())

    @property
    def stuck(self) -> int:
        """Samples in which the larger model came out less likely: its search missed the optimum. Try more starts."""
        return int((self.drawn < 0).sum())


def statistic(logliks: Float[Tensor, "b 2"]) -> Float[Tensor, "b"]:
    """Twice the log of the likelihood ratio, 2 (log L_large - log L_small)."""
    return 2 * (logliks[:, 1] - logliks[:, 0]).double()


def bootstrap(
    small: Mixture,
    observed: float,
    refit: Refit,
    n: int,
    rng: torch.Generator,
    *,
    draws: int = 99,
    at_once: int = 1,
) -> Iterator[Bootstrap]:
    """The test as it goes: its state after each batch of `at_once` samples, until there are `draws`.

    `observed` is the statistic of the data, `n` the number of their rows. To stop early is to stop iterating: the
    p-value of any state is valid for the samples it has (if the stop did not depend on them). The same generator gives
    the same samples whatever `at_once` is.
    """
    _check(n, draws, at_once)
    dtype = small.gaussian.origin.dtype
    state = Bootstrap(observed, torch.empty(0, dtype=torch.float64))
    for first in range(0, draws, at_once):
        batch = min(at_once, draws - first)
        samples = torch.stack([small.sample(n, rng)[0].to(dtype) for _ in range(batch)])
        state = Bootstrap(observed, torch.cat([state.drawn, statistic(refit(samples)).cpu()]))
        yield state


def _check(n: int, draws: int, at_once: int) -> None:
    for name, value in (("n", n), ("draws", draws), ("at_once", at_once)):
        if value < 1:
            raise ValueError(f"{name}={value}; expected a whole number of at least 1.")
