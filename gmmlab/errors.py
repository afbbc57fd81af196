"""The errors and warnings that gmmlab raises by name.

Each message says what was seen, what was expected and what to try. Every error is also a `ValueError` (or a
`UserWarning`), so that code written for scikit-learn catches it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, type[Warning]], None]

_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)


class NotPositiveDefinite(ValueError):
    """A covariance matrix has no Cholesky factor, even with the jitter that was allowed."""


class BadData(ValueError):
    """The rows, or the table they come from, cannot be used."""


class BadFile(ValueError):
    """A file does not hold what was to be loaded from it, or cannot be trusted."""


class NumericalWarning(UserWarning):
    """A number was changed to keep a computation going; the message holds the amount."""


class DataWarning(UserWarning):
    """Rows were dropped, or columns carry no information; the message says which."""


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Within this block, and in this thread alone, what we would warn of is told to `listener` instead.

    (`warnings.catch_warnings` is for the whole process, so that threads would take each other's warnings.)
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the first line up the stack that is neither ours nor a library's, or tell whoever listens."""
    if (listener := _listener.get()) is not None:
        listener(message, category)
        return
    inside = ("gmmlab", "sklearn", "torch", "jaxtyping")  # the last two wrap our functions
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
