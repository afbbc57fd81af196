"""Rows in pieces, each of which is scored in one way.

All rows of an array are one piece, the rows that lack the same columns are one, and so is a chunk of a stream: what is
made of pieces serves them all. Rows may have several columns of weights, one for each part of them that some of the
stacked mixtures are fitted to: the rows outside a fold, say, or one sample of many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from gmmlab.algebra.conditioning import marginal
from gmmlab.axes import Float, Tensor
from gmmlab.fit.missing import check_columns, pattern_stats
from gmmlab.fit.source import Source, total
from gmmlab.gates import Posterior
from gmmlab.kernels.chunks import Chunk, check_reread, chunk_rows
from gmmlab.kernels.patterns import Pattern, patterns
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, e_step


class Piece(NamedTuple):
    """Rows of some columns, how often they count (or how often for whom, in columns), and which columns these are."""

    x: Float[Tensor, "m c"]
    weight: Float[Tensor, "m ..."] | None = None
    pattern: Pattern | None = None  # None: the columns are all that there are


def complete(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None = None) -> list[Piece]:
    """Rows without gaps: one piece."""
    return [Piece(x, weight)]


def with_gaps(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None = None) -> list[Piece]:
    """A piece for each pattern of missing entries (NaN). Raises `BadData` for a column without entries."""
    check_columns(x)
    return [
        Piece(x[p.rows][:, p.observed], None if weight is None else weight[p.rows], p if p.missing else None)
        for p in patterns(x)
    ]


def chunked(chunks: Iterable[Chunk]) -> Iterable[Piece]:
    """A piece for each chunk, read anew in every pass. Raises `BadData` for chunks that can be read only once."""
    check_reread(chunks, "every step is a pass over all of them")
    return _Chunked(chunks)


class _Chunked:
    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[Piece]:
        return (Piece(*chunk) for chunk in self.chunks)


def over(pieces: Iterable[Piece], which: Sequence[int] | None = None) -> Source:
    """The statistics of all pieces, in every step; mixture j of a stack has the weights of column `which[j]`."""
    index = None if which is None else torch.tensor(which)

    def source(model: Mixture) -> MixtureStats:
        return total(_stats(model, part) for piece in pieces for part in _counting(piece, index, model))

    return source


@torch.no_grad()
def assigned(model: Mixture, pieces: Iterable[Piece]) -> Iterator[tuple[Posterior, Float[Tensor, "m ..."] | None]]:
    """The responsibilities of all rows under a model, a table at a time, and the weights of its rows.

    Rows without any entry are passed over: they say nothing.
    """
    for piece in pieces:
        if piece.pattern is not None and not piece.pattern.observed:
            continue
        seen, at = model if piece.pattern is None else marginal(model, piece.pattern.observed), 0
        for gate, table in seen.gated(piece.x):
            yield gate.posterior_(table), None if piece.weight is None else piece.weight[at : at + len(table)]
            at += len(table)


def _counting(piece: Piece, index: Tensor | None, model: Mixture) -> Iterator[Piece]:
    """A piece with one column of weights for each mixture: in parts, as there may be many mixtures."""
    if index is None or piece.weight is None:
        yield piece
        return
    size = chunk_rows(model.components.width, piece.x.element_size(), piece.x.device)
    for x, weight in zip(piece.x.split(size), piece.weight.split(size), strict=True):
        yield piece._replace(x=x, weight=weight[:, index.to(weight.device)])


def _stats(model: Mixture, piece: Piece) -> MixtureStats:
    if piece.pattern is None:
        return e_step(model, piece.x, piece.weight)
    return pattern_stats(model, piece.pattern, piece.x, piece.weight)
