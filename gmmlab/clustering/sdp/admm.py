"""The relaxation solved by alternating directions on its dual, with a bound that certifies partitions.

    maximise sum_k <A_k, Z_k>     over Z_k >= 0 (entries), Z_k psd, tr Z_k = t, sum_k Z_k r = r
    minimise y'r + t sum_k s_k    over y, s, B_k >= 0 with s_k I + (y r' + r y')/2 - A_k - B_k psd

where r is 1 or, of rows with weights, has their roots (see `affinities`).

The augmented Lagrangian of the dual is minimised over (y, s, B) by a sweep there and back, and then over the psd
slack, which takes the eigenvectors of few eigenvalues; the multiplier of the dual constraint is Z. Such sweeps converge
(Sun, Toh and Yang, 2015) and take a fraction of the rounds that consensus among copies of Z does. As the matrices move
little from round to round, their eigenvectors are followed; every so often they are computed, and only then are points
judged.

For any y and B >= 0, s_k = lambda_max(A_k + B_k - (y r' + r y')/2) is feasible: every round gives an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.clustering.sdp.affinities import Affinities
from gmmlab.clustering.sdp.relaxed import Relaxed, Solver
from gmmlab.kernels.spectral import Lower, lowest

STEP = 1.618  # of the multiplier; below the golden ratio sweeps converge
PENALTY = 0.2  # times |Z| / |A|, of which both are known beforehand
EVERY = 20  # rounds between two looks, at which eigenvectors are exact


def admm(tol: float, max_rounds: int = 5000) -> Solver:
    """Rounds until the constraints of both problems are met to `tol`, relative to the size of their terms.

    They begin well at a partition: from the optimum under somewhat other covariances they were up to twice as many.
    """

    def solve(a: Affinities, begin: Float[Tensor, "k n r"]) -> Iterator[Relaxed]:
        problem = _Problem.of(a)
        z = begin @ begin.mT
        slack = torch.zeros_like(z)
        penalty = PENALTY * (a.trace * len(a.b)) ** 0.5 / float(problem.cost.norm())
        needed = problem.needed / penalty
        over = torch.zeros_like(needed)
        lower, guess = None, None
        for i in count(1):
            look = i % EVERY == 0 or i == max_rounds
            rest = torch.sub(problem.cost, z, alpha=1 / penalty)
            left = rest - slack
            sums = problem.sums(left) + needed
            above = problem.subtract(left, problem.multipliers(sums - over)).clamp_(min=0)
            over = problem.sums(above)
            ys = problem.multipliers(sums - over)
            problem.subtract(rest.sub_(above), ys)
            lower = lower.moved(rest) if lower and not look else Lower.of(rest, guess)
            guess = lower.m
            u = penalty**0.5 * lower.root
            slack = rest.baddbmm_(u, u.mT, alpha=1 / penalty)
            z.baddbmm_(u, u.mT, beta=1 - STEP, alpha=STEP)
            if look:
                gap = float((z - u @ u.mT).norm()) / (STEP - 1)  # from the z before to u u'
                dual = gap / penalty / (1 + float(problem.cost.norm()))
                residual = max(problem.residual(z), dual)
                yield Relaxed(u, a.value(u), residual, i, problem.bound(ys, above))
                if residual < tol or i == max_rounds:
                    return

    return solve


class _Problem(NamedTuple):
    """The relaxation as a minimum, with numbers of about one: the cost is (mean r r' - A) / scale.

    The mean square of r is one. Its multipliers are y and s, one after the other.
    """

    cost: Float[Tensor, "k n n"]
    root: Float[Tensor, "n"]  # r
    mean: float
    scale: float
    trace: int

    @classmethod
    def of(cls, a: Affinities) -> _Problem:
        dense, r = a.dense(), a.unit
        mean = float(dense.mean())  # the same for all blocks: it adds n times itself to every feasible point
        cost = mean * torch.outer(r, r) - dense
        scale = float(cost.abs().max()) or 1.0
        return cls(cost / scale, r, mean, scale, a.trace)

    @property
    def needed(self) -> Float[Tensor, "m"]:
        """The sums of a feasible Z: r, and the traces."""
        return torch.cat([self.root, self.cost.new_full((len(self.cost),), self.trace)])

    def multipliers(self, sums: Float[Tensor, "m"]) -> Float[Tensor, "m"]:
        """y and s of which (y r' + r y')/2 + s_k I has such sums: normal equations that have a closed form."""
        k, n = self.cost.shape[:2]
        rows, traces = sums[:n], sums[n:]
        total = (self.root @ rows - traces.sum()) / (k * (n - 1))  # y'r
        s = (traces - total) / n
        return torch.cat([(rows - (s.sum() + k / 2 * total) * self.root) * 2 / (k * n), s])

    def sums(self, z: Float[Tensor, "k n n"]) -> Float[Tensor, "m"]:
        """What the constraints are about: sum_k Z_k r, and the traces of the blocks."""
        return torch.cat([(z @ self.root).sum(0), z.diagonal(dim1=-2, dim2=-1).sum(-1)])

    def subtract(self, z: Float[Tensor, "k n n"], ys: Float[Tensor, "m"]) -> Float[Tensor, "k n n"]:
        """z_k - (y r' + r y')/2 - s_k I, in place: with the adjoint of the sums."""
        y, s = ys[: z.shape[1]], ys[z.shape[1] :]
        pair = torch.stack([y, self.root])
        z.sub_((pair / 2).T @ pair.flip(0)).diagonal(dim1=-2, dim2=-1).sub_(s[:, None])
        return z

    def residual(self, z: Float[Tensor, "k n n"]) -> float:
        """How far a psd Z is from feasible, relative to its size."""
        wrong = self.sums(z).sub_(self.needed).square().sum() + z.clamp(max=0).square().sum()
        return float(wrong.sqrt() / z.norm())

    def bound(self, ys: Float[Tensor, "m"], above: Float[Tensor, "k n n"]) -> float:
        """An upper bound of the maximum, in its own units: the best s for y and `above`."""
        n = self.cost.shape[1]
        slack = self.subtract(self.cost - above, torch.cat([ys[:n], torch.zeros_like(ys[n:])]))
        least = lowest(slack, 1)[0].sum()
        return -self.scale * float(ys[:n] @ self.root + self.trace * least) + self.mean * n
