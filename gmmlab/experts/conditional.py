"""What a mixture of experts says of y where x is known: a mixture of Gaussians of its own for each row.

p(y | x) = sum_k pi_k(x) N(y | m_k(x), Sigma_k)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import distributions as td

from gmmlab.axes import Float, Int, Tensor

_HALVINGS = 60  # of an interval that holds a quantile: to the last digit
_FAR = 12.0  # standard deviations from every expert, beyond which float64 knows no mass


class Conditional(NamedTuple):
    """Log weights and means of the experts at n rows, and lower factors of their covariances."""

    log_w: Float[Tensor, "n k"]
    mean: Float[Tensor, "n k q"]
    chol: Float[Tensor, "n k q q"]

    @property
    def sd(self) -> Float[Tensor, "n k q"]:
        """Standard deviations of each expert."""
        return self.chol.square().sum(-1).sqrt()

    @property
    def expectation(self) -> Float[Tensor, "n q"]:
        """The mean of y, sum_k pi_k m_k."""
        return (self.log_w.exp()[:, :, None] * self.mean).sum(1)

    @property
    def variance(self) -> Float[Tensor, "n q"]:
        """The variance of each output: that within the experts, and that between them."""
        second = (self.log_w.exp()[:, :, None] * (self.sd**2 + self.mean**2)).sum(1)
        return (second - self.expectation**2).clamp(min=0)

    @property
    def experts(self) -> td.Distribution:
        """The Gaussians alone, as torch has them."""
        if self.mean.shape[2] == 1:
            return td.Normal(self.mean[..., 0], self.sd[..., 0])
        return td.MultivariateNormal(self.mean, scale_tril=self.chol)

    @property
    def distribution(self) -> td.MixtureSameFamily:
        """The same as torch has it: of numbers for one output, of vectors for several."""
        return td.MixtureSameFamily(td.Categorical(logits=self.log_w), self.experts)

    def log_prob(self, y: Float[Tensor, "n q"]) -> Float[Tensor, "n"]:
        """Log density of the outputs of each row."""
        return torch.logsumexp(self.joint(y), 1)

    def joint(self, y: Float[Tensor, "n q"]) -> Float[Tensor, "n k"]:
        """Log density of the outputs of each row together with each expert."""
        at = y if y.shape[1] == 1 else y[:, None]
        return self.log_w + self.experts.log_prob(at)

    def cdf(self, y: Float[Tensor, "n j"]) -> Float[Tensor, "n j"]:
        """P(Y <= y | x) of one output, at several places for each row."""
        z = (y[:, :, None] - self.mean[:, None, :, 0]) / self.sd[:, None, :, 0]
        return (self.log_w.exp()[:, None] * torch.special.ndtr(z)).sum(2)

    def quantile(self, p: Float[Tensor, "j"]) -> Float[Tensor, "n j"]:
        """Where the distribution function of one output reaches each p, by bisection.

        Raises `ValueError` for several outputs, and unless each p is between 0 and 1.
        """
        if not bool(((p > 0) & (p < 1)).all()):
            raise ValueError(f"p is {p.tolist()}; expected probabilities between 0 and 1.")
        if self.mean.shape[2] > 1:
            raise ValueError("Several outputs have no quantiles together; fit one of them, or ask predict_dist.")
        p = p.to(self.mean)
        mean, sd = self.mean[..., 0], self.sd[..., 0]
        low = (mean - _FAR * sd).amin(1, keepdim=True).expand(-1, len(p)).clone()
        high = (mean + _FAR * sd).amax(1, keepdim=True).expand(-1, len(p)).clone()
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = self.cdf(middle) < p
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)

    def sample(self, rng: torch.Generator) -> tuple[Float[Tensor, "n q"], Int[Tensor, "n"]]:
        """One draw for each row, and the expert that it came from."""
        z = torch.multinomial(self.log_w.exp(), 1, generator=rng)[:, 0]
        noise = torch.randn(self.mean[:, 0].shape, generator=rng, dtype=self.mean.dtype, device=self.mean.device)
        at = torch.arange(len(z), device=z.device)
        return self.mean[at, z] + (self.chol[at, z] @ noise[:, :, None])[..., 0], z


def conditional(mixture: Any, rows: Float[Tensor, "n d"]) -> Conditional:
    """The distribution of the outputs of each row, at its inputs; the outputs of the rows are not looked at."""
    experts = mixture.components
    mean = experts.expected(rows)
    return Conditional(mixture.gate.at(rows).log_w.double(), mean, experts.factors(rows))
