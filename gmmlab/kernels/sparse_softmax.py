"""Softmax over the best few: log weights that are minus infinity outside the active set.

    log p_ij = s_ij + b_j - log sum_{l in A_i} exp(s_il + b_l) for j in A_i,      A_i = the k largest of s_i

The biases have no say in who is active; for the rule in which they have, rank by s + b and add nothing. See Nguyen,
Akbarian, Yan and Ho (2024), and Shazeer et al. (2017), section 2.1, for the other rule.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Bool, Float, Tensor


def topk_softmax(scores: Float[Tensor, "n j"], k: int, bias: Float[Tensor, "j"] | None = None) -> Float[Tensor, "n j"]:
    """Log weights of the k best by `scores`, to which `bias` is added only after; minus infinity for all others."""
    return log_softmax_among(scores if bias is None else scores + bias, active(scores, k))


def active(scores: Float[Tensor, "n j"], k: int) -> Bool[Tensor, "n j"]:
    """The k largest of each row; of those that tie the first ones. Raises `ValueError` unless 1 <= k <= j."""
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k={k} of {scores.shape[1]} scores were asked for; expected 1 to {scores.shape[1]}.")
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, value=True)


def log_softmax_among(logits: Float[Tensor, "n j"], sets: Bool[Tensor, "n j"]) -> Float[Tensor, "n j"]:
    """Log weights within a set of each row, outcome by outcome; differentiable with the sets as they are."""
    return torch.log_softmax(logits.T.masked_fill(~sets.T, -math.inf), dim=0).T
