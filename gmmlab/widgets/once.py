"""What several panels of a session ask about one model, computed once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gmmlab.widgets.worker import Worker, leave_a_core

T = TypeVar("T")
Question = Callable[..., T]


class Kept(Generic[T]):
    """The latest answer to a question about a model, in whatever thread it is asked."""

    def __init__(self, question: Question[T]) -> None:
        self._question, self._lock = question, threading.Lock()
        self._known: tuple[Any, T] | None = None

    def __call__(self, model: Any, *args: Any) -> T:
        """`question(model, *args)`, not computed again for the model that was asked about last."""
        with self._lock:
            if self._known is None or self._known[0] is not model:
                self._known = model, self._question(model, *args)
            return self._known[1]

    def known(self, model: Any) -> T | None:
        """The answer if it is there, else None; nobody waits."""
        known = self._known
        return known[1] if known is not None and known[0] is model else None


class Later(Kept[T]):
    """The same for a question that takes long: who cannot wait is told that the answer is `there`."""

    def __init__(self, question: Callable[[Any], T], there: Callable[[], None]) -> None:
        super().__init__(question)
        self._there = there
        self._asked: Any = None
        self._failed: tuple[Any, Exception] | None = None
        self._worker = Worker(self._turn, name="gmmlab-later")

    def at_once(self, model: Any) -> T | None:
        """The answer if it is there, else None, and it will come. Raises what the question raised."""
        failed = self._failed
        if failed is not None and failed[0] is model:
            raise failed[1]
        if (answer := self.known(model)) is None:
            self._asked = model
            self._worker.ring()
        return answer

    def close(self) -> None:
        """Asks no more."""
        self._worker.close()

    def _turn(self) -> None:
        model, self._asked = self._asked, None
        if model is None or self.known(model) is not None:
            return
        leave_a_core()
        try:
            self(model)
        except Exception as err:  # noqa: BLE001 - told to who asked
            self._failed = model, err
        self._there()


_answers: weakref.WeakKeyDictionary[Any, dict[tuple[Any, ...], Kept[Any]]] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def once(session: Any, model: Any, question: Question[T], *args: Any) -> T:
    """`question(model, x, *args)` for the rows of a session; a model that was asked about last is not computed again.

    A question is a function that stays the same, not one made for the call. Whoever asks while the answer is being
    computed waits for it, and for no other: a check of ten million rows does not hold up their labels.
    """
    with _guard:
        kept: Kept[T] = _answers.setdefault(session, {}).setdefault((question, *args), Kept(question))
    return kept(model, session.x, *args)
