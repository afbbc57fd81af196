"""A sampler of Dirichlet process mixtures that moves whole groups: slices for the rows, halves for splits and merges.

A sweep draws all labels at once, as blocked Gibbs does, but without a largest number of groups: each row has a slice
u < pi_z, and only the finitely many components whose weight exceeds it are in question (Walker, 2007; Kalli, Griffin
and Walker, 2011). Then it proposes moves. Two rows are picked, near or far. If they are of one group it is to be
split between them, if of two these are to be merged. A split is accepted with the ratio of the two partitions,

    alpha Gamma(N_1) Gamma(N_2) p(x_1) p(x_2) / (Gamma(N_1 + N_2) p(x_1 u x_2))

over the probability q of this very split, and a merge with the reciprocal. Splits are made in one of two ways, by a
coin: by the parameters of two halves, one around each of the two rows, which a few sweeps inside have found
(`by_halves`), or at random (`by_urn`), for the sake of the reverse moves. The halves depend on the union and on the two
rows, not on how it is parted now, so that both directions have the same (Jain and Neal, 2004). Chang and Fisher (2013)
keep halves from sweep to sweep, which spares the sweeps inside, and split with the ratio above alone.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import NormalInverseWishart
from gmmlab.families.niw import grouped
from gmmlab.kernels.chunks import chunk_rows, chunks
from gmmlab.kernels.forms import Whitened
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.sample.draws import Belief, Moves, Sweep, copied, sweeps
from gmmlab.sample.process import Gamma, Restaurant
from gmmlab.sample.random import log_betas, log_dirichlet
from gmmlab.stats import Moments

SCANS = 8  # sweeps inside, before the halves are used


class Base(NamedTuple):
    """What new groups come from: the prior of their parameters, and the concentration."""

    prior: NormalInverseWishart
    alpha: float


def split_merge(
    model: Mixture,
    x: Float[Tensor, "n d"],
    prior: NormalInverseWishart,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    learn: Gamma | None = None,
    proposals: int = 5,
    copies: Int[Tensor, "n"] | None = None,
) -> Generator[Sweep, Mixture | None, None]:
    """Sweeps without end, from any model, each with so many proposals. A model sent in replaces the current one.

    The models are those of the groups that have rows; their weights leave out what a new group would have. Where rows
    are there in `copies`, these are rows of their own; labels are told of the first.
    """
    x, shown = copied(x, copies)

    def move(labels: Int[Tensor, "n"], alpha: float) -> tuple[Int[Tensor, "n"], Moves]:
        moves = Moves()
        for _ in range(proposals if len(x) > 1 else 0):
            labels, moves = _moved(x, labels, Base(prior, alpha), moves, rng)
        return labels, moves

    def again(model: Mixture, labels: Int[Tensor, "n"], alpha: float) -> tuple[Int[Tensor, "n"], float]:
        return sliced(model, labels, x, Base(prior, alpha), rng)

    belief = Belief(prior, Restaurant())
    return sweeps(model, x, belief, rng, alpha=alpha, learn=learn, move=move, again=again, shown=shown)


@torch.no_grad()
def sliced(
    model: Mixture,
    labels: Int[Tensor, "n"],
    x: Float[Tensor, "n d"],
    base: Base,
    rng: torch.Generator,
) -> tuple[Int[Tensor, "n"], float]:
    """Labels of all rows drawn at once, new groups among them, given the groups' weights and Gaussians.

    `model` is a draw given `labels`. Its weights get their share of all, the rest is broken into sticks with Gaussians
    from the prior until none is left that a slice could reach. Returns the mean log-likelihood of the model as well.
    """
    n, one = len(x), torch.ones(1, dtype=torch.float64, device=x.device)
    log_rest, log_share = log_betas(base.alpha * one, n * one, rng)
    log_w = model.gate.weights.log() + log_share
    log_u = torch.rand(n, generator=rng, dtype=torch.float64, device=x.device).log() + log_w[labels]
    sticks, lowest = [log_w], float(log_u.min())
    while float(log_rest) > lowest:
        log_v, log_left = log_betas(one, base.alpha * one, rng)
        sticks.append(log_rest + log_v)
        log_rest = log_rest + log_left
    every, gaussians = torch.cat(sticks), model.gaussian
    if fresh := len(every) - model.k:
        gaussians = cat([gaussians, base.prior.repeated(fresh).sample(rng, gaussians.origin)])
    size = chunk_rows(gaussians.width, x.element_size(), x.device)
    drawn, total = [], 0.0
    for rows, slices in zip(x.split(size), log_u.split(size), strict=True):
        table = gaussians.table(gaussians.features(rows)).double()
        total += float(model.gate.log_prob(table[:, : model.k]).sum())
        shares = torch.softmax(table.masked_fill(every <= slices[:, None], -torch.inf), dim=1)
        drawn.append(torch.multinomial(shares, 1, generator=rng).squeeze(1))
    return torch.cat(drawn), total / n


def by_halves(
    x: Float[Tensor, "m d"],
    anchors: tuple[int, int],
    side: Int[Tensor, "m"] | None,
    base: Base,
    rng: torch.Generator,
) -> tuple[Int[Tensor, "m"], float]:
    """A split of rows by two halves of them, and its log probability; `side` is a split whose probability is asked."""
    log_r = halves(x, anchors, base, rng)
    side = _sides(log_r[:, 1].exp(), anchors, rng) if side is None else side
    return side, float(log_r.gather(1, side[:, None]).sum())


def by_urn(
    x: Float[Tensor, "m d"],
    anchors: tuple[int, int],
    side: Int[Tensor, "m"] | None,
    base: Base,  # noqa: ARG001 - what all ways of splitting take
    rng: torch.Generator,
) -> tuple[Int[Tensor, "m"], float]:
    """The same without a look at the rows: all fall to the second of two with one probability, which is uniform.

        log q = log Gamma(N_1) + log Gamma(N_2) - log Gamma(N_1 + N_2)

    Such splits are hardly ever accepted. But it is how groups that lie in the same place may have come about, and their
    merge has the ratio p(x_1 u x_2) / (alpha p(x_1) p(x_2)) alone.
    """
    if side is None:
        share = torch.rand((), generator=rng, dtype=torch.float64, device=x.device)
        side = _sides(share.expand(len(x)), anchors, rng)
    second = int(side.sum())
    return side, math.lgamma(second) + math.lgamma(len(x) - second) - math.lgamma(len(x))


@torch.no_grad()
def halves(
    x: Float[Tensor, "m d"],
    anchors: tuple[int, int],
    base: Base,
    rng: torch.Generator,
) -> Float[Tensor, "m j"]:
    """Log probabilities with which rows fall into two halves of them, each around one of two rows (which are certain).

    Rows begin with the anchor that is nearer, as the scatter of all measures it; then Gaussians, shares and rows are
    drawn in turn. Nothing here looks at how the rows are parted otherwise.
    """
    first, second = anchors
    origin, side = x.mean(0), _nearer(x, anchors, base.prior)
    for scan in range(SCANS + 1):
        groups = grouped(x, side, 2, origin)
        gaussians = base.prior.posterior(groups).sample(rng, origin).with_form(Whitened())
        table = torch.cat([gaussians.table(gaussians.features(rows)) for rows in chunks(x, gaussians.width)])
        log_r = torch.log_softmax(table.double() + log_dirichlet(groups.w + base.alpha / 2, rng), dim=1)
        log_r[first], log_r[second] = log_r.new_tensor([0, -math.inf]), log_r.new_tensor([-math.inf, 0])
        if scan < SCANS:
            side = _sides(log_r[:, 1].exp(), anchors, rng)
    return log_r


def log_split(groups: Moments, base: Base) -> float:
    """How much more probable two groups are than their union, as logarithm.

    log alpha + log Gamma(N_1) + log p(x_1) + log Gamma(N_2) + log p(x_2) - log Gamma(N_1 + N_2) - log p(x_1 u x_2)
    """
    first, second = (groups.take(torch.tensor([half], device=groups.w.device)) for half in (0, 1))
    apart, together = (torch.lgamma(each.w) + base.prior.log_marginal(each) for each in (groups, first + second))
    return math.log(base.alpha) + float(apart.sum() - together)


def _moved(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    base: Base,
    moves: Moves,
    rng: torch.Generator,
) -> tuple[Int[Tensor, "n"], Moves]:
    """A group split, or two merged, or neither: one proposal and its answer."""
    i, j = _pair(x, base.prior, rng)
    one, other = labels[i], labels[j]
    rows = ((labels == one) | (labels == other)).nonzero().squeeze(1)
    anchors = int((rows < i).sum()), int((rows < j).sum())
    splits = bool(one == other)
    way = (by_halves, by_urn)[int(torch.randint(2, (), generator=rng, device=rng.device))]
    side, log_q = way(x[rows], anchors, None if splits else (labels[rows] == other).long(), base, rng)
    gain = log_split(grouped(x[rows], side, 2, x[rows].mean(0)), base) - log_q
    accepted = math.log(float(torch.rand((), generator=rng, dtype=torch.float64, device=rng.device))) < (
        gain if splits else -gain
    )
    if accepted:
        labels = labels.clone()
        labels[rows] = torch.where(side == 1, labels.max() + 1, one) if splits else one
    if splits:
        return labels, moves._replace(splits=moves.splits + 1, split=moves.split + accepted)
    return labels, moves._replace(merges=moves.merges + 1, merged=moves.merged + accepted)


def _pair(x: Float[Tensor, "n d"], prior: NormalInverseWishart, rng: torch.Generator) -> tuple[int, int]:
    """Two different rows: one and, of 1, 2, 4, ... or 64 others, the next to it. Labels have no say in it."""
    n, here = len(x), rng.device
    crowd = 2 ** int(torch.randint(7, (), generator=rng, device=here))
    i = int(torch.randint(n, (), generator=rng, device=here))
    others = (i + 1 + torch.randint(n - 1, (crowd,), generator=rng, device=here)) % n
    away = (x[others] - x[i]).double()
    distance = torch.linalg.solve_triangular(prior.root[0], away.mT, upper=False).square().sum(0)
    return i, int(others[distance.argmin()])


def _nearer(x: Float[Tensor, "m d"], anchors: tuple[int, int], prior: NormalInverseWishart) -> Int[Tensor, "m"]:
    """Which of two rows is nearer, in the metric of the scatter of all rows and the prior."""
    first, second = anchors
    y = (x - x.mean(0)).double()
    metric = prior.scale[0] + y.mT @ y
    ahead = torch.linalg.solve(metric, y[second] - y[first])
    side = ((y - (y[first] + y[second]) / 2) @ ahead > 0).long()
    side[first], side[second] = 0, 1
    return side


def _sides(second: Float[Tensor, "m"], anchors: tuple[int, int], rng: torch.Generator) -> Int[Tensor, "m"]:
    """A half for each row, the second one with these probabilities."""
    side = (torch.rand(len(second), generator=rng, dtype=torch.float64, device=second.device) < second).long()
    side[anchors[0]], side[anchors[1]] = 0, 1
    return side
