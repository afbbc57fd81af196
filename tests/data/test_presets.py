"""Presets fail as they say, and what they suggest mends them."""

from __future__ import annotations

import pytest
import torch

from gmmlab import GaussianMixture
from gmmlab.data.presets import PRESETS, preset
from gmmlab.fit import last, moves, plateau, run, whole


def climbed(model, x):
    """The model at the end of EM, and its mean log-likelihood."""
    end = last(run(model, whole(x), stop=plateau(1e-8))).model
    return end, float(end.log_prob(x).mean())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_same_every_time(name):
    one, two = preset(name), preset(name)
    assert torch.equal(one.x, two.x)
    assert one.x.shape[1] == one.start.d == 2
    assert one.note.startswith("Play: ")


@pytest.mark.parametrize("name", ["cigars", "unequal", "noise", "bad start"])
def test_the_start_ends_far_below_the_truth(name):
    made = preset(name)
    assert climbed(made.start, made.x)[1] < climbed(made.truth, made.x)[1] - 0.4


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("cigars", GaussianMixture(2, random_state=0)),
        ("unequal", GaussianMixture(2, random_state=0)),
        ("noise", GaussianMixture(3, noise=True, random_state=0)),
    ],
)
def test_the_suggested_model_ends_at_the_truth(name, model):
    made = preset(name)
    model.set_params(tol=1e-8, max_iter=1000).fit(made.x)
    assert model.score(made.x) > climbed(made.truth, made.x)[1] - 0.01


def test_a_bad_start_is_rescued_by_merge_and_split():
    made = preset("bad start")
    stuck, _ = climbed(made.start, made.x)
    rescued = moves.split(moves.merge(stuck, 0, 1), 1)
    assert climbed(rescued, made.x)[1] == pytest.approx(climbed(made.truth, made.x)[1], abs=1e-5)


def test_a_component_collapses():
    made = preset("collapse")
    end, value = climbed(made.start, made.x)
    assert float(end.components.cov[2].diagonal().max()) < 1e-4
    assert float(end.weights[2]) * len(made.x) == pytest.approx(2, abs=0.1)
    assert value > climbed(made.truth, made.x)[1], "a higher likelihood, and no cluster"


def test_crescents_take_more_than_two():
    made = preset("moons")
    stuck, value = climbed(made.start, made.x)
    for k in (0, 1, 0, 1):
        stuck = moves.split(stuck, k)
    assert climbed(stuck, made.x)[1] > value + 0.3


def test_unknown_names_get_a_hint():
    with pytest.raises(ValueError, match=r"There is no preset 'moon'.*Did you mean 'moons'"):
        preset("moon")
    with pytest.raises(ValueError, match="load_table"):
        preset("table.csv")
