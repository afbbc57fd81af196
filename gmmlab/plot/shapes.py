"""What the covariance families allow, as ellipses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gmmlab.plot.picture import Picture  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.style import Style, colour, css, style

from matplotlib.axes import Axes  # isort: skip
from matplotlib.patches import Ellipse  # isort: skip


def covariance_families(
    models: Sequence[tuple[str, Any, Any]],
    *,
    columns: int = 5,
    theme: str = "light",
    cell: tuple[int, int] = (126, 116),
) -> Picture:
    """A panel for each family: ellipses at one and two standard deviations, all panels on one scale.

    Each entry is a name, means (k, 2) and covariances (k, 2, 2), as arrays or tensors.
    """
    if not models:
        raise ValueError("There are no families to draw; expected at least one.")
    look = style(theme)
    shown = [(name, np.asarray(means, dtype=float), np.asarray(covs, dtype=float)) for name, means, covs in models]
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    size = columns * cell[0] + 8, rows * cell[1] + 8
    names = ", ".join(name for name, _, _ in shown)
    picture = Picture(size=size, paper=look.paper, alt=f"The shapes of the covariance families {names}.")
    width, height = cell[0] - 10, cell[1] - 24
    box = _frame(shown, width / height)
    for i, (name, means, covs) in enumerate(shown):
        row, column = divmod(i, columns)
        axes = picture.panel((column * cell[0] + 9, size[1] - (row + 1) * cell[1], width, height), look)
        axes.set(xlim=box[0], ylim=box[1], xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(True)
        axes.set_title(name, loc="left", color=look.ink, fontsize=8.5, weight="bold", pad=3)
        for k, (mean, cov) in enumerate(zip(means, covs, strict=True)):
            _draw_shape(axes, k, mean, cov, look)
    return picture


def _draw_shape(axes: Axes, k: int, mean: Any, cov: Any, look: Style) -> None:
    length, vectors = np.linalg.eigh(cov)
    turn = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    face = css(colour(k, look.theme))
    for radius, alpha in ((2, 0.16), (1, 0.42)):
        sizes = 2 * radius * np.sqrt(np.maximum(length, 0))
        axes.add_patch(Ellipse(mean, sizes[1], sizes[0], angle=turn, fc=face, alpha=alpha, lw=0))
        axes.add_patch(
            Ellipse(mean, sizes[1], sizes[0], angle=turn, fc="none", ec=face, lw=1.1 if radius == 1 else 0.7)
        )


def _frame(shown: Sequence[tuple[str, Any, Any]], aspect: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits that hold every ellipse of every panel, with a unit of the same length along both axes."""
    reach = [2 * np.sqrt(covs[:, [0, 1], [0, 1]]) for _, _, covs in shown]
    low = np.min([(means - r).min(0) for (_, means, _), r in zip(shown, reach, strict=True)], axis=0)
    high = np.max([(means + r).max(0) for (_, means, _), r in zip(shown, reach, strict=True)], axis=0)
    centre, half = (low + high) / 2, 1.06 * (high - low) / 2
    half = np.maximum(half, [half[1] * aspect, half[0] / aspect])
    return tuple((float(c - h), float(c + h)) for c, h in zip(centre, half, strict=True))  # type: ignore[return-value]
