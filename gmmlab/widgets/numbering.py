"""The numbers of components through the history of a fit: which of them is which where edits have renumbered them.

A numbering has its own identity: all states between two edits that renumber share one, and going back in the history is
going back to one that was there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gmmlab.fit import Lineage


@dataclass(frozen=True, eq=False)
class Numbering:
    """Made out of the `parent` by an edit, whose lineage is None where nobody has said which component is which."""

    parent: Numbering | None = None
    lineage: Lineage | None = None
    before: int = 0  # how many components the parent has

    def line(self) -> Iterator[Numbering]:
        """Itself and those that it came out of."""
        at: Numbering | None = self
        while at is not None:
            yield at
            at = at.parent

    @property
    def back(self) -> Lineage | None:
        """Which components the parent's come from, in these numbers."""
        if self.lineage is None:
            return None
        return Lineage(tuple(tuple(self.lineage.heirs(k)) for k in range(self.before)))


class Way(NamedTuple):
    """From one numbering to another: those that are left, the latest first, then those that are entered."""

    left: list[Numbering]
    entered: list[Numbering]

    @classmethod
    def between(cls, here: Numbering, there: Numbering) -> Way:
        """By way of what both came out of."""
        left, entered = list(here.line()), list(there.line())
        shared = set(map(id, left)) & set(map(id, entered))
        return cls(
            [each for each in left if id(each) not in shared],
            [each for each in reversed(entered) if id(each) not in shared],
        )


def new_last(before: int, after: int) -> Lineage | None:
    """Of an edit about which nothing was said: new components are the last, and which have gone is not known."""
    if after < before:
        return None
    return Lineage(tuple((k,) if k < before else () for k in range(after)))
