"""Small notebooks, written where a test runs, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from small_notebooks import notebook

from gmmlab.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def save(folder: Path) -> Callable[..., Path]:
    """Write a notebook under a name into the current folder."""

    def save(name: str, *cells: str, **options: object) -> Path:
        path = folder / name
        nbformat.write(notebook(*cells, **options), path)
        return path

    return save


@pytest.fixture
def gmmlab(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line: exit status, what it printed, what it complained about."""

    def gmmlab(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capsys.readouterr()
        return status, out, err

    return gmmlab
