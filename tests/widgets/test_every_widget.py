"""What every widget keeps to in a real JupyterLab, whatever it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lab import Lab, Notebook

pytestmark = pytest.mark.browser

Violations = Callable[[Any], list[str]]

BEGIN = """
from gmmlab.widgets import *
session = Explorer(gmmlab.explore(X, n_components=2, panels=()).session).session
session.play().wait(20)
found = gmmlab.select(X, range(1, 4), ["EII", "VVV"])
starts = gmmlab.GaussianMixture(3, init_params="random_from_data", n_init=5, random_state=0).fit(X)
"""
WIDGETS = {
    "explore": "gmmlab.explore(X, n_components=2)",
    "Explorer": "Explorer(session)",
    "Trace": "Trace(session)",
    "ModelMap": "ModelMap(found)",
    "Pairs": "Pairs(session)",
    "Responsibilities": "Responsibilities(session)",
    "FitCheck": "FitCheck(session)",
    "Labeler": "Labeler.begin(X, n_components=2)",
    "DataPainter": "DataPainter('moons')",
    "RestartLandscape": "RestartLandscape(starts, X)",
    "Compare": "Compare(session)",
    "Conditional": "Conditional(session)",
    "Uncertainty": "Uncertainty(session)",
    "Dials": "Dials(session)",
    "Runs": "Runs()",
}
every_widget = pytest.mark.parametrize("name", WIDGETS)

# How many canvases of a view have fewer than three colours.
BLANK = """view => [...view.querySelectorAll('canvas')].filter((canvas) => {
    if (!canvas.offsetWidth) return false;
    const all = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    const seen = new Set();
    for (const colour of all) if (seen.add(colour).size > 2) return false;
    return true;
}).length"""
# What is wider than the box that it is in, unless that can be scrolled by keyboard.
CUT_OFF = """cell => [...cell.querySelectorAll('.jp-OutputArea-output, .gmmlab, .gmmlab :is(div, table, p)')]
    .filter((box) => box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0 && !box.closest('.gl-hidden'))
    .filter((box) => !(getComputedStyle(box).overflowX === 'auto' && box.tabIndex === 0))
    .map((box) => `${box.className}: ${box.scrollWidth} > ${box.clientWidth}`)"""


@pytest.fixture(scope="module", autouse=True)
def begun(cleared: Lab) -> Iterator[None]:
    """Fits to show, and the whole width of the page for the notebook."""
    cleared.tell(BEGIN)
    cleared.page.evaluate("() => jupyterapp.shell.collapseLeft()")
    yield
    cleared.page.evaluate("() => jupyterapp.shell.expandLeft()")
    cleared.page.set_viewport_size({"width": 1100, "height": 900})


def show(lab: Notebook, name: str, width: int = 1100) -> Any:
    """The cell with the widget, once all of it is drawn."""
    lab.page.set_viewport_size({"width": width, "height": 900})
    lab.panel(f"shown = {WIDGETS[name]}\nshown")
    return lab.page.locator(".jp-Notebook .jp-Cell").first


def settled(lab: Notebook) -> None:
    """Until what was asked of the kernel is on the screen."""
    lab.page.evaluate(
        "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 100))"
    )


@every_widget
def test_is_drawn_and_fits_from_a_narrow_page_to_a_wide_one(lab: Lab, name: str, violations: Violations) -> None:
    cell = show(lab, name, width=600)
    assert cell.locator(".gmmlab").evaluate_all(f"views => views.map({BLANK})") == [0] * (4 if name == "explore" else 1)
    assert cell.locator(":is(canvas, table, .gl-controls, select, input)").count() > 0
    assert cell.evaluate(CUT_OFF) == []
    lab.page.set_viewport_size({"width": 1400, "height": 900})
    settled(lab)
    assert cell.locator(".gmmlab").first.bounding_box()["width"] > 600
    assert cell.evaluate(CUT_OFF) == []


@every_widget
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(lab: Lab, name: str, theme: str, violations: Violations) -> None:
    cell = show(lab, name)
    lab.tell(f"for each in [shown, *getattr(shown, 'panels', ())]: each.theme = {theme!r}")
    lab.page.wait_for_function(
        "([cell, theme]) => [...cell.querySelectorAll('.gmmlab')].every(view => view.dataset.theme === theme)",
        arg=[cell.element_handle(), theme],
    )
    assert violations(cell.locator(".jp-OutputArea-output").last) == []


@every_widget
def test_keys_reach_it_and_do_not_leave_it(lab: Lab, name: str) -> None:
    cell = show(lab, name)
    state = (
        "() => { const notebook = jupyterapp.shell.currentWidget.content;"
        " return [notebook.mode, notebook.activeCellIndex,"
        " ...notebook.widgets.map(cell => cell.model.type + cell.model.sharedModel.source)] }"
    )
    cell.locator(".jp-OutputArea").evaluate("area => { area.tabIndex = -1; area.focus() }")
    before = lab.page.evaluate(state)
    inside = "() => document.activeElement.closest('.gmmlab') !== null"
    kinds: list[str] = []
    for _ in range(40):
        lab.page.keyboard.press("Tab")
        if not lab.page.evaluate(inside):
            break
        kind = lab.page.evaluate("() => document.activeElement.tagName + document.activeElement.className")
        if kind in kinds:
            continue
        kinds.append(kind)
        for key in ("a", "b", "x", "d", "d", "j", "y", "ArrowDown", "Delete"):
            lab.page.keyboard.press(key)
            assert lab.page.evaluate(inside), f"{key} in {kind}"
    assert kinds
    assert lab.page.evaluate(state) == before


@every_widget
def test_closes_and_opens_again(lab: Lab, name: str) -> None:
    cell = show(lab, name)
    lab.tell("shown.close()")
    settled(lab)
    lab.page.wait_for_function(
        "cell => !cell.querySelector('.gmmlab:not([data-mode=disconnected])')", arg=cell.element_handle()
    )
    cell = show(lab, name)
    assert cell.locator(".gmmlab[data-mode=disconnected]").count() == 0
