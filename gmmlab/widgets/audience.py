"""Who is told of snapshots."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gmmlab.widgets.snapshot import Snapshot

Listener = Callable[[Snapshot], None]


class Audience:
    """Listeners, from any thread; whoever reads them reads a list that stays as it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: list[Listener] = []

    def subscribe(self, callback: Listener) -> Callable[[], None]:
        """Calls `callback(snapshot)` after every change, in the thread that made it; returns what ends it."""
        with self._lock:
            self._subscribers = [*self._subscribers, callback]
        return lambda: self._dismiss(callback)

    def _dismiss(self, callback: Listener) -> None:
        with self._lock:
            self._subscribers = [known for known in self._subscribers if known is not callback]
