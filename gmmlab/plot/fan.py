"""A bundle of mixtures that the data do not tell apart from a fitted one, and what they say of its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from gmmlab.algebra import assign
from gmmlab.algebra.univariate import column
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.data import as_rows
from gmmlab.families.parts import dof_of
from gmmlab.model import Mixture
from gmmlab.plot.bundles import (
    DRAWN,
    FEW,
    SHOWN,
    Bundle,
    Words,
    believed,
    by_information,
    by_posterior,
    collected,
    counted,
    inhabited,
    thinned,
)
from gmmlab.plot.chart import Bars, Chart, Dots, Frame, Line, Mark, Points, Rule, Table
from gmmlab.plot.ellipses import outline, principal
from gmmlab.plot.versus import Plane, check_columns, plane
from gmmlab.score.bundle import Ellipses, ellipses, labelled
from gmmlab.score.uncertainty import taken

MOST_BARS = 14  # components whose bars have words

#: Clusterwise stability in words, by the mean Jaccard coefficient. See Hennig (2007) and the rules of his clusterboot.
VERDICTS = ((0.85, "highly stable"), (0.75, "stable"), (0.6, "doubtful"), (-math.inf, "not to be trusted"))


def fan(
    model: Mixture,
    bundle: Bundle | None,
    shown: Plane,
    *,
    draws: int = SHOWN,
    level: float = 0.95,
    chosen: int | None = None,
    note: str = "",
    height: int = 480,
) -> Chart:
    """The components of the fitted mixture, `draws` of the bundle, stability, and intervals of the parameters.

    Draws that are farther from the middle than `level` of all are grey. The dots in the middle of their components
    stand for draws, by number; `chosen` is one that is told about. Without a bundle the `note` says why.
    """
    there = bundle if bundle is not None and bundle.models else None
    told = Numbers.of(model, there, shown)
    single = chosen if chosen is not None and chosen + 1 < len(told.weight) else None
    top: list[Frame | Table] = [_bundle(told, shown, Look(draws, level, single), round(0.58 * height))]
    low = round(0.42 * height)
    below: list[Frame | Table] = [_stability(model.k, there, low), _intervals(told, Look(draws, level, single), low)]
    words = _summary(model, there)
    told_first = [words, there.doubt, note] if there else [note, words]
    return Chart([top, below], alt=words, note=" ".join(filter(None, told_first)))


def uncertainty(
    X: Any,
    model: Any,
    *,
    refitted: Iterable[Any] | None = None,
    posterior: Iterable[Any] | None = None,
    dims: Sequence[int] = (0, 1),
    draws: int = SHOWN,
    level: float = 0.95,
    seed: int = 0,
    theme: str = "light",
    size: tuple[int, int] = (640, 480),
) -> Any:
    """How sure the rows are of a fitted mixture, as a picture: a bundle of what it could have been, and intervals.

    `posterior` are draws from its posterior, whose components may have any numbers and be more or fewer; a fitted
    `SampledGaussianMixture` or `BayesianGaussianMixture` gives its own. `refitted` are refits of it to rows drawn again
    (mixtures, estimators, or None for one that failed). Without either it is draws from the distribution of the
    estimates, which need a Gaussian mixture at a maximum of its likelihood, of a structure that is a linear space, and
    complete rows.
    """
    from gmmlab.plot.painter import Rows, paint

    if posterior is not None and refitted is not None:
        raise TypeError("Draws from a posterior and refits were given; expected one of them.")
    rows = as_rows(X, missing=True)
    own = believed(model, seed) if posterior is None and refitted is None else None
    mixture, draws_of = (getattr(model, "mixture_", model), posterior) if own is None else own
    check_columns([mixture], rows.x)
    pair = list(dims) if rows.x.shape[1] > 1 else [0]
    if draws_of is not None:
        mixture, few, models = inhabited(mixture, rows.x), thinned(rows.x, FEW), list(draws_of)
        bundle = by_posterior(mixture, few, list(zip(models, labelled(few, models), strict=True)))
    elif refitted is None:
        bundle = by_information(mixture, rows.x, torch.Generator().manual_seed(seed), DRAWN)
    else:
        *_, bundle = collected(mixture, rows.x, (getattr(each, "mixture_", each) for each in refitted))
    chart = fan(mixture, bundle, plane(rows.x, pair, rows.names), draws=draws, level=level, height=size[1])
    return paint(chart, rows=Rows(rows.x[:, pair], assign(mixture, rows.x)[0]), theme=theme, width=size[0])


def verdict(jaccard: float) -> str:
    """The stability of a cluster in words."""
    return next((words for least, words in VERDICTS if jaccard >= least), "no rows")


class Numbers(NamedTuple):
    """The parameters of b mixtures in the shown columns, NaN where one has none; the first is the fitted one."""

    weight: Float[Tensor, "b k"]
    ellipses: Ellipses
    names: tuple[str, ...]
    models: tuple[Mixture, ...]
    order: Int[Tensor, "b k"]
    words: Words

    @classmethod
    def of(cls, model: Mixture, bundle: Bundle | None, shown: Plane) -> Numbers:
        order = torch.arange(model.k, device=model.weights.device)[None]
        models = (model, *(() if bundle is None else bundle.models))
        order = order if bundle is None else torch.cat([order, bundle.order.to(order)])
        named = [taken(each, of.clamp(min=0)) for each, of in zip(models, order, strict=True)]
        absent, (centre, scale) = order < 0, ellipses(named, shown.dims)
        weight = torch.stack([each.weights for each in named]).masked_fill(absent, torch.nan)
        centre = centre.masked_fill(absent[:, :, None], torch.nan)
        scale = scale.masked_fill(absent[:, :, None, None], torch.nan)
        words = Words() if bundle is None else bundle.words
        return cls(weight, Ellipses(centre, scale), tuple(shown.names), models, order, words)

    def having(self, of: Sequence[int], k: int) -> list[int]:
        """Which of some mixtures have component k."""
        return [b for b in of if int(self.order[b, k]) >= 0]

    @property
    def values(self) -> Float[Tensor, "b k p"]:
        """Weight, means and widths."""
        sd = self.ellipses.scale.diagonal(dim1=-2, dim2=-1).sqrt()
        return torch.cat([self.weight[:, :, None], self.ellipses.centre, sd], dim=2)

    @property
    def titles(self) -> list[str]:
        """What the numbers of a component are."""
        width = "sd" if bool(dof_of(self.models[0].components).isinf().all()) else "scale"
        return ["weight", *(f"mean {name}" for name in self.names), *(f"{width} {name}" for name in self.names)]

    def far(self, level: float) -> Bool[Tensor, "b"]:
        """The draws that are farther from the middle than this share of all; the fitted mixture is none of them."""
        drawn = self.values[1:].flatten(1)
        none = torch.zeros(1, dtype=torch.bool, device=drawn.device)
        if not len(drawn):
            return none
        offset = drawn - drawn.nanmean(0)
        spread = offset.square().nanmean(0).clamp(min=torch.finfo(drawn.dtype).tiny)
        distance = (offset.square() / spread).nanmean(1)
        return torch.cat([none, distance > distance.nanquantile(level)])


# frames


class Look(NamedTuple):
    """What of a bundle is looked at: how many draws, what an interval holds of them, and one draw by number."""

    draws: int
    level: float
    chosen: int | None


def _bundle(told: Numbers, shown: Plane, look: Look, height: int) -> Frame:
    far, last = told.far(look.level), min(look.draws, len(told.weight) - 1)
    near = [b for b in range(1, last + 1) if not far[b]]
    beyond = [b for b in range(1, last + 1) if far[b]]
    one = len(shown.dims) == 1
    trace = _densities if one else _outlines
    marks: list[Mark] = [] if one else [Points((0, 1))]
    for k in range(told.weight.shape[1]):
        for of, tone, width in ((told.having(beyond, k), "noise", 0.7), (told.having(near, k), k, 0.6)):
            marks += [Line(*trace(told, shown, of, k), tone=tone, width=width)] if of else []
    marks += _whole(told, trace, shown, 0)
    if look.chosen is not None:
        marks += _whole(told, trace, shown, look.chosen + 1, dash=1, width=2.0)
    marks.append(_centres(told, shown, range(1, last + 1), far))
    return Frame(
        marks=marks, x_title=shown.names[0], y_title="density" if one else shown.names[1], x_range=shown.ranges[0],
        y_range=None if one else shown.ranges[1], height=height, snap="near",
    )  # fmt: skip


def _whole(told: Numbers, trace: Any, shown: Plane, b: int, **look: Any) -> list[Mark]:
    """All components of one mixture, in ink, with one entry in the key."""
    look = {"width": 1.6} | look
    name = f"draw {b}" if b else told.words.one
    parts = [k for k in range(told.weight.shape[1]) if told.having([b], k)]
    return [Line(*trace(told, shown, [b], k), tone="ink", label="" if i else name, **look) for i, k in enumerate(parts)]


def _outlines(told: Numbers, shown: Plane, of: Sequence[int], k: int) -> tuple[Tensor, Tensor]:
    """One line of all ellipses of a component at one standard deviation, with gaps between them."""
    centre, scale = told.ellipses.centre[list(of), k], told.ellipses.scale[list(of), k]
    points = torch.stack([outline(*pair, points=40) for pair in zip(centre, principal(scale), strict=True)])
    return _apart(points[:, :, 0], shown, 0), _apart(points[:, :, 1], shown, 1)


def _densities(told: Numbers, shown: Plane, of: Sequence[int], k: int) -> tuple[Tensor, Tensor]:
    """The same of curves of density in a single column."""
    at = torch.linspace(*shown.ranges[0], 90, dtype=torch.float64)
    parts = torch.stack([column(told.models[b], 0).parts(at[None])[0, int(told.order[b, k])] for b in of])
    return _apart(at.expand(len(parts), -1), shown, 0), _apart(parts)


def _apart(values: Float[Tensor, "b g"], shown: Plane | None = None, axis: int = 0) -> Float[Tensor, "m"]:
    """Rows one after the other with gaps between them, of as many digits as are seen."""
    low, high = (0.0, float(values.max())) if shown is None else shown.ranges[axis]
    digits = 4 - math.floor(math.log10(high - low))
    gap = values.new_full((len(values), 1), torch.nan)
    return torch.cat([torch.round(values, decimals=digits), gap], dim=1).flatten()


def _centres(told: Numbers, shown: Plane, of: Sequence[int], far: Bool[Tensor, "b"]) -> Dots:
    """Dots that stand for draws, one in each of their components."""
    centre, k = told.ellipses.centre, told.weight.shape[1]
    pairs = [(b, j) for b in of for j in range(k) if told.having([b], j)]
    where = "at" if len(shown.dims) > 1 else "about"
    words = [
        f"draw {b}{' (far)' if far[b] else ''}: component {j + 1} {where} "
        + ", ".join(f"{v:.4g}" for v in centre[b, j].tolist())
        for b, j in pairs
    ]
    x = [float(centre[b, j, 0]) for b, j in pairs]
    y = [_height(told, b, j) if len(shown.dims) == 1 else float(centre[b, j, 1]) for b, j in pairs]
    tone = [-1 if far[b] else j for b, j in pairs]
    return Dots(x, y, size=2.0, tone=tone, words=words, picks=[b - 1 for b, _ in pairs])


def _height(told: Numbers, b: int, j: int) -> float:
    """The density of a component in its middle."""
    centre = told.ellipses.centre[b, j].double()
    return float(column(told.models[b], 0).parts(centre[None])[0, int(told.order[b, j]), 0])


def _stability(k: int, bundle: Bundle | None, height: int) -> Frame:
    """Bars of the mean Jaccard coefficient, with what it means."""
    mean = [math.nan] * k if bundle is None else bundle.stability.mean.tolist()
    known = [j for j in range(k) if math.isfinite(mean[j])]
    marks: list[Mark] = [
        Bars([0.0] * len(known), [mean[j] for j in known], [j + 0.18 for j in known], [j + 0.82 for j in known],
             tone=known or "accent", words=[f"component {j + 1}: {_stable(mean[j])}" for j in known]),
        *(Rule(x=least, tone="quiet") for least, _ in VERDICTS[:-1]),
    ]  # fmt: skip
    names = [f"{j + 1}: {_stable(mean[j])}" if bundle and k <= MOST_BARS else str(j + 1) for j in range(k)]
    return Frame(
        marks=marks, title="found again", x_title="mean Jaccard coefficient", x_range=(0.0, 1.0),
        y_range=(float(k), 0.0), y_names=names, height=height, snap="near",
    )  # fmt: skip


def _stable(jaccard: float) -> str:
    return verdict(jaccard) if math.isnan(jaccard) else f"{jaccard:.2f} {verdict(jaccard)}"


def _intervals(told: Numbers, look: Look, height: int) -> Table:
    """Percentile intervals of what the draws say, and one draw beside them if it is chosen."""
    values, known, level, chosen = told.values, len(told.weight) > 2, look.level, look.chosen
    columns = ["parameter", told.words.value]
    if known:
        ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype, device=values.device)
        low, high = values[1:].nanquantile(ends, dim=0)
        columns.append(f"{level:.0%} {told.words.interval}")
    columns += [] if chosen is None else [f"draw {chosen + 1}"]
    cells = []
    for k in range(values.shape[1]):
        for p, title in enumerate(told.titles):
            cell = [f"{k + 1} {title}", _number(values[0, k, p])]
            cell += [_interval(low[k, p], high[k, p])] if known else []
            cell += [] if chosen is None else [_number(values[chosen + 1, k, p])]
            cells.append(cell)
    return Table(columns=columns, cells=cells, title="parameters", height=height, width=300)


def _number(value: Float[Tensor, ""]) -> str:
    return "none" if bool(value.isnan()) else f"{float(value):.4g}"


def _interval(low: Float[Tensor, ""], high: Float[Tensor, ""]) -> str:
    return "none" if bool(low.isnan()) else f"{_number(low)} to {_number(high)}"


def _summary(model: Mixture, bundle: Bundle | None) -> str:
    if bundle is None:
        return f"{counted(model.k, 'component')} and their estimates, and nothing known of how sure these are."
    mean = bundle.stability.mean
    least = torch.where(mean.isnan(), torch.inf, mean).argmin()
    words = f"{counted(model.k, 'component')} and {bundle.source}"
    if model.k == 1:
        return f"{words}."
    known = f"mean Jaccard coefficient {float(mean[least]):.2f}, {verdict(float(mean[least]))}"
    return f"{words}; component {int(least) + 1} is found again least ({known})."
