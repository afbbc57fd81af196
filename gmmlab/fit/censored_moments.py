"""Means of a censored mixture by the method of moments: unit variances, one column, rows seen in an interval S alone.

With phi the standard normal density and He_j Hermite polynomials, phi(x - mu) = phi(x) sum_j He_j(x) mu^j / j!, so that
for any function g on S, with the moments m_j = sum_i w_i mu_i^j of the mixing distribution,

    E[g(x) 1_S] = sum_j m_j J_j(g),    J_j(g) = (1 / j!) int_S g He_j phi

As many functions as terms make a linear system for the moments; k atoms follow from 2 k - 1 of them (Prony). This is
how Tai and Aragam (2023) prove that the means can be learnt. Their functions are not known to us: here they are
polynomials, orthonormal on S, and the series is cut at L terms. The system is badly conditioned, and the worse the more
terms it has, so that this is a curiosity beside EM.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData

NODES = 200  # of Gauss and Legendre on S


class MomentFit(NamedTuple):
    """Atoms in ascending order, the moments they were made of, and how badly these are determined."""

    weights: Float[Tensor, "k"]
    means: Float[Tensor, "k"]
    moments: Float[Tensor, "l"]  # m_0 = 1, m_1, ...
    condition: float  # of the system for the moments


def moment_censored_gmm(
    x: Float[Tensor, "n"], total: float, lower: float, upper: float, *, k: int, terms: int | None = None
) -> MomentFit:
    """Means and weights of k unit-variance components, from the rows x in [lower, upper] of `total` rows.

    `terms` (L) are 2 k + 2 unless given. Raises `BadData` for rows outside, an interval that is none, or too few rows
    in all.
    """
    terms = 2 * k + 2 if terms is None else terms
    if not -math.inf < lower < upper < math.inf:
        raise BadData(f"The interval goes from {lower:g} to {upper:g}; expected two finite numbers, the first below.")
    if len(x) == 0 or bool((x < lower).any()) or bool((x > upper).any()):
        raise BadData(f"Rows were expected in [{lower:g}, {upper:g}] alone, and at least one. Leave the others out.")
    if total < len(x):
        raise BadData(f"total={total:g} is less than the {len(x)} rows that were seen; expected all rows.")
    if terms < 2 * k:
        raise ValueError(f"terms={terms}; expected at least {2 * k}, as {k} atoms take {2 * k - 1} moments.")
    grid, weight = _nodes(lower, upper, x)
    table = _chebyshev(_scaled(grid, lower, upper), terms)
    triangle = torch.linalg.qr(weight.sqrt()[:, None] * table).R  # int_S g_i g_j phi = 1(i = j)
    basis = torch.linalg.solve_triangular(triangle, table, upper=True, left=False)
    rows = _chebyshev(_scaled(x.double(), lower, upper), terms)
    seen = torch.linalg.solve_triangular(triangle, rows, upper=True, left=False)
    system = basis.T @ (weight[:, None] * _hermite(grid, terms))
    rest = seen.sum(0) / total - system[:, 0]  # m_0 = 1 is known
    solved = torch.linalg.lstsq(system[:, 1:], rest[:, None]).solution.squeeze(1)
    moments = torch.cat([solved.new_ones(1), solved])
    means, weights = atoms(moments, k)
    return MomentFit(weights, means, moments, float(torch.linalg.cond(system[:, 1:])))


def atoms(moments: Float[Tensor, "l"], k: int) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
    """k atoms and weights with the moments m_0, ..., m_(2k-1), or the nearest that are moments.

    Hankel matrices of moments are positive semi-definite: negative eigenvalues are cut off first. Atoms are the
    eigenvalues of the matrix by which one shifts the moments (Prony; Golub and Meurant, 2010, chapter 5).
    """
    index = torch.arange(k)
    hankel, shifted = (moments[shift + index[:, None] + index] for shift in (0, 1))
    spectrum, axes = torch.linalg.eigh(hankel)
    floor = 1e-9 * float(spectrum[-1])
    root = axes * spectrum.clamp(min=floor).sqrt()
    inverse = torch.linalg.inv(root)
    jacobi = inverse @ shifted @ inverse.T
    means = torch.linalg.eigvalsh((jacobi + jacobi.T) / 2)
    vander = means[None] ** torch.arange(k)[:, None].to(means)
    weights = torch.linalg.lstsq(vander, moments[:k, None]).solution.squeeze(1).clamp(min=0)
    return means, weights / weights.sum()


def _nodes(lower: float, upper: float, like: Tensor) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
    """Places in the interval, and their weights times the normal density."""
    at, weight = (torch.from_numpy(part).to(like.device) for part in np.polynomial.legendre.leggauss(NODES))
    half = (upper - lower) / 2
    grid = (upper + lower) / 2 + half * at
    return grid, half * weight * (-0.5 * grid.square()).exp() / math.sqrt(2 * math.pi)


def _scaled(x: Tensor, lower: float, upper: float) -> Tensor:
    return (2 * x - lower - upper) / (upper - lower)


def _chebyshev(x: Float[Tensor, "m"], terms: int) -> Float[Tensor, "m l"]:
    """Chebyshev polynomials: as good a beginning as powers, and better conditioned."""
    table = [torch.ones_like(x), x]
    for _ in range(terms - 2):
        table.append(2 * x * table[-1] - table[-2])
    return torch.stack(table[:terms], dim=1)


def _hermite(x: Float[Tensor, "m"], terms: int) -> Float[Tensor, "m l"]:
    """He_j(x) / j!."""
    table = [torch.ones_like(x), x]
    for j in range(1, terms - 1):
        table.append((x * table[j] - table[j - 1]) / (j + 1))
    return torch.stack(table[:terms], dim=1)
