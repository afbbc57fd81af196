"""The sessions that are alive: how fast each is, how much memory it holds, how long it may still take.

    for run in runs():
        print(run.name, run.play, run.steps_per_second)
    session(run.key).stop()

Nothing here keeps a session alive.
"""

from __future__ import annotations

import threading
import weakref
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

from gmmlab.axes import Tensor
from gmmlab.data.rows import default_names
from gmmlab.estimators import parameters
from gmmlab.estimators.select import Selection
from gmmlab.families import FactorAnalyzers
from gmmlab.model import Mixture
from gmmlab.widgets.values import components

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

FEW = 2  # columns that a name tells

_lock = threading.Lock()
_sessions: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()  # in the order of their making
_names: weakref.WeakKeyDictionary[Session, str] = weakref.WeakKeyDictionary()


class Run(NamedTuple):
    """A session at one moment. None where nothing is known, or where a model has no components to count."""

    key: str
    name: str
    model: str
    play: str
    word: str  # the same as a person is told
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


def register(session: Session, wanted: str) -> str:
    """Takes a session into the list and gives its name: with a number behind it if another one has the name wanted."""
    with _lock:
        taken = {_names[known] for known in _sessions.values() if not known.closed}
        numbered = chain([wanted], (f"{wanted} ({i})" for i in count(2)))
        _sessions[session.key], _names[session] = session, next(name for name in numbered if name not in taken)
        return _names[session]


def called(what: str, x: Tensor, names: list[str]) -> str:
    """The name of a session that nobody has named: what it is, and of which rows."""
    n, d = x.shape
    if names == default_names(d):
        return f"{what} of {n:,} x {d}"
    return f"{what} of {', '.join(names[:FEW])}{', …' if d > FEW else ''}"


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
        _words(snapshot.model),
        snapshot.play,
        snapshot.word,
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


def _words(model: Any) -> str:
    """A model in a few words."""
    if isinstance(model, Selection):
        return f"{len(model.fitted)} models"
    if not isinstance(model, Mixture):
        return type(model).__name__
    components = model.components
    shape = "" if isinstance(components, FactorAnalyzers) else f" {parameters.covariance_type(model.located.structure)}"
    return f"{type(components).__name__} k={model.k}{shape}"
