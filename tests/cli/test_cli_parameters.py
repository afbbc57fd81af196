"""What a notebook declares, and that wrong values are refused before anything starts."""

from __future__ import annotations

import re

import pytest
from small_notebooks import PARAMETERS, notebook

from gmmlab.series.parameters import checked, declared
from gmmlab.series.problems import Misuse


def test_a_declaration_has_name_type_default_and_help():
    found = declared(notebook())
    assert list(found) == ["data", "columns", "n_components", "rate", "flag", "sizes", "limit", "free"]
    assert found["n_components"].kind == "int"
    assert found["n_components"].default == 2
    assert found["n_components"].help == "how many"
    assert found["columns"].help == "comma-separated names, empty for all"
    assert found["free"].kind == ""


def test_help_is_found_behind_letters_of_several_bytes():
    assert declared(notebook(parameters='x: str = "\u00fc\u00e9"  # na\u00efve'))["x"].help == "na\u00efve"


def test_only_assignments_to_a_name_declare():
    assert list(declared(notebook(parameters="import os\nx: int\na, b = 1, 2\nc = 3"))) == ["c"]


def test_a_notebook_without_the_cell_declares_nothing():
    plain = notebook()
    plain.cells[0].metadata.clear()
    assert declared(plain) == {}
    with pytest.raises(Misuse, match=r"no parameter 'x'\. Known: none"):
        checked({}, ["x=1"])


def test_a_parameters_cell_that_is_not_python_is_refused():
    with pytest.raises(Misuse, match="parameters cell is not Python"):
        declared(notebook(parameters="x: = 3"))


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("data=", ""),
        ("columns=3", "3"),
        ("columns=a=b", "a=b"),
        ("n_components=3", 3),
        ("rate=3", 3.0),
        ("rate=1e-3", 0.001),
        ("flag=yes", True),
        ("flag=False", False),
        ("sizes=3,4", [3, 4]),
        ("sizes=[3, 4]", [3, 4]),
        ("sizes=", []),
        ("limit=none", None),
        ("limit=7", 7),
        ("free=[1, 2]", [1, 2]),
        ("free=text", "text"),
    ],
)
def test_a_pair_is_read_as_its_declared_type(pair, value):
    name = pair.partition("=")[0]
    read = checked(declared(notebook()), [pair])[name]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("n_component=3", "no parameter 'n_component'. Did you mean 'n_components'?"),
        ("zzz=3", "Known: data, columns"),
        ("n_components", "has no value; write -p n_components=VALUE"),
        ("n_components=three", "n_components is 'three', expected int, such as 2"),
        ("n_components=3.5", "expected int"),
        ("rate=fast", "expected float, such as 0.5"),
        ("flag=maybe", "expected bool"),
        ("sizes=1,b", "expected list[int]"),
        ("limit=x", "expected int | None"),
        ("data=nowhere.csv", "there is no such file"),
    ],
)
def test_a_wrong_pair_is_refused_with_what_was_expected(pair, said):
    with pytest.raises(Misuse) as refused:
        checked(declared(notebook()), [pair])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", True),
        ("n_components", "3"),
        ("flag", 1),
        ("columns", 3),
        ("sizes", [1, "b"]),
        ("sizes", 3),
        ("rate", None),
        (3, 3),
    ],
)
def test_a_wrong_value_of_a_file_is_refused(name, value):
    with pytest.raises(Misuse):
        checked(declared(notebook()), mapping={name: value})


def test_values_of_a_file_are_taken_and_pairs_win():
    values = checked(declared(notebook()), ["rate=2"], {"rate": 1, "limit": None, "sizes": [5]})
    assert values == {"rate": 2.0, "limit": None, "sizes": [5]}


ALLOWED = """\
from typing import Literal
n_components: int = 2  # number of components, at least 1
covariance: Literal["full", "tied", "diag", "spherical"] = "full"  # shape of the ellipses
power: Literal[1, 2] | None = None
digit: Literal["1", "2"] = "1"
sizes: list[int] = [1]  # at least 1 each
low: float = 0.0  # at least -0.5
text: str = ""  # at least 3 words
"""


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("n_components=1", 1),
        ("covariance=tied", "tied"),
        ("power=2", 2),
        ("power=none", None),
        ("digit=2", "2"),
        ("sizes=1,2", [1, 2]),
        ("low=-0.5", -0.5),
        ("text=one", "one"),
    ],
)
def test_an_allowed_value_passes(pair, value):
    assert list(checked(declared(notebook(parameters=ALLOWED)), [pair]).values()) == [value]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("n_components", 0, "parameter n_components is 0, expected at least 1."),
        (
            "covariance",
            "diagonal",
            "is 'diagonal', expected one of 'full', 'tied', 'diag', 'spherical'. Did you mean 'diag'?",
        ),
        ("covariance", "zz", "expected one of 'full', 'tied', 'diag', 'spherical'."),
        ("power", 3, "power is 3, expected one of 1, 2."),
        ("sizes", [1, 0], "sizes is [1, 0], expected at least 1."),
        ("low", float("nan"), "low is nan, expected at least -0.5."),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(name, value, said):
    parameters = declared(notebook(parameters=ALLOWED))
    with pytest.raises(Misuse, match=re.escape(said) + "$"):
        checked(parameters, mapping={name: value})
    text = ",".join(map(str, value)) if isinstance(value, list) else value
    with pytest.raises(Misuse, match=re.escape(said) + "$"):
        checked(parameters, [f"{name}={text}"])


class TestTable:
    def check(self, *pairs):
        return checked(declared(notebook(parameters=PARAMETERS)), pairs)

    def test_known_columns_pass(self, folder):
        (folder / "t.csv").write_bytes('\ufefflength,"the, width"\n1,2\n'.encode())
        assert self.check("data=t.csv", "columns=length")["columns"] == "length"

    def test_an_unknown_column_is_refused_with_the_near_one(self, folder):
        (folder / "t.csv").write_text("length,width\n1,2\n")
        with pytest.raises(Misuse, match=r"no column 'widht'\. Did you mean 'width'\?"):
            self.check("data=t.csv", "columns=length, widht")

    @pytest.mark.parametrize("content", [b"", b"\n1,2\n"])
    def test_a_table_without_header_is_refused(self, folder, content):
        (folder / "t.csv").write_bytes(content)
        with pytest.raises(Misuse, match="no header line"):
            self.check("data=t.csv")

    def test_another_encoding_is_refused(self, folder):
        (folder / "t.csv").write_bytes("gr\u00f6\u00dfe,b\n".encode("utf-16"))
        with pytest.raises(Misuse, match="UTF-8"):
            self.check("data=t.csv")

    def test_a_folder_is_not_a_table(self, folder):
        with pytest.raises(Misuse, match="expected the path of a CSV file"):
            self.check(f"data={folder}")
