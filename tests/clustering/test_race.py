"""A race of clusterers: what is measured, and its picture."""

from __future__ import annotations

import pytest
import torch

from gmmlab.clustering import SDPClustering, race
from gmmlab.data import shaped_groups
from gmmlab.plot.chart import Dots, Line
from gmmlab.plot.painter import paint
from gmmlab.plot.race import LEAST
from gmmlab.plot.race import race as picture


def test_a_course_is_timed_and_judged_on_all_rows():
    x, y = shaped_groups(60, 3, 3, 12.0, torch.Generator().manual_seed(0))
    entrants = {
        name: SDPClustering(3, solver=name, sketch_size=30, init=y.numpy(), random_state=0)
        for name in ("admm", "low_rank", "sketch")
    }
    courses = race(x, entrants)
    assert list(courses) == list(entrants)
    for course in courses.values():
        seconds = [moment.seconds for moment in course]
        assert seconds == sorted(seconds)
        assert seconds[0] > 0
    end = courses["admm"][-1]
    fit = entrants["admm"].fit(x)
    assert end.certified
    assert end.likelihood == pytest.approx(fit.objective_ / 60, abs=1e-3)
    assert not courses["low_rank"][-1].certified
    assert not courses["sketch"][-1].certified  # of half of the rows
    *_, last = entrants["sketch"].steps(x)
    assert last.info.certified


def test_the_picture_of_a_race():
    courses = {"a": [(0.1, -5.0, False), (1.0, -3.0, True)], "b": [(0.01, -3.5, False)]}
    chart = picture(courses)
    (frame,) = chart.grid[0]
    lines = [mark for mark in frame.marks if isinstance(mark, Line)]
    assert [line.label for line in lines] == ["a", "b"]
    assert [10**v for v in lines[0].y] == pytest.approx([2.0, LEAST])
    assert [10**v for v in lines[1].y] == pytest.approx([0.5])
    rings = [mark for mark in frame.marks if isinstance(mark, Dots)]
    assert [list(ring.x) for ring in rings] == [[0.0], []]
    assert "b ends 0.5 a row below the best after 0.01 s" in chart.alt
    paint(chart, width=400)


@pytest.mark.parametrize("courses", [{}, {"a": []}], ids=["none", "without moments"])
def test_a_race_needs_moments(courses):
    with pytest.raises(ValueError, match="expected at least one moment"):
        picture(courses)
