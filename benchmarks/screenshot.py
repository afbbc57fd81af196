"""The README's pictures: the Explorer on Old Faithful in a real JupyterLab, light and dark.

python benchmarks/screenshot.py         writes widgets/images/explorer-light.png and explorer-dark.png
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "browser")]

from lab import Lab  # noqa: E402

IMAGES = HERE.parent / "widgets" / "images"
LARGEST = 200_000  # bytes
CELL = """import gmmlab

X = gmmlab.faithful()
explorer = gmmlab.explore(X, n_components=2)
explorer"""


def arrange(lab: Lab) -> Any:
    """A fit that has converged, one component taken in hand, and nothing around it that distracts."""
    page = lab.page
    for command in ("application:toggle-left-area", "statusbar:toggle"):
        page.evaluate("name => jupyterapp.commands.execute(name)", command)
    explorer = lab.show(CELL)
    lab.value(
        "[explorer.session.estep().move(0, [3.3, 76.0]).move(1, [3.1, 58.0]) and 1, explorer.session.wait(10).step][1]"
    )
    explorer.locator("[data-do=play]").click()
    lab.until("explorer.session.snapshot.play == 'done'")
    explorer.get_by_text("Converged", exact=True).wait_for()
    explorer.locator("[data-part=mean][data-k='0']").click()
    page.evaluate(
        "() => { const shared = jupyterapp.shell.currentWidget.content.model.sharedModel;"
        " while (shared.cells.length > 1) shared.deleteCell(shared.cells.length - 1);"
        " jupyterapp.shell.currentWidget.content.scrollTo?.(0); }"
    )
    return explorer


def shrink(png: bytes) -> bytes:
    """Few colours are enough for a drawing, and a README should load quickly."""
    from PIL import Image

    packed = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(255, dither=Image.Dither.NONE).save(
        packed, "PNG", optimize=True
    )
    return packed.getvalue()


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with folder as name, Lab(Path(name) / "lab", width=1440, height=830, scale=1.25) as lab:
        arrange(lab)
        for theme in ("light", "dark"):
            lab.page.evaluate(
                "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
                f"JupyterLab {theme.title()}",
            )
            lab.page.locator(f".gl-explorer[data-theme={theme}]").wait_for()
            lab.page.wait_for_timeout(1500)
            picture = shrink(lab.page.screenshot())
            if len(picture) > LARGEST:
                raise SystemExit(f"The {theme} picture has {len(picture):,} bytes; at most {LARGEST:,} are wanted.")
            path = IMAGES / f"explorer-{theme}.png"
            path.write_bytes(picture)
            print(f"{path.relative_to(HERE.parent)}  {len(picture) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
