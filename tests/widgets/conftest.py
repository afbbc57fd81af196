"""A running JupyterLab for the tests that need one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from lab import Lab`

from lab import CHROMIUM, Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One Lab and one kernel for a module of tests."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's chromium to run the browser tests")
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        running.run(
            "import gmmlab\n"
            "X = gmmlab.faithful()\n"
            "def mean(k): return snap().model.components.mean[k].tolist()\n"
            "def snap(): return explorer.session.snapshot"
        )
        yield running
