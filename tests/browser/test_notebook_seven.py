"""Widgets in a real Notebook 7, which has another page around the same cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from inventory import BLANK, FITS, WIDGETS
from lab import SLOW, Lab, Notebook

pytest.importorskip("notebook", reason="Notebook 7 is not installed: pip install 'gmmlab[test]'")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def seven(cleared: Lab) -> Iterator[Notebook]:
    """With the kernel of the notebook in JupyterLab, which shows nothing."""
    notebook = cleared.open("seven.ipynb", app="notebooks", of=cleared)
    yield notebook
    notebook.page.close()


def test_the_explorer_is_driven_by_mouse_and_by_keyboard(
    lab: Lab, seven: Notebook, violations: Callable[[Any], list[str]]
) -> None:
    explorer = seven.show(SLOW.format(panels=()))
    assert violations(explorer) == []
    before = seven.value("mean(0)")
    box = explorer.locator("[data-part=mean][data-k='0']").bounding_box()
    seven.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seven.page.mouse.down()
    seven.page.mouse.move(box["x"] + 80, box["y"] - 40, steps=6)
    seven.page.mouse.up()
    seven.until(f"mean(0)[0] > {before[0]} + 0.1 and mean(0)[1] > {before[1]} + 1")
    count = seven.page.locator(".jp-Cell").count()
    explorer.locator(".gl-surface").focus()
    seven.page.keyboard.press("s")
    seven.until("snap().step == 1")
    for key in ("a", "b", "d", "d", "x"):
        seven.page.keyboard.press(key)
    assert seven.page.locator(".jp-Cell").count() == count
    explorer.get_by_role("button", name="Play").click()
    seven.until("snap().step > 3")
    explorer.get_by_role("button", name="Stop").click()
    seven.until("snap().play == 'idle'")


def test_a_chart_is_drawn_and_driven(lab: Lab, seven: Notebook, violations: Callable[[Any], list[str]]) -> None:
    chart = seven.panel("chart = gmmlab.explore(X, n_components=2, panels=()).session.conditional()\nchart")
    frame = chart.locator(".gl-frame").first
    frame.click(position={"x": 0.75 * frame.bounding_box()["width"], "y": 100})
    seven.until("chart.at is not None")
    before = seven.value("chart.at")
    frame.focus()
    seven.page.keyboard.press("ArrowLeft")
    seven.until(f"chart.at < {before}")
    assert violations(chart) == []


def test_every_widget_is_drawn(lab: Lab, seven: Notebook) -> None:
    seven.tell(FITS)
    seven.panel("\n".join(f"display({code})" for code in WIDGETS.values()))
    outputs = seven.page.locator(".jp-OutputArea-output:has(.gmmlab)").all()
    seen = [output.locator(".gmmlab").evaluate_all(f"views => views.map({BLANK})") for output in outputs]
    assert dict(zip(WIDGETS, seen, strict=True)) == {name: [0] * (4 if name == "explore" else 1) for name in WIDGETS}
