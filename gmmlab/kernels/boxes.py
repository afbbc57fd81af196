"""Correlated normals inside of boxes: probability, mean and covariance, each box with a normal of its own.

A box is an interval of the first column, then one of the second given the first, and so on. With y = L z and u uniform,
z_j is the u_j-quantile of its interval, and the product of the masses of all intervals is the weight (Genz, 1992). All
columns but the last are integrated over points of the unit cube; the last has formulas. The points are always the same,
so that results are smooth in the parameters while the order of the columns stays, and lie dense at the faces of the
cube, where quantiles are steep.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.cholesky import lower_factor
from gmmlab.kernels.truncation import inside_interval, log_mass, taken

TRIES = 64  # points of which a draw is one
SMOOTH = 4  # dimensions, at most, for which points are a lattice


class Rule(NamedTuple):
    """Points of the unit cube and their weights, which sum to one."""

    points: Float[Tensor, "m d"]
    weights: Float[Tensor, "m"]

    def to(self, device: torch.device) -> Rule:
        """The same on a device."""
        return Rule(self.points.to(device), self.weights.to(device))


@cache
def rule(m: int, d: int) -> Rule:
    """m points for a smooth function of d numbers in the unit interval that may be steep at the ends; not random.

    Korobov's lattice goes by the powers of one number, here the one that is best for smooth periodic functions (its P_2
    is least). Sidi's substitution makes functions periodic, and moves points to the ends: by the fourth power of the
    sine, or by the square, whose weights are more even. In many dimensions they would be uneven all the same: there,
    Sobol's points. The mean error of log probabilities of boxes, for correlations of about 0.2, was 3e-9 (31 points,
    one dimension), 1e-8, 1e-5, 4e-4, 9e-4 (127 points, two to five) and 3e-3 (eleven). See Sloan and Joe (1994),
    section 4.4, and Sidi (1993).
    """
    if d > SMOOTH:
        points = torch.quasirandom.SobolEngine(d, scramble=True, seed=0).draw(m, dtype=torch.float64)
        return Rule(points, torch.full((m,), 1 / m, dtype=torch.float64))
    x = ((torch.arange(m)[:, None] * _steps(m, d) % m).double() + 0.5) / m
    turn = 2 * math.pi * x
    if d <= 2:
        u, w = x - (8 * turn.sin() - (2 * turn).sin()) / (12 * math.pi), 1 - (4 * turn.cos() - (2 * turn).cos()) / 3
    else:
        u, w = x - turn.sin() / (2 * math.pi), 1 - turn.cos()
    weights = w.prod(1)
    return Rule(u.clamp(0, 1), weights / weights.sum())


def _steps(m: int, d: int) -> Int[Tensor, "d"]:
    """The steps of Korobov's best lattice of m points."""
    i, best = torch.arange(m), torch.ones(d, dtype=torch.int64)
    least = math.inf
    for number in range(1, m // 2 + 1) if d > 1 else ():
        steps = torch.tensor([pow(number, j, m) for j in range(d)])
        x = (i[:, None] * steps % m).double() / m
        error = float((1 + 2 * math.pi**2 * (x * x - x + 1 / 6)).prod(1).mean())
        if error < least:
            least, best = error, steps
    return best


class Inside(NamedTuple):
    """The log probability of a box, and mean and covariance of what lies inside, as deviations from the mean."""

    log_mass: Float[Tensor, "b"]
    mean: Float[Tensor, "b c"]
    cov: Float[Tensor, "b c c"]


def inside_correlated_box(
    chol: Float[Tensor, "k c c"],
    which: Int[Tensor, "b"],
    low: Float[Tensor, "b c"],
    high: Float[Tensor, "b c"],
    rule: Rule,
) -> Inside:
    """What is inside of b boxes, each of the normal `which`; ends are deviations from its mean, c is at least 2."""
    path = _path(chol, which, low, high, rule.points)
    last, middle, spread = inside_interval(*path.last)
    log_w = rule.weights.log() + path.log_w + last
    share = torch.softmax(log_w, 1)
    z = torch.cat([path.z, middle[:, None]], dim=1)
    mean = z @ share[:, :, None]
    apart = z - mean
    cov = (apart * share[:, None]) @ apart.mT
    cov[:, -1, -1] += (share * spread).sum(1)
    back = path.order.argsort(1)
    at = torch.arange(len(back), device=back.device)[:, None, None]
    cov = (path.root @ cov @ path.root.mT)[at, back[:, :, None], back[:, None, :]]
    return Inside(torch.logsumexp(log_w, 1), (path.root @ mean).squeeze(2).gather(1, back), cov)


def drawn_in_correlated_box(
    chol: Float[Tensor, "k c c"],
    which: Int[Tensor, "b"],
    low: Float[Tensor, "b c"],
    high: Float[Tensor, "b c"],
    rng: torch.Generator,
) -> Float[Tensor, "b c"]:
    """One draw inside of each box: one of TRIES random points, by weight; right up to 1 / TRIES (Rubin, 1988)."""
    u = torch.rand(len(low), TRIES, chol.shape[1], generator=rng, dtype=torch.float64, device=rng.device).to(low)
    path = _path(chol, which, low, high, u)
    each, end = taken(*path.last, u[:, :, -1])
    chance = torch.softmax(path.log_w + each, dim=1).to(rng.device)
    one = torch.multinomial(chance, 1, generator=rng).to(low.device)
    z = torch.cat([path.z, end[:, None]], dim=1).gather(2, one[:, None].expand(-1, chol.shape[1], -1))
    return (path.root @ z).squeeze(2).gather(1, path.order.argsort(1))


class _Path(NamedTuple):
    """All columns but the last at the points, the log weights of these, and the intervals of the last.

    Columns come in an order of their own, in which the normal has the factor `root`.
    """

    order: Int[Tensor, "b c"]
    root: Float[Tensor, "b c c"]
    z: Float[Tensor, "b r m"]
    log_w: Float[Tensor, "b m"]
    last: tuple[Float[Tensor, "b m"], Float[Tensor, "b m"]]


def _path(
    chol: Float[Tensor, "k c c"],
    which: Int[Tensor, "b"],
    low: Float[Tensor, "b c"],
    high: Float[Tensor, "b c"],
    points: Float[Tensor, "*m e"],
) -> _Path:
    order = _least_first((chol @ chol.mT)[which], low, high)
    root = _reordered(chol, which, order)
    low, high = low.gather(1, order), high.gather(1, order)
    c, m = order.shape[1], points.shape[-2]
    z, log_w = low.new_empty(len(low), c - 1, m), low.new_zeros(len(low), m)
    for j in range(c):
        given = (root[:, j, None, :j] @ z[:, :j]).squeeze(1)
        first, last = ((end[:, j, None] - given) / root[:, j, j, None] for end in (low, high))
        if j < c - 1:
            each, z[:, j] = taken(first, last, points[..., j])
            log_w = log_w + each
    return _Path(order, root, z, log_w, (first, last))


def _least_first(
    cov: Float[Tensor, "b c c"], low: Float[Tensor, "b c"], high: Float[Tensor, "b c"]
) -> Int[Tensor, "b c"]:
    """The order in which columns are taken: the one of least mass, then that of least mass given the first, and so on.

    What decides most is then known when the rest is integrated; given is what is expected of the columns before. See
    Gibson, Glasbey and Elston (1994).
    """
    given, rows, order = torch.zeros_like(low), torch.arange(len(low), device=low.device), []
    tiny = torch.finfo(cov.dtype).eps * cov.diagonal(dim1=-2, dim2=-1)
    done = torch.zeros_like(low, dtype=torch.bool)
    for _ in range(low.shape[1]):
        sd = torch.maximum(cov.diagonal(dim1=-2, dim2=-1), tiny).sqrt()
        first, last = (low - given) / sd, (high - given) / sd
        chosen = log_mass(first, last).masked_fill(done, torch.inf).argmin(1)
        middle = inside_interval(first[rows, chosen], last[rows, chosen])[1]
        slope = cov[rows, chosen] / sd[rows, chosen, None]
        given = given + slope * middle[:, None]
        cov = cov - slope[:, :, None] * slope[:, None]
        done = done.index_put((rows, chosen), done.new_ones(()))
        order.append(chosen)
    return torch.stack(order, 1)


def _reordered(
    chol: Float[Tensor, "k c c"], which: Int[Tensor, "b"], order: Int[Tensor, "b c"]
) -> Float[Tensor, "b c c"]:
    """Factors of the normals `which` whose columns are in another order; few orders are there, and many rows."""
    code = which
    for column in order.T:
        code = (code * order.shape[1] + column).unique(return_inverse=True)[1]
    first = code.new_empty(int(code.max()) + 1).scatter_(0, code, torch.arange(len(code), device=code.device))
    return lower_factor(chol[which[first][:, None], order[first]])[code]
