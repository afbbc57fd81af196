"""Tables: the built-in data set, CSV files, and what is said about files that cannot be used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import gmmlab
from gmmlab import plot
from gmmlab.data import as_rows, faithful, load_table
from gmmlab.errors import BadData, DataWarning
from gmmlab.extras import needs


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"a": [1.0, 2, 3], "b": [4, 5, 7], "word": ["x", "y", "z"]}).to_csv(path, index=False)
    return path


def test_faithful_is_the_published_table():
    table = faithful()
    assert list(table.columns) == ["eruptions", "waiting"]
    assert table.shape == (272, 2)
    assert table["eruptions"].mean() == pytest.approx(3.487783, abs=1e-6)
    assert load_table().equals(table)


def test_columns_are_picked_by_name_in_order(csv):
    assert list(load_table(csv).columns) == ["a", "b"]
    assert list(load_table(csv, " b , a").columns) == ["b", "a"]
    assert list(load_table(str(csv), ["b"]).columns) == ["b"]


def test_a_frame_is_a_table_too():
    frame = pd.DataFrame({"a": [1.0, 2], "b": [4, 5], "word": ["x", "y"]})
    assert load_table(frame, "b").equals(frame[["b"]])
    with pytest.raises(BadData, match="DataFrame gives 1 numeric column"):
        load_table(frame[["a", "word"]], at_least=2)


def test_rows_with_missing_values_are_dropped_and_counted(tmp_path):
    path = tmp_path / "holes.csv"
    path.write_text("a,b\n1,2\n,3\n4,5\n")
    with pytest.warns(DataWarning, match="1 of 3 rows dropped"):
        assert load_table(path).shape == (2, 2)


@pytest.mark.parametrize(
    ("content", "columns", "sentence"),
    [
        (b"a,b\n1,2\n3,4\n", "a,c", "has no column 'c'; it has a, b"),
        (b"eruptions,b\n1,2\n3,4\n", "eruption", "Did you mean 'eruptions'"),
        (b"a,b\nx,2\ny,4\n", "a", "holds text; expected numbers"),
        (b"a\nx\ny\n", "", "has no numeric column"),
        ("a,b\nå,2\n".encode("latin-1"), "", "is not UTF-8 text"),
        (b"", "", "cannot be read as CSV"),
        (b"a,b\n", "", "no rows below its header"),
        (b"a,b\n,\n,\n", "a", "missing value"),
        (b'a,b\n1,2,3,4\n"5', "", "cannot be read as CSV"),
    ],
)
def test_unusable_files_get_a_sentence(tmp_path, content, columns, sentence):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(BadData, match=sentence):
        load_table(path, columns)


def test_too_few_columns_get_a_sentence(csv):
    with pytest.raises(BadData, match=r"gives 1 numeric column.*'b'; expected at least 2"):
        load_table(csv, "b", at_least=2)


def test_dates_get_a_sentence():
    with pytest.raises(BadData, match="Columns 't' hold dates"):
        as_rows(pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "2020-01-02"]), "a": [1.0, 2.0]}))


def test_missing_file_gets_a_sentence(tmp_path):
    with pytest.raises(BadData, match="There is no file"):
        load_table(tmp_path / "nowhere.csv")


def test_missing_package_is_asked_for_in_a_sentence():
    with pytest.raises(ModuleNotFoundError, match=r"needs the package no_such_package.*pip install 'gmmlab\[lab\]'"):
        needs("no_such_package.part")


def test_rows_keep_names_dtype_and_memory():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]})
    rows = as_rows(frame)
    assert rows.names == ["a", "b"] and rows.x.dtype == torch.float64
    assert as_rows([[1, 2], [3, 4]]).names == ["x0", "x1"]
    with pytest.raises(BadData, match="Column names 'a' stand more than once"):
        as_rows(pd.DataFrame([[1.0, 2], [3, 4]], columns=["a", "a"]))
    assert as_rows(pd.DataFrame({"a": [1, 2]}, dtype=object)).x.tolist() == [[1.0], [2.0]]
    array = np.ones((3, 2), dtype=np.float32)
    assert as_rows(array).x.data_ptr() == array.ctypes.data  # no copy
    frozen = np.ones((3, 2))
    frozen.flags.writeable = False
    assert as_rows(frozen).x.shape == (3, 2)
    assert as_rows(np.ones((3, 2))[::-1]).x.shape == (3, 2)


def test_a_model_in_the_place_of_rows_gets_a_sentence():
    model = gmmlab.GaussianMixture(2).fit(faithful())
    for wrong in (model, model.mixture_):
        with pytest.raises(BadData, match="Rows come first"):
            plot.fit_check(wrong, faithful())
