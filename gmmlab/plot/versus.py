"""Two mixtures on the same rows, side by side: what matches has one colour, and a table counts what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from gmmlab.algebra import assign, marginal
from gmmlab.algebra.univariate import column
from gmmlab.axes import Float, Int, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.errors import BadData
from gmmlab.families.parts import columns_of, ellipsoids
from gmmlab.gates import Noisy
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Bars, Cells, Chart, Frame, Line, Mark, Points, Range, Text
from gmmlab.plot.ellipses import outline, principal
from gmmlab.score.comparison import Comparison, density_difference
from gmmlab.score.comparison import compare as compared

FINE = 48  # cells of a map of densities, along each axis
MOST_WORDS = 12  # labels whose counts are written out
EVEN = 1e-6  # nats that are rounding
SLIGHT = 0.02  # of the highest density: differences below it are slight
MARGIN = 0.06


class Side(NamedTuple):
    """One of the two: its name, its components, and the number of each, which is its colour."""

    name: str
    model: Mixture
    number: Sequence[int]


class Plane(NamedTuple):
    """The columns that are shown, two or a single one, and what is seen of them."""

    dims: tuple[int, ...]
    names: Sequence[str]
    ranges: tuple[Range, ...]


def plane(x: Float[Tensor, "n d"], dims: Sequence[int], names: Sequence[str]) -> Plane:
    """All rows with a margin."""
    ends = [gaps.extent(x[:, i]) for i in dims]
    wide = ((low - MARGIN * (high - low), high + MARGIN * (high - low)) for low, high in ends)
    return Plane(tuple(dims), [names[i] for i in dims], tuple(wide))


def sides(left: Mixture, right: Mixture, found: Comparison, names: tuple[str, str]) -> tuple[Side, Side]:
    """Components on the right have the numbers of those that they match on the left."""
    return Side(names[0], left, range(left.k)), Side(names[1], right, found.match.tolist())


def versus(
    sides: tuple[Side, Side],
    found: Comparison,
    shown: Plane,
    *,
    only: int | None = None,
    few: bool = False,
    height: int = 420,
) -> Chart:
    """The two, how many rows have each pair of labels, and where one has more density than the other.

    `only` leaves one of the two (0 or 1), in the place of both: eyes see a change best where nothing else moves. Cells
    of the table stand for their pair of labels, by number, row after row of the whole table. With `few` the note says
    that not all rows have been compared.
    """
    draw = _side if len(shown.dims) == 2 else _density
    both = [draw(side, shown, i, round(0.56 * height)) for i, side in enumerate(sides)]
    if len(shown.dims) == 1:  # densities on the same scale
        both = [replace(frame, y_range=(0.0, max(each.ranges()[1][1] for each in both))) for frame in both]
    tops = [frame for i, frame in enumerate(both) if only in (None, i)]
    below = [_table(sides, found, round(0.44 * height)), _difference(sides, shown, round(0.44 * height))]
    words = summary(sides, found)
    hedge = f" Of {len(found.gain):,} of the rows while the fit plays; of all when it rests." if few else ""
    return Chart([tops, below], alt=words, note=words + hedge)


def summary(sides: tuple[Side, Side], found: Comparison) -> str:
    """How much the two agree, and which is more likely."""
    (left, right), n = sides, found.n
    alone = sum(number not in left.number for number in right.number)
    size = f"{left.name} has {_components(left.model.k)}, {right.name} {right.model.k}"
    better = left.name if found.total >= 0 else right.name
    nats = f"{abs(found.total):,.1f} nats ({abs(found.total) / n:.2g} a row)"
    parts = [
        size[0].upper() + size[1:] + (f", {alone} without a match" if alone else ""),
        f"adjusted Rand index {found.adjusted_rand:.3f}",
        f"the rows are {nats} more likely under {better}"
        if abs(found.total) > EVEN
        else "the rows are as likely in both",
    ]
    return "; ".join(parts) + "."


def compare(
    X: Any,
    left: Any,
    right: Any,
    *,
    dims: Sequence[int] = (0, 1),
    names: tuple[str, str] = ("the left", "the right"),
    sample_weight: Any = None,
    theme: str = "light",
    size: tuple[int, int] = (640, 420),
) -> Any:
    """Two mixtures or fitted estimators on the same rows `X`, as a picture.

    Above the rows in two columns (of a single column: densities), once with the labels and the ellipses of each, the
    colours of the components on the right being those of the components that they match. Below how many rows have each
    pair of labels, and where one has more density. Rows may have gaps, and make one more likely `sample_weight` times.
    """
    from gmmlab.plot.painter import Rows, paint

    rows = as_rows(X, missing=True)
    one, other = (getattr(model, "mixture_", model) for model in (left, right))
    check_columns([one, other], rows.x)
    pair = list(dims) if rows.x.shape[1] > 1 else [0]
    found = compared(one, other, rows.x, row_weights(sample_weight, rows.x))
    both = sides(one, other, found, names)
    labels = [renamed(assign(side.model, rows.x)[0], side.number) for side in both]
    chart = versus(both, found, plane(rows.x, pair, rows.names), height=size[1])
    return paint(chart, rows=Rows(rows.x[:, pair], labels[0], labels[1:]), theme=theme, width=size[0])


def check_columns(models: Sequence[Mixture], x: Float[Tensor, "n d"]) -> None:
    """Raises `BadData` for mixtures of other columns than the rows have."""
    if any(model.d != x.shape[1] for model in models):
        widths = " and ".join(str(model.d) for model in models)
        raise BadData(f"The models have {widths} columns and the rows have {x.shape[1]}; expected the same number.")


def renamed(labels: Int[Tensor, "n"], number: Sequence[int]) -> Int[Tensor, "n"]:
    """Labels as the numbers of their components; noise stays -1."""
    table = torch.tensor([*number, -1], device=labels.device)  # the label -1 finds the last one
    return table[labels]


# frames


def _side(side: Side, shown: Plane, by: int, height: int) -> Frame:
    marks: list[Mark] = [Points((0, 1), by=by)]
    flat = ellipsoids(columns_of(side.model.components, shown.dims))
    for k, (mean, factor) in enumerate(zip(flat.mean, principal(flat.cov), strict=True)):
        tone = side.number[k]
        for radius, dash, width in ((1.0, 0, 1.75), (2.0, tone % 7, 1.2)):
            x, y = outline(mean, factor, radius, 64).T
            marks.append(Line(x, y, tone=tone, closed=True, dash=dash, width=width))
        marks.append(Text(float(mean[0]), float(mean[1]), str(tone + 1), tone="ink"))
    return Frame(
        marks=marks, title=side.name, x_title=shown.names[0], y_title=shown.names[1], x_range=shown.ranges[0],
        y_range=shown.ranges[1], height=height, snap="near",
    )  # fmt: skip


def _density(side: Side, shown: Plane, _: int, height: int) -> Frame:
    """Of one column: the components, and their sum in ink."""
    at = torch.linspace(*shown.ranges[0], 200, dtype=torch.float64)
    line = column(side.model, 0)
    parts = line.parts(at[None])[0]
    marks: list[Mark] = [
        Line(at, part, tone=side.number[k], fill=0.15, dash=side.number[k] % 7) for k, part in enumerate(parts)
    ]
    marks.append(Line(at, line.prob(at[None])[0], tone="ink", width=1.25))
    return Frame(
        marks=marks, title=side.name, x_title=shown.names[0], y_title="density", x_range=shown.ranges[0], height=height
    )


def _table(sides: tuple[Side, Side], found: Comparison, height: int) -> Frame:
    """Columns in the order of the numbers, so that what matches stands on the diagonal; noise last."""
    (left, right), counts = sides, found.counts
    rows = _order(left.number) + [left.model.k] * _has_noise(left.model, counts[-1])
    columns = _order(right.number) + [right.model.k] * _has_noise(right.model, counts[:, -1])
    part = counts[rows][:, columns]
    share = part / part.sum(1, keepdim=True).clamp(min=1)
    names = [[*(str(side.number[k] + 1) for k in order if k < side.model.k), *["noise"] * (side.model.k in order)]
             for side, order in ((left, rows), (right, columns))]  # fmt: skip
    picks = [i * counts.shape[1] + j for i in rows for j in columns]
    words = [
        f"{int(part[i, j]):,} rows: {a} in {left.name}, {b} in {right.name}"
        for i, a in enumerate(names[0])
        for j, b in enumerate(names[1])
    ]
    text = [[f"{v:,}" for v in row] for row in part.tolist()] if max(part.shape) <= MOST_WORDS else ()
    cells = Cells(share.double(), text=text, tone="accent", words=words, picks=picks)
    return Frame(
        marks=[cells], title="rows by both labels", x_title=right.name, y_title=left.name, x_names=names[1],
        y_names=names[0], height=height,
    )  # fmt: skip


def _difference(sides: tuple[Side, Side], shown: Plane, height: int) -> Frame:
    """The density of the left less that of the right, as a part of its greatest amount.

    Differences below a fiftieth of the highest density stay pale, so that two models that are the same look the same.
    """
    left, right = sides
    grids = [_middles(extent, FINE if len(shown.dims) == 2 else 200) for extent in shown.ranges]
    at = torch.cartesian_prod(*grids).view(-1, len(grids))
    origin = left.model.located.origin
    values = density_difference(left.model, right.model, shown.dims, at.to(origin)).double()
    title = "which is denser"
    if len(grids) == 1:
        marks: list[Mark] = [Line(grids[0], values, tone="ink"), Line(grids[0], 0 * values, tone="quiet", width=1.0)]
        return Frame(marks=marks, title=title, x_title=shown.names[0], x_range=shown.ranges[0], height=height)
    highest = marginal(left.model, list(shown.dims)).log_prob(at.to(origin)).double().exp().max()
    share = values / torch.maximum(values.abs().max(), SLIGHT * highest)
    image = share.view(FINE, FINE).T.flip(0)  # row 0 is the top
    marks = [Cells((1e3 * image).round() / 1e3, tight=True, tone="accent", label=left.name)]
    marks.append(Bars([], [], [], [], tone="other", label=right.name))
    return Frame(
        marks=marks, title=title, x_title=shown.names[0], x_range=shown.ranges[0], y_range=shown.ranges[1],
        height=height,
    )  # fmt: skip


def _middles(extent: Range, cells: int) -> Float[Tensor, "g"]:
    low, high = extent
    return low + (high - low) * (torch.arange(cells, dtype=torch.float64) + 0.5) / cells


def _order(number: Sequence[int]) -> list[int]:
    return sorted(range(len(number)), key=lambda k: number[k])


def _has_noise(model: Mixture, counts: Int[Tensor, "a"]) -> bool:
    return isinstance(model.gate, Noisy) or bool(counts.any())


def _components(k: int) -> str:
    return "1 component" if k == 1 else f"{k} components"
