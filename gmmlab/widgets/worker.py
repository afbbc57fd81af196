"""One daemon thread that takes turns for an object without keeping it alive."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable

import torch

PATIENCE = 2.0  # seconds that the end of the interpreter waits for steps that are under way

_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Bell:
    """A wake-up call: `ring` from any thread, `wait` in the worker."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rung = False
        self.closed = False

    def ring(self) -> None:
        with self._condition:
            self._rung = True
            self._condition.notify_all()

    def close(self) -> None:
        self.closed = True
        self.ring()

    def wait(self, timeout: float | None) -> bool:
        """Until the next ring or for `timeout` seconds; False once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._rung, timeout)
            self._rung = False
            return not self.closed


@atexit.register
def _leave() -> None:
    """A thread that is inside a step when the interpreter goes can take the process down: they are waited for."""
    workers = list(_workers)
    for worker in workers:
        worker.close()
    deadline = time.monotonic() + PATIENCE
    for worker in workers:
        if worker.thread is not None and worker.thread is not threading.current_thread():
            worker.thread.join(max(0.0, deadline - time.monotonic()))


class Worker:
    """Calls the bound method `turn` in its own daemon thread, after every ring.

    `turn` returns the seconds until it wants another turn by itself (0: at once, None: only when rung).
    Between turns the thread holds no reference to the method's owner, so an owner that is dropped is
    collected, and its thread ends.
    """

    def __init__(self, turn: Callable[[], float | None], *, name: str) -> None:
        self._turn = weakref.WeakMethod(turn)
        self._bell = Bell()
        self._name = name
        self._lock = threading.Lock()
        self.thread: threading.Thread | None = None
        _workers.add(self)
        weakref.finalize(turn.__self__, self._bell.close).atexit = False  # type: ignore[attr-defined]

    @property
    def closed(self) -> bool:
        return self._bell.closed

    def ring(self) -> None:
        """Wakes the thread; the first ring starts it."""
        with self._lock:
            if self.thread is None and not self.closed:
                self.thread = threading.Thread(
                    target=_serve, args=(self._turn, self._bell), name=self._name, daemon=True
                )
                self.thread.start()
        self._bell.ring()

    def close(self) -> None:
        self._bell.close()


def _serve(turn: weakref.WeakMethod, bell: Bell) -> None:
    timeout: float | None = None
    while bell.wait(timeout):
        method = turn()
        if method is None:
            return
        timeout = method()
        del method  # or this frame would keep the owner alive while it waits


def leave_a_core() -> None:
    """Browser and server need a core too; with all cores taken, a step on a busy machine is many times slower."""
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) - 1)))
