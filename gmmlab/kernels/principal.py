"""Leading principal components, without a (d, d) matrix."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor


def leading(
    y: Float[Tensor, "n d"], q: int, rng: torch.Generator, rounds: int = 8
) -> tuple[Float[Tensor, "q"], Float[Tensor, "d q"]]:
    """The q largest eigenvalues of y' y and their vectors, nearly.

    Subspace iteration with a few vectors more than asked for (Halko, Martinsson and Tropp, 2011, algorithm 4.4): each
    round shrinks the error by the ratio of the eigenvalues at the cut.
    """
    d = y.shape[1]
    basis = torch.randn(d, min(q + 8, d), generator=rng, dtype=torch.float64, device=rng.device).to(y)
    for _ in range(rounds):
        basis = torch.linalg.qr(y.T @ (y @ basis))[0]
    values, turn = torch.linalg.eigh((y @ basis).T @ (y @ basis))
    return values[-q:].flip(0), (basis @ turn)[:, -q:].flip(1)
