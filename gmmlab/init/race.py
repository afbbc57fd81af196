"""Short runs of EM for several candidates at once, the best of which goes on.

Biernacki, Celeux and Govaert (2003) found short runs of EM from many starts, the best of which is continued, to be the
most reliable start at a given cost. In numpy: a start is made of some hundred rows, where a call costs more than what
it computes, and numpy's costs a fraction of torch's. Moments are taken about the mean of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Eigen, Gaussian, Structure
from gmmlab.gates import Constant
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture

Array = npt.NDArray[Any]
STEPS = 16  # of a candidate at most
HORIZON = 20.0  # steps as good as the last in which a candidate must be able to overtake the best
LEAD = 5e-3  # nats per row that make no difference
SETTLED = 2e-3  # nats per row gained in a step, below which a candidate need not go on
FEW = 1 << 16  # rows times components times columns, up to which a step in numpy costs less than one in torch
_BLOCK = 1 << 22  # numbers that offsets of rows from means may be: candidates with more run one by one
_LEAST = 1e-8  # rows; a component with fewer has vanished
_NARROW = 1e-7  # of the standard deviation of a column: below it a covariance is rounding


class Candidates(NamedTuple):
    """g mixtures of k Gaussians about the mean of the rows; what is known of each is of one refit before."""

    weights: Array  # (g, k)
    mean: Array  # (g, k, d)
    chol: Array  # (g, k, d, d), or standard deviations (g, k, d)
    evidence: Array  # (g,), mean log-likelihood
    gain: Array  # (g,), how much it rose in the last step

    def take(self, index: Array) -> Candidates:
        """Some of them."""
        return Candidates(*(part[index] for part in self))

    def only(self, which: Array) -> Candidates:
        """Those for which it is true, most often all."""
        return self if which.all() else self.take(which)

    def beside(self, other: Candidates) -> Candidates:
        """These and others."""
        return Candidates(*map(np.concatenate, zip(self, other, strict=True)))


@dataclass(frozen=True, eq=False)
class Race:
    """What candidates run on: rows that count `weight` times, and the kind of model that they are."""

    x: Array  # (n, d)
    weight: Array | None
    structure: Structure
    k: int
    ridge: float

    @classmethod
    def over(
        cls, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None, structure: Structure, k: int, ridge: float
    ) -> Race:
        """On rows of any dtype, which are scored in float64."""
        return cls(as_array(x), None if weight is None else as_array(weight), structure, k, ridge)

    def of(self, model: Mixture, evidence: float = -math.inf) -> Candidates:
        """A mixture of Gaussians as the only candidate; `evidence` is what its last step began with."""
        parts = model.weights, model.gaussian.mean, model.gaussian.chol
        weights, mean, chol = (as_array(part)[None] for part in parts)
        return Candidates(weights, mean - self._centre, chol, np.full(1, evidence), np.full(1, np.inf))

    def start(self, partitions: Sequence[Array]) -> Candidates:
        """One M-step from each partition into k groups, labelled from 0."""
        if len(partitions) > 1 and len(partitions) * self.k * self.x.size > _BLOCK:
            return reduce(Candidates.beside, (self.start([labels]) for labels in partitions))
        return self.refitted((np.stack(partitions)[:, None, :] == np.arange(self.k)[:, None]).astype(float))

    def refitted(self, resp: Array) -> Candidates:
        """One M-step from responsibilities (g, k, n), of which nothing else is known."""
        old = np.diag(self._scale) if self._dense else self._scale  # where iterations of some structures start
        rise = np.full(len(resp), np.inf)
        return self._m_step(resp, np.broadcast_to(old, (len(resp), self.k, *old.shape)), -rise, rise)

    @np.errstate(all="ignore")  # what overflows on the way to a singular covariance is left out
    def run(self, candidates: Candidates, steps: int) -> Candidates:
        """Each candidate some steps further; those that become singular are left out."""
        g = len(candidates.mean)
        if g > 1 and candidates.mean.size * len(self.x) > _BLOCK:
            alone = [self.run(candidates.take(np.array([j])), steps) for j in range(g)]
            return reduce(Candidates.beside, alone)
        for _ in range(steps):
            if not len(candidates.mean):
                break
            resp, evidence = self._e_step(candidates)
            candidates = self._m_step(resp, candidates.chol, evidence, evidence - candidates.evidence)
        return candidates

    def score(self, candidates: Candidates) -> Array:
        """Mean log-likelihood less what small components are expected to lose on new rows: see `corrected`."""
        return corrected(candidates.weights, candidates.evidence, self._parameters, self.x.shape[1], self._n)

    def apart(self, candidates: Candidates, share: float) -> bool:
        """Whether the components of the first candidate stand apart: it expects to assign at most `share` wrongly.

        Components with fewer rows than parameters are always certain, and so do not count.
        """
        if not len(candidates.mean):
            return False
        if self._n * candidates.weights[0].min() < self._parameters:
            return False
        return bool(1 - self._e_step(candidates)[0][0].max(0) @ self._share <= share)

    def best(self, candidates: Candidates, steps: int = STEPS) -> Candidates:
        """The candidate that is best in the end, or none if none survives.

        One that could not overtake the best by steps like its last drops out. The race ends when nobody's last step
        gained much, or after so many steps.
        """
        for _ in range(steps):
            candidates = self.run(candidates, 1)
            if len(candidates.mean) > 1:
                score = self.score(candidates)
                hope = score + HORIZON * candidates.gain
                hope[score.argmax()] = np.inf
                candidates = candidates.only(hope > score.max() + LEAD)
            if not (candidates.gain > SETTLED).any():
                break
        return candidates.take(self.score(candidates).argsort()[-1:])

    def steps(self, candidates: Candidates) -> Iterator[Candidates]:
        """The first of the candidates step by step, until the next step would be singular."""
        while len((candidates := self.run(candidates, 1)).mean):
            yield candidates

    def mixture(self, candidates: Candidates, origin: Float[Tensor, "d"]) -> Mixture:
        """The first of the candidates as a model."""
        parts = candidates.weights, candidates.mean + self._centre, candidates.chol
        weights, mean, chol = (torch.from_numpy(part[0]).to(origin.device) for part in parts)
        jitter = torch.zeros_like(weights)
        return Mixture(Gaussian(mean, chol, jitter, origin, self.structure, self.ridge), Constant(weights.log()))

    @cached_property
    def _dense(self) -> bool:
        return self.structure.dense

    @cached_property
    def _linear(self) -> bool:
        return isinstance(self.structure, Eigen) and self.structure.linear

    @cached_property
    def _n(self) -> float:
        """Number of rows: the sum of their weights."""
        return float(len(self.x) if self.weight is None else self.weight.sum())

    @cached_property
    def _share(self) -> Array:
        """What each row is of all, (n,)."""
        return np.full(len(self.x), 1 / self._n) if self.weight is None else self.weight / self._n

    @cached_property
    def _centre(self) -> Array:
        return self.x.mean(0)

    @cached_property
    def _rows(self) -> Array:
        """The rows about their mean, (n, d)."""
        return self.x - self._centre

    @cached_property
    def _columns(self) -> Array:
        return np.ascontiguousarray(self._rows.T)

    @cached_property
    def _scale(self) -> Array:
        """Standard deviations of the columns; one, where there is none."""
        scale: Array = np.sqrt((self._columns * self._columns).mean(1))
        return np.where(scale > 0, scale, 1.0)

    @cached_property
    def _squares(self) -> Array:
        return self._rows * self._rows

    @cached_property
    def _parameters(self) -> float:
        """Free parameters of a component, of k that share some."""
        d = self.x.shape[1]
        return d + self.structure.n_parameters(self.k, d) / self.k

    def _e_step(self, candidates: Candidates) -> tuple[Array, Array]:
        """Responsibilities (g, k, n) and mean log-likelihoods (g,)."""
        mean, chol = candidates.mean, candidates.chol
        g, k, d = mean.shape
        if self._dense:
            whiten = np.linalg.inv(chol)
            z = (whiten.reshape(g * k * d, d) @ self._columns).reshape(g, k, d, len(self.x)) - whiten @ mean[..., None]
        else:
            z = (self._columns - mean[..., None]) / chol[..., None]
        constant = np.log(candidates.weights) - np.log(self._sd(chol)).sum(-1) - 0.5 * d * math.log(2 * math.pi)
        joint = constant[..., None] - 0.5 * np.einsum("gkdn,gkdn->gkn", z, z)
        top = joint.max(1, keepdims=True)
        resp = np.exp(joint - top)
        total = resp.sum(1, keepdims=True)
        return resp / total, (np.log(total) + top)[:, 0] @ self._share

    def _m_step(self, resp: Array, old: Array, *known: Array) -> Candidates:
        """Refitted candidates, without those in which a component has vanished or is singular."""
        if self.weight is not None:
            resp = resp * self.weight
        w = resp.sum(-1)
        if not w.min(initial=np.inf) > _LEAST:
            full = w.min(1) > _LEAST
            resp, w, old, known = resp[full], w[full], old[full], tuple(part[full] for part in known)
        mean = resp @ self._rows / w[..., None]
        chol, sound = self._factors(self._covariances(resp, w, mean, old))
        return Candidates(w / w.sum(1, keepdims=True), mean, chol, *known).only(sound)

    def _covariances(self, resp: Array, w: Array, mean: Array, old: Array) -> Array:
        """Refitted covariances (g, k, d, d), or variances (g, k, d)."""
        g, k, d = mean.shape
        if self._dense:
            weighted = (resp[:, :, None] * self._columns).reshape(g * k * d, len(self.x))
            cov = (weighted @ self._rows).reshape(g, k, d, d) / w[..., None, None]
            cov -= mean[..., None] * mean[..., None, :]
            cov.reshape(g * k, d * d)[:, :: d + 1] += self.ridge
        else:
            cov = resp @ self._squares / w[..., None] - mean * mean + self.ridge
        return self._projected(w, cov, old) if g else cov

    def _projected(self, w: Array, cov: Array, old: Array) -> Array:
        """Covariances of the structure: by averages, where it is linear, or its own projection."""
        column = w.reshape(*w.shape, *[1] * (cov.ndim - 2))
        if not self._linear:
            old = old @ old.swapaxes(-1, -2) if self._dense else old * old
            rows, scatter, before = (
                torch.from_numpy(part.reshape(-1, *part.shape[2:])) for part in (w, column * cov, old)
            )
            projected = self.structure.project(rows, scatter, before, Groups(w.shape[1:] * len(w)))
            return projected.numpy().reshape(cov.shape)
        if self.structure.spherical:
            cov = np.broadcast_to(cov.mean(-1, keepdims=True), cov.shape)
        if self.structure.shared:
            cov = np.broadcast_to((column * cov).sum(1, keepdims=True) / column.sum(1, keepdims=True), cov.shape)
        return cov

    def _factors(self, cov: Array) -> tuple[Array, Array]:
        """Lower factors of covariances, or roots of variances, and for which of the g all are sound."""
        try:
            chol = np.linalg.cholesky(cov) if self._dense else np.sqrt(np.maximum(cov, 0))  # NaN stays
        except np.linalg.LinAlgError:
            if len(cov) == 1:
                return cov, np.array([False])
            chol, sound = map(np.concatenate, zip(*(self._factors(one[None]) for one in cov), strict=True))
            return chol, sound
        wide = self._sd(chol) > _NARROW * self._scale
        return chol, np.logical_and.reduce(wide, axis=(1, 2))

    def _sd(self, chol: Array) -> Array:
        """Conditional standard deviations, the diagonals of factors, (g, k, d)."""
        return chol.diagonal(axis1=-2, axis2=-1) if self._dense else chol


def are_few(x: Float[Tensor, "n d"], k: int) -> bool:
    """Whether a step of k components over these rows costs less in numpy than in torch."""
    return x.is_cpu and x.numel() * k <= FEW


def as_array(x: Tensor) -> Array:
    """On the host, in float64."""
    return x.detach().cpu().double().numpy()


def corrected(weights: Array, evidence: Array, p: float, d: int, n: float) -> Array:
    """Mean log-likelihoods (g,) less what small components are expected to lose on new rows.

        evidence - 1/n sum_k p n_k / (n_k - 2 p / d + 1)

    with p parameters and n_k rows in a component of a d-variate mixture. For one Gaussian with a covariance matrix,
    p = d (d + 3) / 2, the loss is exact (Bedrick and Tsai, 1994; Hurvich and Tsai, 1989, for d = 1); components whose
    rows do not exceed their parameters are hopeless. With rows in plenty it is the same for all models of a kind, and
    the evidence alone decides.
    """
    rows = weights * n
    spare = rows - 2 * p / d + 1
    spare = np.where(spare < 1 - 1e-9, 1e-6, spare)  # finite, so that the evidence still orders hopeless models
    loss: Array = evidence - (p * rows / spare).sum(-1) / n
    return loss
