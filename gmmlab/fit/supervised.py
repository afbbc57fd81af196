"""Semi-supervised fits: rows of which somebody has told the label, or that two are alike or unlike.

What is known is an event E about the labels z, and the fit climbs the log-likelihood of rows and event together,

    log p(x, E) = log sum over z in E of prod_i pi_{z_i} p_{z_i}(x_i)

E-step: the posterior of z within E. M-step: as ever. A row with the label c brings log pi_c p_c(x). Rows that must be
alike, a chunklet, share one posterior, that of the product of their densities. Rows that must be unlike are summed over
the labels that they may have together, exactly (`kernels/links.py`). Rows of which nothing is known have the E-step
that they always had. Rows are taken to be drawn one by one and told of afterwards, so that each row of a chunklet
counts in the weights. See Shental, Bar-Hillel, Hertz and Weinshall (2003), whose chunklets are drawn whole, and for
labels Miller and Uyar (1997).

What a row is told by its label and by the rows that it is linked to is a log evidence for `gates.Told`: of a label it
is 0 or -inf, of links a message that turns the row's own outcomes into its share of their posterior.

Where components have classes (`gates/classes.py`), labels and links are about those: alike rows have one class and may
be of different components.

Belonging to no component is no component: unlike rows may both be noise, and alike rows are when all are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.fit.known import Known, Pairs, known
from gmmlab.fit.missing import check_columns, seen
from gmmlab.fit.pieces import Piece, over
from gmmlab.fit.restricted import restricted
from gmmlab.fit.source import total
from gmmlab.gates import Classes, Gate, Posterior, Told
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.kernels.logspace import normalise_
from gmmlab.kernels.patterns import Pattern, patterns
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats


def supervised(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, "_"] | None = None,
    *,
    must: Pairs = (),
    cannot: Pairs = (),
    weight: Float[Tensor, "n"] | None = None,
) -> Supervised:
    """All rows in every step, with what is known of their labels; without any of it, what `whole` gives.

        run(model, supervised(x, labels, must=[(0, 7)], cannot=[(0, 3)]))

    `labels` are the numbers of components, or of classes where components have some, -1 where unknown; links are pairs
    of rows. Rows may have gaps (NaN). A row of weight 2 counts as two rows, which are alike where it is linked. Raises
    `BadData` for labels and links that contradict each other. When statistics are asked for it is raised for labels of
    no component, links that so few components cannot keep, and links in so dense a web that a table of the exact sum
    has more than 4 million numbers.
    """
    return Supervised(x, known(len(x), labels, must, cannot), weight)


class Supervised:
    """A source of statistics that knows something of the labels of rows `x`; it has no memory."""

    def __init__(self, x: Float[Tensor, "n d"], facts: Known, weight: Float[Tensor, "n"] | None = None) -> None:
        check_columns(x)
        told = facts.labels >= 0
        told[facts.rows] = True
        self.x, self.weight, self.facts = x, weight, facts
        self._told, free = (mask.nonzero().flatten().to(x.device) for mask in (told, ~told))
        self._bound = _parts(x[self._told])
        self._counting = self._bound
        if weight is not None:  # rows of weight zero may link others, but say nothing
            parts = [part.where(weight[self._told] > 0) for part in self._bound]
            self._counting = [part for part in parts if len(part.at)]
        nothing_told = len(free) == len(x)
        rows, w = (x, weight) if nothing_told else (x[free], None if weight is None else weight[free])
        self._free = [part.piece(w) for part in _parts(rows)]

    @torch.no_grad()
    def __call__(self, model: Mixture) -> MixtureStats:
        """Statistics of all rows under a model; the evidence is log p(x, E)."""
        parts = [over(self._free)(model)] if self._free else []
        if len(self._told):
            parts += self._stats(model, self._messages(model))
        return total(parts)

    @torch.no_grad()
    def posterior(self, model: Mixture) -> Posterior:
        """Responsibilities of all rows given what is known, and evidence: of linked rows in equal parts.

        Of a model whose components have classes, the probabilities of the classes. Where rows have weights, evidence is
        times weight.
        """
        outcomes = _outcomes(model, _parts(self.x))
        told = self._restricted(model, outcomes[self._told])
        resp, evidence = normalise_(outcomes)
        evidence = evidence if self.weight is None else evidence * self.weight
        resp[self._told], evidence[self._told] = told
        k = choices(model)
        return Posterior(resp[:, :k], evidence, resp[:, k] if resp.shape[1] > k else None)

    def unsure(self, model: Mixture, most: int = 1) -> Int[Tensor, "_"]:
        """Up to so many rows without a label whose responsibilities have the highest entropy, highest first.

        Of rows that must be alike only the first is named, as its label tells of all.
        """
        posterior, facts = self.posterior(model), self.facts
        entropy = torch.special.entr(posterior.resp).sum(1)
        entropy = entropy if posterior.none is None else entropy + torch.special.entr(posterior.none)
        asked = facts.labels < 0
        asked[[row for rows in facts.of for row in rows[1:]]] = False
        rows = asked.nonzero().flatten().to(entropy.device)
        return rows[entropy[rows].sort(descending=True, stable=True).indices[:most]]

    def _restricted(self, model: Mixture, outcomes: Float[Tensor, "m j"]) -> tuple[Tensor, Tensor]:
        """Responsibilities and evidence of the rows of which something is known, from their log joint densities."""
        if self.weight is not None:
            w = self.weight[self._told, None].to(outcomes)
            outcomes = torch.where(w > 0, w * outcomes, 0.0)  # a row of weight zero says nothing, nor does its -inf
        return restricted(outcomes, self.facts, self._told, choices(model))

    def _messages(self, model: Mixture) -> Float[Tensor, "m j"]:
        """What each row of which something is known is told: with it, its own outcomes give what all of them say."""
        outcomes = _outcomes(model, self._bound)
        resp, evidence = self._restricted(model, outcomes)
        if self.weight is not None:
            w = self.weight[self._told].to(evidence)
            evidence = torch.where(w > 0, evidence / w, 0.0)
        message = resp.log() + (evidence[:, None] - outcomes)
        return torch.where(resp > 0, message.nan_to_num(nan=0.0), -torch.inf)  # a label may be of no weight

    def _stats(self, model: Mixture, messages: Float[Tensor, "m j"]) -> Iterator[MixtureStats]:
        """Statistics of the rows of which something is known."""
        weight = None if self.weight is None else self.weight[self._told]
        for part in self._counting:
            for some in part.split(chunk_rows(model.components.width, part.x.element_size(), part.x.device)):
                yield over([some.piece(weight)])(model.replace(gate=_told(model.gate, messages[some.at])))


class _Part(NamedTuple):
    """Rows of which the same columns are there, and where they stand among all of them."""

    x: Float[Tensor, "m c"]
    at: Int[Tensor, "m"]
    pattern: Pattern | None

    def piece(self, weight: Float[Tensor, "n"] | None) -> Piece:
        """The same for a source."""
        return Piece(self.x, None if weight is None else weight[self.at], self.pattern)

    def split(self, size: int) -> Iterator[_Part]:
        """The same in chunks."""
        chunks = zip(self.x.split(size), self.at.split(size), strict=True)
        return (_Part(x, at, self.pattern) for x, at in chunks)

    def where(self, mask: Bool[Tensor, "n"]) -> _Part:
        """The rows for which this is so."""
        return _Part(self.x[mask[self.at]], self.at[mask[self.at]], self.pattern)


def _parts(x: Float[Tensor, "n d"]) -> list[_Part]:
    if len(x) == 0:
        return []
    if not bool(torch.isnan(x).any()):
        return [_Part(x, torch.arange(len(x), device=x.device), None)]
    return [_Part(x[p.rows][:, p.observed], p.rows, p) for p in patterns(x)]


def _outcomes(model: Mixture, parts: list[_Part]) -> Float[Tensor, "n j"]:
    """Log density of each row together with each label that it may have, and with none, in float64."""
    rows = []
    for part in parts:
        visible = seen(model, part.pattern) if part.pattern else model
        rows += [_labels(gate, table).double() for gate, table in visible.gated(part.x)]
    order = torch.cat([part.at for part in parts])
    table = torch.cat(rows)
    return torch.empty_like(table).index_copy_(0, order, table)


# labels are components, or classes where components have some


def choices(model: Mixture) -> int:
    """How many labels there are."""
    return model.gate.c if isinstance(model.gate, Classes) else model.k


def _labels(gate: Gate, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
    return gate.classes(table) if isinstance(gate, Classes) else gate.outcomes(table)


def _told(gate: Gate, messages: Float[Tensor, "n j"]) -> Gate:
    return gate.told(messages) if isinstance(gate, Classes) else Told(gate, messages)
