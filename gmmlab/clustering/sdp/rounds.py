"""Likelihood-adjusted semidefinite clustering: relax, round, refit the covariances, again.

Zhuang, Chen and Yang (2023). Labels are parameters of the classification likelihood; the partition of each round is the
rounded optimum of a relaxation in which no centroid appears, and the covariances of the next one are those of its
groups. The likelihood need not rise from round to round, as points are rounded: the best partition is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.sdp.affinities import Affinities
from gmmlab.clustering.sdp.relaxed import Relaxed, Solver, memberships
from gmmlab.clustering.sdp.rounding import Rounding
from gmmlab.families import Structure
from gmmlab.gates import Constant
from gmmlab.init import blank, one_hot
from gmmlab.model import Mixture
from gmmlab.stats import Moments

Shrink = Callable[[Tensor], Tensor]  # from the rows of groups to the share of the pooled covariance in theirs
CERTIFIED = 1e-4  # log-likelihood per row that a certified partition may be short of the optimum


class Partition(NamedTuple):
    """Groups, the mixture fitted to them, and their classification log-likelihood under it."""

    labels: Int[Tensor, "n"]
    model: Mixture
    likelihood: float


class Look(NamedTuple):
    """How far a relaxation had come at one moment."""

    round: int
    objective: float
    gap: float
    residual: float


class Info(NamedTuple):
    """What is known in a round. `relaxed` improves from step to step until the round is done.

    `looks` are those at the solver so far, of all rounds.
    """

    round: int
    relaxed: Relaxed
    partition: Partition  # the latest
    objective: float  # its classification log-likelihood under the covariances of the round
    best: float  # its upper bound, in the same unit
    weight: Float[Tensor, "n"]  # of the rows
    looks: tuple[Look, ...] = ()
    done: bool = False

    def looked(self) -> Info:
        """With this moment among the looks."""
        return self._replace(looks=(*self.looks, Look(self.round, self.objective, self.gap, self.relaxed.residual)))

    @property
    def rows(self) -> float:
        """How many rows there are, by weight."""
        return float(self.weight.sum())

    @property
    def gap(self) -> float:
        """What any partition could gain at most, under the covariances of the round; infinite if that is unknown."""
        return self.best - self.objective

    @property
    def certified(self) -> bool:
        """Whether no partition is better by more than rounding, under the covariances of the round."""
        return self.gap <= CERTIFIED * self.rows

    @property
    def near(self) -> bool:
        """Whether a better bound might certify the partition: more of the gap is above the relaxed point than below."""
        above = abs(self.relaxed.bound - self.relaxed.value)
        return self.gap <= 2 * above + CERTIFIED * self.rows

    @property
    def evidence(self) -> float:
        """Classification log-likelihood per row, under covariances fitted to the groups."""
        return self.partition.likelihood / self.rows


class Round(NamedTuple):
    """A step: the mixture of the latest groups, and how far the relaxation has come."""

    i: int
    model: Mixture
    info: Info


class Refit(NamedTuple):
    """Mixtures out of groups: covariances of a structure, shrunk towards the pooled one, with a ridge.

    A row of weight 2 counts as two rows; all weights are above zero.
    """

    x: Float[Tensor, "n d"]
    k: int
    structure: Structure
    shrink: Shrink
    ridge: float
    weights: Float[Tensor, "n"] | None = None

    @property
    def weight(self) -> Float[Tensor, "n"]:
        """Of the rows, one each unless they have others."""
        return self.x.new_ones(len(self.x), dtype=torch.float64) if self.weights is None else self.weights.double()

    def partition(self, labels: Int[Tensor, "n"]) -> Partition:
        """Groups with Sigma_k = W_k / n_k, shrunk."""
        model = self._of(one_hot(labels, self.k, torch.float64), None)
        return Partition(labels, model, self.likelihood(Affinities.of(self.x, model.gaussian, self.weights), labels))

    def soft(self, u: Float[Tensor, "k n r"]) -> Mixture:
        """From a relaxed point, without centroids: Sigma_k = sum_ij S_kij (x_i - x_j)(x_i - x_j)' / sum_ij 2 S_kij.

        S_kij is w_i w_j Z_kij.
        """
        return self._of(memberships(u, self.weight.sqrt()).T, u)

    def likelihood(self, a: Affinities, labels: Int[Tensor, "n"]) -> float:
        """sum_i w_i log N(x_i | mean of its group, covariance in `a`)."""
        return a.of_labels(labels) + self.constant

    @property
    def constant(self) -> float:
        """From the objective of the relaxation to log-likelihoods."""
        return -float(self.weight.sum()) * self.x.shape[1] / 2 * math.log(2 * math.pi)

    def _of(self, resp: Float[Tensor, "n k"], u: Float[Tensor, "k n r"] | None) -> Mixture:
        begin = blank(self.x, self.k, self.structure, self.ridge)
        origin, weight = begin.gaussian.origin, self.weight[:, None]
        resp = resp * weight
        y, w = (self.x - origin).double(), resp.sum(0)
        s1 = resp.T @ y
        inner = s1[:, None] / w.sqrt()[:, None, None] if u is None else u.mT @ (weight.sqrt() * y)  # its square: y'DZDy
        scatter = (resp.T[:, :, None] * y).mT @ y - inner.mT @ inner
        share = self.shrink(w)[:, None, None]
        pooled = scatter.sum(0) / w.sum()
        scatter = (1 - share) * scatter + share * w[:, None, None] * pooled
        s2 = scatter + s1[:, :, None] * s1[:, None] / w[:, None, None]
        moments = Moments(w, s1, s2 if self.structure.dense else s2.diagonal(dim1=-2, dim2=-1), origin.double())
        return Mixture(begin.gaussian.refit(moments), Constant.of(w))


def shrinkage(d: int, share: float | None = None) -> Shrink:
    """A share r for all groups, or min(1, (d + 2) / n_k): of a group with few rows little is known."""
    if share is None:
        return lambda w: ((d + 2) / w).clamp(max=1)
    return lambda w: torch.full_like(w, share)


def rounds(
    refit: Refit,
    labels: Int[Tensor, "n"],
    solver: Solver,
    rounding: Rounding,
    rng: torch.Generator,
    *,
    adjust: bool = True,
    soft: bool = False,
    max_iter: int = 20,
    tol: float = 1e-3,
) -> Iterator[Round]:
    """Steps from a partition, until a partition comes again or after `max_iter` rounds.

    A round relaxes under the covariances of its beginning, rounds, and refits. It ends when its partition is certified,
    or the relaxation is met to `tol` and a certificate is far; if one is near the solver goes on to its own end.
    Covariances are those of the partition, or `soft` ones of the relaxed point. Without `adjust` all groups have the
    covariance of the first: then there is one relaxation, of k-means (Peng and Wei, 2007), and one round.
    """
    now, steps, seen = refit.partition(labels), count(1), [labels]
    model = now.model
    looks: tuple[Look, ...] = ()
    for number in range(1, max_iter + 1):
        a = (Affinities.of if adjust else Affinities.common)(refit.x, model.gaussian, refit.weights)
        u = a.factor(now.labels)
        begin, objective = Relaxed(u, a.value(u), 0.0, 0), refit.likelihood(a, now.labels)
        info = Info(number, begin, now, objective, math.inf, refit.weight, looks)
        for relaxed in solver(a, u):
            yield Round(next(steps), info.partition.model, info)
            info = info._replace(relaxed=relaxed, best=min(info.best, relaxed.bound + refit.constant))
            if math.isfinite(info.best):
                info = _rounded(info, a, refit, rounding, rng)
                if info.certified:  # then the partition is an optimum of the relaxation, and its memberships are sharp
                    sharp = a.factor(info.partition.labels)
                    info = info._replace(relaxed=relaxed._replace(u=sharp, value=a.value(sharp), residual=0.0))
                info = info.looked()
                if info.certified or (relaxed.residual < tol and not info.near):
                    break
        if not math.isfinite(info.best):
            info = _rounded(info, a, refit, rounding, rng).looked()
        yield Round(next(steps), info.partition.model, info._replace(done=True))
        now, looks = info.partition, info.looks
        if not adjust or any(torch.equal(now.labels, old) for old in seen):
            return
        seen.append(now.labels)
        model = refit.soft(info.relaxed.u) if soft else now.model


def certifying(steps: Iterator[Round], refit: Refit, solver: Solver, *, adjust: bool, tol: float) -> Iterator[Round]:
    """Steps to a partition, and then a round under its own covariances that bounds what any other could gain on it.

    It relaxes as other rounds do, but rounds to the partition that it begins at, the best of those found.
    """
    ends: list[Round] = []
    for step in steps:
        yield step
        if step.info.done:
            ends.append(step)
    labels = max(ends, key=lambda end: (end.info.partition.likelihood, end.i)).info.partition.labels
    last, begun = ends[-1].info.round, ends[-1].info.looks
    for step in rounds(refit, labels, solver, lambda *_: labels, torch.Generator(), adjust=adjust, max_iter=1, tol=tol):
        looks = tuple(look._replace(round=last + 1) for look in step.info.looks)
        yield Round(ends[-1].i + step.i, step.model, step.info._replace(round=last + 1, looks=begun + looks))


def _rounded(info: Info, a: Affinities, refit: Refit, rounding: Rounding, rng: torch.Generator) -> Info:
    """With the partition of the relaxed point."""
    labels = rounding(a, info.relaxed.u, refit.x, rng)
    return info._replace(partition=refit.partition(labels), objective=refit.likelihood(a, labels))
