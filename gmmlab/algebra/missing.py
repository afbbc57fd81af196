"""Rows with missing entries (NaN): scored by what is there, filled in by what follows from it.

A row is scored by the marginal density of the columns it has. Rows that miss the same columns are taken together, so
that the cost is that of complete rows and one factorisation for each pattern. This is right when the chance that an
entry is missing depends on observed entries alone (Little and Rubin 2002, section 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from gmmlab.algebra.conditioning import marginal
from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.conditioning import Conditional, conditional
from gmmlab.gates import Gate, Posterior, join
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.kernels.patterns import Pattern, patterns
from gmmlab.model import Mixture


def log_prob(mixture: Mixture, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """Log density of the observed entries of each row; 0 for a row that has none, and `Mixture.log_prob` for one that
    has all.
    """
    _check_width(mixture, x)
    out = x.new_empty(len(x), dtype=torch.promote_types(x.dtype, mixture.located.origin.dtype))
    for pattern in patterns(x):
        gate, table = _gated(mixture, x, pattern)
        out[pattern.rows] = gate.log_prob(table).to(out)
    return out


@torch.no_grad()
def posterior(mixture: Mixture, x: Float[Tensor, "n d"]) -> Posterior:
    """Responsibilities and evidence given the observed entries; the mixing weights for a row that has none."""
    _check_width(mixture, x)
    found = patterns(x)
    parts = [_gated(mixture, x, pattern) for pattern in found]
    return join([gate.posterior(table) for gate, table in parts]).take(torch.cat([p.rows for p in found]).argsort())


@torch.no_grad()
def assign(mixture: Mixture, x: Float[Tensor, "n d"]) -> tuple[Int[Tensor, "n"], Float[Tensor, ""]]:
    """Most probable component of each row given its observed entries (-1 for noise), and the mean log-likelihood.

    Rows without a gap are what `Mixture.assign` makes of them, whatever the family.
    """
    if not bool(torch.isnan(x).any()):
        return mixture.assign(x)
    _check_width(mixture, x)
    labels, total = torch.empty(len(x), dtype=torch.int64, device=x.device), x.new_zeros((), dtype=torch.float64)
    for pattern in patterns(x):
        gate, table = _gated(mixture, x, pattern)
        labels[pattern.rows] = gate.assign(table)
        total += gate.log_prob(table).sum(dtype=torch.float64)
    return labels, total / len(x)


@torch.no_grad()
def impute(mixture: Mixture, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The rows with each missing entry replaced by its expectation given the observed ones, sum_k r_ik xhat_ik.

    Expectations have less spread than data: for variances, or plots that should look like data, use `sample_missing`.
    """
    filled = x.clone()
    for gap in _gaps(mixture, x):
        filled[gap.where] = torch.einsum("nk,nkt->nt", gap.resp, gap.part.mean)
    return filled


@torch.no_grad()
def sample_missing(mixture: Mixture, x: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
    """The rows with their missing entries drawn, together, from their distribution given the observed ones."""
    filled = x.clone()
    for gap in _gaps(mixture, x):
        z = torch.multinomial(gap.resp.double().to(rng.device), 1, generator=rng).squeeze(1).to(x.device)
        mean, chol = gap.part.mean[torch.arange(len(z), device=x.device), z], gap.part.chol[z]
        noise = torch.randn(mean.shape, generator=rng, dtype=torch.float64, device=rng.device).to(chol)
        step = chol * noise if chol.ndim == 2 else (chol @ noise[:, :, None]).squeeze(-1)
        filled[gap.where] = mean + step.to(mean)
    return filled


class _Gap(NamedTuple):
    """A block of missing entries, and what the observed ones say about them."""

    where: tuple[Tensor, Tensor]  # rows as a column, columns as a row
    resp: Float[Tensor, "n k"]
    part: Conditional


def _gaps(mixture: Mixture, x: Float[Tensor, "n d"]) -> Iterator[_Gap]:
    _check_width(mixture, x)
    size = chunk_rows(mixture.k * (mixture.d + 1) ** 2, x.element_size(), x.device)
    for pattern in patterns(x):
        columns = torch.tensor(pattern.missing, device=x.device)
        for rows in pattern.rows.split(size) if pattern.missing else ():
            part = conditional(mixture.gaussian, pattern.observed, x[rows][:, pattern.observed])
            resp = mixture.gate.marginal(pattern.observed).posterior(part.log_prob).resp
            yield _Gap((rows[:, None], columns), resp / resp.sum(1, keepdim=True), part)  # noise expects nothing


def _gated(mixture: Mixture, x: Float[Tensor, "n d"], pattern: Pattern) -> tuple[Gate, Float[Tensor, "m k"]]:
    """The gate of the rows of a pattern, and log densities (n, k) of their observed entries."""
    rows = x[pattern.rows][:, pattern.observed]
    gate = mixture.gate.marginal(pattern.observed).at(rows)
    if not pattern.observed:
        return gate, x.new_zeros(len(rows), mixture.k)
    part = marginal(mixture, pattern.observed) if pattern.missing else mixture
    return gate, torch.cat(list(part.tables(rows)))


def _check_width(mixture: Mixture, x: Float[Tensor, "n d"]) -> None:
    if x.shape[1] != mixture.d:
        raise ValueError(f"The rows have {x.shape[1]} columns; expected {mixture.d}, NaN where a value is missing.")
