"""Columns by number or by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gmmlab.widgets.names import refuse_unknown


def column_number(column: int | str, names: Sequence[str]) -> int:
    """The number of a column, given that or its name. Raises `TypeError` or `ValueError` for one that is not there."""
    if isinstance(column, str):
        refuse_unknown([column], names, "The table", "column")
        return list(names).index(column)
    if not -len(names) <= column < len(names):
        raise ValueError(f"There is no column {column}; expected 0 to {len(names) - 1}, or a name.")
    return int(column) % len(names)


def column_pair(dims: Any, names: Sequence[str]) -> list[int]:
    """The numbers of two different columns. Raises as `column_number` does, and `ValueError` for anything else."""
    pair = [column_number(column, names) for column in dims]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(f"dims={dims!r}; expected two different columns.")
    return pair
