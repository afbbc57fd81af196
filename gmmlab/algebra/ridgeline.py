"""The ridgeline of a Gaussian mixture, on which all its critical points lie, and for two components all of them.

    x(a) = (sum_k a_k S_k)^-1 sum_k a_k S_k mu_k        S_k = Sigma_k^-1,  a in the simplex

A point is critical exactly where a_k are its own responsibilities. With two components the ridgeline is a curve and the
search for modes a search along a line. See Ray and Lindsay (2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.model import Mixture

CELLS = 4000  # of the grid on which turns of the balance are looked for
HALVINGS = 80


class Critical(NamedTuple):
    """All critical points of the density of two components, in the order of their place on the ridgeline."""

    share: Float[Tensor, "c"]  # responsibility of the second component
    points: Float[Tensor, "c d"]
    modes: Bool[Tensor, "c"]  # the others are saddles (antimodes in one dimension)


def ridgeline(mixture: Mixture, shares: Float[Tensor, "a k"]) -> Float[Tensor, "a d"]:
    """Points of the ridgeline, for shares of the components that sum to one."""
    gaussian = mixture.gaussian
    precision = torch.cholesky_inverse(_dense(gaussian.chol))
    origin = gaussian.mean.mean(0)
    linear = torch.einsum("kde,ke->kd", precision, gaussian.mean - origin)
    a = shares.to(precision)
    total = torch.einsum("ak,kde->ade", a, precision)
    return origin + torch.linalg.solve(total, a @ linear)


def critical_points(mixture: Mixture) -> Critical:
    """All critical points of two Gaussians: one mode, or two and the saddle between, or more in several dimensions.

    In coordinates in which Sigma_1 is the identity and Sigma_2^-1 diagonal, l_j, with delta = mu_2 - mu_1, the balance

        q(s) = log pi_2 N_2(x(a)) / (pi_1 N_1(x(a))) - s,    s = log a / (1 - a)

    is zero at critical points, which are modes where it falls. It turns where a (1 - a) p(a) = 1,

        p(a) = sum_j l_j^2 delta_j^2 / (1 - a + a l_j)^3,

    and between turns it has at most one zero, which bisection finds. Turns are looked for in 4,000 cells; two in one
    cell, at most a hair apart, would be missed. Equal covariances have two turns if |delta| > 2, otherwise none.

    Raises `ValueError` unless there are two components of positive weight, with means or covariances that differ.
    """
    if mixture.k != 2 or not bool((mixture.weights > 0).all()):
        raise ValueError(
            f"The mixture has weights {[round(w, 4) for w in mixture.weights.tolist()]}; expected two components of "
            "positive weight. Take find_modes for others."
        )
    line = _Line.of(mixture)
    if bool(line.most() == 0):  # one centre: the ridgeline is a point
        share = torch.sigmoid(line.balance(line.delta.new_zeros(1)))
        return Critical(share, mixture.gaussian.mean[:1], torch.ones_like(share, dtype=torch.bool))
    reach = math.log(max(float(line.most()), 1.0)) + 1  # no turn is farther out
    grid = torch.linspace(-reach, reach, CELLS + 1, dtype=torch.float64, device=line.delta.device)
    turns = _zeros(line.turn, grid)
    low, high = line.ends()
    knots = torch.cat([low[None], turns[(turns > low) & (turns < high)], high[None]])
    s = _zeros(line.balance, knots)
    share = torch.sigmoid(s)
    points = ridgeline(mixture, torch.stack([torch.sigmoid(-s), share], dim=1))
    falls = torch.arange(len(s), device=s.device) % 2 == 0  # it begins above zero and ends below
    return Critical(share, points, falls)


class _Line(NamedTuple):
    """Two Gaussians in the coordinates that make both diagonal."""

    delta: Float[Tensor, "d"]
    scale: Float[Tensor, "d"]  # precisions of the second
    log_odds: Float[Tensor, ""]

    @classmethod
    def of(cls, mixture: Mixture) -> _Line:
        gaussian = mixture.gaussian
        first, second = _dense(gaussian.chol)
        relative = torch.linalg.solve_triangular(first, second, upper=False)
        variance, turn = torch.linalg.eigh(relative @ relative.mT)
        offset = (gaussian.mean[1] - gaussian.mean[0])[:, None]
        delta = turn.mT @ torch.linalg.solve_triangular(first, offset, upper=False)
        weights = mixture.weights
        return cls(delta.squeeze(1), 1 / variance, weights[1].log() - weights[0].log())

    def _parts(self, s: Float[Tensor, "g"]) -> tuple[Tensor, Tensor, Tensor]:
        a, b = torch.sigmoid(s)[:, None], torch.sigmoid(-s)[:, None]
        return a, b, b + a * self.scale

    def balance(self, s: Float[Tensor, "g"]) -> Float[Tensor, "g"]:
        """q(s)."""
        a, b, total = self._parts(s)
        to_first = (a * self.scale * self.delta / total).square().sum(1)
        to_second = (self.scale * (b * self.delta / total).square()).sum(1)
        return self.log_odds + 0.5 * (to_first - to_second + self.scale.log().sum()) - s

    def turn(self, s: Float[Tensor, "g"]) -> Float[Tensor, "g"]:
        """-q'(s) = 1 - a (1 - a) p(a)."""
        a, b, total = self._parts(s)
        return 1 - (a * b).squeeze(1) * ((self.scale * self.delta).square() / total**3).sum(1)

    def most(self) -> Float[Tensor, ""]:
        """A bound of p: each of its terms is largest at an end."""
        return ((self.scale * self.delta).square() * torch.maximum(torch.ones_like(self.scale), self.scale**-3)).sum()

    def ends(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """An interval of s that holds all zeros: the log odds grow along the line, from x = mu_1 to x = mu_2."""
        middle = self.log_odds + 0.5 * self.scale.log().sum()
        low, high = (self.scale * self.delta.square()).sum() / 2, self.delta.square().sum() / 2
        return middle - low - 1, middle + high + 1


def _zeros(f: Callable[[Tensor], Tensor], knots: Float[Tensor, "g"]) -> Float[Tensor, "z"]:
    """One zero for each interval between knots in which the sign changes, by bisection."""
    positive = f(knots) > 0
    change = (positive[1:] != positive[:-1]).nonzero().squeeze(1)
    low, high, rising = knots[change], knots[change + 1], positive[change + 1]
    for _ in range(HALVINGS if len(change) else 0):
        middle = 0.5 * (low + high)
        above = (f(middle) > 0) == rising
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return 0.5 * (low + high)


def _dense(chol: Tensor) -> Float[Tensor, "k d d"]:
    return torch.diag_embed(chol) if chol.ndim == 2 else chol
