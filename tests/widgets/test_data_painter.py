"""Data painter: what is drawn is rows, the same for a seed, whatever is undone and moved between."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmlab.errors import BadData
from gmmlab.widgets.data_painter import DataPainter
from gmmlab.widgets.drawn import PRESETS, Bell, Drawing, Spray, shared
from gmmlab.widgets.still import Still
from gmmlab.widgets.undo import Undo


def place(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def obey(widget: Any, op: str, **fields: Any) -> None:
    widget.ops[op](widget, {"v": 1, "op": op, "seq": 1, **fields})


def stroke(widget: DataPainter, *path: tuple[float, float], seconds: float = 1.0) -> None:
    obey(widget, "stroke", frame=0, path=[list(at) for at in path], radius=[0.4, 0.5], seconds=seconds)


# drawings

sizes = st.integers(1, 40)
places = st.tuples(st.floats(0, 10), st.floats(0, 6)).map(lambda at: place(*at))
sprays = st.builds(
    lambda path, n: Spray(torch.stack(path), place(0.3, 0.4), n), st.lists(places, min_size=1, max_size=5), sizes
)
bells = st.builds(lambda a, b, n: Bell.between(a, b, place(0.3, 0.4), n), places, places, sizes)
changes = st.one_of(
    st.tuples(st.just("add"), st.one_of(sprays, bells), st.integers(0, 3)),
    st.tuples(st.just("move"), places, places),
    st.tuples(st.just("remove"), places),
    st.just(("undo",)),
    st.just(("redo",)),
)


def changed(drawing: Drawing, kind: str, *given_: Any) -> Drawing:
    if kind == "add":
        return drawing.add(*given_)
    key = drawing.nearest(given_[0])
    if key is None:
        return drawing
    return drawing.move(key, given_[1]) if kind == "move" else drawing.remove(key)


@settings(max_examples=80, deadline=None)
@given(st.lists(changes, max_size=15), st.integers(0, 200))
def test_any_order_of_changes_is_taken_back_to_the_same_rows(todo: list[Any], total: int) -> None:
    state, seen = Undo(Drawing(total=total)), [torch.empty(0, 2, dtype=torch.float64)]
    at = 0
    for kind, *given_ in todo:
        if kind == "undo":
            at, state = max(0, at - 1), state.undo()
        elif kind == "redo":
            at, state = min(len(seen) - 1, at + 1), state.redo()
        else:
            after = changed(state.now, kind, *given_)
            if after is not state.now:
                seen = [*seen[: at + 1], after.x]
                at += 1
            state = state.change(after)
        drawing = state.now
        assert torch.equal(Drawing(drawing.clusters, drawing.seed, drawing.total).x, seen[at])
        whole = sum(part.n for cluster in drawing.clusters for part in cluster.parts)
        assert len(drawing.x) == len(drawing.labels) == len(drawing.keys) == (total if total and whole else whole)
        assert len({cluster.key for cluster in drawing.clusters}) == len(drawing.clusters)


@given(st.integers(0, 500), st.lists(st.integers(0, 50), max_size=8))
def test_shares_sum_to_the_total_and_keep_proportion(total: int, given_: list[int]) -> None:
    found = shared(total, given_)
    if not total or not sum(given_):
        assert found == given_
        return
    assert sum(found) == total
    assert all(abs(a - total * b / sum(given_)) < 1 for a, b in zip(found, given_, strict=True))


def test_spray_stays_in_its_disc_and_follows_all_of_its_path() -> None:
    path = torch.stack([place(0, 0), place(4, 0), place(4, 4)])
    rows = Spray(path, place(0.5, 0.25), 4000).draw(4000, torch.Generator().manual_seed(0))
    first = rows[(rows[:, 0] < 3.4) & (rows[:, 1] < 0.3)]
    assert bool((first[:, 1].abs() <= 0.25).all())
    assert len(first) / 4000 == pytest.approx(3.4 / 8, abs=0.03)  # evenly in time
    held = Spray(torch.stack([*[place(0, 0)] * 9, place(8, 0)]), place(0.1, 0.1), 4000)
    away = held.draw(4000, torch.Generator().manual_seed(0))[:, 0] > 0.1
    assert float(away.double().mean()) == pytest.approx(1 / 9, abs=0.02)  # most of the time it was held
    still = Spray(place(1, 2)[None], place(0.5, 0.25), 4000).draw(4000, torch.Generator().manual_seed(0))
    out = ((still - place(1, 2)) / place(0.5, 0.25)).norm(dim=1)
    assert float(out.max()) <= 1
    assert float((out < 0.5).double().mean()) == pytest.approx(0.25, abs=0.03)  # evenly over the disc


def test_a_bell_reaches_to_the_ends_of_its_drag() -> None:
    bell = Bell.between(place(1, 1), place(5, 1), place(0.5, 0.5), 1)
    cov = bell.factor @ bell.factor.T
    assert bell.mean.tolist() == [3, 1]
    assert cov.tolist() == [[pytest.approx(1.0), pytest.approx(0)], [pytest.approx(0), pytest.approx(0.0625)]]
    click = Bell.between(place(2, 2), place(2, 2), place(0.4, 0.8), 1)
    assert (click.factor @ click.factor.T).diag().tolist() == pytest.approx([0.04, 0.16])


def test_spray_goes_on_with_what_it_touches() -> None:
    spray = Spray(place(1, 1)[None], place(0.4, 0.4), 10)
    drawing = Drawing().add(spray, 0).add(spray.moved(place(0.5, 0)), 0)
    assert len(drawing.clusters) == 1
    assert len(drawing.add(spray, 1).clusters) == 2
    assert len(drawing.add(spray.moved(place(4, 0)), 0).clusters) == 2
    before = drawing.x
    assert torch.allclose(drawing.move(0, place(2, 1)).x, before + place(2, 1))


def test_what_is_left_keeps_its_rows() -> None:
    bell = Bell.between(place(1, 1), place(2, 2), place(0.3, 0.3), 20)
    drawing = Drawing().add(bell, 0).add(bell.moved(place(5, 0)), 1).add(bell.moved(place(0, 4)), 2)
    assert torch.equal(drawing.remove(1).x, drawing.x[drawing.labels != 1])
    with pytest.raises(LookupError, match="no cluster 9; there are"):
        drawing.remove(9)


def test_a_still_tells_until_it_is_asked_not_to() -> None:
    still, heard = Still(Drawing()), []
    end = still.subscribe(heard.append)
    still.show("anew", shown=Drawing(seed=1))
    end()
    still.show(shown=Drawing(seed=2))
    assert [(snapshot.model.seed, snapshot.message) for snapshot in heard] == [(1, "anew")]
    assert still.snapshot.seq == 2


# the widget


def test_a_blank_plane_is_drawn_on() -> None:
    painter = DataPainter()
    content, buffers = painter.compose(painter.session.snapshot, 1)
    json.dumps(content, allow_nan=False)
    assert content["error"] is None
    assert len(buffers[0]) == 0
    assert painter._rows(painter.columns())[0]["n"] == 0
    assert painter._repr_mimebundle_()[0]["text/plain"] == "DataPainter: 0 rows in 0 clusters."
    stroke(painter, (1, 1), (2, 2), seconds=2)
    painter.tool, painter.label = "bell", 2
    stroke(painter, (5, 3), (7, 3))
    assert painter.describe() == "DataPainter: 450 rows in 2 clusters: 300 of class 1, 150 of class 3."
    assert np.bincount(painter.y).tolist() == [300, 0, 150]
    assert painter.frame.columns.tolist() == ["x0", "x1", "label"]
    content, buffers = painter.compose(painter.session.snapshot, 2)
    assert len(buffers[0]) == painter._rows(painter.columns())[0]["n"] == 450
    assert content["k"] == 3
    assert painter.png() != DataPainter().png()


def test_seed_and_number_are_not_part_of_the_past() -> None:
    painter = DataPainter("moons")
    first = painter.X
    obey(painter, "control", name="reseed", value=True)
    assert painter.seed == 1
    assert not np.array_equal(painter.X, first)
    painter.n = 1001
    assert painter.X.shape == (1001, 2)
    painter.undo()
    assert painter.X.shape == (0, 2)
    painter.redo()
    painter.n, painter.seed = 0, 0
    np.testing.assert_array_equal(painter.X, first)


def test_clusters_are_moved_selected_and_deleted() -> None:
    painter = DataPainter("blobs", tool="move")
    before = painter.X
    stroke(painter, (2, 2), (2.5, 4))
    np.testing.assert_allclose(painter.X[:150], before[:150] + np.array([0.5, 2]))
    np.testing.assert_array_equal(painter.X[150:], before[150:])
    stroke(painter, (8, 2), (8, 2))
    assert len(painter.chart(painter.session.snapshot).message()["grid"][0][0]["marks"]) == 2  # and its outline
    obey(painter, "control", name="remove", value=True)
    assert set(painter.y) == {0, 1}
    with pytest.raises(ValueError, match="No cluster is selected"):
        obey(painter, "control", name="remove", value=True)
    for _ in range(3):
        obey(painter, "control", name="undo", value=True)
    assert len(painter.X) == 0


def test_the_pen_in_python() -> None:
    painter = DataPainter(classes=2)
    painter.spray([[1, 1], [2, 2]], n=10)
    painter.bell([5, 3], [[1, 0.5], [0.5, 1]], n=2000, label=1)
    assert np.bincount(painter.y).tolist() == [10, 2000]
    np.testing.assert_allclose(np.cov(painter.X[10:].T), [[1, 0.5], [0.5, 1]], atol=0.15)
    painter.clear()
    assert len(painter.y) == 0


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_seen_and_explored(name: str) -> None:
    painter = DataPainter()
    obey(painter, "control", name="preset", value=name)
    x = painter.X
    assert x.min() > 0
    assert (x < [10, 6]).all()
    explorer = painter.explore()
    assert explorer.model.k == len(set(painter.y))
    assert explorer.session.x.shape == x.shape


@pytest.mark.parametrize(
    ("op", "fields", "says"),
    [
        ("control", {"name": "preset", "value": "stars"}, "no preset 'stars'; expected one of blobs"),
        ("control", {"name": "seed", "value": 1}, "no control 'seed'"),
        ("stroke", {"frame": 0, "path": [[0, 0]]}, "needs 'radius'"),
        ("stroke", {"frame": 0, "path": [[0, 0]] * 501, "radius": [1, 1]}, "1 to 500 places"),
        ("stroke", {"frame": 0, "path": [[0]], "radius": [1, 1]}, "expected a list of 2"),
        ("stroke", {"frame": 0, "path": [[0, 0]], "radius": [1, 1], "seconds": "long"}, "expected numbers"),
    ],
)
def test_messages_are_checked(op: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        obey(DataPainter(), op, **fields)


def test_there_is_an_end_to_what_can_be_drawn() -> None:
    painter = DataPainter(flow=5000)
    painter.spray([[1, 1]], n=99_000)
    with pytest.raises(ValueError, match="as many as can be drawn"):
        stroke(painter, (5, 5))
    assert len(painter.y) == 99_000


def test_what_needs_something_says_so() -> None:
    painter = DataPainter()
    painter.tool = "move"
    with pytest.raises(ValueError, match="nothing to move"):
        stroke(painter, (1, 1), (2, 2))
    with pytest.raises(TypeError, match="nothing to play"):
        painter.play()
    assert "play" not in painter.ops


def test_an_image_lies_under_the_rows(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, 20:, 0] = 255
    PIL.Image.fromarray(pixels).save(tmp_path / "map.png")
    for image_or_path in (pixels, pixels / 255, tmp_path / "map.png", str(tmp_path / "map.png")):
        painter = DataPainter("blobs", underlay=image_or_path)
        mark = painter.chart(painter.session.snapshot).grid[0][0].marks[0]
        assert (mark.x, mark.y) == ((0.0, 10.0), (0.5, 5.5)), "as wide as the plane, with its own proportions"
        image = np.asarray(PIL.Image.open(io.BytesIO(painter.underlay)).convert("RGB"))
        assert (image == pixels).all()
    told = painter.compose(painter.session.snapshot, 1)[0]["chart"]["grid"][0][0]["marks"][0]
    assert told == {"kind": "underlay", "x": [0.0, 10.0], "y": [0.5, 5.5], "opacity": 0.5, "tone": "accent"}
    assert painter.png() != DataPainter("blobs").png()
    sent: list[Any] = []
    painter.publisher.post = lambda make: sent.append(make())
    painter.spray([[1.0, 1.0]])
    assert [content["type"] for content, _ in sent] == ["rows"], "a stroke does not send the image again"
    painter.send_rows()
    assert sent[1] == ({"type": "image"}, [painter.underlay])
    painter.underlay = None
    assert sent[-1] == ({"type": "image"}, [])
    assert painter.underlay is None


def test_large_images_are_made_small() -> None:
    painter = DataPainter(underlay=np.random.default_rng(0).random((100, 3000)))
    assert PIL.Image.open(io.BytesIO(painter.underlay)).size == (900, 30)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [(np.zeros(5), "shape"), (np.zeros((5, 5, 2)), "3 or 4 channels"), (np.full((5, 5), 7.0), "0 to 1, or bytes"),
     (np.full((2, 2), np.nan), "expected 0 to 1"), (np.zeros((0, 4)), "expected an image")],
)  # fmt: skip
def test_what_is_no_image_is_refused(pixels: Any, words: str) -> None:
    with pytest.raises(BadData, match=words):
        DataPainter(underlay=pixels)


def test_a_file_without_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(BadData, match="no image that can be read"):
        DataPainter(underlay=tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError):
        DataPainter(underlay=tmp_path / "nowhere.png")
