"""Draws that torch does not offer with a generator of one's own."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor


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


def dealt(times: Int[Tensor, "n"], shares: Float[Tensor, "n k"], rng: torch.Generator) -> Float[Tensor, "n k"]:
    """How many of `times` things fall to each of k, by multinomial distributions with these probabilities.

    One binomial after the other: of those that the first j - 1 left, j takes each with p_j / (p_j + ... + p_k). See
    Devroye (1986), section XI.1.4.
    """
    rest = shares.double().flip(1).cumsum(1).flip(1)
    odds = (shares / rest).nan_to_num(0.0)
    left, taken = times.double(), torch.zeros_like(rest)
    for j in range(shares.shape[1]):
        taken[:, j] = torch.binomial(left, odds[:, j], generator=rng)
        left = left - taken[:, j]
    return taken


def log_betas(
    a: Float[Tensor, "k"], b: Float[Tensor, "k"], rng: torch.Generator
) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
    """Logarithms of Beta(a, b) draws v and of 1 - v."""
    both = torch.log_softmax(torch.stack([log_gammas(a, rng), log_gammas(b, rng)]), dim=0)
    return both[0], both[1]
