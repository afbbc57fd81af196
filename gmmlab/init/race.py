"""Short runs of EM for several candidates at once, the best of which goes on.

Biernacki, Celeux and Govaert (2003) found short runs of EM from many starts, the best of which is continued, to be the
most reliable start at a given cost. In numpy: a start is made of some hundred rows, where a call costs more than what
it computes, and numpy's costs a fraction of torch's. Rows are subtracted before they are squared, so nothing cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Gaussian, Structure
from gmmlab.gates import Constant
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture

Array = npt.NDArray[Any]
STEPS = 8  # of a candidate at most
LEAD = 0.02  # nats per row by which a candidate may be behind the best and go on
_BLOCK = 1 << 22  # numbers that offsets of rows from means may be: candidates with more run one by one
_LEAST = 1e-8  # rows; a component with fewer has vanished


class Candidates(NamedTuple):
    """g mixtures of k Gaussians, with the mean log-likelihood of what they were one refit before."""

    weights: Array  # (g, k)
    mean: Array  # (g, k, d)
    chol: Array  # (g, k, d, d), or standard deviations (g, k, d)
    evidence: Array  # (g,)

    def take(self, index: Array) -> Candidates:
        """Some of them."""
        return Candidates(*(part[index] for part in self))

    def beside(self, other: Candidates) -> Candidates:
        """These and others."""
        return Candidates(*map(np.concatenate, zip(self, other, strict=True)))


class Race(NamedTuple):
    """What candidates run on: rows that count `weight` times, and the kind of model that they are."""

    x: Array  # (n, d)
    weight: Array | None
    structure: Structure
    ridge: float

    def start(self, partitions: Sequence[Array], k: int) -> Candidates:
        """One M-step from each partition into k groups, labelled from 0."""
        if len(partitions) > 1 and len(partitions) * k * self.x.size > _BLOCK:
            return reduce(Candidates.beside, (self.start([labels], k) for labels in partitions))
        resp = (np.stack(partitions)[:, None, :] == np.arange(k)[:, None]).astype(float)
        variance = self.x.var(0)
        variance[variance == 0] = 1
        old = np.diag(variance) if self.structure.dense else variance  # where iterations of some structures start
        old = np.broadcast_to(old, (len(resp), k, *old.shape))
        return self._m_step(resp, old, np.full(len(resp), -np.inf))

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
            chol = candidates.chol
            old = chol @ chol.swapaxes(-1, -2) if self.structure.dense else chol * chol
            candidates = self._m_step(resp, old, evidence)
        return candidates

    @property
    def n(self) -> float:
        """Number of rows: the sum of their weights."""
        return float(len(self.x) if self.weight is None else self.weight.sum())

    def n_parameters(self, candidates: Candidates) -> float:
        """Free parameters of a component."""
        k, d = candidates.mean.shape[1:]
        return d + self.structure.n_parameters(k, d) / k

    def score(self, candidates: Candidates) -> Array:
        """Mean log-likelihood less what small components are expected to lose on new rows: see `corrected`."""
        d = self.x.shape[1]
        return corrected(candidates.weights, candidates.evidence, self.n_parameters(candidates), d, self.n)

    def apart(self, candidates: Candidates, share: float) -> bool:
        """Whether the components of the first candidate stand apart: it expects to assign at most `share` wrongly.

        Components with fewer rows than parameters are always certain, and so do not count.
        """
        if not len(candidates.mean) or self.n * candidates.weights[0].min() < self.n_parameters(candidates):
            return False
        return bool(np.average(1 - self._e_step(candidates)[0][0].max(0), weights=self.weight) <= share)

    def best(self, candidates: Candidates, steps: int = STEPS, lead: float = LEAD) -> Candidates:
        """The candidate that is best after at most so many steps, or none if none survives.

        Those that fall behind the best by more than `lead` drop out, and the last one need not run on.
        """
        for _ in range(steps):
            candidates = self.run(candidates, 1)
            score = self.score(candidates)
            candidates = candidates.take(np.flatnonzero(score >= score.max(initial=-np.inf) - lead))
            if len(candidates.mean) < 2:
                return candidates
        return candidates.take(np.array([self.score(candidates).argmax()]))

    def mixture(self, candidates: Candidates, origin: Float[Tensor, "d"]) -> Mixture:
        """The first of the candidates as a model."""
        weights, mean, chol = (torch.from_numpy(part[0]).to(origin.device) for part in candidates[:3])
        jitter = torch.zeros_like(weights)
        return Mixture(Gaussian(mean, chol, jitter, origin, self.structure, self.ridge), Constant(weights.log()))

    def _e_step(self, candidates: Candidates) -> tuple[Array, Array]:
        """Responsibilities (g, k, n) and mean log-likelihoods (g,)."""
        weights, mean, chol, _ = candidates
        offset = self.x.T - mean[..., None]  # (g, k, d, n)
        z = np.linalg.inv(chol) @ offset if self.structure.dense else offset / chol[..., None]
        scale = chol.diagonal(axis1=-2, axis2=-1) if self.structure.dense else chol
        constant = np.log(weights) - np.log(scale).sum(-1) - 0.5 * mean.shape[-1] * math.log(2 * math.pi)
        joint = constant[..., None] - 0.5 * np.einsum("gkdn,gkdn->gkn", z, z)
        top = joint.max(1, keepdims=True)
        resp = np.exp(joint - top)
        total = resp.sum(1, keepdims=True)
        resp /= total
        return resp, np.average((np.log(total) + top)[:, 0], axis=1, weights=self.weight)

    def _m_step(self, resp: Array, old: Array, evidence: Array) -> Candidates:
        """Refitted candidates, without those in which a component has vanished or is singular."""
        if self.weight is not None:
            resp = resp * self.weight
        w = resp.sum(-1)
        full = (w > _LEAST).all(1)
        if not full.any():
            return Candidates(w[:0], np.empty((0, w.shape[1], self.x.shape[1])), old[:0], evidence[:0])
        if not full.all():
            resp, w, old, evidence = resp[full], w[full], old[full], evidence[full]
        mean = resp @ self.x / w[..., None]
        offset = self.x.T - mean[..., None]
        if self.structure.dense:
            scatter = (resp[:, :, None] * offset) @ offset.swapaxes(-1, -2)
        else:
            scatter = np.einsum("gkn,gkdn,gkdn->gkd", resp, offset, offset)
        chol, sound = self._covariances(w, scatter, old)
        refitted = Candidates(w / w.sum(1, keepdims=True), mean, chol, evidence)
        return refitted if sound.all() else refitted.take(sound)

    def _covariances(self, w: Array, scatter: Array, old: Array) -> tuple[Array, Array]:
        """Factors of the refitted covariances, and which candidates have them."""
        g, k, d = scatter.shape[:3]
        if self.structure.dense:
            scatter[..., range(d), range(d)] += self.ridge * w[..., None]
        else:
            scatter += self.ridge * w[..., None]
        rows, scatters, before = (
            torch.from_numpy(part.reshape(g * k, *part.shape[2:])) for part in (w, scatter, old.copy())
        )
        cov = self.structure.project(rows, scatters, before, Groups((k,) * g)).numpy()
        return _factors(cov.reshape(scatter.shape), dense=self.structure.dense)


def _factors(cov: Array, *, dense: bool) -> tuple[Array, Array]:
    """Lower factors of covariances (g, k, d, d), or roots of variances (g, k, d), and for which of the g they exist."""
    finite: Array = np.logical_and.reduce(np.isfinite(cov).reshape(len(cov), -1), axis=1)
    if not dense:
        sound: Array = finite & (cov > 0).all(axis=(1, 2))
        return np.sqrt(np.where(sound[:, None, None], cov, 1)), sound
    try:
        return np.linalg.cholesky(cov), finite
    except np.linalg.LinAlgError:
        if len(cov) == 1:
            return cov, np.array([False])
        alone = (_factors(one[None], dense=True) for one in cov)
        chol, sound = map(np.concatenate, zip(*alone, strict=True))
        return chol, sound


def corrected(weights: Array, evidence: Array, p: float, d: int, n: float) -> Array:
    """Mean log-likelihoods (g,) less what small components are expected to lose on new rows.

        evidence - 1/n sum_k p n_k / (n_k - 2 p / d + 1)

    with p parameters and n_k rows in a component of a d-variate mixture. For one Gaussian with a covariance matrix,
    p = d (d + 3) / 2, the loss is exact (Bedrick and Tsai, 1994; Hurvich and Tsai, 1989, for d = 1); components whose
    rows hardly exceed their parameters lose without bound. With rows in plenty it is the same for all models of a kind,
    and the evidence alone decides.
    """
    rows = weights * n
    spare = np.maximum(rows - 2 * p / d + 1, 1e-6)  # finite, so that the evidence still orders hopeless models
    loss: Array = evidence - (p * rows / spare).sum(-1) / n
    return loss
