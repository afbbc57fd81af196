"""A fit taken in steps and half-steps, forwards and backwards: what a session does, without threads.

E asks the fit for its next step from the shown model and shows that model's labels and evidence; M shows the
model of that step. A fit that ends is begun anew from the model it ended at, so that stepping can go on. Fits that
cannot go on from any model are only watched.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from gmmlab.widgets.fits import Fit, Recipe
from gmmlab.widgets.history import MOST_BYTES, Ending, History, State
from gmmlab.widgets.pins import Origin, Pin, pinned
from gmmlab.widgets.values import is_broken

__all__ = ["Fit", "Refused", "Stepper", "Watcher", "stepper"]

#: Repeats of one edit within this many seconds (a drag) are one change to go back over.
GESTURE = 1.0

CONVERGED = Ending("Converged", "The fit has converged.")
FINISHED = Ending("Finished", "The fit has come to its end.")


class Refused(Exception):
    """A command that cannot be done now; the message is a sentence for the person."""


class Stepper:
    """The states of a fit, and the moves between them. Commands return a sentence, empty when what is shown says it."""

    def __init__(self, fit: Recipe, model: Any, *, history: int = 500, most_bytes: int = MOST_BYTES) -> None:
        self.fit = fit
        self.taken = 0  # steps that the fit has been asked for
        self.last: Any = None  # the latest of them
        self._iterator: Iterator[Any] | None = None
        self._begun = 0  # how many had been taken when the iterator was made
        self._gesture: tuple[Any, float] = (None, 0.0)
        self.history = History(State(step=0, model=model, assigned_by=model), history, most_bytes)

    @property
    def now(self) -> State:
        return self.history.now

    @property
    def left(self) -> int | None:
        """Steps that the fit may still take, where it says how many."""
        most = self.fit.settings.get("max_iter")
        if most is None or self._iterator is None:
            return most
        return max(0, most - (self.taken - self._begun)) + (self.now.pending is not None)

    def play(self) -> str:
        """Whether there is something to play: refused where the fit would only end again."""
        if self.now.ending is not None and self.now.ending.final:
            raise Refused(f"{self.now.ending.sentence} A step goes on all the same.")
        return ""

    def step(self) -> str:
        """A whole step, and what there is to say of it."""
        self.advance()
        return "" if self.now.ending is None else self.now.ending.sentence

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
        step = self._ask() if self._iterator is not None else None
        ended = self._iterator is not None and step is None
        ending = self._why_ended() if ended else None
        if step is None:
            self._iterator = None
            step = self._next(state)
        self._push(replace(_score(state, step), ending=ending))
        return not ended

    def back(self) -> str:
        return self._travel(self.history.back)

    def seek(self, step: int) -> str:
        return self._travel(lambda: self.history.seek(step))

    def edit(self, change: Callable[[Any], Any], tag: Any = None, origin: Origin | None = None) -> str:
        """A model changed by hand; labels follow at once, the fit goes on from there."""
        try:
            state = self.now.edited(change(self.now.model), origin)
        except (ValueError, LookupError, ArithmeticError, TypeError, LinAlgError) as err:
            raise Refused(str(err)) from err
        if is_broken(state.model):
            raise Refused("The changed model has parameters that are not numbers (NaN).")
        now = time.monotonic()
        same = tag is not None and self._gesture[0] == tag and now - self._gesture[1] < GESTURE
        if same:
            self.history.replace(state)
        else:
            self.history.push(state)
        self._iterator, self._gesture = None, (tag, now)
        return ""

    def pin(self, k: int, pin: Pin) -> str:
        """What of component k stays from now on."""
        self._check_component(k)
        self._push(replace(self.now.unsettled(), pins=pinned(self.now.pins, k, pin)))
        self.drop()
        return ""

    def adjust(self, **settings: Any) -> str:
        """Other settings; the fit goes on with them from the shown model."""
        try:
            self.fit = self.fit.having(**settings)
        except (TypeError, ValueError) as err:
            raise Refused(str(err)) from err
        self.history.replace(self.now.unsettled())
        self.drop()
        return ""

    def reset(self) -> str:
        self.drop()
        self._push(self.history.start)
        return ""

    def drop(self) -> None:
        """Forget the running iterator: the next step begins a fresh one from the shown model."""
        self._iterator = None

    def _why_ended(self) -> Ending:
        most = self.fit.settings.get("max_iter")
        if most is not None and self.taken - self._begun >= most:
            return Ending("Ended", f"The fit has ended after max_iter={most} steps; play goes on.", final=False)
        return CONVERGED

    def _check_component(self, k: int) -> None:
        if not 0 <= k < self.now.model.k:
            raise Refused(f"There is no component {k}: the model has {self.now.model.k}, counted from 0.")

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
        return _score(state, self._next(state))

    def _next(self, state: State) -> Any:
        """The fit's next step from a state; a fit that has ended is begun anew."""
        for _ in range(2):
            if self._iterator is None:
                self._iterator, self._begun = self.fit(state.model, state.pins), self.taken
            step = self._ask()
            if step is not None:
                return step
            self._iterator = None
        return None

    def _ask(self) -> Any:
        """One step of the iterator; None at its end."""
        assert self._iterator is not None
        step = next(self._iterator, None)
        if step is not None:
            self.taken, self.last = self.taken + 1, step
        return step


class Watcher(Stepper):
    """The same for a fit that goes its own way: whole steps only, once from its start to its end.

    A step that leaves the model as it was takes no place in the history. Going back is to look; the next step is again
    the latest. A fit that is fed has no end: it waits.
    """

    _over = False

    def play(self) -> str:
        return ""  # from wherever one looks, to the latest

    def estep(self) -> str:
        raise Refused("This fit takes whole steps only.")

    mstep = estep

    def advance(self) -> bool:
        if self._over:
            raise Refused("This fit has ended; reset begins it anew.")
        if self._iterator is None:
            self._iterator, self._begun = self.fit(self.now.model, self.now.pins), self.taken
        step = self._ask()
        now = self.history.forward()
        if step is None and self.fit.fed:
            return False
        if step is None:
            self.history.replace(replace(now, ending=FINISHED))
            self.drop()
            return False
        state = now.watched(_model(step), _evidence(step, now.step))
        if state.model is now.model:
            self.history.replace(state)
        else:
            self._push(state)
        return True

    def edit(self, change: Callable[[Any], Any], tag: Any = None, origin: Origin | None = None) -> str:  # noqa: ARG002
        raise Refused("This fit can be watched, not steered: it would not go on from a changed model.")

    def adjust(self, **settings: Any) -> str:  # noqa: ARG002
        raise Refused("This fit can be watched, not steered: it would not go on with other settings.")

    def reset(self) -> str:
        super().reset()
        self._over = False
        return ""

    def drop(self) -> None:
        self._over = self._over or self._iterator is not None
        super().drop()

    def _travel(self, move: Callable[[], State]) -> str:
        iterator = self._iterator
        message = super()._travel(move)
        self._iterator = iterator
        return message


def stepper(fit: Any, model: Any, *, history: int, most_bytes: int) -> Stepper:
    """Of the kind that the fit allows."""
    recipe = Recipe.of(fit)
    return (Stepper if recipe.steers else Watcher)(recipe, model, history=history, most_bytes=most_bytes)


def _score(state: State, step: Any) -> State:
    return state.scored(None if step is None else _model(step), _evidence(step, state.step))


def _model(step: Any) -> Any:
    """The model of a step. Raises `TypeError` if it has none, `FloatingPointError` if it is broken."""
    if not hasattr(step, "model"):
        raise TypeError(f"The fit yields a {type(step).__name__}; expected steps that have `.model`.")
    if is_broken(step.model):
        raise FloatingPointError(
            "The step gave a model with parameters that are not numbers (NaN). The last good one is shown; move or "
            "remove a component, and go on."
        )
    return step.model


def _evidence(step: Any, at: int) -> float | None:
    """The evidence of a step, if it has one. Raises `FloatingPointError` for one that is not finite."""
    value = getattr(getattr(step, "info", None), "evidence", None)
    evidence = None if value is None else float(value)
    if evidence is not None and not math.isfinite(evidence):
        raise FloatingPointError(f"The log-likelihood of step {at} is {evidence}: the model has collapsed.")
    return evidence
