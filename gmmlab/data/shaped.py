"""Groups of different shape, as comparisons of clusterers draw them."""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Int, Tensor


def shaped_groups(
    n: int, d: int, k: int, apart: float, rng: torch.Generator, *, stretch: float = 4.0
) -> tuple[Float[Tensor, "n d"], Int[Tensor, "n"]]:
    """Rows of k groups of about equal size and their labels, ordered by group.

    Means lie at `apart` from each other, on the axes; covariances are turned at random, with eigenvalues between
    1 / stretch and stretch, uniform in the logarithm. Raises `ValueError` for fewer columns than groups.
    """
    if d < k or n < k:
        raise ValueError(f"shaped_groups was asked for {k} groups of {n} rows in {d} columns; expected at least {k}.")
    turns = torch.linalg.qr(torch.randn(k, d, d, generator=rng, dtype=torch.float64)).Q
    sizes = stretch ** (2 * torch.rand(k, 1, d, generator=rng, dtype=torch.float64) - 1)
    labels = torch.arange(n) * k // n
    noise = torch.randn(n, d, generator=rng, dtype=torch.float64)
    x = ((turns * sizes.sqrt())[labels] @ noise[:, :, None]).squeeze(-1)
    x[torch.arange(n), labels] += apart / math.sqrt(2)
    return x, labels
