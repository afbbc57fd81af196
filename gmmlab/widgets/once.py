"""What several panels of a session ask about one model, computed once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Question = Callable[..., T]


class _Memory:
    """The latest answer to each question, and the model it is about."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers: dict[tuple[Any, ...], tuple[Any, Any]] = {}


_memories: weakref.WeakKeyDictionary[Any, _Memory] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def once(session: Any, model: Any, question: Question[T], *args: Any) -> T:
    """`question(model, x, *args)` for the rows of a session; a model that was asked about last is not computed again.

    A question is a function that stays the same, not one made for the call. Whoever asks while the answer is being
    computed waits for it.
    """
    with _guard:
        memory = _memories.setdefault(session, _Memory())
    key = question, *args
    with memory.lock:
        known = memory.answers.get(key)
        if known is None or known[0] is not model:
            known = memory.answers[key] = (model, question(model, session.x, *args))
    answer: T = known[1]
    return answer


class Kept(Generic[T]):
    """The latest answer to a question that one panel asks of a model, in whatever thread."""

    def __init__(self, question: Callable[[Any], T]) -> None:
        self._question, self._lock = question, threading.Lock()
        self._known: tuple[Any, T] | None = None

    def __call__(self, model: Any) -> T:
        """`question(model)`, not computed again for the model that was asked about last."""
        with self._lock:
            if self._known is None or self._known[0] is not model:
                self._known = model, self._question(model)
            return self._known[1]
