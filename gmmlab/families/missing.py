"""Gaussians of which some columns are not seen: the way from moments of the others to moments of all.

For a row with the columns o but not m, component k expects the others at

    E[x_m | x_o, k] = mu_m + G_k (x_o - mu_o)      G_k = Sigma_mo Sigma_oo^-1

with the covariance C_k = Sigma_mm - G_k Sigma_om. That is an affine map of what is seen. Moments of x_o, taken under
the marginal, are pushed through it: that is the whole E-step for rows with missing entries. See Ghahramani and Jordan
(1994).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families.conditioning import complement
from gmmlab.families.gaussian import Gaussian
from gmmlab.kernels.cholesky import lower_factor
from gmmlab.stats import Moments


class Completion(NamedTuple):
    """The affine map from the columns that are seen to all of them, about the origin: y -> slope y + offset."""

    slope: Float[Tensor, "k d c"]
    offset: Float[Tensor, "k d"]
    spread: Float[Tensor, "k d d"] | Float[Tensor, "k d"]  # C_k, zero where seen; its diagonal if axis-aligned

    def push(self, seen: Moments, origin: Float[Tensor, "d"]) -> Moments:
        """Moments of completed rows from the moments of what is seen of them."""
        w, b = seen.w[:, None], self.offset
        moved = (self.slope @ seen.s1[:, :, None]).squeeze(-1)
        if self.spread.ndim == 2:
            s2 = (self.slope @ seen.s2[:, :, None]).squeeze(-1) + w * (b * b + self.spread)
        else:
            cross = moved[:, :, None] * b[:, None, :]
            square = b[:, :, None] * b[:, None, :] + self.spread
            s2 = self.slope @ seen.s2 @ self.slope.mT + cross + cross.mT + w[:, :, None] * square
        return Moments(seen.w, moved + w * b, s2, origin=origin)


def completion(gaussian: Gaussian, columns: list[int]) -> Completion:
    """What is expected of the columns that are not seen, given those that are."""
    gap = complement(columns, gaussian.d)
    m = gaussian.mean - gaussian.origin
    slope = m.new_zeros(gaussian.k, gaussian.d, len(columns))
    slope[:, columns, range(len(columns))] = 1.0
    spread = m.new_zeros(gaussian.k, gaussian.d, *([gaussian.d] if gaussian.structure.dense else []))
    if gaussian.structure.dense:
        chol = lower_factor(gaussian.chol[:, [*columns, *gap]])  # of the columns in this order
        o = len(columns)
        lead, cross, rest = chol[:, :o, :o], chol[:, o:, :o], chol[:, o:, o:]
        slope[:, gap] = torch.linalg.solve_triangular(lead, cross, upper=False, left=False)
        at = torch.tensor(gap, device=m.device)
        spread[:, at[:, None], at] = rest @ rest.mT
    else:
        spread[:, gap] = gaussian.chol[:, gap] ** 2
    return Completion(slope, m - (slope @ m[:, columns, None]).squeeze(-1), spread)
