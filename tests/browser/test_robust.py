"""What happens to a widget in a real JupyterLab: new kernels and pages, lost lines, fingers, too much of everything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import ipykernel
import pytest
from lab import BEGIN, SLOW, Lab

pytestmark = pytest.mark.browser

FEW = "explorer = gmmlab.explore(X, n_components=2, panels={panels})\nexplorer"

BROKEN = """
def broken(model):
    raise ArithmeticError('the rows ran out')
    yield
explorer = gmmlab.explore(X, n_components=2, fit=broken, panels=('trace', 'dials'))
explorer"""
MANY = """
import torch
rows = torch.randn({n}, {d}, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
rows[:, 0] += (torch.arange(len(rows)) % 3) * 6
explorer = gmmlab.explore(rows, n_components={k}, init_params='random_from_data', covariance_type={shape!r}, panels=())
explorer"""

# A fit that ends by itself within a second.
BRIEF = """
import itertools, time, torch
from gmmlab.fit import run, whole
x = torch.as_tensor(X.to_numpy())
def brief(model):
    for step in itertools.islice(run(model, whole(x), stop=lambda *_: False), 60):
        time.sleep(0.01)
        yield step
explorer = gmmlab.explore(X, n_components=2, fit=brief, panels=('trace',))
explorer"""
LINE = "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel"


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
    lab.tell("explorer.session.step().wait(60)")
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
    lab.until("len(pairs.brushed)")  # views mark at once, and tell the kernel
    lab.tell("pairs.session.brush(())")
    for view in (lab.page.locator(".gl-chart").first, second, third):
        marked(view).wait_for(state="detached")
    lab.clear()


def test_the_kernel_is_the_one_that_is_to_be_tested(lab: Lab) -> None:
    """PYTHONPATH says which (see `make test-kernels`), and the server hands it on."""
    assert lab.value("__import__('ipykernel').__version__") == ipykernel.__version__


def test_a_fit_that_ends_while_the_line_is_down_is_shown_when_it_is_back(lab: Lab) -> None:
    explorer = lab.show(BRIEF)
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.page.evaluate(f"{LINE}._clearSocket()")  # the websocket is closed, and nobody opens another one
    lab.page.wait_for_timeout(1000)
    assert explorer.locator(".gl-facts", has_text="step 60").count() == 0
    lab.page.evaluate(f"{LINE}.reconnect()")
    for view in lab.page.locator(".gmmlab").all():
        view.locator(".gl-facts", has_text="step 60").wait_for()
        view.locator(".gl-pill", has_text="Converged").wait_for()
    explorer.get_by_role("button", name="Back").click()
    lab.until("snap().step < 60")


def test_a_fit_that_plays_on_while_the_line_is_down_goes_on_and_stops_when_it_is_back(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=("trace",)))
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.page.evaluate(f"{LINE}._clearSocket()")
    lab.page.wait_for_timeout(300)
    facts = explorer.locator(".gl-facts")
    before = facts.text_content()
    lab.page.evaluate(f"{LINE}.reconnect()")
    lab.page.wait_for_function(
        "([facts, before]) => facts.textContent !== before", arg=[facts.element_handle(), before]
    )
    explorer.get_by_role("button", name="Stop").click()
    lab.until("snap().play == 'idle'")
    step = lab.value("snap().step")
    for view in lab.page.locator(".gmmlab").all():
        view.locator(".gl-facts", has_text=f"step {step}").wait_for()


def test_a_command_that_is_lost_on_its_way_is_said_again(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=("trace",)))
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.page.evaluate(f"() => {{ ({LINE})()._ws.send = () => {{}} }}")  # nothing that the page says arrives
    explorer.get_by_role("button", name="Stop").click()
    lab.page.evaluate(f"() => {{ delete ({LINE})()._ws.send }}")
    lab.until("snap().play == 'idle'")
    lab.page.locator(".gl-explorer:not([data-stale])").wait_for()


def test_a_widget_that_is_closed_while_it_plays_leaves_a_fit_that_stops(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=("trace",)))
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.tell("explorer.close()")
    lab.until("snap().step > 5")
    lab.show("explorer = explorer.session.explorer()\nexplorer")
    lab.page.locator(".gl-explorer").get_by_role("button", name="Stop").click()
    lab.until("snap().play == 'idle'")
    assert lab.value("explorer.session.wait(60).error is None")


def test_an_output_that_is_cleared_while_it_plays_does_not_hold_up_the_fit(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=("trace",)))
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 2")
    lab.page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    lab.page.locator(".gmmlab").first.wait_for(state="detached")
    before = lab.value("snap().step")
    lab.until(f"snap().step > {before} + 20")
    lab.tell("explorer.session.stop(); explorer.wait(60)")
    assert lab.value("snap().play") == "idle"


def test_an_exception_in_a_step_is_told_in_every_panel(lab: Lab) -> None:
    lab.panel(BROKEN)
    lab.page.locator(".gl-explorer").get_by_role("button", name="Play").click()
    for view in lab.page.locator(".gmmlab").all():
        strip = view.get_by_role("alert")
        strip.filter(has_text="ArithmeticError in the step: the rows ran out").wait_for()
        view.locator(".gl-pill", has_text="Stopped by an error").wait_for()
    lab.page.locator(".gl-explorer").get_by_role("button", name="Reset").click()
    lab.until("snap().play == 'idle' and snap().error is None")


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


def touch(lab: Lab, path: Sequence[tuple[float, float]]) -> None:
    """One finger, put down, drawn along a path and lifted."""
    cdp = lab.page.context.new_cdp_session(lab.page)
    for i, (x, y) in enumerate(path):
        point = {"x": x, "y": y}
        cdp.send("Input.dispatchTouchEvent", {"type": "touchMove" if i else "touchStart", "touchPoints": [point]})
    cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    cdp.detach()


def line(*corners: tuple[float, float]) -> list[tuple[float, float]]:
    """Eight places from each corner to the next."""
    return [
        (x0 + i / 8 * (x1 - x0), y0 + i / 8 * (y1 - y0)) for (x0, y0), (x1, y1) in pairwise(corners) for i in range(9)
    ]


def middle(view: Any) -> tuple[float, float]:
    box = view.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_fingers_move_means_tap_rows_and_draw_lassos(lab: Lab) -> None:
    explorer = lab.show(FEW.format(panels="()"))
    before = lab.value("mean(0)")
    x, y = middle(explorer.locator("[data-part=mean][data-k='0']"))
    touch(lab, line((x, y), (x + 10, y + 90)))  # downwards, where a page would scroll
    lab.until(f"mean(0)[1] < {before[1]} - 2")
    lab.tell("explorer.row = 17")
    explorer.locator(".gl-row").wait_for()
    place = middle(explorer.locator(".gl-row"))
    lab.tell("explorer.row = None")
    explorer.get_by_role("region", name="One row").wait_for(state="hidden")
    touch(lab, [place])
    lab.until("explorer.row is not None")
    assert lab.value("explorer.session.x[explorer.row].tolist() == explorer.session.x[17].tolist()")
    touch(lab, [middle(explorer.locator("[data-do=lasso]"))])
    explorer.locator("[data-do=lasso][aria-pressed=true]").wait_for()
    lab.page.evaluate("() => document.activeElement.blur()")
    box = explorer.locator(".gl-surface").bounding_box()
    left, right = box["x"] + 70, box["x"] + box["width"] / 2
    top, low = box["y"] + 20, box["y"] + box["height"] - 40
    touch(lab, line((left, top), (left, low), (right, low), (right, top)))
    lab.until("len(explorer.brushed) > 50")


def test_a_finger_reads_draws_and_slides_in_charts(lab: Lab) -> None:
    view = lab.panel(FEW.format(panels="()") + "\npairs = explorer.session.pairs()\npairs")
    x, y = middle(view.locator(".gl-frame").nth(1))
    touch(lab, line((x - 40, y - 40), (x + 40, y + 40)))
    lab.until("len(pairs.session.brushed) > 0")
    trace = lab.panel("explorer.session.step().wait(60)\nexplorer.session.trace()", cell=1)
    frame = trace.locator(".gl-frame").first
    touch(lab, [middle(frame)])
    trace.locator(".gl-tip", has_text="step").wait_for()


def test_what_stops_a_run_is_in_sight_where_the_table_is_wider_than_its_place(lab: Lab) -> None:
    view = lab.panel("import gmmlab.widgets\nexplorer = gmmlab.explore(X, panels=())\ngmmlab.widgets.Runs()")
    view.evaluate("view => { view.style.width = '400px' }")
    table = view.locator(".gl-table")
    assert table.evaluate("table => table.scrollWidth > table.clientWidth")
    stop = middle(table.get_by_role("button", name="Stop").last)
    edge = table.bounding_box()
    assert stop[0] < edge["x"] + edge["width"]


NAMED = ("button", "slider", "combobox", "checkbox", "textbox", "table", "toolbar", "group", "region", "img")


# Not those of all tests before.
FEW_RUNS = """
from gmmlab.widgets import Runs
from gmmlab.widgets.runs import runs, session
explorer = gmmlab.explore(X, n_components=2, panels=())
for run in runs()[:-5]: session(run.key).close()
Runs()"""


def tree(view: Any) -> list[tuple[str, str]]:
    """Roles and names of what a screen reader meets in a view."""
    cdp = view.page.context.new_cdp_session(view.page)
    view.evaluate("view => { window.seen = view }")
    seen = cdp.send("Runtime.evaluate", {"expression": "window.seen"})["result"]["objectId"]
    begin = cdp.send("DOM.describeNode", {"objectId": seen})["node"]["backendNodeId"]
    nodes = {node["nodeId"]: node for node in cdp.send("Accessibility.getFullAXTree")["nodes"]}
    cdp.detach()
    found, queue = [], [node for node in nodes.values() if node.get("backendDOMNodeId") == begin]
    while queue:
        node = queue.pop(0)
        if not node["ignored"] and node["role"]["value"] != "InlineTextBox":
            found.append((node["role"]["value"], node.get("name", {}).get("value", "")))
        queue = [nodes[each] for each in node["childIds"] if each in nodes] + queue
    return found


@pytest.mark.parametrize(
    ("source", "most"),
    [
        (FEW.format(panels="('trace', 'dials', 'map')"), 150),
        ("gmmlab.explore(X, n_components=2, panels=()).session.pairs()", 40),
        ("gmmlab.explore(X, n_components=2, panels=()).session.fit_check()", 130),
        ("from gmmlab.widgets import DataPainter\nDataPainter('moons')", 80),
        (FEW_RUNS, 600),
    ],
    ids=["explore", "pairs", "fit check", "data painter", "runs"],
)
def test_a_screen_reader_meets_names_and_no_noise(lab: Lab, source: str, most: int) -> None:
    lab.panel(source)
    for view in lab.page.locator(".jp-Cell").first.locator(".gmmlab").all():
        found = tree(view)
        assert [role for role, name in found if role in NAMED and not name] == []
        assert found[0][0] == "group"
        assert len(found) < most
        names = [name for role, name in found if role in ("button", "slider", "table") or name == "Chart"]
        assert len(set(names)) == len(names), "two things of one name"
        assert sum(role == "status" for role, _ in found) == 1  # one voice
