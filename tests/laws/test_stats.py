"""Statistics form a vector space, whatever their origins, and the parts of a data set add to the whole."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from gmmlab.fit import whole
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.stats import Moments
from gmmlab.steps import MixtureStats, e_step


def same(a: MixtureStats, b: MixtureStats, tol: float) -> None:
    b = b.replace(components=b.components.about(a.components.origin))
    for left, right in zip(pytree.tree_leaves(a), pytree.tree_leaves(b), strict=True):
        torch.testing.assert_close(left, right, rtol=tol, atol=tol * float(left.abs().max().clamp(min=1)))


@pytest.fixture
def parts(mixture: Mixture, x: Tensor) -> tuple[MixtureStats, MixtureStats, MixtureStats]:
    third = len(x) // 3
    return e_step(mixture, x[:third]), e_step(mixture, x[third : 2 * third]), e_step(mixture, x[2 * third :])


def test_addition_is_commutative_and_associative(parts, tol):
    a, b, c = parts
    same(a + b, b + a, tol)
    same((a + b) + c, a + (b + c), tol)


def test_difference_and_scaling(parts, tol):
    a, b, _ = parts
    same((a + b) - b, a, 10 * tol)
    same(2.0 * (a + b), a * 2.0 + b * 2.0, tol)
    assert float((a - a).components.s2.abs().max()) == 0


def test_halves_add_to_the_whole(mixture, x, parts, tol):
    a, b, c = parts
    same(a + b + c, whole(x)(mixture), tol)


def test_weights_are_replication(mixture, x, rng, tol):
    """A row of weight 2 is two rows; a row of weight 0 is none; weights need not be whole."""
    times = torch.randint(0, 4, (len(x),), generator=rng).to(x.device)
    same(e_step(mixture, x, times.to(x)), e_step(mixture, x.repeat_interleave(times, 0)), tol)
    same(e_step(mixture, x, torch.full_like(x[:, 0], 0.25)), 0.25 * e_step(mixture, x), tol)


def test_order_of_rows_does_not_matter(mixture, x, rng, tol):
    shuffled = x[torch.randperm(len(x), generator=rng).to(x.device)]
    same(e_step(mixture, x), e_step(mixture, shuffled), tol)


def test_change_of_origin_is_exact_and_reconciled_by_addition(mixture, x, parts, tol):
    a, b, _ = parts
    elsewhere = a.components.origin.double() + x.double().std(0)
    moved = b.replace(components=b.components.about(elsewhere))
    same(moved.replace(components=moved.components.about(b.components.origin)), b, tol)
    # nested in a record, addition must still recurse through the rule of Moments
    same(a + moved, a + b, tol)
    torch.testing.assert_close(moved.components.mean, b.components.mean, rtol=tol, atol=tol)


def test_moments_equal_plain_sums(mixture, x):
    resp = mixture.posterior(x).resp.double()
    stats = e_step(mixture, x).components
    y = x.double()
    torch.testing.assert_close(stats.w, resp.sum(0), rtol=1e-5, atol=1e-6)
    mean = (resp.T @ y) / resp.sum(0)[:, None]
    torch.testing.assert_close(stats.mean, mean, rtol=1e-5, atol=1e-5)
    scatter = torch.einsum("nk,nkd,nke->kde", resp, y[:, None] - mean, y[:, None] - mean)
    expected = scatter if stats.s2.ndim == 3 else scatter.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(stats.scatter, expected, rtol=1e-4, atol=1e-6 * float(scatter.abs().max()))


def test_take_and_cat_are_inverse(mixture):
    k = torch.arange(mixture.k, device=mixture.weights.device)
    again = cat([mixture.components.take(k[:1]), mixture.components.take(k[1:])])
    for field in ("mean", "chol", "jitter"):
        assert torch.equal(getattr(again, field), getattr(mixture.components, field))
    assert again.structure == mixture.components.structure


def test_components_about_different_origins_are_not_joined(mixture, x):
    stats = e_step(mixture, x).components
    with pytest.raises(ValueError, match="differ in 'origin'"):
        cat([stats, stats.about(stats.origin.double() + 1)])


def test_records_are_frozen_and_keep_static_fields_under_vmap(mixture):
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixture.components.mean = None
    ridged = mixture.components.replace(ridge=0.5)
    batch = pytree.tree_map(lambda t: torch.stack([t, t]), ridged)
    assert batch.ridge == 0.5
    doubled = torch.vmap(lambda g: g.map(lambda t: 2 * t))(batch)
    assert doubled.ridge == 0.5 and doubled.structure == ridged.structure
    assert torch.equal(doubled.mean[0], 2 * ridged.mean)


def test_addition_reconciles_origins_in_float32():
    """Raw second moments of a unit cloud at offset 1e4 lose all digits in float32; those about an origin do not."""
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(20_000, 2, generator=rng) + 1e4
    one = torch.ones(1, dtype=torch.float64)

    def moments(rows: Tensor) -> Moments:
        origin = rows[0]
        y = rows - origin
        sums = y.sum(0, dtype=torch.float64)[None], (y.T @ y).double()[None]
        return Moments(one * len(rows), *sums, origin=origin)

    total = moments(x[:7000]) + moments(x[7000:])
    cov = (total.scatter / total.w[:, None, None])[0]
    torch.testing.assert_close(cov, torch.cov(x.double().T, correction=0), rtol=1e-4, atol=1e-4)
