"""Components of which a posterior is known, not values: means and precisions with normal-Wishart distributions.

    Lambda_k ~ Wishart(W_k, nu_k)      mu_k | Lambda_k ~ N(m_k, (kappa_k Lambda_k)^-1)

A row is scored by its expected log density, that of a Gaussian with the expected precision nu_k W_k = C_k^-1 and
something taken off for what is not known about it:

    E log N(x | mu_k, Lambda_k^-1) = log N(x | m_k, C_k) + o_k
    o_k = 1/2 (sum_{i=1..d} psi((nu_k + 1 - i) / 2) - d log(nu_k / 2) - d / kappa_k)

So the kernels, and the statistics, are those of Gaussians. The prior adds kappa0 rows at m0, nu0 rows and the scatter
W0^-1 to those of the data, and C_k is what maximum likelihood would make of the sum.

With a structure other than full, the model is the same, of free precisions; the posterior is restricted to Wishart
distributions whose C_k is of the structure. All of it maximises the same bound, which therefore never falls: for given
C_k the best nu_k is nu0 + w_k, and C_k maximises -1/2 sum_k (nu_k log|C_k| + tr(C_k^-1 M_k)), M_k the scatter with that
of the prior, as it does in a likelihood. Where components share a covariance they share nu, too: the mean nu0 + n / k.
scikit-learn's 'tied', 'diag' and 'spherical' are these. See Attias (2000), and Bishop (2006), sections 10.2.1 and
10.2.2.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.built import Built
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.niw import NormalInverseWishart
from gmmlab.families.prior import Prior
from gmmlab.families.structures import Diagonal, Full, Spherical, Structure
from gmmlab.families.student import Fixed, Student
from gmmlab.kernels.cholesky import add_to_variances, safe_cholesky
from gmmlab.kernels.chunks import Buffers
from gmmlab.record import static
from gmmlab.stats import Moments


class NormalWishart(Built):
    """k posteriors: a Gaussian of means m_k and covariances C_k, whose `prior` is that of all, and rows seen by each.

    `ridge` is added to the variance of every row, in squared data units, as scikit-learn's reg_covar: the bound is not
    told of it.
    """

    w: Float[Tensor, "k"]
    ridge: float = static(default=0.0)

    @classmethod
    def of(
        cls,
        structure: Structure,
        k: int,
        *,
        mean: Float[Tensor, "d"],
        kappa: float,
        dof: float,
        scale: Tensor,  # (d, d), or (d,) for axis-aligned structures
        origin: Float[Tensor, "d"],
        ridge: float = 0.0,
    ) -> NormalWishart:
        """The prior of k components: its mean m0, kappa0 rows there, nu0 degrees of freedom and W0^-1 = `scale`.

        Raises `ValueError` unless kappa0 > 0, nu0 > d - 1 and the scale is a symmetric matrix (or variances) of the
        shape that the structure has.
        """
        mean, scale, d = mean.double(), scale.double(), len(mean)
        if not kappa > 0 or not dof > d - 1:
            raise ValueError(f"The prior has kappa={kappa:g} and dof={dof:g}; expected above 0 and above {d - 1}.")
        if scale.shape != ((d, d) if structure.dense else (d,)) or not torch.allclose(
            scale, scale.mT if structure.dense else scale
        ):
            expected = f"a symmetric matrix {(d, d)}" if structure.dense else f"{d} variances"
            raise ValueError(f"The prior scale has shape {tuple(scale.shape)}; expected {expected}.")
        part = scale.expand(k, *scale.shape)
        prior = Prior(mean.expand(k, -1), mean.new_full((k,), kappa), part, mean.new_full((k,), dof))
        chol, jitter = safe_cholesky(part / dof)
        return cls(Gaussian(prior.mean.clone(), chol, jitter, origin, structure, 0.0, prior), mean.new_zeros(k), ridge)

    @property
    def prior(self) -> Prior:
        """The prior, as rows that were never seen."""
        assert self.gaussian.prior is not None
        return self.gaussian.prior

    @property
    def kappa(self) -> Float[Tensor, "k"]:
        """Precision of the mean, in rows: kappa0 + w_k."""
        return self.prior.kappa + self.w

    @property
    def dof(self) -> Float[Tensor, "k"]:
        """Degrees of freedom: nu0 + w_k, or their mean where the covariance is shared."""
        dof = self.prior.rows + self.w
        return dof.mean().expand_as(dof) if self.gaussian.structure.shared else dof

    @property
    def niw(self) -> NormalInverseWishart:
        """The same distributions, said of covariances: inverse Wishart with scale W_k^-1 = nu_k C_k."""
        scale = self.dof[:, None, None] * self.gaussian.cov
        return NormalInverseWishart(self.mean, self.kappa, scale, self.dof)

    @property
    def n_parameters(self) -> int:
        """Free parameters of means and covariances, which the posterior is of."""
        return self.gaussian.n_parameters

    @property
    def offset(self) -> Float[Tensor, "k"]:
        """o_k, what an expected log density is below that of the Gaussian; never above 0."""
        nu = self.dof
        return 0.5 * (_digammas(nu, self.d) - self.d * (0.5 * nu).log() - self.d / self.kappa)

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Expected log density of each row under each component. See Bishop (2006), eqs. 10.46, 10.64 and 10.65."""
        table = self.gaussian.table(features, buffers)
        return table + self.offset.to(table)

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Moments:
        """Weighted moments of the rows of a chunk; additive over chunks."""
        return self.gaussian.stats(features, resp, buffers)

    def refit(self, stats: Moments) -> NormalWishart:
        """The posterior after the rows whose moments these are. See Bishop (2006), eqs. 10.60 to 10.63."""
        ridged = stats.replace(s2=add_to_variances(stats.s2, self.ridge * stats.w)) if self.ridge > 0 else stats
        return self.replace(gaussian=self.gaussian.refit(ridged), w=stats.w)

    def expected(self, stats: Moments) -> Float[Tensor, ""]:
        """The sum of the table over rows and components, times the responsibilities that the moments are of."""
        y, o = self.mean - stats.origin, self.offset
        if stats.s2.ndim == 2:
            about = stats.s2 - 2 * stats.s1 * y + stats.w[:, None] * y * y
            square = (about / self.gaussian.chol**2).sum()
        else:
            cross = stats.s1[:, :, None] * y[:, None, :]
            about = stats.s2 - cross - cross.mT + stats.w[:, None, None] * y[:, :, None] * y[:, None, :]
            square = _traces(about, self.gaussian.chol).sum()
        peak = -0.5 * (self.d * math.log(2 * math.pi) + self._log_det)
        return (stats.w * (peak + o)).sum() - 0.5 * square

    def penalty(self) -> Float[Tensor, ""]:
        """Minus the Kullback-Leibler divergence of the posterior from the prior.

        Up to a constant where W0^-1 is singular, as the covariance of few rows is.
        """
        d, nu, nu0, prior = self.d, self.dof, self.prior.rows, self.prior
        ratio, y = prior.kappa / self.kappa, self.mean - prior.mean
        pulled = prior.scale + prior.kappa.view(-1, *[1] * (prior.scale.ndim - 1)) * self._outer(y)
        fit = _traces(pulled, self.gaussian.chol) if pulled.ndim == 3 else (pulled / self.gaussian.chol**2).sum(-1)
        of_mean = 0.5 * (d * ratio - d)
        of_precision = 0.5 * ((nu - nu0) * (_digammas(nu, d) + d * math.log(2.0) + self._log_det_w) - nu * d + fit)
        return -(of_mean + of_precision).sum() + self.log_norm - self.log_norm0

    @property
    def log_norm(self) -> Float[Tensor, ""]:
        """Log of the integral over means and precisions that makes the posterior a density, without powers of pi.

        sum_k  -d/2 log kappa_k + nu_k/2 log|W_k| + nu_k d/2 log 2 + sum_i log Gamma((nu_k + 1 - i) / 2)
        """
        return _log_norm(self.kappa, self.dof, self._log_det_w, self.d).sum()

    @property
    def log_norm0(self) -> Float[Tensor, ""]:
        """The same of the prior; a scale matrix without an inverse counts as if its determinant were one."""
        scale = self.prior.scale[0]
        chol, info = torch.linalg.cholesky_ex(torch.diag(scale) if scale.ndim == 1 else scale)
        log_det = -2 * chol.diagonal().log().sum() if int(info) == 0 else scale.new_zeros(())
        one = _log_norm(self.prior.kappa[0], self.prior.rows[0], log_det, self.d)
        return self.k * one

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """One draw for each label from the Gaussians of expected means and precisions; see `predictive` for rows."""
        return self.gaussian.sample(z, rng)

    def predictive(self) -> Student:
        """What the next row of each component is distributed like, a Student-t distribution:

            centre m_k      dof nu_k + 1 - d      scale nu_k (1 + kappa_k) / ((nu_k + 1 - d) kappa_k) C_k

        See Bishop (2006), eqs. 10.81 and 10.82.
        """
        dof = self.dof + 1 - self.d
        wider = (self.dof * (1 + self.kappa) / (dof * self.kappa)).sqrt()
        chol = self.gaussian.chol * wider.view(-1, *[1] * (self.gaussian.chol.ndim - 1))
        return Student(
            self.gaussian.replace(chol=chol, structure=_own(self.gaussian.structure), prior=None), dof, Fixed()
        )

    @property
    def _log_det_w(self) -> Float[Tensor, "k"]:
        """log|W_k|, for W_k = C_k^-1 / nu_k."""
        return -self._log_det - self.d * self.dof.log()

    def _outer(self, y: Float[Tensor, "k d"]) -> Tensor:
        return y[:, :, None] * y[:, None, :] if self.gaussian.structure.dense else y * y


def _own(structure: Structure) -> Structure:
    """The simplest of the structures of which every component has its own that holds these covariances."""
    if structure.spherical:
        return Spherical()
    return Full() if structure.dense else Diagonal()


def _traces(matrix: Float[Tensor, "k d d"], chol: Float[Tensor, "k d d"]) -> Float[Tensor, "k"]:
    """tr C^-1 M."""
    return torch.cholesky_solve(matrix, chol).diagonal(dim1=-2, dim2=-1).sum(-1)


def _halves(nu: Float[Tensor, "..."], d: int) -> Float[Tensor, "... d"]:
    """(nu + 1 - i) / 2 for i from 1 to d."""
    return 0.5 * (nu[..., None] - torch.arange(d, dtype=nu.dtype, device=nu.device))


def _digammas(nu: Float[Tensor, "..."], d: int) -> Float[Tensor, "..."]:
    return torch.digamma(_halves(nu, d)).sum(-1)


def _log_norm(
    kappa: Float[Tensor, "..."], nu: Float[Tensor, "..."], log_det: Float[Tensor, "..."], d: int
) -> Float[Tensor, "..."]:
    gammas = torch.lgamma(_halves(nu, d)).sum(-1)
    return 0.5 * (nu * log_det - d * kappa.log() + nu * d * math.log(2.0)) + gammas
