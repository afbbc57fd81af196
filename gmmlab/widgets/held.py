"""How well the models of a session do on rows that its fit has not seen."""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any

from gmmlab.algebra import log_prob
from gmmlab.axes import Float, Tensor
from gmmlab.widgets.history import Point
from gmmlab.widgets.snapshot import Snapshot


class HeldOut:
    """The mean log-likelihood of other rows at each step, computed once for each model that a session shows.

    To be subscribed to the session. Steps that an edit has made obsolete are forgotten.
    """

    def __init__(self, x: Float[Tensor, "n d"]) -> None:
        self._x = x
        self._lock = threading.Lock()
        self._known: dict[int, tuple[weakref.ref[Any], float]] = {}

    def __call__(self, snapshot: Snapshot) -> None:
        step, model = snapshot.step, snapshot.model
        known = self._known.get(step)
        if known is not None and known[0]() is model:
            return
        value = float(log_prob(model, self._x).mean())
        with self._lock:
            earlier = {s: entry for s, entry in self._known.items() if s < step}
            self._known = earlier | {step: (weakref.ref(model), value)}

    def points(self) -> list[Point]:
        """(step, mean log-likelihood per row), as far as the session went."""
        with self._lock:
            return [(step, value) for step, (_, value) in sorted(self._known.items()) if math.isfinite(value)]
