"""Clusterers against the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gmmlab.plot.chart import Chart, Dots, Frame, Line, Mark, Rule

LEAST = 1e-4  # log-likelihood a row that makes no difference, at which courses end


def race(courses: Mapping[str, Sequence[tuple[float, float, bool]]]) -> Chart:
    """How far the partitions of each course are from the best of all, against seconds; both axes are logarithmic.

    A moment is seconds, log-likelihood a row, and whether the partition is proved to be the best for its covariances,
    which a ring says. Raises `ValueError` for a course without moments.
    """
    if not courses or not all(courses.values()):
        raise ValueError("A race was given a course without moments; expected at least one moment of each.")
    best = max(likelihood for course in courses.values() for _, likelihood, _ in course)
    marks: list[Mark] = [Rule(y=math.log10(LEAST), tone="ink")]
    for k, (name, course) in enumerate(courses.items()):
        x = [math.log10(max(seconds, 1e-4)) for seconds, _, _ in course]
        y = [math.log10(max(best - likelihood, LEAST)) for _, likelihood, _ in course]
        words = [f"{name}: {best - each:.2g} a row below the best after {s:.2g} s" for s, each, _ in course]
        marks.append(Line(x, y, tone=k, dash=k, label=name, words=words))
        proved = [i for i, (_, _, certified) in enumerate(course) if certified]
        marks.append(Dots([x[i] for i in proved], [y[i] for i in proved], tone=k, size=4.5, shape="ring"))
    frame = Frame(
        marks=marks,
        title="below the best partition, log10 of log-likelihood a row; rings: proved",
        name="Race of clusterers",
        x_title="log10 seconds",
        height=260,
    )
    ends = (
        f"{name} ends {best - c[-1][1]:.2g} a row below the best after {c[-1][0]:.2g} s" for name, c in courses.items()
    )
    return Chart([[frame]], alt="; ".join(ends) + ".")
