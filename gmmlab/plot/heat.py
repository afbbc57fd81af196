"""The map of a search: every family with every number of components, by how far it is from the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.plot.chart import Cells, Chart, Frame, Line, Mark

FAR = 1000.0  # differences from the best beyond this are equally pale
TALL, FLAT = 34.0, 18.0  # of a cell, in nominal pixels
AROUND = 64  # pixels for the title and the names below

Place = tuple[int, int]


class Scores(NamedTuple):
    """A criterion over families and numbers of components (f, k); NaN where a model was refused."""

    names: Sequence[str]
    ks: Sequence[int]
    values: NDArray[np.floating]


def gaps(scores: Any, *, lower: bool = True) -> NDArray[np.floating]:
    """How far every value is from the best, 0 or more; NaN for what is no finite number."""
    values = np.array(scores.values, dtype=float) * (1 if lower else -1)
    values[~np.isfinite(values)] = np.nan
    return values - (np.nanmin(values) if np.isfinite(values).any() else 0.0)


def heat(
    scores: Any,
    *,
    criterion: str = "BIC",
    lower: bool = True,
    near: float = 2.0,
    rows: Sequence[int] | None = None,
    reasons: Any = (),
    waiting: Any = (),
    opened: Place | None = None,
    note: str = "",
    height: int = 420,
) -> Chart:
    """Cells by the gap of their criterion to the best one's, which is starred; those within `near` are ringed.

    `scores` has `names`, `ks` and `values` as `Scores` does. Cells that are not finite are hatched, for `reasons` (a
    table of words); those that are `waiting` (a table of bools) are empty. `rows` are the families shown, by number,
    and the gaps stay those to the best of all. Cells stand for their number, counted row by row in the whole table;
    `opened` (i, j) of the whole table is outlined. `height` is that of the frame at most.
    """
    gap = gaps(scores, lower=lower)
    pending = np.broadcast_to(np.asarray(waiting, dtype=bool), gap.shape) if len(waiting) else np.zeros(gap.shape, bool)
    shown = list(range(len(gap))) if rows is None else list(rows)
    columns = gap.shape[1]
    known = np.isfinite(gap)
    best = np.unravel_index(int(np.nanargmin(gap)), gap.shape) if known.any() else None
    tied = known & (gap > 0) & (gap <= near)
    share = np.where(known, 0.9 * (1 - np.minimum(np.log1p(gap) / math.log1p(FAR), 1.0)) + 0.04, np.nan)
    share[pending & ~known] = 0.0
    words = [
        _words(scores, (i, j), gap, criterion, _reason(reasons, i, j, bool(pending[i, j])))
        for i in shown
        for j in range(columns)
    ]
    at = {i: row for row, i in enumerate(shown)}
    marks: list[Mark] = [
        Cells(
            share[shown],
            text=[
                [_number(gap[i, j]) if known[i, j] else "·" * int(pending[i, j]) for j in range(columns)] for i in shown
            ],
            rings=[(at[int(i)], int(j)) for i, j in np.argwhere(tied) if int(i) in at],
            stars=[] if best is None or int(best[0]) not in at else [(at[int(best[0])], int(best[1]))],
            words=words,
            picks=[i * columns + j for i in shown for j in range(columns)],
        )
    ]
    if opened is not None and opened[0] in at:
        i, j = at[opened[0]], opened[1]
        x, y = np.array([0.03, 0.97, 0.97, 0.03]), np.array([0.03, 0.03, 0.97, 0.97])
        marks.append(Line(j + x, i + y, tone="ink", width=2.5, closed=True, label="open"))
    cell = min(TALL, max(FLAT, (height - AROUND) / max(1, len(shown))))
    title = f"{criterion} {'above' if lower else 'below'} the best"
    frame = Frame(
        marks=marks,
        title=title if best is None else f"{title}, {_name(scores, best)}",
        x_title="components",
        x_names=[str(k) for k in scores.ks],
        y_names=[scores.names[i] for i in shown],
        height=AROUND + round(cell * len(shown)),
    )
    refused = ~known & ~pending
    key = _key(best is not None, near if bool(tied.any()) else None, bool(refused.any()))
    return Chart([[frame]], alt=_alt(scores, criterion, best, gap, pending), note=" · ".join(filter(None, [key, note])))


def _name(scores: Any, at: Any) -> str:
    return f"{scores.names[int(at[0])]} with {scores.ks[int(at[1])]}"


def _number(gap: float) -> str:
    return f"{gap:.1f}" if gap < 99.95 else f"{gap:.0f}"


def _reason(reasons: Any, i: int, j: int, pending: bool) -> str:
    if pending:
        return "not fitted yet"
    said = reasons[i][j] if len(reasons) else ""
    return f"refused: {said}" if said else "refused"


def _words(scores: Any, at: Place, gap: NDArray[np.floating], criterion: str, reason: str) -> str:
    name, far, value = _name(scores, at), float(gap[at]), float(scores.values[at[0]][at[1]])
    if not math.isfinite(far):
        return f"{name}: {reason}"
    return f"{name}: {criterion} {value:.2f}, " + ("the best" if far == 0 else f"{far:.2f} behind")


def _key(best: bool, near: float | None, refused: bool) -> str:
    """What the signs mean, as far as they are there."""
    signs = ["★ best"] * best + ([f"ringed: within {near:g} of it"] if near is not None else [])
    return " · ".join(signs + ["hatched: refused"] * refused)


def _alt(scores: Any, criterion: str, best: Any, gap: NDArray[np.floating], pending: NDArray[np.bool_]) -> str:
    refused, left = int((~np.isfinite(gap) & ~pending).sum()), int((pending & ~np.isfinite(gap)).sum())
    waiting = f", {left} are not fitted yet" if left else ""
    first = f"the best is {_name(scores, best)}" if best is not None else "none has a value"
    return f"{criterion} of {gap.size} models; {first}, {refused} were refused{waiting}."
