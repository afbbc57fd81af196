"""A matplotlib figure that shows itself in a notebook: no pyplot, no backend, no global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmmlab.extras import needs
from gmmlab.plot.style import Style

needs("matplotlib")

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.image import AxesImage  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402
from PIL import Image  # noqa: E402

CARE = 1.06  # a PNG that is too large by less than this is saved with care, which takes five times as long
CORNER = 8  # radius of the corners, in nominal pixels
LEVELS = 8  # of opacity along them; each takes one of the 256 colours of a PNG


class Ticks(MaxNLocator):
    """Ticks at multiples of 1, 2 or 5 times a power of ten, as in the browser; `whole` for what is counted."""

    def __init__(self, most: int, *, whole: bool = False) -> None:
        super().__init__(nbins=most, steps=[1, 2, 5, 10], integer=whole)


class Pixels(AxesImage):
    """RGBA pixels (h, w, 4), top row first, over all of their axes.

    A pixel of the picture is a copy of the one at its place; matplotlib would make floats of all of them first.
    """

    def __init__(self, axes: Axes, image: NDArray[np.uint8], *, zorder: float) -> None:
        super().__init__(axes, extent=(*axes.get_xlim(), *axes.get_ylim()), interpolation="none", zorder=zorder)
        self.image = image
        self.set_data(image)
        axes.add_image(self)

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        if unsampled:  # formats of lines, PDF say, hold the pixels themselves
            return super().make_image(renderer, magnification, unsampled)
        left, bottom, right, top = (round(edge * magnification) for edge in self.axes.bbox.extents)
        rows, columns = _nearest(self.image.shape[0], top - bottom), _nearest(self.image.shape[1], right - left)
        return self.image.take(rows[::-1], 0).take(columns, 1), left / magnification, bottom / magnification, None


def _nearest(held: int, drawn: int) -> NDArray[np.int64]:
    """Which of so many pixels lies at the middle of each that is drawn."""
    return (2 * np.arange(drawn) + 1) * held // (2 * drawn)


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

    def __repr__(self) -> str:
        return f"<Sheet size {self.size[0]}x{self.size[1]} with {sum(map(len, self.rows))} pictures>"

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


def _chosen(image: Image.Image, colours: int) -> Image.Image:
    """An image of few colours: that of its corner, which is paper, and those that suit all that is not paper.

    Most of a picture is paper. To leave it out takes a third of the time, and the colours are the same.
    """
    packed = np.asarray(image.convert("RGBX")).view(np.uint32)[..., 0]
    inked = packed != packed[0, 0]
    index, palette = np.zeros(inked.shape, np.uint8), np.asarray(image)[0, 0].tolist()
    if inked.any():
        rgb = np.ascontiguousarray(packed[inked].view(np.uint8).reshape(1, -1, 4)[..., :3])
        row = Image.fromarray(rgb).quantize(colours - 1, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        index[inked] = np.asarray(row)[0] + 1
        palette += row.getpalette() or []
    few = Image.fromarray(index)
    few.putpalette(palette[: 3 * colours])
    return few


def _shared_out(image: Image.Image, colours: int) -> Image.Image:
    """An image of few colours that are spread evenly, by which it becomes smaller."""
    return image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


#: Ways to make a PNG smaller until it fits: scale of the picture, number of colours and how they are chosen.
LADDER = (
    (2.0, 256, _chosen),
    (2.0, 256, _shared_out),
    (2.0, 128, _shared_out),
    (2.0, 64, _shared_out),
    (2.0, 32, _shared_out),
    (1.5, 128, _shared_out),
    (1.5, 32, _shared_out),
    (1.0, 256, _shared_out),
    (1.0, 64, _shared_out),
)


def fitted(sharp: Image.Image, nominal: tuple[int, int], limit: int) -> bytes:
    """An image of twice its nominal size as PNG, at the first scale and colours that fit into `limit` bytes."""
    for scale, colours, chosen in LADDER:
        size = round(nominal[0] * scale), round(nominal[1] * scale)
        image = sharp if sharp.size == size else sharp.resize(size, Image.Resampling.LANCZOS)
        few = chosen(image, min(colours, 256 - LEVELS))  # those of the corners are not counted
        card = _card(few, paper=image.getpixel((0, 0)), radius=round(CORNER * scale))
        data = _encoded(card)
        if limit < len(data) < CARE * limit:
            data = _encoded(card, optimize=True)
        if len(data) <= limit:
            break
    return data


def _card(image: Image.Image, *, paper: Any, radius: int) -> Image.Image:
    """An image of few colours with round corners.

    A page of the same colour shows nothing of them. On any other page, a dark one say, the picture is a card that lies
    there on purpose, as the live widgets are, and not a hole in it.
    """
    index, cover = np.array(image), _cover(radius)
    first = int(index.max()) + 1
    for corner in (index, index[::-1], index[:, ::-1], index[::-1, ::-1]):
        part = corner[:radius, :radius]
        part[cover < LEVELS] = first + cover[cover < LEVELS]
    card = Image.fromarray(index)
    card.putpalette([*(image.getpalette() or [])[: 3 * first], *LEVELS * paper])
    card.info["transparency"] = bytes([*[255] * first, *(255 * level // LEVELS for level in range(LEVELS))])
    return card


def _encoded(image: Image.Image, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **how)
    return out.getvalue()


def _cover(radius: int) -> NDArray[np.uint8]:
    """How much of each pixel of an upper left corner lies within its circle, 0 to LEVELS."""
    far = radius - (np.arange(4 * radius) + 0.5) / 4
    inside = far[:, None] ** 2 + far**2 <= radius**2
    return np.rint(LEVELS * inside.reshape(radius, 4, radius, 4).mean((1, 3))).astype(np.uint8)
