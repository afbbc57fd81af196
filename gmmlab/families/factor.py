"""Factor analysers: Gaussians whose covariance is low-rank plus diagonal, for rows with many columns.

    x = mu_k + Lambda_k z + e,    z ~ N(0, I_q),    e ~ N(0, Psi_k),    Sigma_k = Lambda_k Lambda_k' + Psi_k

No (d, d) matrix is ever formed. With M_k = I + Lambda' Psi^-1 Lambda, by the identities of Woodbury and Sylvester,

    log|Sigma| = log|Psi| + log|M|      (x - mu)' Sigma^-1 (x - mu) = |x - mu|^2_Psi - |Lambda' Psi^-1 (x - mu)|^2_M

so that a row costs O(d q) for each component. Psi is axis-aligned and of any structure of that kind: own variances
(`Diagonal`), or one variance each (`Spherical`), which are mixtures of probabilistic principal component analysers. See
Ghahramani and Hinton (1996), McLachlan and Peel (2000), chapter 8, and Tipping and Bishop (1999).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.built import Built
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.structures import Diagonal, Structure
from gmmlab.kernels.cholesky import safe_cholesky
from gmmlab.kernels.chunks import Buffers
from gmmlab.kernels.forms import ALLOWED
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.principal import leading
from gmmlab.record import shared
from gmmlab.stats import Additive, Moments


class Loaded(Additive):
    """Moments of the rows, whose second ones are diagonals, and their products with the scores of the factors.

    Scores are `scoring` y, y = x - origin. They depend on the parameters at which the statistic is taken, so statistics
    with other scorings cannot be added.
    """

    moments: Moments
    cross: Float[Tensor, "k d q"]  # sum_i r_ik y_i (scoring_k y_i)'
    scoring: Float[Tensor, "k q d"] = shared()

    def _fieldwise(self, combine: Callable[[Any, Any], Any], other: Loaded) -> Loaded:
        same = other.scoring is self.scoring or torch.equal(other.scoring, self.scoring)
        if not same or not torch.equal(other.moments.origin, self.moments.origin):
            raise ValueError("The statistics were taken at different factor analysers: take all of them at one.")
        return super()._fieldwise(combine, other)


class _Natural(NamedTuple):
    """The lower factor of M, half of log|M|, and B = M^-1 Lambda' Psi^-1, which turns x - mu into expected factors."""

    factor: Float[Tensor, "k q q"]
    half_log_det: Float[Tensor, "k"]
    scoring: Float[Tensor, "k q d"]


class FactorAnalyzers(Built):
    """k factor analysers: Gaussians with axis-aligned noise, whose means are those of the rows, and loadings.

    Loadings are free up to a rotation of the q factors. A ridge, or a prior, of the Gaussians is one of the noise.
    """

    loadings: Float[Tensor, "k d q"]

    @classmethod
    def of(
        cls,
        mean: Float[Tensor, "k d"],
        loadings: Float[Tensor, "k d q"],
        noise: Float[Tensor, "k d"],
        structure: Structure = Diagonal(),  # noqa: B008 - structures are immutable values
        *,
        origin: Float[Tensor, "d"] | None = None,
        ridge: float = 0.0,
    ) -> FactorAnalyzers:
        """Factor analysers with these means, loadings and noise variances, which are projected onto `structure`."""
        if structure.dense:
            raise ValueError(f"The noise has the structure {structure}; expected an axis-aligned one, as Diagonal().")
        k, d, q = loadings.shape
        if not 0 < q < d:
            raise ValueError(f"There are {q} factors of {d} columns; expected at least one and fewer than columns.")
        mean, noise = mean.double(), noise.double()
        variances = structure.project(mean.new_ones(k), noise, noise, Groups((k,)))
        origin = mean.mean(0) if origin is None else origin
        return cls(Gaussian(mean, *safe_cholesky(variances), origin, structure, ridge), loadings.double())

    @classmethod
    def near(
        cls,
        x: Float[Tensor, "n d"],
        resp: Float[Tensor, "n k"],
        q: int,
        structure: Structure = Diagonal(),  # noqa: B008 - structures are immutable values
        *,
        rng: torch.Generator,
        ridge: float = 0.0,
    ) -> FactorAnalyzers:
        """A start from responsibilities: the principal components of the rows of each component.

        With eigenvalues l_j and vectors V of the covariance, Lambda = V (l - s)^1/2 and s = mean of the l_j that are
        left, which is the maximum of the likelihood for one variance in all directions (Tipping and Bishop, 1999, eq.
        7 and 8). Other structures take those of the correlations, so that units do not matter, and as noise what the
        loadings leave of each variance. A component that no row belongs to starts at all of them. Raises as `of`.
        """
        origin = x.mean(0)
        rows, means, loadings, noise = x.double() - origin, [], [], []
        resp = torch.where(resp.sum(0) > 0, resp, torch.ones_like(resp)).double()
        for share in (resp / resp.sum(0)).T:
            centre = share @ rows
            y = (rows - centre) * share[:, None].sqrt()
            variance = y.square().sum(0)
            as_is = (variance == 0) | structure.spherical
            unit = torch.where(as_is, torch.ones_like(variance), variance).sqrt()
            values, vectors = leading(y / unit, q, rng)
            rest = ((variance / unit.square()).sum() - values.sum()).clamp(min=0) / max(len(variance) - q, 1)
            means.append(centre + origin)
            loadings.append(unit[:, None] * vectors * (values - rest).clamp(min=0).sqrt())
            left = variance - loadings[-1].square().sum(1)
            noise.append(torch.maximum(left, 1e-3 * variance) + ridge)  # EM cannot leave a variance of zero
        return cls.of(
            torch.stack(means), torch.stack(loadings), torch.stack(noise), structure, origin=origin, ridge=ridge
        )

    @property
    def q(self) -> int:
        """Number of factors of each component."""
        return self.loadings.shape[2]

    @property
    def noise(self) -> Float[Tensor, "k d"]:
        """Noise variances, the diagonals of Psi."""
        return self.gaussian.chol**2

    @property
    def cov(self) -> Float[Tensor, "k d d"]:
        """Covariance matrices, for looking at them: nothing here needs them."""
        return self.loadings @ self.loadings.mT + torch.diag_embed(self.noise)

    @property
    def condition(self) -> Float[Tensor, "k"]:
        """Bounds on the condition numbers of the covariances, from above; exact for one noise variance.

        The largest eigenvalue is at most that of Lambda Lambda' and the largest variance of the noise together, the
        smallest at least the smallest variance (Weyl).
        """
        longest = torch.linalg.eigvalsh(self.loadings.mT @ self.loadings)[:, -1]
        return (longest + self.noise.amax(1)) / self.noise.amin(1)

    @property
    def n_parameters(self) -> int:
        """Free parameters; a rotation of the factors changes nothing, which takes q (q - 1) / 2 off each loading."""
        free = self.d * self.q - self.q * (self.q - 1) // 2
        return self.gaussian.n_parameters + self.k * free

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return self.gaussian.width + 2 * self.k * self.q

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log density of each row under each component: that of the noise, and what the factors explain of it.

        A difference, of which noise that is small beside the factors would leave few digits; then the residuals and the
        scores are squared, which sums what is positive: |x - mu|^2_Sigma = |x - mu - Lambda z|^2_Psi + |z|^2 at the
        expected factors z.
        """
        factor, half_log_det, _ = self._natural
        rows = self.gaussian.form.rows(features)
        m = self.mean - self.gaussian.origin
        if self._cancels():
            return self._residual_table(rows, m) - half_log_det.to(features)
        whiten = torch.linalg.solve_triangular(factor, self._weighted().mT, upper=False)  # (k, q, d)
        scores = (whiten.flatten(0, 1).to(rows) @ rows).unflatten(0, (self.k, self.q))
        scores = scores - (whiten @ m[:, :, None]).to(rows)
        return self.gaussian.table(features) + (0.5 * scores.square().sum(1) - half_log_det.to(rows)[:, None]).T

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Loaded:
        """Moments, and products with the scores of the factors at these parameters."""
        rows, scoring = self.gaussian.form.rows(features), self._natural.scoring
        if self._cancels():
            rows, resp = rows.double(), resp.double()
        scores = (scoring.flatten(0, 1).to(rows) @ rows).unflatten(0, (self.k, self.q)) * resp.T[:, None].to(rows)
        cross = (rows @ scores.flatten(0, 1).T).double().unflatten(1, (self.k, self.q)).movedim(1, 0)
        return Loaded(self.gaussian.stats(features, resp.to(features)), cross, scoring)

    def scores(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k q"]:
        """The expected factors of each row under each component, Lambda' Sigma^-1 (x - mu)."""
        scoring, m = self._natural.scoring, self.mean - self.gaussian.origin
        y = x - self.gaussian.origin
        scores = (y @ scoring.flatten(0, 1).T.to(y)).unflatten(1, (self.k, self.q))
        return scores - (scoring @ m[:, :, None])[..., 0].to(y)

    def refit(self, stats: Loaded) -> FactorAnalyzers:
        """A step up the expected log-likelihood: its maximum over the means, then one step over loadings and noise.

        With S the scatter about the new means over w, B the scoring and Omega = I - B Lambda + B S B',

            Lambda <- S B' Omega^-1        Psi <- diag(S - Lambda B S), projected onto the structure

        S B' follows from the statistic, since scores are linear. Components without rows keep their loadings. See Rubin
        and Thayer (1982) for the step, and McLachlan and Peel (2000), chapter 8, for the two cycles.
        """
        moments, seen = stats.moments, stats.moments.w > torch.finfo(torch.float64).eps
        w = torch.where(seen, moments.w, 1.0)
        m = moments.s1 / w[:, None]
        sb = stats.cross / w[:, None, None] - m[:, :, None] * (stats.scoring @ m[:, :, None]).mT  # S B', (k, d, q)
        eye = torch.eye(self.q).to(sb)
        omega = eye - stats.scoring @ self.loadings + stats.scoring @ sb
        loadings = torch.linalg.solve(0.5 * (omega + omega.mT), sb, left=False)
        loadings = torch.where(seen[:, None, None], loadings, self.loadings)
        explained = (loadings * sb).sum(-1) * torch.where(seen, moments.w, 0.0)[:, None]
        gaussian = self.gaussian.refit(moments.replace(s2=moments.s2 - explained))
        return self.replace(gaussian=gaussian, loadings=loadings)

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of means and noise, up to a constant; zero without a prior."""
        return self.gaussian.penalty()

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """One draw for each label."""
        factors = torch.randn(len(z), self.q, generator=rng, dtype=torch.float64, device=rng.device).to(self.loadings)
        x = self.gaussian.sample(z, rng)
        for k in range(self.k):  # loadings for every row would not fit
            at = z == k
            x[at] += factors[at] @ self.loadings[k].T
        return x

    def _weighted(self) -> Float[Tensor, "k d q"]:
        """Psi^-1 Lambda."""
        return self.loadings / self.noise[:, :, None]

    @property
    def _natural(self) -> _Natural:
        """What rows are scored with; kept over chunks, but never where gradients must flow anew."""
        parameters = self.loadings, self.gaussian.mean, self.gaussian.chol
        fresh = any(t.requires_grad for t in parameters) or torch.is_inference_mode_enabled()
        return self._make_natural() if fresh else self._kept_natural

    @cached_property
    def _kept_natural(self) -> _Natural:
        return self._make_natural()

    def _make_natural(self) -> _Natural:
        weighted = self._weighted()
        inner = self.loadings.mT @ weighted + torch.eye(self.q).to(self.loadings)
        factor = torch.linalg.cholesky(inner)
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return _Natural(factor, half_log_det, torch.cholesky_inverse(factor) @ weighted.mT)

    def _cancels(self) -> bool:
        """Whether |x - mu|^2 in units of the noise is so large, in a typical row, that the difference is not exact."""
        size = (self.loadings.square().sum(-1) / self.noise).sum(-1)
        dtype = self.gaussian.origin.dtype
        return bool((torch.finfo(dtype).eps * size.detach() > ALLOWED[dtype]).any())

    def _residual_table(self, rows: Float[Tensor, "d n"], m: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
        """Log density but for log|M|."""
        offset = rows - m.to(rows)[:, :, None]  # (k, d, n)
        scores = self._natural.scoring.to(rows) @ offset
        residual = (offset - self.loadings.to(rows) @ scores) / self.gaussian.chol.to(rows)[:, :, None]
        square = residual.square().sum(1) + scores.square().sum(1)
        peak = self.gaussian.chol.log().sum(-1) + 0.5 * self.d * math.log(2 * math.pi)
        return (-0.5 * square - peak.to(rows)[:, None]).T
