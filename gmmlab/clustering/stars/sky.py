"""Places on the sky as places in a plane."""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData

WIDEST = 45.0  # degrees from the middle of a field, beyond which a plane is no picture of it


def middle(ra: Float[Tensor, "n"], dec: Float[Tensor, "n"]) -> Float[Tensor, "2"]:
    """Right ascension and declination, in degrees, of the mean of the unit vectors to these places."""
    a, d = torch.deg2rad(ra.double()), torch.deg2rad(dec.double())
    x, y, z = torch.stack([d.cos() * a.cos(), d.cos() * a.sin(), d.sin()]).mean(1)
    return torch.rad2deg(torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))]))


def tangent_plane(
    ra: Float[Tensor, "n"], dec: Float[Tensor, "n"], touching: Float[Tensor, "2"] | None = None
) -> Float[Tensor, "n 2"]:
    """East and north of the place where a plane touches the sky, in degrees on that plane; their middle unless given.

    With the offset a of the right ascension and the declinations d and d0,

        east = cos d sin a / c        north = (cos d0 sin d - sin d0 cos d cos a) / c
        c = sin d0 sin d + cos d0 cos d cos a

    which has the factor cos d in it, does not tear at right ascension 0 = 360, and holds at the poles. Raises `BadData`
    for a field that reaches further than 45 degrees. Gnomonic projection; Calabretta and Greisen (2002), section 5.1.3.
    """
    at = torch.deg2rad(middle(ra, dec) if touching is None else touching)
    offset, d, d0 = torch.deg2rad(ra.double()) - at[0], torch.deg2rad(dec.double()), at[1]
    c = d0.sin() * d.sin() + d0.cos() * d.cos() * offset.cos()
    if not bool((c > math.cos(math.radians(WIDEST))).all()):
        reach = float(torch.rad2deg(torch.acos(c.min().clamp(-1, 1))))
        raise BadData(
            f"The field reaches {reach:.0f} degrees from its middle; expected at most {WIDEST:.0f}. "
            "Look for clusters in parts of it; or are ra and dec not in degrees?"
        )
    east = d.cos() * offset.sin() / c
    north = (d0.cos() * d.sin() - d0.sin() * d.cos() * offset.cos()) / c
    return torch.rad2deg(torch.stack([east, north], dim=1))
