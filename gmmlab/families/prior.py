"""Conjugate priors of Gaussian components, as statistics of rows that were never seen.

The prior of a mean given its covariance is N(mu_k | m, Sigma_k / kappa), that of a covariance an inverse Wishart
distribution with `dof` degrees of freedom and a scale matrix; for axis-aligned structures an inverse gamma for each
free variance. Up to a constant, their logarithm is

    -1/2 sum_k rows_k log|Sigma_k| + tr Sigma_k^-1 (scale_k + kappa (mu_k - m)(mu_k - m)')

which is what the log-likelihood of `rows_k` Gaussian rows looks like. So the posterior mode is the maximum-likelihood
estimate from the sum of both statistics, for every covariance structure. What belongs to a covariance that components
share is handed out to them in equal parts. See Fraley and Raftery (2007).
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families.structures import Structure
from gmmlab.record import Record
from gmmlab.stats import Moments


class Prior(Record):
    """Pseudo-statistics of each component.

    `kappa` rows lie at `mean`; `scale`, in the shape of the structure's scatter, adds to the scatter; and log|Sigma_k|
    is counted `rows` times more often than the data would.
    """

    mean: Float[Tensor, "k d"]
    kappa: Float[Tensor, "k"]
    scale: Float[Tensor, "k d d"] | Float[Tensor, "k d"]
    rows: Float[Tensor, "k"]

    @classmethod
    def of(
        cls,
        structure: Structure,
        k: int,
        *,
        mean: Float[Tensor, "d"],
        kappa: float,
        dof: float,
        scale: Tensor,  # (d, d), checked below
    ) -> Prior:
        """The conjugate prior of k components with covariances of this structure.

        An inverse Wishart distribution has the density |Sigma|^-(dof + d + 1)/2, an inverse gamma one sigma^-(dof + 2);
        their scales are `scale`, its diagonal, or for one variance in all directions the mean of its diagonal.
        """
        _check(mean, kappa, dof, scale)
        d, mean, scale = len(mean), mean.double(), scale.double()
        variances = structure.n_parameters(1, d)  # free ones, of an axis-aligned covariance
        power = dof + d + 1 if structure.dense else (dof + 2) * variances / d
        part = scale if structure.dense else scale.diagonal() * variances / d
        sharing = k if structure.shared else 1
        ones = mean.new_ones(k)
        part = (part / sharing).expand(k, *part.shape)
        return cls(mean.expand(k, -1), kappa * ones, part, (power / sharing + float(kappa > 0)) * ones)

    @classmethod
    def weak(cls, structure: Structure, k: int, x: Float[Tensor, "n d"], *, kappa: float = 0.01) -> Prior:
        """The default prior of Fraley and Raftery (2007).

        It lies about the mean of the rows, with d + 2 degrees of freedom and the covariance of the rows divided by
        k^(2/d), so that k such ellipsoids fill the volume of theirs.

        Axis-aligned structures take the mean variance in all directions; so does everything when there are no more
        rows than columns, then with the variances of the columns.
        """
        n, d = x.shape
        y = x.double() - x.double().mean(0)
        cov = y.T @ y / (n - 1)
        if not structure.dense:
            cov = cov.diagonal().mean() * torch.eye(d).to(cov)
        elif n <= d:
            cov = torch.diag_embed(cov.diagonal())
        return cls.of(structure, k, mean=x.double().mean(0), kappa=kappa, dof=d + 2.0, scale=cov / k ** (2 / d))

    def handed_out(self, share: float) -> Prior:
        """What belongs to a covariance that components share, in parts that are `share` times as large.

        So it stays what it was when k components become k / share.
        """
        own = (self.kappa > 0).to(self.rows)
        return self.replace(scale=share * self.scale, rows=share * (self.rows - own) + own)

    def join(self, stats: Moments) -> Moments:
        """The moments of the rows and the `kappa` pseudo-rows together.

        Their mean is the mode of the posterior, and their scatter has the term kappa w / (kappa + w) (mean - m)(.)'.
        """
        y = self.mean - stats.origin
        s1 = self.kappa[:, None] * y
        s2 = s1 * y if stats.s2.ndim == 2 else s1[:, :, None] * y[:, None, :]
        return stats + Moments(self.kappa, s1, s2, origin=stats.origin)

    def log_prob(self, mean: Float[Tensor, "k d"], chol: Tensor) -> Float[Tensor, "k"]:
        """Log density of the parameters of each component, up to a constant."""
        y = mean - self.mean
        if chol.ndim == 2:
            trace = ((self.scale + self.kappa[:, None] * y * y) / chol**2).sum(-1)
            return -self.rows * chol.log().sum(-1) - 0.5 * trace
        pulled = self.scale + self.kappa[:, None, None] * y[:, :, None] * y[:, None, :]
        trace = torch.cholesky_solve(pulled, chol).diagonal(dim1=-2, dim2=-1).sum(-1)
        return -self.rows * chol.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * trace


def _check(mean: Tensor, kappa: float, dof: float, scale: Tensor) -> None:
    if scale.shape != (len(mean), len(mean)):
        raise ValueError(f"The prior scale has shape {tuple(scale.shape)}; expected {(len(mean), len(mean))}.")
    if not kappa >= 0 or not dof > -2:
        raise ValueError(f"The prior has kappa={kappa} and dof={dof}; expected kappa of at least 0 and dof above -2.")
    if not torch.allclose(scale, scale.mT) or bool(torch.linalg.eigvalsh(scale)[0] < 0):
        raise ValueError("The prior scale is not symmetric and positive semi-definite; expected a scatter matrix.")
