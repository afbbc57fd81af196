"""What a session remembers: immutable states, and a bounded history of them with a cursor.

A state is a model together with what is shown of it. `pending` is the model of the fit's next step: an E
half-step asks the fit for that step (whose evidence belongs to the shown model), an M half-step adopts its model.
A fit is thus taken apart into half-steps without knowing what it computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Point = tuple[int, float]


class Trace(Sequence[Point]):
    """(step, evidence) pairs that grow at the end; earlier versions share the storage and stay as they were."""

    def __init__(self, points: list[Point] | None = None, length: int = 0) -> None:
        self._points = [] if points is None else points
        self._length = length

    def at(self, step: int, value: float) -> Trace:
        """This trace with `value` at `step`; what was known of that step and later ones is left out."""
        length = self.before(step)._length
        points = self._points if length == len(self._points) else self._points[:length]
        points.append((step, value))
        return Trace(points, length + 1)

    def before(self, step: int) -> Trace:
        """What is known of the steps before `step`."""
        length = self._length
        while length and self._points[length - 1][0] >= step:
            length -= 1
        return Trace(self._points, length)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return tuple(self._points[: self._length])[index]

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points[: self._length])

    def __repr__(self) -> str:
        return f"Trace({len(self)} steps)"


@dataclass(frozen=True, eq=False)
class State:
    """A model and what is shown of it."""

    step: int
    model: Any
    assigned_by: Any
    evidence: float | None = None
    pending: Any = None
    trace: Trace = field(default_factory=Trace)

    def scored(self, pending: Any, evidence: float | None) -> State:
        """After an E half-step: labels and evidence are those of the shown model."""
        trace = self.trace if evidence is None else self.trace.at(self.step, evidence)
        return replace(self, assigned_by=self.model, evidence=evidence, pending=pending, trace=trace)

    def refitted(self) -> State:
        """After an M half-step: the pending model, still with the labels that it was fitted to."""
        return replace(self, step=self.step + 1, model=self.pending, evidence=None, pending=None)

    def edited(self, model: Any) -> State:
        """After a change by hand: the labels follow at once, and the evidence of what was here before is forgotten."""
        trace = self.trace.before(self.step)
        return replace(self, model=model, assigned_by=model, evidence=None, pending=None, trace=trace)


class History:
    """The last `size` states and a cursor among them; a new state forgets those after the cursor."""

    def __init__(self, start: State, size: int) -> None:
        if size < 2:
            raise ValueError(f"history={size}: a session needs room for at least 2 states.")
        self.start = start
        self._states: deque[State] = deque([start], maxlen=size)
        self._cursor = 0

    def __len__(self) -> int:
        return len(self._states)

    @property
    def now(self) -> State:
        return self._states[self._cursor]

    @property
    def trace(self) -> Trace:
        """The longest trace held from the cursor on: a look back does not hide what came after."""
        return max(self.now.trace, self._states[-1].trace, key=len)

    def push(self, state: State) -> None:
        while len(self._states) > self._cursor + 1:
            self._states.pop()
        self._states.append(state)
        self._cursor = len(self._states) - 1

    def replace(self, state: State) -> None:
        """In place of the state at the cursor; those after it are forgotten too."""
        self.push(state)
        del self._states[self._cursor - 1]
        self._cursor = len(self._states) - 1

    def back(self) -> State:
        if self._cursor == 0:
            raise LookupError("There is nothing earlier to go back to.")
        self._cursor -= 1
        return self.now

    def seek(self, step: int) -> State:
        """To the last state of this step; a step that is no longer (or not yet) held is refused."""
        found = [i for i, state in enumerate(self._states) if state.step == step]
        if not found:
            held = sorted({state.step for state in self._states})
            raise LookupError(f"Step {step} is not in the history, which holds steps {held[0]} to {held[-1]}.")
        self._cursor = found[-1]
        return self.now
