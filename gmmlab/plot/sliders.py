"""The controls of a widget as they stand, for pictures, in which nothing can be turned."""

from __future__ import annotations

from collections.abc import Sequence

from gmmlab.plot.chart import Chart, Control, Dots, Frame, Line, Mark, Text

ROW = 38  # pixels of a control
LOW, HIGH = 0.42, 0.78  # of a row: where its track lies, and the words below it


def sliders(controls: Sequence[Control], *, alt: str) -> Chart:
    """Every number and switch with its name, its range, where in it the value lies, and the value."""
    shown = [each for each in controls if each.kind in ("number", "switch")]
    marks: list[Mark] = []
    for i, each in enumerate(shown):
        marks += _number(each, i) if each.kind == "number" else _switch(each, i)
    frame = Frame(
        marks=marks, x_range=(-0.04, 1.3), y_range=(float(len(shown)), 0.0), ticks=False,
        y_names=[each.label for each in shown], height=ROW * len(shown) + 16,
    )  # fmt: skip
    return Chart([[frame]], alt=alt)


def _number(control: Control, i: int) -> list[Mark]:
    share = (control.value - control.low) / (control.high - control.low)
    return [
        Line([0.0, 1.0], [i + LOW] * 2, tone="noise", width=2.0),
        Line([0.0, share], [i + LOW] * 2, width=3.5),
        Dots([share], [i + LOW], size=5.5),
        Text(1.07, i + LOW, written(control, control.value), tone="ink", anchor="start"),
        Text(0.0, i + HIGH, written(control, control.low), tone="quiet", anchor="start"),
        Text(1.0, i + HIGH, written(control, control.high), tone="quiet", anchor="end"),
    ]


def _switch(control: Control, i: int) -> list[Mark]:
    at = 0.06 * float(control.value)
    return [
        Line([0.0, 0.06], [i + LOW] * 2, tone="accent" if control.value else "noise", width=3.5),
        Dots([at], [i + LOW], size=5.5, tone="accent" if control.value else "quiet"),
        Text(1.07, i + LOW, "on" if control.value else "off", tone="ink", anchor="start"),
    ]


def written(control: Control, value: float) -> str:
    """A value of a number as it is read: the words at its ends, or what it is a power of."""
    low, high = control.ends
    if (low and value <= control.low) or (high and value >= control.high):
        return low if low and value <= control.low else high
    return f"{float(f'{10.0**value:.2g}'):g}" if control.power else f"{value:.3g}"
