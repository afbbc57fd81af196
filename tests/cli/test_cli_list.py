"""The catalogue: what the series is, on the command line, in its index, and against the inventory."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest
from jupyterlab import labapp
from small_notebooks import CARD

import gmmlab as package
from gmmlab import extras
from gmmlab.series import catalogue, lab
from gmmlab.series.problems import Misuse
from gmmlab.systems import SYSTEMS


@pytest.fixture
def series(save, folder, monkeypatch):
    """A series of two notebooks in place of the real one."""
    save("00_start.ipynb")
    save("10_next.ipynb", card=CARD | {"title": "Next", "systems": []})
    save("00_start.run.ipynb")
    save("00_start.run.failed.ipynb")
    monkeypatch.setattr(catalogue, "home", lambda: folder)
    return folder


def test_the_list_shows_name_time_and_title(series, gmmlab):
    assert gmmlab("list") == (0, "00_start  3 min  Tests: A test\n10_next   3 min  Tests: Next\n", "")


def test_the_list_for_programs(series, gmmlab):
    first, second = json.loads(gmmlab("list", "--json")[1])
    assert first["systems"] == ["estimation/em-family"]
    assert second["name"] == "10_next"


def test_systems_have_an_entry_point_and_notebooks(series, gmmlab):
    _, out, _ = gmmlab("list", "--systems")
    assert re.search(r"^estimation/em-family +gmmlab\.GaussianMixture +00_start$", out, re.MULTILINE)
    found = json.loads(gmmlab("list", "--systems", "--json")[1])
    assert {
        "system": "estimation/em-family",
        "entry": "gmmlab.GaussianMixture",
        "notebooks": ["00_start"],
    } in found


@pytest.mark.parametrize("name", ["00", "00_start"])
def test_a_notebook_of_the_series_is_found_by_number_or_name(series, name):
    assert catalogue.find(name).name == "00_start.ipynb"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("00_stort", "Did you mean '00_start'?"),
        ("zz", "no notebook of the series is called 'zz'. Known: 00_start, 10_next."),
        ("missing.ipynb", "there is no file"),
        ("deep/missing", "there is no file"),
    ],
)
def test_an_unknown_notebook_is_refused(series, gmmlab, name, said):
    status, _, err = gmmlab("run", name)
    assert status == 2
    assert said in err


def test_a_number_that_two_notebooks_share_is_refused(series, save):
    save("00_again.ipynb")
    with pytest.raises(Misuse, match="2 notebooks of the series are called '00'"):
        catalogue.find("00")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": None}, "gmmlab.title is None, expected str"),
        ({"minutes": "3"}, "gmmlab.minutes is '3', expected int"),
        ({"minutes": True}, "expected int"),
        ({"systems": "x"}, "expected list"),
        ({"systems": ["estimation/em-famly"]}, "Did you mean 'estimation/em-family'?"),
        ({"titel": "x"}, "gmmlab.titel is not known. Did you mean 'title'?"),
    ],
)
def test_wrong_metadata_is_named(save, change, said):
    with pytest.raises(Misuse, match=re.escape(said)):
        catalogue.read(save("x.ipynb", card=CARD | change))


def test_a_notebook_without_metadata_is_named(save):
    with pytest.raises(Misuse, match=r"x\.ipynb has no 'gmmlab' in its metadata"):
        catalogue.read(save("x.ipynb", card=False))


def test_the_index_links_every_notebook(series):
    text = catalogue.index(catalogue.entries())
    assert "## Tests" in text
    assert "| [A test](00_start.ipynb) | 3 | `estimation/em-family` |" in text


def test_copying_the_series_keeps_what_the_user_changed(series, tmp_path):
    target = tmp_path / "mine"
    assert lab.copy_series(series, target) == []
    assert sorted(p.name for p in target.iterdir()) == ["00_start.ipynb", "10_next.ipynb"]
    (target / "00_start.ipynb").write_text("mine")
    (target / "10_next.ipynb").unlink()
    assert lab.copy_series(series, target) == ["00_start.ipynb"]
    assert (target / "00_start.ipynb").read_text() == "mine"
    assert (target / "10_next.ipynb").exists()


def test_the_folder_for_the_copy_must_be_a_folder(series, gmmlab):
    (series / "file").write_text("")
    status, _, err = gmmlab("lab", "file")
    assert status == 2
    assert "file is a file, expected a folder" in err


def test_without_jupyterlab_the_extra_is_named(series, gmmlab, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="jupyterlab")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    status, _, err = gmmlab("lab", "copy")
    assert status == 2
    assert not (series / "copy").exists()
    assert "pip install 'gmmlab[lab]'" in err


def test_the_lab_opens_the_first_notebook(series, gmmlab, monkeypatch):
    started = []
    monkeypatch.setattr(labapp.LabApp, "launch_instance", started.append)
    status, _, err = gmmlab("lab", "copy", "--no-browser", "--port", "9123")
    assert status == 0
    assert err == "gmmlab: starting JupyterLab in copy (Ctrl-C stops it)\n"
    assert {"--LabApp.default_url=/lab/tree/00_start.ipynb", "--no-browser", "--port=9123"} <= set(started[0])
    assert f"--ServerApp.root_dir={series / 'copy'}" in started[0]


@pytest.mark.parametrize(
    ("environment", "shown"), [({}, False), ({"DISPLAY": ":0"}, True), ({"DISPLAY": ":0", "CI": "1"}, False)]
)
def test_a_browser_is_opened_only_on_a_display(monkeypatch, environment, shown):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    assert lab.has_display() is shown


def test_no_command_is_a_usage_error(gmmlab):
    status, _, err = gmmlab()
    assert status == 2
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--version"], ["list"], ["--help"]])
def test_short_answers_import_neither_torch_nor_jupyter(words):
    code = (
        "import sys; from gmmlab.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'nbformat', 'papermill', 'jupyterlab') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n")
    assert words != ["--version"] or out.startswith(f"gmmlab {package.__version__}\n")


# -- the real series ----------------------------------------------------------------------------------------


def test_every_notebook_of_the_series_has_valid_metadata_and_the_index_is_up_to_date():
    entries = catalogue.entries()
    assert entries
    assert (catalogue.home() / "README.md").read_text(encoding="utf-8") == catalogue.index(entries)


def test_every_system_has_an_importable_entry_point_and_a_notebook():
    for _, entry, notebooks in catalogue.systems(catalogue.entries()):
        module, name = entry.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), name)
        assert notebooks
    assert SYSTEMS
