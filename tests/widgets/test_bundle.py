"""The bundled front end: small, self-contained, and what its sources say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "gmmlab" / "widgets" / "static"
SOURCES = ROOT / "widgets"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")


def run(*command: str, cwd: Path = SOURCES) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The sources with esbuild beside them: as they lie here, or copied and installed for the test."""
    if (SOURCES / "node_modules" / "esbuild").exists():
        return SOURCES
    copy = tmp_path / "widgets"
    shutil.copytree(SOURCES, copy)
    (tmp_path / "gmmlab" / "widgets").mkdir(parents=True)
    shutil.copytree(STATIC, tmp_path / "gmmlab" / "widgets" / "static")
    install = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    if subprocess.run(install, cwd=copy, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("esbuild is not installed here and npm cannot fetch it")
    return copy


@pytest.mark.parametrize(("suffix", "most"), [("js", 60_000), ("css", 20_000)])
def test_modules_and_styles_are_small(suffix: str, most: int) -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.glob(f"*.{suffix}")}
    assert {f"explorer.{suffix}", f"chart.{suffix}"} == set(sizes)
    assert max(sizes.values()) <= most


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.*s")), ids=lambda path: path.name)
def test_it_names_no_address(path: Path) -> None:
    """Only the name space of SVG, which nothing is fetched from."""
    text = path.read_text()
    assert set(re.findall(r"\w+://[^\"'`\s)]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\bimport\s*\(|\bimport\s*[\"'{]|@import|url\(", text)


@pytest.mark.parametrize("name", ["explorer.js", "chart.js"])
def test_it_exports_what_anywidget_asks_for(name: str) -> None:
    assert re.search(r"export\{[^}]*\w+ as default\};?\s*$", (STATIC / name).read_text())


@needs_node
def test_the_bundle_equals_its_sources(sources: Path) -> None:
    assert "equal" in run("node", "build.mjs", "--check", cwd=sources)


@needs_node
def test_the_units_pass() -> None:
    tests = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.glob("tests/*.test.js"))
    assert "# fail 0" in run("node", "--test", "--test-reporter=tap", *tests)
