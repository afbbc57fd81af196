"""Panels of a session as one widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gmmlab.extras import needs

GAP, WIDE, NARROW = "12px", "560px", "340px"  # a panel that has less room than this goes below


def beside(first: Any, others: Sequence[Any]) -> Any:
    """The first panel with the others in a column beside it, or below it where there is no room for both."""
    ipywidgets = needs("ipywidgets")
    first.layout = _flexible(ipywidgets, f"3 1 {WIDE}")
    for each in others:
        each.layout = _flexible(ipywidgets, "0 0 auto")
    column = ipywidgets.Box(
        list(others),
        layout=_flexible(ipywidgets, f"2 1 {NARROW}", display="flex", flex_flow="column nowrap", grid_gap=GAP),
    )
    row = ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items="flex-start", grid_gap=GAP, width="100%")
    return ipywidgets.Box([first, column], layout=row)


def _flexible(ipywidgets: Any, flex: str, **more: str) -> Any:
    return ipywidgets.Layout(flex=flex, min_width="0", max_width="100%", **more)
