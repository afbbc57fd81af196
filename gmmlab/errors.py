"""The errors and warnings that gmmlab raises by name.

Each message says what was seen, what was expected and what to try. Every error is also a `ValueError` (or a
`UserWarning`), so that code written for scikit-learn catches it.
"""

from __future__ import annotations

import sys
import warnings


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


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the first line up the stack that is neither ours nor scikit-learn's."""
    inside = ("gmmlab", "sklearn", "jaxtyping")  # jaxtyping wraps our functions in the test run
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
