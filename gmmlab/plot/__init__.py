"""Static pictures of a model and of a fit; matplotlib's object API only, asked for when a picture is drawn."""

from __future__ import annotations

import importlib
from typing import Any

from gmmlab.plot.ellipses import Ellipses, ellipses, outline, principal, with_block
from gmmlab.plot.style import colour

_DRAWN = {"Picture": "gmmlab.plot.picture", "scatter": "gmmlab.plot.pictures", "trace": "gmmlab.plot.pictures"}

__all__ = [
    "Ellipses",
    "Picture",
    "colour",
    "ellipses",
    "outline",
    "principal",
    "scatter",
    "trace",
    "with_block",
]


def __getattr__(name: str) -> Any:
    if name not in _DRAWN:
        raise AttributeError(f"module 'gmmlab.plot' has no attribute {name!r}; it has {', '.join(sorted(__all__))}.")
    return getattr(importlib.import_module(_DRAWN[name]), name)
