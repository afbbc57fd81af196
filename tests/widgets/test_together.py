"""Panels of one session: the doors to them, the Explorer with panels beside it, and what a notebook keeps."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from cases import blobs
from PIL import Image

import gmmlab
from gmmlab import widgets
from gmmlab.plot.style import css
from gmmlab.widgets import Dials, Explorer, FitCheck, ModelMap, Session, Trace

DOORS = (
    "explorer", "trace", "pairs", "responsibilities", "fit_check", "compare", "conditional", "uncertainty",
    "dials",
)  # fmt: skip


@pytest.fixture
def x(rng: Any) -> Any:
    return blobs(rng, n=150, d=3).numpy()


def test_every_panel_has_a_name() -> None:
    for name in widgets.__all__:
        assert getattr(widgets, name).__name__ == name
    assert set(dir(widgets)) == set(widgets.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Map'; it has Compare"):
        widgets.Map  # noqa: B018


@pytest.mark.parametrize("door", DOORS)
def test_every_door_opens_a_panel_of_the_session(door: str, x: Any) -> None:
    session = gmmlab.explore(x).session
    panel = getattr(session, door)()
    assert panel.session is session
    assert panel.compose(session.snapshot, 1)[0]["error"] is None
    panel.close()


def test_a_panel_of_rows_and_a_model(x: Any) -> None:
    fitted = gmmlab.GaussianMixture(2, random_state=0).fit(x)
    check = FitCheck.of(x, fitted, column=1)
    assert check.column == 1
    assert check.model.k == 2
    assert Trace.of(x, gmmlab.GaussianMixture(3)).model.k == 3


def test_the_explorer_has_panels_beside_it(x: Any) -> None:
    explorer = gmmlab.explore(x, theme="dark", height=300, palette="tol")
    trace, dials, search = explorer.panels
    assert all(map(isinstance, explorer.panels, (Trace, Dials, ModelMap)))
    assert trace.session is dials.session is explorer.session
    assert {(panel.theme, panel.palette) for panel in (explorer, trace, dials, search)} == {("dark", "tol")}
    assert not explorer.strip  # the trace has a panel
    box, column, below = explorer.together.children
    assert box is explorer
    assert column.children == (trace, dials)
    assert below is search


def colours(png: bytes) -> set[str]:
    """Those of a picture."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[..., :3].reshape(-1, 3)
    return {css(tuple(pixel)) for pixel in np.unique(pixels, axis=0)}


def test_a_palette_is_that_of_the_page_and_of_the_picture(x: Any) -> None:
    explorer = gmmlab.explore(x, n_components=2, panels=())
    check = explorer.session.fit_check()
    usual = [widget.png() for widget in (explorer, check)]
    for widget, before in zip((explorer, check), usual, strict=True):
        widget.palette = ["#00ff00", "#ff00ff"]
        assert widget.get_state()["palette"] == dict.fromkeys(("light", "dark"), ("00ff00", "ff00ff"))
        assert [{"#00ff00", "#0072b2"} & colours(png) for png in (before, widget.png())] == [{"#0072b2"}, {"#00ff00"}]
        with pytest.raises(ValueError, match="palette='virids'; expected 'okabe', 'tol' or a list of colours"):
            widget.palette = "virids"
        assert widget.palette == ["#00ff00", "#ff00ff"]


def test_a_click_in_its_map_opens_the_fit_in_the_explorer(x: Any) -> None:
    explorer = gmmlab.explore(x)
    search = explorer.panels[2]
    search.ops["control"](search, {"op": "control", "name": "search", "value": True})
    search.session.wait(60)
    search.load("EII", 4)
    assert explorer.wait(10).model.k == 4


@pytest.mark.parametrize(("panels", "strip"), [((), True), (("dials",), True), (("trace",), False)])
def test_panels_are_chosen(panels: tuple[str, ...], strip: bool, x: Any) -> None:
    explorer = gmmlab.explore(x, panels=panels)
    assert len(explorer.panels) == len(panels)
    assert explorer.strip is strip
    with pytest.raises(TypeError, match="explore has no panel 'maps'"):
        gmmlab.explore(x, panels=("maps",))


def test_a_notebook_shows_all_of_them_and_keeps_one_picture(x: Any) -> None:
    explorer = gmmlab.explore(x)
    data, _ = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.together.model_id
    alone, _ = Explorer(explorer.session)._repr_mimebundle_()
    assert data["image/png"] == alone["image/png"]
    assert data["text/plain"] == alone["text/plain"]


def test_a_selection_is_explored(x: Any) -> None:
    found = gmmlab.select(x, range(1, 4), covariance_types=["EII", "VVV"])
    assert isinstance(found.explore(), ModelMap)
    assert isinstance(Session.selecting(x, range(1, 3)).model_map(), ModelMap)


def test_pictures_on_one_sheet(x: Any) -> None:
    from gmmlab.plot.picture import Sheet

    explorer = gmmlab.explore(x, panels=())
    pictures = [explorer.picture(), explorer.session.trace(height=200).picture()]
    sheet = Sheet([[pictures[0]], [pictures[1]]])
    width, height = Image.open(io.BytesIO(sheet.png(10**7))).size
    assert (width, height) == (2 * sheet.size[0], 2 * (pictures[0].size[1] + pictures[1].size[1]))
    assert pictures[1].alt in sheet._repr_png_()[1]["alt"]
    assert len(sheet.png(40_000)) < len(sheet.png(10**7))
