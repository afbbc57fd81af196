"""Pictures of choosing a model: the map of a criterion, the tree of merged components, the landscape of optima."""

from __future__ import annotations

from typing import Any

import numpy as np

from gmmlab.plot.heat import AROUND, heat
from gmmlab.plot.optima import peaks
from gmmlab.plot.painter import paint
from gmmlab.plot.picture import Picture, Ticks  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.style import Style, colour, css, ink, style
from gmmlab.score import MergeTree

from matplotlib.axes import Axes  # isort: skip
from matplotlib.patheffects import withStroke  # isort: skip

CELL = (54, 22)  # of the map, in nominal pixels
LETTER = 5.6  # room for a letter of its names and of its title


def selection_map(
    scores: Any, *, criterion: str = "BIC", lower: bool = True, near: float = 2.0, theme: str = "light"
) -> Picture:
    """Every model of a search by how far its criterion is from the best one's.

    `scores` has `names`, `ks` and `values` as `Scores` does; `lower` says whether lower values are better. The best
    is starred, those within `near` of it are ringed, and refused models (not finite) are hatched.
    """
    if not np.isfinite(np.asarray(scores.values, dtype=float)).any():
        raise ValueError("All models were refused; expected at least one value that is a number.")
    chart = heat(scores, criterion=criterion, lower=lower, near=near, height=CELL[1] * len(scores.names) + AROUND)
    (frame,) = chart.frames()
    across = max(CELL[0] * len(scores.ks), LETTER * len(frame.title))
    needed = max(LETTER * max(map(len, scores.names)) + across, LETTER * len(chart.note))
    return paint(chart, theme=theme, width=round(needed) + 50)


def merge_tree(tree: MergeTree, *, theme: str = "light", size: tuple[int, int] = (640, 300)) -> Picture:
    """Which components were merged in which order, beside the entropy of the clusters, its bend marked."""
    look, elbow = style(theme), tree.elbow()
    bend = f"; the entropy bends at {elbow} clusters" if elbow else ""
    picture = Picture(size=size, paper=look.paper, alt=f"{tree.k} components merged one pair at a time{bend}.")
    half, height = (size[0] - 130) // 2, size[1] - 70
    left = picture.panel((46, 42, half, height), look)
    _draw_tree(left, tree, elbow, look)
    right = picture.panel((116 + half, 42, half, height), look)
    _draw_entropy(right, tree, elbow, look)
    return picture


def landscape(optima: Any, *, theme: str = "light", size: tuple[int, int] = (640, 300)) -> Picture:
    """The optima that many starts ended in: how good, how far from the best, and (as area and number) how often.

    `optima` has the fields of `Optima`. Degenerate optima are crosses: their likelihood means nothing.
    """
    return paint(peaks(optima, height=size[1]), theme=theme, width=size[0])


def _draw_tree(axes: Axes, tree: MergeTree, elbow: int | None, look: Style) -> None:
    """Leaves are components; a bar at height s joins two clusters when s are left."""
    place = {component: float(x) for x, component in enumerate(_leaf_order(tree))}
    height = dict.fromkeys(place, float(tree.k))
    for component, x in place.items():
        face = colour(component, look.theme)
        axes.plot(x, tree.k, "o", ms=12, mfc=css(face), mec=look.paper, mew=1.0, zorder=4, clip_on=False)
        axes.text(
            x, tree.k, str(component + 1), color=ink(face), fontsize=7, weight="bold",
            ha="center", va="center_baseline", zorder=5,
        )  # fmt: skip
    for s, (a, b) in enumerate(tree.merges.tolist()):
        left, right, level = place[a], place[b], float(tree.k - 1 - s)
        stroke = css(colour(a, look.theme))
        axes.plot([left, left, right], [height[a], level, level], color=stroke, lw=1.8, solid_capstyle="round")
        axes.plot([right, right], [height[b], level], color=css(colour(b, look.theme)), lw=1.8)
        place[a], height[a] = (left + right) / 2, level
    axes.plot([place[0]] * 2, [height[0], height[0] - 0.4], color=css(colour(0, look.theme)), lw=1.8)
    if elbow:
        axes.axhline(elbow - 0.5, color=look.quiet, lw=0.9, ls=(0, (4, 3)), zorder=0)
    axes.set(xlim=(-0.6, tree.k - 0.4), ylim=(0.4, tree.k + 0.5), xticks=[])
    axes.spines["bottom"].set_visible(False)
    axes.yaxis.set_major_locator(Ticks(9, whole=True))
    title = f"merges; cut at the bend, {elbow} clusters" if elbow else "merges"
    axes.set_title(title, loc="left", color=look.quiet, fontsize=8, pad=6)
    _label(axes, "components", "clusters left", look)


def _leaf_order(tree: MergeTree) -> list[int]:
    """Components side by side in the order of their merges, so that no two branches cross."""
    leaves = {component: [component] for component in range(tree.k)}
    for a, b in tree.merges.tolist():
        leaves[a] += leaves.pop(b)
    return leaves[0]


def _draw_entropy(axes: Axes, tree: MergeTree, elbow: int | None, look: Style) -> None:
    along = np.concatenate([[0.0], tree.counts.cpu().numpy().cumsum()])
    value = tree.entropies.cpu().numpy()
    stroke, bend = css(colour(0, look.theme)), css(colour(1, look.theme))
    margin = 0.14 * (value.max() - value.min()) or 0.5
    room = 0.06 * along[-1] or 0.5
    axes.set(xlim=(-room, along[-1] + room), ylim=(value.min() - margin, value.max() + margin))
    axes.grid(axis="y", color=look.grid, lw=0.6)
    axes.set_axisbelow(True)
    if elbow:
        at = tree.k - elbow
        for part in (slice(0, at + 1), slice(at, None)):
            if np.ptp(along[part]) > 0:
                axes.plot(along[part], np.polyval(np.polyfit(along[part], value[part], 1), along[part]),
                          color=bend, lw=1.2, ls=(0, (5, 3)), zorder=2)  # fmt: skip
    axes.plot(along, value, "o", ms=5, color=stroke, mec=look.paper, mew=0.8, zorder=3)
    text: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 7, "zorder": 5}
    text["path_effects"] = [withStroke(linewidth=2.5, foreground=look.paper)]
    for k, point in zip(range(tree.k, 0, -1), zip(along, value, strict=True), strict=True):
        axes.annotate(str(k), point, (0, 8), color=look.ink if k == elbow else look.quiet, **text)
        if k == elbow:
            axes.plot(*point, "o", ms=9.5, mfc="none", mec=bend, mew=1.6, zorder=4)
    axes.xaxis.set_major_locator(Ticks(5, whole=True))
    axes.yaxis.set_major_locator(Ticks(4))
    axes.set_title("entropy, by number of clusters", loc="left", color=look.quiet, fontsize=8, pad=6)
    _label(axes, "merged rows, cumulative", "entropy (nats)", look)


def _label(axes: Axes, x: str, y: str, look: Style) -> None:
    axes.set_xlabel(x, color=look.ink, fontsize=8, labelpad=3)
    axes.set_ylabel(y, color=look.ink, fontsize=8, labelpad=3)
