"""Special functions that torch does not have."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor


def inverse_log_digamma(value: Float[Tensor, "k"], steps: int = 5) -> Float[Tensor, "k"]:
    """The a with log a - digamma(a) = value; infinite where the value is zero or less.

    The left side falls from infinity to zero and lies between 1/(2a) and 1/a (Alzer, 1997), which brackets the root.
    Newton's method runs on its reciprocal, which is nearly linear, and is kept in the bracket: three steps reach
    rounding from 1e-6 to 1e7. The likelihood equations of the gamma and Student-t distributions have this form.
    """
    positive = value > 0
    target = torch.where(positive, value, 1.0)
    low, high = 0.5 / target, 1 / target
    a = low + 0.5 * (high - low) * target.clamp(max=1.0)
    for _ in range(steps):
        gap = a.log() - torch.digamma(a)
        slope = 1 / a - torch.polygamma(1, a)
        # g(a) = 1 / gap - 1 / target has the derivative -slope / gap^2
        a = (a + (1 / gap - 1 / target) * gap * gap / slope).clamp(low, high)
    return torch.where(positive, a, torch.inf)
