"""The Explorer's bars, measured in a real JupyterLab in headless Chromium without a GPU.

python benchmarks/explorer.py            prints the table and writes benchmarks/explorer.md
python benchmarks/explorer.py --quick    1e5 points only
python benchmarks/explorer.py --many     1e7 points only, in 3 GB of memory
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "browser")]

from lab import CHROMIUM, Lab  # noqa: E402

SETUP = """
import json, time, numpy as np, torch, gmmlab
from gmmlab.fit import run, whole

def blobs(n, k=4, seed=11):
    rng = np.random.default_rng(seed)
    z = rng.integers(k, size=n)
    centre = np.array([[4 * np.cos(6.283 * i / k), 4 * np.sin(6.283 * i / k)] for i in range(k)])
    spread = np.array([np.linalg.cholesky([[1, r], [r, 0.6]]) for r in np.linspace(-0.7, 0.7, k)])
    return centre[z] + np.einsum('nij,nj->ni', spread[z], rng.standard_normal((n, 2)))

def endless(x):
    return lambda model: run(model, whole(x), stop=lambda step: False)

def show(n, k=4):
    x = torch.as_tensor(blobs(n, k))
    start = gmmlab.explore(x[:2000], n_components=k, panels=()).model
    return gmmlab.explore(x, model=start, fit=endless(x), theme='light', panels=())
"""

# Everything the page itself does is timed in the page.
PAN = """async (seconds) => {
    const svg = document.querySelector('.gl-svg'), box = svg.getBoundingClientRect();
    svg.setPointerCapture = () => {};
    const at = (type, x, y) => svg.dispatchEvent(new PointerEvent(type,
        {pointerId: 7, button: 0, bubbles: true, clientX: box.x + x, clientY: box.y + y}));
    at('pointerdown', 300, 60);
    const from = performance.now();
    let frames = 0;
    while (performance.now() - from < seconds * 1000) {
        await new Promise(requestAnimationFrame);
        at('pointermove', 300 + 80 * Math.sin(++frames / 9), 60 + 40 * Math.cos(frames / 9));
    }
    at('pointerup', 300, 60);
    return frames / (performance.now() - from) * 1000;
}"""
# A move of the handle, until the labels of all points and the log-likelihood have come back and are drawn: the canvas
# is painted again only when labels have changed.
DRAG = """async (moves) => {
    const svg = document.querySelector('.gl-svg'), canvas = document.querySelector('.gl-points').getContext('2d');
    const knob = document.querySelector('[data-part=mean] .gl-knob').getBoundingClientRect();
    svg.setPointerCapture = () => {};
    let painted = 0;
    const put = canvas.putImageData;
    canvas.putImageData = function (...all) { painted++; return put.apply(this, all); };
    const at = (type, x, y, target = svg) => target.dispatchEvent(new PointerEvent(type,
        {pointerId: 7, button: 0, bubbles: true, clientX: x, clientY: y}));
    const [x, y] = [knob.x + knob.width / 2, knob.y + knob.height / 2], times = [];
    at('pointerdown', x, y, document.querySelector('[data-part=mean]'));
    for (let i = 0; i < moves; i++) {
        const before = painted, from = performance.now();
        at('pointermove', x + 30 * Math.sin(i), y + 30 * Math.cos(i));
        while (painted === before && performance.now() - from < 5000) await new Promise(requestAnimationFrame);
        times.push(performance.now() - from);
        await new Promise(done => setTimeout(done, 60));
    }
    at('pointerup', x, y);
    canvas.putImageData = put;
    return times;
}"""
STREAM = """async (seconds) => {
    const canvas = document.querySelector('.gl-points').getContext('2d'), put = canvas.putImageData;
    let painted = 0;
    canvas.putImageData = function (...all) { painted++; return put.apply(this, all); };
    const from = performance.now();
    await new Promise(done => setTimeout(done, seconds * 1000));
    canvas.putImageData = put;
    return painted / (performance.now() - from) * 1000;
}"""
# When a frame was sent and when its acknowledgement came, by the kernel's clock.
WATCH = """
sent, latencies = {}, []
_send, _ack = explorer.publisher._send, explorer.publisher.ack
def send(content, buffers):
    if content.get('type') == 'frame':
        sent[content['frame']] = time.perf_counter()
    _send(content, buffers)
def ack(frame):
    latencies.append(time.perf_counter() - sent.get(frame, time.perf_counter()))
    _ack(frame)
explorer.publisher._send, explorer.publisher.ack = send, ack
"""


class Row(NamedTuple):
    what: str
    bar: str
    value: str
    ratio: float  # how much better than the bar; there is a slack of 2 for busy machines


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def first_picture(lab: Lab, n: int) -> float:
    """From the start of the cell to a drawn canvas, the making of the data left out."""
    lab.run(f"explorer = show({n})")
    begin = time.perf_counter()
    lab.show("explorer")
    return time.perf_counter() - begin


def pan(lab: Lab, n: int, bar: int) -> list[Row]:
    """The first picture, and how smoothly it is panned."""
    seconds = first_picture(lab, n)
    lab.page.wait_for_timeout(500)
    fps = lab.page.evaluate(PAN, 3)
    return [
        Row(f"first picture, {n:,} points", "1.5 s", f"{seconds:.2f} s", 1.5 / seconds),
        Row(f"pan, {n:,} points", f"at least {bar} frames/s", f"{fps:.0f}", fps / bar),
    ]


def drag(lab: Lab) -> list[Row]:
    lab.run("explorer = show(100_000)")
    lab.show("explorer")
    times = lab.page.evaluate(DRAG, 40)[3:]
    p50, p95 = quantile(times, 0.5), quantile(times, 0.95)
    what = "drag, E-step in the kernel, new labels drawn, 100,000 points, k = 4"
    return [
        Row(f"{what}: p50", "at most 150 ms", f"{p50:.0f} ms", 150 / p50),
        Row(f"{what}: p95", "at most 300 ms", f"{p95:.0f} ms", 300 / p95),
    ]


def stream(lab: Lab) -> list[Row]:
    """EM that never ends, 1e5 labels a frame; the publisher itself allows 30 frames a second."""
    lab.run("explorer = show(100_000)")
    explorer = lab.show("explorer")
    lab.run(WATCH)
    explorer.locator("[data-do=play]").click()
    lab.page.wait_for_timeout(1000)
    fps = lab.page.evaluate(STREAM, 4)
    latencies = [1000 * each for each in lab.value("latencies[5:]")]
    stop = stop_delay(lab, explorer)
    p95 = quantile(latencies, 0.95)
    return [
        Row("frames drawn while EM streams 100,000 labels", "at least 20 a second", f"{fps:.1f}", fps / 20),
        Row("sent, drawn, acknowledged: p95", "at most 200 ms", f"{p95:.0f} ms", 200 / p95),
        Row("Stop takes effect", "one step + 0.3 s", f"{stop:.2f} s", 0.4 / max(stop, 1e-3)),
    ]


def stop_delay(lab: Lab, explorer: Any) -> float:
    """From the click to the worker's snapshot, both by this machine's clock."""
    lab.run(
        "stopped = []\n"
        "explorer.session.subscribe(lambda s: s.play == 'idle' and not stopped and stopped.append(time.time()))"
    )
    explorer.locator("[data-do=stop]").evaluate("b => { window.clicked = Date.now() / 1000; b.click(); }")
    lab.until("stopped")
    return float(lab.value("stopped[0]") - lab.page.evaluate("clicked"))


def fonts() -> str:
    """Where matplotlib keeps its list of fonts: it makes one in every new home, here once for all runs."""
    import matplotlib.font_manager  # makes it

    return matplotlib.get_cachedir()


def size() -> Row:
    kilobytes = (HERE.parent / "gmmlab" / "widgets" / "static" / "explorer.js").stat().st_size / 1000
    return Row("size of the module", "at most 60 kB", f"{kilobytes:.1f} kB", 60 / kilobytes)


def verdict(ratio: float) -> str:
    if ratio >= 1:
        return "yes"
    return "within the 2 x slack" if ratio >= 0.5 else "**no**"


def table(rows: list[Row], before: float) -> str:
    import torch

    load = f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, {load}"
    browser = f"headless Chromium ({Path(CHROMIUM).name})"
    lines = [
        "# The Explorer's bars",
        "",
        f"Made by `python benchmarks/explorer.py`: a real JupyterLab in {browser}, without a GPU.",
        f"{machine}; Python {platform.python_version()}, torch {torch.__version__}.",
        "",
        "| what | bar | measured | met |",
        "|---|--:|--:|:-:|",
        *(f"| {row.what} | {row.bar} | {row.value} | {verdict(row.ratio)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1e5 points only, and no file")
    parser.add_argument("--many", action="store_true", help="1e7 points only, and no file")
    asked = parser.parse_args()
    before = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Lab(Path(folder) / "lab", MPLCONFIGDIR=fonts()) as lab,
    ):
        lab.run(SETUP)
        if asked.many:
            rows = pan(lab, 10_000_000, 8)
        else:
            rows = pan(lab, 100_000, 50)
            rows += [] if asked.quick else pan(lab, 1_000_000, 25)
            rows += [*drag(lab), *stream(lab), size()]
    text = table(rows, before)
    print(text)
    if not (asked.quick or asked.many):
        (HERE / "explorer.md").write_text(text)


if __name__ == "__main__":
    main()
