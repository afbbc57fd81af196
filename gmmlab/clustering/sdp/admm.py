"""The relaxation solved by alternating directions on its dual, with a bound that certifies partitions.

    maximise sum_k <A_k, Z_k>     over Z_k >= 0 (entries), Z_k psd, tr Z_k = t, sum_k Z_k 1 = 1
    minimise y'1 + t sum_k s_k    over y, s, B_k >= 0 with s_k I + (y 1' + 1 y')/2 - A_k - B_k psd

The augmented Lagrangian of the dual is minimised over (y, s, B) by a sweep there and back, and then over the psd
slack, which takes the eigenvectors of few eigenvalues; the multiplier of the dual constraint is Z. Such sweeps converge
(Sun, Toh and Yang, 2015) and take a fraction of the rounds that consensus among copies of Z does.

For any y and B >= 0, s_k = lambda_max(A_k + B_k - (y 1' + 1 y')/2) is feasible: every round gives an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.clustering.sdp.affinities import Affinities
from gmmlab.clustering.sdp.relaxed import Relaxed, Solver
from gmmlab.kernels.spectral import negative_part

STEP = 1.618  # of the multiplier; below the golden ratio sweeps converge
PENALTY = 0.7  # times |Z| / |A|, of which both are known beforehand
EVERY = 20  # rounds between two looks


def admm(tol: float, max_rounds: int = 5000) -> Solver:
    """Rounds until the constraints of both problems are met to `tol`, relative to the size of their terms."""

    def solve(a: Affinities, begin: Float[Tensor, "k n r"]) -> Iterator[Relaxed]:
        problem = _Problem.of(a)
        z = begin @ begin.mT
        slack = above = torch.zeros_like(z)
        penalty = PENALTY * (a.trace * len(a.b)) ** 0.5 / float(problem.cost.norm())
        for i in count(1):
            y, s = problem.multipliers(slack + above, z, penalty)
            above = (problem.cost - problem.spread(y, s) - slack - z / penalty).clamp_(min=0)
            y, s = problem.multipliers(slack + above, z, penalty)
            rest = problem.cost - problem.spread(y, s) - above - z / penalty
            values, vectors = negative_part(rest)
            u = vectors * (-penalty * values).sqrt()[:, None]
            new = u @ u.mT
            slack = rest + new / penalty
            gap = new - z
            z = z + STEP * gap
            if i % EVERY == 0 or i == max_rounds:
                primal = problem.residual(z)
                dual = float(gap.norm()) / penalty / (1 + float(problem.cost.norm()))
                yield Relaxed(u, a.value(u), max(primal, dual), i, problem.bound(y, above))
                if max(primal, dual) < tol or i == max_rounds:
                    return

    return solve


class _Problem(NamedTuple):
    """The relaxation as a minimum, with numbers of about one: the cost is (mean - A) / scale."""

    cost: Float[Tensor, "k n n"]
    mean: float
    scale: float
    trace: int

    @classmethod
    def of(cls, a: Affinities) -> _Problem:
        dense = a.dense()
        mean = float(dense.mean())  # the same for all blocks: it adds n times itself to every feasible point
        scale = float((dense - mean).abs().max()) or 1.0
        return cls((mean - dense) / scale, mean, scale, a.trace)

    def spread(self, y: Float[Tensor, "n"], s: Float[Tensor, "k"]) -> Float[Tensor, "k n n"]:
        """(y 1' + 1 y')/2 + s_k I, the adjoint of the constraints."""
        both = (y[:, None] + y) / 2
        spread = both.repeat(len(s), 1, 1)
        spread.diagonal(dim1=-2, dim2=-1).add_(s[:, None])
        return spread

    def multipliers(
        self, others: Float[Tensor, "k n n"], z: Float[Tensor, "k n n"], penalty: float
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "k"]]:
        """The best y and s beside the other terms: normal equations that have a closed form."""
        rest = self.cost - others - z / penalty
        k, n = rest.shape[:2]
        rows = rest.sum((0, 2)) + 1 / penalty
        traces = rest.diagonal(dim1=-2, dim2=-1).sum(-1) + self.trace / penalty
        total = (rows.sum() - traces.sum()) / (k * (n - 1))  # of y
        s = (traces - total) / n
        return (rows - s.sum() - k / 2 * total) * 2 / (k * n), s

    def residual(self, z: Float[Tensor, "k n n"]) -> float:
        """How far a psd Z is from feasible, relative to its size."""
        rows = z.sum((0, 2)) - 1
        traces = z.diagonal(dim1=-2, dim2=-1).sum(-1) - self.trace
        return float((rows.square().sum() + traces.square().sum() + z.clamp(max=0).square().sum()).sqrt() / z.norm())

    def bound(self, y: Float[Tensor, "n"], above: Float[Tensor, "k n n"]) -> float:
        """An upper bound of the maximum, in its own units."""
        slack = self.cost - self.spread(y, y.new_zeros(len(above))) - above
        least = torch.linalg.eigvalsh(slack)[:, 0].sum()
        return -self.scale * float(y.sum() + self.trace * least) + self.mean * len(y)
