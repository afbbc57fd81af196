"""Draws of partitions as pictures: how many groups there are, and who goes with whom."""

from __future__ import annotations

from typing import Any

import numpy as np

from gmmlab.plot.picture import Picture, Ticks  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.style import colour, css, style

from matplotlib.axes import Axes  # isort: skip


def co_clustering(sampled: Any, *, theme: str = "light", size: tuple[int, int] = (640, 300)) -> Picture:
    """The probability of each number of groups, beside that of any two rows to be together.

    `sampled` has `posterior_K_`, `psm_` and `labels_`, as `SampledGaussianMixture` does. Rows stand in the order of
    their groups, whose borders are drawn; dark is certain.
    """
    look, p = style(theme), np.asarray(sampled.posterior_K_)
    labels, psm = np.asarray(sampled.labels_), np.asarray(sampled.psm_)
    best = int(p.argmax())
    words = f"{best} groups have the probability {p[best]:.2f}; {len(labels)} rows in {labels.max() + 1} groups."
    picture = Picture(size=size, paper=look.paper, alt=words)
    square = size[1] - 66
    left = picture.panel((46, 40, size[0] - square - 110, square), look)
    shown = np.flatnonzero(p > 0)
    left.bar(shown, p[shown], width=0.7, color=css(colour(0, theme)))
    left.set(xlim=(shown[0] - 0.7, shown[-1] + 0.7))
    left.xaxis.set_major_locator(Ticks(10, whole=True))
    _named(left, "groups", "their probability", look)
    right = picture.panel((size[0] - square - 14, 40, square, square), look)
    order = labels.argsort(kind="stable")
    ramp = "Greys" if theme == "light" else "Greys_r"
    right.imshow(psm[np.ix_(order, order)], cmap=ramp, vmin=0, vmax=1, interpolation="nearest")
    for border in np.cumsum(np.bincount(labels))[:-1]:
        right.axhline(border - 0.5, color=css(colour(1, theme)), lw=0.7)
        right.axvline(border - 0.5, color=css(colour(1, theme)), lw=0.7)
    right.set(xticks=[], yticks=[])
    _named(right, "rows, by group", "together, white 0 and black 1" if theme == "light" else "together", look)
    return picture


def _named(axes: Axes, x: str, title: str, look: Any) -> None:
    axes.set_xlabel(x, color=look.ink, fontsize=8, labelpad=3)
    axes.set_title(title, loc="left", color=look.quiet, fontsize=8, pad=6)
