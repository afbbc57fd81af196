"""Compare: the model of a session beside another one on the same rows; matched components have one colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from gmmlab.algebra import assign
from gmmlab.axes import Int, Tensor
from gmmlab.errors import BadData
from gmmlab.plot.chart import Chart, Control, said
from gmmlab.plot.versus import Side, check_columns, plane, renamed, sides, versus
from gmmlab.score.comparison import Comparison, compare
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.once import Kept, Later
from gmmlab.widgets.plane import Plane, check_mixture
from gmmlab.widgets.snapshot import FEW, Snapshot

SHOWN: dict[str, int | None] = {"both": None, "left": 0, "right": 1}


class Compare(Plane):
    """The model shown by a session on the left, another one on the right: the start of the session unless given.

    A click on a cell of the table marks its rows in all panels. `show="left"` or `"right"` draws one of the two alone,
    and `blink` changes to the other one in its place.
    """

    heading = "Compare"

    show = traitlets.Enum(list(SHOWN), "both", help="Both models, or one in the place of both.").tag(sync=True)
    swapped = traitlets.Bool(False, help="The other model stands on the left.").tag(sync=True)

    def __init__(
        self, session: Any, other: Any = None, *, dims: Sequence[int | str] | None = None, **traits: Any
    ) -> None:
        check_mixture(session.snapshot.model, "Compare")
        self.other = getattr(other, "mixture_", other) or session.start
        self.names = "this model", "the start" if other is None else "the other"
        check_columns([session.snapshot.model, self.other], session.x)
        x, fixed, weight = session.x, self.other, session.weight
        self._of_other = assign(fixed, x)[0]  # says now what rows it does not take
        few = slice(None, None, -(-len(x) // FEW))
        some = x[few], None if weight is None else weight[few]
        self._found = Later(lambda model: compare(model, fixed, x, weight), self._redraw)
        self._in_few = Kept(lambda model: compare(model, fixed, *some)) if len(some[0]) < len(x) else self._found
        super().__init__(session, dims=dims, **traits)

    def chart(self, snapshot: Snapshot) -> Chart:
        return self._versus(snapshot, self._found)

    def at_once(self, snapshot: Snapshot) -> Chart:
        """Of some rows, until all have been compared."""
        return self._versus(snapshot, self._found if self._in_few is self._found else self._found.at_once)

    def close(self) -> None:
        if hasattr(self, "_found"):
            self._found.close()
        super().close()

    def _versus(self, snapshot: Snapshot, ask: Callable[[Any], Any]) -> Chart:
        """What is known once all rows have been asked for."""
        try:
            if snapshot.play != "playing":
                ask(snapshot.model)
            both, found = self._sides(snapshot)
            shown = plane(self.session.x, self.dims, self.session.names)
            return versus(both, found, shown, only=SHOWN[self.show], few=len(found.gain) < len(self.session.x))
        except (BadData, TypeError) as err:
            return said(str(err))

    def colours(self, snapshot: Snapshot) -> list[Int[Tensor, "n"]]:
        """Those of each side, as numbers of the session's components."""
        found = self._compared(snapshot)
        both = [self._assigned(snapshot.model).labels, renamed(self._of_other, found.match.tolist())]
        return both[::-1] if self.swapped else both

    def controls(self) -> list[Control]:
        options = (("both", "side by side"), ("left", "left"), ("right", "right"))
        return [
            *super().controls(),
            Control("show", "show", self.show, options=options),
            Control("blink", "blink", None, kind="button", title="One of the two, then the other in its place"),
            Control("swapped", "swap", self.swapped, kind="switch", title="Left and right exchanged"),
        ]

    def pressed(self, name: str) -> None:
        if name != "blink":
            return super().pressed(name)
        self.show = "right" if self.show == "left" else "left"
        return None

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - only the table has cells
        """A cell of the table: its rows are marked."""
        snapshot = self.session.snapshot
        labels, (both, found) = self.colours(snapshot), self._sides(snapshot)
        counts = found.counts
        if pick >= counts.numel():
            raise Invalid(f"pick is {pick}; expected a cell of the table, 0 to {counts.numel() - 1}.")
        wanted = [_number(side, k) for side, k in zip(both, divmod(pick, counts.shape[1]), strict=True)]
        self.session.brush((labels[0] == wanted[0]) & (labels[1] == wanted[1]))

    def _compared(self, snapshot: Snapshot) -> Comparison:
        """Of all rows if that is known; to wait for it would hold up every frame."""
        found = self._found.known(snapshot.model)
        return self._in_few(snapshot.model) if found is None else found

    def _sides(self, snapshot: Snapshot) -> tuple[tuple[Side, Side], Comparison]:
        """As they stand, left and right."""
        found = self._compared(snapshot)
        left, right = sides(snapshot.model, self.other, found, self.names)
        if not self.swapped:
            return (left, right), found
        return (right, left), found._replace(counts=found.counts.T, gain=-found.gain)


def _number(side: Side, label: int) -> int:
    """The number of a label of the table, whose last one is noise."""
    return side.number[label] if label < len(side.number) else -1
