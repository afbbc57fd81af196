"""`gmmlab run`: from words to a finished notebook and a page, or to one sentence and no half-written file."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from papermill import clientwrap
from papermill.exceptions import PapermillExecutionError
from PIL import Image
from small_notebooks import notebook

from gmmlab.series import report, runner

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
    assert (status, out, err) == (0, "a.run.ipynb\n", "gmmlab: running a.ipynb\n")
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


def test_what_is_printed_in_pieces_is_one_output(save, folder, gmmlab):
    pieces = "import time\nfor i in range(3): print(i, flush=True); time.sleep(0.3)"
    save("a.ipynb", f"{pieces}\ndisplay('between')\nprint(3)")
    assert gmmlab("run", "a.ipynb")[0] == 0
    cell = nbformat.read(folder / "a.run.ipynb", as_version=4).cells[-1]
    assert [output.get("text") for output in cell.outputs] == ["0\n1\n2\n", None, "3\n"]


def test_pictures_are_packed_and_stay_as_they_are(save, folder, gmmlab):
    made = Image.new("P", (200, 200))
    made.putpalette([255, 0, 0, 0, 0, 255])
    made.info["transparency"] = bytes([0])
    made.save(folder / "loose.png", compress_level=0)
    save("a.ipynb", "from IPython.display import Image; Image('loose.png')")
    assert gmmlab("run", "a.ipynb")[0] == 0
    cell = nbformat.read(folder / "a.run.ipynb", as_version=4).cells[-1]
    packed = base64.b64decode(cell.outputs[0].data["image/png"])
    assert len(packed) < 2000 < (folder / "loose.png").stat().st_size
    assert Image.open(io.BytesIO(packed)).convert("RGBA").tobytes() == made.convert("RGBA").tobytes()


def test_pictures_of_others_and_what_is_no_picture_stay_as_they_are(save, folder, gmmlab):
    Image.new("RGB", (50, 50)).save(folder / "loose.png", compress_level=0)
    (folder / "none.png").write_bytes(b"no picture at all")
    show = "display({'image/png': base64.b64encode(open(name, 'rb').read()).decode()}, raw=True)"
    save("a.ipynb", f"import base64\nfor name in ('loose.png', 'none.png'): {show}")
    assert gmmlab("run", "a.ipynb")[0] == 0
    outputs = nbformat.read(folder / "a.run.ipynb", as_version=4).cells[-1].outputs
    held = [base64.b64decode(output.data["image/png"]) for output in outputs]
    assert held == [(folder / name).read_bytes() for name in ("loose.png", "none.png")]


def test_parameters_come_from_a_file_and_the_command_line_wins(save, folder, gmmlab):
    save("a.ipynb", "print(n_components, rate)")
    (folder / "p.yaml").write_text("n_components: 3\nrate: 2\n")
    assert gmmlab("run", "a.ipynb", "-f", "p.yaml", "-p", "n_components=5", "-o", "b.ipynb")[0] == 0
    assert outputs(folder / "b.ipynb") == "5 2.0\n"


def test_values_are_injected_behind_an_import_in_the_parameters_cell(save, folder, gmmlab):
    declared = 'from typing import Literal\nkind: Literal["full", "tied"] = "full"  # which'
    save("a.ipynb", "print(kind)", parameters=declared)
    status, _, err = gmmlab("run", "a.ipynb", "-p", "kind=tied")
    assert (status, err) == (0, "gmmlab: running a.ipynb\n")
    assert outputs(folder / "a.run.ipynb") == "tied\n"


def test_on_a_terminal_only_the_progress_bar_is_shown(save, gmmlab, monkeypatch):
    path = save("a.ipynb")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(runner, "run", lambda *_, progress: progress)
    assert gmmlab("run", path.name) == (0, "a.run.ipynb\n", "")


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
        (["-o", "no/out.ipynb"], "folder no for the output does not exist; make it first: mkdir -p no."),
        (["-o", "rep"], "the output rep is not an existing folder; make it first: mkdir -p rep."),
        (["-o", "my rep/"], "make it first: mkdir -p 'my rep'."),
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
    assert "cell In[3] (raise ValueError('\\x1b[31mbad\\x1b[0m\\nmore')) failed with ValueError: bad" in err
    assert "a.run.failed.ipynb" in err
    assert "\x1b" not in err
    assert err.count("\n") == 2  # one says what runs
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


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("1 / 0", "1 / 0"),
        ("\n\nx = 1\n\nx / 0", "x / 0"),
        ("def f():\n    return 1 / 0\n\nf()", "return 1 / 0"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    a + b", "a + b"),
        ("import json\njson.loads('x')", "json.loads('x')"),
        ("x = 1\ny = = 2", "y = = 2"),
        ("x = 1\nexec('1 / 0')", "exec('1 / 0')"),
    ],
)
def test_the_failing_cell_is_named_as_it_is_shown_with_the_line_that_failed(save, folder, gmmlab, cell, line):
    save("a.ipynb", "# Text", cell)
    assert f"cell In[3] ({line}) failed with " in gmmlab("run", "a.ipynb", "-p", "rate=1")[2]
    assert nbformat.read(folder / "a.run.failed.ipynb", as_version=4).cells[3].execution_count == 3


def test_without_a_traceback_the_first_line_of_the_cell_is_quoted(folder):
    error = PapermillExecutionError(2, 3, "x = 1\ny", "NameError", "no y", [])
    said = str(runner._give_up(error, folder / "none", folder / "failed"))
    assert said == "cell In[3] (x = 1) failed with NameError: no y; no cell had run."


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
    assert (status, err.splitlines()[1:]) == (1, ["gmmlab: interrupted; what had run is in a.run.failed.ipynb."])
    assert outputs(folder / "a.run.failed.ipynb") == "first\n"
    assert names(folder) == ["a.ipynb", "a.run.failed.ipynb"]


class TestReport:
    @pytest.fixture
    def page(self, save, folder, gmmlab):
        save("a.ipynb", MATHS, PICTURE, "secret_name = 3\nprint('result', secret_name)")
        status, out, err = gmmlab("run", "a.ipynb", "--report", "-p", "columns=<b>")
        assert (status, out) == (0, "a.run.ipynb\na.run.html\n")
        assert err == "gmmlab: running a.ipynb\n"
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

    def test_it_says_under_the_title_what_was_run(self, page):
        run = page[page.index("</h1>") + 5 : page.index("<p>Inline")]
        assert run.startswith('<div class="run"><p>Notebook <code>a</code></p><table>')
        assert "<tr><th>data</th><td><em>empty</em></td><td>a CSV file, empty for the built-in table</td></tr>" in run
        assert "<th>columns</th><td><code>&lt;b&gt;</code> <em>(given)</em></td>" in run
        assert "<th>n_components</th><td><code>2</code></td><td>how many</td>" in run
        assert run.count("<tr>") == 8
        assert run.count("(given)") == 1

    @pytest.mark.usefixtures("page")
    def test_a_result_that_is_run_again_keeps_its_values(self, folder, gmmlab):
        assert gmmlab("run", "a.run.ipynb", "--report", "-o", "b.ipynb")[0] == 0
        assert "<code>&lt;b&gt;</code> <em>(given)</em>" in (folder / "b.html").read_text(encoding="utf-8")

    def test_an_element_may_hold_markdown(self):
        text = report.page(
            notebook("# A\n<details><summary>S</summary>\n\n*in*\n\n</details>\n\n<kbd>E</kbd>"), Path("x")
        )
        assert re.search(r"<details><summary>S</summary>\s*<p><em>in</em></p>\s*</details>", text)
        assert "<kbd>E</kbd>" in text

    def test_what_is_not_for_a_report_is_left_out(self):
        made = notebook(
            "Before. <!-- no-report -->Change\n\nthis.<!-- /no-report --> After. <!-- no-report -->Rest.",
            "1",
            "2",
            parameters="",
        )
        made.cells[1] = nbformat.v4.new_markdown_cell(made.cells[1].source)
        for cell, text in zip(made.cells[2:], ("kept", "dropped"), strict=True):
            cell.outputs = [nbformat.v4.new_output("stream", text=text)]
        made.cells[3].metadata["tags"] = ["no-report"]
        made.cells.append(nbformat.v4.new_markdown_cell("Tagged.", metadata={"tags": ["no-report"]}))
        text = report.page(made, Path("x.ipynb"))
        assert "<p>Before.  After." in text
        assert "kept" in text
        for word in ("Change", "this.", "Rest.", "dropped", "Tagged."):
            assert word not in text
        # neither a title nor parameters
        assert '<main><div class="run"><p>Notebook <code>x</code></p></div>' in text
        assert len(made.cells) == 5
