"""What happened to a fit beside its steps: edits, restarts, components that nearly collapsed, warnings, failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from gmmlab.widgets.values import mended

MOST = 200  # events that are kept


class Event(NamedTuple):
    """What happened at a step, beside the step itself.

    Kinds are edit, split, merge, pin, settings, restart, collapse, warning and failure, and what a fit itself tells of
    its steps (`events`: pairs of kind and words), such as birth and death.
    """

    step: int
    kind: str
    words: str


class Log:
    """The latest events. What happens again and again, as an edit in a drag, is told once for each step."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MOST)

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self._events)

    def note(self, step: int, kind: str, words: str) -> None:
        event = Event(step, kind, words)
        if not self._events or self._events[-1] != event:
            self._events.append(event)

    def compare(self, step: int, before: Any, after: Any) -> None:
        """Notes which components a step had to keep from collapsing, in the first step that had to."""
        if after is not before:
            for k in rescued(mended(before), mended(after)):
                words = f"Component {k} nearly collapsed: {mended(after)[k]:.2g} was added to its variances."
                self.note(step, "collapse", words)


def rescued(before: Sequence[float], after: Sequence[float]) -> list[int]:
    """Components whose variances had nothing added before, and have now."""
    same = len(before) == len(after)
    return [k for k, amount in enumerate(after) if amount > 0 and same and before[k] == 0]
