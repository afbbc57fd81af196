"""Checks of what a person gives to a session, before it is enqueued."""

from __future__ import annotations

from typing import Any

import torch

from gmmlab.axes import Bool, Float, Tensor


def place(value: Any, name: str, ndim: int, x: Float[Tensor, "n d"]) -> Tensor:
    """A finite tensor with one axis of d for a mean, two for a covariance."""
    tensor = torch.as_tensor(value, dtype=torch.float64, device=x.device)
    shape = (x.shape[1],) * ndim
    if tensor.shape != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {shape} for these rows.")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} holds a number that is not finite: {tensor.tolist()}.")
    return tensor


def mask_of(rows: Any, n: int) -> Bool[Tensor, "n"] | None:
    """Which of n rows are meant by row numbers or by a mask; None for none."""
    if rows is None:
        return None
    given = torch.as_tensor(rows if isinstance(rows, Tensor) else list(rows)).cpu()
    if given.dtype == torch.bool:
        if given.shape != (n,):
            raise ValueError(f"The mask has shape {tuple(given.shape)}; expected ({n},), one for each row.")
        mask = given.clone()
    else:
        mask = torch.zeros(n, dtype=torch.bool)
        mask[_numbers(given, n)] = True
    return mask if bool(mask.any()) else None


def _numbers(given: Tensor, n: int) -> Tensor:
    if given.ndim != 1 or (len(given) and given.is_floating_point()):
        raise ValueError(
            f"The rows are a {given.dtype} of shape {tuple(given.shape)}; expected row numbers, a mask of {n}, or None."
        )
    if len(given) and not 0 <= int(given.min()) <= int(given.max()) < n:
        outside = int(given.min()) if int(given.min()) < 0 else int(given.max())
        raise ValueError(f"There is no row {outside}; expected numbers from 0 to {n - 1}.")
    return given.long()
