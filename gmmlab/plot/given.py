"""One column of a mixture given others: the course of its distribution along a predictor, and at one place of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from gmmlab.algebra import assign
from gmmlab.algebra.univariate import Univariate, column_given
from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Band, Chart, Dots, Frame, Line, Mark, Points, Range, Rule

STEPS = 90  # places along the predictor
FINE = 240  # places along the target
BANDS = (0.9, 0.5)
MARGIN = 0.06


class Question(NamedTuple):
    """p(target | predictor, held): columns by number, with the values of those that are held."""

    target: int
    predictor: int
    held: Mapping[int, float]
    names: Sequence[str]
    ranges: Sequence[Range]  # of all columns

    def wide(self, column: int) -> Range:
        """The range of a column with a margin."""
        low, high = self.ranges[column]
        return low - MARGIN * (high - low), high + MARGIN * (high - low)

    def answer(self, model: Mixture, at: Float[Tensor, "b"]) -> Univariate:
        """The distributions of the target where the predictor has these values."""
        at = at.double()
        fixed = at.new_tensor(list(self.held.values())).expand(len(at), -1)
        given = [self.predictor, *self.held]
        return column_given(model, self.target, given, torch.cat([at[:, None], fixed], dim=1))


def given(model: Mixture, question: Question, at: float, *, height: int = 360) -> Chart:
    """The mean of the target along the predictor, with bands that hold 50 and 90 % of it; beside it, its density.

    `at` is the value of the predictor at which the density is shown. The curve and the bands are those of rows that
    belong to a component; the density on the side has noise in it.
    """
    here = question.answer(model, torch.tensor([at]))
    side = [_course(model, question, at, here, height), _profile(question, at, here, height)]
    words = summary(question, at, here)
    return Chart([side], alt=words, note=" ".join([words, _averaged(question)]).strip())


def conditional(
    X: Any,
    model: Any,
    *,
    target: int | str = 1,
    predictor: int | str = 0,
    at: float | None = None,
    held: Mapping[str | int, float] | None = None,
    theme: str = "light",
    size: tuple[int, int] = (640, 360),
) -> Any:
    """What a mixture or a fitted estimator says of one column given others, as a picture.

    The regression curve of `target` against `predictor` with bands of 50 and 90 % over the rows, and the density of the
    target where the predictor is `at` (the middle of its range unless given). `held` are values of other columns; the
    rest is averaged over.
    """
    from gmmlab.plot.painter import Rows, paint

    rows, mixture = as_rows(X, missing=True), getattr(model, "mixture_", model)
    y, x = (_number(column, rows.names) for column in (target, predictor))
    fixed = {_number(column, rows.names): float(value) for column, value in (held or {}).items()}
    check(mixture, rows.x, y, x, list(fixed))
    question = Question(y, x, fixed, rows.names, [gaps.extent(column) for column in rows.x.T])
    place = sum(question.ranges[x]) / 2 if at is None else float(at)
    shown = Rows(rows.x[:, [x, y]], assign(mixture, rows.x)[0])
    return paint(given(mixture, question, place, height=size[1]), rows=shown, theme=theme, width=size[0])


def check(model: Mixture, x: Float[Tensor, "n d"], target: int, predictor: int, held: Sequence[int]) -> None:
    """Raises `BadData` where there is no such question, `ValueError` where a column stands twice in it."""
    if x.shape[1] < 2:
        raise BadData("One column given another one needs two columns, and these rows have one.")
    if model.d != x.shape[1]:
        raise BadData(f"The model has {model.d} columns and the rows have {x.shape[1]}; expected the same number.")
    asked = [target, predictor, *held]
    if len(set(asked)) < len(asked):
        raise ValueError(f"Target, predictor and held columns are {asked}; expected each column once.")


def summary(question: Question, at: float, here: Univariate) -> str:
    """What the target is expected to be at a place, and how surely."""
    names, clean = question.names, here.without_noise()
    low, high = clean.quantile(clean.scale.new_tensor([0.05, 0.95]))[0].tolist()
    known = ", ".join(f"{names[j]} = {value:.4g}" for j, value in {question.predictor: at, **question.held}.items())
    parts = [f"component {k + 1} {w:.0%}" for k, w in enumerate(here.weights[0].tolist()) if w >= 0.005]
    if float(here.none[0]) >= 0.005:
        parts.append(f"noise {float(here.none[0]):.0%}")
    return (
        f"Given {known}: {names[question.target]} {float(clean.mean()[0]):.4g} on average, 90 % between {low:.4g} and "
        f"{high:.4g} ({', '.join(parts[:6])}{', ...' if len(parts) > 6 else ''})."
    )


def _averaged(question: Question) -> str:
    """The columns that nothing is said of."""
    asked = {question.target, question.predictor, *question.held}
    rest = [name for j, name in enumerate(question.names) if j not in asked]
    some = ", ".join(rest[:6]) + (f" and {len(rest) - 6} more" if len(rest) > 6 else "")
    return f"Averaged over: {some}." if rest else ""


def _course(model: Mixture, question: Question, at: float, here: Univariate, height: int) -> Frame:
    """The curve with its bands over the rows, and a crosshair."""
    x = torch.linspace(*question.wide(question.predictor), STEPS, dtype=torch.float64)
    along = question.answer(model, x).without_noise()
    ends = [(1 - level) / 2 for level in BANDS]
    quantiles = along.quantile(x.new_tensor([p for end in ends for p in (end, 1 - end)]))
    marks: list[Mark] = [Points((0, 1))]
    for i, label in enumerate(["", "50 and 90 %"]):
        marks.append(Band(x, quantiles[:, 2 * i], quantiles[:, 2 * i + 1], tone="ink", opacity=0.13, label=label))
    marks.append(Line(x, along.mean(), tone="ink", width=2.0, label="mean"))
    mean = float(here.without_noise().mean()[0])
    marks += [
        Rule(x=at, tone="accent", dash=0),
        Rule(y=mean, tone="accent"),
        Dots([at], [mean], size=4.5, tone="accent"),
    ]
    return Frame(
        marks=marks, x_title=question.names[question.predictor], y_title=question.names[question.target],
        x_range=question.wide(question.predictor), y_range=question.wide(question.target), place=True, at=(at, mean),
        snap="near", height=height, width=300,
    )  # fmt: skip


def _profile(question: Question, at: float, here: Univariate, height: int) -> Frame:
    """The density at the crosshair, standing on the axis that it shares with the curve."""
    extent = question.wide(question.target)
    y = torch.linspace(*extent, FINE, dtype=torch.float64)
    density = here.prob(y[None])[0]
    upright = torch.cat([y[:1], y, y[-1:]])
    marks: list[Mark] = []
    for k, part in enumerate(here.parts(y[None])[0]):
        if float(part.max()) >= 0.002 * float(density.max()):
            marks.append(_standing(part, upright, tone=k, fill=0.2, dash=k % 7))
    marks.append(_standing(density, upright, tone="ink", width=1.5))
    marks.append(Rule(y=float(here.without_noise().mean()[0]), tone="accent"))
    title = f"density at {question.names[question.predictor]} = {at:.4g}"
    reach = (0.0, 1.06 * float(density.max()) or 1.0)
    return Frame(marks=marks, title=title, x_title="density", x_range=reach, y_range=extent, height=height, width=200)


def _standing(density: Float[Tensor, "g"], upright: Float[Tensor, "h"], **look: Any) -> Line:
    zero = density.new_zeros(1)
    return Line(torch.cat([zero, density, zero]), upright, closed=True, **look)


def _number(column: str | int, names: Sequence[str]) -> int:
    if isinstance(column, str):
        if column not in names:
            raise BadData(f"There is no column {column!r}; the rows have {', '.join(names)}.")
        return list(names).index(column)
    return int(column)
