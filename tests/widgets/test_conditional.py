"""Conditional: curves and bands are those of the model, and clicks and sliders ask for others."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from cases import blobs
from views import MODELS, frames, marks, obey, session, shown, with_gaps

from gmmlab import algebra, plot
from gmmlab.errors import BadData
from gmmlab.plot.chart import Band, Line
from gmmlab.widgets.conditional import Conditional
from gmmlab.widgets.session import Session


@pytest.fixture
def x(rng: torch.Generator) -> torch.Tensor:
    return blobs(rng, n=240, d=3)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_curve_and_a_picture(name: str, x: torch.Tensor) -> None:
    widget = Conditional(session(name, x), target="x2", predictor="x0")
    json.dumps(shown(widget), allow_nan=False)
    data, metadata = widget._repr_mimebundle_()
    assert data["text/plain"] == widget.describe()
    assert metadata["image/png"]["alt"] in data["text/plain"]
    line = marks(frames(widget)[0], Line)[0]
    assert np.isfinite(np.asarray(line.y)).all()


@pytest.mark.parametrize("held", [{}, {"x1": 0.5}])
def test_the_curve_is_the_regression_and_the_bands_its_quantiles(x: torch.Tensor, held: dict[str, float]) -> None:
    widget = Conditional(session("three", x), target="x2", predictor="x0", held=held)
    course, _ = frames(widget)
    at = torch.as_tensor(marks(course, Line)[0].x)[:, None]
    rows = torch.cat([at, torch.full((len(at), len(held)), 0.5)], dim=1)
    given = [0, 1][: 1 + len(held)]
    torch.testing.assert_close(marks(course, Line)[0].y, algebra.regress(widget.model, rows, given, [2]).mean[:, 0])
    wide, narrow = marks(course, Band)
    for band, p in ((wide, 0.05), (narrow, 0.25)):
        for course_, level in ((band.low, p), (band.high, 1 - p)):
            torch.testing.assert_close(course_, algebra.regress_quantile(widget.model, rows, given, 2, level))


@pytest.mark.parametrize("name", ["three", "noise", "student"])
def test_the_density_beside_it_has_mass_one(name: str, x: torch.Tensor) -> None:
    widget = Conditional(session(name, x), target=2, predictor=0)
    _, profile = frames(widget)
    whole = marks(profile, Line)[-1]
    density, y = np.asarray(whole.x)[1:-1], np.asarray(whole.y)[1:-1]
    assert np.trapezoid(density, y) == pytest.approx(1.0, abs=0.05)  # what lies outside the frame
    assert profile.ranges()[1] == frames(widget)[0].ranges()[1]


def test_a_click_says_where(x: torch.Tensor) -> None:
    widget = Conditional(session("three", x))
    obey(widget, "place", frame=0, x=1.25, y=77)
    assert widget.at == 1.25
    assert "Given x0 = 1.25: x1" in widget.describe()
    obey(widget, "place", frame=0, x=1e9, y=0)
    assert widget.at == pytest.approx(frames(widget)[0].ranges()[0][1])
    with pytest.raises(ValueError, match="takes no places"):
        obey(widget, "place", frame=1, x=0, y=0)
    obey(widget, "control", name="across", value=2)
    assert widget.at is None  # of another column


def test_other_columns_are_held_or_averaged_over(x: torch.Tensor) -> None:
    widget = Conditional(session("three", x))
    assert widget.held == {}
    assert "Averaged over: x2." in shown(widget)["chart"]["note"]
    obey(widget, "control", name="hold", value=True)
    (name,) = widget.held
    slider = next(each for each in shown(widget)["controls"] if each["kind"] == "number")
    assert (slider["label"], slider["name"]) == (name, "held 2") == ("x2", "held 2")
    obey(widget, "control", name="held 2", value=1)
    assert widget.held == {"x2": 1.0}
    assert ", x2 = 1:" in widget.describe()
    obey(widget, "control", name="hold", value=False)
    assert widget.held == {}
    widget.hold(x2=0.25)
    widget.hold(x2=None)
    assert widget.held == {}


@pytest.mark.parametrize("value", ["high", None, math.inf, True])
def test_sliders_take_numbers(x: torch.Tensor, value: Any) -> None:
    widget = Conditional(session("three", x), held={"x2": 0.0})
    with pytest.raises(ValueError, match="finite number"):
        obey(widget, "control", name="held 2", value=value)
    with pytest.raises(ValueError, match="no control 'held 7'"):
        obey(widget, "control", name="held 7", value=1.0)


def test_six_columns_have_sliders_and_the_rest_is_averaged_over(rng: torch.Generator) -> None:
    widget = Conditional(session("diagonal", blobs(rng, n=300, d=10)))
    obey(widget, "control", name="hold", value=True)
    assert len(widget.held) == 6
    assert "Averaged over: x8, x9." in shown(widget)["chart"]["note"]
    with pytest.raises(ValueError, match="7 columns would be held; expected 6 at most"):
        widget.hold(x9=0.0)
    with pytest.raises(ValueError, match="7 columns are to be held"):
        Conditional(widget.session, held=dict.fromkeys(range(2, 9), 0.0))


def test_values_that_no_component_explains_are_told_in_the_widget(x: torch.Tensor) -> None:
    widget = Conditional(session("three", x), held={"x2": 1e200})
    content = shown(widget)
    assert "No component has a density" in content["chart"]["grid"][0][0]["empty"]


def test_gaps_are_no_matter_and_one_column_is_refused(x: torch.Tensor) -> None:
    model = MODELS["three"].fit(x).mixture_
    widget = Conditional(Session(with_gaps(x), model))
    assert shown(widget)["chart"]["note"].startswith("Given x0")
    assert widget.png()
    with pytest.raises(BadData, match="these rows have one"):
        Conditional(session("one", x[:, :1]))
    with pytest.raises(ValueError, match="each column once"):
        Conditional(session("one", x), target=1, predictor=1)


def test_the_picture_for_everyone(x: torch.Tensor) -> None:
    model = MODELS["three"].fit(x)
    picture = plot.conditional(x, model, target="x1", predictor="x2", at=0.5, held={"x0": 1.0})
    assert picture.alt.startswith("Given x2 = 0.5, x0 = 1: x1 ")
    assert picture.png()
    with pytest.raises(BadData, match="no column 'x9'; the rows have x0, x1, x2"):
        plot.conditional(x, model, target="x9")
