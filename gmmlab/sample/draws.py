"""What a sampler yields, and what it is made of: labels drawn under a model, a model drawn under labels."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Gaussian, NormalInverseWishart
from gmmlab.families.niw import grouped
from gmmlab.gates import Constant
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.sample.process import Gamma, Process
from gmmlab.sample.random import dealt, log_dirichlet
from gmmlab.stats import Moments


class Moves(NamedTuple):
    """How many groups a sweep proposed to split and to merge, and how many of those came about."""

    splits: int = 0
    split: int = 0
    merges: int = 0
    merged: int = 0


class Draw(NamedTuple):
    """A draw of labels, and what is to be said of it."""

    labels: Int[Tensor, "n"]  # of one copy of each row, where rows have copies
    groups: Moments  # of the rows of each component, with all copies; some may be empty
    alpha: float
    log_joint: float  # of rows and labels given alpha, everything else integrated out
    evidence: float  # mean log-likelihood per row of the model before the sweep
    moves: Moves = Moves()

    @property
    def k(self) -> int:
        """Groups that have rows."""
        return int((self.groups.w > 0).sum())


class Sweep(NamedTuple):
    """One sweep over all rows: its number from 1, the model drawn after the labels, and the labels."""

    i: int
    model: Mixture
    info: Draw


class Belief(NamedTuple):
    """What is believed before rows are seen: about parameters, about the sizes of groups."""

    prior: NormalInverseWishart
    process: Process

    def log_joint(self, groups: Moments, alpha: float) -> float:
        """Log density of rows and labels, log p(labels) + sum_k log p(rows of k)."""
        return self.process.log_prob(groups.w, alpha) + float(self.prior.log_marginal(groups).sum())

    def predictive(self, groups: Moments, alpha: float) -> Mixture:
        """The density of a next row, given the groups and alpha: a mixture of Student-t components.

        Where a row may found a group, the last component is the prior's predictive.
        """
        after, shares = self.prior.posterior(groups), self.process.next(groups.w, alpha)
        together = cat([after, self.prior.to(groups.w.device)]).predictive(groups.origin)
        return Mixture(together, Constant(shares.log()))

    def expected(self, groups: Moments) -> Mixture:
        """A mixture of Gaussians with the rows' shares, and the means and covariances that are expected given groups.

        A covariance with dof of at most d + 1 has no expectation: then its scale is divided by dof.
        """
        after = self.prior.posterior(groups)
        dof = torch.where(after.dof > after.d + 1, after.dof - after.d - 1, after.dof)
        chol = after.root / dof.sqrt()[:, None, None]
        return Mixture(Gaussian(after.mean, chol, dof.new_zeros(after.k), groups.origin), Constant.of(groups.w))


@torch.no_grad()
def assigned(model: Mixture, x: Float[Tensor, "n d"], rng: torch.Generator) -> tuple[Int[Tensor, "n"], float]:
    """A component for each row, drawn from its responsibilities; and the mean log-likelihood per row."""
    labels, total = [], 0.0
    for gate, table in model.gated(x):
        posterior = gate.posterior_(table)
        labels.append(torch.multinomial(posterior.resp, 1, generator=rng).squeeze(1))
        total += float(posterior.evidence.sum(dtype=torch.float64))
    return torch.cat(labels), total / len(x)


class Shares(NamedTuple):
    """Copies of rows in components: the label of one copy of each row, how many are where, and the evidence."""

    labels: Int[Tensor, "n"]
    counts: Float[Tensor, "n k"]
    evidence: float


@torch.no_grad()
def shared_out(model: Mixture, x: Float[Tensor, "n d"], copies: Int[Tensor, "n"], rng: torch.Generator) -> Shares:
    """Each of the `copies` of a row falls to a component by the row's responsibilities; the mean is over all copies.

    One of them is drawn by itself, for its label; the others are counted.
    """
    labels, counts, total, size = [], [], 0.0, 0
    for gate, table in model.gated(x):
        posterior = gate.posterior_(table)
        times = copies[size : size + len(posterior.resp)]
        labels.append(torch.multinomial(posterior.resp, 1, generator=rng))
        one = torch.zeros_like(posterior.resp, dtype=torch.float64).scatter_(1, labels[-1], 1.0)
        counts.append(one + dealt(times - 1, posterior.resp, rng))
        total += float(times.double() @ posterior.evidence.double())
        size += len(times)
    return Shares(torch.cat(labels).squeeze(1), torch.cat(counts), total / float(copies.sum()))


def copied(x: Float[Tensor, "n d"], copies: Int[Tensor, "n"] | None) -> tuple[Float[Tensor, "m d"], Any]:
    """All copies of the rows, one after the other; and where the first of each is, as an index."""
    if copies is None:
        return x, slice(None)
    return x.repeat_interleave(copies, 0), copies.cumsum(0) - copies


def compact(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """The same groups, numbered from 0 without gaps, in the order of their labels."""
    return labels.unique(return_inverse=True)[1]


def sets(
    x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], origin: Float[Tensor, "d"], weight: Tensor | None = None
) -> Moments:
    """Moments of the groups of compact labels."""
    return grouped(x, labels, int(labels.max()) + 1, origin, weight)


Move = Callable[[Tensor, float], tuple[Tensor, Moves]]  # from labels and alpha to labels: rows that go to other groups
Again = Callable[[Mixture, Tensor, float], tuple[Tensor, float]]  # from a model: labels to move, and its evidence


def sweeps(
    model: Mixture,
    x: Float[Tensor, "n d"],
    belief: Belief,
    rng: torch.Generator,
    *,
    alpha: float,
    learn: Gamma | None,
    move: Move,
    again: Again,
    shown: Any = slice(None),
) -> Generator[Sweep, Mixture | None, None]:
    """The loop of samplers that have as many groups as the rows ask for; weights leave out what a new one would have.

    A model gives the first labels. `move` changes them, parameters are drawn given the groups, and `again` makes of the
    new model the labels to go on from. A model sent in gives labels anew. Of the labels those of rows `shown` are told.
    """
    origin = x.mean(0)
    labels, evidence = assigned(model, x, rng)
    for i in count(1):
        labels, moves = move(compact(labels), alpha)
        groups = sets(x, labels, origin)
        if learn is not None:
            alpha = belief.process.concentration(groups.w, alpha, learn, rng)
        model = Mixture(belief.prior.posterior(groups).sample(rng, origin), Constant(log_dirichlet(groups.w, rng)))
        sent = yield Sweep(
            i, model, Draw(labels[shown], groups, alpha, belief.log_joint(groups, alpha), evidence, moves)
        )
        labels, evidence = again(model, labels, alpha) if sent is None else assigned(sent, x, rng)
