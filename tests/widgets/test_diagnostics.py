"""Pairs, Responsibilities and Fit check: what they show of every kind of model, and which rows they mark."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cases import blobs
from traitlets import TraitError
from views import MODELS, obey, session

from gmmlab import algebra
from gmmlab.plot.chart import Table
from gmmlab.score.membership import choices
from gmmlab.widgets.fit_check import FitCheck
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.pairs import Pairs
from gmmlab.widgets.responsibilities import Responsibilities

WIDGETS = [FitCheck, Pairs, Responsibilities]


@pytest.fixture
def x(rng: torch.Generator) -> torch.Tensor:
    return blobs(rng, n=240, d=3)


@pytest.mark.parametrize("widget", WIDGETS)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_frame_and_a_picture(widget: type, name: str, x: torch.Tensor) -> None:
    shown = widget(session(name, x))
    content, _ = shown.compose(shown.session.snapshot, 1)
    assert content["error"] is None
    json.dumps(content, allow_nan=False)
    data, metadata = shown._repr_mimebundle_()
    assert len(data["image/png"]) < 90_000
    assert metadata["image/png"]["alt"]
    assert data["text/plain"].startswith(f"{widget.__name__}: ")
    assert shown.describe() == widget(shown.session).describe()  # stable, for notebooks that are compared
    shown.close()


@pytest.mark.parametrize("widget", WIDGETS)
def test_one_column_and_gaps(widget: type, x: torch.Tensor) -> None:
    x[::7, 0] = torch.nan
    for rows in (x, x[:, 1:2]):
        shown = widget(session("three", rows))
        assert shown.compose(shown.session.snapshot, 1)[0]["error"] is None
        assert shown.png()
        shown.close()


def test_rows_that_fit_badly_are_marked(x: torch.Tensor) -> None:
    x[17] += 40.0
    check = FitCheck(session("one", x))
    table = next(part for part in check.chart(check.session.snapshot).frames() if isinstance(part, Table))
    assert table.cells[0][0] == "17"
    obey(check, "pick", frame=3, pick=17)
    assert check.session.brushed.tolist() == [17]


def test_the_check_follows_component_and_column(x: torch.Tensor) -> None:
    check = FitCheck(session("three", x))
    before = check.chart(check.session.snapshot).message()["grid"]
    obey(check, "control", name="component", value=1)
    obey(check, "control", name="column", value=2)
    after = check.chart(check.session.snapshot).message()["grid"]
    assert [mark["tone"] for mark in after[0][0]["marks"] if mark["kind"] == "dots"] == [1]
    assert before[1][0] != after[1][0]
    with pytest.raises(ValueError, match="no column 3; expected 0 to 2"):
        obey(check, "control", name="column", value=3)


def test_unsure_rows_are_marked(x: torch.Tensor) -> None:
    shown = Responsibilities(session("three", x))
    resp = algebra.posterior(shown.model, x).resp
    entropy = torch.special.entr(resp).sum(1) / np.log(3)
    obey(shown, "place", frame=1, x=0.2, y=0.0)
    assert shown.threshold == 0.2
    obey(shown, "control", name="mark", value=True)
    assert shown.session.brushed.tolist() == (entropy > 0.2).nonzero().flatten().tolist()
    shown.threshold = 1.0
    with pytest.raises(Invalid, match="No row is as unsure as 1; drag the line to the left"):
        obey(shown, "control", name="mark", value=True)
    shown.session.wait(20)
    assert len(shown.session.brushed) == 0


def test_a_bar_marks_its_rows_and_a_cell_those_between_two_components(x: torch.Tensor) -> None:
    shown = Responsibilities(session("three", x))
    order = algebra.posterior(shown.model, x).resp.topk(2).indices
    obey(shown, "pick", frame=2, pick=3 * 0 + 1)
    expected = ((order[:, 0] == 0) & (order[:, 1] == 1)).nonzero().flatten()
    assert shown.session.brushed.tolist() == expected.tolist()
    obey(shown, "pick", frame=0, pick=0)
    assert 0 < len(shown.session.brushed) < 10
    with pytest.raises(ValueError, match="nothing to choose in frame 1"):
        obey(shown, "pick", frame=1, pick=0)


def test_choices_count_noise_last(x: torch.Tensor) -> None:
    x[:20] = 30 * torch.rand(20, 3, generator=torch.Generator().manual_seed(1)).double() - 15
    model = session("noise", x).snapshot.model
    posterior = algebra.posterior(model, x)
    joint = torch.cat([posterior.resp, posterior.none[:, None]], dim=1)
    first, second = choices(posterior)
    torch.testing.assert_close(torch.stack([first, second], dim=1), joint.topk(2).indices)
    assert bool((first == 2).any())


@pytest.mark.parametrize("basis", ["principal", "discriminant"])
def test_pairs_of_directions(basis: str, x: torch.Tensor) -> None:
    pairs = Pairs(session("three", x))
    obey(pairs, "control", name="basis", value=basis)
    seen = pairs.columns()
    np.testing.assert_allclose(
        np.cov(seen.T.numpy()) * (1 - np.eye(3)), 0, atol=0.1 if basis == "discriminant" else 1e-9
    )
    message = pairs.chart(pairs.session.snapshot).message()
    assert [row[i]["title"] for i, row in enumerate(message["grid"])] == [
        f"{'PC' if basis == 'principal' else 'D'}{i}" for i in (1, 2, 3)
    ]
    assert message["grid"][0][1]["dims"] == []  # these are no columns that others could show


def test_pairs_ask_for_columns_that_are_there(x: torch.Tensor) -> None:
    known = session("three", x)
    assert Pairs(known, features=[2, 0]).chart(known.snapshot).message()["grid"][0][1]["dims"] == [0, 2]
    assert Pairs(known, features=[known.names[2], 0]).features == [2, 0]
    for features in ([3], [0, 0], []):
        with pytest.raises(TraitError, match="different columns from 0 to 2"):
            Pairs(known, features=features)
