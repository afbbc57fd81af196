"""A widget on a session: what every panel can be asked, from Python and from the browser."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
import traitlets

from gmmlab.algebra import assign, log_prob
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.plot.style import Style, palette_hues, style
from gmmlab.widgets import frames
from gmmlab.widgets.base import LabWidget
from gmmlab.widgets.messages import Invalid, field, integer
from gmmlab.widgets.once import once
from gmmlab.widgets.publisher import Message as Sent
from gmmlab.widgets.session import Session
from gmmlab.widgets.snapshot import Failure, Snapshot
from gmmlab.widgets.still import Still

Message = dict[str, Any]
Mask = Bool[Tensor, "n"] | None

#: The marks that a page made last, by session: the panels of that page have them already.
_drawn: WeakKeyDictionary[Session, Mask] = WeakKeyDictionary()


class Assigned(NamedTuple):
    """Labels and mean log-likelihood under a model."""

    labels: Int[Tensor, "n"]
    evidence: float | None


class Panel(LabWidget):
    """Watches and steers a session. A subclass composes frames and draws pictures of its snapshots."""

    heading: ClassVar[str] = "Fit"
    wide: ClassVar[bool] = False  # whether it stands below an Explorer, not beside it

    session_id = traitlets.Unicode(help="Links the panels of one session.").tag(sync=True)
    height: Any = traitlets.Int(420, min=80, max=4000, help="Height of the plot in pixels.").tag(sync=True)
    theme = traitlets.Enum(["auto", "light", "dark"], "auto", help="Auto follows the page.").tag(sync=True)
    palette = traitlets.Any("okabe", help='Colours of components: "okabe", "tol", or a list of them as "#rrggbb".').tag(
        sync=True, to_json=lambda palette, _: palette_hues(palette)
    )

    def __init__(self, session: Session | Still, **traits: Any) -> None:
        self.session: Any = session
        super().__init__(session_id=session.key, **traits)
        self._marked = session.snapshot.brushed
        self.publisher.offer(session.snapshot)
        self._unsubscribe = session.subscribe(self._follow)

    @classmethod
    def of(cls, X: Any, model: Any, *, sample_weight: Any = None, name: str | None = None, **options: Any) -> Self:
        """The panel of rows and a model: a fitted estimator or a mixture, or an estimator that says how to begin.

        Rows count `sample_weight` times; `name` is what `Runs` calls the session.
        """
        from gmmlab.widgets.opening import session_of

        return cls(session_of(X, model, sample_weight=sample_weight, name=name, what=cls.heading), **options)

    @property
    def model(self) -> Any:
        """The model shown."""
        return self.session.snapshot.model

    @property
    def brushed(self) -> Int[Tensor, "m"]:
        """Numbers of the rows that are marked, in this panel as in all others of its session."""
        return self.session.brushed

    def play(self) -> None:
        """Starts the fit, or goes on with it; returns at once."""
        self.session.play()

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Until the session has settled."""
        return self.session.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """The model once the session has settled; raises what a step raised."""
        return self.session.result(timeout)

    def png(self, path: str | Path | None = None) -> bytes:
        """The picture as PNG, written to `path` if given."""
        data: bytes = self.picture().png()
        if path is not None:
            Path(path).write_bytes(data)
        return data

    def close(self) -> None:
        if hasattr(self, "_unsubscribe"):
            self._unsubscribe()
        super().close()

    def head(self, snapshot: Snapshot, frame: int, failure: Failure | None) -> Message:
        """What every frame says: its number, where the fit is, how far, and what went wrong."""
        progress = snapshot.progress
        return {
            "type": "frame",
            "frame": frame,
            "step": snapshot.step,
            "play": snapshot.play,
            "word": snapshot.word,
            "progress": {"share": progress.share, "remaining": progress.remaining, "estimated": progress.estimated},
            "status": ""
            if snapshot.ending is not None and snapshot.ending.said(snapshot.message)
            else snapshot.message,
            "error": frames.error(failure),
        }

    def marked(self, frame: int, rows: Mask) -> None:  # noqa: ARG002 - all frames are alike
        """Rows were marked in a frame of a view, or let go: all panels of the session mark them."""
        _drawn[self.session] = rows if rows is not None and bool(rows.any()) else None
        self.session.brush(rows)

    def send_rows(self) -> None:
        """What a view gets of the rows when it appears; nothing, unless a panel says so."""

    def send_brush(self) -> None:
        """The marked rows, one byte each, to a view that does not know of them."""
        self.publisher.post(partial(_brush, self.session.snapshot.brushed))

    @property
    def still(self) -> Style:
        """The look of a static picture."""
        return style("dark" if self.theme == "dark" else "light", self.palette)

    @traitlets.validate("palette")
    def _known(self, proposal: Any) -> Any:
        palette_hues(proposal["value"])
        return proposal["value"]

    def _redraw(self, _: Any = None) -> None:
        """The same snapshot, shown anew."""
        if hasattr(self, "_unsubscribe"):  # not while the widget is being made
            self.publisher.offer(self.session.snapshot)

    def _follow(self, snapshot: Snapshot) -> None:
        """In the session's thread: what has changed goes to the view."""
        if snapshot.brushed is not self._marked:
            self._marked = snapshot.brushed
            if self.session not in _drawn or not _same(snapshot.brushed, _drawn[self.session]):
                _drawn.pop(self.session, None)
                if self.publisher.alive:
                    self.send_brush()
        self.publisher.offer(snapshot)

    def _assigned(self, model: Any) -> Assigned:
        return once(self.session, model, assigned, self.session.weight)

    def _evidence(self, snapshot: Snapshot) -> float | None:
        """That of the shown model; unknown between M and the next E."""
        if snapshot.evidence is not None or snapshot.assigned_by is not snapshot.model:
            return snapshot.evidence
        return self._assigned(snapshot.model).evidence


def assigned(model: Any, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None) -> Assigned:
    """Which component each row belongs to, and how well the model does on rows that count `weight` times."""
    labels, evidence = assign(model, x)
    if weight is not None:
        each = log_prob(model, x) if bool(torch.isnan(x).any()) else model.log_prob(x)  # which any family has
        evidence = (weight * each).sum(dtype=torch.float64) / weight.sum(dtype=torch.float64)
    return Assigned(labels, float(evidence) if math.isfinite(evidence) else None)


def _brush(mask: Mask) -> Sent:
    return {"type": "brush"}, [] if mask is None else [mask.to(torch.uint8).numpy().tobytes()]


def _same(one: Mask, other: Mask) -> bool:
    """Whether two masks mark the same rows."""
    return torch.equal(one, other) if one is not None and other is not None else one is other


# what the browser may ask of every panel: each operation checks its message and enqueues, nothing more


def command(name: str) -> Callable[[Panel, Message], None]:
    """A command of the session that takes nothing."""
    return lambda panel, _: getattr(panel.session, name)()


def ready(panel: Panel, _: Message) -> None:
    """A view has appeared: it gets everything."""
    panel.send_rows()
    if panel.session.snapshot.brushed is not None:
        panel.send_brush()
    panel.publisher.ready()


def ack(panel: Panel, message: Message) -> None:
    """A view has painted a frame."""
    panel.publisher.ack(integer(field(message, "frame"), "frame", 0))


def seek(panel: Panel, message: Message) -> None:
    """To a step of the history."""
    panel.session.seek(integer(field(message, "step"), "step", 0))


def brush(panel: Panel, message: Message) -> None:
    """Rows were marked, one bit each; None marks no rows."""
    text = field(message, "mask")
    mask = None if text is None else unpacked(text, len(panel.session.x))
    panel.marked(integer(message.get("frame", 0), "frame", 0), mask)


def unpacked(text: Any, n: int) -> Bool[Tensor, "n"]:
    """The mask of n rows behind base64."""
    try:
        bits = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except (ValueError, TypeError) as err:
        raise Invalid("mask is not base64; expected one bit a row.") from err
    if len(bits) != -(-n // 8):
        raise Invalid(f"mask has {8 * len(bits)} bits; expected one for each of {n} rows.")
    return torch.from_numpy(np.unpackbits(bits, count=n).astype(bool))


COMMANDS = ("play", "pause", "step", "estep", "mstep", "back", "stop", "reset")
OPERATIONS: dict[str, Callable[[Any, Message], None]] = {name: command(name) for name in COMMANDS} | {
    "ready": ready,
    "ack": ack,
    "seek": seek,
    "brush": brush,
}
Panel.ops = OPERATIONS
