"""Candidate cuts: the ways of parting rows in two among which tangles are looked for."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.clustering.tangles.graph import connectivity, laplacian
from gmmlab.clustering.tangles.search import Cuts
from gmmlab.model import Mixture

VECTORS = 5  # of the Laplacian, that are swept
SUBSET = 30  # rows of which two means are taken
LLOYD = 5  # steps of each two means


def thresholds(values: Float[Tensor, "n v"], count: int) -> Bool[Tensor, "m n"]:
    """The rows above `count` evenly spaced quantiles of each column."""
    at = torch.linspace(0, 1, count + 2, dtype=torch.float64, device=values.device)[1:-1]
    limits = torch.quantile(values.double(), at, dim=0)
    return (values.T[:, None] > limits.T[:, :, None]).flatten(0, 1)


def projections(x: Float[Tensor, "n d"], count: int) -> Bool[Tensor, "m n"]:
    """Thresholds along the columns and the principal axes, `count` for each."""
    y = (x - x.mean(0)).double()
    axes = torch.linalg.svd(y, full_matrices=False).Vh
    return thresholds(torch.cat([y, y @ axes.T], dim=1), count)


def sweeps(w: Float[Tensor, "n n"], count: int) -> Bool[Tensor, "m n"]:
    """Thresholds along the first eigenvectors of the normalised Laplacian, of which the first is Fiedler's."""
    root = w.sum(1).clamp(min=torch.finfo(w.dtype).tiny).rsqrt()
    vectors = torch.linalg.eigh(root[:, None] * laplacian(w) * root).eigenvectors[:, 1 : VECTORS + 1]
    return thresholds(root[:, None] * vectors, count)


def two_means(x: Float[Tensor, "n d"], count: int, rng: torch.Generator) -> Bool[Tensor, "m n"]:
    """All rows parted by the two means of a few of them, drawn `count` times."""
    y = (x - x.mean(0)).double()
    drawn = torch.rand(count, len(x), generator=rng, dtype=torch.float64, device=rng.device).argsort(1)[:, :SUBSET]
    few = y[drawn.to(x.device)]
    centres = few[:, :2]
    for _ in range(LLOYD):
        own = torch.nn.functional.one_hot(torch.cdist(few, centres).argmin(2), 2).to(y)
        sizes = own.sum(1)[:, :, None]
        centres = torch.where(sizes > 0, own.mT @ few / sizes.clamp(min=1), centres)
    near = torch.cdist(y.expand(count, -1, -1), centres)
    return near[:, :, 0] < near[:, :, 1]


def log_odds(model: Mixture, x: Float[Tensor, "n d"], count: int) -> Bool[Tensor, "m n"]:
    """The rows for which one component beats another by more than a number, for every pair and `count` numbers."""
    scores = torch.cat(list(model.tables(x))).double() + model.weights.log()
    one, other = torch.combinations(torch.arange(model.k, device=x.device)).T
    return thresholds(scores[:, one] - scores[:, other], count)


def improved(w: Float[Tensor, "n n"], sides: Bool[Tensor, "m n"], least: int, moves: int) -> Bool[Tensor, "m n"]:
    """Cuts made cheaper by rows that change sides, each time the one that lowers kappa most, for so many moves.

    A row that changes sides changes kappa by what ties it to its own side less what ties it to the other. No side goes
    below `least` rows, as most cuts would end at a single row.
    """
    sign = 2 * sides.to(w) - 1
    pull = sign @ w
    every = torch.arange(len(sides), device=w.device)
    for _ in range(moves):
        sizes = (sign > 0).sum(1)
        own = torch.where(sign > 0, sizes[:, None], (sign.shape[1] - sizes)[:, None])
        change, row = torch.where(own > least, sign * pull, torch.inf).min(1)
        good = change < 0
        if not bool(good.any()):
            break
        cut, row = every[good], row[good]
        sign[cut, row] *= -1
        pull[cut] += 2 * sign[cut, row][:, None] * w[row]
    return sign > 0


def ranked(w: Float[Tensor, "n n"], sides: Iterable[Bool[Tensor, "m n"]], least: int, most: float) -> Cuts:
    """Different cuts by what they cost, up to `most`.

    Those with fewer than `least` rows on a side are left out: they can be oriented in one way only.
    """
    every = torch.cat(list(sides))
    every = (every ^ every[:, :1]).unique(dim=0)  # a cut and its complement are one
    size = every.sum(1)
    every = every[(size >= least) & (every.shape[1] - size >= least)]
    orders = connectivity(w, every)
    orders, index = orders.sort(stable=True)
    return Cuts(every[index], orders).below(most)
