"""What a panel looks at that belongs to no fit: snapshots that are taken whenever something is to be shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from gmmlab.axes import Tensor
from gmmlab.widgets.audience import Audience
from gmmlab.widgets.snapshot import Snapshot


class Still(Audience):
    """The part of a session that panels need, without a fit. What is shown, if anything, is the model of snapshots."""

    def __init__(self, shown: Any = None) -> None:
        super().__init__()
        self.names, self.weight = list[str](), None
        self.key = f"{id(self):x}"
        self.snapshot = Snapshot(seq=0, step=0, model=shown, assigned_by=shown)

    def __repr__(self) -> str:
        shown = self.snapshot.model
        return f"Still({'' if shown is None else repr(shown)})"

    @property
    def x(self) -> Tensor:
        """The rows of what is shown, if it has some."""
        rows: Tensor = getattr(self.snapshot.model, "x", torch.empty(0, 0))
        return rows

    def show(self, message: str = "", *, shown: Any = None) -> None:
        """Something has changed, or something else is shown: all panels look again."""
        with self._lock:
            shown = self.snapshot.model if shown is None else shown
            changes = {"seq": self.snapshot.seq + 1, "model": shown, "assigned_by": shown, "message": message}
            self.snapshot = snapshot = replace(self.snapshot, **changes)
            subscribers = self._subscribers
        for callback in subscribers:
            callback(snapshot)
