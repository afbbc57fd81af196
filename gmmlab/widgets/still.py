"""What a panel looks at that belongs to no fit: snapshots without a model, taken whenever something is to be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from gmmlab.widgets.snapshot import Snapshot


class Still:
    """The part of a session that panels need, without a fit."""

    def __init__(self) -> None:
        self.x, self.names = torch.empty(0, 0), list[str]()
        self.key = f"{id(self):x}"
        self.snapshot = Snapshot(seq=0, step=0, model=None, assigned_by=None)
        self._subscribers: list[Callable[[Snapshot], None]] = []

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Calls `callback(snapshot)` after every `show`; returns what ends it."""
        self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            self._subscribers = [known for known in self._subscribers if known is not callback]

        return unsubscribe

    def show(self, message: str = "") -> None:
        """Something has changed: all panels look again."""
        self.snapshot = replace(self.snapshot, seq=self.snapshot.seq + 1, message=message)
        for callback in self._subscribers:
            callback(self.snapshot)
