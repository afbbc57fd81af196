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


def box_moments(
    mean: Float[Tensor, "k d"],
    chol: Float[Tensor, "k d d"],
    lower: Float[Tensor, "d"],
    upper: Float[Tensor, "d"],
    nodes: Float[Tensor, "m d"],
) -> tuple[Float[Tensor, "k"], Float[Tensor, "k d"], Float[Tensor, "k d d"]]:
    """P(inside), E[1_in y] and E[1_in y y'] of correlated normals, as averages over nodes in the unit cube.

    With y = mu + L z the box is an interval of z_1, then one of z_2 given z_1, and so on: each is drawn inside of its
    interval, and the product of their masses is the weight. Smooth in the parameters. See Genz (1992).
    """
    z = mean.new_zeros(len(mean), len(nodes), 0)
    log_w = mean.new_zeros(len(mean), len(nodes))
    for j in range(mean.shape[1]):
        centre = mean[:, j, None] + torch.einsum("kj,kmj->km", chol[:, j, :j], z)
        sd = chol[:, j, j, None]
        low, high = (lower[j] - centre) / sd, (upper[j] - centre) / sd
        log_w = log_w + log_mass(low, high)
        z = torch.cat([z, _placed(low, high, nodes[:, j])[:, :, None]], dim=2)
    y = mean[:, None] + torch.einsum("kde,kme->kmd", chol, z)
    w = log_w.exp() / len(nodes)
    return w.sum(1), torch.einsum("km,kmd->kd", w, y), torch.einsum("km,kmd,kme->kde", w, y, y)


def normal_nodes(m: int, d: int, seed: int) -> Float[Tensor, "m d"]:
    """m quasi-random points that are spread as d independent standard normals are: a scrambled Sobol sequence."""
    points = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(m, dtype=torch.float64)
    tiny = torch.finfo(torch.float64).eps
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
