"""Panels of a session as one widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gmmlab.extras import needs

GAP, WIDE, NARROW = "12px", "560px", "340px"  # a panel that has less room than this goes below


def beside(first: Any, column: Sequence[Any], below: Sequence[Any] = ()) -> Any:
    """The first panel with a column beside it, or below it where there is no room for both, and others below all."""
    ipywidgets = needs("ipywidgets")
    first.layout = _flexible(ipywidgets, f"3 1 {WIDE}")
    for each in column:
        each.layout = _flexible(ipywidgets, "0 0 auto")
    for each in below:
        each.layout = _flexible(ipywidgets, "1 1 100%")
    layout = _flexible(ipywidgets, f"2 1 {NARROW}", display="flex", flex_flow="column nowrap", grid_gap=GAP)
    side = [ipywidgets.Box(list(column), layout=layout)] if column else []
    row = ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items="flex-start", grid_gap=GAP, width="100%")
    return ipywidgets.Box([first, *side, *below], layout=row)


def _flexible(ipywidgets: Any, flex: str, **more: str) -> Any:
    return ipywidgets.Layout(flex=flex, min_width="0", max_width="100%", **more)
