"""Labeler: what is painted and linked, undone and followed; the fit that comes of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from cases import blobs
from hypothesis import given, settings
from hypothesis import strategies as st

import gmmlab
from gmmlab.errors import BadData
from gmmlab.fit.lineage import Lineage
from gmmlab.fit.supervised import supervised
from gmmlab.widgets import runs
from gmmlab.widgets.facts import Facts
from gmmlab.widgets.labeler import Labeler
from gmmlab.widgets.labelling import labelling
from gmmlab.widgets.numbering import Numbering, Way, new_last
from gmmlab.widgets.session import Session
from gmmlab.widgets.undo import Undo

N, K = 12, 3
MODELS = {
    "three": gmmlab.GaussianMixture(3, random_state=0),
    "one": gmmlab.GaussianMixture(1, random_state=0),
    "noise": gmmlab.GaussianMixture(2, noise=True, random_state=0),
    "student": gmmlab.StudentMixture(2, random_state=0, max_iter=500),
}


def session(x: torch.Tensor, name: str = "three", **facts: Any) -> Session:
    return Session(x, MODELS[name].fit(x).mixture_, fit=labelling(x, **facts))


def packed(rows: list[int], n: int) -> str:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return base64.b64encode(np.packbits(mask).tobytes()).decode()


def obey(widget: Any, op: str, **fields: Any) -> None:
    widget.ops[op](widget, {"v": 1, "op": op, "seq": 1, **fields})
    widget.session.wait(10)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """No fit outlives its test."""
    yield
    for run in runs.runs():
        runs.session(run.key).close()


@pytest.fixture
def x(rng: torch.Generator) -> torch.Tensor:
    return blobs(rng, n=120, d=3)


@pytest.fixture
def labeler(x: torch.Tensor) -> Iterator[Labeler]:
    widget = Labeler(session(x))
    yield widget
    widget.close()


# what is known, without a widget

rows = st.lists(st.integers(0, N - 1), min_size=1, max_size=4)
pairs = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)).filter(lambda pair: pair[0] != pair[1])
changes = st.one_of(
    st.tuples(st.just("paint"), rows, st.integers(0, K - 1)),
    st.tuples(st.just("erase"), rows),
    st.tuples(st.just("link"), pairs, st.booleans()),
    st.just(("undo",)),
    st.just(("redo",)),
)


def changed(facts: Facts, kind: str, *given: Any) -> Facts:
    if kind == "link":
        return facts.link(*given[0], alike=given[1])
    mask = torch.zeros(N, dtype=torch.bool)
    mask[given[0]] = True
    return facts.erase(mask) if kind == "erase" else facts.paint(mask, given[1])


def same(a: Facts, b: Facts) -> bool:
    return torch.equal(a.labels, b.labels) and (a.must, a.cannot) == (b.must, b.cannot)


@settings(max_examples=150, deadline=None)
@given(st.lists(changes, max_size=25))
def test_any_order_of_changes_is_consistent_and_taken_back_exactly(todo: list[Any]) -> None:
    state, known = Undo(Facts.none(N)), [Facts.none(N)]
    at = 0
    for kind, *given_ in todo:
        if kind == "undo":
            at, state = max(0, at - 1), state.undo()
        elif kind == "redo":
            at, state = min(len(known) - 1, at + 1), state.redo()
        else:
            after = changed(state.now, kind, *given_)
            try:
                after.check(K)
            except BadData:
                continue
            if after is not state.now:
                known = [*known[: at + 1], after]
                at += 1
            state = state.change(after)
        assert same(state.now, known[at])
        state.now.check(K)
        assert all(i < j for i, j in (*state.now.must, *state.now.cannot))
        assert not set(state.now.must) & set(state.now.cannot)
    for _ in range(at):
        state = state.undo()
    assert same(state.now, Facts.none(N))
    for _ in known[1:]:
        state = state.redo()
    assert same(state.now, known[-1])


def test_erasing_takes_links_too_and_a_link_said_twice_goes() -> None:
    facts = Facts.none(N).link(3, 1, alike=True).link(1, 4, alike=False)
    assert (facts.must, facts.cannot) == (((1, 3),), ((1, 4),))
    assert facts.link(1, 3, alike=False).must == ()
    assert facts.link(1, 3, alike=True).must == ()
    mask = torch.arange(N) == 3
    assert (facts.erase(mask).must, facts.erase(mask).cannot) == ((), ((1, 4),))


def test_links_that_so_few_components_cannot_keep_are_refused() -> None:
    triangle = Facts.none(N).link(0, 1, alike=False).link(1, 2, alike=False).link(0, 2, alike=False)
    triangle.check(3)
    triangle.check(2, noise=True)
    with pytest.raises(BadData, match="No labels of 2 components"):
        triangle.check(2)


# the widget


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_told(name: str, x: torch.Tensor) -> None:
    widget = Labeler(session(x, name), suggest=True)
    widget.paint(range(5), 0)
    assert widget.wait(10).error is None
    content, buffers = widget.compose(widget.session.snapshot, 1)
    json.dumps(content, allow_nan=False)
    assert content["error"] is None
    assert np.frombuffer(buffers[0], dtype=np.uint8).tolist() == [0] * 5 + [255] * 115
    data, metadata = widget._repr_mimebundle_()
    assert data["text/plain"] == ("Labeler: 5 of 120 rows labelled (5 of component 1); 0 pairs alike, 0 unlike.")
    assert metadata["image/png"]["alt"] in data["text/plain"]


def test_one_column_and_rows_with_gaps_are_shown(rng: torch.Generator) -> None:
    line = Labeler(session(blobs(rng, n=60, d=1), "one"))
    assert line.columns()[:, 1].tolist() == list(range(60))
    assert line.compose(line.session.snapshot, 1)[0]["error"] is None
    assert line.png()
    x = gmmlab.faithful().to_numpy()
    x[3, 0] = np.nan
    gaps = Labeler.begin(x, n_components=2)
    gaps.paint([3, 4], 1)
    assert gaps.wait(10).error is None
    assert gaps.png()


def test_painted_rows_belong_to_their_component(labeler: Labeler, x: torch.Tensor) -> None:
    obey(labeler, "control", name="label", value=2)
    obey(labeler, "brush", frame=0, mask=packed([0, 7], len(x)))
    assert labeler.labels[[0, 7]].tolist() == [2, 2]
    snapshot = labeler.wait(10)
    assert snapshot.play == "done"
    assert snapshot.settings["labels"].tolist() == labeler.labels.tolist()
    resp = supervised(x, labeler.labels).posterior(snapshot.model).resp
    assert resp[[0, 7], 2].tolist() == [1.0, 1.0]
    assert labeler.frame.to_dict("list") == {"row": [0, 7], "label": [2, 2]}


def test_two_clicks_link_two_rows(labeler: Labeler, x: torch.Tensor) -> None:
    labeler.tool = "unlike"
    obey(labeler, "brush", frame=0, mask=packed([4], len(x)))
    assert "Row 4 is chosen" in labeler.chart(labeler.session.snapshot).note
    obey(labeler, "brush", frame=0, mask=packed([4], len(x)))
    assert labeler.cannot == ()
    for row in (4, 9):
        obey(labeler, "pick", frame=0, pick=row)
    assert labeler.cannot == ((4, 9),)
    dashes = [mark.get("dash", 0) for mark in labels_of(labeler) if mark.get("label", "").startswith("unlike")]
    assert dashes == [1]
    labeler.tool = "alike"
    obey(labeler, "brush", frame=0, mask=packed([1], len(x)))
    labeler.tool = "unlike"
    obey(labeler, "brush", frame=0, mask=packed([2], len(x)))
    assert labeler.must == ()  # a link that is begun ends with its tool


def labels_of(labeler: Labeler) -> list[dict[str, Any]]:
    return labeler.chart(labeler.session.snapshot).message()["grid"][0][0]["marks"]


def test_a_contradiction_is_a_sentence_and_no_change(labeler: Labeler, x: torch.Tensor) -> None:
    labeler.link(0, 1, alike=True)
    labeler.paint([0], 0)
    labeler.label = 1
    before = labeler.labels
    with pytest.raises(ValueError, match="row 1 the label 2, but must-links make them alike"):  # as on the screen
        obey(labeler, "brush", frame=0, mask=packed([1], len(x)))
    assert labeler.labels.tolist() == before.tolist()
    with pytest.raises(BadData, match="row 1 the label 1"):
        labeler.load([0, 1] + [-1] * 118, must=[(0, 1)])
    with pytest.raises(BadData, match="component"):
        labeler.load([7] + [-1] * 119)
    with pytest.raises(BadData, match="each of 120 rows"):
        labeler.load([0, 1])
    assert labeler.wait(10).error is None


def test_buttons_undo_redo_and_clear(labeler: Labeler) -> None:
    labeler.paint([1, 2], 1)
    labeler.link(3, 4, alike=False)
    obey(labeler, "control", name="undo", value=True)
    assert (labeler.cannot, labeler.labels[1]) == ((), 1)
    obey(labeler, "control", name="redo", value=True)
    assert labeler.cannot == ((3, 4),)
    obey(labeler, "control", name="clear", value=True)
    assert labeler.frame.empty
    obey(labeler, "control", name="undo", value=True)
    assert len(labeler.frame) == 2
    obey(labeler, "control", name="undo", value=True)
    labeler.tool = "erase"
    obey(labeler, "brush", frame=0, mask=packed([2], 120))
    assert labeler.frame["row"].tolist() == [1]


def test_the_least_sure_row_is_labelled_with_a_click(labeler: Labeler, x: torch.Tensor) -> None:
    obey(labeler, "control", name="suggest", value=True)
    (rings,) = [mark for mark in labels_of(labeler) if mark.get("label") == "unsure"]
    expected = supervised(x).unsure(labeler.model, 5).tolist()
    assert rings["picks"] == expected
    obey(labeler, "pick", frame=0, pick=expected[0])
    assert labeler.frame["row"].tolist() == [expected[0]]
    (rings,) = [mark for mark in labels_of(labeler) if mark.get("label") == "unsure"]
    assert expected[0] not in rings["picks"]


def test_labels_follow_their_components(labeler: Labeler) -> None:
    labeler.paint([0], 0)
    labeler.paint([1], 1)
    labeler.paint([2], 2)
    labeler.wait(10)
    labeler.session.remove(1).play()
    assert labeler.wait(10).error is None
    assert labeler.labels[:3].tolist() == [0, -1, 1]
    labeler.session.split(0).play()
    assert labeler.wait(10).error is None
    assert labeler.labels[:3].tolist() == [-1, -1, 1]
    labeler.undo()  # the past is told in the new numbers
    assert labeler.labels[:3].tolist() == [-1, -1, -1]
    assert labeler.wait(10).error is None


def test_going_back_brings_labels_back(labeler: Labeler) -> None:
    for k in range(3):
        labeler.paint([k], k)
    labeler.wait(10)
    labeler.session.pause().remove(1).wait(10)
    assert labeler.labels[:3].tolist() == [0, -1, 1]
    labeler.session.wait(10)
    labeler.session.back().wait(10)
    assert labeler.labels[:3].tolist() == [0, 1, 2]
    assert labeler.session.wait(10).settings["labels"][:3].tolist() == [0, 1, 2]
    labeler.undo()
    assert labeler.labels[:3].tolist() == [0, 1, -1], "and what could be undone"


def test_going_back_keeps_what_was_painted_since(labeler: Labeler) -> None:
    for k in range(3):
        labeler.paint([k], k)
    labeler.wait(10)
    labeler.session.merge(0, 1).wait(10)
    labeler.session.wait(10)
    assert labeler.labels[:4].tolist() == [0, 0, 1, -1]
    labeler.paint([3], 1)
    labeler.wait(10)
    at = labeler.session.snapshot.step
    labeler.session.step().wait(10)
    while labeler.session.snapshot.numbering.parent is not None:
        labeler.session.back().wait(10)
    labeler.session.wait(10)
    assert labeler.labels[:4].tolist() == [0, 1, 2, 2]
    assert labeler.session.snapshot.step <= at


def test_the_way_between_two_numberings() -> None:
    root = Numbering()
    one = Numbering(root, Lineage.remove(3, 1), 3)
    two, other = Numbering(one, Lineage.add(2), 2), Numbering(one, None, 2)
    assert Way.between(root, two) == ([], [one, two])
    assert Way.between(two, other) == ([two], [other])
    assert Way.between(two, root) == ([two, one], [])
    assert Way.between(one, one) == ([], [])
    assert one.back is not None and one.back.labels(torch.tensor([-1, 0, 1])).tolist() == [-1, 0, 2]
    assert (other.back, new_last(3, 2)) == (None, None)
    assert new_last(1, 3) == Lineage(((0,), (), ()))


def test_two_columns_are_chosen(labeler: Labeler, x: torch.Tensor) -> None:
    obey(labeler, "control", name="across", value=2)
    assert torch.equal(labeler.columns(), x[:, [2, 1]])
    with pytest.raises(ValueError, match="no column 3"):
        obey(labeler, "control", name="up", value=3)


@pytest.mark.parametrize(
    ("op", "fields", "says"),
    [
        ("brush", {"mask": "?"}, "not base64"),
        ("brush", {"mask": "AAAA", "frame": 0}, "24 bits; expected one for each of 120 rows"),
        ("pick", {"frame": 0, "pick": 120}, "pick is 120"),
        ("stroke", {"frame": 0, "path": [[0, 0]], "radius": [1, 1]}, "takes no strokes"),
        ("stroke", {"frame": 0, "path": [], "radius": [1, 1]}, "1 to 500 places"),
        ("stroke", {"frame": 0, "path": [[0, None]], "radius": [1, 1]}, "expected numbers"),
        ("control", {"name": "tool", "value": "knife"}, "knife"),
    ],
)
def test_messages_are_checked(labeler: Labeler, op: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        obey(labeler, op, **fields)


def test_a_fit_without_labels_is_refused(x: torch.Tensor) -> None:
    plain = Session(x, MODELS["one"].fit(x).mixture_)
    with pytest.raises(TypeError, match="takes no labels"):
        Labeler(plain)


def test_labels_come_from_python_and_from_a_session(x: torch.Tensor) -> None:
    labels = torch.where(torch.arange(120) < 3, 1, -1)
    widget = Labeler(session(x, labels=labels, must=[(5, 6)]))
    assert len(widget.frame) == 3
    assert widget.must == ((5, 6),)
    widget.load(np.full(120, -1))
    assert widget.frame.empty
    widget.undo()
    assert widget.labels.tolist() == labels.tolist()
    assert widget.wait(10).events[0].words == "other labels, must = (), cannot = ()."


def test_views_are_told_to_the_end(x: torch.Tensor) -> None:
    """What a Labeler does when components come and go is beside what every panel does."""
    labeler = Labeler.begin(x.numpy(), n_components=2)
    labeler.paint([0, 1], 0)
    labeler.wait(20)
    assert labeler.publisher._latest is labeler.session.snapshot
    assert labeler.publisher._latest.play == "done"
    labeler.close()
