"""Where statistics come from: a function from a model to the statistics of rows.

Statistics add, so the rows may come in any number of parts. `whole` and `streamed` give the statistics of all rows
under the model. `incremental` gives those of all rows, of which one block is brought up to date in every step.
`in_turn` and `drawn` give those of a batch, for a transform that averages over steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice
from operator import add

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.gates import Tempered
from gmmlab.kernels.chunks import Chunk, check_reread
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, e_step

Source = Callable[[Mixture], MixtureStats]


class Exhausted(Exception):
    """The source has no more rows: the fit ends."""


def whole(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None = None) -> Source:
    """All rows of an array in memory, in every step; a row of weight 2 counts as two rows."""
    return lambda model: e_step(model, x, weight)


def streamed(chunks: Iterable[Chunk]) -> Source:
    """All rows of a stream, in one pass over it per step; equals `whole` to rounding.

    Raises `BadData` for chunks that can be read only once.
    """
    check_reread(chunks, "every step of this fit is a pass over all of them")
    return lambda model: total(e_step(model, *chunk) for chunk in chunks)


def tempered(source: Source, temperature: float) -> Source:
    """A source whose rows are assigned at a temperature: see `gates/tempered.py`. At 1 it is the source itself.

    Raises `ValueError` for a temperature that is not a positive number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature={temperature}; expected a positive number, 1 for EM and more for softer labels.")
    if temperature == 1:
        return source
    return lambda model: source(model.replace(gate=Tempered(model.gate, float(temperature))))


def incremental(blocks: Iterable[Chunk]) -> Source:
    """All rows, of which one block's statistics are made anew in every step; the first step makes those of all.

        T <- T - T_b + T_b(model)

    With the block's new responsibilities and the refit, the free energy sum_b E_q[log p(x, z) - log q(z)] never falls.
    The evidence reported is the sum of what each block had when it was last visited: it lags by up to one round, and
    equals the log-likelihood when the fit stands still. Keeps the statistics of every block. A source of this kind has
    memory and belongs to one fit. See Neal and Hinton (1998).
    """
    check_reread(blocks, "every round of this fit is a pass over all of them")
    return _Incremental(blocks)


class _Incremental:
    def __init__(self, blocks: Iterable[Chunk]) -> None:
        self.blocks, self.parts, self.visits = blocks, list[MixtureStats](), self._forever()

    def __call__(self, model: Mixture) -> MixtureStats:
        if not self.parts:
            self.parts = [e_step(model, *block) for block in self.blocks]
            self.total = total(self.parts)
            return self.total
        b, block = next(self.visits)
        fresh = e_step(model, *block)
        changed, self.parts[b] = fresh - self.parts[b], fresh
        # summed anew once a round, so that rounding does not pile up
        self.total = total(self.parts) if b == 0 else self.total + changed
        return self.total

    def _forever(self) -> Iterator[tuple[int, Chunk]]:
        while True:
            yield from enumerate(self.blocks)


def in_turn(chunks: Iterable[Chunk], passes: int | None = 1) -> Source:
    """One chunk in every step, in order; the fit ends after so many `passes` (None: never).

    A stream that can be read only once gives one pass. A source of this kind has memory and belongs to one fit.
    """
    if passes != 1:
        check_reread(chunks, f"{passes or 'endless'} passes over them were asked for")
    return _from_iterator(chunk for _ in _rounds(passes) for chunk in chunks)


def drawn(
    x: Float[Tensor, "n d"],
    size: int,
    rng: torch.Generator,
    *,
    weight: Float[Tensor, "n"] | None = None,
    passes: int | None = None,
) -> Source:
    """`size` rows in every step, drawn without replacement until all have come; then they are shuffled again.

    The last batch of a pass has what is left. A source of this kind has memory and belongs to one fit.
    """
    if not 1 <= size <= len(x):
        raise ValueError(f"Batches of {size} rows were asked for; expected 1 to {len(x)}, the number of rows.")

    def batches() -> Iterator[Chunk]:
        for _ in _rounds(passes):
            order = torch.randperm(len(x), generator=rng, device=rng.device).to(x.device)
            for index in order.split(size):
                yield Chunk(x[index], None if weight is None else weight[index])

    return _from_iterator(batches())


def _from_iterator(chunks: Iterator[Chunk]) -> Source:
    def source(model: Mixture) -> MixtureStats:
        for chunk in chunks:
            return e_step(model, *chunk)
        raise Exhausted

    return source


def _rounds(passes: int | None) -> Iterator[int]:
    return islice(iter(int, 1), passes)  # iter(int, 1) never ends


def total(parts: Iterable[MixtureStats]) -> MixtureStats:
    """The sum of statistics. Raises `BadData` where there are none."""
    rest = iter(parts)
    first = next(rest, None)
    if first is None:
        raise BadData("There were no rows to read; expected at least one chunk.")
    return reduce(add, rest, first)
