"""The inventory: every law of tests/laws runs over these entries.

A new covariance structure, family, gate, start or data set gets one entry here and is covered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from gmmlab.families import (
    EIGEN,
    Blocks,
    Components,
    Diagonal,
    FactorAnalyzers,
    Full,
    Gaussian,
    LinearGaussian,
    Logits,
    NormalWishart,
    Prior,
    ScaledLinear,
    Spherical,
    Structure,
    Student,
    Tied,
    student,
)
from gmmlab.gates import (
    Classes,
    Constant,
    DirichletWeights,
    Gate,
    Known,
    Learned,
    Markov,
    Noisy,
    Softmax,
    StickWeights,
    Told,
    TopK,
)
from gmmlab.init import METHODS
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats

STRUCTURES: dict[str, Structure] = {structure.name: structure for structure in EIGEN} | {
    "Blocks": Blocks(((0, 2), (1, 3, 5)))
}
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
A_FEW = ("EEI", "VVE", "VVV")  # diagonal and shared, iterated, free


def few_structures(*names: str) -> pytest.MarkDecorator:
    """For laws that hardly know the structure: these meet them in every run, all others among the slow tests."""
    quick = names or A_FEW
    params = [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in STRUCTURES]
    return pytest.mark.parametrize("structure", params, indirect=True)


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


def within(structure: Structure, matrices: Tensor) -> Tensor:
    """What a structure of blocks keeps of matrices; others keep all."""
    return matrices * structure.within(matrices.shape[-1]) if isinstance(structure, Blocks) else matrices


def gaussians(structure: Structure, x: Tensor, k: int, rng: torch.Generator) -> Gaussian:
    """The components of `random_mixture`."""
    return random_mixture(structure, x, k, rng).gaussian


def students(structure: Structure, dof: student.Dof) -> Callable[[Tensor, int, torch.Generator], Student]:
    """Student-t components of a structure, with degrees of freedom between 1 and 9."""
    return lambda x, k, rng: Student(
        gaussians(structure, x, k, rng), 1 + 8 * torch.rand(k, generator=rng, dtype=torch.float64), dof
    )


def with_prior(structure: Structure) -> Callable[[Tensor, int, torch.Generator], Gaussian]:
    """Gaussians with the weak conjugate prior, its mean drawn ten times harder."""
    return lambda x, k, rng: gaussians(structure, x, k, rng).replace(prior=Prior.weak(structure, k, x, kappa=0.1))


def factor_analyzers(structure: Structure, q: int) -> Callable[[Tensor, int, torch.Generator], FactorAnalyzers]:
    """Factor analysers near the data but not fitted to it."""

    def make(x: Tensor, k: int, rng: torch.Generator) -> FactorAnalyzers:
        d, std = x.shape[1], x.double().std()
        mean = x[torch.randperm(len(x), generator=rng)[:k]].double()
        loadings = std * torch.randn(k, d, min(q, d - 1), generator=rng, dtype=torch.float64)
        noise = std**2 * (0.5 + torch.rand(k, d, generator=rng, dtype=torch.float64))
        return FactorAnalyzers.of(mean, loadings, noise, structure, origin=x.mean(0))

    return make


def posteriors(structure: Structure) -> Callable[[Tensor, int, torch.Generator], NormalWishart]:
    """Posteriors of means and precisions after rows of random membership."""

    def make(x: Tensor, k: int, rng: torch.Generator) -> NormalWishart:
        y, d = x.double(), x.shape[1]
        spread = y.var(0) if not structure.dense else torch.cov(y.T).reshape(d, d)
        prior = NormalWishart.of(structure, k, mean=y.mean(0), kappa=0.5, dof=d + 1.5, scale=spread, origin=x.mean(0))
        features, resp = prior.features(x), torch.rand(len(x), k, generator=rng, dtype=torch.float64)
        return prior.refit(prior.stats(features, (resp / resp.sum(1, keepdim=True)).to(x)))

    return make


FAMILIES: dict[str, Callable[[Tensor, int, torch.Generator], Components]] = {
    "gaussian": lambda x, k, rng: gaussians(Full(), x, k, rng),
    "gaussian, prior, full": with_prior(Full()),
    "gaussian, prior, tied": with_prior(Tied()),
    "gaussian, prior, diag": with_prior(Diagonal()),
    "gaussian, prior, spherical": with_prior(Spherical()),
    "student, full": students(Full(), student.Own()),
    "student, tied, common dof": students(Tied(), student.Common()),
    "student, diag": students(Diagonal(), student.Own()),
    "student, spherical, fixed dof": students(Spherical(), student.Fixed()),
    "factor analyzers": factor_analyzers(Diagonal(), 2),
    "principal component analyzers": factor_analyzers(Spherical(), 1),
}

# what is known of components and weights in place of values: expected log densities, which do not integrate to one
POSTERIORS: dict[str, Callable[[Tensor, int, torch.Generator], Components]] = {
    "posterior, full": posteriors(Full()),
    "posterior, tied": posteriors(Tied()),
    "posterior, diag": posteriors(Diagonal()),
    "posterior, spherical": posteriors(Spherical()),
}
EXPECTED: dict[str, Callable[[Tensor, int], Gate]] = {
    "dirichlet": lambda _, k: DirichletWeights.of(torch.arange(1, k + 1) / 2),
    "sticks": lambda _, k: StickWeights.of(k, Known.of(0.7), by_size=True),
    "sticks, learned": lambda _, k: StickWeights.of(k, Learned.of(1.0, 2.0), by_size=True),
    "sticks, discount": lambda _, k: StickWeights.of(k, Known.of(0.7), discount=0.3, by_size=True),
}


def linear_experts(structure: Structure, q: int) -> Callable[[Tensor, int, torch.Generator], LinearGaussian]:
    """Regressions of the last q columns on the others, near the data but not fitted to it."""

    def make(x: Tensor, k: int, rng: torch.Generator) -> LinearGaussian:
        d = x.shape[1]
        gaussian = gaussians(Full(), x, k, rng)
        coef = torch.randn(k, q, d - q, generator=rng, dtype=torch.float64) / d
        level = gaussian.mean[:, d - q :] - (coef @ gaussian.mean[:, : d - q, None])[..., 0]
        columns = {"inputs": range(d - q), "outputs": range(d - q, d)}
        return LinearGaussian.of(
            coef, level, gaussian.cov[:, d - q :, d - q :], x.mean(0), **columns, structure=structure
        )

    return make


def scaled_experts(x: Tensor, k: int, rng: torch.Generator) -> ScaledLinear:
    """Regressions of the last column, whose noise grows with the others."""
    lines = linear_experts(Full(), 1)(x, k, rng)
    assert isinstance(lines, LinearGaussian)
    slopes = 0.3 * torch.randn(k, x.shape[1] - 1, generator=rng, dtype=torch.float64) / x.shape[1]
    return ScaledLinear(lines, torch.cat([lines.cov[:, 0].log(), slopes], 1), x[:, :-1].double().std(0))


def logistic_experts(*, curved: bool) -> Callable[[Tensor, int, torch.Generator], Logits]:
    """Logistic regressions of the last column, taken as three classes, on the others."""

    def make(x: Tensor, k: int, rng: torch.Generator) -> Logits:
        p = x.shape[1] - 1
        w = 0.3 * torch.randn(k, 3, 1 + p, generator=rng, dtype=torch.float64)
        w = w - w.mean(1, keepdim=True)
        return Logits(w, x.mean(0), x[:, :p].double().std(0), tuple(range(p)), p, ridge=0.1, curved=curved)

    return make


# these score some columns of a row given the others, and are no densities of rows
EXPERTS: dict[str, Callable[[Tensor, int, torch.Generator], Components]] = {
    "linear experts": linear_experts(Full(), 1),
    "linear experts of two outputs": linear_experts(Full(), 2),
    "linear experts, tied": linear_experts(Tied(), 2),
    "linear experts, diag": linear_experts(Diagonal(), 2),
    "linear experts with noise of the inputs": scaled_experts,
    "logistic experts": logistic_experts(curved=True),
    "logistic experts without curvature": logistic_experts(curved=False),
}

GATES: dict[str, Callable[[Tensor, int], Gate]] = {
    "constant": lambda _, k: Constant.of(torch.arange(1, k + 1, dtype=torch.float64)),
    "markov": lambda _, k: Markov.of(torch.ones(k), torch.eye(k) + torch.arange(1, k + 1) / k),
    "noisy": lambda x, k: Noisy.around(x, torch.arange(1, k + 1, dtype=torch.float64), 0.2),
}


def classes(gate: Gate, *, latent: bool = False) -> Classes:
    """Three classes in different shares of each component, and half a row of each before any is seen."""
    share = torch.linspace(0.2, 0.7, len(gate.weights), dtype=torch.float64)
    beta = torch.stack([share, 0.9 - share, torch.full_like(share, 0.1)], dim=1)
    return Classes(gate, beta.log(), torch.full((3,), 0.5, dtype=torch.float64), latent=latent)


# these know more of a row than its densities, so that their evidence is of more than the row
TOLD: dict[str, Callable[[Tensor, int], Gate]] = {
    "told": lambda _, k: Told(Constant.of(torch.ones(k)), torch.linspace(-1.0, 0.5, k, dtype=torch.float64)[None]),
    "classes": lambda _, k: classes(Constant.of(torch.ones(k))),
    "latent classes": lambda _, k: classes(Constant.of(torch.ones(k)), latent=True),
}


def softmax(*, ridge: float = 0.0, curved: bool = True) -> Callable[[Tensor, int], Softmax]:
    """A gate that looks at the first column, whose weights differ."""

    def make(x: Tensor, k: int) -> Softmax:
        slopes = torch.linspace(-1, 1, k, dtype=torch.float64)[:, None] / x[:, :1].double().std()
        intercepts = 0.3 * torch.arange(k, dtype=torch.float64) - (slopes * x[:, :1].double().mean(0))[:, 0]
        return Softmax.of(slopes, intercepts, x, [0], ridge=ridge, curved=curved)

    return make


def best_few(top_k: int, *, rank_with_bias: bool) -> Callable[[Tensor, int], TopK]:
    """The same of which only the best few are active."""
    return lambda x, k: TopK.among(softmax()(x, k), min(top_k, k), rank_with_bias=rank_with_bias)


# these look at rows, so that they assign only those that they are bound to
LOOKING: dict[str, Callable[[Tensor, int], Gate]] = {
    "softmax": softmax(),
    "softmax, ridge": softmax(ridge=3.0),
    "softmax without curvature": softmax(curved=False),
    "best two": best_few(2, rank_with_bias=False),
    "best two, ranked with bias": best_few(2, rank_with_bias=True),
}


def close(left: MixtureStats, right: MixtureStats, tol: float) -> None:
    """Statistics are equal to rounding, each sum on the scale of its kind."""
    for name in ("w", "s1", "s2"):
        one, other = getattr(left.components, name), getattr(right.components, name)
        torch.testing.assert_close(one, other, rtol=tol, atol=tol * max(1.0, float(other.abs().amax())))
    torch.testing.assert_close(left.gate.w, right.gate.w, rtol=tol, atol=tol * float(right.n.max()))
    torch.testing.assert_close(left.evidence, right.evidence, rtol=tol, atol=tol)
    torch.testing.assert_close(left.n, right.n)
