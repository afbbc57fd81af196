"""Rows out of what people have: frames, arrays, tensors, files, and data sets that ship in installed packages."""

from gmmlab.data.rows import Rows, as_rows, row_weights, warn_of_idle_columns
from gmmlab.data.shaped import shaped_groups
from gmmlab.data.streams import Stream, Survey, stream, survey
from gmmlab.data.tables import faithful, load_table
from gmmlab.kernels.chunks import Chunk

__all__ = [
    "Chunk",
    "Rows",
    "Stream",
    "Survey",
    "as_rows",
    "faithful",
    "load_table",
    "row_weights",
    "shaped_groups",
    "stream",
    "survey",
    "warn_of_idle_columns",
]
