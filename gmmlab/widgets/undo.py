"""What was, what is, and what was taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 200  # changes that can be taken back


@dataclass(frozen=True)
class Undo(Generic[T]):
    """An immutable value with its past and its future: a change forgets the future."""

    now: T
    past: tuple[T, ...] = ()
    future: tuple[T, ...] = ()

    def change(self, value: T) -> Undo[T]:
        """Another value; the same one is no change."""
        return self if value is self.now else Undo(value, (*self.past, self.now)[-MOST:])

    def undo(self) -> Undo[T]:
        """The value before; the first stays."""
        return Undo(self.past[-1], self.past[:-1], (self.now, *self.future)) if self.past else self

    def redo(self) -> Undo[T]:
        """What was taken back last."""
        return Undo(self.future[0], (*self.past, self.now), self.future[1:]) if self.future else self

    def amend(self, value: T) -> Undo[T]:
        """Another value in the place of this one."""
        return replace(self, now=value)

    def map(self, change: Callable[[T], T]) -> Undo[T]:
        """All values changed alike."""
        return Undo(change(self.now), tuple(map(change, self.past)), tuple(map(change, self.future)))
