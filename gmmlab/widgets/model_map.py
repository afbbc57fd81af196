"""The model map: every family with every number of components, by how far it is from the best.

    found = gmmlab.select(X)
    chart = ModelMap(found)          # a click, or Enter on a cell, opens that fit
    chart.explorer                   # here, in an Explorer; or ModelMap(found, target=explorer.session)

It shows a search while it runs, too: ModelMap(session) of a session whose model is a `Selection`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import traitlets

from gmmlab.data import as_rows
from gmmlab.data.rows import default_names
from gmmlab.data.streams import Stream
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.ranking import CRITERIA, Rest, value
from gmmlab.estimators.search import NOT_YET, Fitted
from gmmlab.estimators.select import Selection
from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.heat import Scores, heat
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.explorer import Explorer
from gmmlab.widgets.messages import Invalid, integer
from gmmlab.widgets.names import refuse_unknown
from gmmlab.widgets.runs import called
from gmmlab.widgets.session import Session
from gmmlab.widgets.snapshot import Snapshot

NAMES = {
    "bic": "BIC", "icl": "ICL", "icl_soft": "soft ICL", "aic": "AIC", "aicc": "AICc", "nec": "NEC", "mml": "MML",
    "cv": "CV",
}  # fmt: skip
HEIGHT = 420
USUAL = ("bic", "icl", "aic", "cv")
SHAPES = (("all", "all"), ("round", "round"), ("axes", "along axes"), ("free", "turned"))


class Grid(NamedTuple):
    """The fits of a selection by family and number of components."""

    names: list[str]
    ks: list[int]
    fits: list[list[Fitted]]

    @classmethod
    def of(cls, selection: Selection) -> Grid:
        """In the order of the search."""
        by_place = {(one.cell.covariance_type, one.cell.k): one for one in selection.fitted}
        names, ks = list(dict.fromkeys(name for name, _ in by_place)), sorted({k for _, k in by_place})
        return cls(names, ks, [[by_place[name, k] for k in ks] for name in names])


class ModelMap(ChartWidget):
    """The map of a `Selection`, or of a session that runs a search; a click opens a fit in `target`, a session."""

    heading = "Model map"
    wide = True
    lays_out = True

    criterion = traitlets.Unicode(help="What ranks the models, as in `select`.").tag(sync=True)
    families = traitlets.List(traitlets.Unicode(), help="Covariance types that are shown; all if empty.").tag(sync=True)
    shape = traitlets.Enum([name for name, _ in SHAPES], "all", help="Of these, those of one shape.").tag(sync=True)

    def __init__(self, found: Selection | Session, *, target: Session | None = None, **traits: Any) -> None:
        session = found if isinstance(found, Session) else finished(found)
        start = session.snapshot.model
        if not isinstance(start, Selection):
            raise TypeError(
                f"The session fits a {type(start).__name__}; expected a search, or what gmmlab.select returns."
            )
        self._target = target
        self._opened: tuple[int, int] | None = None
        self._asked, self._runs = start.asked, session is found
        super().__init__(session, **{"criterion": start.criterion} | traits)

    # what is shown

    @property
    def selection(self) -> Selection:
        """What has been fitted so far."""
        selection: Selection = self.session.snapshot.model
        return selection

    def chart(self, snapshot: Snapshot) -> Chart:
        grid, rest = Grid.of(snapshot.model), Rest.of(snapshot.model.fitted, snapshot.model.n)
        values = [[value(self.criterion, one, rest) for one in row] for row in grid.fits]
        note = " · ".join(filter(None, [_progress(snapshot, grid), self._where(grid)]))
        return heat(
            Scores(grid.names, grid.ks, np.array(values).reshape(len(grid.names), len(grid.ks))),
            criterion=NAMES[self.criterion],
            rows=self._rows_of(grid),
            reasons=[[one.refused for one in row] for row in grid.fits],
            waiting=[[one.refused == NOT_YET for one in row] for row in grid.fits],
            opened=self._opened,
            note=note,
            height=self.height or HEIGHT,
        )

    def controls(self) -> list[Control]:
        known = self._criteria()
        usual = [name for name in known if name in (*USUAL, self.selection.criterion)]
        shapes = tuple(pair for pair in SHAPES if pair[0] in {"all", *map(_shape, Grid.of(self.selection).names)})
        controls = [Control("criterion", "rank by", self.criterion, options=tuple((n, NAMES[n]) for n in usual))]
        if len(shapes) > 2:
            controls.append(Control("shape", "show", self.shape, options=shapes, title="Which families are shown"))
        if self.session.snapshot.play == "playing":
            controls.append(Control("cancel", "Cancel remaining", None, kind="button", title="Keeps what has finished"))
        elif self._runs and _waiting(Grid.of(self.selection)):
            controls.append(Control("search", "Search", None, kind="button", title="Fits all models, from the start"))
        return controls

    # what can be done with it

    def load(self, covariance_type: str, n_components: int) -> Session:
        """Puts one of the fits into `target`, which is made if there is none; returns it.

        Raises `Invalid` (a `ValueError`) for a cell that has no model.
        """
        grid = Grid.of(self.selection)
        if covariance_type not in grid.names or n_components not in grid.ks:
            known = f"{', '.join(grid.names)} with {grid.ks[0]} to {grid.ks[-1]} components"
            raise Invalid(f"({covariance_type!r}, {n_components}) is not in the map, which has {known}.")
        i, j = grid.names.index(covariance_type), grid.ks.index(n_components)
        one = grid.fits[i][j]
        if one.model is None:
            why = f"is {NOT_YET}" if one.refused == NOT_YET else f"was refused: {one.refused}"
            raise Invalid(f"{covariance_type} with {n_components} {why}.")
        self._opened = (i, j)
        if self._target is None:
            x, names = self.session.x, self.session.names
            name = called("Opened from the map", x, names)
            self._target = Session(x, one.model, names=names, name=name, weight=self.session.weight)
        else:
            self._target.set_model(one.model, f"{covariance_type} with {_components(n_components)} was opened.")
        self._redraw()
        return self._target

    def explore(self, covariance_type: str, n_components: int) -> Explorer:
        """Puts one of the fits into the Explorer, and returns that."""
        self.load(covariance_type, n_components)
        return self.explorer

    @property
    def target(self) -> Session:
        """The session in which fits are opened: the best one to begin with."""
        if self._target is None:
            best = self.selection.best_
            self.load(str(best.covariance_type), best.n_components)
            assert self._target is not None
        return self._target

    @cached_property
    def explorer(self) -> Explorer:
        """An Explorer of the target, of the best fit to begin with. The rows need two columns or more."""
        return Explorer(self.target)

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - there is one frame, and one action
        grid = Grid.of(self.selection)
        i, j = divmod(integer(pick, "pick", 0, len(grid.names) * len(grid.ks)), len(grid.ks))
        self.load(grid.names[i], grid.ks[j])

    def pressed(self, name: str) -> None:
        match name:
            case "search":
                self.session.play()
            case "cancel":
                self.session.stop()
            case _:
                super().pressed(name)

    def _criteria(self) -> list[str]:
        return [name for name in CRITERIA if name != "cv" or self._asked.data.columns > 1]

    def _rows_of(self, grid: Grid) -> list[int]:
        names = [name for name in self.families or grid.names if self.shape in ("all", _shape(name))]
        return [grid.names.index(name) for name in names] or list(range(len(grid.names)))

    def _where(self, grid: Grid) -> str:
        if self._opened is None:
            idle = self.session.snapshot.play != "playing" and any(one.model for row in grid.fits for one in row)
            return "a click opens a fit" if idle else ""
        i, j = self._opened
        return f"open: {grid.names[i]} with {grid.ks[j]}"

    @traitlets.validate("criterion")
    def _check_criterion(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in self._criteria():
            known = ", ".join(map(repr, self._criteria()))
            raise traitlets.TraitError(f"criterion is {name!r}; this selection has {known}.")
        return name

    @traitlets.validate("families")
    def _check_families(self, proposal: Any) -> list[str]:
        names: list[str] = proposal["value"]
        known = list(dict.fromkeys(one.cell.covariance_type for one in self.selection.fitted))
        refuse_unknown(names, known, "The map", "family")
        return names


def finished(selection: Selection) -> Session:
    """A session that shows a selection and has nothing to do."""
    data = selection.asked.data
    if isinstance(data.X, Stream):
        x = data.sample.x
        names = default_names(x.shape[1])
    else:
        x, names, _ = as_rows(data.X, missing=True)
    name = called(ModelMap.heading, x, names)
    return Session(x, selection, fit=lambda _: iter(()), names=names, name=name, weight=data.weight)


def _shape(name: str) -> str:
    structure = sk.structure(name)
    if structure.dense:
        return "free"
    return "round" if structure.spherical else "axes"


def _components(k: int) -> str:
    return "1 component" if k == 1 else f"{k} components"


def _waiting(grid: Grid) -> int:
    """How many models are not fitted yet."""
    return sum(one.refused == NOT_YET for row in grid.fits for one in row)


def _progress(snapshot: Snapshot, grid: Grid) -> str:
    """How far a search is, as long as it is not at its end."""
    left, progress = _waiting(grid), snapshot.progress
    if snapshot.play == "playing" and progress.total:
        seconds = "" if progress.remaining is None else f", about {math.ceil(progress.remaining)} s left"
        return f"{progress.done} of {progress.total} fits{seconds}"
    return f"{left} models are not fitted yet" if left else ""
