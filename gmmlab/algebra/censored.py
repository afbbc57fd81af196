"""Rows with censored entries (`families/censored.py`): scored by what is known of them, and filled in by what follows.

A row is scored by the density of what is seen and the probability of the limits given that. A background is uniform in
its box: it lies between limits by the share of the box that they leave.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from gmmlab.algebra import missing
from gmmlab.axes import Float, Tensor
from gmmlab.families.censored import Censored, Entries, Within
from gmmlab.gates import Constant, Gate, Noisy, Posterior, Told, join
from gmmlab.kernels.chunks import chunk_rows, evenly
from gmmlab.kernels.patterns import Pattern
from gmmlab.model import Mixture


@torch.no_grad()
def posterior(model: Mixture, entries: Entries) -> Posterior:
    """Responsibilities and evidence given what is known; the mixing weights for a row of which nothing is."""
    _check_width(model, entries)
    found = entries.patterns
    parts = [_posterior(model, entries, pattern) for pattern in found]
    return join(parts).take(torch.cat([pattern.rows for pattern in found]).argsort())


@torch.no_grad()
def impute(model: Mixture, entries: Entries) -> Float[Tensor, "n d"]:
    """The rows with each entry that is not seen replaced by its expectation given what is known of the row."""
    filled = missing.impute(model, entries.x)
    for rows, resp, within in _bounded(model, entries):
        each = [missing.impute(_alone(model, k), _put(entries, rows, within.mean[:, k])) for k in range(model.k)]
        filled[rows.pattern.rows] = torch.einsum("mk,mkd->md", resp, torch.stack(each, 1)).to(filled)
    return torch.where(torch.isnan(entries.x), filled, entries.x)


@torch.no_grad()
def sample_censored(model: Mixture, entries: Entries, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """The rows with what is not seen drawn, together, from its distribution given what is known of the row."""
    filled = missing.sample_missing(model, entries.x, rng)
    for rows, resp, _ in _bounded(model, entries):
        z = torch.multinomial(resp.to(rng.device), 1, generator=rng).squeeze(1).to(filled.device)
        for k in z.unique().tolist():
            part, one = rows.part((z == k).nonzero().squeeze(1)), _alone(model, k)
            drawn = _put(entries, part, part.drawn(one.gaussian, rng))
            filled[part.pattern.rows] = missing.sample_missing(one, drawn, rng).to(filled)
    return filled


def in_parts(model: Mixture, rows: Censored) -> Iterator[Censored]:
    """Rows of a pattern, so many at a time as their tables fit the cache."""
    n = len(rows.x)
    size = evenly(n, chunk_rows(rows.width(model.gaussian), 8, rows.x.device))
    return (rows.part(slice(at, at + size)) for at in range(0, n, size))


def assigned(model: Mixture, rows: Censored) -> tuple[Gate, Within]:
    """The gate of rows of a pattern, and what each component says of them."""
    gate = model.gate.marginal(rows.pattern.observed).at(rows.x)
    within = rows.within(model.gaussian)
    if isinstance(model.gate, Noisy):
        gate = Told(gate, torch.cat([torch.zeros_like(within.log_prob), _of_noise(model.gate, rows)[:, None]], dim=1))
    return gate, within


def _of_noise(gate: Noisy, rows: Censored) -> Float[Tensor, "m"]:
    """The log share of the background's box that lies between the limits of each row."""
    at = rows.pattern.bounded
    low, high = gate.low[at], gate.high[at]
    overlap = (torch.minimum(rows.high.double(), high) - torch.maximum(rows.low.double(), low)).clamp(min=0)
    return (overlap / (high - low)).log().sum(1)


def _posterior(model: Mixture, entries: Entries, pattern: Pattern) -> Posterior:
    if not pattern.bounded:
        return missing.posterior(model, entries.x[pattern.rows])
    parts = (assigned(model, part) for part in in_parts(model, entries.of(pattern)))
    return join([gate.posterior(within.log_prob) for gate, within in parts])


def _bounded(model: Mixture, entries: Entries) -> Iterator[tuple[Censored, Float[Tensor, "m k"], Within]]:
    """Rows with bounded entries in parts, their responsibilities if they belong to a component, and what it says."""
    _check_width(model, entries)
    for pattern in entries.patterns:
        for rows in in_parts(model, entries.of(pattern)) if pattern.bounded else ():
            gate, within = assigned(model, rows)
            resp = gate.posterior(within.log_prob).resp
            yield rows, resp / resp.sum(1, keepdim=True), within  # noise expects nothing


def _alone(model: Mixture, k: int) -> Mixture:
    one = torch.tensor([k], device=model.weights.device)
    return Mixture(model.gaussian.take(one), Constant.of(model.weights.new_ones(1)))


def _put(entries: Entries, rows: Censored, values: Float[Tensor, "m c"]) -> Float[Tensor, "m d"]:
    """The rows with these values between their limits."""
    x = entries.x[rows.pattern.rows].double()
    x[:, rows.pattern.bounded] = values
    return x


def _check_width(model: Mixture, entries: Entries) -> None:
    if entries.x.shape[1] != model.d:
        raise ValueError(f"The rows have {entries.x.shape[1]} columns and the mixture {model.d}; expected the same.")
