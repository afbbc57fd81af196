"""What can go wrong in a command, each with the exit status that the command line gives it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Problem(Exception):
    """Said to the user as one sentence, without a traceback."""

    status = 1


class Misuse(Problem):
    """The command cannot start: a wrong name, a wrong value, a missing file."""

    status = 2


class RunFailed(Problem):
    """A notebook started and did not reach its end."""


def near(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the near one, or all that are known.

    >>> near("seeed", ["seed", "data"])
    "Did you mean 'seed'?"
    >>> near("zzz", ["seed", "data"])
    'Known: seed, data.'
    """
    known = list(known)
    return suggestion(name, known) or f"Known: {', '.join(known) or 'none'}."


def suggestion(name: str, known: Iterable[str]) -> str:
    """The near name as a question, or nothing."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {match[0]!r}?" if match else ""
