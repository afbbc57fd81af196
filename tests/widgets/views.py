"""Models of every kind on the same rows, for widgets that show them."""

from __future__ import annotations

from typing import Any

import torch

import gmmlab
from gmmlab.plot.chart import Frame
from gmmlab.widgets.session import Session

MODELS = {
    "three": gmmlab.GaussianMixture(3, random_state=0, tol=1e-9, max_iter=500),
    "one": gmmlab.GaussianMixture(1, random_state=0),
    "diagonal": gmmlab.GaussianMixture(2, covariance_type="diag", random_state=0),
    "noise": gmmlab.GaussianMixture(2, noise=True, random_state=0),
    "student": gmmlab.StudentMixture(2, random_state=0, max_iter=500),
    "factors": gmmlab.FactorMixture(2, n_factors=1, random_state=0, max_iter=500),
}


def session(name: str, x: torch.Tensor) -> Session:
    """A session at a fitted model."""
    return Session(x, MODELS[name].fit(x).mixture_)


def with_gaps(x: torch.Tensor) -> torch.Tensor:
    """Every fifth row lacks its first column, another fifth its second one."""
    x = x.clone()
    x[::5, 0] = torch.nan
    x[1::5, 1] = torch.nan
    return x


def obey(widget: Any, op: str, **fields: Any) -> None:
    """A message from the page."""
    widget.ops[op](widget, {"v": 1, "op": op, "seq": 1, **fields})
    widget.session.wait(10)


def shown(widget: Any) -> dict[str, Any]:
    """The frame that goes to the page."""
    content, _ = widget.compose(widget.session.snapshot, 1)
    assert content["error"] is None
    frame: dict[str, Any] = content
    return frame


def frames(widget: Any) -> list[Any]:
    """The frames and tables of the chart that a widget shows."""
    return list(widget.chart(widget.session.snapshot).frames())


def marks(frame: Frame, kind: type) -> list[Any]:
    """The marks of one kind in a frame."""
    return [mark for mark in frame.marks if isinstance(mark, kind)]
