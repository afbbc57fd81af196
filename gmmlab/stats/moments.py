"""Weighted moments of k components about a shared origin.

    w_k = sum_i r_ik      s1_k = sum_i r_ik (x_i - o)      s2_k = sum_i r_ik (x_i - o)(x_i - o)'

Raw second moments (o = 0) lose all digits when the rows are far from zero; moments about an origin near the data
keep them, and unlike centred moments they stay linear: they can be added, scaled and subtracted. Two statistics
about different origins are reconciled exactly before they are added.

`s2` has axes (k, d, d), or (k, d) when only its diagonal is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.kernels.cholesky import factored
from gmmlab.record import shared
from gmmlab.stats.additive import Additive


class Moments(Additive):
    """Zeroth to second weighted moments about `origin`, in float64."""

    w: Float[Tensor, "k"]
    s1: Float[Tensor, "k d"]
    s2: Float[Tensor, "k d d"] | Float[Tensor, "k d"]
    origin: Float[Tensor, "d"] = shared()

    def about(self, origin: Float[Tensor, "d"]) -> Moments:
        """The same moments about another origin; exact."""
        shift = self.origin - origin
        moved = self.s1 + self.w[:, None] * shift
        cross = self._square(self.s1, shift.expand_as(self.s1))
        square = self._square(shift.expand_as(self.s1), moved)
        return self.replace(s1=moved, s2=self.s2 + cross + square, origin=origin)

    @property
    def mean(self) -> Float[Tensor, "k d"]:
        """Weighted mean of the rows of each component; NaN where its weight is zero."""
        return self.origin + self.s1 / self.w[:, None]

    @property
    def scatter(self) -> Float[Tensor, "k d d"] | Float[Tensor, "k d"]:
        """Weighted scatter about the mean, sum_i r_ik (x_i - mean_k)(x_i - mean_k)'."""
        return self.s2 - self._square(self.s1, self.s1 / self.w[:, None])

    def standardised(self, base: Moments) -> Float[Tensor, "f"]:
        """A difference of moments in the standard errors of Gaussian rows; its length is that of Fisher's metric."""
        return self.whitened(base).flatten()

    def whitened(self, base: Moments) -> Float[Tensor, "k f"]:
        """The same, a row for each component.

        With the mean m_k (about the origin) and the covariance L_k L_k' of `base`, moments about m_k whitened by L_k,

            dw / w^1/2      L^-1 (ds1 - m dw) / w^1/2      (L^-1 dS L^-T - I dw) / (2 w)^1/2

        In this metric the EM map is self-adjoint near its fixed point. See Dempster, Laird and Rubin (1977).
        """
        like = self if torch.equal(self.origin, base.origin) else self.about(base.origin)
        w = base.w.clamp(min=1e-300)
        m = base.s1 / w[:, None]
        root, dw = w.sqrt()[:, None], like.w[:, None]
        ds1 = like.s1 - m * dw
        ds2 = like.s2 - like._square(ds1, m) - like._square(m, like.s1)
        cov = base.scatter / w.view(-1, *[1] * (base.s2.ndim - 1))
        if cov.ndim == 2:
            sd = _positive(cov).sqrt()
            white = ds1 / sd, ds2 / sd**2 - dw
        else:
            eye = torch.eye(cov.shape[-1]).to(cov)
            chol = factored(cov + torch.diag_embed(_floor(cov.diagonal(dim1=-2, dim2=-1))))[0]
            half = torch.linalg.solve_triangular(chol, ds2, upper=False)
            whole = torch.linalg.solve_triangular(chol, half.mT, upper=False) - dw[:, :, None] * eye
            white = torch.linalg.solve_triangular(chol, ds1[:, :, None], upper=False).squeeze(-1), whole.flatten(1)
        return torch.cat([like.w[:, None] / root, white[0] / root, white[1] / (2**0.5 * root)], dim=1)

    @property
    def proper(self) -> bool:
        """Whether no weight is negative and every scatter is positive definite, up to rounding."""
        if not all(bool(torch.isfinite(t).all()) for t in (self.w, self.s1, self.s2)) or bool((self.w < 0).any()):
            return False
        scatter = self.scatter[self.w > torch.finfo(self.w.dtype).eps]
        if scatter.ndim == 2:
            return bool((scatter + _floor(scatter) > 0).all())
        floor = _floor(scatter.diagonal(dim1=-2, dim2=-1))
        return not bool(factored(scatter + torch.diag_embed(floor))[1].any())

    def _square(self, a: Float[Tensor, "k d"], b: Float[Tensor, "k d"]) -> Tensor:
        """a b', or its diagonal, in the form of `s2`."""
        return a * b if self.s2.ndim == 2 else a[:, :, None] * b[:, None, :]

    def _fieldwise(self, combine: Callable[[Any, Any], Any], other: Moments) -> Moments:
        if other.origin is not self.origin and not torch.equal(other.origin, self.origin):
            other = other.about(self.origin)
        return super()._fieldwise(combine, other)


def _floor(variances: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """What rounding may take from a variance: 1e-10 of the mean over the axes."""
    return (1e-10 * variances.mean(-1, keepdim=True).clamp(min=1e-290)).expand_as(variances)


def _positive(variances: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    return variances.clamp(min=0) + _floor(variances)
