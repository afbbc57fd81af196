"""The restart landscape: which optima it shows, what a click loads, and where estimators keep the ends of starts."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from cases import STRUCTURES, blobs, random_mixture
from sklearn.exceptions import ConvergenceWarning

import gmmlab
from gmmlab import GaussianMixture, StudentMixture
from gmmlab.errors import BadData
from gmmlab.estimators.fitting import Interrupted
from gmmlab.plot import Optima
from gmmlab.plot.chart import Dots, Line, Points, Table
from gmmlab.plot.optima import peaks
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.restarts import FEW, RestartLandscape
from gmmlab.widgets.session import Session

pytestmark = pytest.mark.filterwarnings("ignore:Best performing initialization:sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def x():
    return blobs(torch.Generator().manual_seed(3), n=120, d=3, k=4)


@pytest.fixture(scope="module")
def model(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        starts = GaussianMixture(4, init_params="random_from_data", n_init=8, tol=1e-6, max_iter=200, random_state=1)
        return starts.fit(x)


@pytest.fixture
def chart(model, x, told):
    widget = RestartLandscape(model, x, dims=(2, 0))
    yield widget
    widget.close()


def parts(widget):
    return list(widget.chart(widget.session.snapshot).frames())


# the ends of starts


@pytest.mark.parametrize("options", [{}, {"noise": True}, {"acceleration": "squarem"}])
def test_estimators_keep_where_their_starts_ended(x, options):
    starts = GaussianMixture(2, init_params="random_from_data", n_init=4, random_state=0, **options).fit(x)
    ends = starts.restarts_
    assert len(ends) == 4
    bounds = [end.bound for end in ends]
    assert bounds == sorted(bounds, reverse=True) and bounds[0] == starts.lower_bound_
    assert torch.allclose(ends[0].model.weights, starts.mixture_.weights)
    assert ends[0].bounds == starts.lower_bounds_
    starts.set_params(n_init=1).fit(x)
    assert len(starts.restarts_) == 1, "those of the last fit"


def test_large_models_are_kept_only_if_they_are_the_best(x, monkeypatch):
    monkeypatch.setattr("gmmlab.estimators.kept.MOST_BYTES", 500)
    starts = GaussianMixture(2, init_params="random_from_data", n_init=4, random_state=0).fit(x)
    assert len(starts.restarts_) < 4 and starts.restarts_[0].bound == starts.lower_bound_


def test_an_interrupted_fit_keeps_what_it_reached(x, monkeypatch):
    starts = GaussianMixture(2, init_params="random_from_data", n_init=4, random_state=0).fit(x)

    def stop(*_, **__):
        raise Interrupted(starts.restarts_[2])

    monkeypatch.setattr("gmmlab.estimators.base.best_together", stop)
    with pytest.raises(KeyboardInterrupt), pytest.warns(ConvergenceWarning, match="Interrupted"):
        starts.fit(x)
    assert len(starts.restarts_) == 1


def test_ends_are_in_no_file_and_in_no_copy(model):
    before = len(pickle.dumps(model))
    assert len(model.restarts_) == 8 and len(pickle.dumps(model)) == before
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), GaussianMixture(2)):
        assert not hasattr(other, "restarts_")
    with pytest.raises(AttributeError, match="does not know where its starts ended"):
        _ = copy.deepcopy(model).restarts_


# the chart


def test_dots_lie_at_gap_and_distance_and_crosses_are_degenerate():
    optima = Optima(
        np.array([-90.0, -95, -70]), np.array([7, 2, 1]), np.array([0.0, 0.3, 0.9]), np.array([False, False, True])
    )
    (frame,) = peaks(optima, opened=1).frames()
    dots, crosses, ring = (mark for mark in frame.marks if isinstance(mark, Dots))
    assert list(dots.y) == [0, -5] and list(dots.x) == [0, 0.3] and list(dots.picks) == [0, 1]
    assert dots.size[0] > dots.size[1]
    assert crosses.shape == "cross" and list(crosses.picks) == [2] and crosses.y[0] < frame.y_range[1]
    assert list(ring.x) == [0.3] and ring.shape == "ring"
    assert crosses.words == ["degenerate optimum of one start: log-likelihood 20 above the best"]
    assert dots.words[0] == "optimum of 7 starts: the best"


def test_optima_are_in_dots_in_a_table_and_in_small(chart):
    table = chart.landscape.table
    dots, numbers, *small = parts(chart)
    assert isinstance(numbers, Table) and len(numbers.cells) == len(table)
    assert sum(int(row[1]) for row in numbers.cells) == 8
    assert len(small) == min(FEW, len(table)) and [frame.pick for frame in small] == list(range(len(small)))
    assert sum(len(mark.x) for mark in dots.marks if isinstance(mark, Dots) and mark.picks) == len(table)
    points, *outlines = small[0].marks
    assert isinstance(points, Points) and points.plain and len(outlines) == 4
    assert all(isinstance(mark, Line) and mark.closed for mark in outlines)
    means = torch.tensor([[mark.x.mean(), mark.y.mean()] for mark in outlines])
    best = chart.fits[table[0].fit].components.mean[:, [2, 0]]
    assert torch.allclose(means.double(), best, atol=0.25), "in the shown columns"


def test_a_component_keeps_its_colour_across_optima(x, rng):
    model = random_mixture(STRUCTURES["VVV"], x, 4, rng)
    parts = model.components.take(torch.tensor([2, 0, 3, 1]))
    turned = model.replace(components=parts.replace(mean=parts.mean + 0.01))
    chart = RestartLandscape([model, turned], x, same_loglik=0.0)
    best, other = (chart.fits[row.fit].components.mean for row in chart.landscape.table)
    nearest = torch.cdist(other, best).argmin(1).tolist()
    assert chart._tones == [[0, 1, 2, 3], nearest] and nearest != [0, 1, 2, 3]


def test_words_and_picture(chart, x):
    table = chart.landscape.table
    sound = sum(not row.degenerate for row in table)
    assert sound > 0
    assert chart.describe().startswith(f"RestartLandscape: 8 starts ended in {len(table)} optima, {table[0].times} of")
    image = np.asarray(chart.picture()._drawn().convert("RGB"))
    assert tuple(image[1, 1]) == (255, 255, 255)
    chart.send_rows()
    assert chart.columns().shape == (120, 2) and torch.equal(chart.columns()[:, 0], x[:, 2])


# what can be done


def test_a_click_loads_an_optimum(chart):
    second = chart.fits[chart.landscape.table[1].fit]
    chart.picked(0, 1, "")
    assert torch.equal(chart.session.wait(20).model.weights, second.weights)
    _, numbers, first, shown, *_ = parts(chart)
    assert numbers.cells[1][0].endswith("●") and "●" in shown.title and "●" not in first.title
    with pytest.raises(Invalid, match="optimum is 99"):
        chart.picked(0, 99, "")


def test_a_click_loads_into_a_session_that_is_there(model, x, told):
    session = Session(x, model.mixture_)
    chart = RestartLandscape(model, x, session=session)
    assert not any("●" in row[0] for row in parts(chart)[1].cells)
    chart.load(1)
    assert session.wait(20).model is chart.fits[chart.landscape.table[1].fit]


def spiked(x):
    """A sound fit, and one with a component on two rows."""
    rows = x[:, :2]
    few = torch.zeros(len(x), dtype=torch.long)
    few[:2] = 1
    fit = lambda labels, ridge: GaussianMixture(2, init_params=labels, max_iter=0, reg_covar=ridge).fit(rows)  # noqa: E731
    return rows, [fit(torch.arange(len(x)) % 2, 1e-6), fit(few, 1e-13)]


def test_degenerate_optima_can_be_hidden(x, told):
    rows, fits = spiked(x)
    chart = RestartLandscape(fits, rows)
    assert [control.name for control in chart.controls()] == ["hide_degenerate"]
    assert parts(chart)[1].cells[1][0] == "2 ×"
    chart.hide_degenerate = True
    dots, numbers, *small = parts(chart)
    assert len(numbers.cells) == len(small) == 1 and "1 degenerate ones hidden" in chart.describe()
    assert not any(mark.label == "degenerate" for mark in dots.marks)
    chart.load(1)
    assert len(parts(chart)[1].cells) == 1, "one that is hidden can be loaded from Python"
    bad = RestartLandscape(fits[1:], rows, hide_degenerate=True)
    assert "all of them degenerate" in bad.describe() and len(parts(bad)[0].cells) == 1


def test_one_component_one_column_noise_gaps_and_other_families(x, told):
    one = GaussianMixture(1, n_init=2, init_params="random_from_data", random_state=0).fit(x)
    assert len(RestartLandscape(one, x).landscape.table) == 1
    narrow = GaussianMixture(2, n_init=3, init_params="random_from_data", random_state=0).fit(x[:, :1])
    chart = RestartLandscape(narrow, x[:, :1])
    assert chart.columns() is None and isinstance(parts(chart)[2].marks[0], Line)
    assert chart.picture().alt.startswith("3 starts")
    holes = x.clone()
    holes[:10, 1] = torch.nan
    noisy = GaussianMixture(2, n_init=2, noise=True, init_params="random_from_data", random_state=0).fit(holes)
    assert RestartLandscape(noisy, holes, dims=(1, 2)).picture().alt.startswith("2 starts")
    student = StudentMixture(2, n_init=2, init_params="random_from_data", random_state=0).fit(x)
    assert RestartLandscape(student, x).picture().alt.startswith("2 starts")
    different = RestartLandscape([one.mixture_, model_of(x, 3)], x)
    assert len(different.landscape.table) == 2


def model_of(x, k):
    return GaussianMixture(k, random_state=0).fit(x)


def test_bad_input_is_refused_with_a_sentence(model, x):
    with pytest.raises(TypeError, match="a str among the fits; expected an estimator after fit"):
        RestartLandscape(["no"], x)
    with pytest.raises(TypeError, match="There is nothing"):
        RestartLandscape([], x)
    with pytest.raises(BadData, match="3 features and the rows have 2"):
        RestartLandscape(model, x[:, :2])
    with pytest.raises(AttributeError, match="Fit again"):
        RestartLandscape(gmmlab.GaussianMixture(2), x)
    with pytest.raises(ValueError, match="two different columns"):
        RestartLandscape(model, x, dims=(1, 1))
