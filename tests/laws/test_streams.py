"""A stream is the whole: however the rows are held and cut, the statistics are the same; bad chunks are named."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from gmmlab.data import Chunk, Stream, as_rows, stream, survey
from gmmlab.errors import BadData, DataWarning
from gmmlab.fit import streamed, whole
from gmmlab.fit.source import total
from gmmlab.steps import e_step

X = cases.blobs(torch.Generator().manual_seed(3), n=157, d=3)


class Items(Dataset):
    """Rows with labels, one at a time."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return X[i], i % 3


class Endless(IterableDataset):
    """Rows in order."""

    def __iter__(self):
        return iter(X)


def pieces(size=40):
    return (part for part in X.split(size))


SOURCES = {
    "tensor": lambda _: X,
    "array": lambda _: X.numpy(),
    "frame": lambda _: pd.DataFrame(X.numpy(), columns=["a", "b", "c"]),
    "nested lists": lambda _: X.tolist(),
    "list of chunks": lambda _: list(X.split(31)),
    "list of Chunk": lambda _: [Chunk(part) for part in X.split(31)],
    "list of frames": lambda _: [pd.DataFrame(part.numpy()) for part in X.split(31)],
    "function": lambda _: pieces,
    "generator": lambda _: pieces(),
    "loader": lambda _: DataLoader(TensorDataset(X, torch.arange(len(X))), batch_size=50),
    "items": lambda _: Items(),
    "iterable dataset": lambda _: Endless(),
    "path of .npy": lambda folder: saved(folder),  # noqa: PLW0108 - defined below
    "memmap": lambda folder: np.load(saved(folder), mmap_mode="r"),
}
NAMES = {"frame": ["a", "b", "c"], "list of frames": ["0", "1", "2"]}


def saved(folder):
    np.save(folder / "rows.npy", X.numpy())
    return folder / "rows.npy"


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("chunk_rows", [None, 20])
def test_every_source_gives_the_same_rows(kind, chunk_rows, tmp_path):
    rows = stream(SOURCES[kind](tmp_path), chunk_rows=chunk_rows)
    chunks = list(rows)
    assert torch.equal(torch.cat([chunk.x for chunk in chunks]), X)
    assert rows.n == len(X) and rows.d == 3 and rows.dtype == torch.float64
    assert rows.names == NAMES.get(kind, ["x0", "x1", "x2"])
    assert all(len(chunk.x) <= (chunk_rows or len(X)) for chunk in chunks)
    assert rows.once == (kind == "generator")
    if not rows.once:
        assert torch.equal(torch.cat([chunk.x for chunk in rows]), X)


def test_parquet_files_and_folders(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra io is not installed")
    table = __import__("pyarrow").table({name: X[:, j].numpy() for j, name in enumerate("abc")})
    parquet.write_table(table.slice(0, 100), tmp_path / "0.parquet")
    parquet.write_table(table.slice(100), tmp_path / "1.parquet")
    rows = stream(tmp_path, chunk_rows=30)
    assert torch.equal(torch.cat([chunk.x for chunk in rows]), X) and rows.names == ["a", "b", "c"]
    picked = stream(tmp_path / "0.parquet", columns=["c", "a"])
    assert torch.equal(torch.cat([chunk.x for chunk in picked]), X[:100, [2, 0]]) and picked.names == ["c", "a"]
    with pytest.raises(BadData, match="no column 'z'"):
        stream(tmp_path, columns="z")
    with pytest.raises(BadData, match="no column 3"):
        stream(tmp_path, columns=3)


@cases.few_structures()
def test_stream_is_whole(mixture, x, tol):
    one = whole(x)(mixture)
    two = streamed(stream([part.cpu() for part in x.split(len(x) // 5)]))(mixture) if x.device.type == "cpu" else one
    for a, b in ((one.components.s1, two.components.s1), (one.components.s2, two.components.s2)):
        torch.testing.assert_close(b, a, rtol=tol, atol=tol * float(a.abs().max().clamp(min=1)))
    torch.testing.assert_close(two.evidence, one.evidence, rtol=tol, atol=tol)
    assert float(two.n) == len(x)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, len(X)), max_size=8), chunk_rows=st.integers(1, 60), weighted=st.booleans())
def test_any_cut_gives_the_same_statistics(cuts, chunk_rows, weighted):
    w = torch.linspace(0, 2, len(X), dtype=torch.float64)
    edges = [0, *sorted(cuts), len(X)]
    parts = [slice(a, b) for a, b in pairwise(edges) if b > a]
    chunks = [Chunk(X[part], w[part] if weighted else None) for part in parts]
    model = cases.random_mixture(cases.STRUCTURES["VVV"], X, 3, torch.Generator().manual_seed(0))
    one = e_step(model, X, w if weighted else None)
    two = streamed(stream(chunks, chunk_rows=chunk_rows))(model)
    torch.testing.assert_close(two.components.s2, one.components.s2, rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(two.n, one.n)
    torch.testing.assert_close(two.evidence, one.evidence, rtol=1e-10, atol=1e-10)


def test_columns_are_picked_by_name_or_number():
    frame = pd.DataFrame(X.numpy(), columns=["a", "b", "c"])
    for source, columns in ((frame, ["c", "a"]), (X, [2, 0]), (X, ["x2", "x0"]), ([frame, frame], ["c", "a"])):
        rows = stream(source, columns=columns)
        assert rows.names == (["x2", "x0"] if source is X else ["c", "a"]) and rows.d == 2
        for first in (next(iter(rows)).x, next(iter(rows)).x):
            assert torch.equal(first, X[: len(first), [2, 0]])
    with pytest.raises(BadData, match=r"no column 'z'; it has a, b, c"):
        list(stream(frame, columns="z"))
    with pytest.raises(BadData, match="is a stream already"):
        stream(stream(X), columns=[0])


def test_first_chunk_sets_the_dtype():
    assert stream([X.float(), X.float()]).dtype == torch.float32
    assert stream([X.int(), X]).dtype == torch.float64
    lost = float((X - X.float()).abs().max())
    rows = stream([X.float(), X, X])
    with pytest.warns(DataWarning, match=rf"Chunk 1 .* rounded to float32, its numbers by up to {lost:.2g}\.") as seen:
        read = [*rows, *rows]
    assert {chunk.x.dtype for chunk in read} == {torch.float32}
    assert len(seen) == 1, "once, and not in every chunk and pass"
    with pytest.raises(BadData, match="Chunk 1 of the stream has inf in row"):
        list(stream([X.float(), 1e100 * X]))


def test_bad_chunks_are_named():
    for value, word in ((torch.nan, "NaN"), (torch.inf, "inf"), (1e200, "a number above 1.3e.151")):
        bad = X.clone()
        bad[90, 1] = value
        with pytest.raises(BadData, match=rf"Chunk 2 of the stream has {word} in row 90, column 1 \(row 10 of the"):
            list(stream(list(bad.split(40))))
    with pytest.raises(BadData, match=r"Chunk 1 .*first row is row 157.* has 2 columns, those before it had 3"):
        list(stream([X, X[:, :2]]))
    with pytest.raises(BadData, match=r"Chunk 0 .* is no table of numbers"):
        list(stream([pd.DataFrame({"a": ["text"]})]))
    with pytest.raises(BadData, match=r"Chunk 0 .* is a tuple; expected rows. Rows with weights are Chunk"):
        list(stream(lambda: [(X, X)]))
    with pytest.raises(BadData, match=r"157 rows and weights of shape \(3,\)"):
        list(stream([Chunk(X, torch.ones(3))]))


def test_empty_and_impossible_sources():
    with pytest.raises(BadData, match="gave no rows"):
        list(stream(list))
    with pytest.raises(BadData, match="gave no rows"):
        _ = stream([]).d
    for source, words in ((3, "is no stream of rows"), ("nothing.npy", "There is no file"), (X[0], r"shape \(n, d\)")):
        with pytest.raises(BadData, match=words):
            stream(source)
    with pytest.raises(BadData, match="chunk_rows is 0"):
        stream(X, chunk_rows=0)


def test_unknown_kind_of_file(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(BadData, match=r"a.csv is of a kind .* pandas.read_csv"):
        stream(tmp_path / "a.csv")


@cases.few_structures("VVV")
def test_a_generator_is_read_once_and_refused_where_more_is_needed(mixture):
    once = stream(pieces())
    for chunks in (once, pieces()):
        with pytest.raises(BadData, match="read only once"):
            streamed(chunks)
    with pytest.raises(BadData, match="known only when it is read"):
        _ = once.d
    assert sum(len(chunk.x) for chunk in once) == len(X)
    with pytest.raises(BadData, match="cannot be read again"):
        list(once)


def test_a_function_that_returns_what_was_read_is_found_out():
    spent = pieces()
    rows = stream(lambda: spent)
    list(rows)
    with pytest.raises(BadData, match="fresh chunks at every call"):
        list(rows)
    lengths = iter([157, 100])
    shrinking = stream(lambda: [X[: next(lengths)]])
    list(shrinking)
    with pytest.raises(BadData, match="100 rows in this pass and 157 in the first"):
        list(shrinking)


def test_rows_are_counted_in_the_first_pass():
    rows = stream(X)
    with pytest.raises(ValueError, match="counted in its first full pass"):
        _ = rows.n
    next(iter(rows))
    list(rows)
    assert rows.n == 157 and "157" in repr(rows) and stream(rows) is rows and isinstance(rows, Stream)


def test_survey_is_exact_and_its_sample_uniform():
    rng = torch.Generator().manual_seed(0)
    told = survey(stream(X, chunk_rows=13), 10, rng)
    torch.testing.assert_close(told.mean, X.mean(0))
    torch.testing.assert_close(told.variance, X.var(0, unbiased=False))
    assert told.total == len(X) and told.sample.shape == (10, 3)
    rows = torch.arange(60, dtype=torch.float64)[:, None]
    counts = torch.zeros(60)
    for _ in range(300):  # each row is drawn with probability 1/4: 75 times, standard deviation 7.5
        drawn = survey(stream(rows, chunk_rows=25), 15, rng).sample[:, 0].long()
        assert len(set(drawn.tolist())) == 15
        counts[drawn] += 1
    assert float((counts - 75).abs().max()) < 5 * 7.5
    assert abs(float(counts[:7].mean()) - float(counts[-7:].mean())) < 5 * 7.5 * (2 / 7) ** 0.5
    assert len(survey(stream(X), 500, rng).sample) == len(X)
    weight = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    heavy = survey([Chunk(rows[:3], weight)], 2, rng)
    assert sorted(heavy.sample[:, 0].tolist()) == [0, 2] and float(heavy.mean[0]) == pytest.approx(1.5)


def test_read_only_arrays_are_not_copied(tmp_path):
    frozen = np.load(saved(tmp_path), mmap_mode="r")
    rows = as_rows(frozen).x
    assert rows.data_ptr() == frozen.ctypes.data and torch.equal(rows, X)
    first = next(iter(stream(frozen))).x
    assert first.data_ptr() == frozen.ctypes.data
    del frozen
    assert torch.equal(rows, X), "the rows keep the map alive"


MEMORY = """
import resource, sys, numpy as np, torch
from gmmlab.data import as_rows, stream, survey
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
rng = torch.Generator().manual_seed(0)
def make():
    for _ in range(200):
        yield torch.ones(65536, 8)
next(iter(stream(make)))
before = peak()
print(survey(stream(make), 1000, rng).total, peak() - before)
"""


def test_a_pass_holds_a_chunk_and_no_more():
    """400 MB of rows go by; less than a fifth of that is ever held."""
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    total, grown = run.stdout.split()
    assert float(total) == 200 * 65536 and int(grown) < 80


def test_an_error_within_a_step_is_not_taken_for_an_empty_stream(rng):
    x = cases.blobs(rng)
    mixture = cases.random_mixture(cases.STRUCTURES["VVV"], x, 2, rng)

    def broken(*_: object) -> None:
        raise TypeError("of the family")

    with pytest.raises(TypeError, match="of the family"):
        total(map(broken, [x]))
    with pytest.raises(BadData, match="no rows to read"):
        streamed([])(mixture)
