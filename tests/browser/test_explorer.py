"""The Explorer in a real JupyterLab, by mouse and by keyboard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from lab import SLOW, Lab

pytestmark = pytest.mark.browser

Violations = Callable[[Any], list[str]]

SHOW = "explorer = gmmlab.explore(X, n_components={k}, theme='{theme}', panels=())\nexplorer"


def show(lab: Lab, *, k: int = 2, theme: str = "light") -> Any:
    return lab.show(SHOW.format(k=k, theme=theme))


def handle(explorer: Any, k: int, part: str = "mean") -> Any:
    return explorer.locator(f"[data-part={part}][data-k='{k}']")


def drag(lab: Lab, target: Any, dx: float, dy: float) -> None:
    """By mouse, from the middle of `target`."""
    box = target.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    lab.page.mouse.move(x, y)
    lab.page.mouse.down()
    lab.page.mouse.move(x + dx, y + dy, steps=6)
    lab.page.mouse.up()


def pixels(explorer: Any) -> str:
    """A digest of the canvas of points."""
    url = explorer.locator(".gl-points").evaluate("canvas => canvas.toDataURL()")
    return hashlib.sha256(url.encode()).hexdigest()


def filled(explorer: Any) -> int:
    """How many pixels of the points are not empty."""
    return explorer.locator(".gl-points").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".filter((v, i) => i % 4 === 3 && v > 0).length"
    )


def test_a_mean_is_dragged_by_mouse(lab: Lab) -> None:
    explorer = show(lab)
    other, before = lab.value("[mean(0), mean(1)]")
    drag(lab, handle(explorer, 1), 80, -60)
    lab.until(f"mean(1)[0] > {before[0]} + 0.2 and mean(1)[1] > {before[1]} + 2")
    assert lab.value("mean(0)") == pytest.approx(other)
    assert lab.value("explorer.selected") == 1


@pytest.fixture(scope="class")
def explorer(cleared: Lab) -> Any:
    """One Explorer with its picture, for tests that do not change its model."""
    made = SHOW.format(k=2, theme="light").removesuffix("explorer")
    return cleared.show(f"{made}display(explorer._repr_mimebundle_()[0], raw=True)")


# How many elements of a view change smoothly, or turn.
MOVING = """view => [...view.querySelectorAll('*')].map(each => getComputedStyle(each)).filter(
    style => style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0).length"""
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 20, 24)"}
# How a view stands out from its paper (WCAG 2): its faintest word, the strongest mark of the strip, signs.
CONTRASTS = """view => {
    const channels = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const linear = v => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const paper = luminance(channels(getComputedStyle(view).backgroundColor));
    const contrast = colour => (([high, low]) => (high + 0.05) / (low + 0.05))(
        [luminance(colour), paper].sort((a, b) => b - a));
    const look = (part, name, pseudo) => contrast(channels(getComputedStyle(part, pseudo)[name]));
    const canvas = view.querySelector('.gl-strip canvas'), pixels = [];
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) pixels.push(contrast(data.slice(i, i + 3)));
    return {
        word: Math.min(...[...view.querySelectorAll('.gl-labels text, .gl-title')].map(each => look(each, 'fill'))),
        mark: Math.max(...pixels),
        edge: look(view.querySelector('[data-do=contours]'), 'borderTopColor'),
        pressed: look(view.querySelector('[data-do=lasso]'), 'backgroundColor'),
        dot: look(view.querySelector('.gl-pill'), 'backgroundColor', '::before'),
    };
}"""


@pytest.mark.usefixtures("lab", "explorer")
class TestLookedAt:
    """By several tests in turn: they leave it as they found it, but for its theme."""

    def test_draws_points_ellipses_and_says_what_it_shows(self, explorer: Any) -> None:
        assert filled(explorer) > 2000
        assert explorer.locator(".gl-one").count() == explorer.locator(".gl-two").count() == 2
        assert explorer.locator(".gl-title").all_text_contents() == ["eruptions →", "↑ waiting"]
        summary = explorer.locator("p.gl-hidden").text_content()
        assert summary.startswith("272 points, waiting against eruptions, with 2 components.")
        said = explorer.locator("[role=status]")
        said.filter(has_text="mean log-likelihood").wait_for(state="attached")

    def test_escape_leaves_to_the_notebook(self, lab: Lab, explorer: Any) -> None:
        handle(explorer, 0).focus()
        lab.page.keyboard.press("Escape")
        assert not explorer.evaluate("e => e.contains(document.activeElement)")
        assert lab.page.evaluate("() => document.activeElement.closest('.jp-Notebook') !== null")

    def test_contours_and_uncertainty_by_keyboard(self, lab: Lab, explorer: Any, violations: Violations) -> None:
        before = pixels(explorer)
        explorer.locator(".gl-surface").focus()
        lab.page.keyboard.press("c")
        explorer.locator(".gl-contours path").first.wait_for(state="attached")
        assert explorer.locator(".gl-contours path").count() == 7
        lab.page.keyboard.press("u")
        explorer.locator(".gl-key", has_text="uncertain").wait_for()
        assert pixels(explorer) != before
        assert violations(explorer) == []
        for key in ("c", "u"):
            lab.page.keyboard.press(key)
        explorer.locator(".gl-contours path").first.wait_for(state="detached")
        lab.until("explorer.color_by == 'component' and not explorer.contours")
        lab.page.wait_for_function("() => !document.querySelector('.gl-key').textContent.includes('uncertain')")
        assert pixels(explorer) == before

    def test_a_notebook_without_a_kernel_shows_the_picture(self, lab: Lab) -> None:
        with lab.without_kernel("again.ipynb", lab.saved()) as notebook:
            picture = notebook.locator(".jp-RenderedImage img").first
            picture.wait_for()
            assert picture.evaluate("image => image.naturalWidth") > 600
            assert notebook.locator(".gl-explorer").count() == 0

    def test_the_wheel_zooms_only_when_asked(self, lab: Lab, explorer: Any) -> None:
        labels = explorer.locator(".gl-labels")
        before = labels.text_content()
        plot = explorer.locator(".gl-inner")
        plot.hover(position={"x": 200, "y": 100}, force=True)
        lab.page.mouse.wheel(0, -300)
        lab.frames(4)
        assert labels.text_content() == before
        explorer.locator(".gl-surface").focus()
        plot.hover(position={"x": 200, "y": 100}, force=True)  # the notebook has been scrolled
        lab.page.mouse.wheel(0, -600)
        lab.page.wait_for_function("before => document.querySelector('.gl-labels').textContent !== before", arg=before)
        lab.page.keyboard.press("0")
        lab.page.wait_for_function("before => document.querySelector('.gl-labels').textContent === before", arg=before)

    @pytest.mark.parametrize("theme", PAPER)
    def test_axe_finds_nothing_with_a_component_chosen_or_help_shown(
        self, lab: Lab, explorer: Any, violations: Violations, theme: str
    ) -> None:
        lab.tell(f"explorer.theme = {theme!r}")
        lab.page.locator(f".gl-explorer[data-theme={theme}]").wait_for()
        assert explorer.evaluate("e => getComputedStyle(e).backgroundColor") == PAPER[theme]
        assert filled(explorer) > 2000
        handle(explorer, 0).click()
        assert violations(explorer) == []
        lab.page.keyboard.press("?")
        explorer.get_by_role("dialog").wait_for()
        assert violations(explorer) == []
        lab.page.keyboard.press("Escape")
        explorer.get_by_role("dialog").wait_for(state="hidden")

    def test_a_palette_of_ones_own(self, lab: Lab, explorer: Any) -> None:
        first = "document.querySelector('.gl-component').style.getPropertyValue('--c')"
        before, usual = pixels(explorer), lab.page.evaluate(first)
        lab.tell("explorer.palette = ['#ff0000', '#00a000']")
        lab.page.wait_for_function(f"{first} === 'rgb(255 0 0)'")
        assert pixels(explorer) != before
        lab.tell("explorer.palette = 'okabe'")
        lab.page.wait_for_function(f"{first} === {usual!r}")
        assert pixels(explorer) == before

    def test_nothing_moves_by_itself_for_those_who_ask_for_that(self, lab: Lab, explorer: Any) -> None:
        assert explorer.evaluate(MOVING) > 0
        lab.page.emulate_media(reduced_motion="reduce")
        try:
            assert explorer.evaluate(MOVING) == 0
        finally:
            lab.page.emulate_media(reduced_motion="no-preference")

    @pytest.mark.parametrize(("forced", "theme"), [("dark", "light"), ("light", "dark")])
    def test_it_is_legible_where_the_system_forces_colours(
        self, lab: Lab, explorer: Any, violations: Violations, forced: Any, theme: str
    ) -> None:
        lab.tell(f"explorer.theme = {theme!r}")
        lab.page.locator(f".gl-explorer[data-theme={theme}]").wait_for()
        lab.page.emulate_media(forced_colors="active", color_scheme=forced, reduced_motion="reduce")
        try:
            lab.page.locator(f".gl-explorer[data-theme={forced}]").wait_for()
            lasso = explorer.get_by_role("button", name="Lasso")
            lasso.click()
            explorer.locator("[data-do=lasso][aria-pressed=true]").wait_for()
            lab.frames(2)
            seen = explorer.evaluate(CONTRASTS)
            assert seen["word"] >= 4.5
            assert seen["mark"] >= 7
            assert min(seen["edge"], seen["dot"], seen["pressed"]) >= 3
            assert violations(explorer) == []
            lasso.click()
        finally:
            lab.page.emulate_media(forced_colors="none", color_scheme="light", reduced_motion="no-preference")
        lab.page.locator(f".gl-explorer[data-theme={theme}]").wait_for()

    def test_auto_follows_the_theme_of_the_page(self, lab: Lab, explorer: Any, violations: Violations) -> None:
        lab.tell("explorer.theme = 'auto'")
        lab.page.locator(".gl-explorer[data-theme=light]").wait_for()
        theme = "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
        lab.page.evaluate(theme, "JupyterLab Dark")
        try:
            lab.page.locator(".gl-explorer[data-theme=dark]").wait_for()
            assert violations(explorer) == []
        finally:
            lab.page.evaluate(theme, "JupyterLab Light")
        lab.page.locator(".gl-explorer[data-theme=light]").wait_for()


NOISY = """
import numpy as np
import torch
rows = torch.as_tensor(X.to_numpy())
far = torch.tensor([[4.8, 44.0], [4.9, 45.0], [1.7, 95.0], [1.8, 94.0], [3.2, 93.0]], dtype=torch.float64)
rows = torch.cat([rows, far])
rows[:20, 1] = torch.nan
start = gmmlab.GaussianMixture({k}, noise=True, random_state=0)
explorer = gmmlab.explore(rows, model=start, theme={theme!r}, panels=())
explorer"""
GREY = {"light": "110, 120, 132", "dark": "150, 160, 172"}


@pytest.mark.parametrize(("k", "theme"), [(2, "light"), (1, "dark")])
def test_noise_is_grey_and_gaps_stand_in_the_margin(lab: Lab, violations: Violations, k: int, theme: str) -> None:
    explorer = lab.show(NOISY.format(k=k, theme=theme))
    lab.tell("explorer.play(); explorer.wait(60)")
    explorer.get_by_text("Converged", exact=True).wait_for()
    key = explorer.locator(".gl-key")
    assert key.text_content().startswith("● noise ")
    assert key.text_content().endswith("beyond: no value (20)")
    assert explorer.locator(".gl-border").get_attribute("d").count("M") == 1
    assert "20 points have no value in one of these columns" in explorer.locator("p.gl-hidden").text_content()
    grey = f"[{GREY[theme]}]"
    seen = explorer.locator(".gl-points").evaluate(
        "(c, grey) => { const v = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        " const near = (i) => v[i + 3] > 80 && grey.every((g, j) => Math.abs(v[i + j] - g) < 4);"
        " for (let i = 0; i < v.length; i += 4) if (near(i)) n++;"
        " return n; }",
        json.loads(grey),
    )
    outliers = lab.value("int((explorer._assigned(explorer.model).labels < 0).sum())")
    assert outliers >= 5
    assert seen > 8 * outliers
    assert violations(explorer) == []


def test_an_axis_is_dragged_and_turns_the_covariance(lab: Lab) -> None:
    explorer = show(lab)
    handle(explorer, 0).click()
    before = lab.value("explorer.model.components.cov[0].tolist()")
    drag(lab, handle(explorer, 0, "a"), -60, 120)
    lab.until(f"abs(explorer.model.components.cov[0][0, 1] - {before[0][1]}) > 0.05")
    assert lab.value("explorer.model.components.cov[0].det().item()") > 0


COV = "explorer.model.components.cov[0].tolist()"


@pytest.mark.parametrize(("structure", "part"), [("diag", "a"), ("spherical", "b")])
def test_an_axis_that_cannot_turn_is_not_turned(lab: Lab, structure: str, part: str) -> None:
    source = f"gmmlab.explore(X, n_components=2, covariance_type={structure!r}, panels=())"
    explorer = lab.show(f"explorer = {source}\nexplorer")
    handle(explorer, 0).click()
    edge = explorer.locator(".gl-component.is-selected .gl-two")
    radii = "e => [e.rx.baseVal.value, e.ry.baseVal.value, e.getAttribute('transform')]"
    a, b, turn = edge.evaluate(radii)
    box = handle(explorer, 0, part).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    lab.page.mouse.move(x, y)
    lab.page.mouse.down()
    before = lab.value(COV)
    lab.page.mouse.move(x + 40, y + 40, steps=6)
    lab.frames(3)
    wide, high, turned = edge.evaluate(radii)
    lab.page.mouse.up()
    assert turned == turn
    assert (wide if part == "a" else high) != pytest.approx(a if part == "a" else b, abs=5)
    assert high / b == pytest.approx(1 if structure == "diag" else wide / a, rel=1e-3)
    lab.until(f"{COV} != {before}")
    lab.frames(10)  # the kernel has the last word, and it is the same
    assert sorted(edge.evaluate(radii)[:2]) == pytest.approx(sorted([wide, high]), rel=1e-2)


def test_an_edit_has_one_number(lab: Lab) -> None:
    explorer = show(lab)
    explorer.get_by_role("button", name="Step", exact=True).click()
    lab.until("snap().step == 1")
    explorer.locator(".gl-facts", has_text="step 1").wait_for()
    before = explorer.locator(".gl-strip").get_attribute("aria-valuetext")
    drag(lab, handle(explorer, 0), 90, -70)
    lab.until("snap().evidence is None")
    lab.page.wait_for_function(
        "([view, before]) => { const said = view.querySelector('.gl-strip').ariaValueText;"
        " const number = said.replace('step 1, ', '');"
        " return said !== before && view.querySelector('.gl-facts').textContent.includes(`likelihood ${number}`) }",
        arg=[explorer.element_handle(), before],
    )


def test_a_mean_is_moved_by_keyboard(lab: Lab) -> None:
    explorer = show(lab)
    before = lab.value("mean(0)")
    handle(explorer, 0).focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press("Shift+ArrowUp")
    lab.until(f"mean(0)[0] > {before[0]} and mean(0)[1] > {before[1]} + 1")
    lab.page.keyboard.press("]")
    lab.page.wait_for_function(
        "() => document.activeElement.dataset.k === '0' || document.activeElement.dataset.k === '1'"
    )
    lab.until("explorer.selected is not None")


def test_play_runs_until_it_has_converged(lab: Lab) -> None:
    explorer = show(lab)
    explorer.get_by_role("button", name="Play").click()
    explorer.get_by_text("Converged", exact=True).wait_for()
    assert lab.value("snap().play") == "done"
    assert lab.value("len(snap().trace)") == lab.value("snap().step") + 1 > 3


def test_stop_takes_effect(lab: Lab) -> None:
    explorer = lab.show(SLOW.format(panels=()))
    places = "e => [...e.querySelectorAll('.gl-button')].map(button => button.offsetLeft)"
    before = explorer.evaluate(places)
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().step > 3")
    explorer.get_by_role("button", name="Pause").wait_for()
    assert explorer.evaluate(places) == before, "Pause takes the room of Play"
    explorer.get_by_role("button", name="Stop").click()
    lab.until("snap().play == 'idle'")
    step = lab.value("snap().step")
    lab.page.wait_for_timeout(200)
    assert lab.value("snap().step") == step


def test_steps_and_half_steps_go_forward_and_back(lab: Lab) -> None:
    explorer = show(lab)
    explorer.get_by_role("button", name="Step", exact=True).click()
    lab.until("snap().step == 1")
    lab.page.keyboard.press("m")
    lab.until("snap().step == 2 and snap().evidence is None")
    lab.page.keyboard.press("e")
    lab.until("snap().step == 2 and snap().evidence is not None")
    lab.page.keyboard.press("Backspace")
    lab.page.keyboard.press("Backspace")
    lab.until("snap().step == 1")


def test_a_click_or_a_key_on_the_strip_goes_to_that_step(lab: Lab) -> None:
    explorer = show(lab)
    explorer.get_by_role("button", name="Play").click()
    lab.until("snap().play == 'done'")
    explorer.get_by_text("Converged", exact=True).wait_for()
    box = explorer.locator(".gl-strip").bounding_box()
    lab.page.mouse.click(box["x"] + 60, box["y"] + 50)
    strip = explorer.locator(".gl-strip")
    last = int(strip.get_attribute("aria-valuemax"))
    keys = (("ArrowRight", 1), ("End", last), ("PageDown", max(0, last - 10)), ("Home", 0))
    for key, step in ((None, 0), *keys):
        if key:
            strip.press(key)
        lab.page.wait_for_function(f"() => document.querySelector('.gl-strip').ariaValueNow === '{step}'")
        lab.until(f"snap().step == {step}")


def test_components_come_and_go(lab: Lab) -> None:
    explorer = show(lab)
    box = explorer.locator(".gl-inner").bounding_box()
    lab.page.mouse.dblclick(box["x"] + 150, box["y"] + 60)
    lab.page.wait_for_function("() => document.activeElement.dataset.k === '2'")  # the new one has the focus
    lab.until("explorer.model.k == 3")
    lab.page.keyboard.press("Delete")
    lab.until("explorer.model.k == 2")
    handle(explorer, 2).wait_for(state="detached")
    explorer.get_by_role("button", name="Add a component").focus()
    lab.page.keyboard.press("Enter")
    lab.until("explorer.model.k == 3")


def test_adding_says_where_to_click_and_can_be_cancelled(lab: Lab, violations: Violations) -> None:
    explorer = show(lab)
    button = explorer.get_by_role("button", name="Add a component")
    hint = explorer.locator(".gl-hint.is-shown", has_text="Click where the new component goes")
    button.click()
    hint.wait_for()
    assert button.get_attribute("aria-pressed") == "true"
    assert violations(explorer) == []
    lab.page.keyboard.press("Escape")
    hint.wait_for(state="detached")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    box = explorer.locator(".gl-inner").bounding_box()
    lab.page.mouse.click(box["x"] + 150, box["y"] + 60)
    lab.until("explorer.model.k == 3")
    hint.wait_for(state="detached")


def test_another_pair_of_columns(lab: Lab) -> None:
    explorer = lab.show("explorer = gmmlab.explore(X.assign(third=X.waiting * 2), n_components=2, panels=())\nexplorer")
    explorer.get_by_label("y", exact=True).select_option("third")
    explorer.locator(".gl-title", has_text="third").wait_for()
    lab.until("explorer.dims == [0, 2]")


def rows(explorer: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the plot lies on the page, in parts of the plot."""
    box = explorer.locator(".gl-plot").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def lasso(lab: Lab, explorer: Any, *corners: tuple[float, float], hold: str) -> None:
    """Draws a line around part of the plot, with a key held down."""
    lab.page.keyboard.down(hold)
    lab.page.mouse.move(*rows(explorer, *corners[0]))
    lab.page.mouse.down()
    for corner in corners[1:]:
        lab.page.mouse.move(*rows(explorer, *corner), steps=4)
    lab.page.mouse.up()
    lab.page.keyboard.up(hold)


LEFT = ((0.1, 0.12), (0.5, 0.12), (0.5, 0.85), (0.1, 0.85))


def test_a_lasso_marks_rows_here_in_python_and_in_other_panels(lab: Lab) -> None:
    explorer = show(lab)
    before = pixels(explorer)
    marked = explorer.locator(".gl-facts", has_text="rows marked")
    lab.page.keyboard.down("Shift")
    lab.page.mouse.move(*rows(explorer, *LEFT[0]))
    lab.page.mouse.down()
    for corner in LEFT[1:]:
        lab.page.mouse.move(*rows(explorer, *corner), steps=4)
    marked.wait_for()
    assert lab.value("len(explorer.brushed)") == 0, "while the line is drawn only the page knows"
    lab.page.mouse.up()
    lab.page.keyboard.up("Shift")
    lab.until("len(explorer.brushed) > 80")
    assert lab.value("bool((explorer.session.x[explorer.brushed, 0] < 3.4).all())")
    assert pixels(explorer) != before
    second = lab.panel("two = gmmlab.explore(session=explorer.session)\ntwo", cell=2)
    second.locator(".gl-facts", has_text="rows marked").wait_for()
    count = lab.value("len(explorer.brushed)")
    explorer.locator(".gl-plot").evaluate("e => e.scrollIntoView({block: 'center'})")
    explorer.locator(".gl-surface").press("l")  # whatever has the focus: the second view came after it
    explorer.locator("[data-do=lasso][aria-pressed=true]").wait_for()
    lasso(lab, explorer, (0.1, 0.5), (0.5, 0.5), (0.5, 0.85), (0.1, 0.85), hold="Alt")
    lab.until(f"0 < len(explorer.brushed) < {count}")
    lasso(lab, explorer, *LEFT, hold="Control")
    lab.until(f"len(explorer.brushed) == {count}")
    lab.page.keyboard.press("Escape")
    lab.page.mouse.click(*rows(explorer, 0.95, 0.8))
    lab.until("len(explorer.brushed) == 0")
    second.locator(".gl-facts", has_text="rows marked").wait_for(state="detached")
    assert pixels(explorer) == before
    lab.tell("explorer.session.brush(range(10))")
    explorer.locator(".gl-facts", has_text="10 rows marked").wait_for()
    lab.run("two.close()", cell=2)


def test_a_click_on_a_point_opens_its_card(lab: Lab, violations: Violations) -> None:
    explorer = show(lab)
    ring = explorer.locator(".gl-row")
    lab.run("explorer.others = {'three': gmmlab.GaussianMixture(3, random_state=0).fit(X)}\nexplorer.row = 17")
    card = explorer.get_by_role("region", name="One row")
    card.get_by_text("three", exact=True).wait_for()
    place = ring.bounding_box()
    lab.page.keyboard.press("Escape")
    explorer.locator(".gl-surface").focus()
    lab.page.keyboard.press("Escape")
    lab.until("explorer.row is None")
    lab.page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    lab.until("explorer.row is not None")
    assert lab.value("explorer.session.x[explorer.row].tolist() == explorer.session.x[17].tolist()")
    assert violations(explorer) == []
    explorer.locator(".gl-surface").focus()
    lab.page.keyboard.press("i")
    lab.page.wait_for_function("() => document.activeElement.type === 'number'")
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.type("5")
    lab.page.keyboard.press("Enter")
    lab.until("explorer.row == 5")
    lab.page.keyboard.press("Escape")
    lab.until("explorer.row is None")


def test_split_merge_and_pins_by_keyboard(lab: Lab, violations: Violations) -> None:
    explorer = show(lab, k=3)
    handle(explorer, 1).focus()
    for key in ("Enter", "2"):
        lab.page.keyboard.press(key)
    lab.until("explorer.model.k == 4")
    handle(explorer, 3).wait_for()
    lab.page.keyboard.press("1")
    explorer.get_by_text("Choose the one to merge with").wait_for()
    handle(explorer, 3).focus()
    lab.page.keyboard.press("Enter")
    lab.until("explorer.model.k == 3 and explorer.selected == 1")
    keep = explorer.get_by_role("button", name="Keep the mean")
    keep.press("Enter")
    explorer.locator("[data-do=pin-mean][aria-pressed=true]").wait_for()
    before = lab.value("[mean(k) for k in range(3)]")
    explorer.locator(".gl-surface").focus()
    lab.page.keyboard.press("s")
    lab.until("snap().step == 1")
    after = lab.value("[mean(k) for k in range(3)]")
    assert after[1] == pytest.approx(before[1])
    assert after[0] != before[0]
    assert violations(explorer) == []


def test_a_component_is_scaled_by_the_wheel(lab: Lab) -> None:
    explorer = show(lab)
    before = lab.value("explorer.model.components.cov[0].det().item()")
    handle(explorer, 0).hover()
    lab.page.keyboard.down("Alt")
    lab.page.mouse.wheel(0, -100)
    lab.page.keyboard.up("Alt")
    lab.until(f"explorer.model.components.cov[0].det().item() > 1.5 * {before}")


def test_a_preset_shows_its_truth_and_what_to_try(lab: Lab, violations: Violations) -> None:
    explorer = lab.show("explorer = gmmlab.explore('bad start', theme='light', panels=())\nexplorer")
    assert explorer.locator(".gl-truth ellipse").count() == 3
    explorer.get_by_text("Merge the two, split the third").wait_for()
    assert violations(explorer) == []


def test_an_error_in_the_fit_is_told(lab: Lab, violations: Violations) -> None:
    explorer = lab.show(
        "def broken(model):\n    raise ArithmeticError('the rows ran out')\n    yield\n"
        "explorer = gmmlab.explore(X, n_components=2, fit=broken, panels=())\nexplorer"
    )
    explorer.get_by_role("button", name="Play").click()
    strip = explorer.get_by_role("alert")
    strip.filter(has_text="ArithmeticError in the step: the rows ran out").wait_for()
    strip.get_by_role("button", name="Copy traceback").wait_for()
    assert violations(explorer) == []
    strip.get_by_role("button", name="Dismiss").click()
    strip.wait_for(state="hidden")
    explorer.locator("[data-do=step]").click()
    strip.wait_for()  # it says the same, and it is another one


def test_components_begin_anew_and_are_added_on_others(lab: Lab) -> None:
    explorer = show(lab)
    before = lab.value("explorer.model.components.mean.tolist()")
    explorer.get_by_role("button", name="Reseed").click()
    lab.until(f"explorer.model.components.mean.tolist() != {before!r}")
    explorer.get_by_role("button", name="Add a component").click()
    handle(explorer, 0).click(force=True)
    lab.until("explorer.model.k == 3")


def test_two_views_of_one_explorer_agree(lab: Lab) -> None:
    show(lab)
    lab.run("explorer")  # in the next cell
    views = lab.page.locator(".gl-explorer")
    views.nth(1).locator("[data-part=mean]").first.wait_for()
    views.first.scroll_into_view_if_needed()
    before = views.nth(1).locator("[data-part=mean]").first.get_attribute("aria-valuetext")
    drag(lab, handle(views.first, 0), 40, 40)
    lab.page.wait_for_function(
        "before => document.querySelectorAll('.gl-explorer')[1].querySelector('[data-part=mean]')"
        ".getAttribute('aria-valuetext') !== before",
        arg=before,
    )


def test_the_same_points_give_the_same_pixels(lab: Lab) -> None:
    first = pixels(show(lab, k=3))
    assert pixels(show(lab, k=3)) == first
