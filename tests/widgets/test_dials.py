"""Dials: what they say to the fit, and what the fit makes of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from cases import blobs

import gmmlab
from gmmlab.families import Student
from gmmlab.gates import Noisy
from gmmlab.plot.chart import Dots, Text
from gmmlab.plot.sliders import sliders
from gmmlab.widgets.dials import Dials
from gmmlab.widgets.session import Session


def obey(widget: Any, op: str, **fields: Any) -> Any:
    widget.ops[op](widget, {"v": 1, "op": op, "seq": 1, **fields})
    return widget.session.wait(10)


@pytest.fixture
def dials(rng: torch.Generator) -> Any:
    x = blobs(rng, n=200, d=2)
    dials = Dials(Session(x, gmmlab.GaussianMixture(2, random_state=0).fit(x).mixture_))
    yield dials
    dials.close()


def test_untouched_dials_leave_the_fit_alone(dials: Any) -> None:
    before = dials.session.snapshot
    assert (before.settings["dof"], before.settings["noise"], before.settings["prior"]) == (None, None, None)
    assert dials.compose(before, 1)[0]["error"] is None


@pytest.mark.parametrize(
    ("name", "dial", "setting"),
    [("tol", -9.0, 1e-9), ("temperature", 1.0, 10.0), ("dof", 1.0, 10.0), ("dof", 3.0, math.inf),
     ("prior", 0.0, 1.0), ("prior", -2.0, 0.0), ("noise", True, True)],
)  # fmt: skip
def test_a_dial_is_a_setting(dials: Any, name: str, dial: Any, setting: Any) -> None:
    if getattr(dials, name) == dial:
        setattr(dials, name, 0.0)
    assert obey(dials, "control", name=name, value=dial).settings[name] == pytest.approx(setting)


def test_tails_noise_and_prior_reach_the_model(dials: Any) -> None:
    obey(dials, "control", name="dof", value=0.5)
    obey(dials, "control", name="noise", value=True)
    obey(dials, "control", name="prior", value=1.0)
    dials.play()
    model = dials.result(20)
    assert isinstance(model.components, Student)
    assert isinstance(model.gate, Noisy)
    assert model.located.prior is not None


def test_dials_begin_where_the_model_is(rng: torch.Generator) -> None:
    x = blobs(rng, n=200, d=2)
    fitted = gmmlab.StudentMixture(2, dof=10.0, noise=True, random_state=0, max_iter=500).fit(x)
    dials = Dials(Session(x, fitted.mixture_))
    assert dials.dof == pytest.approx(1.0)
    assert dials.noise


def test_fits_with_other_settings_show_those_they_know(rng: torch.Generator) -> None:
    x = blobs(rng, n=100, d=2)
    model = gmmlab.GaussianMixture(2, random_state=0).fit(x).mixture_
    dials = Dials(Session(x, model, fit=lambda _: iter(())))
    assert dials.controls() == []
    assert "none" in dials.describe()
    x[0, 0] = torch.nan
    assert "dof" not in [control.name for control in Dials(Session(x, model)).controls()]


def test_the_message_is_json(dials: Any) -> None:
    obey(dials, "control", name="dof", value=3.0)
    json.dumps(dials.compose(dials.session.snapshot, 1)[0], allow_nan=False)
    assert dials.png()


def test_the_picture_has_the_dials_where_they_stand(dials: Dials) -> None:
    dials.tol, dials.temperature, dials.noise = -7.0, 2.0, True
    (frame,) = sliders(dials.controls(), alt="").frames()
    assert frame.y_names == ["tolerance", "temperature", "degrees of freedom", "prior strength", "noise"]
    places = [float(mark.x[0]) for mark in frame.marks if isinstance(mark, Dots)]
    assert places[:4] == pytest.approx([0.5, 1.0, 1.0, 0.0])
    words = [mark.text for mark in frame.marks if isinstance(mark, Text) and mark.tone == "ink"]
    assert words == ["1e-07", "100", "Gaussian", "none", "on"]
    dials.height = 150
    assert dials.picture().size[1] == 150


def test_a_fit_without_settings_has_a_picture_too(dials: Dials) -> None:
    bare = Session(dials.session.x, dials.model, fit=lambda _: iter(()))
    picture = bare.dials().picture()
    assert "none" in picture.alt and picture.png()


def test_labels_have_a_weight_to_turn(rng: torch.Generator) -> None:
    """From one row each; the table counts labels and links in place of writing them out."""
    x = blobs(rng, n=200, d=2)
    y = torch.where(torch.arange(200) % 10 == 0, (x[:, 0] > 0).long(), -1).numpy()
    model = gmmlab.SemiSupervisedGMM(3, random_state=0)
    lab = model.explore(x, y, must=[(1, 2)], panels=("dials",))
    (dials,) = lab.panels
    assert isinstance(dials, Dials)
    assert [c.name for c in dials.controls()] == ["tol", "label_weight"]
    (table,) = dials.chart(lab.session.snapshot).frames()
    shown = dict(zip(table.columns, table.cells[0], strict=True))
    assert (shown["labels"], shown["must"], shown["label_weight"]) == ("20 of 200", "1", "1")
    assert obey(dials, "control", name="label_weight", value=1.0).settings["label_weight"] == pytest.approx(10.0)
    lab.close()
