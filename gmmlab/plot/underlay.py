"""Images to draw data over: read from a file or an array, and made small enough to travel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from gmmlab.errors import BadData
from gmmlab.extras import needs
from gmmlab.plot.chart import Range, Underlay

LONGEST = 900  # pixels of a side
DEPTHS = (1, 3, 4)  # grey, colours, colours and how opaque they are


def beneath(given: Any, x: Range, y: Range, *, opacity: float = 0.5) -> Underlay:
    """An image in the middle of a window, as large as it can be there with its own proportions.

    `given` is the path of a file, or an array (h, w) of greys or (h, w, 3 or 4) of colours, from 0 to 1 or in bytes.
    Raises `BadData` for what is no image, `FileNotFoundError` for no file.
    """
    image = _opened(Path(given)) if isinstance(given, str | Path) else _drawn(np.asarray(given))
    image.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    wide, high = x[1] - x[0], y[1] - y[0]
    share = min(wide / image.width, high / image.height) / 2
    middle_x, middle_y = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    half_x, half_y = share * image.width, share * image.height
    return Underlay(
        file.getvalue(), (middle_x - half_x, middle_x + half_x), (middle_y - half_y, middle_y + half_y), opacity
    )


def _opened(path: Path) -> Any:
    image = needs("PIL.Image", "lab")
    try:
        return image.open(path).convert("RGBA")
    except image.UnidentifiedImageError as err:
        raise BadData(f"{path} holds no image that can be read; expected a PNG, a JPEG or the like.") from err


def _drawn(pixels: Any) -> Any:
    depth = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or depth not in DEPTHS or not pixels.size:
        raise BadData(
            f"underlay has the shape {pixels.shape}; expected an image: (height, width), or with 3 or 4 channels."
        )
    if pixels.dtype != np.uint8:
        shares = pixels.astype(float)
        if not np.isfinite(shares).all() or shares.min() < 0 or shares.max() > 1:
            raise BadData(
                f"underlay holds values from {shares.min():.4g} to {shares.max():.4g}; expected 0 to 1, or bytes."
            )
        pixels = np.rint(255 * shares).astype(np.uint8)
    return needs("PIL.Image", "lab").fromarray(np.squeeze(pixels, 2) if pixels.ndim == 3 and depth == 1 else pixels)
