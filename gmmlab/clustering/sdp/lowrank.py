"""The relaxation over thin factors Z_k = u_k u_k' with u_k >= 0: no n x n matrix, n in the thousands.

Burer and Monteiro (2003), with the sign constraint on the factors (Zhuang, Chen, Yang and Zhang, 2024). The constraints
sum_k u_k u_k' r = r and |u_k|^2 = t enter an augmented Lagrangian

    f(u) = -sum_k <A_k u_k, u_k> / s + y' res + beta / 2n |res|^2 + sum_k (t_k tr_k + beta / 2 tr_k^2)

that L-BFGS-B climbs down within u >= 0; a gradient takes O(K n (d + r)). It is not convex: a point is as good as it is,
and certifies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.clustering.sdp.affinities import Affinities
from gmmlab.clustering.sdp.relaxed import Relaxed, Solver
from gmmlab.kernels.threads import one_blas_thread

ROUNDS, INNER = 30, 150  # of the multipliers; steps of L-BFGS-B between two of them
PENALTY, HARDER, ENOUGH = 10.0, 3.0, 0.3  # beta grows by HARDER unless the residual falls by ENOUGH
SPREAD = 0.3  # of the random numbers that are added to a start, in parts of its size


def low_rank(rank: int, tol: float, rng: torch.Generator) -> Solver:
    """Rounds of multipliers until the constraints are met to `tol`; the factors have `rank` columns for each group."""

    def solve(a: Affinities, begin: Float[Tensor, "k n r"]) -> Iterator[Relaxed]:
        u = _widened(begin, rank * a.trace, a.trace, a.unit, rng)
        scale = float(torch.linalg.matrix_norm(a.b, 2).max()) ** 2 / 2
        lagrangian = _Lagrangian(a, a.unit, scale, u.new_zeros(a.n), u.new_zeros(len(u)), PENALTY)
        before = np.inf
        for i in range(1, ROUNDS + 1):
            u = lagrangian.least(u)
            rows, traces = lagrangian.broken(u)
            residual = max(float(rows.square().mean().sqrt()), float(traces.abs().max()))
            yield Relaxed(u, a.value(u), residual, i)
            if residual < tol:
                return
            lagrangian = lagrangian.after(rows, traces, harder=residual > ENOUGH * before)
            before = residual

    return solve


class _Lagrangian(NamedTuple):
    """f(u), with multipliers y and t of the constraints."""

    a: Affinities
    r: Float[Tensor, "n"]  # of mean square one
    scale: float
    y: Float[Tensor, "n"]
    t: Float[Tensor, "k"]
    beta: float

    def least(self, u: Float[Tensor, "k n r"]) -> Float[Tensor, "k n r"]:
        """Down from u, within u >= 0. The rows may be on any device; the steps are taken on the host."""
        from scipy.optimize import Bounds, minimize  # at use: it is not needed to import gmmlab

        def on_host(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.with_gradient(torch.from_numpy(flat).view_as(u).to(u))
            return value, gradient.cpu().numpy().ravel()

        options = {"maxiter": INNER, "maxcor": 10}
        bounds = Bounds(0, np.inf)
        flat = u.cpu().numpy().ravel()
        with one_blas_thread():
            found = minimize(on_host, flat, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return torch.from_numpy(found.x.copy()).view_as(u).to(u)

    def with_gradient(self, u: Float[Tensor, "k n r"]) -> tuple[float, Float[Tensor, "k n r"]]:
        """The value and the gradient -2 A_k u_k / s + v (r' u_k) + r (v' u_k) + 2 (t_k + beta tr_k) u_k."""
        times, (rows, traces) = self.a.times(u), self.broken(u)
        value = (times * u).sum() / -self.scale + self.y @ rows + self.beta / (2 * self.a.n) * rows.square().sum()
        value = value + self.t @ traces + self.beta / 2 * traces.square().sum()
        v = self.y + self.beta * rows / self.a.n
        gradient = times.mul_(-2 / self.scale).add_(v[:, None] * (self.r @ u)[:, None])
        gradient.add_(self.r[:, None] * (v @ u)[:, None])
        return float(value), gradient.add_((2 * (self.t + self.beta * traces))[:, None, None] * u)

    def broken(self, u: Float[Tensor, "k n r"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "k"]]:
        """By how much the rows take r to more than r, and squares sum to more than the trace."""
        return (u @ (self.r @ u)[:, :, None]).sum(0).squeeze(-1) - self.r, u.square().sum((1, 2)) - self.a.trace

    def after(self, rows: Float[Tensor, "n"], traces: Float[Tensor, "k"], *, harder: bool) -> _Lagrangian:
        """The next round's, with moved multipliers."""
        y, t = self.y + self.beta * rows / self.a.n, self.t + self.beta * traces
        return self._replace(y=y, t=t, beta=self.beta * HARDER if harder else self.beta)


def _widened(
    u: Float[Tensor, "k n r"], rank: int, trace: int, unit: Float[Tensor, "n"], rng: torch.Generator
) -> Float[Tensor, "k n q"]:
    """A factor with `rank` columns, all of them somewhat positive: a column of zeros would stay one."""
    wide = u.new_zeros(*u.shape[:2], rank)
    kept = min(rank, u.shape[2])
    wide[:, :, :kept] = u[:, :, :kept].clamp(min=0)
    noise = torch.rand(wide.shape, generator=rng, dtype=wide.dtype, device=rng.device).to(wide)
    wide += SPREAD / u.shape[1] ** 0.5 * unit[:, None] * noise
    return wide * (trace / wide.square().sum((1, 2), keepdim=True)).sqrt()
