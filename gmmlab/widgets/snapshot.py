"""What a session shows at one moment, as immutable values that any thread may read."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gmmlab.axes import Bool, Tensor
from gmmlab.widgets.events import Event
from gmmlab.widgets.history import Ending, Trace
from gmmlab.widgets.numbering import Numbering
from gmmlab.widgets.pins import Pins
from gmmlab.widgets.progress import Progress

FEW = 20_000  # rows that checks of all rows look at while a fit plays: of all they would hold up every frame
WORDS = {
    "idle": "Ready",
    "playing": "Playing",
    "waiting": "Waiting for rows",
    "paused": "Paused",
    "done": "Finished",
    "failed": "Stopped by an error",
}


@dataclass(frozen=True, eq=False)
class Failure:
    """What went wrong, by default in a step; `at` tells one failure from the next that says the same."""

    message: str
    traceback: str
    exception: Exception
    place: str = "the step"
    at: float | None = None

    @classmethod
    def of(cls, err: Exception, place: str = "the step", at: float | None = None) -> Failure:
        return cls(str(err) or type(err).__name__, "".join(traceback.format_exception(err)), err, place, at)

    def __str__(self) -> str:
        kind = type(self.exception).__name__
        return f"{kind} in {self.place}" + ("" if self.message == kind else f": {self.message}")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a session shows at one moment.

    `assigned_by` is the model that the labels belong to, `evidence` that of the shown model (None while unknown). The
    trace may reach beyond the shown step, after steps back. `ending` is how the fit came to its end, if it did so with
    this model; `numbering` says which component is which after edits. `events` are the latest, in the order in which
    they came.
    """

    seq: int
    step: int
    model: Any
    assigned_by: Any
    play: str = "idle"
    evidence: float | None = None
    trace: Trace = field(default_factory=Trace)
    message: str = ""
    error: Failure | None = None
    progress: Progress = field(default_factory=Progress)
    events: tuple[Event, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    pins: Pins = field(default_factory=dict)
    brushed: Bool[Tensor, "n"] | None = None
    ending: Ending | None = None
    numbering: Numbering = field(default_factory=Numbering)

    @property
    def goes_on(self) -> bool:
        """Whether the fit plays, or would if more rows came."""
        return self.play in ("playing", "waiting")

    @property
    def word(self) -> str:
        """What the fit is doing, for the person who looks at it."""
        if self.play == "done" and self.ending is not None:
            return self.ending.word
        if self.play == "paused" and len(self.trace) and self.trace[-1][0] > self.step:
            return "Looking back"
        return WORDS[self.play]

    def __repr__(self) -> str:
        return f"Snapshot(step={self.step}, {self.play}, evidence={self.evidence})"


def stride(snapshot: Snapshot, n: int) -> int:
    """One row in so many is looked at: every one at rest, about `FEW` of n while the fit plays."""
    return -(-n // FEW) if snapshot.play == "playing" else 1
