"""Points as a density: counted per pixel, never painted over each other.

The same rules as in the widgets (widgets/shared/raster.js): few points are discs, many are single pixels; colour is
the mean of what lies on a pixel, opacity grows with the logarithm of how much.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]

CHUNK = 500_000  # points that are counted at a time: of ten million, a gigabyte is not needed at once


def raster(
    xy: NDArray[np.floating],
    colours: NDArray[np.floating],
    ranges: tuple[Range, Range],
    size: tuple[int, int],
    *,
    scale: float = 2.0,
) -> NDArray[np.uint8]:
    """RGBA image (h, w, 4), top row first, of points with one colour (0 to 255) each.

    `scale` pixels of the image are one CSS pixel.
    """
    w, h = size
    (left, right), (bottom, top) = ranges
    counts = np.zeros((4, w * h))
    for begin in range(0, len(xy), CHUNK):
        part, shades = xy[begin : begin + CHUNK], colours[begin : begin + CHUNK]
        i = np.floor((part[:, 0] - left) * (w / (right - left)))
        j = np.floor((top - part[:, 1]) * (h / (top - bottom)))
        inside = (i >= 0) & (i < w) & (j >= 0) & (j < h)
        pixel = (j * w + i)[inside].astype(np.int64)
        for row, plane in enumerate([None, *shades[inside].T]):
            counts[row] += np.bincount(pixel, plane, minlength=w * h)
    shown = int(counts[0].sum())
    sums = _discs(counts.reshape(4, h, w), radius_for(shown) * scale)
    filled = sums[0] > 0
    weight, *rest = sums[:, filled]
    image = np.zeros((h, w, 4), np.uint8)
    alpha = opacity(weight, shown)
    seen = np.stack([*(plane / np.maximum(weight, 1e-9) for plane in rest), 255 * alpha], 1)
    image[filled] = np.round(np.clip(seen, 0, 255))
    return image


def radius_for(n: int) -> float:
    """Radius of a point in CSS pixels; 0 for a single pixel."""
    return 0.0 if n > 2e5 else min(3.0, max(0.95, 2.8 * (max(n, 1) / 200) ** -0.17))


def opacity(weight: NDArray[np.floating], n: int) -> NDArray[np.floating]:
    """Opacity (0 to 1) of pixels that hold so much of `n` points: a lone point is faint when there are many."""
    filled = weight > 0
    mean = float(weight[filled].mean()) if bool(filled.any()) else 1.0
    one = min(0.62, max(0.2, 0.94 - 0.145 * math.log10(max(n, 1))))
    full = max(6.0, 7 * mean)
    above = one + (0.94 - one) * np.log(np.maximum(weight, 1.0)) / math.log(full)
    return np.minimum(0.94, np.where(weight < 1, one * weight, above))


def _discs(sums: NDArray[np.floating], radius: float) -> NDArray[np.floating]:
    """The content of every pixel spread over a disc with a soft edge."""
    if not radius:
        return sums
    reach = math.ceil(radius)
    planes, h, w = sums.shape
    wide = w + 2 * reach
    rows, columns = np.nonzero(sums[0])  # most pixels are empty
    held, at = sums[:, rows, columns].T, (rows + reach) * wide + columns + reach
    total = np.zeros(((h + 2 * reach) * wide, planes))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            cover = min(1.0, max(0.0, radius + 0.5 - math.hypot(dx, dy)))
            if cover:
                total[at - dy * wide - dx] += cover * held
    return total.T.reshape(planes, -1, wide)[:, reach : reach + h, reach : reach + w]
