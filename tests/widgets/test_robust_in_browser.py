"""What happens to a widget in a real JupyterLab: a new kernel, a new page, a second view, too much of everything."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import BEGIN
from lab import SLOW, Lab

pytestmark = pytest.mark.browser

FEW = "explorer = gmmlab.explore(X, n_components=2, panels={panels})\nexplorer"

BROKEN = """
def broken(model):
    raise ArithmeticError('the rows ran out')
    yield
explorer = gmmlab.explore(X, n_components=2, fit=broken, panels=('trace',))
explorer"""
MANY = """
import torch
rows = torch.randn({n}, {d}, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
rows[:, 0] += (torch.arange(len(rows)) % 3) * 6
explorer = gmmlab.explore(rows, n_components={k}, init_params='random_from_data', covariance_type={shape!r}, panels=())
explorer"""


def marked(view: Any) -> Any:
    return view.locator(".gl-facts", has_text="rows marked")


def test_a_restarted_kernel_greys_all_panels_and_a_new_run_of_the_cell_goes_on(lab: Lab) -> None:
    lab.panel(FEW.format(panels="('trace', 'dials')"))
    views = lab.page.locator(".gmmlab")
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart().then(() => {})")
    lab.tell(BEGIN)
    for i in range(3):
        views.nth(i).locator(".gl-pill", has_text="Disconnected").wait_for()
        views.nth(i).locator(".gl-note", has_text="Run the cell again to go on.").wait_for()
        assert "grayscale" in views.nth(i).evaluate(
            "view => [...view.querySelectorAll('*')].map(each => getComputedStyle(each).filter).join()"
        )
    assert views.first.get_by_role("button", name="Play").get_attribute("aria-disabled") == "true"
    explorer = lab.show(FEW.format(panels="('trace', 'dials')"))
    explorer.get_by_role("button", name="Step", exact=True).click()
    lab.until("snap().step == 1")


def test_widgets_come_back_when_the_page_is_loaded_again(lab: Lab) -> None:
    lab.show(FEW.format(panels="('trace',)"))
    lab.tell("explorer.session.step().wait(10)")
    lab.reload()
    explorer = lab.page.locator(".gl-explorer").first
    explorer.locator("[data-part=mean]").first.wait_for()
    lab.page.locator(".gl-chart[data-mode=paused], .gl-chart[data-mode=idle]").wait_for()
    explorer.get_by_role("button", name="Step", exact=True).click()
    lab.until("snap().step == 2")


def test_rows_that_are_marked_in_one_view_are_marked_in_all(lab: Lab) -> None:
    lab.panel("pairs = gmmlab.explore(X, n_components=2, panels=()).session.pairs()\npairs")
    second, third = lab.panel("pairs", cell=2), lab.panel("explorer = pairs.session.explorer()\nexplorer", cell=3)
    frame = third.locator(".gl-plot")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    lab.page.keyboard.down("Shift")
    for i, (x, y) in enumerate([(0.1, 0.1), (0.5, 0.1), (0.5, 0.85), (0.1, 0.85)]):
        lab.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if i == 0:
            lab.page.mouse.down()
    lab.page.mouse.up()
    lab.page.keyboard.up("Shift")
    for view in (lab.page.locator(".gl-chart").first, second, third):
        marked(view).wait_for()
    lab.tell("pairs.session.brush(())")
    for view in (lab.page.locator(".gl-chart").first, second, third):
        marked(view).wait_for(state="detached")
    lab.clear()


def test_a_widget_that_is_closed_while_it_plays_leaves_a_fit_that_stops(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=("trace",)))
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.tell("explorer.close()")
    lab.until("snap().step > 5")
    lab.show("explorer = explorer.session.explorer()\nexplorer")
    lab.page.locator(".gl-explorer").get_by_role("button", name="Stop").click()
    lab.until("snap().play == 'idle'")
    assert lab.value("explorer.session.wait(5).error is None")


def test_an_output_that_is_cleared_while_it_plays_does_not_hold_up_the_fit(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=("trace",)))
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    lab.page.locator(".gmmlab").first.wait_for(state="detached")
    before = lab.value("snap().step")
    lab.until(f"snap().step > {before} + 20")
    lab.tell("explorer.session.stop(); explorer.wait(5)")
    assert lab.value("snap().play") == "idle"


def test_an_exception_in_a_step_is_told_in_every_panel(lab: Lab) -> None:
    lab.panel(BROKEN)
    lab.page.locator(".gl-explorer").get_by_role("button", name="Play").click()
    for name in ("explorer", "chart"):
        strip = lab.page.locator(f".gl-{name}").get_by_role("alert")
        strip.filter(has_text="ArithmeticError in the step: the rows ran out").wait_for()
    lab.page.locator(".gl-explorer").get_by_text("Stopped by an error").wait_for()


def test_fifty_components(lab: Lab) -> None:
    explorer = lab.show(MANY.format(n=5000, d=2, k=50, shape="full"))
    assert explorer.locator("[data-part=mean]").count() == 50
    explorer.get_by_role("button", name="Step", exact=True).click()
    lab.until("snap().step == 1")
    assert lab.panel("explorer.session.responsibilities()", cell=2).locator("canvas").count() > 0


def test_two_hundred_columns(lab: Lab) -> None:
    explorer = lab.show(MANY.format(n=1000, d=200, k=2, shape="diag"))
    explorer.get_by_label("y", exact=True).select_option("x199")
    lab.until("explorer.dims == [0, 199]")
    explorer.locator(".gl-title", has_text="x199").wait_for()
    pairs = lab.panel("explorer.session.pairs()", cell=2)
    pairs.locator("canvas").first.wait_for()
    assert pairs.evaluate("view => view.scrollWidth <= view.clientWidth")
    assert lab.panel("explorer.session.conditional()", cell=2).locator("canvas").count() > 0


def test_a_million_rows(lab: Lab) -> None:
    explorer = lab.show(MANY.format(n=1_000_000, d=2, k=3, shape="full"))
    explorer.get_by_role("button", name="Step", exact=True).click()
    lab.until("snap().step == 1")
    explorer.locator(".gl-facts", has_text="step 1").wait_for()
    lab.run("del rows", cell=2)
