"""How widgets show themselves: live, or as a picture."""

from __future__ import annotations

import os

MODES = ("auto", "live", "static")
VARIABLE = "GMMLAB_DISPLAY"

_chosen = "auto"


def options(*, display: str = "auto") -> None:
    """Choose how widgets are shown from now on.

    "live" shows the widget with a picture for readers without a kernel, "static" the picture alone. "auto" does what
    the environment variable GMMLAB_DISPLAY says, which runners of notebooks set, and is live without it.
    """
    global _chosen  # noqa: PLW0603 - a preference of the person, not of a computation
    _chosen = _known(display, "display")


def live() -> bool:
    """Whether a widget should be shown live."""
    mode = _chosen if _chosen != "auto" else _known(os.environ.get(VARIABLE) or "auto", VARIABLE)
    return mode != "static"


def _known(mode: str, source: str) -> str:
    if mode not in MODES:
        raise ValueError(f"{source}={mode!r}; expected one of {', '.join(map(repr, MODES))}.")
    return mode
