"""What the browser may ask of an Explorer: every operation checks its message and enqueues, nothing more.

Places and shapes are in data units, in the pair of columns whose points the browser has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from traitlets import TraitError

from gmmlab.axes import Float, Tensor
from gmmlab.widgets import frames, steering
from gmmlab.widgets.messages import Invalid, field, integer, numbers
from gmmlab.widgets.panel import OPERATIONS, Message

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

MOST_COMPONENTS = frames.NONE  # labels travel as bytes, and one of them says that there is none
REACH = 1000.0  # how far something may be dragged, in widths of the data


def edit(explorer: Explorer, message: Message) -> None:
    """A component with another mean, another shape, or both."""
    k, mean, factor = component(explorer, field(message, "k")), message.get("mean"), message.get("factor")
    if mean is None and factor is None:
        raise Invalid("edit needs 'mean', 'factor' or both.")
    parts: dict[str, Any] = {} if mean is None else {"mean": place(explorer, mean)}
    parts |= {} if factor is None else {"factor": shape(explorer, factor)}
    change = partial(steering.edited, k=k, dims=explorer.sent_dims, **parts)
    explorer.session.edit(change, tag=("edit", k, explorer.sent_dims, *parts))


def add(explorer: Explorer, message: Message) -> None:
    """One more component."""
    if explorer.model.k >= MOST_COMPONENTS:
        raise Invalid(f"There are {explorer.model.k} components, which is as many as can be shown.")
    mean = place(explorer, field(message, "mean"))
    explorer.session.edit(partial(steering.added, x=explorer.session.x, dims=explorer.sent_dims, mean=mean))


def remove(explorer: Explorer, message: Message) -> None:
    """One component less."""
    k = component(explorer, field(message, "k"))
    if explorer.model.k == 1:
        raise Invalid("The last component cannot be removed; add another one first.")
    explorer.session.remove(k)
    explorer.selected = None


def split(explorer: Explorer, message: Message) -> None:
    """A component as two."""
    if explorer.model.k >= MOST_COMPONENTS:
        raise Invalid(f"There are {explorer.model.k} components, which is as many as can be shown.")
    explorer.session.split(component(explorer, field(message, "k")))


def merge(explorer: Explorer, message: Message) -> None:
    """Two components as one; without the second, it is the one that overlaps most with the first."""
    k, other = component(explorer, field(message, "k")), message.get("other")
    if explorer.model.k == 1:
        raise Invalid("There is nothing to merge the only component with.")
    if other is None:
        explorer.session.edit(partial(steering.merged, k=k), kind="merge", origin=partial(steering.joined, k=k),
                              words=f"Component {k} was merged with its nearest.")  # fmt: skip
    elif component(explorer, other) == k:
        raise Invalid("A component cannot be merged with itself; choose another one.")
    else:
        explorer.session.merge(k, other)


def reseed(explorer: Explorer, message: Message) -> None:
    """A component, or all without one, at other rows."""
    k = message.get("k")
    explorer.session.reseed(None if k is None else component(explorer, k))


def pin(explorer: Explorer, message: Message) -> None:
    """What of a component the fit leaves as it is: mean, covariance, weight."""
    k, what = component(explorer, field(message, "k")), field(message, "pins")
    if not isinstance(what, list) or len(what) != 3 or not all(isinstance(each, bool) for each in what):
        raise Invalid(f"pins is {what!r}; expected three times true or false, for mean, covariance and weight.")
    mean, cov, weight = what
    try:
        explorer.session.pin(k, mean=mean, cov=cov, weight=weight)
    except TypeError as err:  # not every fit can
        raise Invalid(str(err)) from err


def row(explorer: Explorer, message: Message) -> None:
    """The card of a row; None closes it."""
    at = field(message, "row")
    explorer.row = None if at is None else integer(at, "row", 0, len(explorer.session.x))


def set_(explorer: Explorer, message: Message) -> None:
    """A setting of the view that the kernel keeps."""
    name, value = field(message, "name"), field(message, "value")
    if name not in SETTINGS:
        raise Invalid(f"There is no setting {name!r}; expected one of {', '.join(SETTINGS)}.")
    try:
        SETTINGS[name](explorer, value)
    except TraitError as err:
        raise Invalid(str(err)) from err


def _dims(explorer: Explorer, value: Any) -> None:
    explorer.dims = [int(i) for i in numbers(value, "dims", (2,)).tolist()]


def _selected(explorer: Explorer, value: Any) -> None:
    explorer.selected = None if value is None else component(explorer, value)


def _color_by(explorer: Explorer, value: Any) -> None:
    explorer.color_by = value


def _contours(explorer: Explorer, value: Any) -> None:
    explorer.contours = value


def _view(explorer: Explorer, value: Any) -> None:
    """Where the page looks; only contours depend on it."""
    x, y = numbers(value, "view", (2, 2)).tolist()
    if not (x[0] < x[1] and y[0] < y[1]):
        raise Invalid(f"view is {value!r}; expected low before high.")
    explorer.look((x[0], x[1]), (y[0], y[1]))


SETTINGS: dict[str, Callable[[Explorer, Any], None]] = {
    "dims": _dims,
    "selected": _selected,
    "color_by": _color_by,
    "contours": _contours,
    "view": _view,
}


def component(explorer: Explorer, value: Any) -> int:
    """A checked component number."""
    return integer(value, "k", 0, explorer.model.k)


def place(explorer: Explorer, value: Any) -> Float[Tensor, "2"]:
    """A checked point not absurdly far from the data."""
    mean = numbers(value, "mean", (2,))
    for at, dim in zip(mean.tolist(), explorer.sent_dims, strict=True):
        low, high = explorer.ranges[dim]
        if abs(at - low) > REACH * (high - low):
            raise Invalid(f"mean holds {at:g}, far outside the data, which are in {low:g} to {high:g}.")
    return mean


def shape(explorer: Explorer, value: Any) -> Float[Tensor, "2 2"]:
    """A checked factor, neither flat nor absurdly large beside the data."""
    factor = numbers(value, "factor", (2, 2))
    width = torch.tensor([high - low for low, high in (explorer.ranges[dim] for dim in explorer.sent_dims)])
    lengths = torch.linalg.svdvals(factor / width.to(factor)[:, None])
    if float(lengths.max()) > REACH or float(lengths.min()) < 1 / REACH**2:
        raise Invalid("This ellipse is too flat or too large to be a covariance; drag its axis the other way.")
    return factor


TABLE: dict[str, Callable[[Explorer, Message], None]] = OPERATIONS | {
    "edit": edit,
    "add": add,
    "remove": remove,
    "split": split,
    "merge": merge,
    "reseed": reseed,
    "pin": pin,
    "row": row,
    "set": set_,
}
