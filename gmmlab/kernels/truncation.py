"""Normal distributions and a box: what lies inside of it and what outside, to the last digits on both sides.

In one column, with the density phi and the distribution function Phi of a standard normal Z, and l < u,

    a = P(l < Z < u) = Phi(u) - Phi(l)
    E[1_out Z] = phi(u) - phi(l)        E[1_out Z^2] = 1 - a + u phi(u) - l phi(l)

Nothing here is a difference of numbers near one: tails are taken on their own side, and where these formulas lose
digits (far tails, narrow intervals) the interval is integrated. See Johnson, Kotz and Balakrishnan (1994), section
13.10.1.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from gmmlab.axes import Bool, Float, Tensor

FAR = 37.0  # standard deviations beyond which a double has no normal tail to speak of
TAIL = 4.0  # from here on the moments of an interval are integrated, as their formulas are differences
NARROW = 0.3  # so wide, at most, are the other intervals that are integrated
TINY = 1e-4  # so wide, at most, are those whose mass is, where more is not asked for


class Outside(NamedTuple):
    """Of standard normal columns that are independent: P(all inside), 1 - that, and E[1_out z_j], E[1_out z_j^2]."""

    inside: Float[Tensor, "k"]
    w: Float[Tensor, "k"]
    s1: Float[Tensor, "k d"]
    s2: Float[Tensor, "k d"]


def log_mass(low: Float[Tensor, "*b"], high: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log(Phi(high) - Phi(low)), in the tail where both lie; -inf where that is empty."""
    left, right, _ = _flipped(low, high)
    log_a, delicate = (_below(right) - _below(left)).log(), _delicate(left, right)
    if not delicate.any():
        return log_a
    return log_a.masked_scatter(delicate, _integrated(-right[delicate], (right - left)[delicate])[0])


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
    """log a, and mean and variance of a standard normal that is known to lie inside; in far tails too."""
    left, right, flip = _flipped(low, high)
    a = _below(right) - _below(left)
    first, last = _density(left) / a, _density(right) / a
    mean = first - last
    variance = (1 + _times(left, first) - _times(right, last) - mean.square()).clamp(min=0)
    found = a.log(), mean, variance
    if (delicate := _delicate(left, right)).any():
        log_a, middle, spread = _integrated(-right[delicate], (right - left)[delicate])
        parts = zip(found, (log_a, -middle, spread), strict=True)
        found = tuple(plain.masked_scatter(delicate, part) for plain, part in parts)  # type: ignore[assignment]
    return found[0], torch.where(flip, -found[1], found[1]), found[2]


def taken(
    low: Float[Tensor, "*b"], high: Float[Tensor, "*b"], u: Float[Tensor, "..."]
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """log a, and the u-quantile of a standard normal between `low` and `high`, in the tail where both lie."""
    left, right, flip = _flipped(low, high)
    below, width = _below(left), right - left
    a, at = _below(right) - below, torch.where(flip, 1 - u, u)
    log_a, z = a.log(), torch.special.ndtri(below + at * a)
    if (lost := ((right < -FAR) | (width < TINY)) & (left < right)).any():
        log_a = log_a.masked_scatter(lost, _integrated(-right[lost], width[lost])[0])
    if (far := right < -FAR).any():  # an exponential
        rest = (1 - at[far]) * torch.expm1(right[far] * width[far])
        z = z.masked_scatter(far, right[far] - torch.log1p(rest) / right[far])
    z = torch.maximum(torch.minimum(z, right), left)
    return log_a, torch.where(flip, -z, z)


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
        each, next_ = taken(first, last, nodes[:, j])
        log_w, z = log_w + each, torch.cat([z, next_[:, :, None]], dim=2)
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


def _delicate(left: Float[Tensor, "*b"], right: Float[Tensor, "*b"]) -> Bool[Tensor, "*b"]:
    """Where formulas are differences of numbers that are nearly equal."""
    return ((right < -TAIL) | (right - left < NARROW)) & (left < right)


def _below(z: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Phi(z), to the last digits in the lower tail, which torch.special.ndtr takes from one."""
    return torch.erfc(z * -math.sqrt(0.5)) / 2


def _flipped(
    low: Float[Tensor, "*b"], high: Float[Tensor, "*b"]
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"], Bool[Tensor, "*b"]]:
    """An interval, or its mirror image, that has no more than half of its tails on the right; and which of the two."""
    flip = low + high > 0
    return torch.where(flip, -high, low), torch.where(flip, -low, high), flip


def _integrated(
    near: Float[Tensor, "b"], width: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"], Float[Tensor, "b"]]:
    """log a, mean and variance of a standard normal from `near` on, by Gauss and Legendre; for what is smooth there.

    Of a tail that begins at TAIL or beyond, or of an interval that is NARROW. What is less than e^-40 of the first
    density is left out.
    """
    x, w = (part.to(near) for part in _legendre(20))
    reach = torch.minimum(width, 80 / ((near.square() + 80).sqrt() + near))
    t = reach[:, None] * x
    density = w * (-t * (near[:, None] + t / 2)).exp()
    total = density.sum(1)
    share = density / total[:, None]
    mean = (share * t).sum(1)
    return _log_density(near) + (reach * total).log(), near + mean, (share * (t - mean[:, None]).square()).sum(1)


@cache
def _legendre(m: int) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
    """Points and weights of Gauss and Legendre for the unit interval."""
    x, w = np.polynomial.legendre.leggauss(m)
    return torch.tensor((1 + x) / 2), torch.tensor(w / 2)


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
