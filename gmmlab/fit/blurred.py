"""Rows that are known with errors: the mixture is that of the true values.

A source of statistics like others: refits, priors and structures are what they are. Without errors it is plain EM, and
where entries are missing it is that of `fit/missing.py`. See `families/measured.py`, and Bovy, Hogg and Roweis (2011).
"""

from __future__ import annotations

import torch

from gmmlab.algebra.measured import in_parts
from gmmlab.axes import Float, Tensor
from gmmlab.families.measured import Measured
from gmmlab.fit.source import Source, total
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats


def blurred(rows: Measured, weight: Float[Tensor, "n"] | None = None) -> Source:
    """All rows in every step; one of weight 2 counts as two rows. Components have to be Gaussian."""
    weight = rows.x.new_ones(len(rows.x)) if weight is None else weight.to(rows.x)

    @torch.no_grad()
    def source(model: Mixture) -> MixtureStats:
        parts, at = [], 0
        for part in in_parts(model, rows):
            parts.append(_stats(model, part, weight[at : at + len(part.x)]))
            at += len(part.x)
        return total(parts)

    return source


def _stats(model: Mixture, rows: Measured, weight: Float[Tensor, "n"]) -> MixtureStats:
    posterior = model.gate.weigh(model.gate.posterior(rows.table(model.gaussian)), weight)
    return MixtureStats(
        components=rows.sums(model.gaussian, posterior.resp),
        gate=model.gate.stats(posterior),
        evidence=posterior.evidence.sum(),
        n=weight.sum(),
    )
