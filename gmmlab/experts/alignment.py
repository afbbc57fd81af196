"""Two courses that say the same at different speeds, frame beside frame: dynamic time warping.

Over all paths of pairs (i, j) from the first frames to the last, which go on by one frame in either course or in both,

    min sum |x_i - y_j|        D_ij = min(D_i,j-1 + d_ij, D_i-1,j + d_ij, D_i-1,j-1 + 2 d_ij)

a step in both courses counting twice, so that all paths from (0, 0) to (t - 1, u - 1) have the weight t + u. That is
the symmetric form of Sakoe and Chiba (1978), equations 18 to 20 with P = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData


class Alignment(NamedTuple):
    """A path of pairs of frames, and the mean distance along it."""

    pairs: Int[Tensor, "m 2"]
    distance: float


def align(x: Float[Tensor, "t q"], y: Float[Tensor, "u q"], band: int | None = None) -> Alignment:
    """The cheapest path through both courses; `x[pairs[:, 0]]` stands beside `y[pairs[:, 1]]`.

    Distances are Euclidean: columns of different scales are to be standardised. With a `band` no frame stands beside
    one that is further away in number. Of paths that cost the same, the one with more steps in both courses is taken,
    seen from the end. Takes O(t u) time and memory, an anti-diagonal at a time, as no entry of one needs another.
    """
    t, u = len(x), len(y)
    if not (t and u):
        raise BadData(f"There are courses of {t} and {u} frames; expected one frame or more.")
    if band is not None and band < abs(t - u):
        raise BadData(f"The band is {band}, and courses have {t} and {u} frames; expected at least {abs(t - u)}.")
    exact = "donot_use_mm_for_euclid_dist"  # out of products, equal frames would be 1e-8 apart
    distance = torch.cdist(x.double(), y.double(), compute_mode=exact).cpu().numpy()
    if not np.isfinite(distance).all():
        raise BadData("Distances of frames are not finite; expected courses without NaN, on the scale of data.")
    steps, cost = _steps(_tilted(distance, t + u if band is None else band))
    pairs = torch.from_numpy(_path(steps, t, u)).to(x.device)
    return Alignment(pairs, cost / (t + u))


def _tilted(distance: np.ndarray, band: int) -> np.ndarray:
    """The table with anti-diagonal s = i + j as row s, entry i in column i + 1; infinite where there is none."""
    t, u = distance.shape
    i, j = np.indices((t, u))
    table = np.full((t + u - 1, t + 1), np.inf)
    table[i + j, i + 1] = np.where(abs(i - j) <= band, distance, np.inf)
    return table


def _steps(table: np.ndarray) -> tuple[np.ndarray, float]:
    """How the cheapest path comes to each entry (by both courses 0, by x alone 1, by y alone 2), and what it costs.

    The first pair has a weight of two, as if the path had come by a step in both.
    """
    steps = np.zeros(table.shape, dtype=np.int8)
    older, old = np.full_like(table[0], np.inf), 2 * table[0]
    for s, d in enumerate(table[1:], 1):
        found = np.full((3, len(d)), np.inf)
        found[:, 1:] = older[:-1] + 2 * d[1:], old[:-1] + d[1:], old[1:] + d[1:]
        steps[s] = found.argmin(0)
        older, old = old, found.min(0)
    return steps, float(old[-1])


def _path(steps: np.ndarray, t: int, u: int) -> np.ndarray:
    """The pairs of the cheapest path, from the first to the last."""
    pairs = [(t - 1, u - 1)]
    while pairs[-1] != (0, 0):
        i, j = pairs[-1]
        step = steps[i + j, i + 1]
        pairs.append((i - (step != 2), j - (step != 1)))
    return np.array(pairs[::-1])
