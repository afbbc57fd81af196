"""The README's code runs as it stands, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("anywidget")
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) >= 2
    names: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), names)
    assert names["found"].best_.n_components == 3
    assert set(names["robust"].predict(names["gappy"])) <= {-1, 0, 1}
    assert capsys.readouterr().out.count("\n") > 1, "the steps are printed"


def test_what_the_readme_says_of_names():
    from gmmlab.estimators.parameters import COVARIANCES

    said = re.findall(r'"(full|tied|diag|spherical)" (?:is )?([EVI]{3})', README.read_text(encoding="utf-8"))
    assert len(said) == 4
    for name, letters in said:
        assert COVARIANCES[name].structure.name == letters
