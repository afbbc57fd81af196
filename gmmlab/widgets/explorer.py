"""The Explorer: points, ellipses to take by hand, and a fit to play, step and undo.

explorer = Explorer(session)     # or gmmlab.explore(X, n_components=3), which makes the session too
explorer.play()                  # what the buttons do, from Python
explorer.result()
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
import traitlets

from gmmlab.data.rows import default_names
from gmmlab.errors import BadData
from gmmlab.estimators import GaussianMixture, StudentMixture, parameters
from gmmlab.families import Student
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Chart
from gmmlab.plot.climb import climb
from gmmlab.plot.density import levels, log_density
from gmmlab.plot.ellipses import noise
from gmmlab.widgets import frames, models, operations
from gmmlab.widgets.base import STATIC
from gmmlab.widgets.closeup import card, uncertainty
from gmmlab.widgets.columns import column_pair
from gmmlab.widgets.composition import beside
from gmmlab.widgets.once import once
from gmmlab.widgets.panel import Panel
from gmmlab.widgets.publisher import Message
from gmmlab.widgets.recreate import Code, code
from gmmlab.widgets.session import Session
from gmmlab.widgets.snapshot import Failure, Snapshot
from gmmlab.widgets.stepper import CONVERGED


class Explorer(Panel):
    """Watches and steers a session in two of its columns.

    In a notebook its `panels` stand beside it, or below where there is little room.

    `truth`, a mixture or labels of the rows, is drawn faintly behind the model. `others`, models by name (or a
    `Selection`, whose first three are taken), are asked about the row whose card is open. `call` is what `state` calls
    the rows.
    """

    heading = "Explorer"
    ops = operations.TABLE
    _esm = STATIC / "explorer.js"
    _css = STATIC / "explorer.css"

    names = traitlets.List(traitlets.Unicode(), help="Names of all columns.").tag(sync=True)
    dims = traitlets.List(traitlets.Int(), [0, 1], help="The two columns shown.").tag(sync=True)
    selected = traitlets.Int(None, allow_none=True, help="The selected component.").tag(sync=True)
    color_by = traitlets.Enum(["component", "uncertainty"], "component", help="What colours mean.").tag(sync=True)
    contours = traitlets.Bool(False, help="Whether the density is drawn as contours.").tag(sync=True)
    row = traitlets.Int(None, allow_none=True, help="The row whose card is open.").tag(sync=True)
    note = traitlets.Unicode(help="A sentence above the plot.").tag(sync=True)
    strip = traitlets.Bool(True, help="Whether the log-likelihood is drawn below the plot.").tag(sync=True)

    def __init__(
        self,
        session: Session,
        *,
        dims: Sequence[int | str] | None = None,
        truth: Any = None,
        others: Any = None,
        call: str = "X",
        **traits: Any,
    ) -> None:
        if session.x.shape[1] < 2:
            raise BadData("The Explorer shows two columns, and these rows have one; expected two or more.")
        if session.snapshot.model.k > operations.MOST_COMPONENTS:
            raise ValueError(
                f"The model has {session.snapshot.model.k} components; expected {operations.MOST_COMPONENTS} at most."
            )
        self.ranges = frames.ranges(session.x)
        shown = column_pair((0, 1) if dims is None else dims, session.names)
        self.sent_dims = shown[0], shown[1]
        self.window: tuple[frames.Range, frames.Range] | None = None  # where the page looks
        self.truth = None if truth is None else models.true(truth, session.x)
        self._others, self._call = models.named(others, session.x.shape[1]), call
        self.panels: tuple[Panel, ...] = ()
        super().__init__(session, names=session.names, dims=shown, **traits)

    @property
    def others(self) -> Mapping[str, Mixture]:
        """Models by name that the card of a row asks, too. Takes models, fitted estimators, or a `Selection`."""
        return self._others

    @others.setter
    def others(self, given: Any) -> None:
        self._others = models.named(given, self.session.x.shape[1])
        self._redraw()

    def state(self) -> Code:
        """The Python that makes this view again, for rows of the same name, and `sample_weight` if they have weights.

        What is marked or selected is left out.
        """
        kept: dict[str, Any] = {} if self.session.weight is None else {"sample_weight": Code("sample_weight")}
        kept["dims"] = self._pair
        kept |= {name: getattr(self, name) for name in ("color_by", "contours", "palette") if self._is_set(name)}
        return code(self.model, rows=self._call, **kept)

    def estimator(self) -> GaussianMixture | StudentMixture:
        """The model shown, as a fitted estimator that knows the names of the columns."""
        snapshot, names = self.session.snapshot, self.session.names
        kind = StudentMixture if isinstance(snapshot.model.components, Student) else GaussianMixture
        fitted = kind.from_mixture(snapshot.model)
        fitted.converged_, fitted.n_iter_ = snapshot.ending == CONVERGED, snapshot.step
        fitted.lower_bound_ = -math.inf if snapshot.evidence is None else snapshot.evidence
        if names != default_names(len(names)):
            fitted.feature_names_in_ = np.array(names, dtype=object)
        return fitted

    def picture(self) -> Any:
        """What is shown, as a matplotlib figure."""
        from gmmlab.plot import scatter

        snapshot = self.session.snapshot
        return scatter(
            self.session.x,
            snapshot.model,
            dims=self._pair,
            names=self.session.names,
            labels=self._assigned(snapshot.assigned_by).labels,
            trace=frames.curve(snapshot.trace, snapshot.step, self._evidence(snapshot)),
            step=snapshot.step,
            title=frames.title(snapshot, self._evidence(snapshot)),
            truth=self.truth,
            marked=snapshot.brushed,
            doubt=self._doubt(snapshot) if self.color_by == "uncertainty" else None,
            contours=self.contours,
            theme=self.still,
            size=(640, self.height),
        )

    @cached_property
    def together(self) -> Any:
        """The Explorer and its panels as one widget, in two columns or, where there is little room, in one."""
        wide = [panel for panel in self.panels if panel.wide]
        return beside(self, [panel for panel in self.panels if not panel.wide], wide)

    @property
    def shown_id(self) -> str:
        return str(self.together.model_id) if self.panels else super().shown_id

    def close(self) -> None:
        """Closes its panels too: they stand in its output."""
        together = vars(self).get("together")
        boxes = () if together is None else (together, *together.children)
        for each in {*boxes, *getattr(self, "panels", ())} - {self}:
            each.close()
        super().close()

    def describe(self) -> str:
        evidence = self._evidence(self.session.snapshot)
        return repr(self) if evidence is None else f"{repr(self)[:-1]}, mean log-likelihood {evidence:.4f})"

    def __repr__(self) -> str:
        n, d = self.session.x.shape
        structure = parameters.covariance_type(self.model.located.structure)
        return f"Explorer(Mixture k={self.model.k} {structure}, n={n:,}, d={d})"

    def look(self, x: frames.Range, y: frames.Range) -> None:
        """The page looks at this window now."""
        self.window = x, y
        if self.contours:
            self._redraw()

    # kernel to browser

    def compose(self, snapshot: Snapshot, frame: int) -> Message:
        """A frame; what cannot be computed is told as an error in it."""
        body: dict[str, Any] = {"components": [], "noise": None, "shape": "free", "evidence": None, "chart": None}
        body |= {"color_by": self.color_by, "contours": None, "card": None}
        failure, buffers = snapshot.error, [b""]
        try:
            buffers[0] = frames.labels(self._assigned(snapshot.assigned_by).labels)
            body["components"] = frames.components(snapshot.model, self.sent_dims, snapshot.pins)
            body["noise"] = noise(snapshot.model)
            body["shape"] = frames.freedom(snapshot.model)
            body["evidence"] = self._evidence(snapshot)
            if self.strip:
                body["chart"] = self._climb(snapshot, body["evidence"]).message()["grid"][0][0]
            if self.row is not None:
                body["card"] = {"row": self.row} | self._card(snapshot.assigned_by)
            if self.contours:
                body["contours"], grid = self._contours(snapshot.model)
                buffers.append(grid)
            if self.color_by == "uncertainty":
                buffers.append(frames.shades(self._doubt(snapshot)))
        except Exception as err:  # noqa: BLE001
            failure = Failure.of(err, "the drawing")
        return self.head(snapshot, frame, failure) | body, buffers

    def _climb(self, snapshot: Snapshot, evidence: float | None) -> Chart:
        return climb(frames.curve(snapshot.trace, snapshot.step, evidence), step=snapshot.step, bare=True)

    def _card(self, model: Mixture) -> dict[str, Any]:
        return card(model, self.session.x[self.row], self.session.names, self.sent_dims, self._others)

    def _doubt(self, snapshot: Snapshot) -> Any:
        return once(self.session, snapshot.assigned_by, uncertainty)

    def _contours(self, model: Mixture) -> tuple[dict[str, Any], bytes]:
        """A grid of log densities where the page looks, and the levels of its lines."""
        window = self.window or frames.around([self.ranges[i] for i in self.sent_dims])
        grid = log_density(model, self.sent_dims, window)
        what = {"window": window, "shape": list(grid.shape), "levels": levels(model, self.sent_dims)}
        return what, grid.float().cpu().numpy().tobytes()

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != self.traits()[name].default())

    def send_rows(self) -> None:
        """The rows in the columns of `dims`; sent once, and again when those change."""
        self.publisher.post(partial(self._points, self._pair))

    def _points(self, dims: tuple[int, int]) -> Message:
        """Made in the publisher's thread, so that points and frames always speak of the same columns."""
        self.sent_dims, self.window = dims, None
        x, names = self.session.x, self.session.names
        shown = [(i, self.ranges[i]) for i in dims]
        ranges = [list(extent) for _, extent in shown]
        content = {"type": "points", "n": len(x), "dims": list(dims), "names": names, "ranges": ranges}
        content["borders"] = [gaps.border(x[:, i], within) for i, within in shown]
        content["gaps"] = int(torch.isnan(x[:, list(dims)]).any(1).sum())
        content["truth"] = [] if self.truth is None else frames.components(self.truth, dims)
        return content, [frames.points(x, shown)]

    @property
    def _pair(self) -> tuple[int, int]:
        return self.dims[0], self.dims[1]

    @traitlets.validate("dims")
    def _check_dims(self, proposal: Any) -> list[int]:
        return column_pair(proposal["value"], self.session.names)

    @traitlets.validate("row")
    def _check_row(self, proposal: Any) -> int | None:
        row, n = proposal["value"], len(self.session.x)
        if row is not None and not 0 <= row < n:
            raise ValueError(f"There is no row {row}; expected 0 to {n - 1}, or None.")
        return row

    @traitlets.observe("color_by", "contours", "row", "strip")
    def _show_more(self, _: Any) -> None:
        self._redraw()

    @traitlets.observe("dims")
    def _show_dims(self, _: Any) -> None:
        if hasattr(self, "_unsubscribe"):  # not while the widget is being made
            self.send_rows()
            self._redraw()
