"""A series in the colours of its states, above how sure a model is of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmmlab.errors import BadData
from gmmlab.plot.chart import Bars, Chart, Dots, Frame, Line, Mark


def states_in_time(values: NDArray[Any], resp: NDArray[Any], *, y: str = "", x: str = "row") -> Chart:
    """Values (n,) over time, and probabilities (n, s) of the states as stacked bars. A row has its likeliest colour."""
    n, s = resp.shape
    time, best = np.arange(n), resp.argmax(1)
    words = [
        f"row {t}: {v:.4g}, state {b + 1} ({100 * resp[t, b]:.3g} %)"
        for t, (v, b) in enumerate(zip(values, best, strict=True))
    ]
    series: list[Mark] = [
        Line(time, values, tone="quiet", width=0.8),
        Dots(time, values, size=2.2, tone=best.tolist(), words=words),
    ]
    high = resp.cumsum(1)
    shares: list[Mark] = [Bars(time - 0.5, time + 0.5, high[:, k] - resp[:, k], high[:, k], tone=k) for k in range(s)]
    span = (-0.5, n - 0.5)
    above = Frame(marks=series, y_title=y, x_range=span, snap="x", height=170)
    below = Frame(marks=shares, y_title="state", x_title=x, x_range=span, y_range=(0.0, 1.0), height=110)
    counts = ", ".join(f"{int((best == k).sum())} in state {k + 1}" for k in range(s))
    return Chart(
        [[above], [below]], alt=f"{y or 'A series'} of {n} rows and the probabilities of {s} states: {counts}."
    )


def regimes(values: Any, resp: Any, *, y: str = "", x: str = "row", theme: str = "light", width: int = 640) -> Any:
    """The picture of a series (n,) whose rows are in states with these probabilities (n, s), or with labels (n,).

    Raises `BadData` unless there is a line of probabilities, or a label, for each value.
    """
    from gmmlab.plot.painter import paint

    series, states = np.asarray(values, dtype=float).ravel(), np.asarray(resp)
    if states.ndim == 1:
        states = np.eye(int(states.max(initial=0)) + 1)[states.astype(int)]
    if len(states) != len(series):
        raise BadData(f"There are {len(series)} values and states of {len(states)} rows; expected as many.")
    return paint(states_in_time(series, states, y=y, x=x), theme=theme, width=width)
