"""A semidefinite relaxation as it sharpens: its memberships, and how far from proof its partition is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.plot.chart import Cells, Chart, Frame, Line, Mark, Rule, Table

SIDE = 48  # cells of the map, at most
LEAST = 1e-7  # a gap a row below this is drawn as this


@torch.no_grad()
def shares(
    u: Float[Tensor, "k n r"],
    labels: Int[Tensor, "n"],
    block: int | None = None,
    weight: Float[Tensor, "n"] | None = None,
) -> Float[Tensor, "m m"]:
    """How much pairs of rows belong together, 0 to 1, rows in the order of their groups.

    The mean of sum_k u_k u_k' (or of one block) over as many rows a cell as 48 cells ask for, times the rows of the
    smaller of two groups: where the relaxation is a partition, 1 within groups and 0 between them. Of rows with weights
    u is times their roots.
    """
    n = len(labels)
    order = labels.argsort(stable=True)
    cell = torch.arange(n, device=u.device) * min(n, SIDE) // n
    size = torch.bincount(cell).double()
    weight = u.new_ones(n) if weight is None else weight.double()
    scale = (torch.bincount(labels, weight)[labels] / weight)[order].sqrt()
    chosen = u[:, order] if block is None else u[block : block + 1, order]
    scaled = chosen * scale[:, None]
    sums = scaled.new_zeros(len(chosen), len(size), u.shape[2]).index_add_(1, cell, scaled)
    means = sums / size[:, None]
    return (means @ means.mT).sum(0).clamp(0, 1)


def relaxation(
    share: Float[Tensor, "m m"],
    gaps: Sequence[float],
    residuals: Sequence[float],
    facts: Sequence[tuple[str, str]],
    *,
    certified: float,
) -> Chart:
    """The map of memberships, look by look the gap of the partition a row and the residual, and a table of `facts`.

    Gaps are infinite without a bound. Below `certified` the partition is proved to be the best for its covariances.
    """
    together = Frame(
        marks=[Cells(share, tight=True)],
        title="who belongs with whom",
        name="Memberships of pairs of rows",
        x_range=(0.0, float(len(share))),
        y_range=(0.0, float(len(share))),
        ticks=False,
        height=260,
        width=260,
    )
    gap, residual = _logarithms(gaps), _logarithms(residuals)
    marks: list[Mark] = [
        Line(*gap, label="gap a row", words=[f"gap {10**value:.2g} a row" for value in gap[1]]),
        Line(*residual, tone="quiet", dash=1, label="residual"),
        Rule(y=math.log10(certified), tone="ink"),
    ]
    seen = [math.log10(certified), *gap[1], *residual[1]]
    course = Frame(
        marks=marks,
        y_title="log10",
        x_title="look",
        whole=True,
        snap="x",
        x_range=(1.0, float(max(5, len(gaps)))),
        y_range=(min(seen) - 0.3, max(seen) + 0.3),
        height=260,
    )
    table = Table(columns=["", ""], cells=[list(fact) for fact in facts], height=26 * (len(facts) + 1))
    return Chart([[together, course], [table]], alt=". ".join(f"{what}: {value}" for what, value in facts) + ".")


def _logarithms(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Which looks have a value, from 1, and its power of ten."""
    known = [(i, math.log10(max(value, LEAST))) for i, value in enumerate(values, start=1) if math.isfinite(value)]
    return [i for i, _ in known], [power for _, power in known]
