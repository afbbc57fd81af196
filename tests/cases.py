"""The inventory: every law of tests/laws runs over these entries.

A new covariance structure, start or data set gets one entry here and is covered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gmmlab.families import EIGEN, Gaussian, Structure
from gmmlab.gates import Constant
from gmmlab.init import METHODS
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture

STRUCTURES: dict[str, Structure] = {structure.name: structure for structure in EIGEN}
STARTS = METHODS


class Data(NamedTuple):
    """Rows of a certain kind: `make(rng)` gives (n, d)."""

    make: Callable[[torch.Generator], Tensor]
    k: int


def blobs(rng: torch.Generator, n: int = 300, d: int = 3, k: int = 3, spread: float = 4.0) -> Tensor:
    """k Gaussian clouds with random, correlated covariances."""
    centres = spread * torch.randn(k, d, generator=rng, dtype=torch.float64)
    shapes = torch.randn(k, d, d, generator=rng, dtype=torch.float64) / d**0.5 + torch.eye(d, dtype=torch.float64)
    z = torch.arange(n) % k
    noise = torch.randn(n, d, generator=rng, dtype=torch.float64)
    return centres[z] + (shapes[z] @ noise[:, :, None]).squeeze(-1)


DATA: dict[str, Data] = {
    "blobs": Data(blobs, 3),
    "one column": Data(lambda rng: blobs(rng, d=1, k=2), 2),
    "far from zero": Data(lambda rng: blobs(rng) + 1e4, 3),
    "overlapping": Data(lambda rng: blobs(rng, d=2, k=4, spread=0.5), 4),
    "wide": Data(lambda rng: blobs(rng, n=400, d=40, k=2), 2),
    "several chunks": Data(lambda rng: blobs(rng, n=9_000, d=6), 3),
}
HEAVY = ("wide", "several chunks")  # these meet one structure of each kind, the other data meet all
OF_EACH_KIND = ("VII", "VVI", "VEI", "EEE", "VVE", "VEV", "VVV")


def random_mixture(structure: Structure, x: Tensor, k: int, rng: torch.Generator) -> Mixture:
    """A mixture near the data but not fitted to it."""
    d = x.shape[1]
    mean = x[torch.randperm(len(x), generator=rng)[:k]].double()
    a = torch.randn(k, d, d, generator=rng, dtype=torch.float64)
    cov = (a @ a.mT / d + torch.eye(d, dtype=torch.float64)) * x.double().var()
    weights = torch.rand(k, generator=rng, dtype=torch.float64) + 0.1
    return Mixture(Gaussian.of(mean, cov, structure, origin=x.mean(0)), Constant.of(weights))


def project(structure: Structure, w: Tensor, scatter: Tensor) -> Tensor:
    """Covariances of a structure from the scatter matrices (k, d, d) of one mixture, in matrices."""
    cut = scatter if structure.dense else scatter.diagonal(dim1=-2, dim2=-1)
    cov = structure.project(w, cut, cut / w.view(-1, *[1] * (cut.ndim - 1)), Groups((len(w),)))
    return cov if structure.dense else torch.diag_embed(cov)
