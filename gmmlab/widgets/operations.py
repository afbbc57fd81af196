"""What the browser may ask of an Explorer: every operation checks its message and enqueues, nothing more.

Places and shapes are in data units, in the pair of columns whose points the browser has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

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


def set_(explorer: Explorer, message: Message) -> None:
    """A setting of the view that the kernel keeps."""
    name, value = field(message, "name"), field(message, "value")
    if name == "dims":
        explorer.dims = [int(i) for i in numbers(value, "dims", (2,)).tolist()]
    elif name == "selected":
        explorer.selected = None if value is None else component(explorer, value)
    elif name == "color_by":
        explorer.color_by = value
    elif name != "view":  # where the page looks is the page's own business
        raise Invalid(f"There is no setting {name!r}; expected dims, selected, color_by or view.")


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
    "set": set_,
}
