"""The Python half of the lab's widgets: observe and steer a `Session`.

    from gmmlab.widgets import FitCheck, Session
    FitCheck.of(X, model)                        # one panel on rows and a model
    session = gmmlab.explore(X).session
    session.trace()                              # another panel of the same fit

session.py and what it imports, runs.py, choosing.py and publisher.py are plain Python; only base.py and what
imports it know ipywidgets and anywidget. There is no mathematics here: a fit is any callable from a model
to an iterator of steps, or a `Recipe` (fits.py) that makes one out of settings.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Compare": "compare",
    "Conditional": "conditional",
    "DataPainter": "data_painter",
    "Dials": "dials",
    "Explorer": "explorer",
    "FitCheck": "fit_check",
    "Labeler": "labeler",
    "ModelMap": "model_map",
    "Pairs": "pairs",
    "Relaxation": "relaxation",
    "Responsibilities": "responsibilities",
    "RestartLandscape": "restarts",
    "Runs": "run_list",
    "Session": "session",
    "Trace": "trace",
    "Uncertainty": "uncertainty",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gmmlab.widgets' has no attribute {name!r}; it has {', '.join(_HOME)}.")
    return getattr(importlib.import_module(f"gmmlab.widgets.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*_HOME]
