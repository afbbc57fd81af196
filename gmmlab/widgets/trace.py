"""The Trace: the log-likelihood of a fit, step by step; a click goes to a step, in all panels of the session."""

from __future__ import annotations

import traitlets

from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.climb import climb, expected_end
from gmmlab.widgets import frames
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.snapshot import Snapshot


class Trace(ChartWidget):
    """How well the model does in every step of the fit, and where it is going."""

    heading = "Trace"

    show = traitlets.Enum(["value", "change"], "value", help="The value, or how much it changes.").tag(sync=True)

    def chart(self, snapshot: Snapshot) -> Chart:
        points = frames.curve(snapshot.trace, snapshot.step, self._evidence(snapshot))
        limit = expected_end(points) if snapshot.step == (points[-1][0] if points else None) else None
        return climb(points, step=snapshot.step, limit=limit, changes=self.show == "change", height=self.height)

    def controls(self) -> list[Control]:
        options = (("value", "log-likelihood"), ("change", "log change"))
        return [Control("show", "show", self.show, options=options)]

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - all its elements are steps
        self.session.seek(pick)
