"""What every widget keeps to in a real JupyterLab, whatever it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from inventory import BLANK, FITS, WIDGETS
from lab import Lab

pytestmark = pytest.mark.browser

Violations = Callable[[Any], list[str]]

OUTPUT = ".jp-OutputArea-output:has(.gmmlab)"  # above or below it a kernel may warn of something, with links

# What command mode would do something with: a cell above, cut, deleted, turned into text; the next one.
KEYS = ("a", "x", "d", "d", "m", "ArrowDown")

# What is wider than the box that it is in, unless that can be scrolled by keyboard.
CUT_OFF = """cell => [...cell.querySelectorAll('.jp-OutputArea-output, .gmmlab, .gmmlab :is(div, table, p)')]
    .filter((box) => box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0 && !box.closest('.gl-hidden'))
    .filter((box) => !(getComputedStyle(box).overflowX === 'auto' && box.tabIndex === 0))
    .map((box) => `${box.className}: ${box.scrollWidth} > ${box.clientWidth}`)"""

# Whether the element with the focus belongs to a widget, and of which kind it is.
FOCUS = """() => {
    const {tagName, className} = document.activeElement;
    return [document.activeElement.closest('.gmmlab') !== null, tagName + className];
}"""
# Whether an element has the focus, which JupyterLab may still be giving to the notebook after a cell has run.
FOCUSED = "area => document.activeElement === area || (area.tabIndex = -1, area.focus(), false)"
CELLS = """() => {
    const notebook = jupyterapp.shell.currentWidget.content;
    const cells = notebook.widgets.map(cell => cell.model.type + cell.model.sharedModel.source);
    return [notebook.mode, notebook.activeCellIndex, ...cells];
}"""


@pytest.fixture(scope="module")
def begun(cleared: Lab) -> Iterator[Lab]:
    """Fits to show, and the whole width of the page for the notebook."""
    cleared.tell(FITS)
    cleared.page.evaluate("() => jupyterapp.shell.collapseLeft()")
    yield cleared
    cleared.page.evaluate("() => jupyterapp.shell.expandLeft()")
    cleared.page.set_viewport_size({"width": 1100, "height": 900})


@pytest.fixture(scope="module", params=WIDGETS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def cell(begun: Lab, name: str) -> Iterator[Any]:
    """The cell with a widget, once all of it is drawn; every test looks at it in turn."""
    yield show(begun, name)
    begun.clear()


def show(lab: Lab, name: str) -> Any:
    lab.panel(f"shown = {WIDGETS[name]}\nshown")
    return lab.page.locator(".jp-Notebook .jp-Cell").first


def resize(lab: Lab, width: int) -> None:
    """Another width of the page, once everything has been drawn in it."""
    lab.page.set_viewport_size({"width": width, "height": 900})
    lab.frames(4)


def test_is_drawn(lab: Lab, cell: Any, name: str) -> None:
    assert cell.locator(".gmmlab").evaluate_all(f"views => views.map({BLANK})") == [0] * (4 if name == "explore" else 1)


@pytest.mark.parametrize("width", [600, 1400])
def test_fits_the_page(lab: Lab, cell: Any, width: int) -> None:
    resize(lab, width)
    drawn = cell.locator(".gmmlab").first.bounding_box()["width"]
    assert (drawn > 600) == (width > 600)
    assert cell.evaluate(CUT_OFF) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(lab: Lab, cell: Any, theme: str, violations: Violations) -> None:
    lab.tell(f"for each in [shown, *getattr(shown, 'panels', ())]: each.theme = {theme!r}")
    cell.locator(f".gmmlab:not([data-theme={theme}])").first.wait_for(state="detached")
    assert violations(cell.locator(OUTPUT)) == []


def test_keys_reach_it_and_do_not_leave_it(lab: Lab, cell: Any) -> None:
    before = lab.page.evaluate(CELLS)
    lab.page.wait_for_function(FOCUSED, arg=cell.locator(OUTPUT).element_handle())
    kinds: list[str] = []
    for _ in range(40):
        lab.page.keyboard.press("Tab")
        inside, kind = lab.page.evaluate(FOCUS)
        if not inside:
            break
        if kind in kinds:
            continue
        kinds.append(kind)
        for key in KEYS:
            lab.page.keyboard.press(key)
        assert lab.page.evaluate(FOCUS)[0], f"a key has left {kind}"
    assert kinds, f"Tab goes to {kind}"
    assert lab.page.evaluate(CELLS) == before


def test_closes_and_opens_again(lab: Lab, cell: Any, name: str) -> None:
    lab.tell("shown.close()")
    cell.locator(".gmmlab:not([data-mode=disconnected])").first.wait_for(state="detached")
    show(lab, name)
    assert cell.locator(".gmmlab[data-mode=disconnected]").count() == 0
