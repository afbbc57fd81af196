"""Conditional: what the model of a session says of one column, given others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import traitlets

from gmmlab.errors import BadData
from gmmlab.plot.chart import Chart, Control, said
from gmmlab.plot.given import Question, check, given
from gmmlab.widgets import frames
from gmmlab.widgets.columns import column_number
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.plane import Plane, check_mixture
from gmmlab.widgets.snapshot import Snapshot

MOST_HELD = 6  # columns with a slider: more would be no help
HELD = "held "  # what the names of their controls begin with


class Conditional(Plane):
    """p(target | predictor, held columns): the curve and its bands, and the density at a place of the predictor.

    A click or a drag says where: `at`. Other columns are averaged over unless they are `held` at a value, by name or
    number; six at most. In the traits, `up` is the target and `across` the predictor.
    """

    heading = "Conditional"

    at = traitlets.Float(allow_none=True, default_value=None, help="The value of the predictor.").tag(sync=True)

    def __init__(
        self,
        session: Any,
        *,
        target: int | str | None = None,
        predictor: int | str | None = None,
        held: Mapping[int | str, float] | None = None,
        **traits: Any,
    ) -> None:
        check_mixture(session.snapshot.model, "Conditional")
        self.ranges = frames.ranges(session.x)
        names, d = session.names, len(session.names)
        up = min(1, d - 1) if target is None else column_number(target, names)
        other = next((j for j in range(d) if j != up), 0)
        across = other if predictor is None else column_number(predictor, names)
        self._held = {
            column_number(column, names): _finite(value, str(column)) for column, value in (held or {}).items()
        }
        check(session.snapshot.model, session.x, up, across, list(self._held))
        if len(self._held) > MOST_HELD:
            raise ValueError(f"{len(self._held)} columns are to be held; expected {MOST_HELD} at most.")
        super().__init__(session, **{"across": across, "up": up} | traits)
        self.observe(self._forget_place, "across")

    @property
    def held(self) -> dict[str, float]:
        """The columns that are held, and at which values."""
        return {self.session.names[j]: value for j, value in self._held.items() if j not in self.dims}

    def hold(self, **values: float | None) -> None:
        """Holds columns at values; None averages over a column again."""
        held = dict(self._held)
        for name, value in values.items():
            j = column_number(name, self.session.names)
            held.pop(j, None)
            if value is not None:
                held[j] = _finite(value, name)
        if len(held) > MOST_HELD:
            raise ValueError(f"{len(held)} columns would be held; expected {MOST_HELD} at most.")
        self._held = held
        self._redraw()

    def chart(self, snapshot: Snapshot) -> Chart:
        try:
            return given(snapshot.model, self._question(), self._place())
        except (BadData, TypeError) as err:
            return said(str(err))

    def controls(self) -> list[Control]:
        names, options = self.session.names, tuple(enumerate(self.session.names))
        shown = [
            Control("up", "target", self.up, options=options),
            Control("across", "given", self.across, options=options),
        ]
        if others := self._others():
            title = "Hold the other columns at values, or average over them"
            shown.append(Control("hold", f"hold {_some(names, others)}", bool(self.held), kind="switch", title=title))
        for j in others:
            if j in self._held:
                low, high = self.ranges[j]
                shown.append(Control(f"{HELD}{j}", names[j], self._held[j], low=low, high=high,
                                     step=(high - low) / 200, kind="number"))  # fmt: skip
        return shown

    def turned(self, name: str, value: Any) -> None:
        if name == "hold":
            middles = {j: sum(self.ranges[j]) / 2 for j in self._others()[:MOST_HELD]}
            self._held = middles if value is True else {}
            return self._redraw()
        if not name.startswith(HELD):
            return super().turned(name, value)
        self._held = self._held | {int(name.removeprefix(HELD)): _finite(value, name)}
        return self._redraw()

    def placed(self, frame: int, x: float, y: float) -> None:
        if frame != 0:
            return super().placed(frame, x, y)
        low, high = self._question().wide(self.across)
        self.at = min(max(x, low), high)
        return self._redraw()

    def _question(self) -> Question:
        held = {j: value for j, value in self._held.items() if j not in self.dims}
        return Question(self.up, self.across, held, self.session.names, self.ranges)

    def _place(self) -> float:
        return sum(self.ranges[self.across]) / 2 if self.at is None else self.at

    def _others(self) -> list[int]:
        """The columns that are neither target nor predictor."""
        return [j for j in range(len(self.session.names)) if j not in self.dims]

    @traitlets.observe("at")
    def _show_place(self, _: Any) -> None:
        self._redraw()

    def _forget_place(self, _: Any) -> None:
        self.at = None


def _some(names: list[str], columns: list[int]) -> str:
    """The columns that a switch is about, in few words."""
    if len(columns) == 1:
        return names[columns[0]]
    return "the others" if len(columns) <= MOST_HELD else f"{MOST_HELD} others"


def _finite(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Invalid(f"{name} is {value!r}; expected a finite number.")
    return float(value)
