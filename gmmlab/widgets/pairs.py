"""Pairs: the scatter matrix of some columns, or of directions in which components or rows spread."""

from __future__ import annotations

from typing import Any, NamedTuple

import traitlets

from gmmlab import algebra
from gmmlab.algebra.directions import discriminant, principal
from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture
from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.matrix import scatter_matrix
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.snapshot import Snapshot

MOST = 6  # columns shown at once


class Seen(NamedTuple):
    """Rows and their model, in the columns that are looked at."""

    x: Float[Tensor, "n m"]
    axes: Float[Tensor, "m d"] | None  # directions; None for the columns themselves
    names: list[str]

    def model(self, mixture: Mixture) -> Mixture:
        """A mixture of the rows as one of what is looked at."""
        return mixture if self.axes is None else algebra.affine(mixture, self.axes, self.axes.new_zeros(len(self.axes)))


class Pairs(ChartWidget):
    """Every pair of the columns shown; a drag marks rows in all panels, a click shows the pair in the Explorer."""

    heading = "Pairs"
    rate = 5.0

    features = traitlets.List(traitlets.Int(), help="The columns shown, by number.").tag(sync=True)
    basis = traitlets.Enum(["columns", "principal", "discriminant"], "columns", help="What is shown.").tag(sync=True)

    def __init__(self, session: Any, **traits: Any) -> None:
        self._seen: Seen | None = None
        super().__init__(session, **{"features": list(range(min(4, session.x.shape[1])))} | traits)
        self.observe(self._look, ["basis", "features"])

    def chart(self, snapshot: Snapshot) -> Chart:
        seen = self._look()
        model = seen.model(snapshot.model)
        own = seen.axes is None
        dims = [[i] for i in range(seen.x.shape[1])] if own else None
        shown = self.features if own else list(range(min(4, len(seen.names))))
        return scatter_matrix(model, seen.x, seen.names, shown, dims=dims)

    def columns(self) -> Float[Tensor, "n m"]:
        return self._look().x

    def controls(self) -> list[Control]:
        options = (("columns", "columns"), ("principal", "principal axes"), ("discriminant", "discriminant"))
        return [Control("basis", "show", self.basis, options=options)]

    def _look(self, change: Any = None) -> Seen:
        """What is looked at; directions are those of the model at the moment at which they were asked for."""
        if self._seen is None or change is not None:
            x, names = self.session.x, list(self.session.names)
            if self.basis == "columns":
                self._seen = Seen(x, None, names)
            else:
                axes = principal(x) if self.basis == "principal" else discriminant(self.model)
                axes = axes[:MOST]
                sign = "PC" if self.basis == "principal" else "D"
                self._seen = Seen((x.double() @ axes.T).to(x), axes, [f"{sign}{i + 1}" for i in range(len(axes))])
            if change is not None:
                self.send_rows()
                self._redraw()
        return self._seen

    @traitlets.validate("features")
    def _check_features(self, proposal: Any) -> list[int]:
        d, found = self.session.x.shape[1], list(proposal["value"])
        if not 1 <= len(found) <= MOST or len(set(found)) < len(found) or not all(0 <= i < d for i in found):
            raise traitlets.TraitError(f"features={found}; expected 1 to {MOST} different columns from 0 to {d - 1}.")
        return found
