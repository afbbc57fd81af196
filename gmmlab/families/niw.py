"""Normal-inverse-Wishart distributions: what is believed about the mean and the covariance of a Gaussian.

    Sigma ~ IW(dof, scale)      mu | Sigma ~ N(mean, Sigma / kappa)

They are conjugate, so that n rows with mean m and scatter W are taken in by adding,

    kappa_n = kappa + n    mean_n = (kappa mean + n m) / kappa_n    dof_n = dof + n
    scale_n = scale + W + kappa n / kappa_n (m - mean)(m - mean)'

and the rows have, all of them together and a next one after them, the log densities

    log p(rows) = -n d / 2 log pi + log Z(kappa_n, dof_n, scale_n) - log Z(kappa, dof, scale)
    log Z = log Gamma_d(dof / 2) - dof / 2 log|scale| - d / 2 log kappa
    x | rows ~ Student(mean_n, (kappa_n + 1) / (kappa_n (dof_n - d + 1)) scale_n, dof_n - d + 1)

Rows come in as `Moments` alone. See Gelman et al. (2013), section 3.6, and Murphy (2007), section 9.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.student import Fixed, Student
from gmmlab.kernels.cholesky import safe_cholesky
from gmmlab.record import Record
from gmmlab.stats import Moments


class NormalInverseWishart(Record):
    """k distributions of a mean and a covariance; all float64."""

    mean: Float[Tensor, "k d"]
    kappa: Float[Tensor, "k"]
    scale: Float[Tensor, "k d d"]
    dof: Float[Tensor, "k"]

    @classmethod
    def of(
        cls,
        mean: Float[Tensor, "d"],
        scale: Tensor,  # (d, d), checked below
        *,
        kappa: float,
        dof: float,
    ) -> NormalInverseWishart:
        """One distribution (k = 1). The covariance is scale / (dof - d - 1) on average, where dof is above d + 1.

        Raises `ValueError` for one that is improper.
        """
        mean, scale, d = mean.double(), scale.double(), len(mean)
        if not kappa > 0 or not dof > d - 1:
            raise ValueError(
                f"The prior has kappa={kappa} and dof={dof}; expected kappa above 0 and dof above {d - 1}."
            )
        if scale.shape != (d, d) or not torch.allclose(scale, scale.mT):
            raise ValueError(f"The prior scale has shape {tuple(scale.shape)}; expected {(d, d)}, symmetric.")
        safe_cholesky(scale[None], relative=())  # raises where it is not positive definite
        return cls(mean[None], mean.new_full((1,), kappa), scale[None], mean.new_full((1,), dof))

    @property
    def k(self) -> int:
        """Number of distributions."""
        return len(self.kappa)

    @property
    def d(self) -> int:
        """Number of features."""
        return self.mean.shape[1]

    def repeated(self, k: int) -> NormalInverseWishart:
        """The one distribution k times, without copies."""
        return self.map(lambda t: t.expand(k, *t.shape[1:]))

    def posterior(self, stats: Moments) -> NormalInverseWishart:
        """What is believed after sets of rows, one set for each distribution, or k sets for one distribution.

        Computed about the origin of the moments; a set may be empty. Weights count as rows.
        """
        y, n = self.mean - stats.origin, stats.w
        kappa = self.kappa + n
        s1 = self.kappa[:, None] * y + stats.s1
        mean = s1 / kappa[:, None]
        scale = self.scale + stats.s2 + self.kappa[:, None, None] * _outer(y, y) - _outer(s1, mean)
        return NormalInverseWishart(stats.origin + mean, kappa, scale, self.dof + n)

    @property
    def root(self) -> Float[Tensor, "k d d"]:
        """Lower factors of the scales. Raises `NotPositiveDefinite` where rounding has left none."""
        return safe_cholesky(self.scale, relative=())[0]

    def log_normaliser(self) -> Float[Tensor, "k"]:
        """log Z of each, without the powers of 2 and pi that the number of rows settles."""
        log_det = 2 * self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        gamma = torch.special.multigammaln(0.5 * self.dof, self.d)
        return gamma - 0.5 * self.dof * log_det - 0.5 * self.d * self.kappa.log()

    def log_marginal(self, stats: Moments) -> Float[Tensor, "k"]:
        """Log density of each set of rows, its parameters integrated out; zero for an empty set."""
        after = self.posterior(stats).log_normaliser() - self.log_normaliser()
        return after - 0.5 * self.d * math.log(math.pi) * stats.w

    def predictive(self, origin: Float[Tensor, "d"] | None = None) -> Student:
        """The density of a next row: Student-t components, for rows whose moments are taken about `origin`."""
        dof = self.dof - self.d + 1
        chol = safe_cholesky(self.scale * ((self.kappa + 1) / (self.kappa * dof))[:, None, None])
        return Student(Gaussian(self.mean, *chol, self.mean.mean(0) if origin is None else origin), dof, Fixed())

    def log_prob(self, mean: Float[Tensor, "k d"], chol: Float[Tensor, "k d d"]) -> Float[Tensor, "k"]:
        """Log density of means and covariances L L'."""
        d = self.d
        log_det = 2 * chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        y = mean - self.mean
        pulled = self.scale + self.kappa[:, None, None] * _outer(y, y)
        trace = torch.cholesky_solve(pulled, chol).diagonal(dim1=-2, dim2=-1).sum(-1)
        constant = self.log_normaliser() + 0.5 * d * self.dof * math.log(2) + 0.5 * d * math.log(2 * math.pi)
        return -0.5 * (self.dof + d + 2) * log_det - 0.5 * trace - constant

    def sample(self, rng: torch.Generator, origin: Float[Tensor, "d"] | None = None) -> Gaussian:
        """A draw of the Gaussian of each distribution.

        With scale = S S' and a standard Wishart draw U U', whose upper factor U has normal entries above the roots of
        chi-squared ones, the covariance is L L' for L = S U'^-1; the mean is `mean` + L e / kappa^1/2. See Smith and
        Hocking (1972).
        """
        k, d, here = self.k, self.d, rng.device
        half = 0.5 * (self.dof[:, None] + torch.arange(1 - d, 1).to(self.dof))
        chi2 = 2 * torch._standard_gamma(half.to(here), generator=rng).to(half)  # distributions take no generator
        upper = torch.randn(k, d, d, generator=rng, dtype=torch.float64, device=here).to(self.scale).triu(1)
        upper = upper + torch.diag_embed(chi2.sqrt())
        chol = torch.linalg.solve_triangular(upper, self.root.mT, upper=True).mT
        noise = torch.randn(k, d, 1, generator=rng, dtype=torch.float64, device=here).to(self.scale)
        mean = self.mean + (chol @ noise).squeeze(-1) / self.kappa.sqrt()[:, None]
        return Gaussian(mean, chol, self.kappa.new_zeros(k), mean.mean(0) if origin is None else origin)


def grouped(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    k: int,
    origin: Float[Tensor, "d"],
    weight: Tensor | None = None,
) -> Moments:
    """Moments of k sets of rows, in float64: row i is in set `labels[i]`, and in none where that is negative.

    It counts `weight[i]` times.
    """
    y = x.double() - origin.double()
    w = torch.ones_like(y[:, 0]) if weight is None else weight.double()
    place = torch.where(labels < 0, k, labels)

    def summed(part: Tensor) -> Tensor:
        return part.new_zeros(k + 1, *part.shape[1:]).index_add_(0, place, part)[:k]

    wy = y if weight is None else w[:, None] * y
    return Moments(summed(w), summed(wy), summed(_outer(wy, y)), origin=origin)


def counted(x: Float[Tensor, "n d"], counts: Float[Tensor, "n k"], origin: Float[Tensor, "d"]) -> Moments:
    """The same where `counts[i, j]` copies of row i are in set j."""
    y, c = x.double() - origin.double(), counts.double()
    return Moments(c.sum(0), c.T @ y, (c.T @ _outer(y, y).flatten(1)).unflatten(1, (x.shape[1], -1)), origin=origin)


def _outer(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> Float[Tensor, "n d d"]:
    return a[:, :, None] * b[:, None, :]
