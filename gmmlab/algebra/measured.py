"""Rows with errors: scored by what is seen of them, and the true values that follow (`families/measured.py`).

E[y | x] = sum_k r_k b_k        Cov[y | x] = sum_k r_k (B_k + (b_k - E)(b_k - E)')
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from gmmlab.algebra.conditioning import Regression
from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families.measured import Measured
from gmmlab.gates import Noisy, Posterior, join
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.model import Mixture


@torch.no_grad()
def posterior(model: Mixture, rows: Measured) -> Posterior:
    """Responsibilities and evidence of rows as they are seen."""
    return join([model.gate.posterior(part.table(model.gaussian)) for part in in_parts(model, rows)])


@torch.no_grad()
def denoised(model: Mixture, rows: Measured) -> Regression:
    """Mean and covariance of the true values of rows; for rows that belong to a component, as noise expects nothing."""
    parts = [_denoised(model, part) for part in in_parts(model, rows)]
    return Regression(*(torch.cat(column) for column in zip(*parts, strict=True)))


@torch.no_grad()
def sample_denoised(model: Mixture, rows: Measured, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """One draw of the true values of each row."""
    return torch.cat([_drawn(model, part, rng) for part in in_parts(model, rows)])


def in_parts(model: Mixture, rows: Measured) -> Iterator[Measured]:
    """The rows, so many at a time as their tables fit the cache.

    Raises `BadData` where the mixture has other columns than the rows are seen through, and for a background whose
    rows are not seen as a whole.
    """
    seen, d = rows.maps.shape[-1], model.d
    if seen != d:
        raise BadData(f"The rows have {seen} columns behind their errors and the mixture has {d}; expected the same.")
    if isinstance(model.gate, Noisy) and len(model.gate.low) != rows.x.shape[1]:
        raise BadData(
            "A background is uniform over rows that are seen as a whole, and these are projected; expected no "
            "projection, or a mixture without noise."
        )
    size = chunk_rows(model.k * rows.width, rows.x.element_size(), rows.x.device)
    return (rows.part(slice(at, at + size)) for at in range(0, len(rows.x), size))


def _denoised(model: Mixture, rows: Measured) -> Regression:
    resp = _alone(model.gate.posterior(rows.table(model.gaussian)).resp)
    mean, cov = rows.expected(model.gaussian)
    middle = torch.einsum("nk,nkd->nd", resp, mean)
    spread = mean - middle[:, None]
    within = torch.einsum("nk,nkde->nde", resp, cov.expand(len(resp), -1, -1, -1))
    return Regression(middle, within + torch.einsum("nk,nkd,nke->nde", resp, spread, spread))


def _drawn(model: Mixture, rows: Measured, rng: torch.Generator) -> Float[Tensor, "n d"]:
    resp = _alone(model.gate.posterior(rows.table(model.gaussian)).resp)
    mean, cov = rows.expected(model.gaussian)
    z = torch.multinomial(resp.to(rng.device), 1, generator=rng).squeeze(1).to(mean.device)
    at = torch.arange(len(z), device=mean.device)
    # an exact row leaves no spread, and so no factor
    spectrum, axes = torch.linalg.eigh(cov.expand(len(z), -1, -1, -1)[at, z])
    noise = torch.randn(len(z), model.d, generator=rng, dtype=torch.float64, device=rng.device).to(mean)
    return mean[at, z] + (axes @ (spectrum.clamp(min=0).sqrt() * noise)[:, :, None]).squeeze(-1)


def _alone(resp: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    return resp / resp.sum(1, keepdim=True)
