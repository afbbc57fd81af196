"""Laws of covariance structures: each finds the best of its family, and mixtures that are stacked do not meet."""

from __future__ import annotations

from itertools import product

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.families import EIGEN, Blocks, Structure
from gmmlab.families.structures import Eigen, Tie
from gmmlab.kernels.groups import Groups

ITERATED = {"VEI", "VEE", "VEV", "VVE", "EVE"}  # their rounds end at gradients of about 1e-4 per row


def statistics(rng: torch.Generator, k: int = 4, d: int = 4) -> tuple[Tensor, Tensor]:
    """Weights and scatter matrices of k clouds, alike enough for shared parts to make sense."""
    w = 10 + 40 * torch.rand(k, generator=rng, dtype=torch.float64)
    common = torch.randn(d, d, generator=rng, dtype=torch.float64)
    own = common + 0.3 * torch.randn(k, d, d, generator=rng, dtype=torch.float64)
    return w, w[:, None, None] * (own @ own.mT + 0.1 * torch.eye(d, dtype=torch.float64))


def cut(structure: Structure, matrices: Tensor) -> Tensor:
    return matrices if structure.dense else matrices.diagonal(dim1=-2, dim2=-1)


def full(cov: Tensor) -> Tensor:
    return cov if cov.ndim == 3 else torch.diag_embed(cov)


def fit(structure: Structure, w: Tensor, scatter: Tensor, groups: Groups | None = None) -> Tensor:
    """Covariances from a cold start, iterated as the steps of a fit would."""
    groups = groups or Groups((len(w),))
    cov = cut(structure, torch.eye(scatter.shape[1], dtype=w.dtype).expand_as(scatter))
    for _ in range(3):
        cov = structure.project(w, cut(structure, scatter), cov, groups)
    return cov


def q(w: Tensor, scatter: Tensor, cov: Tensor) -> Tensor:
    """The expected log-likelihood of the covariances, up to a constant."""
    cov = full(cov)
    fitted = torch.linalg.solve(cov, scatter).diagonal(dim1=1, dim2=2).sum(1)
    return -0.5 * (w * torch.logdet(cov) + fitted).sum()


def neighbour(structure: Eigen, cov: Tensor, volume: Tensor, shape: Tensor, turn: Tensor) -> Tensor:
    """The member of the family that lies at these coordinates (k,), (k, d) and (k, d, d) from `cov`; 0 is `cov`."""

    def tied(tie: Tie, values: Tensor) -> Tensor:
        return {Tie.E: values[:1].expand_as(values), Tie.V: values, Tie.I: torch.zeros_like(values)}[tie]

    spectrum, axes = torch.linalg.eigh(full(cov))
    shape = tied(structure.shape, shape - shape.mean(1, keepdim=True))
    spectrum = spectrum * torch.exp(tied(structure.volume, volume)[:, None] + shape)
    axes = torch.matrix_exp(tied(structure.orientation, turn - turn.mT)) @ axes
    return cases.within(structure, (axes * spectrum[:, None]) @ axes.mT)


def test_update_beats_its_neighbours(structure, rng):
    w, scatter = statistics(rng)
    best = fit(structure, w, scatter)
    top = float(q(w, scatter, best))
    for size in (0.01, 0.1):
        for _ in range(25):
            step = [size * torch.randn(shape, generator=rng, dtype=w.dtype) for shape in ((4,), (4, 4), (4, 4, 4))]
            assert float(q(w, scatter, neighbour(structure, best, *step))) < top


def test_gradient_is_zero_in_the_coordinates_of_the_family(structure, rng):
    w, scatter = statistics(rng)
    best = fit(structure, w, scatter)
    origin = [torch.zeros(shape, dtype=w.dtype, requires_grad=True) for shape in ((4,), (4, 4), (4, 4, 4))]
    gradients = torch.autograd.grad(
        q(w, scatter, neighbour(structure, best, *origin)) / w.sum(), origin, materialize_grads=True
    )
    assert max(float(g.abs().max()) for g in gradients) < (2e-4 if structure.name in ITERATED else 1e-12)


def test_families_are_nested(rng):
    """What is tied fits no better than what is free."""
    w, scatter = statistics(rng)
    freedom = {Tie.I: 0, Tie.E: 1, Tie.V: 2}
    letters = {s.name: [freedom[tie] for tie in (s.volume, s.shape, s.orientation)] for s in EIGEN}
    top = {s.name: float(q(w, scatter, fit(s, w, scatter))) for s in EIGEN}
    for small, large in product(EIGEN, EIGEN):
        if small != large and all(a <= b for a, b in zip(letters[small.name], letters[large.name], strict=True)):
            assert top[small.name] <= top[large.name] + 1e-6, f"{small.name} fits better than {large.name}"
            assert small.n_parameters(4, 4) < large.n_parameters(4, 4)


def test_one_component_leaves_three_kinds(structure, rng):
    w, scatter = statistics(rng, k=1)
    cov = full(fit(structure, w, scatter)) * w[0]
    variance = scatter.diagonal(dim1=1, dim2=2)
    axis_aligned = torch.diag_embed(variance.mean(1, keepdim=True).expand(1, 4) if structure.spherical else variance)
    torch.testing.assert_close(cov, cases.within(structure, scatter) if structure.dense else axis_aligned)


def test_one_column_knows_equal_and_variable(structure, rng):
    w, scatter = statistics(rng, d=1)
    variance = scatter[:, 0, 0] / w if structure.volume is Tie.V else (scatter.sum() / w.sum()).expand(4)
    torch.testing.assert_close(full(fit(structure, w, scatter))[:, 0, 0], variance)
    assert structure.n_parameters(4, 1) == (4 if structure.volume is Tie.V else 1)


def test_scale_carries_over(structure, rng):
    w, scatter = statistics(rng)
    torch.testing.assert_close(fit(structure, w, 1e8 * scatter), 1e8 * fit(structure, w, scatter), rtol=1e-4, atol=1e4)


def test_members_are_kept(structure, rng):
    w, scatter = statistics(rng)
    cov = fit(structure, w, scatter)
    own = structure.project(w, cov * w.view(-1, *[1] * (cov.ndim - 1)), cov, Groups((4,)))
    torch.testing.assert_close(own, cov, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_update_never_falls_below_old(structure, seed):
    """Even where the scatter of the components has nothing in common, and the iterations are cut short."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, 5, 9, 5, generator=rng, dtype=torch.float64) * torch.linspace(0.5, 4, 5)
    old = fit(structure, torch.ones(5, dtype=torch.float64), noise[0].mT @ noise[0])
    w, scatter = statistics(rng, 5, 5)[0], noise[1].mT @ noise[1]
    new = structure.project(w, cut(structure, scatter), old, Groups((5,)))
    assert float(q(w, scatter, new)) >= float(q(w, scatter, old)) - 1e-9


@pytest.mark.parametrize("sizes", [(1, 3, 2), (3, 3), (4,)])
def test_stacked_mixtures_are_fitted_as_if_alone(structure, sizes, rng):
    parts = [statistics(rng, k) for k in sizes]
    w, scatter = (torch.cat(part) for part in zip(*parts, strict=True))
    alone = torch.cat([fit(structure, *part) for part in parts])
    torch.testing.assert_close(fit(structure, w, scatter, Groups(sizes)), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["flat", "point", "not finite"])
def test_a_mixture_that_fails_leaves_the_others_alone(structure, kind, rng):
    w, scatter = (torch.cat([part, part, part]) for part in statistics(rng, 3))
    groups = Groups((3, 3, 3))
    sound = fit(structure, w, scatter, groups)
    direction = torch.ones(4, 4, dtype=w.dtype)
    scatter[4] = {"flat": direction, "point": 0 * direction, "not finite": torch.nan * direction}[kind]
    broken = fit(structure, w, scatter, groups)
    others = [0, 1, 2, 6, 7, 8]
    torch.testing.assert_close(broken[others], sound[others], rtol=1e-12, atol=1e-12)
    if kind == "not finite":
        assert not bool(torch.isfinite(broken[4]).all())


def test_a_component_without_rows_does_not_matter_to_the_others(structure, rng):
    w, scatter = statistics(rng)
    w[2], scatter[2] = 0, 0
    rest = [0, 1, 3]
    torch.testing.assert_close(
        fit(structure, w, scatter)[rest], fit(structure, w[rest], scatter[rest]), rtol=1e-3, atol=1e-3
    )
    assert bool((torch.linalg.eigvalsh(full(fit(structure, w, scatter))) > 0).all())


def test_names_are_their_letters():
    assert len(EIGEN) == 14
    assert all(type(structure).__name__ == structure.name for structure in EIGEN)


def test_blocks_are_mixtures_of_their_own_columns(rng):
    """The best covariance of each block is the one it has alone, and so many parameters are free."""
    w, scatter = statistics(rng)
    blocks = Blocks([[3, 1]])
    cov = fit(blocks, w, scatter)
    for columns in ([1, 3], [0], [2]):
        own = scatter[:, columns][:, :, columns]
        torch.testing.assert_close(cov[:, columns][:, :, columns], fit(cases.STRUCTURES["VVV"], w, own))
    assert float(cov[:, [0, 0, 0, 1, 1, 2], [1, 2, 3, 0, 2, 3]].abs().max()) == 0
    assert blocks.n_parameters(2, 4) == 2 * (3 + 1 + 1)
    assert Blocks([[1, 3], []]) == blocks == Blocks(((3, 1),)) and hash(blocks) == hash(Blocks(((1, 3),)))
    assert Blocks([range(4)]).n_parameters(3, 4) == cases.STRUCTURES["VVV"].n_parameters(3, 4)
    assert Blocks().n_parameters(3, 4) == cases.STRUCTURES["VVI"].n_parameters(3, 4)
    for wrong in ([[0, 1], [1, 2]], [[0, 0]], [[-1]]):
        with pytest.raises(ValueError, match="each in one block at most"):
            Blocks(wrong)
