"""Compare, Conditional, Uncertainty, Dials, Relaxation and Runs in a real JupyterLab, by mouse and by keyboard."""

from __future__ import annotations

from typing import Any

import pytest
from lab import SLOW, Lab

pytestmark = pytest.mark.browser

FITTED = """
from gmmlab.widgets.{module} import {name}
explorer = gmmlab.explore(X, n_components=2)
explorer.play(); explorer.wait()
view = {name}(explorer.session, {options})
view"""

PIXELS = "canvas => canvas.toDataURL()"


def show(lab: Lab, name: str, options: str = "") -> Any:
    return lab.panel(FITTED.format(module=name.lower(), name=name, options=options))


def test_blink_and_a_cell_that_marks_its_rows(lab: Lab) -> None:
    view = show(lab, "Compare")
    view.locator(".gl-frame").nth(3).wait_for()
    table = view.locator(".gl-frame").nth(2)
    table.focus()
    lab.page.keyboard.press("ArrowRight")  # the first cell
    lab.page.keyboard.press("Enter")
    lab.until("len(view.session.brushed) > 0")
    expected = "int(view._found(view.model).counts[0, view._found(view.model).match.argmin()])"
    assert lab.value("len(view.session.brushed)") == lab.value(expected)
    view.get_by_role("button", name="blink").click()
    lab.until("view.show == 'left'")
    lab.page.wait_for_function("view => view.querySelectorAll('.gl-frame').length === 3", arg=view.element_handle())


def test_the_crosshair_goes_where_mouse_and_keys_say(lab: Lab) -> None:
    view = show(lab, "Conditional")
    course = view.locator(".gl-frame").first
    box = course.bounding_box()
    course.click(position={"x": 0.75 * box["width"], "y": 100})
    lab.until("view.at is not None")
    before = lab.value("view.at")
    assert before > lab.value("float(X.iloc[:, 0].median())")
    course.focus()
    lab.page.keyboard.press("ArrowLeft")
    lab.until(f"view.at < {before}")
    assert "density at eruptions" in view.locator(".gl-frame").nth(1).get_attribute("aria-label")


def test_the_bootstrap_runs_and_stops(lab: Lab) -> None:
    view = show(lab, "Uncertainty")
    view.get_by_role("button", name="run the bootstrap").click()
    view.get_by_role("button", name="stop").click()
    lab.until("not view._task.running")
    view.get_by_role("button", name="run the bootstrap").wait_for()
    assert lab.value("view.source") == "bootstrap"


def test_a_dial_is_turned_by_mouse_and_by_keyboard(lab: Lab) -> None:
    view = lab.panel("explorer = gmmlab.explore(X, n_components=2, panels=())\nexplorer.session.dials()")
    tolerance = view.get_by_role("slider", name="tolerance")
    box = tolerance.bounding_box()
    tolerance.click(position={"x": 0.25 * box["width"], "y": box["height"] / 2})
    lab.until("1e-11 < snap().settings['tol'] < 1e-8")
    lab.page.keyboard.press("End")
    lab.until("snap().settings['tol'] == 1e-2")


def test_a_group_of_a_relaxation_is_chosen_and_its_course_is_read(lab: Lab) -> None:
    view = lab.panel(
        "from gmmlab.clustering import SDPClustering\n"
        "from gmmlab.widgets import Relaxation\n"
        "session = SDPClustering(2, random_state=0).explore(X[::8], panels=()).session.play()\n"
        "session.wait(60)\n"
        "view = Relaxation(session)\nview"
    )
    memberships, course = view.locator(".gl-frame canvas").element_handles()
    before = memberships.evaluate(PIXELS)
    view.get_by_role("group", name="group").get_by_role("button", name="2").click()
    lab.until("view.block == 1")
    lab.page.wait_for_function(f"([canvas, before]) => ({PIXELS})(canvas) !== before", arg=[memberships, before])
    course.hover()
    view.locator(".gl-tip", has_text="a row").wait_for()


def test_a_run_is_stopped_in_the_list(lab: Lab) -> None:
    lab.show(SLOW.format(panels=()))
    lab.tell("explorer.play()")
    view = lab.panel("from gmmlab.widgets import Runs\nRuns()", cell=1)
    view.locator(".gl-table button", has_text="Stop").last.hover()
    table = view.locator(".gl-table tbody").element_handle()
    lab.page.mouse.down()
    lab.page.wait_for_function("([table, before]) => table.textContent !== before", arg=[table, table.text_content()])
    lab.page.mouse.up()
    lab.until("snap().play == 'idle'")


def test_a_monitor_follows_a_loop(lab: Lab) -> None:
    lab.tell("rows = X.to_numpy()\nlive = gmmlab.IncrementalGaussianMixture(0.3, 0.001).partial_fit(rows[:10])")
    view = lab.panel("explorer = live.monitor(X, panels=())\nexplorer")
    lab.tell("for i in range(10, 110, 20): live.partial_fit(rows[i : i + 20])")
    view.locator(".gl-facts", has_text="step 5").wait_for()
    view.locator(".gl-pill", has_text="Waiting for rows").wait_for()
    assert view.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "true"
    view.get_by_role("button", name="Back").click()
    view.locator(".gl-facts", has_text="step 4").wait_for()
    lab.tell("live.partial_fit(rows[110:130])")
    assert lab.value("explorer.session.wait(9).step") == 4
    view.get_by_role("button", name="Play").click()
    view.locator(".gl-facts", has_text="step 6").wait_for()
    view.get_by_role("button", name="Pause").click()
    view.locator(".gl-pill", has_text="Paused").wait_for()
    lab.tell("live.partial_fit(rows[130:150])")
    assert lab.value("explorer.session.wait(9).step") == 6
