"""The optima that many starts end in: how good they are, how often they were found, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.axes import Tensor
from gmmlab.model import Mixture
from gmmlab.plot.chart import Chart, Dots, Frame, Line, Mark, Points, Range, Rule, Table, Text
from gmmlab.plot.ellipses import ellipses, outline

LEAST, MOST = 3.5, 15.0  # radius of a dot: for no starts, and for all of them
AROUND = 64  # pixels for the title and what is below


class Optima(NamedTuple):
    """Distinct optima of many starts, in any order.

    `loglik` is the total log-likelihood (m,), `starts` how many ended there, `distance` how far its clusters are
    from those of the best (0 for the same), `degenerate` whether a component has collapsed.
    """

    loglik: NDArray[np.floating]
    starts: NDArray[np.integer]
    distance: NDArray[np.floating]
    degenerate: NDArray[np.bool_]


def peaks(optima: Any, *, opened: int | None = None, words: Sequence[str] = (), height: int = 300) -> Chart:
    """Log-likelihood against distance from the best optimum; areas (and numbers) are how many starts ended there.

    `optima` has the fields of `Optima`. Degenerate optima are crosses, for their likelihood means nothing: those that
    would be above the frame stand at its edge. Elements stand for the number of their optimum; that of `opened` has a
    ring. Raises `ValueError` if all are degenerate.
    """
    loglik, count, distance, bad = (np.asarray(getattr(optima, name)) for name in Optima._fields)
    if bad.all():
        raise ValueError("All optima are degenerate; expected at least one that is not.")
    gap = loglik - loglik[~bad].max()
    low, reach = min(float(gap[~bad].min()), -1.0), max(float(distance.max()), 0.1)
    top = float(np.clip(gap.max(), 0.0, -0.3 * low))  # a collapsed component has any likelihood it likes
    at, size = np.minimum(gap, top), LEAST + (MOST - LEAST) * np.sqrt(count / count.sum())
    words = words or [_words(float(gap[i]), int(count[i]), bool(bad[i])) for i in range(len(gap))]
    often, said = np.argsort(-count), list(words)
    marks: list[Mark] = [Rule(y=0.0, tone="quiet")]
    for fallen in (False, True):
        chosen = [int(i) for i in often if bad[i] == fallen]
        look: dict[str, Any] = {"size": size[chosen]}
        if fallen:
            look = {"size": 5.0, "shape": "cross", "tone": "other", "label": "degenerate"}
        if chosen:
            look |= {"words": [said[i] for i in chosen], "picks": chosen}
            marks.append(Dots(distance[chosen], at[chosen], **look))
    y_range = low - 0.14 * (top - low), top + 0.2 * (top - low)
    pixel = (y_range[1] - y_range[0]) / max(1, height - AROUND)
    marks += [
        Text(float(distance[i]), float(at[i] + (size[i] + 8) * pixel), str(int(count[i])), tone="quiet")
        for i in often
        if not bad[i] and count[i] > 1
    ]
    if opened is not None:
        marks.append(Dots([distance[opened]], [at[opened]], size=[size[opened] + 3], shape="ring", tone="ink"))
    best = int(count[~bad][gap[~bad] == 0].sum())
    frame = Frame(
        marks=marks,
        title=f"{int(count.sum())} starts, {len(gap)} optima",
        y_title="log-likelihood gap",
        x_title="distance from the best",
        x_range=(-0.06 * reach, 1.06 * reach),
        y_range=y_range,
        height=height,
        width=320,
    )
    return Chart([[frame]], alt=f"{len(gap)} optima of {int(count.sum())} starts; {best} starts found the best.")


def sheet(columns: Sequence[str], cells: Sequence[Sequence[str]], picks: Sequence[int], *, height: int = 300) -> Table:
    """The optima in numbers; a row can be chosen."""
    title = "optima, best first (× degenerate)"
    return Table(columns=columns, cells=cells, picks=picks, title=title, height=height, width=300)


def small(
    model: Mixture,
    dims: tuple[int, int],
    ranges: tuple[Range, Range],
    *,
    title: str,
    pick: int,
    tones: Sequence[int] = (),
    height: int = 150,
) -> Frame:
    """What an optimum looks like: all rows in grey, its components at two standard deviations; a click is for all.

    `dims` are columns of the model, and the rows are the first two columns that a widget sends. `tones` are those of
    the components.
    """
    shown = ellipses(model, dims)
    marks: list[Mark] = [Points((0, 1), plain=True)]
    for k, mean, factor in zip(tones or range(model.k), shown.mean, shown.factor, strict=True):
        x, y = outline(mean.cpu(), factor.cpu(), 2.0, points=48).T
        marks.append(Line(x, y, tone=k, fill=0.12, width=1.75, closed=True))
    return Frame(
        marks=marks, title=title, x_range=ranges[0], y_range=ranges[1], ticks=False, pick=pick, height=height, width=110
    )  # fmt: skip


def profile(model: Mixture, x: Tensor, extent: Range, *, title: str, pick: int, height: int = 150) -> Frame:
    """What an optimum of one column looks like: its density."""
    at = x.new_tensor(np.linspace(*extent, 120)[:, None])
    density = model.log_prob(at).exp().cpu()
    line = Line(at[:, 0].cpu(), density, fill=0.12)
    top = 1.1 * float(density.max()) or 1.0
    return Frame(
        marks=[line], title=title, x_range=extent, y_range=(0.0, top), ticks=False, pick=pick, height=height, width=110
    )


def _words(gap: float, count: int, bad: bool) -> str:
    starts = "one start" if count == 1 else f"{count} starts"
    kind = "degenerate optimum" if bad else "optimum"
    where = "the best" if gap == 0 else f"log-likelihood {abs(gap):.4g} {'above' if gap > 0 else 'below'} the best"
    return f"{kind} of {starts}: {where}" if math.isfinite(gap) else f"{kind} of {starts}"
