"""Normal-inverse-gamma distributions: what is believed about the mean and the one variance of a spherical Gaussian.

    sigma^2 ~ IG(dof / 2, scale / 2)      mu | sigma^2 ~ N(mean, sigma^2 / kappa I)

They are conjugate: n rows of d columns with mean m and scatter W add up to

    kappa_n = kappa + n    dof_n = dof + n d    scale_n = scale + tr W + kappa n / kappa_n |m - mean|^2
    log p(rows) = log Z(kappa_n, dof_n, scale_n) - log Z(kappa, dof, scale) - n d / 2 log pi
    log Z = log Gamma(dof / 2) - dof / 2 log scale - d / 2 log kappa

`families/prior.py` takes the same `dof` and `scale` for the mode. See Gelman et al. (2013), section 3.3.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.record import Record
from gmmlab.stats import Moments


class NormalInverseGamma(Record):
    """k distributions of a mean and a variance; all float64."""

    mean: Float[Tensor, "k d"]
    kappa: Float[Tensor, "k"]
    scale: Float[Tensor, "k"]
    dof: Float[Tensor, "k"]

    @classmethod
    def of(cls, mean: Float[Tensor, "d"], scale: float, *, kappa: float, dof: float) -> NormalInverseGamma:
        """One distribution (k = 1); the variance is scale / (dof - 2) on average, where dof is above 2.

        Raises `ValueError` for one that is improper.
        """
        if not (kappa > 0 and dof > 0 and 0 < scale < math.inf):
            raise ValueError(f"The prior has kappa={kappa}, dof={dof} and scale={scale}; expected numbers above 0.")
        mean = mean.double()
        return cls(mean[None], *(mean.new_full((1,), value) for value in (kappa, scale, dof)))

    @property
    def d(self) -> int:
        """Number of features."""
        return self.mean.shape[1]

    def posterior(self, stats: Moments) -> NormalInverseGamma:
        """What is believed after sets of rows, one set for each distribution, or k sets for one distribution."""
        y, kappa = self.mean - stats.origin, self.kappa + stats.w
        s1 = self.kappa[:, None] * y + stats.s1
        squares = (stats.s2 if stats.s2.ndim == 2 else stats.s2.diagonal(dim1=-2, dim2=-1)).sum(-1)
        scale = self.scale + squares + self.kappa * y.square().sum(-1) - s1.square().sum(-1) / kappa
        return NormalInverseGamma(stats.origin + s1 / kappa[:, None], kappa, scale, self.dof + stats.w * self.d)

    def log_normaliser(self) -> Float[Tensor, "k"]:
        """log Z of each."""
        return torch.lgamma(self.dof / 2) - self.dof / 2 * self.scale.log() - self.d / 2 * self.kappa.log()

    def log_marginal(self, stats: Moments) -> Float[Tensor, "k"]:
        """Log density of each set of rows, its parameters integrated out; zero for an empty set."""
        after = self.posterior(stats).log_normaliser() - self.log_normaliser()
        return after - 0.5 * self.d * math.log(math.pi) * stats.w
