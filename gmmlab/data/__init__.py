"""Rows out of what people have: frames, arrays, tensors, files, and data sets that ship in installed packages."""

from gmmlab.data.rows import Rows, as_rows, warn_of_idle_columns
from gmmlab.data.tables import faithful, load_table

__all__ = ["Rows", "as_rows", "faithful", "load_table", "warn_of_idle_columns"]
