"""`gmmlab run`: from words to a finished notebook and a page, or to one sentence and no half-written file."""

from __future__ import annotations

import os
import re

import nbformat
import pytest
from papermill import clientwrap

PICTURE = """\
import base64
from IPython.display import Image
Image(base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="))
"""
MATHS = r"""# Maths
Inline $\gamma_{nk}$ and

$$\begin{aligned} a &= \frac{b}{c} \\ d &< e \end{aligned} \tag{1}$$

\begin{equation} x^2 \end{equation}

An unfinished $\frac{$ stays as written. See <https://example.org/paper>.
"""


def outputs(path):
    """The text that the code cells of a notebook printed."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_run_writes_the_result_here_and_says_where(save, folder, gmmlab):
    save("a.ipynb", "print(n_components, rate, sizes)", "import os; print(os.environ['GMMLAB_DISPLAY'])")
    status, out, err = gmmlab("run", "a.ipynb", "-p", "n_components=7", "-p", "sizes=3,4")
    assert (status, out, err) == (0, "a.run.ipynb\n", "")
    assert outputs(folder / "a.run.ipynb") == "7 0.5 [3, 4]\nstatic\n"
    assert names(folder) == ["a.ipynb", "a.run.ipynb"]
    assert "GMMLAB_DISPLAY" not in os.environ


def test_the_result_holds_no_timings_no_widget_state_and_no_marks_of_the_runner(save, folder, gmmlab):
    save("a.ipynb", "import ipywidgets; ipywidgets.IntSlider()")
    assert gmmlab("run", "a.ipynb")[0] == 0
    text = (folder / "a.run.ipynb").read_text()
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    assert "widgets" not in made.metadata
    assert "papermill" not in text.replace("papermill_", "")
    assert not any("execution" in cell.metadata for cell in made.cells)
    assert [cell.metadata.get("tags") for cell in made.cells] == [["parameters"], None]


def test_parameters_come_from_a_file_and_the_command_line_wins(save, folder, gmmlab):
    save("a.ipynb", "print(n_components, rate)")
    (folder / "p.yaml").write_text("n_components: 3\nrate: 2\n")
    assert gmmlab("run", "a.ipynb", "-f", "p.yaml", "-p", "n_components=5", "-o", "b.ipynb")[0] == 0
    assert outputs(folder / "b.ipynb") == "5 2.0\n"


def test_a_path_with_braces_is_a_path(save, folder, gmmlab):
    (folder / "{x}").mkdir()
    save("{x}/a.ipynb", "print(1)")
    status, out, _ = gmmlab("run", "{x}/a.ipynb", "-o", "{x}")
    assert (status, out) == (0, "{x}/a.run.ipynb\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "n_component=3"], "Did you mean 'n_components'?"),
        (["-p", "n_components=x"], "expected int"),
        (["-p", "data=no.csv"], "no such file"),
        (["-f", "no.yaml"], "no.yaml cannot be read"),
        (["-f", "bad.yaml"], "bad.yaml is not YAML"),
        (["-f", "latin.yaml"], "latin.yaml is not YAML"),
        (["-f", "list.yaml"], "list.yaml holds list"),
        (["-f", "type.yaml"], "rate is 'fast', expected float"),
        (["-o", "no/out.ipynb"], "folder no for the output does not exist"),
        (["-o", "out.html"], "neither an existing folder nor a name that ends in .ipynb"),
        (["--what"], "unrecognized arguments: --what"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(save, folder, gmmlab, words, said):
    save("a.ipynb", "open('started', 'w')")
    (folder / "bad.yaml").write_text("a: [1\nb: 2")
    (folder / "latin.yaml").write_bytes(b"a: \xff\xfe")
    (folder / "list.yaml").write_text("[1, 2]")
    (folder / "type.yaml").write_text("rate: fast")
    before = names(folder)
    status, out, err = gmmlab("run", "a.ipynb", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith("gmmlab: ")
    assert err.count("\n") == 1
    assert names(folder) == before


@pytest.mark.parametrize("content", [b"", b"not json", b"{}", b"\xff\xfe", b'{"cells": []}'])
def test_a_file_that_is_no_notebook_is_refused(folder, gmmlab, content):
    (folder / "a.ipynb").write_bytes(content)
    status, _, err = gmmlab("run", "a.ipynb")
    assert status == 2
    assert "a.ipynb is not a notebook" in err
    assert err.count("\n") == 1


def test_a_failed_run_keeps_its_partial_notebook_and_names_the_cell(save, folder, gmmlab):
    save(
        "a.ipynb",
        "# Text",
        "print('first')",
        "x = 1\nraise ValueError('\\x1b[31mbad\\x1b[0m\\nmore')",
        "print('never')",
    )
    (folder / "a.run.ipynb").write_text("an earlier result")
    status, out, err = gmmlab("run", "a.ipynb")
    assert (status, out) == (1, "")
    assert "cell 4 (x = 1) failed with ValueError: bad" in err
    assert "a.run.failed.ipynb" in err
    assert "\x1b" not in err
    assert err.count("\n") == 1
    assert names(folder) == ["a.ipynb", "a.run.failed.ipynb", "a.run.ipynb"]
    assert (folder / "a.run.ipynb").read_text() == "an earlier result"
    kept = nbformat.read(folder / "a.run.failed.ipynb", as_version=4)
    assert outputs(folder / "a.run.failed.ipynb") == "first\n"
    assert kept.cells[3].outputs[0].ename == "ValueError"
    assert len(kept.cells) == 5
    # the next run that succeeds takes the partial one away
    save("a.ipynb", "print('well')")
    assert gmmlab("run", "a.ipynb")[0] == 0
    assert names(folder) == ["a.ipynb", "a.run.ipynb"]


def test_the_cell_number_counts_the_injected_parameters(save, gmmlab):
    save("a.ipynb", "1 / 0")
    assert "cell 3 (1 / 0) failed with ZeroDivisionError" in gmmlab("run", "a.ipynb", "-p", "rate=1")[2]


def test_a_kernel_that_dies_is_a_failed_run(save, folder, gmmlab):
    save("a.ipynb", "import os; os._exit(3)")
    status, _, err = gmmlab("run", "a.ipynb")
    assert status == 1
    assert "the run broke off" in err
    assert names(folder) == ["a.ipynb", "a.run.failed.ipynb"]


def test_a_folder_that_cannot_be_written_is_refused(save, folder, gmmlab, monkeypatch):
    save("a.ipynb")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written to" in gmmlab("run", "a.ipynb", "-o", str(folder))[2]


def test_an_interrupt_keeps_what_there_is(save, folder, gmmlab, monkeypatch):
    save("a.ipynb", "print('first')", "'stop here'")
    client = clientwrap.PapermillNotebookClient
    execute = client.execute_cell

    def interrupted(self, cell, index, **options):
        if cell.source == "'stop here'":
            raise KeyboardInterrupt
        return execute(self, cell, index, **options)

    monkeypatch.setattr(client, "execute_cell", interrupted)
    status, _, err = gmmlab("run", "a.ipynb")
    assert (status, err) == (1, "gmmlab: interrupted; what had run is in a.run.failed.ipynb.\n")
    assert outputs(folder / "a.run.failed.ipynb") == "first\n"
    assert names(folder) == ["a.ipynb", "a.run.failed.ipynb"]


class TestReport:
    @pytest.fixture
    def page(self, save, folder, gmmlab):
        save("a.ipynb", MATHS, PICTURE, "secret_name = 3\nprint('result', secret_name)")
        status, out, err = gmmlab("run", "a.ipynb", "--report")
        assert (status, out, err) == (0, "a.run.ipynb\na.run.html\n", "")
        assert names(folder) == ["a.ipynb", "a.run.html", "a.run.ipynb"]
        return (folder / "a.run.html").read_text(encoding="utf-8")

    def test_it_needs_no_network_shows_pictures_and_equations_and_hides_code(self, page):
        assert not re.search(r"""\b(src|srcset)=(?!["']?data:)""", page)
        assert not re.search(r"<(script|link|iframe|object)\b|@import|url\(", page)
        assert "default-src 'none'" in page
        assert 'src="data:image/png;base64,' in page
        assert page.count("<math") == 3
        assert "<mtable" in page
        assert ">(1)<" in page
        assert r"<code>\frac{</code>" in page
        assert 'href="https://example.org/paper"' in page  # a link to follow, not a resource to load
        assert "<title>A test</title>" in page
        assert "result 3" in page
        assert "secret_name" not in page
        assert "In&nbsp;[" not in page
