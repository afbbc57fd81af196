"""Normal distributions and a box: what lies inside of it and what outside, to the last digits on both sides.

In one column, with the density phi and the distribution function Phi of a standard normal Z, and l < u,

    a = P(l < Z < u) = Phi(u) - Phi(l)
    E[1_out Z] = phi(u) - phi(l)        E[1_out Z^2] = 1 - a + u phi(u) - l phi(l)

Nothing here is a difference of numbers near one: tails are taken on their own side, in logarithms. See Johnson, Kotz
and Balakrishnan (1994), section 13.10.1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor

FAR = 38.0  # standard deviations beyond which a double has no normal tail


class Outside(NamedTuple):
    """Of standard normal columns that are independent: P(all inside), 1 - that, and E[1_out z_j], E[1_out z_j^2]."""

    inside: Float[Tensor, "k"]
    w: Float[Tensor, "k"]
    s1: Float[Tensor, "k d"]
    s2: Float[Tensor, "k d"]


def log_mass(low: Float[Tensor, "*b"], high: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log(Phi(high) - Phi(low)), in the tail where both lie; -inf where that is empty."""
    flip = low + high > 0
    left, right = torch.where(flip, -high, low), torch.where(flip, -low, high)
    top, rest = torch.special.log_ndtr(right), torch.special.log_ndtr(left)
    return top + torch.log1p(-(rest - top).exp())


def missed(low: Float[Tensor, "*b"], high: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """1 - (Phi(high) - Phi(low)), as the sum of both tails."""
    return torch.special.log_ndtr(low).exp() + torch.special.log_ndtr(-high).exp()


def outside_box(low: Float[Tensor, "k d"], high: Float[Tensor, "k d"]) -> Outside:
    """Moments outside of a box of independent columns, its ends in standard deviations from the mean."""
    each, out = log_mass(low, high), missed(low, high)
    total = each.sum(1)
    others = _without_each(each)
    w = -torch.expm1(torch.where(out < 0.5, torch.log1p(-out.clamp(max=0.5)), each).sum(1))
    at_low, at_high = _density(low), _density(high)
    s1 = (at_high - at_low) * others
    s2 = w[:, None] + (_times(high, at_high) - _times(low, at_low)) * others
    return Outside(total.exp(), w, s1, s2)


def inside_interval(
    low: Float[Tensor, "*b"], high: Float[Tensor, "*b"]
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """log a, and mean and variance of a standard normal that is known to lie inside; finite in far tails too."""
    log_a = log_mass(low, high)
    first, last = (_log_density(low) - log_a).exp(), (_log_density(high) - log_a).exp()
    mean = first - last
    variance = 1 + _times(low, first) - _times(high, last) - mean.square()
    return log_a, mean, variance.clamp(min=0)


def outside_correlated_box(
    chol: Float[Tensor, "k d d"],
    low: Float[Tensor, "k d"],
    high: Float[Tensor, "k d"],
    nodes: Float[Tensor, "m d"],
) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"], Float[Tensor, "k d"], Float[Tensor, "k d d"]]:
    """P(inside), 1 - that, E[1_out y] and E[1_out y y'] of y = L z, as averages over nodes in the unit cube.

    The box, its ends as deviations from the mean, is an interval of z_1, then one of z_2 given z_1, and so on: each is
    drawn inside of its interval, and the product of their masses is the weight (Genz, 1992). From the moments of the
    same nodes drawn without the box these are taken away, so that a box without ends leaves nothing outside. Smooth in
    the parameters.
    """
    z = chol.new_zeros(len(chol), len(nodes), 0)
    log_w = chol.new_zeros(len(chol), len(nodes))
    for j in range(chol.shape[1]):
        given = torch.einsum("kj,kmj->km", chol[:, j, :j], z)
        first, last = ((end[:, j, None] - given) / chol[:, j, j, None] for end in (low, high))
        log_w = log_w + log_mass(first, last)
        z = torch.cat([z, _placed(first, last, nodes[:, j])[:, :, None]], dim=2)
    w = log_w.exp()
    y, free = (torch.einsum("kde,kme->kmd", chol, part) for part in (z, _normal(nodes).expand_as(z)))
    s1 = (free - w[:, :, None] * y).mean(1)
    s2 = (free.mT @ free - (w[:, :, None] * y).mT @ y) / len(nodes)
    return w.mean(1), (1 - w).mean(1), s1, s2


def normal_nodes(m: int, d: int, seed: int) -> Float[Tensor, "m d"]:
    """m quasi-random points that are spread as d independent standard normals are: a scrambled Sobol sequence."""
    return _normal(torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(m, dtype=torch.float64))


def _normal(points: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
    """Standard normals in the place of uniform numbers."""
    tiny = torch.finfo(points.dtype).eps
    return torch.special.ndtri(points.clamp(tiny, 1 - tiny))


def _placed(low: Float[Tensor, "k m"], high: Float[Tensor, "k m"], u: Float[Tensor, "m"]) -> Float[Tensor, "k m"]:
    """The u-quantile of a standard normal between `low` and `high`, taken in the tail where both lie."""
    flip = low + high > 0
    left, right = torch.where(flip, -high, low), torch.where(flip, -low, high)
    below, above = torch.special.ndtr(left), torch.special.ndtr(right)
    z = torch.special.ndtri(below + u * (above - below))
    z = torch.maximum(torch.minimum(z, right.clamp(max=FAR)), left.clamp(min=-FAR))
    return torch.where(flip, -z, z)


def _without_each(log_mass: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """The product of the masses of all other columns; a mass may be zero."""
    eye = torch.eye(log_mass.shape[1], dtype=torch.bool, device=log_mass.device)
    return log_mass[:, None].expand(-1, len(eye), -1).masked_fill(eye, 0.0).sum(2).exp()


def _log_density(z: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return -0.5 * z.square() - 0.5 * math.log(2 * math.pi)


def _density(z: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return _log_density(z).exp()


def _times(z: Float[Tensor, "*b"], density: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """z times its density, zero at infinity."""
    return torch.where(torch.isinf(z), 0.0, z) * density
