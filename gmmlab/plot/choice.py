"""Pictures of choosing a model: the map of a criterion, the tree of merged components, the landscape of optima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.plot.picture import Picture  # asks for matplotlib, with a sentence, before the next lines need it
from gmmlab.plot.style import Style, blend, colour, css, ink, style
from gmmlab.score import MergeTree

from matplotlib.axes import Axes  # isort: skip
from matplotlib.patches import Rectangle  # isort: skip
from matplotlib.patheffects import withStroke  # isort: skip
from matplotlib.ticker import MaxNLocator  # isort: skip

CELL, TOP, FOOT = (54, 22), 46, 30  # of the map: a cell and the margins, in nominal pixels
LETTER = 6.5  # room for a letter of its names and of its title
FAR = 1000.0  # differences from the best beyond this are equally pale


class Scores(NamedTuple):
    """A criterion over families and numbers of components (f, k); NaN where a model was refused."""

    names: Sequence[str]
    ks: Sequence[int]
    values: NDArray[np.floating]


class Optima(NamedTuple):
    """Distinct optima of many starts, in any order.

    `loglik` is the total log-likelihood (m,), `starts` how many ended there, `distance` how far its clusters are
    from those of the best (0 for the same), `degenerate` whether a component has collapsed.
    """

    loglik: NDArray[np.floating]
    starts: NDArray[np.integer]
    distance: NDArray[np.floating]
    degenerate: NDArray[np.bool_]


def selection_map(
    scores: Any, *, criterion: str = "BIC", lower: bool = True, near: float = 2.0, theme: str = "light"
) -> Picture:
    """Every model of a search by how far its criterion is from the best one's.

    `scores` has `names`, `ks` and `values` as `Scores` does; `lower` says whether lower values are better. The best
    is starred, those within `near` of it are ringed, and refused models (not finite) are hatched.
    """
    look = style(theme)
    values = np.asarray(scores.values, dtype=float) * (1 if lower else -1)
    if not np.isfinite(values).any():
        raise ValueError("All models were refused; expected at least one value that is a number.")
    values[~np.isfinite(values)] = np.nan
    gap = values - np.nanmin(values)
    rows, columns = gap.shape
    at = np.unravel_index(np.nanargmin(gap), gap.shape)
    best = f"{scores.names[at[0]]} with {scores.ks[at[1]]}"
    title = f"{criterion} {'above' if lower else 'below'} that of the best model, {best} components"
    width, height = max(columns * CELL[0], round(LETTER * len(title))), rows * CELL[1]
    left = round(16 + LETTER * max(map(len, scores.names)))
    alt = f"{criterion} of {gap.size} models; the best is {best}, {int(np.isnan(gap).sum())} were refused."
    picture = Picture(size=(left + width + 14, TOP + height + FOOT), paper=look.paper, alt=alt)
    axes = picture.panel((left, FOOT, width, height), look)
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    for i, j in np.ndindex(gap.shape):
        _draw_cell(axes, (i, j), float(gap[i, j]), near, look)
    _draw_best(axes, int(at[0]), int(at[1]), look)
    _name_cells(axes, scores, look)
    axes.set_title(title, loc="left", color=look.ink, fontsize=8, pad=23)
    _draw_key(axes, near if bool(((gap > 0) & (gap <= near)).any()) else None, bool(np.isnan(gap).any()), look)
    return picture


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
    look = style(theme)
    loglik, count, distance, bad = (np.asarray(getattr(optima, name)) for name in Optima._fields)
    if bad.all():
        raise ValueError("All optima are degenerate; expected at least one that is not.")
    gap = loglik - loglik[~bad].max()
    often = int(count[~bad][gap[~bad] == 0].sum())
    alt = f"{len(gap)} optima of {int(count.sum())} starts; {often} starts found the best."
    picture = Picture(size=size, paper=look.paper, alt=alt)
    axes = picture.panel((58, 42, size[0] - 72, size[1] - 78), look)
    low, reach = min(float(gap[~bad].min()), -1.0), max(float(distance.max()), 0.1)
    top = float(np.clip(gap.max(), 0.0, -0.3 * low))  # a collapsed component has any likelihood it likes
    axes.set(xlim=(-0.06 * reach, 1.06 * reach), ylim=(low - 0.14 * (top - low), top + 0.16 * (top - low)))
    axes.axhline(0, color=look.quiet, lw=0.8, ls=(0, (4, 3)), zorder=1)
    axes.grid(axis="y", color=look.grid, lw=0.6)
    axes.set_axisbelow(True)
    for i in np.argsort(-count):
        at = float(distance[i]), min(float(gap[i]), top)
        if bad[i]:
            axes.plot(*at, "x", ms=7, mew=1.8, color=css(colour(1, look.theme)), zorder=4)
        else:
            _draw_optimum(axes, at, int(count[i]), int(count.sum()), look)
    _label(axes, "distance from the best", "log-likelihood, against the best", look)
    note = f"{int(count.sum())} starts, {len(gap)} optima" + (", × degenerate" if bad.any() else "")
    axes.set_title(note, loc="left", color=look.quiet, fontsize=8, pad=8)
    return picture


def _draw_cell(axes: Axes, at: tuple[int, int], gap: float, near: float, look: Style) -> None:
    i, j = at
    if math.isnan(gap):
        box = Rectangle((j + 0.04, i + 0.06), 0.92, 0.88, fc="none", ec=look.quiet, hatch="/////", lw=0, alpha=0.55)
        axes.add_patch(box)
        return
    share = 0.9 * (1 - min(math.log1p(gap) / math.log1p(FAR), 1.0)) + 0.04
    face = blend(look.paper, colour(0, look.theme), share)
    axes.add_patch(Rectangle((j + 0.02, i + 0.03), 0.96, 0.94, fc=css(face), lw=0))
    text = f"{gap:.1f}" if gap < 99.95 else f"{gap:.0f}"
    axes.text(j + 0.5, i + 0.52, text, color=ink(face), fontsize=7, ha="center", va="center")
    if 0 < gap <= near:
        ring = colour(1, look.theme)
        axes.add_patch(Rectangle((j + 0.05, i + 0.1), 0.9, 0.8, fc="none", ec=css(ring), lw=1.6, zorder=4))


def _draw_best(axes: Axes, i: int, j: int, look: Style) -> None:
    face = blend(look.paper, colour(0, look.theme), 0.94)
    axes.add_patch(Rectangle((j + 0.02, i + 0.03), 0.96, 0.94, fc=css(face), lw=0, zorder=4))
    axes.plot(j + 0.5, i + 0.5, "*", ms=11, color=ink(face), mew=0, zorder=5)


def _name_cells(axes: Axes, scores: Any, look: Style) -> None:
    axes.set_yticks([i + 0.5 for i in range(len(scores.names))], list(scores.names), color=look.ink, fontsize=7.5)
    axes.set_xticks([j + 0.5 for j in range(len(scores.ks))], [str(k) for k in scores.ks], color=look.ink, fontsize=7.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=4)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_key(axes: Axes, near: float | None, refused: bool, look: Style) -> None:
    """What the marks mean, below the map: star, and ring and hatch where there are some."""
    below = axes.figure.add_axes((0, 0, 1, 1), facecolor="none", zorder=-1)
    width, height = axes.figure.size  # type: ignore[union-attr]
    below.set(xlim=(0, width), ylim=(0, height))
    below.set_axis_off()
    left, y = axes.get_position().x0 * width, 13

    def mark(x: float, words: str, **box: Any) -> None:
        below.add_patch(Rectangle((left + x, y - 6), 15, 12, fc="none", **box))
        below.text(left + x + 21, y, words, color=look.quiet, fontsize=7, va="center_baseline")

    mark(0, "best", lw=0)
    below.plot(left + 8, y, "*", ms=8, color=css(colour(0, look.theme)), mew=0)
    if near is not None:
        mark(64, f"within {near:g}", ec=css(colour(1, look.theme)), lw=1.4)
    if refused:
        mark(64 if near is None else 150, "refused", ec=look.quiet, hatch="/////", lw=0, alpha=0.55)


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
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
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
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_title("entropy, by number of clusters", loc="left", color=look.quiet, fontsize=8, pad=6)
    _label(axes, "merged rows, cumulative", "entropy (nats)", look)


def _draw_optimum(axes: Axes, at: tuple[float, float], count: int, starts: int, look: Style) -> None:
    """A dot whose area is the share of the starts; with their number, where there is room and it is not one."""
    face, size = colour(0, look.theme), 5 + 17 * math.sqrt(count / starts)
    axes.plot(*at, "o", ms=size, mfc=css(face), mec=look.paper, mew=1.2, zorder=3)
    if count > 1 and size > 5 * (1 + len(str(count))):
        axes.annotate(str(count), at, color=ink(face), fontsize=7, ha="center", va="center_baseline", zorder=5)


def _label(axes: Axes, x: str, y: str, look: Style) -> None:
    axes.set_xlabel(x, color=look.ink, fontsize=8, labelpad=3)
    axes.set_ylabel(y, color=look.ink, fontsize=8, labelpad=3)
