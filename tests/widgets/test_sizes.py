"""What grows with rows, components and columns, and what must not: laws that ten million rows rest on."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import torch
from cases import blobs
from views import session

from gmmlab import GaussianMixture
from gmmlab.plot import matrix
from gmmlab.plot.ambiguity import memberships
from gmmlab.plot.chart import Dots, Table
from gmmlab.widgets import Conditional, FitCheck, Pairs, Responsibilities, Uncertainty
from gmmlab.widgets.once import once
from gmmlab.widgets.opening import session_of


def playing(panel: Any) -> Any:
    return replace(panel.session.snapshot, play="playing")


def test_a_question_that_takes_long_does_not_hold_up_another(rng: torch.Generator) -> None:
    held, asked, going = session("three", blobs(rng, n=20, d=2)), threading.Event(), threading.Event()

    def long(*_: Any) -> None:
        asked.set()
        going.wait(10)

    thread = threading.Thread(target=once, args=(held, held.snapshot.model, long))
    thread.start()
    assert asked.wait(10)
    other = threading.Thread(target=once, args=(held, held.snapshot.model, lambda *_: 1))
    other.start()
    other.join(5)
    assert not other.is_alive()
    going.set()
    thread.join(10)


@pytest.mark.parametrize("kind", [FitCheck, Responsibilities])
def test_few_rows_are_checked_while_a_fit_plays(
    kind: type, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmmlab.widgets.snapshot.FEW", 50)
    panel = kind(session("three", blobs(rng, n=480, d=2)))
    assert "One row in 10 " in panel.chart(playing(panel)).note
    assert "One row" not in panel.chart(panel.session.snapshot).note
    panel.close()


def test_rows_that_are_checked_while_a_fit_plays_keep_their_numbers(
    rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmmlab.widgets.snapshot.FEW", 50)
    x = blobs(rng, n=480, d=2)
    x[170] += 60.0
    panel = FitCheck(session("one", x))
    parts = list(panel.chart(playing(panel)).frames())
    table = next(part for part in parts if isinstance(part, Table))
    assert table.cells[0][0] == "170"
    dots = next(mark for mark in parts[0].marks if isinstance(mark, Dots))
    assert {row % 10 for row in dots.rows} == {0} and 170 in dots.rows
    panel.close()


def test_what_is_kept_of_a_row_does_not_grow_with_the_components(rng: torch.Generator) -> None:
    x = blobs(rng, n=300, d=2)
    kept = []
    for k in (2, 12):
        model = GaussianMixture(k, max_iter=2, tol=1.0, init_params="random_from_data", random_state=0).fit(x).mixture_
        found = memberships(model, x)
        kept.append(
            [part.nbytes for part in (*found, *found.bars) if isinstance(part, torch.Tensor) and len(part) == 300]
        )
    assert kept[0] == kept[1]


def test_the_histogram_of_a_column_is_counted_once(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    count = matrix.histogram
    monkeypatch.setattr(matrix, "histogram", lambda *args: counted.append(args) or count(*args))
    pairs = Pairs(session("three", blobs(rng, n=60, d=3)))
    for frame in range(3):
        assert pairs.compose(pairs.session.snapshot, frame)[0]["error"] is None
    assert len(counted) == 3
    pairs.close()


@pytest.mark.parametrize(("kind", "columns"), [(Pairs, 4), (Conditional, 2), (Uncertainty, 2)])
def test_only_the_columns_that_are_shown_are_sent(kind: type, columns: int, rng: torch.Generator) -> None:
    x = torch.randn(80, 200, generator=rng, dtype=torch.float64)
    panel = kind(session_of(x, GaussianMixture(2, covariance_type="diag", random_state=0)))
    (sent,) = panel._rows(panel.columns())[1]
    assert len(sent) == 80 * 4 * columns
    panel.close()


def test_pairs_of_far_columns_ask_for_these_columns(rng: torch.Generator) -> None:
    x = torch.randn(80, 200, generator=rng, dtype=torch.float64)
    pairs = Pairs(session_of(x, GaussianMixture(2, covariance_type="diag", random_state=0)), features=[150, 3])
    chart = pairs.chart(pairs.session.snapshot)
    links = [part.dims for part in chart.frames()]
    assert links == [(), (3, 150), (150, 3), ()]
    assert "x150, x3" in chart.alt
    low, high = float(x[:, 150].min()), float(x[:, 150].max())
    assert next(iter(chart.frames())).x_range == pytest.approx((low - 0.08 * (high - low), high + 0.08 * (high - low)))
    pairs.close()


def test_the_information_of_too_many_parameters_is_refused_before_it_is_made(rng: torch.Generator) -> None:
    x = torch.randn(400, 100, generator=rng, dtype=torch.float64)
    panel = Uncertainty(session_of(x, GaussianMixture(2, max_iter=1, reg_covar=0.1, random_state=0)))
    assert "The information of 10,301 parameters" in panel.chart(panel.session.snapshot).note
    panel.close()
