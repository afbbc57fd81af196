"""How many rows to take at a time."""

from __future__ import annotations

from collections.abc import Iterator

from gmmlab.axes import Float, Tensor

_CACHE = 1 << 20  # bytes of a chunk's tables that stay in a core's second-level cache


def chunk_rows(width: int, itemsize: int) -> int:
    """Rows whose tables, `width` numbers a row, fit the cache; at least 256, so that calls stay few."""
    return max(256, min(65536, _CACHE // (width * itemsize)))


def chunks(x: Float[Tensor, "n d"], width: int) -> Iterator[Float[Tensor, "m d"]]:
    """Views of consecutive rows of `x`, sized by `chunk_rows`."""
    return iter(x.split(chunk_rows(width, x.element_size())))
