"""What a session remembers: immutable states, and a history of them with a cursor, bounded in states and bytes.

A state is a model together with what is shown of it. `pending` is the model of the fit's next step: an E
half-step asks the fit for that step (whose evidence belongs to the shown model), an M half-step adopts its model.
A fit is thus taken apart into half-steps without knowing what it computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gmmlab.widgets.numbering import Numbering, new_last
from gmmlab.widgets.pins import Origin, Pins, carried
from gmmlab.widgets.values import components, n_bytes

MOST_BYTES = 1 << 28  # of the models that a history holds
LONGEST = 100_000  # points of a trace
RECENT = 1_000  # of which so many stay when it is thinned

Point = tuple[int, float]


class Trace(Sequence[Point]):
    """(step, evidence) pairs that grow at the end; earlier versions share the storage and stay as they were.

    Of a trace that has become very long every second point is left out, but for the latest.
    """

    def __init__(self, points: list[Point] | None = None, length: int = 0) -> None:
        self._points = [] if points is None else points
        self._length = length

    def at(self, step: int, value: float) -> Trace:
        """This trace with `value` at `step`; what was known of that step and later ones is left out."""
        length = self.before(step)._length
        points = self._points if length == len(self._points) else self._points[:length]
        if length >= LONGEST:
            points = points[: length - RECENT : 2] + points[length - RECENT : length]
        points.append((step, value))
        return Trace(points, len(points))

    def before(self, step: int) -> Trace:
        """What is known of the steps before `step`."""
        length = self._length
        while length and self._points[length - 1][0] >= step:
            length -= 1
        return Trace(self._points, length)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self._points[i] for i in range(*index.indices(self._length)))
        return self._points[range(self._length)[index]]

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points[: self._length])

    def __repr__(self) -> str:
        return f"Trace({len(self)} steps)"


class Ending(NamedTuple):
    """How a fit came to its end: in a word and in a sentence, and whether it would end here again."""

    word: str
    sentence: str
    final: bool = True

    def said(self, message: str) -> bool:
        """Whether a message says no more than the word."""
        return self.final and message == self.sentence


@dataclass(frozen=True, eq=False)
class State:
    """A model and what is shown of it; `ending` where the fit has come to its end with it."""

    step: int
    model: Any
    assigned_by: Any
    evidence: float | None = None
    pending: Any = None
    trace: Trace = field(default_factory=Trace)
    pins: Pins = field(default_factory=dict)
    ending: Ending | None = None
    numbering: Numbering = field(default_factory=Numbering)

    def scored(self, pending: Any, evidence: float | None) -> State:
        """After an E half-step: labels and evidence are those of the shown model."""
        trace = self.trace if evidence is None else self.trace.at(self.step, evidence)
        return replace(self, assigned_by=self.model, evidence=evidence, pending=pending, trace=trace)

    def refitted(self) -> State:
        """After an M half-step: the pending model, still with the labels that it was fitted to."""
        return replace(self, step=self.step + 1, model=self.pending, evidence=None, pending=None, ending=None)

    def watched(self, model: Any, evidence: float | None) -> State:
        """After a whole step, whose evidence is that of the model before it."""
        trace = self.trace if evidence is None else self.trace.at(self.step, evidence)
        return replace(self, step=self.step + 1, model=model, assigned_by=model, trace=trace)

    def edited(self, model: Any, origin: Origin | None = None) -> State:
        """After a change by hand: the labels follow at once, and the evidence of what was here before is forgotten."""
        was, now = components(self.model) or 0, components(model) or 0
        lineage = new_last(was, now) if origin is None else origin(self.model)
        stays = origin is None and was == now
        numbering = self.numbering if stays else Numbering(self.numbering, lineage, was)
        shown = replace(self.unsettled(), model=model, assigned_by=model, evidence=None, numbering=numbering)
        return replace(shown, trace=self.trace.before(self.step), pins=carried(self.pins, lineage))

    def unsettled(self) -> State:
        """After a change of the fit: what it would do next is forgotten."""
        return replace(self, pending=None, ending=None)


class Ledger:
    """Bytes of the different models of some states: the next model of one is the model of another."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}  # how often and how many bytes, by identity
        self.bytes = 0

    def enter(self, state: State) -> None:
        for model in (state.model, state.pending, state.assigned_by):
            times, size = self._held.get(id(model), (0, 0))
            if not times:
                size = n_bytes(model)
                self.bytes += size
            self._held[id(model)] = times + 1, size

    def leave(self, state: State) -> None:
        for model in (state.model, state.pending, state.assigned_by):
            times, size = self._held.pop(id(model))
            if times > 1:
                self._held[id(model)] = times - 1, size
            else:
                self.bytes -= size


class History:
    """The last states and a cursor among them; a new state forgets those after the cursor.

    At most `size` states are held, and fewer where their models would take more than `most_bytes`, but always two.
    """

    def __init__(self, start: State, size: int, most_bytes: int = MOST_BYTES) -> None:
        if size < 2:
            raise ValueError(f"history={size}: a session needs room for at least 2 states.")
        self.start, self._size, self._most_bytes = start, size, most_bytes
        self._ledger = Ledger()
        self._states: deque[State] = deque()
        self._cursor = -1
        self.push(start)

    def __len__(self) -> int:
        return len(self._states)

    @property
    def bytes(self) -> int:
        """Of the models held."""
        return self._ledger.bytes

    @property
    def now(self) -> State:
        return self._states[self._cursor]

    @property
    def trace(self) -> Trace:
        """The longest trace held from the cursor on: a look back does not hide what came after."""
        return max(self.now.trace, self._states[-1].trace, key=len)

    def push(self, state: State) -> None:
        self._forget_from(self._cursor + 1)
        self._append(state)

    def replace(self, state: State) -> None:
        """In place of the state at the cursor; those after it are forgotten too."""
        self._forget_from(self._cursor)
        self._append(state)

    def back(self) -> State:
        if self._cursor == 0:
            raise LookupError("There is nothing earlier to go back to.")
        self._cursor -= 1
        return self.now

    def forward(self) -> State:
        """To the latest state."""
        self._cursor = len(self._states) - 1
        return self.now

    def seek(self, step: int) -> State:
        """To the last state of this step; a step that is no longer (or not yet) held is refused."""
        found = [i for i, state in enumerate(self._states) if state.step == step]
        if not found:
            held = sorted({state.step for state in self._states})
            raise LookupError(f"Step {step} is not in the history, which holds steps {held[0]} to {held[-1]}.")
        self._cursor = found[-1]
        return self.now

    def _forget_from(self, place: int) -> None:
        while len(self._states) > place:
            self._ledger.leave(self._states.pop())

    def _append(self, state: State) -> None:
        self._states.append(state)
        self._ledger.enter(state)
        while len(self._states) > 2 and (len(self._states) > self._size or self.bytes > self._most_bytes):
            self._ledger.leave(self._states.popleft())
        self._cursor = len(self._states) - 1
