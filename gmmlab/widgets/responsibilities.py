"""Responsibilities: how sure the model is of each row, and which components it confuses."""

from __future__ import annotations

import traitlets

from gmmlab.axes import Bool, Tensor
from gmmlab.plot.adequacy import sampled
from gmmlab.plot.ambiguity import Memberships, ambiguity, memberships
from gmmlab.plot.chart import Chart, Control
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.once import once
from gmmlab.widgets.snapshot import Snapshot, stride

BARS, ENTROPY, CONFUSION = range(3)


class Responsibilities(ChartWidget):
    """Rows as stacked bars, how undecided they are, and what is taken for what; clicks mark rows in all panels."""

    heading = "Responsibilities"
    rate = 5.0

    threshold = traitlets.Float(0.5, min=0, max=1, help="Rows above this relative entropy are unsure.").tag(sync=True)

    def chart(self, snapshot: Snapshot) -> Chart:
        every = stride(snapshot, len(self.session.x))
        found = once(self.session, snapshot.model, memberships, every, self.session.weight)
        return ambiguity(found, threshold=self.threshold, note=sampled(every).strip())

    def controls(self) -> list[Control]:
        return [
            Control("threshold", "unsure above", self.threshold, kind="number"),
            Control("mark", "mark unsure rows", None, kind="button"),
        ]

    def mark(self) -> None:
        """Marks the unsure rows in all panels of the session."""
        self.session.brush(self._unsure())

    def pressed(self, name: str) -> None:  # noqa: ARG002 - there is one
        self.mark()
        if not self._unsure().any():
            raise Invalid(f"No row is as unsure as {self.threshold:g}; drag the line to the left.")

    def placed(self, frame: int, x: float, y: float) -> None:
        if frame != ENTROPY:
            return super().placed(frame, x, y)
        self.threshold = min(1.0, max(0.0, x))
        return None

    def picked(self, frame: int, pick: int, action: str) -> None:
        found = self._found(self.session.snapshot)
        if frame == BARS and pick < len(found.bars.size):
            self.session.brush(found.bars.bar == pick)
        elif frame == CONFUSION and pick < found.confusion.numel():
            self.session.brush(between(found, *divmod(pick, len(found.confusion))))
        else:
            super().picked(frame, pick, action)

    def _unsure(self) -> Bool[Tensor, "n"]:
        return self._found(self.session.snapshot).entropy > self.threshold

    def _found(self, snapshot: Snapshot) -> Memberships:
        """Of all rows, for these are marked."""
        return once(self.session, snapshot.model, memberships, 1, self.session.weight)


def between(found: Memberships, i: int, j: int) -> Bool[Tensor, "n"]:
    """Rows labelled i whose second choice is j; all rows labelled i for j = i. The last number is that of noise."""
    return found.first == i if i == j else (found.first == i) & (found.second == j)
