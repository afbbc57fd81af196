"""A bundle of mixtures that the data do not tell apart from a fitted one, and what they say of its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from gmmlab.algebra import assign
from gmmlab.algebra.univariate import column
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.families import Gaussian
from gmmlab.families.parts import dof_of
from gmmlab.model import Mixture
from gmmlab.plot.chart import Bars, Chart, Dots, Frame, Line, Mark, Points, Rule, Table
from gmmlab.plot.ellipses import outline, principal
from gmmlab.plot.versus import Plane, check_columns, plane
from gmmlab.score.bundle import Ellipses, Stability, ellipses, estimates, labelled, matched, stability
from gmmlab.score.information import observed_information
from gmmlab.score.uncertainty import align, taken

ROWS = 20_000  # of which the information is taken, and with which stability is counted
WORK = 1e8  # products that the information may take
FEW = 2_000  # with which stability is counted where draws come at once
MOST_PARAMETERS = 2_000  # of which the information is taken: ten seconds and a gigabyte
DRAWN = 200  # draws of the estimates
SHOWN = 25  # of them
MOST_BARS = 14  # components whose bars have words

#: Clusterwise stability in words, by the mean Jaccard coefficient. See Hennig (2007) and the rules of his clusterboot.
VERDICTS = ((0.85, "highly stable"), (0.75, "stable"), (0.6, "doubtful"), (-math.inf, "not to be trusted"))


class Words(NamedTuple):
    """What a mixture is called that others are held against, and what holds most of the others."""

    one: str = "fitted"
    value: str = "estimate"
    interval: str = "interval"


CREDIBLE = Words("estimate", interval="credible")


class Bundle(NamedTuple):
    """Mixtures beside a fitted one, how they came about, and what is to be said of it."""

    models: tuple[Mixture, ...]
    order: Int[Tensor, "b k"]  # for each component of the fitted one that of a mixture that stands for it, or -1
    stability: Stability
    source: str  # "draws from ...", "refits to ..."
    doubt: str = ""
    words: Words = Words()


def by_information(model: Mixture, x: Float[Tensor, "n d"], rng: torch.Generator, draws: int) -> Bundle:
    """Draws from the large-sample distribution of the estimates, by the observed information.

    Of many rows every so manieth is looked at, with their weights. Raises `BadData` for rows with gaps, and `TypeError`
    or `ValueError` where the information is not known or too large, or the fit is no maximum.
    """
    if model.n_parameters > MOST_PARAMETERS:
        raise ValueError(
            f"The information of {model.n_parameters:,} parameters is a table of as many rows and columns; expected at "
            f"most {MOST_PARAMETERS:,}."
        )
    if bool(torch.isnan(x).any()):
        raise BadData("The observed information is that of complete rows, and these have gaps.")
    if not isinstance(model.components, Gaussian):
        kind = type(model.components).__name__
        raise TypeError(f"The observed information is known for Gaussian components, not for {kind} ones.")
    few = thinned(x, _affordable(model))
    weight = few.new_full((len(few),), len(x) / len(few))
    information = observed_information(model, few, weight)
    attempts = list(estimates(model, information, rng, draws))
    models = tuple(each for each in attempts if each is not None)
    gap, doubts = information.gap if len(few) == len(x) else 0.0, []
    if gap > 0.1:
        doubts.append(
            f"The maximum of the likelihood is {gap:.2g} standard errors away: play the fit to its end first."
        )
    if len(models) < 0.9 * draws:
        doubts.append(f"{draws - len(models)} of {draws} draws are no mixtures: trust the bootstrap.")
    if not models:
        raise ValueError(f"None of {draws} draws has positive definite covariances; the estimates are too unsure.")
    *_, found = stability(model, thinned(x, FEW), attempts)
    doubts += _thinned_words(x, few, "the information") + _thinned_words(x, thinned(x, FEW), "the stability")
    source = f"{len(models)} draws from the distribution of the estimates"
    return Bundle(models, _in_order(models), found, source, " ".join(doubts))


def collected(model: Mixture, x: Float[Tensor, "n d"], refitted: Iterable[Mixture | None]) -> Iterator[Bundle]:
    """A bundle of refits that grows by one with each; components are put in the order of the fitted mixture."""
    models: list[Mixture] = []
    few = thinned(x, ROWS)
    part = _thinned_words(x, few, "the stability")

    def kept() -> Iterator[Mixture | None]:
        for each in refitted:
            if each is not None:
                models.append(align(each, model))
            yield each

    for state in stability(model, few, kept()):
        failed = [f"{state.failed} refits failed: a covariance was singular."] if state.failed else []
        words = f"{_count(len(models), 'refit')} to rows drawn again"
        yield Bundle(tuple(models), _in_order(models), state, words, " ".join(failed + part))


def by_posterior(
    model: Mixture,
    few: Float[Tensor, "n d"],
    drawn: Sequence[tuple[Mixture, Int[Tensor, "n"]]],
    words: Words = CREDIBLE,
) -> Bundle:
    """Draws from a posterior, each with its labels of some rows, by the names of a mixture's components.

    Draws may have more components or fewer: each component is matched with the one of a draw that shares most rows with
    it, if there is one, and what is said of it is over the draws that have it.
    """
    models = tuple(each for each, _ in drawn)
    (labels,) = labelled(few, [model])
    order, found = matched(labels, model.k, [each for _, each in drawn])
    groups = [len(each.unique()) for _, each in drawn]
    some = f" of {min(groups)} to {max(groups)} groups" if groups and min(groups) < max(groups) else ""
    source = f"{_count(len(models), 'posterior draw')}{some}"
    return Bundle(models, order, found, source, _absent(order), words)


def evenly(draws: Sequence[Mixture], most: int) -> list[int]:
    """The numbers of at most so many draws of a chain, whose neighbours are alike: the first few lie all along it."""
    chosen = range(0, len(draws), max(1, -(-len(draws) // most)))
    apart = max(1, len(chosen) // SHOWN)
    return [i for first in range(apart) for i in chosen[first::apart]]


def believed(model: Any, seed: int) -> tuple[Mixture, list[Mixture]] | None:
    """What a fitted Bayesian estimator expects, and draws from its posterior; None of any other."""
    if (kept := getattr(model, "samples_", None)) is not None:
        return model.mixture_, [kept[i] for i in evenly(kept, DRAWN)]
    if hasattr(model, "sample_posterior") and hasattr(model, "means_"):
        return model.expected_, model.sample_posterior(DRAWN, random_state=seed)
    return None


def inhabited(model: Mixture, x: Float[Tensor, "n d"]) -> Mixture:
    """The components that have rows."""
    there = assign(model, x)[0].unique()
    there = there[there >= 0]
    return model if len(there) == model.k else taken(model, there)


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


def _affordable(model: Mixture) -> int:
    """Of how many rows the information is found in a moment: each takes k f p products."""
    features = (model.d + 1) * (model.d + 2) // 2
    return min(ROWS, max(FEW, int(WORK / (model.k * features * model.n_parameters))))


def _thinned_words(x: Float[Tensor, "n d"], few: Float[Tensor, "m d"], what: str) -> list[str]:
    return [f"{what.capitalize()} is that of {len(few):,} of the rows."] if len(few) < len(x) else []


def thinned(x: Float[Tensor, "n d"], most: int) -> Float[Tensor, "m d"]:
    """Every so manieth row, at most so many."""
    return x[:: -(-len(x) // most)]


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
        return f"{_count(model.k, 'component')} and their estimates, and nothing known of how sure these are."
    mean = bundle.stability.mean
    least = torch.where(mean.isnan(), torch.inf, mean).argmin()
    words = f"{_count(model.k, 'component')} and {bundle.source}"
    if model.k == 1:
        return f"{words}."
    known = f"mean Jaccard coefficient {float(mean[least]):.2f}, {verdict(float(mean[least]))}"
    return f"{words}; component {int(least) + 1} is found again least ({known})."


def _in_order(models: Sequence[Mixture]) -> Int[Tensor, "b k"]:
    """That of mixtures whose components have been put in it."""
    return torch.arange(models[0].k if models else 0).expand(len(models), -1)


def _absent(order: Int[Tensor, "b k"]) -> str:
    """Which component most draws lack, in words."""
    lack = (order < 0).double().mean(0)
    if not len(order) or not bool((lack > 0).any()):
        return ""
    most = int(lack.argmax())
    share = f"{float(lack[most]):.0%}"
    if int((lack > 0).sum()) > 1:
        return (
            f"Components are missing from draws, component {most + 1} from {share} of them: intervals are of the draws "
            "that have the component."
        )
    return f"Component {most + 1} is missing from {share} of the draws: its intervals are of those that have it."


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")
