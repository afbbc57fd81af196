"""The course of a fit: its log-likelihood in every step, where it is going, and what happened on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from gmmlab.plot.chart import Chart, Dots, Frame, Line, Mark, Rule

Point = tuple[int, float]


def climb(
    trace: Sequence[Point],
    *,
    step: int | None = None,
    limit: float | None = None,
    changes: bool = False,
    events: Sequence[tuple[int, str]] = (),
    height: int = 220,
) -> Chart:
    """Mean log-likelihood per row over steps, or the logarithm of its changes.

    `step` is the one shown; `limit` where the fit is expected to end; `events` are steps and what happened there. The
    elements of the line stand for their steps.
    """
    points = [(s, v) for s, v in trace if math.isfinite(v)]
    shown = _changes(points) if changes else points
    steps, values = [s for s, _ in shown], [v for _, v in shown]
    words = [f"step {s}: {v:.6g}" for s, v in shown]
    marks: list[Mark] = [Line(steps, values, fill=0.0 if changes else 0.1, words=words, picks=steps)]
    if limit is not None and not changes:
        marks.append(Rule(y=limit, tone="quiet", label="expected end"))
    at = dict(shown)
    told = [(s, what) for s, what in events if s in at]
    if told:
        marks.append(
            Dots([s for s, _ in told], [at[s] for s, _ in told], size=5.0, shape="ring", tone="other", label="events",
                 words=[f"step {s}: {what}" for s, what in told], picks=[s for s, _ in told])
        )  # fmt: skip
    if step in at:
        marks.append(Dots([step], [at[step]], size=4.5, tone="ink"))
    title = "log10 of the rise in a step" if changes else "mean log-likelihood"
    reach = (float(steps[0]), float(max(steps[-1], steps[0] + 4))) if steps else (0.0, 4.0)
    frame = Frame(marks=marks, y_title=title, x_title="step", x_range=reach, whole=True, snap="x", height=height)
    return Chart([[frame]], alt=_alt(points))


def expected_end(trace: Sequence[Point]) -> float | None:
    """Aitken's limit of the last three values; None where they do not slow down like a geometric series.

    l_inf = l_2 + (l_3 - l_2) / (1 - a),   a = (l_3 - l_2) / (l_2 - l_1)

    See Boehning et al. (1994).
    """
    if len(trace) < 3:
        return None
    first, second, third = (v for _, v in trace[-3:])
    if not 0 < third - second < second - first:
        return None
    rate = (third - second) / (second - first)
    return second + (third - second) / (1 - rate)


def _changes(points: Sequence[Point]) -> list[Point]:
    pairs = pairwise(points)
    return [(s, math.log10(abs(v - before))) for (_, before), (s, v) in pairs if v != before]


def _alt(points: Sequence[Point]) -> str:
    if not points:
        return "No step has been scored yet."
    return f"Mean log-likelihood per row, from {points[0][1]:.4f} to {points[-1][1]:.4f} in {len(points)} steps."
