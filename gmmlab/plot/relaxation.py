"""A semidefinite relaxation as it sharpens: its memberships, and how far from proof its partition is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.plot.chart import Cells, Chart, Frame, Line, Rule, Table

SIDE = 48  # cells of the map, at most
LEAST = 1e-7  # a gap a row below this is drawn as this


class Look(NamedTuple):
    """What was known at one moment: gap of the partition a row (infinite without a bound), residual, and the round."""

    gap: float
    residual: float
    round: int


@torch.no_grad()
def shares(u: Float[Tensor, "k n r"], labels: Int[Tensor, "n"], block: int | None = None) -> Float[Tensor, "m m"]:
    """How much pairs of rows belong together, 0 to 1, rows in the order of their groups.

    The mean of sum_k u_k u_k' (or of one block) over as many rows a cell as 48 cells ask for, times the rows of the
    smaller of two groups: where the relaxation is a partition, 1 within groups and 0 between them.
    """
    n = len(labels)
    order = labels.argsort(stable=True)
    cell = torch.arange(n, device=u.device) * min(n, SIDE) // n
    size = torch.bincount(cell).double()
    weight = torch.bincount(labels).double()[labels][order].sqrt()
    chosen = u[:, order] if block is None else u[block : block + 1, order]
    scaled = chosen * weight[:, None]
    sums = scaled.new_zeros(len(chosen), len(size), u.shape[2]).index_add_(1, cell, scaled)
    means = sums / size[:, None]
    return (means @ means.mT).sum(0).clamp(0, 1)


def relaxation(
    share: Float[Tensor, "m m"], looks: Sequence[Look], facts: Sequence[tuple[str, str]], *, certified: float = 1e-4
) -> Chart:
    """The map of memberships, the gap of the partition look by look, and a table of `facts`.

    Below the line at `certified` the partition is proved to be the best for its covariances.
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
    known = [(i, look) for i, look in enumerate(looks, start=1) if math.isfinite(look.gap)]
    gaps = [math.log10(max(look.gap, LEAST)) for _, look in known]
    residuals = [
        (i, math.log10(max(look.residual, LEAST))) for i, look in enumerate(looks, start=1) if look.residual > 0
    ]
    marks = [
        Line([i for i, _ in known], gaps, label="gap a row", words=[_words(look) for _, look in known]),
        Line([i for i, _ in residuals], [v for _, v in residuals], tone="quiet", dash=1, label="residual"),
        Rule(y=math.log10(certified), tone="ink"),
    ]
    lows = [math.log10(certified), *gaps, *(v for _, v in residuals)]
    course = Frame(
        marks=marks,
        y_title="log10",
        x_title="look",
        whole=True,
        snap="x",
        x_range=(1.0, float(max(5, len(looks)))),
        y_range=(min(lows) - 0.3, max(lows) + 0.3),
        height=260,
    )
    table = Table(columns=["", ""], cells=[list(fact) for fact in facts], height=26 * (len(facts) + 1))
    return Chart([[together, course], [table]], alt=". ".join(f"{what}: {value}" for what, value in facts) + ".")


def _words(look: Look) -> str:
    return f"round {look.round}: gap {look.gap:.2g} a row, residual {look.residual:.1g}"
