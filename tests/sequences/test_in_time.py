"""The picture of a series: every row in the colour of its likeliest state, above shares that fill the frame."""

from __future__ import annotations

import numpy as np
import pytest

from gmmlab import plot
from gmmlab.errors import BadData
from gmmlab.plot.in_time import states_in_time


def test_rows_have_the_tone_of_their_state_and_shares_fill_the_frame():
    resp = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    chart = states_in_time(np.array([1.0, 2.0, 3.0]), resp, y="height")
    above, below = chart.frames()
    assert above.marks[1].tone == [0, 1, 0]
    assert above.marks[1].words[1] == "row 1: 2, state 2 (80 %)"
    assert below.marks[0].low == pytest.approx(0)
    assert below.marks[1].low == pytest.approx(below.marks[0].high)
    assert below.marks[1].high == pytest.approx(1)
    assert chart.alt == "height of 3 rows and the probabilities of 2 states: 2 in state 1, 1 in state 2."


def test_it_takes_labels_and_is_deterministic():
    values, labels = np.sin(np.arange(50.0)), np.arange(50) // 20
    pictures = [plot.regimes(values, labels, y="sine")._repr_png_()[0] for _ in range(2)]
    assert pictures[0] == pictures[1]
    with pytest.raises(BadData, match="50 values and states of 20 rows"):
        plot.regimes(values, labels[:20])
