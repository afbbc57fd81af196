"""How widgets show themselves: live, or as a picture."""

from __future__ import annotations

import os

MODES = ("auto", "live", "static")
VARIABLE = "GMMLAB_DISPLAY"
BYTES = 60_000  # of a static picture
FEWEST = 1_000

_chosen = "auto"
_bytes = BYTES


def options(*, display: str = "auto", picture_bytes: int = BYTES) -> None:
    """Choose how widgets are shown from now on.

    "live" shows the widget with a picture for readers without a kernel, "static" the picture alone. "auto" does what
    the environment variable GMMLAB_DISPLAY says, which runners of notebooks set, and is live without it. Pictures lose
    colours and sharpness until they have `picture_bytes` bytes at most or can lose no more: a notebook of many widgets
    stays small.
    """
    global _chosen, _bytes
    if picture_bytes < FEWEST:
        raise ValueError(f"picture_bytes={picture_bytes!r}; expected {FEWEST} or more.")
    _chosen, _bytes = _known(display, "display"), picture_bytes


def picture_bytes() -> int:
    """How many bytes a static picture may have."""
    return _bytes


def live() -> bool:
    """Whether a widget should be shown live."""
    mode = _chosen if _chosen != "auto" else _known(os.environ.get(VARIABLE) or "auto", VARIABLE)
    return mode != "static"


def _known(mode: str, source: str) -> str:
    if mode not in MODES:
        raise ValueError(f"{source}={mode!r}; expected one of {', '.join(map(repr, MODES))}.")
    return mode
