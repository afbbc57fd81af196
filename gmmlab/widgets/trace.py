"""The Trace: the log-likelihood of a fit, step by step; a click goes to a step, in all panels of the session.

Trace(session, beside=model, held_out=X2)      # the starts of a fitted estimator, and rows that were not fitted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import traitlets

from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.estimators.base import MixtureEstimator
from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.climb import LOAD, Course, climb, expected_end
from gmmlab.widgets import frames
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.held import HeldOut
from gmmlab.widgets.history import Point
from gmmlab.widgets.messages import Invalid, integer
from gmmlab.widgets.session import Session
from gmmlab.widgets.snapshot import Snapshot

STEPS = 100  # of another course that are drawn at most


class Beside(NamedTuple):
    """Another fit: what is drawn of it, and its model, if there is one."""

    course: Course
    model: Any = None


class Trace(ChartWidget):
    """How well the model does in every step of the fit, and where it is going.

    `beside` are other fits: a fitted estimator, whose starts are shown, or a dictionary of names with pairs of step and
    value, bare values, fitted estimators, or whatever has `bounds` and a `model`. A click on one loads its model.
    `held_out` are rows with the same columns, under each model that is shown.
    """

    heading = "Trace"

    show = traitlets.Enum(["value", "change"], "value", help="The value, or how much it changes.").tag(sync=True)

    def __init__(self, session: Session, *, beside: Any = None, held_out: Any = None, **traits: Any) -> None:
        self.beside = _beside({} if beside is None else beside)
        self._held = None if held_out is None else HeldOut(_rows(held_out, session))
        super().__init__(session, **traits)
        if self._held is not None:
            self._held(session.snapshot)
            self._forget = session.subscribe(self._held)

    def chart(self, snapshot: Snapshot) -> Chart:
        points = frames.curve(snapshot.trace, snapshot.step, self._evidence(snapshot))
        limit = expected_end(points) if snapshot.step == (points[-1][0] if points else None) else None
        return climb(
            points,
            step=snapshot.step,
            limit=limit,
            changes=self.show == "change",
            events=[(event.step, event.words) for event in snapshot.events],
            held=() if self._held is None else frames.thinned(self._held.points()),
            beside=[other.course for other in self.beside],
        )

    def controls(self) -> list[Control]:
        options = (("value", "log-likelihood"), ("change", "log change"))
        return [Control("show", "show", self.show, options=options)]

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - there is one frame
        if action != LOAD:
            self.session.seek(pick)
            return
        other = self.beside[integer(pick, "pick", 0, len(self.beside))]
        if other.model is None:
            raise Invalid(f"There is no model of {other.course.name}, only its course.")
        self.session.set_model(other.model, f"{other.course.name.capitalize()} was opened.")

    def close(self) -> None:
        if hasattr(self, "_forget"):
            self._forget()
        super().close()


def _beside(given: Any) -> list[Beside]:
    if isinstance(given, MixtureEstimator):
        return [_other(f"start {i}", fit) for i, fit in enumerate(given.restarts_, start=1)]
    if not isinstance(given, Mapping):
        raise TypeError(f"beside is a {type(given).__name__}; expected a fitted estimator, or a dictionary by name.")
    return [_other(str(name), fit) for name, fit in given.items()]


def _other(name: str, fit: Any) -> Beside:
    """A fit that knows its course (and, perhaps, its model), or the course alone."""
    bounds = getattr(fit, "lower_bounds_", getattr(fit, "bounds", fit))
    model = getattr(fit, "mixture_", getattr(fit, "model", None))
    points = [_point(i, value) for i, value in enumerate(bounds)]
    return Beside(Course(name, frames.thinned(points, STEPS), loads=model is not None), model)


def _point(i: int, value: Any) -> Point:
    """A pair of step and value, or the value of step i."""
    step, number = value if isinstance(value, Sequence) else (i, value)
    return int(step), float(number)


def _rows(held_out: Any, session: Session) -> Any:
    x = as_rows(held_out, missing=True).x
    if x.shape[1] != session.x.shape[1]:
        raise BadData(f"held_out has {x.shape[1]} columns and the session {session.x.shape[1]}; expected the same.")
    return x.to(session.x)
