"""Rows in parts: what a part is, how many rows to take at a time, and where their tables lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData

_CACHE = 3 << 20  # bytes of a chunk's tables: a core's share of the last cache, where halving them gains nothing
_DEVICE = 1 << 29  # bytes of them on an accelerator, whose calls must be large
_CPU = torch.device("cpu")


class Chunk(NamedTuple):
    """Some of the rows, and how often each counts (once, when there is no weight)."""

    x: Float[Tensor, "m d"]
    weight: Float[Tensor, "m"] | None = None


def check_reread(chunks: Iterable[Chunk], why: str) -> None:
    """Raises `BadData` for chunks that can be read only once: an iterator, or a stream (`once`) made of one."""
    if isinstance(chunks, Iterator) or getattr(chunks, "once", False):
        raise BadData(
            f"These rows can be read only once ({getattr(chunks, 'source', type(chunks).__name__)}), and {why}. Try a "
            "function that returns a fresh generator, stream(lambda: generator()), or a method of one pass (stepwise)."
        )


def chunk_rows(width: int, itemsize: int, device: torch.device = _CPU) -> int:
    """Rows whose tables, `width` numbers a row, fit the cache of all threads; at least 512, so that calls stay few.

    On an accelerator they fit a share of its memory instead.
    """
    if device.type != _CPU.type:
        return max(512, _DEVICE // (width * itemsize))
    return max(512, min(65536, torch.get_num_threads() * _CACHE // (width * itemsize)))


def evenly(n: int, size: int) -> int:
    """Rows of equal chunks of about `size` rows: a small rest would cost as many calls as a whole chunk."""
    return -(-n // max(1, round(n / size)))


def chunks(x: Float[Tensor, "n d"], width: int) -> Iterator[Float[Tensor, "m d"]]:
    """Views of consecutive rows of `x`, sized by `chunk_rows`."""
    return iter(x.split(chunk_rows(width, x.element_size(), x.device)))


class Buffers:
    """Memory for the tables of one chunk, taken again by the next: to fill fresh pages costs more than to compute.

    What a buffer holds lasts until the same name is taken again. Nothing that outlives its chunk may be a view of one.
    """

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """An uninitialised tensor of this shape, of the dtype and device of `like`."""
        size, held = math.prod(shape), self._held.get(name)
        if held is None or len(held) < size or held.dtype != like.dtype or held.device != like.device:
            held = self._held[name] = like.new_empty(size)
        return held[:size].view(shape)


def out(buffers: Buffers | None, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """The `out=` of a torch call: a buffer, or None (a fresh, differentiable result) where there are none."""
    return None if buffers is None else buffers.take(name, shape, like)
