"""Names that a person has mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str, kind: str = "option") -> None:
    """Raises `TypeError` with a near name for the first name that is not known."""
    known = sorted(set(known))
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            has = f"It has {', '.join(known)}." if known else "It has none."
            raise TypeError(f"{what} has no {kind} {name!r}. " + (f"Did you mean {near[0]!r}?" if near else has))
