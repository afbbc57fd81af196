"""The rules of the house: imports point one way, strings choose nothing below the estimators, import is light."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gmmlab

PACKAGE = Path(gmmlab.__file__).parent

# A room may import from the rooms before it, and from itself.
ORDER = [
    ["axes", "errors", "extras", "systems"],
    ["record"],
    ["kernels"],
    ["stats"],
    ["families", "gates"],
    ["model"],
    ["stack", "steps", "algebra"],
    ["init", "fit", "score", "data", "sample"],
    ["estimators", "plot"],
    ["clustering", "experts", "sequences"],
    ["storage"],
    ["widgets", "series"],
    ["cli"],
    ["__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, top_level_only: bool) -> set[str]:
    """Dotted names of the modules that a file imports; a function's own imports only if asked for."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and "Or" not in ast.dump(node.test):
            return
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module} | {f"{node.module}.{alias.name}" for alias in node.names})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = room(path)
    assert here in LEVEL, f"room {here!r} is not in the plan of tests/test_house.py and CONTRIBUTING.md"
    for name in imports(path, top_level_only=True):
        parts = name.split(".")
        if parts[0] == "gmmlab" and len(parts) > 1 and parts[1] in LEVEL and parts[1] != here:
            assert LEVEL[parts[1]] < LEVEL[here], f"{here} imports {name}, which stands above or beside it"


def test_no_import_cycles():
    """Between files, by what is imported when they load."""
    modules = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in FILES}
    graph = {name: {n for n in imports(path, True) if n in modules} for name, path in modules.items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join([*trail, name])}"
        if name not in done:
            for other in graph[name]:
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


BELOW = [
    p for p in FILES if LEVEL.get(room(p), 99) < LEVEL["estimators"] and room(p) not in ("data", "record", "systems")
]


@pytest.mark.parametrize("path", BELOW, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_choice_by_string_below_the_estimators(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            for side in [node.left, *node.comparators]:
                constant = isinstance(side, ast.Constant) and isinstance(side.value, str)
                assert not constant, f"line {node.lineno} compares with the string {getattr(side, 'value', '')!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_widget_libraries_stay_in_their_room(path):
    if room(path) != "widgets":
        names = {name.split(".")[0] for name in imports(path, top_level_only=False)}
        assert not names & {"ipywidgets", "anywidget"}
    assert "matplotlib.pyplot" not in imports(path, top_level_only=False), "pyplot is not safe under threads"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module says nothing about itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} says nothing about itself"


def test_public_names_exist():
    for name in gmmlab.__all__:
        assert getattr(gmmlab, name) is not None
    assert set(gmmlab.__all__) <= set(dir(gmmlab))
    with pytest.raises(AttributeError, match=r"it has .*GaussianMixture"):
        _ = gmmlab.GausianMixture


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_is_light():
    assert not loaded_by("import gmmlab") & {"torch", "numpy", "sklearn"}
    heavy = {"pandas", "matplotlib", "ipywidgets", "anywidget", "jaxtyping", "beartype", "papermill"}
    assert not loaded_by("from gmmlab import Mixture, Gaussian, run") & heavy
    ours, peers = loaded_by("from gmmlab import GaussianMixture"), loaded_by("import torch, sklearn.mixture")
    assert {name.partition(".")[0] for name in ours - peers} == {"gmmlab"}, "what its peers load is enough"


def test_pictures_stay_what_they_are():
    """A submodule of the same name would take a function's place once it is loaded."""
    from gmmlab import plot

    for name in plot._DRAWN:
        for _ in range(2):
            assert not inspect.ismodule(getattr(plot, name)), name
