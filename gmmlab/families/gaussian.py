"""Gaussian components with any covariance structure.

    log N(x | mu_k, Sigma_k) = -1/2 (d log 2 pi + log|Sigma_k| + (x - mu_k)' Sigma_k^-1 (x - mu_k))

Parameters are float64 whatever the rows are: they are few, and a mean far from zero needs the digits. See Bishop
(2006), section 9.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.families.mixed import Mixed
from gmmlab.families.prior import Prior
from gmmlab.families.structures import Eigen, Full, Structure
from gmmlab.kernels import compiled, compiled_chain, fused
from gmmlab.kernels.bounded import Joint, bounded_e_step
from gmmlab.kernels.chain import Chain
from gmmlab.kernels.cholesky import add_to_variances, safe_cholesky
from gmmlab.kernels.chunks import Buffers, chunk_rows
from gmmlab.kernels.forms import Form, Parameters, Products, Whitened, cancels, choose
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.packing import Packing
from gmmlab.record import Record, shared, static
from gmmlab.stats import Moments

Factor = Callable[..., tuple[Tensor, Tensor]]


class Gaussian(Record):
    """k Gaussians; `chol` holds lower factors (k, d, d), or standard deviations (k, d) for axis-aligned structures.

    `jitter` is what had to be added to the variances to find the factors: zero but for covariances that are not
    positive definite. `origin` is where moments are taken: any point near the data, in the dtype of the rows. `ridge`
    is added to the variances at every refit. Both amounts are in squared data units. With a `prior`, a refit gives the
    mode of the posterior.
    """

    mean: Float[Tensor, "k d"]
    chol: Float[Tensor, "k d d"] | Float[Tensor, "k d"]
    jitter: Float[Tensor, "k"]
    origin: Float[Tensor, "d"] = shared()
    structure: Structure = static(default=Full())
    ridge: float = static(default=0.0)
    prior: Prior | None = None

    @classmethod
    def of(
        cls,
        mean: Float[Tensor, "k d"],
        cov: Float[Tensor, "k d d"],
        structure: Structure = Full(),  # noqa: B008 - structures are immutable values
        *,
        origin: Float[Tensor, "d"] | None = None,
        ridge: float = 0.0,
        w: Float[Tensor, "k"] | None = None,
    ) -> Gaussian:
        """Gaussians with these means and covariances, which are projected onto `structure`.

        What the components share comes from each in proportion to its weight `w`, from all alike unless given.

        Raises `NotPositiveDefinite` when a covariance has no factor.
        """
        mean, cov = mean.double(), cov.double()
        if not torch.allclose(cov, cov.mT):
            raise ValueError("A covariance is not symmetric; expected cov[k] equal to its transpose.")
        scatter = cov if structure.dense else cov.diagonal(dim1=-2, dim2=-1)
        w = mean.new_ones(len(mean)) if w is None else w
        projected = structure.project(w, scatter * _column(w, scatter), scatter, Groups((len(mean),)))
        origin = mean.mean(0) if origin is None else origin
        return cls(mean, *safe_cholesky(projected), origin, structure, ridge)

    @property
    def k(self) -> int:
        """Number of components."""
        return self.mean.shape[0]

    @property
    def d(self) -> int:
        """Number of features."""
        return self.mean.shape[1]

    @property
    def cov(self) -> Float[Tensor, "k d d"]:
        """Covariance matrices, dense whatever the structure."""
        if self.structure.dense:
            return self.chol @ self.chol.mT
        return torch.diag_embed(self.chol**2)

    @property
    def n_parameters(self) -> int:
        """Free parameters of means and covariances."""
        return self.k * self.d + self.structure.n_parameters(self.k, self.d)

    @cached_property
    def form(self) -> Form:
        """How the kernel computes the table for these parameters."""
        return choose(self._kept_parameters, self.origin.dtype)

    def with_form(self, form: Form) -> Gaussian:
        """The same Gaussians with a form that is taken on trust: to choose it is to wait for a GPU."""
        trusting = self.replace()
        vars(trusting)["form"] = form  # where the cached property would keep it
        return trusting

    @property
    def doubtful(self) -> Bool[Tensor, ""]:
        """Whether what a refit took on trust is wrong: a factor that `flagged_cholesky` did not find, or the form.

        Not yet read by the host.
        """
        far = cancels(self._kept_parameters, self.origin.dtype)
        return ~torch.isfinite(self.jitter).all() | (far != isinstance(self.form, Whitened))

    @property
    def _natural(self) -> tuple[Tensor, ...]:
        """What the table needs of the parameters; kept over chunks, but never where gradients must flow anew."""
        fresh = self.mean.requires_grad or self.chol.requires_grad or torch.is_inference_mode_enabled()
        return self.form.natural(self._parameters()) if fresh else self._kept_natural

    @cached_property
    def _kept_natural(self) -> tuple[Tensor, ...]:
        return self.form.natural(self._kept_parameters)

    @cached_property
    def _kept_parameters(self) -> Parameters:
        with torch.no_grad():
            return self._parameters()

    def _parameters(self) -> Parameters:
        return Parameters.of(self.mean - self.origin, self.chol)

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return self.form.width(self.k, self.d)

    def features(self, x: Float[Tensor, "n d"], buffers: Buffers | None = None) -> Float[Tensor, "f n"]:
        """What both halves of a step need of a chunk of rows, computed once."""
        return self.form.features(x, self.origin, buffers)

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log density of each row under each component."""
        return self.form.table(features, self._natural, buffers)

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Moments:
        """Weighted moments of the rows of a chunk; additive over chunks."""
        return Moments(*self.form.sums(features, resp, buffers), origin=self.origin)

    def passes_once(self, x: Float[Tensor, "n d"], groups: Groups) -> bool:
        """Whether `one_pass` can be had for these rows, and should be: on a GPU as `kernels/fused.py` says."""
        return isinstance(self.form, Products) and (x.is_cpu or self._fuses(x, groups))

    def one_pass(
        self,
        x: Float[Tensor, "n d"],
        log_w: Float[Tensor, "k"],
        groups: Groups,
        weight: Float[Tensor, "n ..."] | None = None,
    ) -> tuple[Moments, Float[Tensor, "g"]]:
        """Statistics of all rows, and total log-likelihoods of mixtures (groups) with constant log weights."""
        if not isinstance(self.form, Products):
            raise TypeError(f"Expected a form whose features are products, got {type(self.form).__name__}.")
        (natural,) = self._natural
        if self._fuses(x, groups):
            pairs = self.form.pairs(self.d, x.device)
            natural = torch.cat([natural[:, :1] + log_w[:, None], natural[:, 1:]], dim=1)
            total, evidence = fused.fused_e_step(x, self.origin, natural, pairs, weight)
        else:
            joint = Joint(self.form, self.origin, natural, self._kept_parameters.peak, log_w, groups)
            total, evidence = bounded_e_step(x, joint, weight)
        return Moments(*self.form.unpack(total), origin=self.origin), evidence

    def one_pass_along(
        self, x: Float[Tensor, "n d"], chain: Chain, packing: Packing, weight: Float[Tensor, "n"] | None = None
    ) -> tuple[Moments, compiled_chain.Totals] | None:
        """Statistics of packed rows as states of a chain, and of its moves; None where passes through tables are due.

        That is where `kernels/compiled_chain.py` does not serve, or its probabilities are not exact.
        """
        form, few = self.form, self.width - self.k <= compiled.MOST_FEATURES
        if not isinstance(form, Products) or not few or not compiled_chain.serves(x, self.k, packing):
            return None
        (natural,), pairs = self._natural, form.pairs(self.d, x.device)
        found = compiled_chain.totals(
            chain, x, packing, origin=self.origin, natural=natural, pairs=pairs, weight=weight
        )
        return None if found is None else (Moments(*form.unpack(found.total), origin=self.origin), found)

    def _fuses(self, x: Float[Tensor, "n d"], groups: Groups) -> bool:
        return groups.g == 1 and fused.serves(x, self.k, self.width - self.k)

    def refit(self, stats: Moments, factor: Factor = safe_cholesky, rows: Float[Tensor, "k"] | None = None) -> Gaussian:
        """Maximum-likelihood Gaussians from weighted moments; `factor` turns covariances into their factors.

        mu_k = o + s1_k / w_k,    Sigma = project(rows, scatter + ridge rows I)

        `rows` are the weights w unless given: a scale mixture of Gaussians counts rows otherwise than it weighs them. A
        prior adds its own to all three.

        The ridge goes into the scatter, so that the covariances stay of the structure's kind. A component without
        rows keeps its mean, and of its covariance what the structure does not share. See Bishop (2006), eq. 9.24-9.25.
        """
        rows = stats.w if rows is None else rows
        extra: Tensor | float = 0.0
        if self.prior is not None:
            stats, rows, extra = self.prior.join(stats), rows + self.prior.rows, self.prior.scale
        seen = stats.w > torch.finfo(torch.float64).eps
        alive = stats.replace(w=torch.where(seen, stats.w, 1.0))
        rows = torch.where(seen, rows, 0.0)
        scatter = add_to_variances(alive.scatter * _column(seen, alive.s2) + extra, self.ridge * rows)
        cov = self.structure.project(rows, scatter, self._old(rows, scatter), Groups((self.k,)))
        rounding = partial(self._rounding, alive) if self.ridge > 0 else None  # most often nobody asks
        chol, jitter = factor(cov, rounding=rounding)
        return self.replace(mean=torch.where(seen[:, None], alive.mean, self.mean), chol=chol, jitter=jitter)

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the parameters, up to a constant; zero without a prior."""
        return self.mean.new_zeros(()) if self.prior is None else self.prior.log_prob(self.mean, self.chol).sum()

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """One draw for each label."""
        noise = torch.randn(len(z), self.d, generator=rng, dtype=torch.float64, device=rng.device).to(self.mean)
        if self.chol.ndim == 2:
            return self.mean[z] + self.chol[z] * noise
        size = chunk_rows(self.d * self.d, noise.element_size(), noise.device)  # a factor for every row would not fit
        parts = zip(z.split(size), noise.split(size), strict=True)
        return self.mean[z] + torch.cat([(self.chol[k] @ e[:, :, None]).squeeze(-1) for k, e in parts])

    def _rounding(self, stats: Moments) -> Float[Tensor, "k"]:
        """The rounding error of the refitted variances, which are differences of second moments about the origin.

        A ridge below it cannot do its work, and is helped out where the factorisation shows it.
        """
        second = stats.s2 if stats.s2.ndim == 2 else stats.s2.diagonal(dim1=-2, dim2=-1)
        error = torch.finfo(self.origin.dtype).eps * (second / stats.w[:, None]).amax(-1)
        return error.amax().expand_as(error) if self.structure.shared else error

    def _old(self, rows: Float[Tensor, "k"], scatter: Tensor) -> Tensor:
        """The covariances that a projection may need; what it does not look at is not made."""
        closed = isinstance(self.structure, Eigen | Mixed) and self.structure.closed
        return scatter if closed and rows.is_cpu and bool((rows > 0).all()) else self._square()

    def _square(self) -> Tensor:
        """Covariances in the shape of the structure's scatter."""
        return self.cov if self.structure.dense else self.chol**2


def _column(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (like.ndim - 1))
