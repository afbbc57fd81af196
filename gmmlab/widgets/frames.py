"""What a browser is told: snapshots and rows as small dictionaries and buffers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.ellipses import ellipses
from gmmlab.widgets.history import Point
from gmmlab.widgets.pins import Pins
from gmmlab.widgets.snapshot import Failure, Snapshot

Pair = tuple[int, int]
Range = tuple[float, float]

LONGEST_TRACE = 400
NONE = 255  # the label of rows that belong to no component (noise); the other bytes are components


def points(x: Float[Tensor, "n d"], shown: Sequence[tuple[int, Range]]) -> bytes:
    """Two columns, interleaved, as float32 parts of their ranges: data far from zero (dates, say) keep their digits."""
    parts = [gaps.parts(x[:, i], within) for i, within in shown]
    return torch.stack(parts, dim=1).float().cpu().numpy().tobytes()


def labels(assigned: Int[Tensor, "n"]) -> bytes:
    """One byte a row."""
    return torch.where(assigned < 0, NONE, assigned).to(torch.uint8).cpu().numpy().tobytes()


def ranges(x: Float[Tensor, "n d"]) -> list[Range]:
    """Lowest and highest value of each column; one unit around a constant."""
    return [gaps.extent(column) for column in x.T]


def shades(part: Float[Tensor, "n"]) -> bytes:
    """Parts of one, 0 to 1, as one byte a row."""
    return (255 * part).round().to(torch.uint8).cpu().numpy().tobytes()


def around(ranges: Sequence[Range], margin: float = 0.15) -> tuple[Range, Range]:
    """Two ranges with a margin."""
    x, y = ((low - margin * (high - low), high + margin * (high - low)) for low, high in ranges)
    return x, y


def components(model: Mixture, dims: Pair, pins: Pins | None = None) -> list[dict[str, Any]]:
    """Weight, mean and principal factor of every component in the shown columns, and what of it is pinned."""
    parts = zip(*(part.tolist() for part in ellipses(model, dims)), strict=True)
    told = [{"k": k, "weight": w, "mean": mean, "factor": factor} for k, (w, mean, factor) in enumerate(parts)]
    for k, pin in (pins or {}).items():
        told[k]["pins"] = list(pin)
    return told


def freedom(model: Mixture) -> str:
    """How ellipses may be pulled: "free", along the "axes" only, or "round", alike in all columns."""
    structure = model.located.structure
    if structure.dense:
        return "free"
    return "round" if structure.spherical else "axes"


def curve(trace: Sequence[Point], step: int, evidence: float | None) -> list[Point]:
    """A thinned trace in which the shown step has the evidence shown, so that one state has one number."""
    points = thinned(trace)
    if evidence is not None:
        at = bisect_left([known for known, _ in points], step)
        known = at < len(points) and points[at][0] == step
        points[at : at + known] = [(step, evidence)]
    return points


def thinned(trace: Sequence[Point], most: int = LONGEST_TRACE) -> list[Point]:
    """At most `most` points of a trace, evenly taken, with both ends."""
    points = list(trace)
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def title(snapshot: Snapshot, evidence: float | None) -> str:
    """Step and log-likelihood, for the head of a picture."""
    return f"Step {snapshot.step}" + ("" if evidence is None else f" · mean log-likelihood {evidence:.4f}")


def error(failure: Failure | None) -> dict[str, Any] | None:
    """What went wrong and where, in words that travel."""
    return None if failure is None else {"message": str(failure), "traceback": failure.traceback, "at": failure.at}
