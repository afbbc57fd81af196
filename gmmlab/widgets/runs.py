"""The sessions that are alive: how fast each is, how much memory it holds, how long it may still take.

    for run in runs():
        print(run.name, run.play, run.steps_per_second)
    session(run.key).stop()

Nothing here keeps a session alive.
"""

from __future__ import annotations

import threading
import weakref
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from gmmlab.widgets.values import components

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

_lock = threading.Lock()
_numbers = count(1)
_sessions: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()  # in the order of their making


class Run(NamedTuple):
    """A session at one moment. None where nothing is known, or where a model has no components to count."""

    key: str
    name: str
    play: str
    step: int
    rows: int
    columns: int
    k: int | None
    share: float | None  # of the whole that is done
    steps_per_second: float | None
    rows_per_second: float | None
    remaining: float | None  # seconds
    n_bytes: int  # about: the rows and the models of the history
    device: str
    message: str


def register(session: Session, name: str | None = None) -> str:
    """Takes a session into the list, and gives its name: "fit 1" and so on without one."""
    with _lock:
        _sessions[session.key] = session
        return f"fit {next(_numbers)}" if name is None else name


def runs() -> list[Run]:
    """The sessions that are neither closed nor forgotten, oldest first."""
    return [_run(session) for session in _alive()]


def session(key: str) -> Session:
    """The session of a run. Raises `KeyError` for one that is gone."""
    for known in _alive():
        if known.key == key:
            return known
    raise KeyError(f"There is no session {key!r} any more; those alive are {[known.name for known in _alive()]}.")


def _alive() -> list[Session]:
    with _lock:
        known = list(_sessions.values())
    return [session for session in known if not session.closed]


def _run(session: Session) -> Run:
    snapshot, x = session.snapshot, session.x
    progress = snapshot.progress
    return Run(
        session.key,
        session.name,
        snapshot.play,
        snapshot.step,
        x.shape[0],
        x.shape[1],
        components(snapshot.model),
        progress.share,
        progress.steps_per_second,
        progress.rows_per_second,
        progress.remaining,
        session.n_bytes,
        str(x.device),
        snapshot.message,
    )
