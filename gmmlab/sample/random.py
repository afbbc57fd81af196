"""Draws that torch does not offer with a generator of one's own."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor


def log_gammas(shape: Float[Tensor, "..."], rng: torch.Generator) -> Float[Tensor, "..."]:
    """Logarithms of Gamma(shape, 1) draws, also where the draws themselves would be zero.

    A draw for `shape` is one for shape + 1 times U^(1 / shape). See Marsaglia and Tsang (2000), section 6.
    """
    raised = torch._standard_gamma((shape + 1).to(rng.device), generator=rng).to(shape)
    uniform = torch.rand(shape.shape, generator=rng, dtype=torch.float64, device=rng.device).to(shape)
    return raised.log() + uniform.log() / shape


def log_dirichlet(alpha: Float[Tensor, "k"], rng: torch.Generator) -> Float[Tensor, "k"]:
    """Logarithms of weights from a Dirichlet distribution."""
    return torch.log_softmax(log_gammas(alpha, rng), dim=0)


def log_betas(
    a: Float[Tensor, "k"], b: Float[Tensor, "k"], rng: torch.Generator
) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
    """Logarithms of Beta(a, b) draws v and of 1 - v."""
    both = torch.log_softmax(torch.stack([log_gammas(a, rng), log_gammas(b, rng)]), dim=0)
    return both[0], both[1]
