"""Labeler: labels are painted and rows are linked, and the fit follows.

labeler = Labeler.begin(X, n_components=3)
labeler.labels, labeler.must, labeler.cannot, labeler.frame
labeler.load(labels)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
import traitlets

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.extras import needs
from gmmlab.fit.supervised import supervised
from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.ellipses import noise
from gmmlab.plot.labelled import labelled
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.facts import Facts, Pair
from gmmlab.widgets.labelling import labelling
from gmmlab.widgets.messages import Invalid, integer
from gmmlab.widgets.numbering import Numbering, Way
from gmmlab.widgets.runs import called
from gmmlab.widgets.snapshot import Snapshot
from gmmlab.widgets.undo import Undo

PAINT, LASSO, ERASE, ALIKE, UNLIKE = TOOLS = ("paint", "lasso", "erase", "alike", "unlike")
BRUSHES = {PAINT: "round", LASSO: "lasso", ERASE: "round", ALIKE: "row", UNLIKE: "row"}
ASKED = 5  # rows that are suggested at once
MOST_KEYS = 9
HINT = "Labels are numbers of components as shown: give a row the number of the component that it belongs to."


class Labeler(ChartWidget):
    """Rows in two columns, grey where nothing is known of them; every label and link refits the model at once.

    In Python labels count from 0, on the screen components count from 1, as in all panels.
    The session's fit has to take them: see `labelling`, or use `begin`.
    """

    heading = "Labeler"

    tool = traitlets.Enum(list(TOOLS), PAINT, help="What a drag or a click does.").tag(sync=True)
    label = traitlets.Int(0, min=0, help="The label that is painted.").tag(sync=True)
    size = traitlets.Float(14, min=2, max=80, help="Radius of the round brush in pixels.").tag(sync=True)
    suggest = traitlets.Bool(False, help="Ring the rows that the model is least sure of.").tag(sync=True)
    across = traitlets.Int(0, min=0, help="The column from left to right.").tag(sync=True)
    up = traitlets.Int(1, min=0, help="The column from bottom to top.").tag(sync=True)

    def __init__(self, session: Any, **traits: Any) -> None:
        settings = session.snapshot.settings
        if not {"labels", "must", "cannot"} <= settings.keys():
            raise TypeError(
                "The fit of this session takes no labels; expected one made by labelling(x). "
                "Labeler.begin(X) makes both."
            )
        facts = Facts(settings["labels"].clone(), tuple(settings["must"]), tuple(settings["cannot"]))
        self._facts = Undo(facts)
        self._changing = threading.RLock()
        self._begun: int | None = None  # the first row of a link
        self._asked: tuple[Any, Any, list[int]] = (None, None, [])  # model, facts and the rows least sure under them
        self._numbering: Numbering = session.snapshot.numbering
        self._before: dict[Numbering, tuple[Undo[Facts], Undo[Facts]]] = {}  # what was known before and after an edit
        super().__init__(session, **traits)
        self._stop_renumbering = session.subscribe(self._renumber)
        self.observe(self._forget_link, "tool")
        self.observe(self._resend, ["across", "up"])

    @classmethod
    def begin(cls, X: Any, *, labels: Any = None, **options: Any) -> Self:
        """A Labeler with a session of its own, which starts as `gmmlab.explore` does with the same `options`."""
        from gmmlab.data import as_rows
        from gmmlab.widgets.opening import explore

        own = {name: options.pop(name) for name in list(options) if name in cls.options()}
        rows = as_rows(X, min_rows=2, missing=True)
        fit = labelling(rows.x, None if labels is None else torch.as_tensor(labels))
        options = {"name": called(cls.heading, rows.x, rows.names)} | options
        return cls(explore(X, fit=fit, panels=(), **options).session, **own)

    # from Python

    @property
    def labels(self) -> Int[Tensor, "n"]:
        """The label of each row, -1 where it is unknown."""
        return self._facts.now.labels.clone()

    @property
    def must(self) -> tuple[Pair, ...]:
        """Pairs of rows that are alike."""
        return self._facts.now.must

    @property
    def cannot(self) -> tuple[Pair, ...]:
        """Pairs of rows that are unlike."""
        return self._facts.now.cannot

    @property
    def frame(self) -> Any:
        """The labelled rows as a DataFrame: their number and their label."""
        labels = self._facts.now.labels
        rows = (labels >= 0).nonzero().flatten()
        return needs("pandas", "data").DataFrame({"row": rows.numpy(), "label": labels[rows].numpy()})

    def load(self, labels: Any, *, must: Any = (), cannot: Any = ()) -> None:
        """Other labels and links in place of these, as one change that can be undone.

        Raises `BadData` for those that contradict each other or name no component.
        """
        given = torch.as_tensor(labels)
        pairs = [tuple((int(i), int(j)) for i, j in links) for links in (must, cannot)]
        with self._changing:
            self._take(self._facts.change(Facts(given if given.is_floating_point() else given.long(), *pairs)))

    def paint(self, rows: Any, label: int) -> None:
        """Rows, by their numbers or a mask, with a label; -1 takes labels and links away."""
        mask = self._mask(rows)
        with self._changing:
            facts = self._facts.now
            self._take(self._facts.change(facts.erase(mask) if label < 0 else facts.paint(mask, label)))

    def link(self, i: int, j: int, *, alike: bool) -> None:
        """Rows i and j are alike or unlike; said twice, it is taken back."""
        with self._changing:
            self._take(self._facts.change(self._facts.now.link(i, j, alike=alike)))

    def undo(self) -> None:
        """Takes the latest change back."""
        with self._changing:
            self._take(self._facts.undo())

    def redo(self) -> None:
        """Makes the change that was taken back last."""
        with self._changing:
            self._take(self._facts.redo())

    def clear(self) -> None:
        """Nothing is known of any row."""
        with self._changing:
            self._take(self._facts.change(Facts.none(len(self.session.x))))

    def close(self) -> None:
        if hasattr(self, "_stop_renumbering"):
            self._stop_renumbering()
        super().close()

    # what is shown

    def chart(self, snapshot: Snapshot) -> Chart:
        facts, model = self._facts.now, snapshot.model
        painting = {PAINT: self._label, LASSO: self._label, ERASE: -1}
        names = [*self.session.names, "row"]
        frame = labelled(
            self.columns(), model, (self.across, self.up), facts.within(model.k),
            must=facts.must, cannot=facts.cannot, asked=self._unsure(snapshot), begun=self._begun,
            names=(names[self.across], names[self.up if self._plane else -1]),
            brush=BRUSHES[self.tool], radius=self.size if BRUSHES[self.tool] == "round" else 0.0,
            paint=painting.get(self.tool),
        )  # fmt: skip
        return Chart([[frame]], alt=self._words(facts, model.k), note=self._note())

    def columns(self) -> Float[Tensor, "n 2"]:
        x = self.session.x
        return x[:, [self.across, self.up]] if self._plane else torch.stack([x[:, 0], torch.arange(len(x)).to(x)], 1)

    def colours(self, snapshot: Snapshot) -> list[Int[Tensor, "n"]]:
        """The labels as colours."""
        return [self._facts.now.within(snapshot.model.k)]

    def controls(self) -> list[Control]:
        k, names = self.model.k, self.session.names
        keys = tuple(str(j + 1) for j in range(k)) if k <= MOST_KEYS else ()
        numbers = tuple((j, str(j + 1)) for j in range(k))
        tools = tuple((tool, tool) for tool in TOOLS)
        columns = tuple(enumerate(names))
        shown = [
            Control("across", "across", self.across, options=columns),
            Control("up", "up", self.up, options=columns),
        ]
        return [
            Control("tool", "", self.tool, options=tools, keys=("b", "l", "e", "a", "u")),
            Control("label", "label", self._label, options=numbers, keys=keys, tones=tuple(range(k))),
            Control("size", "size", self.size, low=4, high=60, step=2, kind="number", keys=("-", "+")),
            Control("suggest", "suggest next", self.suggest, kind="switch", keys=("n",), title="Ring unsure rows"),
            Control("undo", "undo", None, kind="button", keys=("z",)),
            Control("redo", "redo", None, kind="button", keys=("y",)),
            Control("clear", "clear", None, kind="button"),
            *(shown if len(names) > 2 else []),
        ]

    # what the person does

    def marked(self, frame: int, rows: Bool[Tensor, "n"] | None) -> None:
        if rows is None:
            return super().marked(frame, rows)
        with self._telling():
            if self.tool in (ALIKE, UNLIKE):
                for row in rows.nonzero().flatten().tolist()[:1]:
                    self._click(row)
            else:
                self.paint(rows, -1 if self.tool == ERASE else self._label)
        return None

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - there is one frame
        row = integer(pick, "pick", 0, len(self.session.x))
        with self._telling():
            if self.tool in (ALIKE, UNLIKE):
                self._click(row)
            else:
                self.paint([row], -1 if self.tool == ERASE else self._label)

    def pressed(self, name: str) -> None:
        with self._telling():
            getattr(self, name)()

    def _click(self, row: int) -> None:
        """The first or the second row of a link; the same row twice is none."""
        first, self._begun = self._begun, None
        if first is None:
            self._begun = row
        elif first != row:
            return self.link(first, row, alike=self.tool == ALIKE)
        return self._redraw()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """A contradiction becomes a sentence in the widget, and what is painted there is taken back."""
        try:
            yield
        except BadData as err:
            self._redraw()
            raise Invalid(as_shown(str(err))) from err

    # changes

    def _take(self, changed: Undo[Facts]) -> None:
        """What is known from now on. Raises `BadData`, and changes nothing, if it cannot be."""
        if changed is self._facts:
            return
        if changed.now is not self._facts.now:
            model = self.model
            changed.now.check(model.k, noise=noise(model) is not None)
        self._facts = changed
        self.session.set(**changed.now.settings).play()
        self._redraw()

    def _renumber(self, snapshot: Snapshot) -> None:
        """Components have come or gone, or come back: labels follow them."""
        way, self._numbering = Way.between(self._numbering, snapshot.numbering), snapshot.numbering
        if way == ([], []):
            return
        with self._changing:
            for each in way.left:
                self._facts = self._returned(each)
            for each in way.entered:
                self._facts = self._moved(each)
            self.session.set(**self._facts.now.settings)
        self._redraw()

    def _moved(self, to: Numbering) -> Undo[Facts]:
        """What is known, in the numbers after an edit."""
        before, lineage = self._facts, to.lineage
        after = before if lineage is None else before.map(lambda facts: facts.after(lineage))
        self._before[to] = before, after
        return after

    def _returned(self, left: Numbering) -> Undo[Facts]:
        """What is known, in the numbers before an edit: rows whose labels are as it left them have those of before."""
        before, after = self._before.pop(left, (None, None))
        if before is not None and self._facts is after:
            return before
        lineage, back = left.lineage, left.back
        if lineage is None or back is None:
            return self._facts
        facts = self._facts.map(lambda facts: facts.after(back))
        if before is None:
            return facts
        same = self._facts.now.labels == before.now.after(lineage).labels
        return facts.amend(facts.now.relabelled(same, before.now.labels))

    def _unsure(self, snapshot: Snapshot) -> list[int]:
        """The rows to label next; while the fit plays, those of before."""
        if not self.suggest:
            return []
        model, facts = snapshot.model, self._facts.now
        latest = self._asked[0] is model and self._asked[1] is facts
        if not latest and (snapshot.play != "playing" or not self._asked[2]):
            source = supervised(self.session.x, facts.within(model.k), must=facts.must, cannot=facts.cannot)
            self._asked = (model, facts, source.unsure(model, ASKED).tolist())
        return [row for row in self._asked[2] if int(facts.labels[row]) < 0]

    def _forget_link(self, _: Any) -> None:
        self._begun = None

    def _resend(self, _: Any) -> None:
        self.send_rows()
        self._redraw()

    # in words

    def _words(self, facts: Facts, k: int) -> str:
        counts = facts.counts(k)
        each = ", ".join(f"{count} of component {j + 1}" for j, count in enumerate(counts) if count)
        links = f"{len(facts.must)} pair{'s' * (len(facts.must) != 1)} alike, {len(facts.cannot)} unlike"
        return f"{sum(counts):,} of {len(facts.labels):,} rows labelled{f' ({each})' if each else ''}; {links}."

    def _note(self) -> str:
        if self._begun is not None:
            return f"Row {self._begun} is chosen: click the row that is {self.tool}, or the same again."
        return HINT

    @property
    def _label(self) -> int:
        return min(self.label, self.model.k - 1)

    @property
    def _plane(self) -> bool:
        """Whether there are two columns to show; a single one is shown against the number of the row."""
        return bool(self.session.x.shape[1] > 1)

    def _mask(self, rows: Any) -> Bool[Tensor, "n"]:
        mask = torch.zeros(len(self.session.x), dtype=torch.bool)
        mask[torch.as_tensor(rows)] = True
        return mask

    @traitlets.validate("across", "up")
    def _check_column(self, proposal: Any) -> int:
        column, d = proposal["value"], max(2, self.session.x.shape[1])
        if not column < d:
            raise traitlets.TraitError(f"There is no column {column}; expected 0 to {d - 1}.")
        return int(column)


def as_shown(sentence: str) -> str:
    """A sentence about labels with the numbers that components have on the screen."""
    return re.sub(r"label (\d+)", lambda found: f"label {int(found[1]) + 1}", sentence)
