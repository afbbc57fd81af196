"""Kernel densities: shifts never fall, their limits are modes, and projections find about as high ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import blobs
from scipy.stats import gaussian_kde
from sklearn.cluster import MeanShift as Peer
from sklearn.datasets import load_digits

from gmmlab.algebra import (
    KernelDensity,
    as_mixture,
    find_modes,
    kernel_modes,
    mode_tree,
    projected_modes,
    shifts,
)
from gmmlab.errors import NumericalWarning
from gmmlab.kernels.profiles import Cauchy, Epanechnikov, Generalised, Logistic, Normal, Secant

PROFILES = [Normal(), Generalised(0.6), Logistic(), Secant(), Cauchy(), Epanechnikov()]
each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: type(profile).__name__)
smooth = pytest.mark.parametrize("profile", PROFILES[:-1], ids=lambda profile: type(profile).__name__)


def rows(n: int = 150, d: int = 2, k: int = 3, spread: float = 4.0) -> torch.Tensor:
    return blobs(torch.Generator().manual_seed(3), n=n, d=d, k=k, spread=spread)


@each_profile
def test_profiles_fall_and_are_convex(profile):
    t = torch.linspace(0, 30, 3001, dtype=torch.float64)[None]
    height = profile.log_height(t).exp()[0]
    assert float(height[0]) == 1
    assert (height.diff() <= 0).all()
    assert (height.diff().diff() >= -1e-15).all()


@smooth
def test_weights_are_slopes(profile):
    t = torch.linspace(0.01, 40, 500, dtype=torch.float64)[None].requires_grad_()
    (slope,) = torch.autograd.grad(profile.log_height(t).exp().sum(), t)
    ratio = (-slope).log() - profile.log_weight(t.detach())
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=0, atol=1e-9)


@smooth
def test_far_rows_do_not_overflow(profile):
    far = torch.tensor([[0.0, 1e-300, 1e8]]).double()
    assert profile.log_height(far).isfinite().all()
    assert profile.log_weight(far).isfinite().all()


@each_profile
def test_shifts_never_fall(profile):
    density = KernelDensity(rows(), 1.0, profile)
    climbs = list(shifts(density, density.rows))
    heights = torch.stack([density.log_height(climb.points) for climb in climbs])
    assert float(heights.diff(dim=0).min()) >= -1e-12
    torch.testing.assert_close(climbs[-1].heights, heights[-1])
    assert float(climbs[-1].gradients.max()) <= 1e-8


@smooth
def test_limits_are_modes(profile):
    density = KernelDensity(rows(), 1.2, profile)
    found = kernel_modes(density)

    def at(x):
        return profile.log_height(((x - density.rows) / 1.2).square().sum(1)[None]).logsumexp(1)[0]

    for point in found.points:
        gradient = torch.func.grad(at)(point)
        hessian = torch.autograd.functional.hessian(at, point)
        assert float(gradient.norm()) < 1e-6
        assert float(torch.linalg.eigvalsh(hessian).max()) < 0
    assert (found.heights.diff() <= 0).all()
    assert found.basins.unique().tolist() == list(range(len(found.points)))


def test_the_normal_density_is_scipys_and_a_mixture():
    x, grid = rows(40, d=1), rows(20, d=1) + 0.3
    density = KernelDensity(x, 0.7)
    peer = gaussian_kde(x[:, 0].numpy(), bw_method=0.7 / float(x.std()))
    model = as_mixture(density).log_prob(grid)
    torch.testing.assert_close(model, torch.from_numpy(peer.logpdf(grid[:, 0].numpy())))
    torch.testing.assert_close(density.log_height(grid) - math.log((2 * math.pi) ** 0.5 * 0.7), model)


def test_newton_on_the_mixture_agrees_with_shifts():
    density = KernelDensity(rows(60), 0.8)
    shifted, newton = kernel_modes(density), find_modes(as_mixture(density), starts=density.rows)
    torch.testing.assert_close(shifted.points, newton.points, rtol=0, atol=1e-6)
    assert shifted.basins.tolist() == newton.basins.tolist()


def test_a_flat_shift_is_scikit_learns():
    x = rows(150, spread=20.0)
    density = KernelDensity(x, 6.0, Epanechnikov())
    ours = kernel_modes(density, radius=1.0)
    peer = Peer(bandwidth=6.0, max_iter=1000).fit(x.numpy())
    theirs = torch.from_numpy(peer.cluster_centers_)
    assert len(ours.points) == len(theirs)
    assert float((density.shift(theirs)[0] - theirs).norm(dim=1).max()) < 1e-2
    match = torch.cdist(ours.points, theirs).argmin(1)
    torch.testing.assert_close(ours.points, theirs[match], rtol=0, atol=1e-2)
    assert match[ours.basins].tolist() == peer.labels_.tolist()


def test_a_start_on_a_saddle_leaves_it():
    x = torch.tensor([[-2.0], [2.0]]).double()
    found = kernel_modes(KernelDensity(x, 1.0), torch.tensor([[0.0], [2.0]]).double())
    assert len(found.points) == 1
    assert abs(float(found.points)) > 1.9


def test_where_no_kernel_reaches_nothing_is_climbed():
    density = KernelDensity(rows(20), 0.5, Epanechnikov())
    far = torch.full((2, 2), 1e3).double()
    found = kernel_modes(density, torch.cat([density.rows[:1], far]))
    assert found.basins.tolist() == [0, -1, -1]
    assert kernel_modes(density, far).basins.tolist() == [-1, -1]


def test_the_tree_is_nested_and_loses_modes():
    x = rows(80, d=1)
    tree = mode_tree(x, np.geomspace(0.05, 20, 12).tolist())
    counts = [len(modes.points) for modes in tree.modes]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1
    for fine, coarse in zip(tree.labels, tree.labels[1:], strict=False):
        assert len(torch.stack([fine, coarse]).unique(dim=1)[0]) == len(fine.unique())
    for width, modes in zip(tree.bandwidths, tree.modes, strict=True):
        assert len(kernel_modes(KernelDensity(x, width)).points) == len(modes.points)


def test_a_projection_onto_all_columns_is_no_loss():
    """A turn keeps distances; a Gaussian matrix of many rows nearly does."""
    x = rows(100, d=3)
    full = kernel_modes(KernelDensity(x, 1.0))
    found = projected_modes(KernelDensity(x, 1.0), 3, torch.Generator().manual_seed(0))
    assert float(found.modes.heights[0]) <= float(full.heights[0]) + 1e-9
    assert (found.modes.heights[found.modes.basins] >= found.heights - 1e-12).all()


@pytest.mark.parametrize("profile", [Normal(), Logistic(), Generalised(0.75)], ids=lambda p: type(p).__name__)
def test_projected_modes_are_nearly_as_high(profile):
    x = torch.from_numpy(load_digits().data[:400])
    density = KernelDensity(x, 10.0, profile)
    full = float(kernel_modes(density).heights[0])
    ratios = {}
    for q in (2, 20):
        seeds = [projected_modes(density, q, torch.Generator().manual_seed(s)) for s in range(3)]
        ratios[q] = np.mean([math.exp(float(found.heights.max()) - full) for found in seeds])
        assert all(float(found.modes.heights[0]) <= full + 1e-9 for found in seeds)
    assert ratios[2] < ratios[20] <= 1 + 1e-9
    assert ratios[20] > 0.9


def test_an_unfinished_climb_is_reported():
    with pytest.warns(NumericalWarning, match="still climbing after 1 steps"):
        kernel_modes(KernelDensity(rows(), 2.0), max_iter=1)


def test_bad_input_is_refused():
    x = rows(10)
    for width in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="bandwidth"):
            KernelDensity(x, width)
    with pytest.raises(ValueError, match="expected 1 to 2"):
        projected_modes(KernelDensity(x, 1.0), 3, torch.Generator())
    with pytest.raises(ValueError, match="growing"):
        mode_tree(x, [1.0, 1.0])
    with pytest.raises(ValueError, match="exponent"):
        Generalised(1.5)
    with pytest.raises(TypeError, match="Normal"):
        as_mixture(KernelDensity(x, 1.0, Cauchy()))
