"""A Dirichlet prior of mixing weights, whose mode is found: rows that were never seen.

    log p(pi) = sum_k (alpha_k - 1) log pi_k + constant        pi_k = (w_k + alpha_k - 1) / sum_j (w_j + alpha_j - 1)

`alpha` is at least 1, where the density has a maximum. See Gelman et al. (2013), chapter 22.
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor


def check(alpha: Float[Tensor, "k"]) -> None:
    """Raises `ValueError` for a prior without a mode."""
    if not bool((torch.isfinite(alpha) & (alpha >= 1)).all()):
        raise ValueError(f"The prior of the weights is {alpha.tolist()}; expected finite numbers of at least 1.")


def counted(w: Float[Tensor, "k"], alpha: Float[Tensor, "k"] | None) -> Float[Tensor, "k"]:
    """Rows of each component, those of the prior included."""
    return w if alpha is None else w + alpha - 1


def log_density(log_w: Float[Tensor, "k"], alpha: Float[Tensor, "k"] | None) -> Float[Tensor, ""]:
    """Of the weights, up to a constant; zero without a prior."""
    if alpha is None:
        return log_w.new_zeros(())
    return torch.where(alpha > 1, (alpha - 1) * log_w, 0.0).sum()
