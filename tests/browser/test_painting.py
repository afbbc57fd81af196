"""Labels and data that are painted in a real JupyterLab, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lab import Lab

pytestmark = pytest.mark.browser

Violations = Callable[[Any], list[str]]

LABELER = """
from gmmlab.widgets.labeler import Labeler
labeler = Labeler.begin(X, n_components=2)
labeler"""
PAINTER = """
from gmmlab.widgets.data_painter import DataPainter
painter = DataPainter()
painter"""


def drag(lab: Lab, frame: Any, *places: tuple[float, float], release: bool = True) -> None:
    """By mouse, through parts of the width and the height of a frame."""
    box = frame.bounding_box()
    course = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in places]
    lab.page.mouse.move(*course[0])
    lab.page.mouse.down()
    for place in course[1:]:
        lab.page.mouse.move(*place, steps=8)
    if release:
        lab.page.mouse.up()


def in_hand(view: Any, tool: str) -> None:
    """Waits for the page to have a tool: until the kernel has answered, a drag is one of the tool before."""
    view.get_by_role("button", name=tool, exact=True, pressed=True).wait_for()


def coloured(frame: Any) -> int:
    """How many pixels of a frame have a hue."""
    return frame.locator("canvas").evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        " for (let i = 0; i < d.length; i += 4) {"
        " const rgb = d.slice(i, i + 3); if (d[i + 3] && Math.max(...rgb) - Math.min(...rgb) > 60) n++ } return n }"
    )


def test_labels_are_painted_lassoed_and_linked_by_mouse(lab: Lab) -> None:
    view = lab.panel(LABELER)
    frame = view.locator(".gl-frame")
    before = coloured(frame)
    drag(lab, frame, (0.1, 0.75), (0.2, 0.75), release=False)
    lab.frames(3)
    assert coloured(frame) > before + 50  # in the page, before the kernel has heard of it
    assert lab.value("int((labeler.labels >= 0).sum())") == 0
    lab.page.mouse.up()
    lab.until("3 < (labeler.labels == 0).sum() < 60")
    view.get_by_role("button", name="lasso").click()
    view.locator("[data-value='1']").click()
    view.locator("[data-value='1'][aria-pressed=true]").wait_for()
    in_hand(view, "lasso")
    drag(lab, frame, (0.7, 0.1), (0.95, 0.1), (0.95, 0.5), (0.7, 0.5))
    lab.until("20 < (labeler.labels == 1).sum() < 200")
    lab.until("labeler.wait().play == 'done' and labeler.wait().settings['labels'].max() == 1")
    view.get_by_role("button", name="alike", exact=True).click()
    in_hand(view, "alike")
    for x, y in ((0.8, 0.3), (0.85, 0.25)):
        box = frame.bounding_box()
        frame.click(position={"x": box["width"] * x, "y": box["height"] * y})
        lab.page.wait_for_timeout(250)
    lab.until("len(labeler.must) == 1")
    view.get_by_role("button", name="undo").click()
    lab.until("len(labeler.must) == 0")


def test_labels_are_painted_by_keyboard_and_contradictions_are_told(lab: Lab) -> None:
    view = lab.panel(LABELER)
    lab.run("labeler.link(0, 1, alike=False)")
    frame = view.locator(".gl-frame")
    frame.focus()
    press = lab.page.keyboard.press
    press("2")
    lab.until("labeler.label == 1")
    press("+")
    lab.until("labeler.size == 16")
    for _ in range(5):
        press("Shift+ArrowRight")
    for _ in range(2):
        press("Shift+ArrowUp")
    press("Space")
    lab.until("(labeler.labels == 1).sum() > 0")
    press("z")
    lab.until("(labeler.labels == 1).sum() == 0")
    press("n")
    lab.until("labeler.suggest")
    lab.run("labeler.tool = 'lasso'")
    in_hand(view, "lasso")
    frame.focus()
    for _ in range(12):
        press("Shift+ArrowUp")
    for key in ("Left", "Right", "Down", "Left"):  # around all rows
        for _ in range(30):
            press(f"Shift+Arrow{key}")
        press("Space")
    press("Enter")
    view.get_by_text("rows 0 and 1 are unlike, but both have the label 2").first.wait_for()
    assert lab.value("int((labeler.labels >= 0).sum())") == 0


def test_data_are_sprayed_moved_and_deleted(lab: Lab, violations: Violations) -> None:
    view = lab.panel(PAINTER)
    assert violations(view) == []  # a blank plane
    frame = view.locator(".gl-frame")
    drag(lab, frame, (0.2, 0.5), (0.4, 0.5))
    lab.until("len(painter.X) > 10 and abs(painter.X[:, 0].mean() - 3) < 1")
    frame.focus()
    press = lab.page.keyboard.press
    press("g")
    press("2")
    lab.until("painter.tool == 'bell' and painter.label == 1")
    in_hand(view, "bell")
    drag(lab, frame, (0.6, 0.3), (0.9, 0.6))
    lab.until("(painter.y == 1).sum() == 150")
    press("m")
    in_hand(view, "move")
    before = lab.value("painter.X[painter.y == 1].mean(0).tolist()")
    drag(lab, frame, (0.75, 0.45), (0.65, 0.45))
    lab.until(f"painter.X[painter.y == 1].mean(0)[0] < {before[0]} - 0.5")
    press("Delete")
    lab.until("(painter.y == 1).sum() == 0")
    press("s")
    in_hand(view, "spray")
    press("ArrowRight")
    press("Space")
    lab.until("len(painter.session.snapshot.model.clusters) == 2")
    assert coloured(frame) > 100
