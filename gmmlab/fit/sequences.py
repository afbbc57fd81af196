"""Rows that come in sequences: statistics, states and best paths of a mixture whose gate is a Markov chain.

    run(model, sequences(x, lengths), stop=plateau(1e-6))

The rows lie one sequence after the other. Their log densities under the components are made chunk by chunk, then the
gate sees all of them (`gates/markov.py`), then the components take their statistics as ever. So any family can be what
states emit, and all ways of fitting that work on statistics apply. Gaussian states have a compiled pass that does all
three at once (`kernels/compiled_chain.py`). Log-likelihoods are per row, as in all fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import torch

from gmmlab.algebra.conditioning import marginal
from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families import Components, Gaussian
from gmmlab.fit.missing import check_columns, completed
from gmmlab.gates.markov import Assigned, Markov, Smooth
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels import chain
from gmmlab.kernels.chain import Filtered, Paths
from gmmlab.kernels.chunks import Buffers, chunk_rows
from gmmlab.kernels.packing import Packing
from gmmlab.kernels.patterns import Pattern, patterns
from gmmlab.kernels.scan import quickest
from gmmlab.model import Mixture
from gmmlab.stats import Transitions
from gmmlab.steps import MixtureStats


def sequences(
    x: Float[Tensor, "n d"],
    lengths: Sequence[int],
    *,
    told: Float[Tensor, "_ s"] | None = None,
    weight: Float[Tensor, "b"] | None = None,
    smooth: Smooth = quickest,
) -> Sequences:
    """All rows of b sequences in every step; rows may have gaps (NaN), which are integrated out.

    `told` is log evidence about the state of each row, added to its log densities: 0 where nothing is known, -inf for
    states that are ruled out, log plausibilities in between. A sequence of weight 2 counts as two. Raises `BadData`
    for lengths that do not sum to n, and when statistics are asked for of a sequence that the model cannot make.
    """
    return Sequences(x, lengths, told, weight, smooth)


class _Part(NamedTuple):
    """Packed rows that lack the same columns, and where they lie."""

    at: Tensor | slice
    x: Float[Tensor, "m c"]
    pattern: Pattern | None


class Sequences:
    """A source of statistics that knows which rows follow each other.

    It keeps the memory of its tables from step to step: to fill fresh pages took as long as all else.
    """

    def __init__(
        self,
        x: Float[Tensor, "n d"],
        lengths: Sequence[int],
        told: Float[Tensor, "_ s"] | None = None,
        weight: Float[Tensor, "b"] | None = None,
        smooth: Smooth = quickest,
    ) -> None:
        if sum(lengths) != len(x):
            raise BadData(f"The lengths of the sequences sum to {sum(lengths)}; expected {len(x)}, the number of rows.")
        if told is not None and len(told) != len(x):
            raise BadData(
                f"There is evidence about the states of {len(told)} rows; expected one line for each of {len(x)}."
            )
        self.packing = Packing(lengths, x.device)
        if weight is not None and len(weight) != self.packing.columns:
            raise BadData(
                f"There are {len(weight)} weights; expected one for each of {self.packing.columns} sequences."
            )
        rows = self.packing.pack(x)
        self._n, self._told = len(x), None if told is None else self.packing.pack(told)
        self._weight = None if weight is None else weight.to(x)[self.packing.sequence]
        self._smooth, self._parts = smooth, [_Part(slice(0, len(x)), rows, None)]
        self._buffers = Buffers()
        if bool(torch.isnan(rows).any()):
            check_columns(x)
            self._parts = [_Part(p.rows, rows[p.rows][:, p.observed], p if p.missing else None) for p in patterns(rows)]

    @torch.no_grad()
    def __call__(self, model: Mixture) -> MixtureStats:
        """Statistics of all rows; the evidence is log p of all sequences."""
        if (found := self._in_one_pass(model)) is not None:
            return found
        assigned = self._assigned(model, self._buffers)
        resp, evidence, _ = assigned.posterior
        parts = (self._stats(model, part, resp) for part in self._parts)
        components = reduce(add, (part for part in parts if part is not None))
        return MixtureStats(components, assigned.stats, evidence.sum(dtype=torch.float64), self._count)

    @torch.no_grad()
    def posterior(self, model: Mixture) -> Posterior:
        """Responsibilities of components given whole sequences, and evidence given the rows before."""
        resp, evidence, _ = self._assigned(model).posterior
        return Posterior(self.packing.unpack(resp), self.packing.unpack(evidence))

    @torch.no_grad()
    def states(self, model: Mixture) -> Float[Tensor, "n s"]:
        """Probabilities of the states given whole sequences."""
        return self.packing.unpack(self._assigned(model).states)

    @torch.no_grad()
    def filtered(self, model: Mixture) -> Filtered:
        """Probabilities of the states given the rows so far, and evidence given the rows before."""
        found = chain.filtered(_gate(model).chain, self._densities(model), self.packing)
        self._check_possible(found.evidence)
        return Filtered(*(self.packing.unpack(part) for part in found))

    @torch.no_grad()
    def paths(self, model: Mixture) -> Paths:
        """The most probable states of each sequence, and log p(x, path)."""
        found = chain.viterbi(_gate(model).chain, self._densities(model), self.packing)
        return found._replace(states=self.packing.unpack(found.states))

    @property
    def _count(self) -> Float[Tensor, ""]:
        """The number of rows, or the sum of their weights."""
        return torch.tensor(self._n).double() if self._weight is None else self._weight.sum().double()

    def _in_one_pass(self, model: Mixture) -> MixtureStats | None:
        """Statistics of rows of which nothing is told or missing, under states that have a kernel of their own."""
        if self._smooth is not quickest or self._told is not None or self._parts[0].at != slice(0, self._n):
            return None
        match model:
            case Mixture(components=Gaussian() as states, gate=Markov(parts=None) as gate):
                passed = states.one_pass_along(self._parts[0].x, gate.chain, self.packing, self._weight)
                if passed is not None:
                    moments, (_, moves, start, evidence) = passed
                    evidence = evidence if self._weight is None else evidence * self._weight
                    counts = Transitions(moments.w, start, moves)
                    return MixtureStats(moments, counts, evidence.sum(dtype=torch.float64), self._count)
        return None

    def _assigned(self, model: Mixture, buffers: Buffers | None = None) -> Assigned:
        table, options = self._table(model, buffers), {"told": self._told, "weight": self._weight}
        found = _gate(model).along(table, self.packing, **options, smooth=self._smooth, buffers=buffers)
        self._check_possible(found.posterior.evidence)
        return found

    def _densities(self, model: Mixture) -> Float[Tensor, "n s"]:
        """Log densities of packed rows in each state, with what is known of it."""
        states = _gate(model).states(self._table(model))
        return states if self._told is None else states + self._told.to(states)

    def _table(self, model: Mixture, buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log densities of packed rows under each component, in memory where those of a component lie together."""
        buffers = Buffers() if buffers is None else buffers
        table = buffers.take("table", (model.k, self._n), self._parts[0].x).zero_().T
        for part in self._parts:
            if part.x.shape[1] > 0:  # of rows without entries all densities are one
                for at, x, components, buffers in _chunks(model, part):
                    table[at] = components.table(components.features(x, buffers), buffers)
        return table

    def _stats(self, model: Mixture, part: _Part, resp: Float[Tensor, "n k"]) -> Any:
        """Those of the components; None where rows without entries tell them nothing."""
        if part.x.shape[1] == 0:
            return None
        stats = reduce(add, (c.stats(c.features(x, own), resp[at], own) for at, x, c, own in _chunks(model, part)))
        if part.pattern is None:
            return stats
        nothing = torch.zeros(())
        return completed(model, part.pattern, MixtureStats(stats, None, nothing, nothing)).components

    def _check_possible(self, evidence: Float[Tensor, "n"]) -> None:
        """Raises `BadData` where a sequence has density zero, with its place."""
        if bool(torch.isfinite(evidence).all()):
            return
        never = int((~torch.isfinite(evidence)).nonzero()[0])
        sequence = int(self.packing.sequence[never])
        row = int(self.packing.order[never])
        time = row - sum(self.packing.lengths[:sequence])
        raise BadData(
            f"Sequence {sequence} cannot be: at its row {time} (row {row} of all) no state is left that the chain "
            "reaches, that is not ruled out, and that has a density there. Allow more moves, or rule out less."
        )


def _gate(model: Mixture) -> Markov:
    if not isinstance(model.gate, Markov):
        raise TypeError(f"The gate is {type(model.gate).__name__}; expected Markov, as rows come in sequences.")
    return model.gate


def _chunks(model: Mixture, part: _Part) -> Iterator[tuple[Tensor | slice, Tensor, Components, Buffers]]:
    """Places and rows of each chunk of a part, the components of its columns, and memory for their tables."""
    seen = model.components if part.pattern is None else marginal(model, part.pattern.observed).components
    size, buffers = chunk_rows(seen.width, part.x.element_size(), part.x.device), Buffers()
    for begin in range(0, len(part.x), size):
        rows = slice(begin, begin + size)
        yield rows if isinstance(part.at, slice) else part.at[rows], part.x[rows], seen, buffers
