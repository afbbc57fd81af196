"""Pairs: the scatter matrix of some columns, or of directions in which components or rows spread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import traitlets

from gmmlab import algebra
from gmmlab.algebra.directions import discriminant, principal
from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture
from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.matrix import Spread, scatter_matrix
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.columns import column_number
from gmmlab.widgets.snapshot import Snapshot

Weight = Float[Tensor, "n"] | None
MOST = 6  # columns shown at once
DIRECTIONS = 4  # the same of directions


class Columns:
    """Some of the columns, and only these."""

    def __init__(self, x: Float[Tensor, "n d"], weight: Weight, dims: Sequence[int], names: Sequence[str]) -> None:
        self.x, self.weight, self.names = x[:, list(dims)], weight, [names[j] for j in dims]
        self._dims, self.links = list(dims), list(dims)  # which of the columns; what a click asks the Explorer for

    def model(self, mixture: Mixture) -> Mixture:
        """A mixture of the rows as one of what is looked at."""
        return algebra.marginal(mixture, self._dims)

    @cached_property
    def spreads(self) -> list[Spread]:
        return [Spread.of(column, self.weight) for column in self.x.T]


class Directions(Columns):
    """What rows are along directions."""

    def __init__(self, x: Float[Tensor, "n d"], weight: Weight, axes: Float[Tensor, "m d"], sign: str) -> None:
        names = [f"{sign}{i + 1}" for i in range(len(axes))]
        super().__init__((x.double() @ axes.T).to(x), weight, range(len(axes)), names)
        self.axes, self.links = axes, []

    def model(self, mixture: Mixture) -> Mixture:
        return algebra.affine(mixture, self.axes, self.axes.new_zeros(len(self.axes)))


class Pairs(ChartWidget):
    """Every pair of the columns shown; a drag marks rows in all panels, a click shows the pair in the Explorer.

    `features` may be names of columns when it is made; the trait has their numbers.
    """

    heading = "Pairs"
    rate = 5.0

    features = traitlets.List(traitlets.Int(), help="The columns shown, by number.").tag(sync=True)
    basis = traitlets.Enum(["columns", "principal", "discriminant"], "columns", help="What is shown.").tag(sync=True)

    def __init__(self, session: Any, **traits: Any) -> None:
        self._seen: Columns | None = None
        features = traits.pop("features", range(min(4, session.x.shape[1])))
        numbers = [column_number(column, session.names) if isinstance(column, str) else column for column in features]
        super().__init__(session, features=numbers, **traits)
        self.observe(self._look, ["basis", "features"])

    def chart(self, snapshot: Snapshot) -> Chart:
        seen = self._look()
        return scatter_matrix(seen.model(snapshot.model), len(seen.x), seen.spreads, seen.names, dims=seen.links)

    def columns(self) -> Float[Tensor, "n m"]:
        return self._look().x

    def controls(self) -> list[Control]:
        options = (("columns", "columns"), ("principal", "principal axes"), ("discriminant", "discriminant"))
        return [Control("basis", "show", self.basis, options=options)]

    def _look(self, change: Any = None) -> Columns:
        """What is looked at; directions are those of the model at the moment at which they were asked for."""
        if self._seen is None or change is not None:
            rows = self.session.x, self.session.weight
            if self.basis == "columns":
                self._seen = Columns(*rows, self.features, self.session.names)
            elif self.basis == "principal":
                self._seen = Directions(*rows, principal(rows[0])[:DIRECTIONS], "PC")
            else:
                self._seen = Directions(*rows, discriminant(self.model)[:DIRECTIONS], "D")
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
