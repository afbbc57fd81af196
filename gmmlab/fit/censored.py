"""Rows with censored entries: EM by what each component expects of what lies between limits.

A source of statistics like others: refits, priors, structures and transforms are what they are. Rows whose missing
entries have no limits are those of `fit/missing.py`, to the last digit; so are complete ones.
"""

from __future__ import annotations

import torch

from gmmlab.algebra.censored import assigned, in_parts
from gmmlab.axes import Float, Tensor
from gmmlab.families.censored import Censored, Entries
from gmmlab.fit.missing import pattern_stats
from gmmlab.fit.source import Source, total
from gmmlab.kernels.patterns import Pattern
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats


def censored(entries: Entries, weight: Float[Tensor, "n"] | None = None) -> Source:
    """All rows in every step; one of weight 2 counts as two rows. Components have to be Gaussian.

    The likelihood never falls where integrals are exact: one bounded entry a row, or covariances along the axes.
    Elsewhere it may, by their error.
    """
    parts = [
        (pattern, entries.of(pattern), None if weight is None else weight[pattern.rows]) for pattern in entries.patterns
    ]
    return lambda model: total(stats for part in parts for stats in _pattern_stats(model, *part))


def _pattern_stats(
    model: Mixture, pattern: Pattern, rows: Censored, weight: Float[Tensor, "m"] | None
) -> list[MixtureStats]:
    if not pattern.bounded:
        return [pattern_stats(model, pattern, rows.x, weight)]
    parts = list(in_parts(model, rows))
    weights = [None] * len(parts) if weight is None else weight.split(len(parts[0].x))
    return [_stats(model, *part) for part in zip(parts, weights, strict=True)]


@torch.no_grad()
def _stats(model: Mixture, rows: Censored, weight: Float[Tensor, "m"] | None) -> MixtureStats:
    gate, within = assigned(model, rows)
    posterior = gate.posterior(within.log_prob)
    n = posterior.evidence.new_tensor(float(len(rows.x))) if weight is None else weight.sum(dtype=torch.float64)
    if weight is not None:
        posterior = gate.weigh(posterior, weight.to(posterior.evidence))
    return MixtureStats(
        components=rows.sums(model.gaussian, within, posterior.resp),
        gate=gate.stats(posterior),
        evidence=posterior.evidence.sum(dtype=torch.float64),
        n=n,
    )
