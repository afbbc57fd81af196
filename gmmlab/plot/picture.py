"""A matplotlib figure that shows itself in a notebook: no pyplot, no backend, no global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from gmmlab.extras import needs
from gmmlab.plot.style import Style

needs("matplotlib")

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from PIL import Image  # noqa: E402

MEDIAN, OCTREE = Image.Quantize.MEDIANCUT, Image.Quantize.FASTOCTREE
#: Ways to make a PNG smaller until it fits: scale of the picture, number of colours and how they are chosen.
LADDER = (
    (2.0, 256, MEDIAN),
    (2.0, 256, OCTREE),
    (2.0, 128, OCTREE),
    (2.0, 64, OCTREE),
    (2.0, 32, OCTREE),
    (1.5, 128, OCTREE),
    (1.5, 32, OCTREE),
    (1.0, 256, OCTREE),
    (1.0, 64, OCTREE),
)


class Picture(Figure):
    """A `Figure` of `size` nominal pixels with a PNG representation, and words for those who cannot see it."""

    def __init__(self, *, size: tuple[int, int], paper: str, alt: str = "") -> None:
        super().__init__(figsize=(size[0] / 100, size[1] / 100), dpi=200, facecolor=paper)
        self.size, self.alt = size, alt

    def panel(self, box: tuple[float, float, float, float], look: Style) -> Axes:
        """Axes with a box (left, bottom, width, height) in nominal pixels from the lower left."""
        (width, height), (left, bottom, w, h) = self.size, box
        axes = self.add_axes((left / width, bottom / height, w / width, h / height), facecolor=look.paper)
        axes.tick_params(colors=look.quiet, labelsize=7, length=3, width=0.6, pad=2)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set(color=look.grid, linewidth=0.8)
        return axes

    def png(self, limit: int = 60_000) -> bytes:
        """The picture as PNG, at twice its nominal size if that fits into `limit` bytes; the same bytes every time."""
        return fitted(self._drawn(), self.size, limit)

    def _drawn(self) -> Image.Image:
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        return self.png(), self.words()

    def words(self) -> dict[str, Any]:
        """What a notebook stores beside the picture."""
        return _words(self.size, self.alt)


class Sheet:
    """Pictures in rows, as one."""

    def __init__(self, rows: Sequence[Sequence[Picture]], *, paper: str = "#ffffff") -> None:
        self.rows, self.paper = rows, paper
        self.size = max(sum(p.size[0] for p in row) for row in rows), sum(max(p.size[1] for p in row) for row in rows)
        self.alt = " ".join(picture.alt for row in rows for picture in row)

    def png(self, limit: int = 120_000) -> bytes:
        """The sheet as PNG, at twice its nominal size if that fits into `limit` bytes."""
        sheet = Image.new("RGB", (2 * self.size[0], 2 * self.size[1]), self.paper)
        top = 0
        for row in self.rows:
            left = 0
            for picture in row:
                sheet.paste(picture._drawn(), (left, top))
                left += 2 * picture.size[0]
            top += 2 * max(picture.size[1] for picture in row)
        return fitted(sheet, self.size, limit)

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        return self.png(), self.words()

    def words(self) -> dict[str, Any]:
        """What a notebook stores beside the picture."""
        return _words(self.size, self.alt)


def _words(size: tuple[int, int], alt: str) -> dict[str, Any]:
    return {"width": size[0], "height": size[1], "alt": alt}


def fitted(sharp: Image.Image, nominal: tuple[int, int], limit: int) -> bytes:
    """An image of twice its nominal size as PNG, at the first scale and colours that fit into `limit` bytes."""
    for scale, colours, method in LADDER:
        data = _encode(sharp, (round(nominal[0] * scale), round(nominal[1] * scale)), colours, method)
        if len(data) <= limit:
            break
    return data


def _encode(image: Image.Image, size: tuple[int, int], colours: int, method: Image.Quantize) -> bytes:
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.quantize(colours, method, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
