"""The engine of a session: commands in, one turn at a time in a worker thread, immutable snapshots out.

Commands only enqueue. The worker takes one command or one step at a time, so that a stop takes effect within a
step. Nothing here knows what a fit computes, nor what the commands are.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Self

from gmmlab.axes import Bool, Tensor
from gmmlab.errors import telling
from gmmlab.widgets.audience import Audience
from gmmlab.widgets.events import Log
from gmmlab.widgets.progress import WINDOWS, Pace, Progress, progress
from gmmlab.widgets.snapshot import Failure, Snapshot
from gmmlab.widgets.stepper import Refused, Stepper
from gmmlab.widgets.worker import Worker, leave_a_core

BREATH = 0.002  # seconds between turns in which other threads get the interpreter; a ring ends it

#: What each command leaves behind when it interrupts a fit that plays; others let it play on.
HALTS = {"pause": "paused", "stop": "idle", "reset": "idle"} | dict.fromkeys(
    ("step", "estep", "mstep", "back", "seek"), "paused"
)


class Command(NamedTuple):
    """Something to do between two steps. `run` returns a sentence, or None when the fit is not concerned.

    Of commands with the same tag, one after the other, only the last counts. `event` is the kind and the words of what
    goes into the log.
    """

    name: str
    run: Callable[[], str | None]
    tag: Any = None
    event: tuple[str, str] | None = None


class Driver(Audience):
    """Owns the queue and the thread. `rows` is how many rows a step sees."""

    def __init__(self, stepper: Stepper, rows: int) -> None:
        self._stepper, self._rows = stepper, rows
        super().__init__()
        self._queue: deque[Command] = deque()
        self._busy = False
        self._log, self._pace = Log(), Pace()
        self._brushed: Bool[Tensor, "n"] | None = None
        model, settings = stepper.now.model, stepper.fit.settings
        first = {"model": model, "assigned_by": model, "settings": settings, "numbering": stepper.now.numbering}
        self._snapshot = Snapshot(seq=0, step=0, **first)
        self._worker = Worker(self._turn, name="gmmlab-session")

    # reading

    @property
    def snapshot(self) -> Snapshot:
        """What is shown now."""
        return self._snapshot

    @property
    def closed(self) -> bool:
        """Whether the session takes no more commands."""
        return self._worker.closed

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Until nothing is queued and nothing plays. Raises `TimeoutError`; an interrupt of the kernel gets through."""
        if threading.current_thread() is self._worker.thread:
            raise RuntimeError("wait() in a subscriber would wait for itself; read the snapshot it is given.")
        deadline, nap = math.inf if timeout is None else time.monotonic() + timeout, 0.001
        while not self._settled():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"The fit still runs after {timeout} s, at step {self.snapshot.step}.")
            time.sleep(nap)
            nap = min(0.05, 2 * nap)
        return self.snapshot

    def result(self, timeout: float | None = None) -> Any:
        """The model, once the session has settled; raises the error of a failed step."""
        snapshot = self.wait(timeout)
        if snapshot.play == "failed" and snapshot.error is not None:
            raise snapshot.error.exception
        return snapshot.model

    def close(self) -> None:
        """Ends the worker thread after the step it is in; the last snapshot stays readable."""
        self._worker.close()
        with self._lock:
            if not self._busy:  # or the worker says so after its step
                self._snapshot = _at_rest(self._snapshot)

    # the worker's side

    def _enqueue(
        self,
        name: str,
        action: Callable[[], str | None],
        tag: Any = None,
        event: tuple[str, str] | None = None,
    ) -> Self:
        if self.closed:
            raise RuntimeError(f"This session is closed: {name} has no effect. Make a new one from its snapshot.model.")
        with self._lock:
            if tag is not None and self._queue and self._queue[-1].tag == tag:
                self._queue.pop()  # a drag sends faster than a slow step takes: only its latest place counts
            self._queue.append(Command(name, action, tag, event))
        self._worker.ring()
        return self

    def _settled(self) -> bool:
        with self._lock:
            return self.closed or not (self._queue or self._busy or self._snapshot.play == "playing")

    def _turn(self) -> float | None:
        """One command, or one step of a fit that plays."""
        leave_a_core()
        with self._lock:
            command = self._queue.popleft() if self._queue else None
            self._busy = command is not None or self._snapshot.play == "playing"
        if not self._busy:
            return None
        before, taken, began = self._stepper.now, self._stepper.taken, time.perf_counter()
        try:
            with telling(lambda words, _: self._log.note(before.step, "warning", words)):
                changes = self._obey(command) if command else self._play_on()
            if steps := self._stepper.taken - taken:
                self._pace.took(time.perf_counter() - began, steps)
                self._note_changes(before.model)
        except Refused as refusal:
            play = "done" if command is None else self._snapshot.play
            changes = {"message": str(refusal), "play": play}
        except Exception as err:  # noqa: BLE001 - whatever a fit raises is shown, not lost
            changes = {"play": "failed", "error": Failure.of(err, at=time.time()), "message": f"The step failed: {err}"}
            self._log.note(before.step, "failure", str(err))
        self._publish(changes)
        return BREATH

    def _note_changes(self, before: Any) -> None:
        """What the step has to tell beside its model, for the log."""
        now = self._stepper.now
        self._log.compare(now.step, before, now.model)
        for kind, words in getattr(self._stepper.last, "events", ()):
            self._log.note(now.step, kind, words)

    def _obey(self, command: Command) -> dict[str, Any]:
        step, message = self._stepper.now.step, command.run()
        if command.event is not None:
            self._log.note(step, *command.event)
        if message is None:
            return {}
        if command.name == "play":
            play = "playing"
        elif command.name in HALTS:
            play = HALTS[command.name]
        else:
            stays = self._snapshot.goes_on or self._snapshot.play == "paused"
            play = self._snapshot.play if stays else "idle"
        if play != "playing" and self._stepper.now.ending is not None:
            play = "done"
        return {"play": play, "message": message, "error": None}

    def _play_on(self) -> dict[str, Any]:
        went_on, ending = self._stepper.advance(), self._stepper.now.ending
        if ending is not None:
            return {"play": "done", "message": ending.sentence}
        return {} if went_on else {"play": "waiting"}

    def _publish(self, changes: dict[str, Any]) -> None:
        state, stepper = self._stepper.now, self._stepper
        shown = {name: getattr(state, name) for name in ("step", "model", "assigned_by", "evidence", "pins")}
        shown |= {"trace": stepper.history.trace, "settings": stepper.fit.settings, "progress": self._progress()}
        shown |= {"events": self._log.events, "brushed": self._brushed, "ending": state.ending}
        shown["numbering"] = state.numbering
        with self._lock:
            snapshot = replace(self._snapshot, seq=self._snapshot.seq + 1, **shown, **changes)
            self._snapshot = snapshot = _at_rest(snapshot) if self.closed else snapshot
            subscribers = self._subscribers
        for callback in subscribers:
            self._tell(callback, snapshot)
        with self._lock:
            self._busy = False

    def _progress(self) -> Progress:
        state, stepper = self._stepper.now, self._stepper
        latest = [value for _, value in state.trace[-max(WINDOWS) - 2 :]]
        tol, counted = stepper.fit.settings.get("tol"), getattr(stepper.last, "progress", None)
        return progress(state.step, latest, self._pace, self._rows, tol=tol, left=stepper.left, counted=counted)

    def _tell(self, callback: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
        """A subscriber that raises is unsubscribed and reported; the fit goes on."""
        try:
            callback(snapshot)
        except Exception as err:  # noqa: BLE001
            with self._lock:
                self._subscribers = [known for known in self._subscribers if known is not callback]
                message = f"A subscriber raised {err!r} and was removed."
                self._snapshot = replace(
                    self._snapshot, seq=self._snapshot.seq + 1, error=Failure.of(err, "a subscriber"), message=message
                )


def _at_rest(snapshot: Snapshot) -> Snapshot:
    """The last snapshot of a session that is closed: nothing plays any more."""
    if not snapshot.goes_on:
        return snapshot
    return replace(snapshot, seq=snapshot.seq + 1, play="idle", message="The session was closed.")
