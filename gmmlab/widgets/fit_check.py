"""Fit check: whether the rows look as if they came from the model."""

from __future__ import annotations

import traitlets

from gmmlab.plot.adequacy import adequacy, check, density_of
from gmmlab.plot.chart import Chart, Control
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.once import once
from gmmlab.widgets.snapshot import Snapshot, stride


class FitCheck(ChartWidget):
    """Distances, columns and densities beside what they should be; a click on a row that fits badly marks it."""

    heading = "Fit check"
    rate = 4.0

    column = traitlets.Int(0, min=0, help="The column that is checked, by number.").tag(sync=True)
    component = traitlets.Int(-1, min=-1, help="The component whose distances are shown; -1 for all.").tag(sync=True)

    def chart(self, snapshot: Snapshot) -> Chart:
        model, every = snapshot.model, stride(snapshot, len(self.session.x))
        found = once(self.session, model, check, every, self.session.weight)
        density = once(self.session, model, density_of, self.column, every, self.session.weight)
        component = self.component if 0 <= self.component < model.k else None
        return adequacy(found, density, self.session.names, column=self.column, component=component, every=every)

    def controls(self) -> list[Control]:
        components = [(-1, "all"), *((k, str(k + 1)) for k in range(self.model.k))]
        columns = tuple(enumerate(self.session.names))
        return [
            Control("component", "component", self.component, options=tuple(components)),
            Control("column", "column", self.column, options=columns),
        ]

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - all its elements are rows
        self.session.brush([pick])

    @traitlets.validate("column")
    def _check_column(self, proposal: dict) -> int:
        d = self.session.x.shape[1]
        if proposal["value"] >= d:
            raise traitlets.TraitError(f"There is no column {proposal['value']}; expected 0 to {d - 1}.")
        return int(proposal["value"])
