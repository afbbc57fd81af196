"""The base of every widget: messages in, frames out, a picture for those without a kernel."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from gmmlab.extras import needs
from gmmlab.widgets import messages
from gmmlab.widgets.display import live, picture_bytes
from gmmlab.widgets.names import refuse_unknown
from gmmlab.widgets.publisher import Flow, Message, Publisher

anywidget = needs("anywidget")

STATIC = Path(__file__).parent / "static"
ANSWERS = 100  # the last of them that are kept, for messages that are said again
UNCOUNTED = ("ready", "ack")  # what may be obeyed any number of times


class LabWidget(anywidget.AnyWidget):  # type: ignore[name-defined]
    """A view of a session.

    The browser speaks through custom messages, whose handlers only check and enqueue. The kernel answers through small
    traits and through the publisher, which alone sends frames. A subclass says what its operations are (`ops`), what a
    frame holds (`compose`), how it is drawn (`picture`) and described (`describe`).
    """

    ops: ClassVar[dict[str, Callable[..., None]]] = {}
    rate: ClassVar[float] = 30.0  # frames a second at most

    def __init__(self, **traits: Any) -> None:
        refuse_unknown(traits, self.options(), type(self).__name__)
        self.publisher = Publisher(self.send, self.compose, flow=Flow(rate=self.rate))
        self._answers: dict[Any, dict[str, Any]] = {}
        super().__init__(**traits)
        self.on_msg(self._receive)

    @classmethod
    def options(cls) -> list[str]:
        """The traits that a person may set."""
        own = set(cls.class_trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names())
        return sorted(name for name in own if not name.startswith("_"))

    def compose(self, snapshot: Any, frame: int) -> Message:
        """Content and buffers of a frame."""
        raise NotImplementedError

    def picture(self) -> Any:
        """The static picture, a `gmmlab.plot.Picture`."""
        raise NotImplementedError

    def describe(self) -> str:
        """What is shown, in one line."""
        raise NotImplementedError

    def close(self) -> None:
        if hasattr(self, "publisher"):  # ipywidgets closes what could not be made, too
            self.publisher.close()
        super().close()

    @property
    def shown_id(self) -> str:
        """The number of the widget that a notebook shows for this one."""
        return str(self.model_id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _receive(self, _: Any, content: Any, __: Any) -> None:
        """Obeys a message and answers it; whatever is wrong with it becomes the answer.

        A page that has heard no answer says a message again, with its number: it is answered and not obeyed again.
        """
        said = content if isinstance(content, dict) else {}
        seq, op = said.get("seq"), said.get("op")
        counted = isinstance(seq, int) and op not in UNCOUNTED
        reply = self._answers.get(seq) if counted else None
        if reply is None:
            reply = self._obeyed(content) | {"type": "reply", "re": seq}
        if counted:
            self._answers[seq] = reply
            if len(self._answers) > ANSWERS:
                del self._answers[next(iter(self._answers))]
        if op != "ack" or not reply["ok"]:  # up to thirty times a second: silence is consent
            self.publisher.post(lambda: (reply, []))

    def _obeyed(self, content: Any) -> dict[str, Any]:
        try:
            self.ops[messages.operation(content, self.ops)](self, content)
        except messages.Invalid as err:
            return {"ok": False, "error": str(err)}
        except Exception as err:  # noqa: BLE001 - an exception in a handler would vanish
            return {"ok": False, "error": f"{type(err).__name__}: {err}"}
        return {"ok": True}

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data: dict[str, Any] = {"text/plain": self.describe()}
        metadata: dict[str, Any] = {}
        if live():
            view = {"version_major": 2, "version_minor": 0, "model_id": self.shown_id}
            data["application/vnd.jupyter.widget-view+json"] = view
        picture = self.picture()
        data["image/png"] = base64.b64encode(picture.png(picture_bytes())).decode()
        metadata["image/png"] = picture.words()
        return data, metadata
