"""How far a fit is, how fast it goes, and how long it may still take: unknown unless it can be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

WINDOWS = (4, 8)  # gains over which the rate is taken; they have to agree
AGREE = 2.0  # within this factor
FEWEST = 5.0  # steps by which they may differ anyhow
WEIGHT = 0.2  # of the latest step in the average time of one


@dataclass(frozen=True)
class Progress:
    """How far a fit is. None where nothing is known.

    `done` of `total` are steps, or the `unit` that the fit itself counts in. A total that is extrapolated is
    `estimated`. `seconds` are those at work: pauses do not count.
    """

    done: int = 0
    total: int | None = None
    estimated: bool = False
    unit: str = "steps"
    seconds: float = 0.0
    remaining: float | None = None  # seconds
    steps_per_second: float | None = None
    rows_per_second: float | None = None

    @property
    def share(self) -> float | None:
        """Of the whole, from 0 to 1."""
        return None if not self.total else min(1.0, self.done / self.total)


@dataclass
class Pace:
    """Seconds at work, and for a step: an average in which the latest count most."""

    seconds: float = 0.0
    per_step: float | None = None

    def clear(self) -> None:
        """Begins anew."""
        self.seconds, self.per_step = 0.0, None

    def took(self, seconds: float, steps: int) -> None:
        """Counts work in which the fit was asked for so many steps."""
        self.seconds += seconds
        if steps:
            one, known = seconds / steps, self.per_step
            self.per_step = one if known is None else (1 - WEIGHT) * known + WEIGHT * one


def progress(
    step: int, evidences: Sequence[float], pace: Pace, rows: int, *, tol: float | None, left: int | None, counted: Any
) -> Progress:
    """Out of what is known: the latest evidences, the tolerance, steps left at most, what the fit itself counts."""
    speed = 1 / pace.per_step if pace.per_step else None
    known = Progress(step, seconds=pace.seconds, steps_per_second=speed, rows_per_second=speed and rows * speed)
    done, total = getattr(counted, "finished", None), getattr(counted, "total", None)
    if done is not None and total:
        remaining = pace.seconds * (total / done - 1) if done else None
        return replace(known, done=done, total=total, unit="fits", remaining=remaining)
    told = None if tol is None else steps_to_go(evidences, tol)
    to_go = min((steps for steps in (told, left) if steps is not None), default=None)
    if to_go is None:
        return known
    remaining = None if pace.per_step is None else to_go * pace.per_step
    return replace(known, total=step + to_go, estimated=to_go != left, remaining=remaining)


def steps_to_go(evidences: Sequence[float], tol: float) -> int | None:
    """Steps until the evidence gains less than `tol`, if the gains go on to shrink as they have of late.

        gain_m = gain_0 r^m < tol,    r = (gain_0 / gain_-w)^(1 / w)

    None where that cannot be told: too few steps, gains that do not shrink, or a rate that is not the same over the
    last four and the last eight of them (EM often slows down before it ends). See Aitken (1926).
    """
    gains = [after - before for before, after in pairwise(evidences)]
    if gains and abs(gains[-1]) < tol:
        return 0
    each = [_steps(gains, width, tol) for width in WINDOWS]
    if any(steps is None for steps in each):
        return None
    low, high = sorted(steps for steps in each if steps is not None)
    return math.ceil(high) if high <= AGREE * low + FEWEST else None


def _steps(gains: Sequence[float], width: int, tol: float) -> float | None:
    if len(gains) <= width or min(gains[-1], gains[-1 - width]) <= 0:
        return None
    rate = (gains[-1] / gains[-1 - width]) ** (1 / width)
    return math.log(tol / gains[-1]) / math.log(rate) if rate < 1 else None
