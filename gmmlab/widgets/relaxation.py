"""Relaxation: semidefinite clustering while it runs, and whether its partition is proved to be the best.

explorer = SDPClustering(3).explore(X)
Relaxation(explorer.session)
"""

from __future__ import annotations

import math
from typing import Any

import traitlets

from gmmlab.clustering.sdp.rounds import CERTIFIED
from gmmlab.plot.chart import Chart, Control, said
from gmmlab.plot.relaxation import relaxation, shares
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.snapshot import Snapshot


class Relaxation(ChartWidget):
    """The memberships of the latest step, the gap to the bound of any partition, and a light that says "certified"."""

    heading = "Relaxation"
    rate = 4.0

    block = traitlets.Int(-1, min=-1, help="The group whose memberships are shown; -1 for all.").tag(sync=True)

    def chart(self, snapshot: Snapshot) -> Chart:  # noqa: ARG002 - a relaxation is looked at as it is now
        info: Any = getattr(self.session.latest, "info", None)
        if not hasattr(info, "relaxed"):
            return said("No relaxation yet: play the session of a semidefinite clustering.")
        block = self.block if 0 <= self.block < len(info.relaxed.u) else None
        gaps, residuals = [look.gap / info.rows for look in info.looks], [look.residual for look in info.looks]
        share = shares(info.relaxed.u, info.partition.labels, block, info.weight)
        return relaxation(share, gaps, residuals, _facts(info), certified=CERTIFIED)

    def controls(self) -> list[Control]:
        blocks = [(-1, "all"), *((k, str(k + 1)) for k in range(self.model.k))]
        return [Control("block", "group", self.block, options=tuple(blocks))]


def _facts(info: Any) -> list[tuple[str, str]]:
    """What a person asks first."""
    gap = "no bound from this solver" if not math.isfinite(info.gap) else f"{info.gap:.2g}"
    light = "● certified: no partition is better for these covariances" if info.certified else "○ not certified"
    return [
        ("partition", light),
        ("gap to the bound, in log-likelihood", gap),
        ("classification log-likelihood", f"{info.partition.likelihood:.3f}"),
        ("round, and rounds of its solver", f"{info.round}, {info.relaxed.rounds}"),
    ]
