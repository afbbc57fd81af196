"""A running JupyterLab for the tests, and what they all look for in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from lab import Lab`

from lab import BEGIN, CHROMIUM, Lab

AXE = """view => axe.run(view, {resultTypes: ['violations'], preload: false}).then(result => result.violations)"""


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Lab]:
    """One server, one browser, one notebook and one kernel for all tests of a process."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's chromium to run the browser tests")
    # matplotlib makes a list of fonts in every new home, here once for all runs; threads leave the cores to others;
    # kernels keep the modules that they compile, even where Python is told not to: each would take a second for it
    environ = {
        "MPLCONFIGDIR": str(pytestconfig.cache.mkdir("matplotlib")),
        "OMP_WAIT_POLICY": "passive",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with Lab(tmp_path_factory.mktemp("lab"), **environ) as lab:  # type: ignore[arg-type]
        lab.tell(BEGIN)
        yield lab


@pytest.fixture(scope="module")
def cleared(running: Lab) -> Lab:
    """The notebook as a file of tests finds it: without cells, without widgets."""
    running.clear()
    return running


@pytest.fixture
def lab(cleared: Lab) -> Iterator[Lab]:
    """The notebook for one test, at the end of which no page has failed or asked for anything from elsewhere."""
    yield cleared
    errors, urls = cleared.errors[:], cleared.urls[:]
    cleared.errors.clear()
    cleared.urls.clear()
    assert errors == []
    assert {urlsplit(url).hostname for url in urls if urlsplit(url).scheme not in ("data", "blob")} <= {"127.0.0.1"}


@pytest.fixture(scope="session")
def violations() -> Callable[[Any], list[str]]:
    """What axe finds wrong inside an element of a page, and hence in a widget.

    Nothing is fetched before: that is for rules about sound and turned screens, and takes half the time.
    """
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()

    def found(view: Any) -> list[str]:
        if not view.evaluate("() => 'axe' in window"):
            view.page.evaluate(axe)
        wrong = view.evaluate(AXE)
        return [f"{each['id']}: {node['html'][:120]}" for each in wrong for node in each["nodes"]]

    return found
