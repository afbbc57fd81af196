"""The only sender of a widget: a frame when the view can take one, the latest and never more than it can paint.

The view acknowledges every frame that it has painted. At most `in_flight` frames are unacknowledged, at most
`rate` are sent per second, and of several snapshots only the latest is composed. A view that says nothing for
`patience` seconds gets one frame a second, and after a few of those none until it says that it is ready again.
The last frame is sent again where nobody acknowledges it: a line that was down may have lost it.
Whoever offers a snapshot never waits.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from gmmlab.widgets.worker import Worker

Message = tuple[dict[str, Any], list[Any]]  # content and buffers

SLOW_PERIOD = 1.0  # seconds between frames to a view that has gone quiet
SLOW_FRAMES = 5  # so many of them before it is taken for gone


class Flow:
    """When the next frame may go. Pure bookkeeping: every method is told the time."""

    def __init__(self, *, rate: float = 30.0, in_flight: int = 2, patience: float = 2.0) -> None:
        self.period, self.in_flight, self.patience = 1 / rate, in_flight, patience
        self.frame = 0
        self._unpainted: deque[int] = deque()
        self._heard = self._sent = -math.inf
        self._slow = 0
        self.alive = False

    def ready(self, now: float) -> None:
        """A view has appeared, or come back."""
        self.alive, self._slow, self._heard, self._sent = True, 0, now, -math.inf
        self._unpainted.clear()

    def acked(self, frame: int, now: float) -> None:
        """The view has painted `frame`, and so is done with those before it."""
        if not self._unpainted or not self._unpainted[0] <= frame <= self.frame:
            return  # a stray or repeated acknowledgement says nothing new
        while self._unpainted and self._unpainted[0] <= frame:
            self._unpainted.popleft()
        self.alive, self._slow, self._heard = True, 0, now

    def due(self, now: float) -> float:
        """Seconds until a frame may be sent: 0 for now, infinity for not before the view speaks."""
        if not self.alive:
            return math.inf
        if len(self._unpainted) < self.in_flight and not self._slow:
            return max(0.0, self._sent + self.period - now)
        return self._slowly(now)

    def overdue(self, now: float) -> float:
        """Seconds until the last frame is sent again: infinity if the view has painted it, or is gone."""
        return self._slowly(now) if self.alive and self._unpainted else math.inf

    def _slowly(self, now: float) -> float:
        if self._slow >= SLOW_FRAMES:
            self.alive = False
            return math.inf
        return max(0.0, max(self._heard + self.patience, self._sent + SLOW_PERIOD) - now)

    def sent(self, now: float) -> int:
        """Counts a frame and gives its number."""
        if len(self._unpainted) >= self.in_flight:
            self._slow += 1
            self._unpainted.popleft()
        elif not self._unpainted:
            self._heard = max(self._heard, now)  # silence is counted from the first frame left unanswered
        self.frame += 1
        self._unpainted.append(self.frame)
        self._sent = now
        return self.frame


class Publisher:
    """Sends `compose(latest, frame)` through `send(content, buffers)` from one thread, as `flow` allows."""

    def __init__(
        self,
        send: Callable[[dict[str, Any], list[Any]], None],
        compose: Callable[[Any, int], Message],
        *,
        flow: Flow | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._compose, self._clock = send, compose, clock
        self._flow = flow or Flow()
        self._lock = threading.Lock()
        self._latest: Any = None
        self._fresh = False
        self._outbox: deque[Callable[[], Message]] = deque()
        self._worker = Worker(self._turn, name="gmmlab-publisher")
        self.error: Exception | None = None  # what last silenced it; the next `ready` starts it again

    @property
    def alive(self) -> bool:
        """Whether a view is believed to be there."""
        return self._flow.alive

    def offer(self, snapshot: Any) -> None:
        """What to show now; takes the place of what was offered before and not sent."""
        with self._lock:
            self._latest, self._fresh = snapshot, True
        if self._flow.alive:
            self._worker.ring()

    def post(self, make: Callable[[], Message]) -> None:
        """A message that is always sent, in order, before the next frame; made in the publisher's thread."""
        with self._lock:
            self._outbox.append(make)
        self._worker.ring()

    def ready(self) -> None:
        """A view has appeared: it gets the latest snapshot again."""
        with self._lock:
            self._flow.ready(self._clock())
            self._fresh = self._latest is not None
        self._worker.ring()

    def ack(self, frame: int) -> None:
        with self._lock:
            self._flow.acked(frame, self._clock())
        self._worker.ring()

    def close(self) -> None:
        self._worker.close()

    def _turn(self) -> float | None:
        try:
            return self._send_what_is_due()
        except Exception as err:  # noqa: BLE001 - the thread must live on for the next view
            self.error, self._flow.alive = err, False
            return None

    def _send_what_is_due(self) -> float | None:
        while self._outbox:
            self._send(*self._outbox.popleft()())
        with self._lock:
            wait = (self._flow.due if self._fresh else self._flow.overdue)(self._clock())
            if wait > 0:
                return None if math.isinf(wait) else wait
            snapshot, self._fresh = self._latest, False
            frame = self._flow.sent(self._clock())
        self._send(*self._compose(snapshot, frame))
        return 0
