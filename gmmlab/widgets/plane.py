"""What widgets share that show two columns of the rows, chosen beside the chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets

from gmmlab.axes import Float, Tensor
from gmmlab.model import Mixture
from gmmlab.plot.chart import Control
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.columns import column_number


class Plane(ChartWidget):
    """A chart of two columns; of rows that have a single one, of that."""

    across = traitlets.Int(0, min=0, help="The column on the horizontal axis.").tag(sync=True)
    up = traitlets.Int(1, min=0, help="The column on the vertical axis.").tag(sync=True)

    def __init__(self, session: Any, *, dims: Sequence[int | str] | None = None, **traits: Any) -> None:
        check_mixture(session.snapshot.model, type(self).__name__)
        if dims is not None:
            across, up = (column_number(column, session.names) for column in dims)
            traits = {"across": across, "up": up} | traits
        super().__init__(session, **traits)
        self.observe(lambda _: self.send_rows(), ["across", "up"])  # before the next frame, which speaks of them

    @property
    def dims(self) -> tuple[int, ...]:
        """The columns that are shown."""
        return (self.across, self.up) if len(self.session.names) > 1 else (0,)

    def columns(self) -> Float[Tensor, "n c"]:
        return self.session.x[:, list(self.dims)]

    def controls(self) -> list[Control]:
        """Two choices of a column, where there is something to choose."""
        names = self.session.names
        if len(names) < 3:
            return []
        options = tuple(enumerate(names))
        return [Control("across", "x", self.across, options=options), Control("up", "y", self.up, options=options)]

    @traitlets.validate("across", "up")
    def _check_column(self, proposal: Any) -> int:
        return column_number(proposal["value"], self.session.names)

    @traitlets.observe("across", "up")
    def _exchange(self, change: Any) -> None:
        """A column that is chosen for both axes leaves the other one to what was there."""
        other = "up" if change["name"] == "across" else "across"
        if self.across == self.up and len(self.session.names) > 1:
            setattr(self, other, change["old"])


def check_mixture(model: Any, what: str) -> None:
    """Raises `TypeError` for the model of a session that is a search, or of any other fit of something else."""
    if not isinstance(model, Mixture):
        raise TypeError(f"{what} shows a mixture, and the model of this session is a {type(model).__name__}.")
