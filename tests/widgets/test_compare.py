"""Compare: matched colours, counts of label pairs, and rows that are marked by a click on them."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
import torch
from cases import blobs
from views import MODELS, obey, session, shown, with_gaps

import gmmlab
from gmmlab import algebra, plot
from gmmlab.errors import BadData
from gmmlab.plot.chart import Cells, Points
from gmmlab.plot.versus import density_difference, renamed
from gmmlab.widgets import compare
from gmmlab.widgets.compare import Compare
from gmmlab.widgets.session import Session


@pytest.fixture
def x(rng: torch.Generator) -> torch.Tensor:
    return blobs(rng, n=240, d=3)


def cells(widget: Compare, title: str) -> Cells:
    frames = widget.chart(widget.session.snapshot).frames()
    (mark,) = (m for f in frames if f.title == title for m in f.marks if isinstance(m, Cells))
    return mark


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_compared_with_every_kind(name: str, x: torch.Tensor) -> None:
    for other in ("three", "noise", "one"):
        widget = Compare(session(name, x), MODELS[other].fit(x))
        json.dumps(shown(widget), allow_nan=False)
        assert sum(map(sum, np.array(cells(widget, "rows by both labels").text) == "")) == 0
    data, metadata = widget._repr_mimebundle_()
    assert data["text/plain"] == widget.describe()
    assert metadata["image/png"]["alt"] in data["text/plain"]


def test_what_matches_has_one_colour(x: torch.Tensor) -> None:
    fitted = MODELS["three"].fit(x).mixture_
    order = torch.tensor([2, 0, 1])
    other = fitted.replace(components=fitted.gaussian.take(order), gate=fitted.gate.take(order))
    widget = Compare(Session(x, fitted), other)
    one, same = widget.colours(widget.session.snapshot)
    assert torch.equal(one, same)
    left, right, *_ = widget.chart(widget.session.snapshot).frames()
    assert [mark.by for frame in (left, right) for mark in frame.marks if isinstance(mark, Points)] == [0, 1]
    told = [
        {(mark.tone, round(float(mark.x[0]), 6)) for mark in frame.marks if getattr(mark, "closed", False)}
        for frame in (left, right)
    ]
    assert told[0] == told[1]
    assert "adjusted Rand index 1.000" in widget.describe()
    assert widget.describe().endswith("the rows are as likely in both.")


def test_a_component_without_a_match_gets_a_number_of_its_own(x: torch.Tensor) -> None:
    widget = Compare(session("one", x), MODELS["three"].fit(x))
    assert "1 component, the other 3, 2 without a match" in widget.describe()
    _, right = widget.colours(widget.session.snapshot)
    assert sorted(right.unique().tolist()) == [0, 1, 2]
    assert shown(widget)["k"] == 3
    assert torch.equal(renamed(torch.tensor([0, -1, 1]), [4, 2]), torch.tensor([4, -1, 2]))


def test_the_start_is_compared_with_what_the_fit_makes_of_it() -> None:
    explorer = gmmlab.explore(gmmlab.faithful(), n_components=3)
    widget = Compare(explorer.session)
    assert "adjusted Rand index 1.000" in widget.describe()
    widget.play()
    widget.wait(20)
    assert "more likely under this model" in widget.describe()
    assert "adjusted Rand index 1.000" not in widget.describe()
    widget.swapped = True
    assert widget.describe().startswith("Compare: The start has 3 components, this model 3")
    assert "more likely under this model" in widget.describe()


@pytest.mark.parametrize("swapped", [False, True])
def test_a_click_on_a_cell_marks_its_rows(x: torch.Tensor, swapped: bool) -> None:
    widget = Compare(session("noise", x), MODELS["three"].fit(x), swapped=swapped)
    table = cells(widget, "rows by both labels")
    for pick, words in zip(table.picks, table.words, strict=True):
        obey(widget, "pick", frame=2, pick=pick)
        assert f"{len(widget.session.brushed):,} rows" == words.split(":")[0]
    with pytest.raises(ValueError, match="expected a cell of the table, 0 to 11"):
        obey(widget, "pick", frame=2, pick=12)


def test_the_map_shows_which_is_denser_where(x: torch.Tensor) -> None:
    widget = Compare(session("three", x), MODELS["one"].fit(x))
    image = np.asarray(cells(widget, "which is denser").share)
    (x0, x1), (y0, y1) = next(
        (f.x_range, f.y_range) for f in widget.chart(widget.session.snapshot).frames() if f.title == "which is denser"
    )
    rows, columns = image.shape
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    at = torch.stack([x0 + (x1 - x0) * (j + 0.5) / columns, y1 - (y1 - y0) * (i + 0.5) / rows], dim=-1).view(-1, 2)
    difference = density_difference(widget.model, widget.other, [0, 1], at.double()).view(rows, columns)
    np.testing.assert_allclose(image, difference / difference.abs().max(), atol=1e-3)


def test_one_takes_the_place_of_the_other(x: torch.Tensor) -> None:
    widget = Compare(session("three", x))
    frames = []
    for _ in range(2):
        obey(widget, "control", name="blink", value=True)
        frames.append(next(widget.chart(widget.session.snapshot).frames()))
    assert [frame.title for frame in frames] == ["this model", "the start"]
    assert frames[0].ranges() == frames[1].ranges()
    with pytest.raises(ValueError, match="no button"):
        widget.pressed("wink")


def test_columns_are_chosen_and_exchanged(x: torch.Tensor) -> None:
    widget = Compare(session("three", x), dims=("x2", "x0"))
    assert widget.dims == (2, 0)
    obey(widget, "control", name="across", value=0)
    assert widget.dims == (0, 2)
    torch.testing.assert_close(widget.columns(), x[:, [0, 2]])
    with pytest.raises(ValueError, match="no column 7"):
        obey(widget, "control", name="up", value=7)
    with pytest.raises(TypeError, match="Did you mean"):
        Compare(session("three", x), dims=("x0", "x11"))


def test_gaps_and_single_columns(x: torch.Tensor) -> None:
    gaps = with_gaps(x)
    widget = Compare(Session(gaps, MODELS["three"].fit(x).mixture_), MODELS["student"].fit(x))
    assert shown(widget)["chart"]["note"].startswith("This model has 3")
    column = x[:, :1]
    line = Compare(session("three", column), MODELS["one"].fit(column))
    kinds = {mark["kind"] for row in shown(line)["chart"]["grid"] for frame in row for mark in frame.get("marks", ())}
    assert kinds == {"line", "cells"}
    assert line.png()


def test_what_does_not_fit_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(BadData, match="3 and 2 columns and the rows have 3"):
        Compare(session("three", x), MODELS["one"].fit(x[:, :2]))


def test_fewer_rows_while_the_fit_plays(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "FEW", 100)
    widget = Compare(session("three", x), MODELS["one"].fit(x))
    at_rest = widget.session.snapshot
    playing = at_rest.__class__(**{**vars(at_rest), "play": "playing"})
    assert "Of 80 of the rows while the fit plays" in widget.chart(playing).note
    assert "while the fit plays" not in widget.chart(at_rest).note


def test_a_page_that_waits_sees_some_rows_before_all(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "FEW", 100)
    widget, there = Compare(session("three", x), MODELS["one"].fit(x)), threading.Event()
    widget._found._there = there.set
    assert "Of 80 of the rows" in shown(widget)["chart"]["note"]
    assert there.wait(20)
    assert "of the rows while" not in shown(widget)["chart"]["note"]
    small = Compare(session("three", x[:50]), MODELS["one"].fit(x))
    assert "of the rows while" not in shown(small)["chart"]["note"], "at once where there are few"


def test_the_picture_for_everyone(x: torch.Tensor) -> None:
    picture = plot.compare(x, MODELS["three"].fit(x), MODELS["one"].fit(x), dims=(0, 2), names=("A", "B"))
    assert picture.alt.startswith("A has 3 components, B 1; adjusted Rand index 0.000")
    assert picture.png()


def test_a_search_is_no_mixture(x: torch.Tensor) -> None:
    class Search:
        snapshot: Any = type("Snapshot", (), {"model": object()})

    with pytest.raises(TypeError, match="Compare shows a mixture"):
        Compare(Search())


def test_gain_is_the_difference_of_log_densities(x: torch.Tensor) -> None:
    one, other = MODELS["three"].fit(x), MODELS["one"].fit(x)
    gain = float((algebra.log_prob(one.mixture_, x) - algebra.log_prob(other.mixture_, x)).sum())
    assert f"the rows are {gain:,.1f} nats" in plot.compare(x, one, other).alt


def test_two_models_that_are_the_same_look_the_same() -> None:
    x = gmmlab.faithful()
    one = gmmlab.GaussianMixture(2, random_state=0).fit(x).mixture_
    other = one.relocated(mean=one.gaussian.mean + 1e-7)
    compare = Compare.of(x, one, other=other)
    (cells,) = [
        mark
        for part in compare.chart(compare.session.snapshot).frames()
        for mark in getattr(part, "marks", ())
        if getattr(mark, "tight", False)
    ]
    assert float(abs(cells.share).max()) < 0.01
