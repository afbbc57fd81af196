"""A fit taken in half-steps, forwards and backwards: what a session does, without threads.

E asks the fit for its next step from the shown model and shows that model's labels and evidence; M shows the
model of that step. A fit that ends is begun anew from the model it ended at, so that stepping can go on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from gmmlab.widgets.history import History, State

Fit = Callable[[Any], Iterator[Any]]

#: Repeats of one edit within this many seconds (a drag) are one change to go back over.
GESTURE = 1.0


class Refused(Exception):
    """A command that cannot be done now; the message is a sentence for the person."""


class Stepper:
    """The states of a fit, and the moves between them. Commands return a sentence, empty when what is shown says it."""

    def __init__(self, fit: Fit, model: Any, *, history: int = 500) -> None:
        self._fit = fit
        self._iterator: Iterator[Any] | None = None
        self._gesture: tuple[Any, float] = (None, 0.0)
        self.history = History(State(step=0, model=model, assigned_by=model), history)

    @property
    def now(self) -> State:
        return self.history.now

    def estep(self) -> str:
        """Half a step: labels and evidence of the shown model."""
        if self.now.pending is not None:
            raise Refused("The labels are already those of this model; M refits it to them.")
        self._push(self._score(self.now))
        return "Labels assigned."

    def mstep(self) -> str:
        """Half a step: the model refitted to the shown labels, which stay until the next E."""
        if self.now.pending is None and self.now.assigned_by is not self.now.model:
            raise Refused("This model is already fitted to the labels shown; E assigns them anew.")
        self._push(self._scored().refitted())
        return "Model refitted; E assigns the labels anew."

    def advance(self) -> bool:
        """Both halves, ending with the new model's own labels; False when the fit has come to its end."""
        state = self._scored().refitted()
        step = next(self._iterator, None) if self._iterator is not None else None
        ended = self._iterator is not None and step is None
        if step is None:
            self._iterator = None
            step = self._next(state.model)
        self._push(_score(state, step))
        return not ended

    def back(self) -> str:
        return self._travel(self.history.back)

    def seek(self, step: int) -> str:
        return self._travel(lambda: self.history.seek(step))

    def edit(self, change: Callable[[Any], Any], tag: Any = None) -> str:
        """A model changed by hand; labels follow at once, the fit goes on from there."""
        try:
            state = self.now.edited(change(self.now.model))
        except (ValueError, LookupError, ArithmeticError, LinAlgError) as err:
            raise Refused(str(err)) from err
        now = time.monotonic()
        same = tag is not None and self._gesture[0] == tag and now - self._gesture[1] < GESTURE
        if same:
            self.history.replace(state)
        else:
            self.history.push(state)
        self._iterator, self._gesture = None, (tag, now)
        return ""

    def reset(self) -> str:
        self.drop()
        self._push(self.history.start)
        return ""

    def drop(self) -> None:
        """Forget the running iterator: the next step begins a fresh one from the shown model."""
        self._iterator = None

    def _travel(self, move: Callable[[], State]) -> str:
        try:
            move()
        except LookupError as err:
            raise Refused(str(err)) from err
        self._iterator, self._gesture = None, (None, 0.0)
        return ""

    def _push(self, state: State) -> None:
        self.history.push(state)
        self._gesture = (None, 0.0)

    def _scored(self) -> State:
        """The shown state with a pending step."""
        state = self.now if self.now.pending is not None else self._score(self.now)
        if state.pending is None:
            raise Refused("The fit takes no step from this model.")
        return state

    def _score(self, state: State) -> State:
        return _score(state, self._next(state.model))

    def _next(self, model: Any) -> Any:
        """The fit's next step from `model`; a fit that has ended is begun anew."""
        for _ in range(2):
            if self._iterator is None:
                self._iterator = iter(self._fit(model))
            step = next(self._iterator, None)
            if step is not None:
                return step
            self._iterator = None
        return None


def _score(state: State, step: Any) -> State:
    value = getattr(getattr(step, "info", None), "evidence", None)
    evidence = None if value is None else float(value)
    if evidence is not None and not math.isfinite(evidence):
        raise FloatingPointError(f"The log-likelihood of step {state.step} is {evidence}: the model has collapsed.")
    return state.scored(getattr(step, "model", None), evidence)
