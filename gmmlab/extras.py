"""Optional packages: imported at use, and asked for in one sentence when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType


def needs(module: str, extra: str = "lab") -> ModuleType:
    """The module, or a `ModuleNotFoundError` that says what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise  # something inside that package is broken: do not hide it
        raise ModuleNotFoundError(
            f"This needs the package {module.partition('.')[0]}, which is not installed. "
            f"Try: pip install 'gmmlab[{extra}]'",
            name=error.name,
        ) from error
