"""How sure a model is of its rows: their responsibilities, their entropy, and which components are confused."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab import algebra
from gmmlab.axes import Float, Int, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.model import Mixture
from gmmlab.plot.chart import Bars, Cells, Chart, Frame, Mark, Rule, Table
from gmmlab.score import membership

BARS, BINS = 150, 30


class Memberships(NamedTuple):
    """What is shown of the responsibilities of one model."""

    bars: membership.Bars
    entropy: Float[Tensor, "n"]  # in parts of that of a row that may be anything
    confusion: Float[Tensor, "i j"]
    first: Int[Tensor, "n"]  # the most probable component of each row, and the one after it; k is noise
    second: Int[Tensor, "n"]


@torch.no_grad()
def memberships(
    model: Mixture, x: Float[Tensor, "n d"], every: int = 1, weight: Float[Tensor, "n"] | None = None
) -> Memberships:
    """Responsibilities of rows in bars, their relative entropies, and the confusion expected.

    Of all rows or of every so manieth, of which each is one in bars and counts `weight` times in the confusion. Of each
    a few numbers are kept, however many components there are.
    """
    posterior = algebra.posterior(model, x[::every])
    bars = membership.bars(posterior, max(BARS, model.k + (posterior.none is not None)))
    entropy = membership.relative_entropy(posterior)
    confusion = membership.confusion(posterior, None if weight is None else weight[::every])
    first, second = (choice.to(torch.int16) for choice in membership.choices(posterior))
    return Memberships(bars, entropy, confusion, first, second)


def ambiguity(found: Memberships, *, threshold: float = 0.5, note: str = "") -> Chart:
    """Rows as stacked bars in the order of their labels, how undecided they are, and what is taken for what."""
    unsure = int((found.entropy > threshold).sum())
    n, k = len(found.entropy), found.bars.resp.shape[1]
    alt = (
        f"Responsibilities of {n:,} rows for {k} components; {unsure:,} have a relative entropy above {threshold:.2g}."
    )
    below: list[Frame | Table] = [_entropies(found.entropy, threshold), _confusion(found.confusion, k)]
    return Chart([[_bars(found.bars)], below], alt=alt, note=note)


def _bars(bars: membership.Bars) -> Frame:
    size = bars.size.numpy()
    right = size.cumsum()
    left = right - size
    parts = [*bars.resp.T, bars.none]
    high = np.cumsum([part.numpy() for part in parts], axis=0)
    low = high - np.stack([part.numpy() for part in parts])
    words = [_said(bars, b) for b in range(len(size))]
    marks: list[Mark] = []
    for i, part in enumerate(parts):
        tone = i if i < len(parts) - 1 else -1
        if float(part.max()) > 0:
            marks.append(Bars(left, right, low[i], high[i], tone=tone, words=words, picks=range(len(size))))
    return Frame(
        marks=marks, y_title="responsibility", x_title="rows, by component and certainty", snap="x",
        x_range=(0.0, float(right[-1])), y_range=(0.0, 1.0), height=190,
    )  # fmt: skip


def _said(bars: membership.Bars, b: int) -> str:
    top = bars.resp[b].sort(descending=True)
    shares = [(f"component {k + 1}", r) for r, k in zip(top.values[:3].tolist(), top.indices[:3].tolist(), strict=True)]
    if float(bars.none[b]) > 0.005:
        shares.append(("noise", float(bars.none[b])))
    count = int(bars.size[b])
    head = f"row {int(bars.rows(b)[0])}" if count == 1 else f"{count} rows"
    return head + ": " + ", ".join(f"{name} {100 * r:.3g} %" for name, r in shares if r > 0.005)


def _entropies(entropy: Float[Tensor, "n"], threshold: float) -> Frame:
    counts = torch.histc(entropy.double().clamp(0, 1), BINS, 0.0, 1.0).numpy()
    edges = np.linspace(0.0, 1.0, BINS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    words = [f"{int(c)} rows around {at:.2f}" for c, at in zip(counts, middle, strict=True)]
    tones = ["other" if at > threshold else "noise" for at in middle]
    height = np.log10(1 + counts)
    bars = Bars(edges[:-1], edges[1:], np.zeros(BINS), height, tone=tones, opacity=0.8, words=words)
    return Frame(
        marks=[bars, Rule(x=threshold, tone="ink")], y_title="log10 (1 + rows)", x_range=(0.0, 1.0),
        x_title="relative entropy: drag the line", y_range=(0.0, 1.05 * max(1.0, float(height.max()))),
        place=True, height=220,
    )  # fmt: skip


def _confusion(table: Float[Tensor, "i j"], k: int) -> Frame:
    share = table.numpy()
    names = [str(i + 1) for i in range(k)] + (["noise"] if len(share) > k else [])
    text = [["" if math.isnan(v) else f"{v:.2f}".removeprefix("0") for v in row] for row in share.tolist()]
    words = [
        f"labelled {a}, expected share of {b}: {share[i, j]:.3f}"
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    shown = np.where(np.eye(len(share), dtype=bool), 0.45 * share, np.sqrt(share))
    cells = Cells(shown, text=text, words=words, picks=range(share.size), tone="other")
    return Frame(
        marks=[cells],
        title="labelled as (rows), expected (columns)",
        x_names=names,
        y_names=names,
        ticks=True,
        height=220,
    )


def responsibilities(
    X: Any, model: Any, *, threshold: float = 0.5, sample_weight: Any = None, theme: str = "light", width: int = 640
) -> Any:
    """How sure a mixture is of rows, as a picture: stacked bars, relative entropies, and what is taken for what.

    `X` is a frame, an array or a tensor, with gaps or without; `model` is a `Mixture` or a fitted estimator. Rows whose
    relative entropy is above `threshold` are counted as unsure. In the table rows count `sample_weight` times.
    """
    from gmmlab.plot.painter import paint

    rows, mixture = as_rows(X, missing=True), getattr(model, "mixture_", model)
    found = memberships(mixture, rows.x, weight=row_weights(sample_weight, rows.x))
    return paint(ambiguity(found, threshold=threshold), theme=theme, width=width)
