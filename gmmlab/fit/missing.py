"""Rows with missing entries (NaN): exact EM, one pattern of missing columns at a time.

Nothing is imputed during a fit: what is missing enters by its expectation and its covariance under every component
(`families/missing.py`). Scores and completed rows are in `algebra/missing.py`.
"""

from __future__ import annotations

from functools import reduce
from operator import add

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families import conditioning
from gmmlab.families.missing import completion
from gmmlab.fit.source import Source
from gmmlab.kernels.patterns import Pattern, patterns
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, e_step


def observed(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None = None) -> Source:
    """All rows of an array with missing entries, in every step; a row of weight 2 counts as two rows.

    Rows with nothing observed keep the weights of the mixture where they are, and tell the components nothing; their
    evidence is zero. Raises `BadData` for a column without entries.
    """
    check_columns(x)
    parts = [(p, x[p.rows][:, p.observed], None if weight is None else weight[p.rows]) for p in patterns(x)]
    return lambda model: reduce(add, (pattern_stats(model, *part) for part in parts))


def nothing_observed(x: Float[Tensor, "n d"]) -> Bool[Tensor, "n"]:
    """Which rows have no entry at all."""
    return torch.isnan(x).all(1)


def start_rows(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The rows with their columns' means in place of missing entries: good enough to start from, and nothing else."""
    check_columns(x)
    return torch.where(torch.isnan(x), x.nanmean(0), x)


def check_columns(x: Float[Tensor, "n d"]) -> None:
    """Raises `BadData` where a column has no entry: nothing can be learnt of it."""
    if empty := torch.isnan(x).all(0).nonzero().flatten().tolist():
        raise BadData(
            f"Column {empty[0]} has no entry in any of the {len(x)} rows ({len(empty)} such of {x.shape[1]}); expected "
            "at least one. Leave it out."
        )


def pattern_stats(
    model: Mixture, pattern: Pattern, rows: Float[Tensor, "m c"], weight: Float[Tensor, "m ..."] | None
) -> MixtureStats:
    """Statistics of rows that lack the same columns; `rows` has the others."""
    if not pattern.missing:
        return e_step(model, rows, weight)
    return completed(model, pattern, e_step(seen(model, pattern), rows, weight))


def seen(model: Mixture, pattern: Pattern) -> Mixture:
    """The mixture of the columns that are there; without any, every density is one."""
    if not pattern.missing:
        return model
    return Mixture(conditioning.marginal(model.gaussian, pattern.observed), model.gate.marginal(pattern.observed))


def completed(model: Mixture, pattern: Pattern, stats: MixtureStats) -> MixtureStats:
    """Statistics of all columns from those of the columns that are there."""
    if not pattern.missing:
        return stats
    full = completion(model.gaussian, pattern.observed).push(stats.components, model.gaussian.origin)
    return stats.replace(components=full if pattern.observed else 0.0 * full)
