"""Linear-Gaussian experts: components that score some columns of a row, y, given others, x.

    log N(y | B_k x + b_k, Sigma_k)

A row v holds both. The residual is linear in v, so that the table of k experts is one product of (k q) rows of whitened
coefficients, and what a refit needs are the moments of v, by responsibility: with S the scatter of v about its means,

    B = S_yx S_xx^-1      b = mean_y - B mean_x      Sigma = project(S_yy - B S_xy)

Every covariance structure fits, since the coefficients do not depend on Sigma: all outputs share their inputs. See
Jacobs, Jordan, Nowlan and Hinton (1991), and Hastie, Tibshirani and Friedman (2009), section 3.2.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, NoReturn

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.structures import Full, Structure
from gmmlab.kernels import forms
from gmmlab.kernels.cholesky import factored, safe_cholesky
from gmmlab.kernels.chunks import Buffers, out
from gmmlab.kernels.groups import Groups
from gmmlab.record import Record, shared, static
from gmmlab.stats import Moments

_RANK = 1e-10  # of the largest eigenvalue of the correlations of x, below which a direction is not there
_FACTORED = 1e-3  # the part of an input's standard deviation that others leave, below which ranks are looked at


class _Natural(NamedTuple):
    """Log densities at a residual of zero, and L^-1 (y - B x - b) as rows of coefficients of (1, v)."""

    peak: Float[Tensor, "k"]
    affine: Float[Tensor, "k q f"]


class LinearGaussian(Record):
    """k regressions of the columns `outputs` on the columns `inputs` of a row, which may have others too.

    `coef` and `level` are about the `origin` of the rows: y - origin_y = level + coef (x - origin_x) + noise, where the
    noise has factors `chol` (k, q, q), or standard deviations (k, q) for axis-aligned structures. No variance of the
    noise, along any direction, is refitted to less than `floor` (squared units of y). `jitter` is as of `Gaussian`.
    """

    coef: Float[Tensor, "k q p"]
    level: Float[Tensor, "k q"]
    chol: Float[Tensor, "k q q"] | Float[Tensor, "k q"]
    jitter: Float[Tensor, "k"]
    origin: Float[Tensor, "d"] = shared()
    inputs: tuple[int, ...] = static()
    outputs: tuple[int, ...] = static()
    structure: Structure = static(default=Full())
    floor: float = static(default=0.0)

    @classmethod
    def of(
        cls,
        coef: Float[Tensor, "k q p"],
        intercept: Float[Tensor, "k q"],
        cov: Float[Tensor, "k q q"],
        origin: Float[Tensor, "d"],
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        structure: Structure = Full(),  # noqa: B008 - structures are immutable values
        floor: float = 0.0,
    ) -> LinearGaussian:
        """Experts with these coefficients, intercepts (at x = 0) and covariances, projected onto `structure`."""
        coef, intercept, cov = coef.double(), intercept.double(), cov.double()
        scatter = cov if structure.dense else cov.diagonal(dim1=-2, dim2=-1)
        w = coef.new_ones(len(coef))
        factors = safe_cholesky(structure.project(w, scatter, scatter, Groups((len(w),))))
        at = origin.double()
        level = intercept + coef @ at[list(inputs)] - at[list(outputs)]
        return cls(coef, level, *factors, origin, tuple(inputs), tuple(outputs), structure, floor)

    @classmethod
    def near(
        cls,
        rows: Float[Tensor, "n d"],
        resp: Float[Tensor, "n k"],
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        structure: Structure = Full(),  # noqa: B008 - structures are immutable values
        floor: float = 0.0,
    ) -> LinearGaussian:
        """Experts refitted to responsibilities; one that has no rows begins at the line of all of them."""
        k, q, p = resp.shape[1], len(outputs), len(inputs)
        resp = torch.where(resp.sum(0) > 0, resp, torch.ones_like(resp)).to(rows)
        zero = torch.zeros(k, q, p, dtype=torch.float64, device=rows.device)
        cov = torch.eye(q).to(zero).expand(k, q, q)
        origin = rows.mean(0)
        start = cls.of(zero, zero.sum(2), cov, origin, inputs=inputs, outputs=outputs, structure=structure, floor=floor)
        return start.refit(start.stats(start.features(rows), resp))

    @property
    def k(self) -> int:
        """Number of experts."""
        return self.coef.shape[0]

    @property
    def d(self) -> int:
        """Number of columns of a row."""
        return len(self.origin)

    @property
    def q(self) -> int:
        """Number of outputs."""
        return len(self.outputs)

    @property
    def intercept(self) -> Float[Tensor, "k q"]:
        """The lines at x = 0."""
        at = self.origin.double()
        return self.level + at[list(self.outputs)] - self.coef @ at[list(self.inputs)]

    @property
    def cov(self) -> Float[Tensor, "k q q"]:
        """Covariances of the noise, dense whatever the structure."""
        return self.chol @ self.chol.mT if self.structure.dense else torch.diag_embed(self.chol**2)

    @property
    def n_parameters(self) -> int:
        """Free parameters of lines and noise."""
        return self.k * self.q * (len(self.inputs) + 1) + self.structure.n_parameters(self.k, self.q)

    @property
    def form(self) -> forms.Form:
        """How the kernel sums moments."""
        return _form(self.k, self.d, self.origin.dtype)

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return self.form.width(self.k, self.d) + self.k * self.q

    def features(self, x: Float[Tensor, "n d"], buffers: Buffers | None = None) -> Float[Tensor, "f n"]:
        """What both halves of a step need of a chunk of rows, computed once."""
        return self.form.features(x, self.origin, buffers)

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log density of the outputs of each row under each expert."""
        natural, n = self._natural, features.shape[1]
        affine = natural.affine.flatten(0, 1).to(features)  # of (1, v), with which the features begin
        z = torch.mm(affine, features[: affine.shape[1]], out=out(buffers, "z", (len(affine), n), features))
        square = torch.mul(z, z, out=None if buffers is None else z).view(self.k, -1, n).sum(1)
        return torch.add(natural.peak.to(square)[:, None], square, alpha=-0.5).T

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Moments:
        """Weighted moments of the rows of a chunk; additive over chunks."""
        return Moments(*self.form.sums(features, resp, buffers), origin=self.origin)

    def refit(self, stats: Moments) -> LinearGaussian:
        """Weighted least squares from moments, all experts at once.

        An input that varies not, or that follows from others, gets the coefficients of least length (in standard
        deviations). An expert without rows keeps its line, and of its noise what the structure does not share.
        """
        seen = stats.w > torch.finfo(torch.float64).eps
        alive = stats.replace(w=torch.where(seen, stats.w, 1.0))
        p, order = len(self.inputs), _index(self.inputs + self.outputs, alive.w.device)
        scatter = (alive.scatter * seen[:, None, None]).index_select(1, order).index_select(2, order)
        cross = scatter[:, :p, p:]
        coef = _least_squares(scatter[:, :p, :p], cross).mT
        left = scatter[:, p:, p:] - coef @ cross
        left = 0.5 * (left + left.mT) if self.structure.dense else left.diagonal(dim1=-2, dim2=-1)
        old = self.cov if self.structure.dense else self.chol**2
        w = torch.where(seen, stats.w, 0.0)
        cov = at_least(self.structure.project(w, left, old, Groups((self.k,))), self.floor)
        chol, jitter = safe_cholesky(cov)
        mean = alive.s1.index_select(1, order) / alive.w[:, None]
        level = mean[:, p:] - (coef @ mean[:, :p, None])[..., 0]
        return self.replace(
            coef=torch.where(seen[:, None, None], coef, self.coef),
            level=torch.where(seen[:, None], level, self.level),
            chol=chol,
            jitter=jitter,
        )

    def penalty(self) -> Float[Tensor, ""]:
        """Zero: there is no prior."""
        return self.coef.new_zeros(())

    def expected(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k q"]:
        """What each expert expects of the outputs, in float64; those of the rows are not looked at."""
        at = self.origin.double()
        x = rows[:, list(self.inputs)].double() - at[list(self.inputs)]
        return torch.einsum("kqp,np->nkq", self.coef, x) + self.level + at[list(self.outputs)]

    def draw(self, rows: Float[Tensor, "n d"], z: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n q"]:
        """Outputs for the inputs of these rows, each from the expert of its label."""
        noise = torch.randn(len(z), self.q, generator=rng, dtype=torch.float64, device=rng.device)
        chol = self.chol if self.structure.dense else torch.diag_embed(self.chol)
        return self.expected(rows)[torch.arange(len(z)), z] + (chol[z] @ noise[:, :, None])[..., 0]

    def factors(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k q q"]:
        """Lower factors of the covariances of the noise, the same at all rows."""
        chol = self.chol if self.structure.dense else torch.diag_embed(self.chol)
        return chol.expand(len(rows), -1, -1, -1)

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> NoReturn:
        """Raises `TypeError`: experts say nothing of their inputs."""
        raise TypeError("Experts draw outputs for given inputs: use draw(rows, z, rng).")

    @property
    def _natural(self) -> _Natural:
        """What rows are scored with; kept over chunks, but never where gradients must flow anew."""
        fresh = any(t.requires_grad for t in (self.coef, self.level, self.chol)) or torch.is_inference_mode_enabled()
        return self._make_natural() if fresh else self._kept_natural

    @cached_property
    def _kept_natural(self) -> _Natural:
        return self._make_natural()

    def _make_natural(self) -> _Natural:
        eye = torch.eye(self.q).to(self.coef)
        chol = self.chol if self.structure.dense else torch.diag_embed(self.chol)
        whiten = torch.linalg.solve_triangular(chol, eye.expand_as(chol), upper=False)
        each = torch.cat([-self.coef, eye.expand_as(chol)], 2)
        order = _index(self.inputs + self.outputs, self.coef.device)
        columns = self.coef.new_zeros(self.k, self.q, self.d).index_add(2, order, each)
        affine = whiten @ torch.cat([-self.level[:, :, None], columns], 2)
        peak = -0.5 * self.q * math.log(2 * math.pi) - chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return _Natural(peak, affine)


def at_least(cov: Tensor, floor: float) -> Tensor:
    """Covariances (k, q, q) or variances (k, q) none of which is below `floor`, along any direction.

    Of full, tied, diagonal and spherical covariances these are the most likely ones above it.
    """
    if cov.ndim == 2 or cov.shape[-1] == 1:
        return cov.clamp(min=floor)
    spectrum, axes = torch.linalg.eigh(cov)
    if bool((spectrum >= floor).all()):
        return cov
    return (axes * spectrum.clamp(min=floor)[:, None]) @ axes.mT


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _form(k: int, d: int, dtype: torch.dtype) -> forms.Form:
    """The form of k Gaussians about the origin: what is summed does not depend on the lines."""
    return forms.choose(forms.Parameters.of(torch.zeros(k, d), torch.eye(d).expand(k, d, d)), dtype)


def _least_squares(square: Float[Tensor, "k p p"], cross: Float[Tensor, "k p q"]) -> Float[Tensor, "k p q"]:
    """square^+ cross, by way of the correlations: from their factors where these are far from singular."""
    if square.shape[-1] == 0:
        return cross
    sd = square.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    unit = torch.where(sd > 0, 1 / sd, torch.zeros_like(sd))[:, :, None]
    correlations, cross = unit * square * unit.mT, unit * cross
    chol, _ = factored(correlations)
    if bool((chol.diagonal(dim1=-2, dim2=-1) > _FACTORED).all()):  # not where they are NaN
        return unit * torch.cholesky_solve(cross, chol)
    return unit * (torch.linalg.pinv(correlations, rtol=_RANK, hermitian=True) @ cross)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _index(columns: tuple[int, ...], device: torch.device) -> Int[Tensor, "c"]:
    return torch.tensor(columns, dtype=torch.long, device=device)
