"""The script behind `make`: what it cannot do, it says in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("awk", "cat", "cksum", "df", "grep", "mkdir", "rm", "tail")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder of programs as on a machine without Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or pytest.fail(f"{tool} is missing"))
    return folder


def setup(venv: Path, **environment: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    shell = shutil.which("sh") or "/bin/sh"
    done = subprocess.run(
        [shell, ".ci/setup", str(venv)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_without_python_one_is_told_which_to_install(tmp_path, bare_path):
    status, said = setup(tmp_path / "venv", PATH=str(bare_path))
    assert status == 1
    assert said.startswith("gmmlab: no Python 3.11 or newer was found")
    assert said.count("\n") == 1
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_not_taken(tmp_path, bare_path):
    (bare_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (bare_path / "python3").chmod(0o755)
    assert "no Python 3.11" in setup(tmp_path / "venv", PATH=str(bare_path))[1]


def test_too_little_room_is_said_before_anything_is_installed(tmp_path):
    status, said = setup(tmp_path / "venv", GMMLAB_NEED_MB="999999999")
    assert status == 1
    assert "about 999999999 MB are needed" in said
    assert said.count("\n") == 1
    assert not list((tmp_path / "venv").iterdir())


def test_a_place_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    status, said = setup(tmp_path / "file" / "venv")
    assert status == 1
    assert "cannot be made" in said
