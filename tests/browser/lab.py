"""A real JupyterLab for tests and benchmarks: one server on 127.0.0.1, one browser, and notebooks in it.

with Lab(folder) as lab:
    explorer = lab.show("explorer = gmmlab.explore(X)\\nexplorer")     # the widget, as a Playwright locator
    lab.value("explorer.model.k")                                     # the kernel is asked, past all cells
    other = lab.open("other.ipynb")                                   # another notebook, with a kernel of its own
    seven = lab.open("seven.ipynb", app="notebooks")                  # one in Notebook 7
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
# The first is Chromium without the windows that nobody looks at: it saves a tenth of the time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET_BROWSER = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60  # seconds that anything may take on a machine that is busy with something else
QUIET_SERVER = [
    "--no-browser",
    "--allow-root",
    "--expose-app-in-browser",
    "--ServerApp.ip=127.0.0.1",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--JupyterNotebookApp.expose_app_in_browser=True",
    "--LanguageServerManager.autodetect=False",  # it would start whatever looks like one
    "--KernelManager.shutdown_wait_time=0.2",  # a kernel has nothing to save
]

# JupyterLab without a grammar that jsonschema reads for a check of foreign names, which takes longer than all imports.
SERVER = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; sys.exit(main())"

# What a kernel begins with. Widgets are shown without their pictures, which take longer than what is looked at.
BEGIN = """
import gmmlab
X = gmmlab.faithful()
def mean(k): return snap().model.components.mean[k].tolist()
def snap(): return explorer.session.snapshot
def view(widget):
    shown = {"version_major": 2, "version_minor": 0, "model_id": widget.shown_id}
    return {"application/vnd.jupyter.widget-view+json": shown}
formatter = get_ipython().display_formatter.mimebundle_formatter
formatter.for_type_by_name("gmmlab.widgets.base", "LabWidget", view)
"""

# What a kernel is about, where it does not come to what is waited for.
THREADS = """
import sys, threading, traceback
if "explorer" in globals():
    print(snap().play, snap().step, snap().message, snap().error, sep="\\n")
names = {thread.ident: thread.name for thread in threading.enumerate()}
for ident, frame in sys._current_frames().items():
    print(f"\\n{names.get(ident)}:", *traceback.format_stack(frame), sep="\\n")
"""

# A fit that does not end by itself, with time to look at it.
SLOW = """
import time, torch
from gmmlab.fit import run, whole
x = torch.as_tensor(X.to_numpy())
def slow(model):
    for step in run(model, whole(x), stop=lambda *_: False):
        time.sleep(0.02)
        yield step
explorer = gmmlab.explore(X, n_components=2, fit=slow, panels={panels!r})
explorer"""

# Everything below acts on the notebook in front, through the application that Lab exposes.
_SET_CELL = """async ([index, source]) => {
    const focused = document.activeElement;
    const panel = jupyterapp.shell.currentWidget, notebook = panel.content, shared = notebook.model.sharedModel;
    while (shared.cells.length <= index) shared.addCell({cell_type: 'code'});
    notebook.activeCellIndex = index;
    notebook.deselectAll();
    const cell = notebook.activeCell;
    cell.model.sharedModel.setSource(source);
    await jupyterapp.commands.execute('notebook:run-cell');
    if (focused.isConnected) focused.focus({preventScroll: true});  // whoever asks does not move the focus
    return cell.model.outputs.toJSON();
}"""
# Code that no cell holds: nothing on the page is scrolled or loses the focus.
_ASK = """async source => {
    const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({code: source, store_history: false, stop_on_error: false});
    const outputs = [];
    future.onIOPub = ({header, content}) => outputs.push({output_type: header.msg_type, ...content});
    await future.done;
    return outputs;
}"""
_FRAMES = """count => new Promise(done => {
    const next = () => (count-- ? requestAnimationFrame(next) : done());
    next();
})"""
_SHARE = """path => {
    const {id, name} = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const session = {name: path, path, type: 'notebook', kernel: {id, name}};
    return jupyterapp.serviceManager.sessions.startNew(session).then(() => {});
}"""
_OPEN = "path => void jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'})"
_IDLE = "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
_NOTEBOOK = {
    "cells": [],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


class Notebook:
    """An open notebook with its kernel: cells show widgets, and the kernel is asked beside them."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def run(self, source: str, *, cell: int = 1) -> list[dict[str, Any]]:
        """Runs a cell of the notebook; returns its outputs, or raises what it raised."""
        return _unless_raised(self.page.evaluate(_SET_CELL, [cell, source]))

    def tell(self, source: str) -> str:
        """Runs code that no cell holds; returns what it printed, or raises what it raised.

        Not what stands in the stream of errors: a kernel complains there, at any time, of subshells that are gone.
        """
        outputs = _unless_raised(self.page.evaluate(_ASK, source))
        return "".join(output.get("text", "") for output in outputs if output.get("name") != "stderr")

    def value(self, expression: str) -> Any:
        """A value in the kernel, by way of JSON."""
        return json.loads(self.tell(f"import json\nprint(json.dumps({expression}))"))

    def until(self, expression: str, *, seconds: float = PATIENCE) -> None:
        """Asks the kernel until an expression is true."""
        deadline, nap = time.monotonic() + seconds, 0.03
        while not self.value(f"bool({expression})"):
            assert time.monotonic() < deadline, f"not true within {seconds} s: {expression}\n{self.tell(THREADS)}"
            time.sleep(nap)
            nap = min(0.2, 1.5 * nap)  # every question keeps the page busy, too

    def frames(self, count: int) -> None:
        """Until the page has been drawn so many times."""
        self.page.evaluate(_FRAMES, count)

    def show(self, source: str) -> Any:
        """Runs the first cell and returns the Explorer that it shows, once it is drawn."""
        self.page.mouse.move(5, 5)
        self.run(source, cell=0)
        explorer = self.page.locator(".gl-explorer").first
        explorer.locator(".gl-points[style]").wait_for()
        explorer.locator("[data-part=mean]").first.wait_for()
        explorer.scroll_into_view_if_needed()
        return explorer

    def panel(self, source: str, *, cell: int = 0) -> Any:
        """Runs a cell and returns the last view that it shows, once all that it shows are drawn."""
        self.page.mouse.move(5, 5)
        self.run(source, cell=cell)
        output = self.page.locator(".jp-Notebook .jp-Cell").nth(cell)
        output.locator(".gmmlab[data-mode]").first.wait_for()
        self.page.wait_for_function(
            "cell => [...cell.querySelectorAll('.gmmlab')].every("
            "view => !['loading', undefined].includes(view.dataset.mode))",
            arg=output.element_handle(),
        )
        view = output.locator(".gmmlab").last
        view.scroll_into_view_if_needed()
        return view

    def clear(self) -> None:
        """No cell, and no widget in the kernel."""
        self.tell("import ipywidgets\nipywidgets.Widget.close_all()")
        self.page.evaluate(
            "() => { const shared = jupyterapp.shell.currentWidget.content.model.sharedModel;"
            " shared.deleteCellRange(0, shared.cells.length) }"
        )


class Lab(Notebook):
    """A JupyterLab, and the notebook that is open in it from the start."""

    def __init__(self, folder: Path, *, width: int = 1100, height: int = 900, scale: float = 1, **environ: str) -> None:
        self.folder = folder
        self.environ = environ
        self.token = secrets.token_hex(16)
        self.urls: list[str] = []
        self.errors: list[str] = []  # exceptions that nobody caught, in any page, but for the application's own
        self._look = {"viewport": {"width": width, "height": height}, "device_scale_factor": scale}

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        (self.folder / "root").mkdir(parents=True)
        _configure(self.folder)
        self.port = _free_port()
        command = [sys.executable, "-c", SERVER, *QUIET_SERVER, f"--ServerApp.port={self.port}"]
        command += [f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.folder / 'root'}"]
        with (self.folder / "server.log").open("wb") as log:
            env = _environment(self.folder) | self.environ
            self._server = subprocess.Popen(command, env=env, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=log)
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET_BROWSER, timeout=1000 * PATIENCE
        )
        self._context = self._browser.new_context(**self._look)  # type: ignore[arg-type]
        self._context.on("request", lambda request: self.urls.append(request.url))
        self._context.on("weberror", self._failed)
        self._await_server()
        super().__init__(self.open("lab.ipynb").page)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self.page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
        self._browser.close()
        self._playwright.stop()
        self._server.kill()  # neither has it, and to stop takes a second
        self._server.wait(PATIENCE)

    def open(self, name: str, *, app: str = "lab", of: Notebook | None = None) -> Notebook:
        """An empty notebook in a page of its own: JupyterLab, or Notebook 7 (`app="notebooks"`).

        Its kernel is its own, or that of an open notebook, which takes no seconds to begin.
        """
        (self.folder / "root" / name).write_text(json.dumps(_NOTEBOOK))
        if of is not None:
            of.page.evaluate(_SHARE, name)
        page = self._context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.on("websocket", lambda socket: self.urls.append(socket.url))
        place = f"lab/workspaces/{Path(name).stem}" if app == "lab" else f"{app}/{name}"
        page.goto(f"http://127.0.0.1:{self.port}/{place}?token={self.token}")
        _in_front(page, name, app)
        return Notebook(page)

    @contextmanager
    def without_kernel(self, name: str, notebook: dict[str, Any]) -> Iterator[Any]:
        """A notebook in front of the one that is open, as if it came from elsewhere: its kernel is not known here."""
        notebook["metadata"] = {"kernelspec": {"name": "gone", "display_name": "gone"}}
        (self.folder / "root" / name).write_text(json.dumps(notebook))
        self.page.evaluate(_OPEN, name)
        self.page.locator(".jp-Dialog button", has_text="No Kernel").click()
        try:
            yield self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        finally:
            self.page.evaluate("() => jupyterapp.shell.currentWidget.dispose()")
            self.page.evaluate(_OPEN, "lab.ipynb")
            self.page.wait_for_function(_IDLE)

    def saved(self) -> dict[str, Any]:
        """The notebook as it is in its file, once it has been saved."""
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        return json.loads((self.folder / "root" / "lab.ipynb").read_text())

    def reload(self) -> None:
        """Saves the notebook and loads its page again; the kernel stays."""
        self.saved()
        self.page.reload()
        _in_front(self.page, "lab.ipynb", "lab")

    def _failed(self, error: Any) -> None:
        stack = error.error.stack or ""
        # Notebook 7 fails to read a setting of its own when it starts; widgets are blobs and extensions
        if "/static/" not in stack or "blob:" in stack or "/extensions/" in stack:
            self.errors.append(f"{error.error}\n{stack}")

    def _await_server(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._server.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api", timeout=PATIENCE).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"JupyterLab did not start: {(self.folder / 'server.log').read_text()}")


def _in_front(page: Any, name: str, app: str) -> None:
    """Waits for the application, and for its notebook to have an idle kernel."""
    page.wait_for_function("() => window.jupyterapp")
    page.evaluate("() => jupyterapp.restored.then(() => {})")
    if app == "lab":
        page.evaluate(_OPEN, name)
    page.wait_for_function(_IDLE)


def _unless_raised(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for output in outputs:
        if output["output_type"] == "error":
            raise RuntimeError("\n".join([output["ename"], output["evalue"], *output["traceback"]]))
    return outputs


def _environment(folder: Path) -> dict[str, str]:
    """The current one, with Jupyter's own folders below `folder`: a person's settings do not matter here."""
    jupyter = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own = {"HOME": str(folder), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **jupyter, **own, "PYTHONPATH": path, "GMMLAB_DISPLAY": "live"}


def _configure(folder: Path) -> None:
    """Lab would ask whether it may fetch news, in front of what is tested, and swap its icon at every message."""
    settings = {"fetchNews": "false", "checkForUpdates": False}
    page = {"disabledExtensions": {"@jupyterlab/application-extension:faviconbusy": True}}
    _write(folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings", settings)
    _write(folder / "config" / "labconfig" / "page_config.json", page)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
