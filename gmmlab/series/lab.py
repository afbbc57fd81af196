"""JupyterLab on the series: which folder, which notebook first, and whether to open a browser."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from gmmlab.extras import needs
from gmmlab.series import catalogue
from gmmlab.series.problems import Misuse

COPY = "gmmlab-notebooks"
SETTINGS = Path(__file__).parent / "settings"  # no questions about news at the first start


def folder(wanted: str | None) -> Path:
    """The folder to open: the checkout's notebooks, or a copy of the series that belongs to the user."""
    if wanted is None and catalogue.in_checkout():
        return catalogue.home()
    target = Path(wanted or COPY)
    kept = copy_series(catalogue.home(), target)
    if kept:
        print(f"kept your own version of {', '.join(kept)} in {target}", file=sys.stderr)
    return target


def copy_series(source: Path, target: Path) -> list[str]:
    """Copy the notebooks that are not there yet; returns the names of those that differ and were kept."""
    if target.exists() and not target.is_dir():
        raise Misuse(f"{target} is a file, expected a folder to put the notebooks in.")
    target.mkdir(parents=True, exist_ok=True)
    kept = []
    for entry in catalogue.entries(source):
        copy = target / entry.path.name
        if not copy.exists():
            shutil.copyfile(entry.path, copy)
        elif copy.read_bytes() != entry.path.read_bytes():
            kept.append(copy.name)
    return kept


def has_display() -> bool:
    """Whether a browser can be opened for the person who asked."""
    if os.environ.get("CI"):
        return False
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def serve(wanted: str | None = None, *, port: int | None = None, browser: bool = True) -> None:
    """Run JupyterLab on the series until it is stopped. It prints its address, and opens it on a display."""
    labapp = needs("jupyterlab.labapp")
    target = folder(wanted)
    first = next((entry.path.name for entry in catalogue.entries(catalogue.home())), "")
    shown = browser and has_display()
    print(f"gmmlab: starting JupyterLab in {target} (Ctrl-C stops it)", file=sys.stderr, flush=True)
    labapp.LabApp.launch_instance(_options(target, first, port) + ([] if shown else ["--no-browser"]))


def _options(target: Path, first: str, port: int | None) -> list[str]:
    options = [f"--ServerApp.root_dir={target.resolve()}", f"--LabApp.default_url=/lab/tree/{first}"]
    # only the address on the terminal, no questions, no requests to other hosts
    options += ["--Application.log_level=WARN", "--ServerApp.answer_yes=True", "--LabApp.news_url=None"]
    options += [f"--LabApp.app_settings_dir={SETTINGS}"]
    options += ["--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"]
    if port is not None:
        options += [f"--port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # containers run as root; the server still listens on this machine only
    return options
