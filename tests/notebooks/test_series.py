"""Every committed notebook: runs to its stored outputs, keeps the conventions, and takes other data."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from sklearn.datasets import load_iris

from gmmlab.cli import main
from gmmlab.series.catalogue import entries
from gmmlab.series.parameters import declared

SERIES = entries()
ROOT = Path(__file__).parents[2]
MAX_BYTES = 300_000
EXTERNAL = re.compile(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(\s*["']?https?:""")

each_notebook = pytest.mark.parametrize("entry", SERIES, ids=lambda entry: entry.name)


@each_notebook
def test_stored_outputs_are_what_the_cells_give(entry):
    """nbval runs the notebook in a fresh kernel and compares every output but pictures."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=120"),
        *("--nbval-sanitize-with", str(ROOT / "notebooks" / "sanitize.cfg"), "-p", "no:cacheprovider"),
        *("--rootdir", str(entry.path.parent), "-c", "/dev/null", str(entry.path)),
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=entry.path.parent, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


@each_notebook
def test_conventions(entry):
    notebook = nbformat.read(entry.path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata, "widget state is stored: it hides the pictures from HTML exports"
    assert entry.path.stat().st_size <= MAX_BYTES
    assert 20 <= len(notebook.cells) <= 35
    assert "parameters" in code[0].metadata.get("tags", []), "the first code cell holds the parameters"
    assert all(parameter.help and parameter.kind for parameter in declared(notebook).values()), "typed, with help"
    for number, cell in enumerate(code, 1):
        assert cell.execution_count == number, "run from top to bottom in a fresh kernel"
        lines = cell.source.splitlines()
        assert len(lines) <= 30, f"cell {number} has {len(lines)} lines"
        assert not lines[-1].rstrip().endswith(";"), "nbval cannot check a cell that ends in ;"
        for output in cell.outputs:
            assert output.output_type != "error"
            assert not (output.output_type == "stream" and output.name == "stderr"), output.text
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                assert "image/png" in output.data, "every widget leaves a static picture behind"


@pytest.fixture
def iris(tmp_path) -> Path:
    frame = load_iris(as_frame=True).frame.drop(columns="target")
    frame.columns = [name.removesuffix(" (cm)").replace(" ", "_") for name in frame.columns]
    path = tmp_path / "iris.csv"
    frame.to_csv(path, index=False)
    return path


def test_start_here_takes_other_data_and_parameters(iris, tmp_path):
    """The main job, headless: another table, other columns and parameters, and a report that needs no network."""
    out = tmp_path / "iris.ipynb"
    options = ("data=" + str(iris), "columns=petal_length,petal_width,sepal_length", "n_components=3", "seed=2")
    assert main(["run", str(ROOT / "notebooks/00_start_here.ipynb"), *flags(options), "-o", str(out), "--report"]) == 0
    notebook = nbformat.read(out, as_version=4)
    text = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    assert "By hand and gmmlab agree." in text
    html = out.with_suffix(".html").read_text()
    assert html.count("data:image/png;base64,") == 4  # the Explorer is for those who can touch it
    assert not EXTERNAL.search(html)
    assert "<script" not in html


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["tied", "diag", "spherical"])
def test_start_here_takes_every_covariance(iris, tmp_path, covariance):
    options = ("data=" + str(iris), "covariance=" + covariance, "n_components=2")
    out = tmp_path / "out.ipynb"
    assert main(["run", str(ROOT / "notebooks/00_start_here.ipynb"), *flags(options), "-o", str(out)]) == 0


def flags(options: tuple[str, ...]) -> list[str]:
    return [part for option in options for part in ("-p", option)]
