"""A fit that a person watches and steers: one worker thread, commands in, immutable snapshots out.

    session = Session(x, model).play()      # returns at once
    session.move(0, [3.0, 70.0])            # between two steps; the fit goes on from the edited model
    session.result()                        # waits, and gives the model

Commands only enqueue. The worker takes one command or one step at a time, so that a stop takes effect within a
step. Nothing here knows what a fit computes.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

import torch

from gmmlab.fit import moves, plateau, run, whole
from gmmlab.fit.missing import observed
from gmmlab.widgets.snapshot import Failure, Snapshot
from gmmlab.widgets.stepper import Fit, Refused, Stepper
from gmmlab.widgets.worker import Worker

MOST_BYTES = 1 << 28  # of models that a history holds
BREATH = 0.002  # seconds between turns in which other threads get the interpreter; a ring ends it


class _Command(NamedTuple):
    name: str
    run: Callable[[], str]
    tag: Any = None


#: What each command leaves behind when it interrupts a fit that plays; edits are absent: they let it play on.
_HALTS = {"pause": "paused", "stop": "idle", "reset": "idle"} | dict.fromkeys(
    ("step", "estep", "mstep", "back", "seek"), "paused"
)


class Session:
    """A fit of `model` to the rows `x`, run step by step in a worker thread.

    `fit` is any callable from a model to an iterator of steps; expectation maximisation by default. The last
    `history` states can be gone back to (fewer of a model so large that they would take more than 256 MB). Quick
    repeats of one edit (a drag) count as one state.
    """

    def __init__(
        self,
        x: Any,
        model: Any,
        *,
        fit: Fit | None = None,
        names: list[str] | None = None,
        history: int = 500,
    ) -> None:
        self.x = x
        self.names = names or [f"x{i}" for i in range(x.shape[1])]
        self._stepper = Stepper(fit or expectation_maximisation(x), model, history=_affordable(model, history))
        self._lock = threading.Lock()
        self._queue: deque[_Command] = deque()
        self._busy = False
        self._subscribers: list[Callable[[Snapshot], None]] = []
        self._snapshot = Snapshot(seq=0, step=0, model=model, assigned_by=model)
        self._worker = Worker(self._turn, name="gmmlab-session")

    def __repr__(self) -> str:
        return f"Session(step={self.snapshot.step}, {self.snapshot.play}, n={len(self.x)})"

    # reading

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def closed(self) -> bool:
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

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Calls `callback(snapshot)` in the worker thread after every change; returns what ends it."""
        with self._lock:
            self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = [known for known in self._subscribers if known is not callback]

        return unsubscribe

    # commands: each returns at once

    def play(self) -> Self:
        return self._enqueue("play", lambda: "")

    def pause(self) -> Self:
        return self._enqueue("pause", lambda: "")

    def step(self) -> Self:
        """E and M, and the new model's own labels."""
        return self._enqueue("step", lambda: "" if self._stepper.advance() else "The fit has converged.")

    def estep(self) -> Self:
        return self._enqueue("estep", self._stepper.estep)

    def mstep(self) -> Self:
        return self._enqueue("mstep", self._stepper.mstep)

    def back(self) -> Self:
        return self._enqueue("back", self._stepper.back)

    def seek(self, step: int) -> Self:
        return self._enqueue("seek", lambda: self._stepper.seek(step))

    def stop(self) -> Self:
        """Ends the fit here, with what was queued before; edits are kept."""
        with self._lock:
            self._queue = deque(command for command in self._queue if command.name == "edit")
        return self._enqueue("stop", self._stop)

    def reset(self) -> Self:
        return self._enqueue("reset", self._stepper.reset)

    def move(self, k: int, mean: Any) -> Self:
        change = partial(moves.move, k=self._component(k), mean=self._tensor(mean, "mean", 1))
        return self.edit(change, tag=("move", k))

    def reshape(self, k: int, cov: Any) -> Self:
        change = partial(moves.reshape, k=self._component(k), cov=self._tensor(cov, "cov", 2))
        return self.edit(change, tag=("reshape", k))

    def add(self, mean: Any, cov: Any = None) -> Self:
        cov = None if cov is None else self._tensor(cov, "cov", 2)
        return self.edit(partial(moves.add, mean=self._tensor(mean, "mean", 1), cov=cov))

    def remove(self, k: int) -> Self:
        return self.edit(partial(moves.remove, k=self._component(k)))

    def set_model(self, model: Any) -> Self:
        return self.edit(lambda _: model)

    def edit(self, change: Callable[[Any], Any], *, tag: Any = None) -> Self:
        """Any pure change of the model, made between steps; one that is refused leaves a message."""
        return self._enqueue("edit", lambda: self._stepper.edit(change, tag), tag)

    def close(self) -> None:
        """Ends the worker thread after the step it is in; the last snapshot stays readable."""
        self._worker.close()

    # the worker's side

    def _component(self, k: int) -> int:
        """`k`, checked as early as it can be: edits still in the queue may change how many there are."""
        if self._settled() and not 0 <= k < self.snapshot.model.k:
            raise ValueError(f"There is no component {k}: the model has {self.snapshot.model.k}, counted from 0.")
        return k

    def _tensor(self, value: Any, name: str, ndim: int) -> torch.Tensor:
        """A finite tensor with one axis of d for a mean, two for a covariance."""
        tensor = torch.as_tensor(value, dtype=torch.float64, device=self.x.device)
        shape = (self.x.shape[1],) * ndim
        if tensor.shape != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {shape} for these rows.")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds a number that is not finite: {tensor.tolist()}.")
        return tensor

    def _enqueue(self, name: str, action: Callable[[], str], tag: Any = None) -> Self:
        if self.closed:
            raise RuntimeError(f"This session is closed: {name} has no effect. Make a new one from its snapshot.model.")
        with self._lock:
            if tag is not None and self._queue and self._queue[-1].tag == tag:
                self._queue.pop()  # a drag sends faster than a slow step takes: only its latest place counts
            self._queue.append(_Command(name, action, tag))
        self._worker.ring()
        return self

    def _settled(self) -> bool:
        with self._lock:
            return self.closed or not (self._queue or self._busy or self._snapshot.play == "playing")

    def _turn(self) -> float | None:
        """One command, or one step of a fit that plays."""
        _leave_a_core()
        with self._lock:
            command = self._queue.popleft() if self._queue else None
            self._busy = command is not None or self._snapshot.play == "playing"
        if not self._busy:
            return None
        try:
            changes = self._obey(command) if command else self._play_on()
        except Refused as refusal:
            play = "done" if command is None else self._snapshot.play
            changes = {"message": str(refusal), "play": play}
        except Exception as err:  # noqa: BLE001 - whatever a fit raises is shown, not lost
            changes = {"play": "failed", "error": Failure.of(err), "message": f"The step failed: {err}"}
        self._publish(changes)
        return BREATH

    def _obey(self, command: _Command) -> dict[str, Any]:
        message = command.run()
        if command.name == "play":
            play = "playing"
        elif command.name in _HALTS:
            play = _HALTS[command.name]
        else:
            play = self._snapshot.play if self._snapshot.play in ("playing", "idle") else "paused"
        return {"play": play, "message": message, "error": None}

    def _play_on(self) -> dict[str, Any]:
        if self._stepper.advance():
            return {}
        return {"play": "done", "message": "The fit has converged."}

    def _stop(self) -> str:
        self._stepper.drop()
        return ""

    def _publish(self, changes: dict[str, Any]) -> None:
        state = self._stepper.now
        shown = {name: getattr(state, name) for name in ("step", "model", "assigned_by", "evidence")}
        trace = self._stepper.history.trace
        snapshot = replace(self._snapshot, seq=self._snapshot.seq + 1, trace=trace, **shown, **changes)
        with self._lock:
            self._snapshot = snapshot
            subscribers = self._subscribers
        for callback in subscribers:
            self._tell(callback, snapshot)
        with self._lock:
            self._busy = False

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


def expectation_maximisation(x: Any, *, tol: float = 1e-6) -> Fit:
    """The default fit: all rows in every step, until the mean log-likelihood rises by less than `tol`.

    Entries may be missing (NaN); see `fit.missing`.
    """
    source = observed(x) if bool(torch.isnan(x).any()) else whole(x)
    return lambda model: run(model, source, stop=plateau(tol))


def _affordable(model: Any, history: int) -> int:
    """How many states to remember of a model of this size; any fit can be watched, so models without tensors too."""
    size = 1

    def weigh(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal size
        size += tensor.nbytes
        return tensor

    if hasattr(model, "map"):
        model.map(weigh)
    return min(history, max(2, MOST_BYTES // size))


def _leave_a_core() -> None:
    """Browser and server need a core too; with all cores taken, a step on a busy machine is many times slower."""
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) - 1)))
