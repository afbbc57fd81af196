"""What several panels of a session ask about one model, computed once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

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
