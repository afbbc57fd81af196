"""Fits whose steps are taken elsewhere, by the loop of whoever calls `partial_fit`: they are shown as they come."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from gmmlab.data.rows import Rows
from gmmlab.model import Mixture
from gmmlab.widgets.fits import Recipe
from gmmlab.widgets.runs import called
from gmmlab.widgets.session import Session

MOST = 1000  # steps that wait for a session that is paused, or slower than they come


class Feed:
    """Steps for a session, which keeps it: `give` does nothing once that is gone."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque(maxlen=MOST)
        self._session: weakref.ref[Session] | None = None

    def session(self, rows: Rows, begin: Mixture) -> Session:
        """A session that shows what comes on some rows, after the model to begin with."""
        fit = Recipe(lambda: lambda _: self._steps(), steers=False, fed=True)
        session = Session(rows.x, begin, fit=fit, names=rows.names, name=called("Monitor", rows.x, rows.names))
        self._session = weakref.ref(session)
        return session.follow()

    def give(self, step: Any) -> None:
        """One more step, from any thread; shown unless the session is paused, stopped or closed."""
        session = None if self._session is None else self._session()
        if session is not None and not session.closed:
            self._waiting.append(step)
            session.follow()

    def _steps(self) -> Iterator[Any]:
        """What has come; None where nothing has."""
        while True:
            yield self._waiting.popleft() if self._waiting else None
