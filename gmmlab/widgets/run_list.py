"""Runs: the fits that are alive, how far and how fast they are, and buttons to pause, stop and look at them."""

from __future__ import annotations

from typing import Any

from gmmlab.plot.chart import Chart, Table
from gmmlab.widgets import runs
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.explorer import Explorer
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.runs import Run
from gmmlab.widgets.snapshot import Snapshot
from gmmlab.widgets.still import Still
from gmmlab.widgets.worker import Worker

PERIOD = 0.5  # seconds between two looks
ACTIONS = ("Play", "Pause", "Stop")
COLUMNS = ("name", "model", "state", "step", "rows", "rows / s", "memory", "device")


class Runs(ChartWidget):
    """All sessions of this kernel that are neither closed nor forgotten, looked at twice a second."""

    heading = "Runs"

    def __init__(self, **traits: Any) -> None:
        self._listed: list[Run] = runs.runs()
        self._still = Still()
        super().__init__(self._still, **traits)
        self._clock = Worker(self._look, name="gmmlab-runs")
        self._clock.ring()

    def chart(self, snapshot: Snapshot) -> Chart:  # noqa: ARG002 - the list has its own state
        self._listed = listed = runs.runs()
        playing = sum(run.play == "playing" for run in listed)
        shown = len(COLUMNS) - all(run.device == "cpu" for run in listed)
        table = Table(
            columns=COLUMNS[:shown], cells=[_cells(run)[:shown] for run in listed], picks=range(len(listed)),
            actions=ACTIONS, empty="No fit is being watched.", height=56 + 30 * len(listed),
        )  # fmt: skip
        return Chart([[table]], alt=f"{len(listed)} fits that are watched, of which {playing} run.")

    def picked(self, frame: int, pick: int, action: str) -> None:
        if pick >= len(self._listed) or action not in ACTIONS:
            return super().picked(frame, pick, action)
        try:
            session = runs.session(self._listed[pick].key)
        except KeyError as err:
            raise Invalid(str(err.args[0])) from err
        getattr(session, action.lower())()
        return None

    def explore(self, name: str, **options: Any) -> Explorer:
        """An Explorer of the run of that name. Raises `KeyError` where there is none, or no longer."""
        for run in runs.runs():
            if run.name == name:
                return Explorer(runs.session(run.key), **options)
        raise KeyError(f"There is no run {name!r}; those alive are {[run.name for run in runs.runs()]}.")

    def close(self) -> None:
        if hasattr(self, "_clock"):
            self._clock.close()
        super().close()

    def __repr__(self) -> str:
        return f"Runs({len(self._listed)})"

    def _look(self) -> float:
        """A new frame for a view that is there."""
        if self.publisher.alive:
            self._still.show()
        return PERIOD


def _cells(run: Run) -> tuple[str, ...]:
    playing = run.play == "playing"
    share = f" {100 * run.share:.0f} %" if playing and run.share is not None else ""
    left = f", {run.remaining:.1f} s left" if playing and run.remaining is not None else ""
    return (
        run.name,
        run.model,
        f"{run.word}{share}{left}",
        f"{run.step}",
        f"{run.rows:,} x {run.columns}",
        "" if run.rows_per_second is None else f"{run.rows_per_second:.2g}",
        f"{run.n_bytes / 1e6:.1f} MB",
        run.device,
    )
