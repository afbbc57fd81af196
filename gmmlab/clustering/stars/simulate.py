"""Fields of stars made up: a cluster in front of and behind the stars of a disc, seen as a survey would see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.errors import BadData
from gmmlab.extras import needs

if TYPE_CHECKING:
    from pandas import DataFrame

Numbers = NDArray[np.float64]

KMS_PER_KPC = 4.74  # km/s of a proper motion of 1 mas/yr at 1 kpc
FAINTEST = 20.0  # magnitude at which the survey ends
SPREAD = 0.5  # km/s, of velocities within a cluster
BRIGHTEST = 3.0  # solar masses of the stars that have not left the main sequence
BATCH = 4  # how many times more field stars are drawn than are wanted, before those too faint are left out


class Stars(NamedTuple):
    """What stars are, before they are seen: places are in degrees east and north of the middle of the field."""

    east: Numbers
    north: Numbers
    pmra: Numbers
    pmdec: Numbers
    distance: Numbers  # kpc
    magnitude: Numbers
    colour: Numbers

    def where(self, kept: NDArray[np.integer]) -> Stars:
        """Some of them."""
        return Stars(*(column[kept] for column in self))


def simulate_field(
    n_cluster: int = 200,
    n_field: int = 3000,
    *,
    distance: float = 1.5,
    core: float = 2.0,
    width: float = 1.0,
    centre: tuple[float, float] = (359.6, 61.2),
    motion: tuple[float, float] = (-3.2, -1.7),
    seed: int = 0,
) -> DataFrame:
    """A field of stars with a cluster in its middle, in the columns of the Gaia archive, and the truth (`member`).

    The cluster is at `distance` kpc: a Plummer sphere of projected half-number radius `core` pc, velocities that differ
    by 0.5 km/s, one proper `motion` (mas/yr) and one curve of colour over magnitude. Field stars fill a square of
    `width` degrees; distances, motions and colours are broad. Errors grow with magnitude as Gaia's do: 0.02 to 0.3 mas
    in parallax, 0.02 to 0.35 mas/yr in motion; one star in twenty has a poor solution (`ruwe` above 1.4) and errors
    three times as large as said. The curves are rough fits by eye, not an isochrone. Raises `BadData` for numbers that
    make no field.
    """
    if n_cluster < 1 or n_field < 1 or min(distance, core, width) <= 0:
        raise BadData(
            f"The field has n_cluster={n_cluster}, n_field={n_field}, distance={distance:g}, core={core:g}, "
            f"width={width:g}; expected counts of at least 1 and lengths above 0."
        )
    rng = np.random.default_rng(seed)
    wide = float(np.rad2deg(core / (1000 * distance)))
    cluster = _cluster(n_cluster, distance, wide, width / 2, motion=motion, rng=rng)
    field = _field(n_field, width, rng)
    stars = Stars(*(np.concatenate(both) for both in zip(cluster, field, strict=True)))
    return _seen(stars, np.arange(len(stars.east)) < n_cluster, centre, rng)


def _cluster(
    n: int, distance: float, core: float, edge: float, *, motion: tuple[float, float], rng: np.random.Generator
) -> Stars:
    """`core` and `edge` in degrees; no star is further out than the edge of the field."""
    share = rng.uniform(0, edge**2 / (core**2 + edge**2), n)
    radius = core * np.sqrt(share / (1 - share))
    angle = rng.uniform(0, 2 * np.pi, n)
    spread = SPREAD / (KMS_PER_KPC * distance)
    pmra, pmdec = (rng.normal(mean, spread, n) for mean in motion)
    far = np.full(n, distance)
    magnitude, colour = _photometry(far, rng, n, scatter=0.03)
    return Stars(radius * np.cos(angle), radius * np.sin(angle), pmra, pmdec, far, magnitude, colour)


def _field(n: int, width: float, rng: np.random.Generator) -> Stars:
    many = BATCH * n
    far = 0.2 + rng.gamma(3.0, 0.9, many)
    east, north = rng.uniform(-width / 2, width / 2, (2, many))
    speed = rng.normal(0, 1, (2, many)) * (25 / (KMS_PER_KPC * far)) ** 0.5  # nearer stars move faster across the sky
    pmra, pmdec = -1.5 + 1.6 * speed[0], -1.0 + 0.5 * speed[0] + 1.1 * speed[1]
    magnitude, colour = _photometry(far, rng, many, scatter=0.25)
    stars = Stars(east, north, pmra, pmdec, far, magnitude, colour)
    return stars.where(np.flatnonzero(magnitude < FAINTEST)[:n])


def _photometry(far: Numbers, rng: np.random.Generator, n: int, scatter: float) -> tuple[Numbers, Numbers]:
    """Apparent magnitudes and colours of main-sequence stars at these distances, dimmed and reddened on the way."""
    low = 0.7**-1.3 - rng.uniform(0, 1, n) * (0.7**-1.3 - BRIGHTEST**-1.3)
    mass = low ** (-1 / 1.3)  # Salpeter's law between 0.7 and 3 solar masses
    absolute = 4.7 - 9.5 * np.log10(mass)
    dimmed = 0.6 * far
    colour = 0.8 + 0.19 * (absolute - 4.7) + 0.012 * (absolute - 4.7) ** 2 + 0.5 * dimmed + rng.normal(0, scatter, n)
    return absolute + 5 * np.log10(100 * far) + dimmed, colour


def _seen(stars: Stars, member: NDArray[np.bool_], centre: tuple[float, float], rng: np.random.Generator) -> DataFrame:
    n = len(member)
    # for fields of a degree this is the tangent plane to a hundredth of the offsets
    dec = centre[1] + stars.north
    ra = (centre[0] + stars.east / np.cos(np.deg2rad(dec))) % 360
    plx_error = np.clip(0.02 * 10 ** (0.26 * (stars.magnitude - 15)), 0.02, 0.3)
    pm_error = np.clip(0.02 * 10 ** (0.27 * (stars.magnitude - 15)), 0.02, 0.35)
    poor = rng.uniform(0, 1, n) < 0.05
    ruwe = np.where(poor, 1.4 + rng.gamma(1.0, 2.0, n), np.clip(rng.normal(1.02, 0.08, n), 0.8, 1.39))
    worse = np.where(poor, 3.0, 1.0)
    return needs("pandas").DataFrame(
        {
            "ra": ra,
            "dec": dec,
            "pmra": stars.pmra + worse * pm_error * rng.normal(0, 1, n),
            "pmdec": stars.pmdec + worse * pm_error * rng.normal(0, 1, n),
            "parallax": 1 / stars.distance + worse * plx_error * rng.normal(0, 1, n),
            "pmra_error": pm_error,
            "pmdec_error": pm_error,
            "parallax_error": plx_error,
            "phot_g_mean_mag": stars.magnitude,
            "bp_rp": stars.colour,
            "ruwe": ruwe,
            "member": member,
        }
    )
