"""One door for rows that need not fit in memory: whatever a person has becomes chunks of checked rows.

    stream("rows.npy")                    a memory map, read as it is used
    stream("folder-of-parquet/")          a Parquet file or folder (extra `io`)
    stream(x), stream(frame)              an array, a tensor, a frame: views of consecutive rows
    stream(loader), stream(dataset)       torch's; of a batch that is a tuple the first entry, not the labels
    stream([x1, x2])                      a list of chunks, each an array or a Chunk(x, weight)
    stream(lambda: generator())           a function that returns fresh chunks
    stream(generator())                   chunks that come once: for methods of one pass

The first chunk says how many columns there are and whether rows are float32 or float64; NaN, infinite numbers and
changed columns are errors that name the chunk and the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.data.rows import as_table, default_names
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.extras import needs
from gmmlab.kernels.chunks import Chunk
from gmmlab.stats import Moments

CHUNK_BYTES = 1 << 24  # of a chunk's rows
FALLBACK_ROWS = 65536  # of a chunk whose width is not known before it is read


class _Origin(NamedTuple):
    """Where pieces come from: a function that starts a new pass, whether it can do so again, and in words."""

    open: Callable[[], Iterable[Any]]
    words: str
    once: bool = False
    names: tuple[str, ...] = ()  # where the source picks the columns itself


class _Ask(NamedTuple):
    """What the caller wants of the rows."""

    columns: tuple[str | int, ...]
    chunk_rows: int | None


class Stream:
    """Chunks of rows: iterate it as often as its source allows. Make one with `stream`."""

    def __init__(self, origin: _Origin, ask: _Ask) -> None:
        self.source, self.once = origin.words, origin.once
        self._open, self._names = origin.open, origin.names
        self._columns, self._chunk_rows = () if origin.names else ask.columns, ask.chunk_rows
        self._given = origin.names  # names in the source, before columns are picked
        self._first: tuple[int, torch.dtype] | None = None
        self._n: int | None = None
        self._spent = self._rounded = False

    def __repr__(self) -> str:
        n = "rows not yet counted" if self._n is None else f"{self._n} rows"
        return f"Stream({self.source}, {n})"

    @property
    def n(self) -> int:
        """Number of rows, known after the first full pass. Raises `ValueError` before."""
        if self._n is None:
            raise ValueError("The rows of a stream are counted in its first full pass, which has not been made yet.")
        return self._n

    @property
    def d(self) -> int:
        """Number of columns; reads the first chunk if none was read yet."""
        return self._look()[0]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64, as the first chunk is."""
        return self._look()[1]

    @property
    def names(self) -> list[str]:
        """Names of the columns: those of the source, or x0, x1, ..."""
        if not self._names:
            self._look()
        return list(self._names)

    def __iter__(self) -> Iterator[Chunk]:
        """One pass over the rows. Raises `BadData`, for a second one too where the source gives only one."""
        if self._spent:
            raise BadData(
                f"This stream ({self.source}) has been read and cannot be read again. Try a function that returns a "
                "fresh generator: stream(lambda: generator())."
            )
        self._spent = self.once
        row = 0
        for i, piece in enumerate(self._open()):
            whole = self._checked(piece, i, row)
            row += len(whole.x)
            yield from self._split(whole)
        if row == 0:
            raise BadData(f"The stream ({self.source}) gave no rows; expected at least one. {self._hint()}")
        if self._n not in (None, row):
            raise BadData(
                f"The stream ({self.source}) gave {row} rows in this pass and {self._n} in the first; expected the "
                "same in every pass."
            )
        self._n = row

    def _hint(self) -> str:
        return "A function has to return fresh chunks at every call." if self._n else "Look at where they come from."

    def _look(self) -> tuple[int, torch.dtype]:
        if self._first is None:
            if self.once:
                raise BadData(
                    f"What this stream ({self.source}) holds is known only when it is read, which can be done once. "
                    "Try a function that returns a fresh generator: stream(lambda: generator())."
                )
            next(iter(self), None)
        assert self._first is not None  # an empty stream has raised
        return self._first

    def _split(self, chunk: Chunk) -> Iterator[Chunk]:
        size = self._chunk_rows or max(256, CHUNK_BYTES // (chunk.x.shape[1] * chunk.x.element_size()))
        weights = iter(lambda: None, 0) if chunk.weight is None else iter(chunk.weight.split(size))
        return (Chunk(x, next(weights)) for x in chunk.x.split(size))

    def _checked(self, piece: Any, i: int, row: int) -> Chunk:
        """The rows of a piece, in the dtype of the first one."""
        where = f"Chunk {i} of the stream (its first row is row {row})"
        if type(piece) is tuple:
            raise BadData(f"{where} is a tuple; expected rows. Rows with weights are Chunk(x, weight).")
        rows, weight = piece if isinstance(piece, Chunk) else (piece, None)
        try:
            x, names, _ = as_table(rows)
        except (TypeError, ValueError) as error:
            raise BadData(f"{where} is no table of numbers: {error}") from error
        self._given = self._given or tuple(names) or tuple(default_names(x.shape[1]))
        if self._columns:
            # a chunk's columns go by the names of the first chunk
            known = self._given if len(self._given) == x.shape[1] else default_names(x.shape[1])
            x = x[:, self._picked(known, where)]
        if not self._names:
            self._names = tuple(self._given[j] for j in self._picked(self._given, where)) or self._given
        if self._first is None:
            self._first = x.shape[1], x.dtype
        d, dtype = self._first
        if x.shape[1] != d:
            raise BadData(
                f"{where} has {x.shape[1]} columns, those before it had {d}; expected the same in all chunks."
            )
        _check_numbers(x.to(dtype), i, row)
        if x.dtype != dtype and dtype == torch.float32 and not self._rounded:
            self._rounded, lost = True, float((x - x.float()).abs().max())
            warn(
                f"{where} is in float64 after a first one in float32: all are rounded to float32, its numbers by up to "
                f"{lost:.2g}. Make the chunks float64 for the digits, or float32 for silence.",
                DataWarning,
            )
        return Chunk(x.to(dtype), None if weight is None else _checked_weight(weight, x, where))

    def _picked(self, names: Sequence[str], where: str) -> list[int]:
        """The numbers of the wanted columns, which were asked for by name or number."""
        unknown = [c for c in self._columns if c not in names and c not in range(len(names))]
        if unknown:
            raise BadData(f"{where} has no column {unknown[0]!r}; it has {', '.join(names)}.")
        return [c if isinstance(c, int) else names.index(c) for c in self._columns]


def stream(source: Any, *, chunk_rows: int | None = None, columns: Sequence[str | int] | str | int = ()) -> Stream:
    """Rows in chunks of at most `chunk_rows` (16 MB by default), of the `columns` named or numbered (all by default).

    See the module's docstring for what may come in. Small chunks are given as they come, so a loader's batches should
    not be tiny. Raises `BadData` for what is none of these.
    """
    if isinstance(source, Stream):
        if chunk_rows is not None or columns != ():
            raise BadData(f"{source!r} is a stream already; give chunk_rows and columns where it is made.")
        return source
    if chunk_rows is not None and chunk_rows < 1:
        raise BadData(f"chunk_rows is {chunk_rows}; expected at least 1, or None for chunks of 16 MB.")
    ask = _Ask((columns,) if isinstance(columns, str | int) else tuple(columns), chunk_rows)
    return Stream(_origin(source, ask), ask)


def _origin(source: Any, ask: _Ask) -> _Origin:
    for kind, make in _KINDS:
        if kind(source):
            return make(source, ask)
    raise BadData(
        f"A {type(source).__name__} is no stream of rows; expected an array, a tensor, a frame, the path of a .npy or "
        "Parquet file, a list of chunks, a DataLoader or Dataset, a generator, or a function that returns one."
    )


# -- kinds of sources ----------------------------------------------------------------------------------------------


def _is_path(source: Any) -> bool:
    return isinstance(source, str | Path)


def _from_path(source: str | Path, ask: _Ask) -> _Origin:
    path = Path(source)
    if not path.exists():
        raise BadData(f"There is no file {str(path)!r}; expected a .npy file, or a Parquet file or folder.")
    if path.suffix == ".npy":
        return _from_table(np.load(path, mmap_mode="r"), ask)._replace(words=path.name)
    if path.is_dir() or path.suffix in (".parquet", ".pq"):
        return _from_parquet(path, ask)
    raise BadData(
        f"{path.name} is of a kind that cannot be streamed; expected .npy, .parquet, or a folder of Parquet files. Try "
        "a function that reads it: stream(lambda: pandas.read_csv(path, chunksize=100_000))."
    )


def _from_parquet(path: Path, ask: _Ask) -> _Origin:
    dataset = needs("pyarrow.dataset", "io").dataset(str(path), format="parquet")
    known = list(dataset.schema.names)
    if unknown := [c for c in ask.columns if c not in known and c not in range(len(known))]:
        raise BadData(f"{path.name} has no column {unknown[0]!r}; it has {', '.join(known)}.")
    names = [known[c] if isinstance(c, int) else c for c in ask.columns] or known

    def batches() -> Iterator[Any]:
        for batch in dataset.to_batches(columns=names, batch_size=ask.chunk_rows or FALLBACK_ROWS, batch_readahead=1):
            if len(batch):
                table = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
                yield np.column_stack(table)

    return _Origin(batches, path.name, names=tuple(names))


def _is_table(source: Any) -> bool:
    return isinstance(source, np.ndarray | Tensor) or (hasattr(source, "columns") and hasattr(source, "shape"))


def _from_table(source: Any, ask: _Ask) -> _Origin:
    """Consecutive rows of an array, a memory map, a tensor or a frame."""
    if len(source.shape) != 2:
        raise BadData(
            f"Expected rows of shape (n, d), got an array of shape {tuple(source.shape)}. Try x.reshape(-1, 1)."
        )
    cut = source.iloc if hasattr(source, "iloc") else source
    size = ask.chunk_rows or max(256, CHUNK_BYTES // (8 * max(1, source.shape[1])))
    words = f"{type(source).__name__} of {len(source)} rows"
    return _Origin(lambda: (cut[at : at + size] for at in range(0, len(source), size)), words)


def _is_dataset(source: Any) -> bool:
    return isinstance(source, torch.utils.data.Dataset)


def _from_dataset(source: Any, ask: _Ask) -> _Origin:
    loader = torch.utils.data.DataLoader(source, batch_size=ask.chunk_rows or 4096)
    return _from_loader(loader, ask)._replace(words=type(source).__name__)


def _is_loader(source: Any) -> bool:
    return isinstance(source, torch.utils.data.DataLoader)


def _from_loader(source: Any, _ask: _Ask) -> _Origin:
    return _Origin(lambda: (b[0] if isinstance(b, list | tuple) else b for b in source), "DataLoader")


def _from_function(source: Any, _ask: _Ask) -> _Origin:
    return _Origin(source, f"function {getattr(source, '__name__', type(source).__name__)}")


def _from_iterator(source: Any, _ask: _Ask) -> _Origin:
    return _Origin(lambda: source, f"a {type(source).__name__}", once=True)


def _is_list_of_numbers(source: Any) -> bool:
    """Rows written out, [[1, 2], [3, 4]], rather than a list of chunks."""
    return isinstance(source, list | tuple) and len(source) > 0 and _rank(source[0]) == 1


def _rank(value: Any) -> int:
    if isinstance(value, Chunk):
        return 2
    if hasattr(value, "shape"):
        return len(value.shape)
    return 1 + (_rank(value[0]) if len(value) else 0) if isinstance(value, list | tuple) else 0


def _from_numbers(source: Any, ask: _Ask) -> _Origin:
    return _from_table(np.asarray(source), ask)


def _from_chunks(source: Any, _ask: _Ask) -> _Origin:
    if isinstance(source, Chunk):
        return _Origin(lambda: [source], "a chunk")
    return _Origin(lambda: source, f"{type(source).__name__} of chunks")


_Maker = Callable[[Any, _Ask], _Origin]
_KINDS: list[tuple[Callable[[Any], bool], _Maker]] = [  # the first that fits
    (_is_path, _from_path),
    (_is_table, _from_table),
    (_is_loader, _from_loader),
    (_is_dataset, _from_dataset),
    (_is_list_of_numbers, _from_numbers),
    (lambda source: isinstance(source, Iterator), _from_iterator),
    (lambda source: isinstance(source, Iterable), _from_chunks),
    (callable, _from_function),
]


# -- checks --------------------------------------------------------------------------------------------------------


def _check_numbers(x: Float[Tensor, "m d"], i: int, row: int) -> None:
    if bool(torch.isfinite(torch.linalg.vector_norm(x))):  # finite numbers whose squares are finite too
        return
    limit = torch.finfo(x.dtype).max ** 0.5 / 1e3
    for word, bad in (("NaN", x.isnan()), ("inf", x.isinf()), (f"a number above {limit:.2g}", x.abs() > limit)):
        if bool(bad.any()):
            first, column = bad.nonzero()[0].tolist()
            raise BadData(
                f"Chunk {i} of the stream has {word} in row {row + first}, column {column} (row {first} of the chunk, "
                f"{int(bad.any(1).sum())} such rows in it, all counted from 0); expected finite numbers whose squares "
                "are finite. Drop those rows where the stream is made, or rescale the columns."
            )


def _checked_weight(weight: Any, x: Float[Tensor, "m d"], where: str) -> Float[Tensor, "m"]:
    w = torch.as_tensor(weight).to(x.device, torch.float64)
    if w.shape != (len(x),) or not bool((torch.isfinite(w) & (w >= 0)).all()):
        raise BadData(
            f"{where} has {len(x)} rows and weights of shape {tuple(w.shape)}; expected one number >= 0 each."
        )
    return w


# -- what one pass tells -------------------------------------------------------------------------------------------


class Survey(NamedTuple):
    """What one pass over a stream tells: weight of all rows, mean and variance of the columns, and some of the rows."""

    total: float
    mean: Float[Tensor, "d"]
    variance: Float[Tensor, "d"]
    sample: Float[Tensor, "m d"]


def survey(chunks: Iterable[Chunk], size: int, rng: torch.Generator) -> Survey:
    """Mean, variance (divided by n) and a uniform sample of `size` rows without replacement, in one pass.

    Every row draws an exponential number over its weight, and the smallest `size` stay: a reservoir. See Efraimidis
    and Spirakis (2006).
    """
    keys, kept, moments = torch.empty(0, dtype=torch.float64), torch.empty(0), None
    for x, weight in chunks:
        w = x.new_ones(len(x), dtype=torch.float64) if weight is None else weight
        fresh = torch.rand(len(x), generator=rng, dtype=torch.float64, device=rng.device).to(x.device)
        fresh = -torch.log1p(-fresh) / w
        near = fresh < (keys.max() if len(keys) >= size else torch.inf)
        if moments is None:
            keys, kept, origin = fresh[:0], x[:0], x.double().mean(0)
        keys, kept = torch.cat([keys, fresh[near]]), torch.cat([kept, x[near]])
        if len(keys) > size:
            keys, order = keys.topk(size, largest=False)
            kept = kept[order]
        y = x.double() - origin
        part = Moments(w.sum()[None], (w @ y)[None], (w @ y.square())[None], origin=origin)
        moments = part if moments is None else moments + part
    if moments is None:
        raise BadData("There were no rows to read; expected at least one chunk.")
    variance = (moments.scatter / moments.w[:, None])[0].clamp(min=0)
    return Survey(float(moments.w), moments.mean[0], variance, kept)
