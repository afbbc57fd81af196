"""The model map, the restart landscape and the trace in a real JupyterLab, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lab import Lab

pytestmark = pytest.mark.browser

Violations = Callable[[Any], list[str]]

MAP = """
from gmmlab.widgets.model_map import ModelMap
found = gmmlab.select(X, range(1, 5), ["EII", "VVI", "EEE", "VVV"])
chart = ModelMap(found, theme={theme!r}, palette={palette!r})
chart"""
RESTARTS = """
from gmmlab.widgets.restarts import RestartLandscape
starts = dict(init_params="random_from_data", n_init=12, tol=1e-6, max_iter=1000, random_state=0)
chart = RestartLandscape(gmmlab.GaussianMixture(4, **starts).fit(X), X)
chart"""
TRACE = """
from gmmlab.widgets.opening import explore
from gmmlab.widgets.trace import Trace
other = gmmlab.GaussianMixture(3, random_state=0).fit(X)
session = explore(X, n_components=2).session
chart = Trace(session, beside={"other": other}, held_out=X[::3])
session.play().wait(60)
chart"""


def colour(frame: Any, x: int, y: int) -> list[int]:
    """Of a pixel of a frame, in CSS pixels."""
    return frame.locator("canvas").evaluate(
        "(c, [x, y]) => { const s = c.width / c.clientWidth;"
        " return [...c.getContext('2d').getImageData(x * s, y * s, 1, 1).data] }",
        [x, y],
    )


def test_a_cell_of_the_map_opens_its_fit_by_mouse_and_by_keyboard(lab: Lab, violations: Violations) -> None:
    view = lab.panel(MAP.format(theme="light", palette="okabe"))
    lab.run("chart.explorer", cell=1)
    explorer = lab.page.locator(".gl-explorer").last
    explorer.locator("[data-part=mean]").first.wait_for()
    frame = view.locator(".gl-frame")
    box = frame.bounding_box()
    frame.click(position={"x": box["width"] - 30, "y": 40})
    explorer.locator("[data-part=mean][data-k='3']").wait_for()
    view.get_by_text("open: EII with 4").wait_for()
    frame.focus()
    for key in ("ArrowLeft", "ArrowDown"):
        frame.press(key)
    assert view.locator(".gl-tip").text_content().startswith("VVI with 3: BIC")
    frame.press("Enter")
    view.get_by_text("open: VVI with 3").wait_for()
    lab.until("chart.target.snapshot.model.k == 3")
    view.get_by_role("button", name="ICL").click()
    view.locator("p.gl-hidden").filter(has_text="ICL of 16 models").wait_for(state="attached")
    assert violations(view) == []


def test_cells_of_a_dark_map_are_dark_and_of_its_palette(lab: Lab) -> None:
    view = lab.panel(MAP.format(theme="dark", palette=["#00ff00"]))
    frame = view.locator(".gl-frame")
    red, green, blue, opaque = colour(frame, 60, 32)  # one round component for all: far from the best
    assert opaque == 255 and max(red, green, blue) < 80
    data = "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
    green = "d.filter((v, i) => i % 4 === 1 && v > 2 * Math.max(d[i - 1], d[i + 1])).length"
    assert frame.locator("canvas").evaluate(f"c => {{ {data}; return {green} }}") > 1000


def test_a_running_search_fills_the_map(lab: Lab) -> None:
    source = "from gmmlab.widgets.model_map import ModelMap\nfrom gmmlab.widgets.session import Session\n"
    view = lab.panel(source + "chart = ModelMap(Session.selecting(X, range(1, 4), ['EII', 'VVV']))\nchart")
    view.get_by_text("6 models are not fitted yet").wait_for()
    view.get_by_role("button", name="Search").click()
    view.get_by_text("★ best").wait_for()
    assert "not fitted yet" not in view.locator(".gl-chart-note").text_content()


def test_an_optimum_is_loaded_from_its_small_picture_and_from_the_table(lab: Lab, violations: Violations) -> None:
    view = lab.panel(RESTARTS)
    small = view.locator(".gl-frame").nth(2)
    small.click(position={"x": 5, "y": 80})
    view.locator(".gl-table").get_by_text("2 ●").wait_for()
    lab.until("chart.session.snapshot.model is chart.fits[chart.landscape.table[1].fit]")
    view.locator(".gl-table button").nth(2).click()
    view.locator(".gl-table").get_by_text("3 ●").wait_for()
    view.locator(".gl-frame").nth(1).focus()
    view.locator(".gl-frame").nth(1).press("Enter")
    view.locator(".gl-table").get_by_text("1 ●").wait_for()
    assert violations(view) == []


def test_the_line_of_another_fit_loads_its_model(lab: Lab, violations: Violations) -> None:
    view = lab.panel(TRACE)
    frame = view.locator(".gl-frame")
    frame.focus()
    frame.press("ArrowRight")
    tip = view.locator(".gl-tip")
    for _ in range(3):
        if tip.text_content().startswith("other"):
            break
        frame.press("ArrowUp")
    assert tip.text_content().startswith("other, step 0")
    assert lab.page.evaluate("() => document.activeElement.classList.contains('gl-frame')")
    frame.press("Enter")
    lab.until("session.snapshot.model is other.mixture_")
    assert violations(view) == []
