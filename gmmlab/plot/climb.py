"""The course of a fit: its log-likelihood in every step, where it is going, and what happened on the way."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from gmmlab.plot.chart import Chart, Dots, Frame, Line, Mark, Rule

Point = tuple[int, float]
LOAD = "load"  # what a click on the course of another fit asks for


class Course(NamedTuple):
    """Another fit beside: its name, its steps, and whether there is a model to be had at its end."""

    name: str
    points: Sequence[Point]
    loads: bool = False


def climb(
    trace: Sequence[Point],
    *,
    step: int | None = None,
    limit: float | None = None,
    changes: bool = False,
    events: Sequence[tuple[int, str]] = (),
    held: Sequence[Point] = (),
    beside: Sequence[Course] = (),
    title: str = "",
    bare: bool = False,
    height: int = 220,
) -> Chart:
    """Mean log-likelihood per row over steps, or the logarithm of its changes.

    `step` is the one shown; `limit` where the fit is expected to end; `events` are steps and what happened there, in
    rings at the last step known by then. `held` is the log-likelihood of rows that the fit has not seen; `beside` are
    other fits, as thin lines. The elements of the line stand for their steps, those of other fits for the number of
    their course, with the action LOAD where it has a model. A `bare` one has no titles and no words: it is a strip
    below something that has them.
    """
    points = _finite(trace)
    shown = _changes(points) if changes else points
    steps, values = [s for s, _ in shown], [v for _, v in shown]
    marks: list[Mark] = [_thin(course, i, changes=changes) for i, course in enumerate(beside)]
    words = [] if bare else [f"step {s}: {v:.6g}" for s, v in shown]
    fill = 0.0 if changes or beside or held else 0.1
    marks.append(Line(steps, values, fill=fill, words=words, picks=steps, label="this fit" if held or beside else ""))
    if held and not changes:
        kept = _finite(held)
        told = [f"step {s}, held out: {v:.6g}" for s, v in kept]
        marks.append(
            Line([s for s, _ in kept], [v for _, v in kept], tone="other", dash=1, label="held out", words=told,
                 picks=[s for s, _ in kept])
        )  # fmt: skip
        marks.append(Dots([s for s, _ in kept[-1:]], [v for _, v in kept[-1:]], size=2.5, tone="other"))
    if limit is not None and not changes:
        marks.append(Rule(y=limit, tone="quiet", label="expected end"))
    marks += _rings(events, shown)
    at = dict(shown)
    if step in at:
        marks.append(Dots([step], [at[step]], size=4.5, tone="ink"))
    y_title = "" if bare else "log10 of the rise in a step" if changes else "mean log-likelihood"
    x_title = "" if bare else "step"
    known = [s for mark in marks if isinstance(mark, Line) for s in mark.x]
    reach = (float(min(known)), float(max(*known, min(known) + 4))) if known else (0.0, 4.0)
    frame = Frame(
        marks=marks, title=title, y_title=y_title, x_title=x_title, x_range=reach, whole=True, snap="x", height=height
    )
    return Chart([[frame]], alt=_alt(points))


def _thin(course: Course, i: int, *, changes: bool) -> Line:
    """The course of another fit."""
    points = _finite(course.points)
    shown = _changes(points) if changes else points
    does = "; a click loads it" if course.loads else ""
    words = [f"{course.name}, step {s}: {v:.6g}{does}" for s, v in shown]
    return Line(
        [s for s, _ in shown], [v for _, v in shown], tone="quiet", width=0.8, words=words,
        picks=[i] * len(shown) if course.loads else (), action=LOAD if course.loads else "",
        label="other starts" if i == 0 else "",
    )  # fmt: skip


def _rings(events: Sequence[tuple[int, str]], shown: Sequence[Point]) -> list[Mark]:
    """Rings at steps with events, one for all of a step; each at the last step that is known by then."""
    if not events or not shown:
        return []
    steps = [s for s, _ in shown]
    placed = sorted((max(0, bisect_right(steps, s) - 1), s, what) for s, what in events)
    groups = [(place, list(group)) for place, group in groupby(placed, key=lambda entry: entry[0])]
    words = ["\n".join(f"step {s}: {what}" for _, s, what in group) for _, group in groups]
    at = [shown[place] for place, _ in groups]
    return [
        Dots([s for s, _ in at], [v for _, v in at], size=5.0, shape="ring", tone="other", label="events", words=words,
             picks=[s for s, _ in at])
    ]  # fmt: skip


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


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(s, v) for s, v in points if math.isfinite(v)]


def _changes(points: Sequence[Point]) -> list[Point]:
    pairs = pairwise(points)
    return [(s, math.log10(abs(v - before))) for (_, before), (s, v) in pairs if v != before]


def _alt(points: Sequence[Point]) -> str:
    if not points:
        return "No step has been scored yet."
    return f"Mean log-likelihood per row, from {points[0][1]:.4f} to {points[-1][1]:.4f} in {len(points)} steps."
