"""Modes of mixtures: the way up never falls, what it ends on is a mode, and none that theory knows of is missed."""

from __future__ import annotations

import math

import pytest
import torch
from cases import A_FEW, STRUCTURES, blobs, random_mixture
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmlab.algebra import affine, ascent, critical_points, find_modes, ridge_starts, ridgeline
from gmmlab.errors import NumericalWarning
from gmmlab.families import Full, Gaussian, Student
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(mean, cov, weights=None) -> Mixture:
    mean, cov = (torch.as_tensor(value, dtype=torch.float64) for value in (mean, cov))
    weights = torch.ones(len(mean)) if weights is None else torch.as_tensor(weights)
    return Mixture(Gaussian.of(mean, cov), Constant.of(weights))


def some(k: int = 4, d: int = 2, seed: int = 0, structure=Full()) -> Mixture:  # noqa: B008 - a value
    return random_mixture(structure, blobs(generator(seed), d=d, k=k, spread=1.5), k, generator(seed + 1))


def on_a_line(*means: float, weights=None, sd: float = 1.0) -> Mixture:
    return mixture([[m] for m in means], [[[sd**2]]] * len(means), weights)


def triangle(sd: float) -> Mixture:
    """Three equal round Gaussians at distance 1 from their centre."""
    angle = 2 * math.pi / 3 * torch.arange(3, dtype=torch.float64)
    return mixture(torch.stack([angle.cos(), angle.sin()], 1), sd**2 * torch.eye(2).expand(3, 2, 2))


def derivatives(model: Mixture, point):
    """Gradient and Hessian of the log density by differentiation of the kernel."""
    at = lambda x: model.log_prob(x[None])[0]  # noqa: E731
    return torch.func.grad(at)(point), torch.autograd.functional.hessian(at, point)


@pytest.mark.parametrize("name", A_FEW)
def test_the_way_up_never_falls(name):
    model = some(structure=STRUCTURES[name])
    x, _ = model.sample(200, generator(5))
    climbs = list(ascent(model, 3 * x))
    heights = torch.stack([model.log_prob(climb.points) for climb in climbs])
    assert float(heights.diff(dim=0).min()) >= -1e-12
    torch.testing.assert_close(climbs[-1].heights, heights[-1])
    assert float(climbs[-1].gradients.max()) <= 1e-10
    assert len(climbs) < 60, "Newton's steps should end the climb"


@pytest.mark.parametrize("name", STRUCTURES)
def test_limits_are_modes(name):
    model = some(k=5, d=3, structure=STRUCTURES[name])
    found = find_modes(model)
    for point, hessian in zip(found.points, found.hessians, strict=True):
        gradient, curved = derivatives(model, point)
        assert float(gradient.norm()) < 1e-8
        torch.testing.assert_close(hessian, curved, rtol=1e-6, atol=1e-8)
        assert float(torch.linalg.eigvalsh(curved).max()) < 0
    torch.testing.assert_close(found.heights, model.log_prob(found.points))
    assert (found.heights.diff() <= 0).all()
    torch.testing.assert_close(found.cov @ -found.hessians, torch.eye(3).double().expand_as(found.cov))


def test_a_single_gaussian():
    found = find_modes(mixture([[1.0, 2.0]], [[[2.0, 0.5], [0.5, 1.0]]]))
    torch.testing.assert_close(found.points, torch.tensor([[1.0, 2.0]]).double())
    torch.testing.assert_close(found.cov, torch.tensor([[[2.0, 0.5], [0.5, 1.0]]]).double())


@pytest.mark.parametrize(("apart", "n"), [(0.5, 1), (1.99, 1), (2.0, 1), (2.01, 2), (6.0, 2), (80.0, 2)])
def test_two_equal_gaussians_have_two_modes_if_they_are_more_than_two_apart(apart, n):
    model = on_a_line(0.0, apart)
    assert len(find_modes(model).points) == n
    assert int(critical_points(model).modes.sum()) == n
    turned = mixture([[0.0, 0, 0], [apart / 3**0.5] * 3], torch.eye(3).expand(2, 3, 3))
    assert len(find_modes(turned).points) == n


@pytest.mark.parametrize(("sd", "n"), [(0.70, 3), (0.708, 4), (0.72, 4), (0.735, 4), (0.74, 1), (0.75, 1)])
def test_the_ghost_mode_of_a_triangle(sd, n):
    """The centre is a mode for sd > 1/sqrt 2, where its Hessian 1/(2 sd^2) - 1 turns negative; corners go at 0.74."""
    found = find_modes(triangle(sd))
    assert len(found.points) == n
    ghost = float(found.points.norm(dim=1).min()) < 1e-6
    assert ghost == (sd > 0.5**0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 7), st.integers(0, 10_000))
def test_on_a_line_equal_variances_give_no_more_modes_than_components(k, seed):
    means = 6 * torch.rand(k, generator=generator(seed), dtype=torch.float64)
    weights = 0.05 + torch.rand(k, generator=generator(seed + 1), dtype=torch.float64)
    model = on_a_line(*means.tolist(), weights=weights)
    grid = torch.linspace(-1, 7, 8001, dtype=torch.float64)[:, None]
    height = model.log_prob(grid)
    peaks = int(((height[1:-1] > height[:-2]) & (height[1:-1] > height[2:])).sum())
    found = find_modes(model)
    assert len(found.points) <= k
    assert len(found.points) == peaks


@pytest.mark.parametrize("seed", range(4))
def test_a_grid_finds_no_more(seed):
    model = some(k=5, d=2, seed=seed)
    found = find_modes(model)
    low, high = model.gaussian.mean.amin(0), model.gaussian.mean.amax(0)
    axes = [torch.linspace(float(a), float(b), 300, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    height = model.log_prob(torch.cartesian_prod(*axes)).view(300, 300)
    around = torch.nn.functional.max_pool2d(height[None], 3, 1, 1)[0]
    inside = (height == around)[1:-1, 1:-1].nonzero() + 1
    peaks = torch.stack([axes[0][inside[:, 0]], axes[1][inside[:, 1]]], 1)
    cell = ((high - low) / 299).norm()
    assert float(torch.cdist(peaks, found.points).amin(1).max()) <= float(cell)
    assert len(find_modes(model, starts=peaks).points) == len(found.points)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_the_ridgeline_of_two_knows_all_critical_points(d, seed):
    x = blobs(generator(seed), d=d, k=2, spread=1.5)
    model = random_mixture(Full(), x, 2, generator(seed + 1))
    critical = critical_points(model)
    shares = model.posterior(critical.points).resp[:, 1]
    torch.testing.assert_close(shares, critical.share, rtol=1e-6, atol=1e-9)
    for point, mode in zip(critical.points, critical.modes.tolist(), strict=True):
        gradient, hessian = derivatives(model, point)
        assert float(gradient.norm()) < 1e-7
        assert (float(torch.linalg.eigvalsh(hessian).max()) < 0) == mode
    found = find_modes(model)
    assert len(found.points) == int(critical.modes.sum())
    assert float(torch.cdist(found.points, critical.points[critical.modes]).amin(1).max()) < 1e-5


def test_two_components_may_have_three_modes():
    """A cross of two long Gaussians; see Ray and Lindsay (2005)."""
    model = mixture([[0.0, 0], [1, 1]], [[[1.0, 0], [0, 0.05]], [[0.05, 0], [0, 1.0]]])
    assert critical_points(model).modes.tolist() == [True, False, True, False, True]
    assert len(find_modes(model).points) == 3
    assert len(find_modes(model, starts=model.gaussian.mean).points) == 2, "from the means the third is not found"


def test_two_components_with_one_centre_have_one_mode():
    model = mixture([[1.0, 2], [1, 2]], [[[1.0, 0], [0, 1]], [[4, 1], [1, 2.0]]])
    critical = critical_points(model)
    torch.testing.assert_close(critical.points, torch.tensor([[1.0, 2]]).double())
    torch.testing.assert_close(critical.share, model.posterior(critical.points).resp[:, 1])


def test_all_modes_lie_on_the_ridgeline():
    model = some(k=5, d=3)
    points = find_modes(model).points
    torch.testing.assert_close(ridgeline(model, model.posterior(points).resp), points, rtol=0, atol=1e-8)
    torch.testing.assert_close(ridgeline(model, torch.eye(5)), model.gaussian.mean)


def test_a_start_behind_a_saddle_leaves_it():
    model = on_a_line(0.0, 4.0)
    *_, last = ascent(model, torch.tensor([[2.0]]))
    assert float(last.points) == 2.0
    found = find_modes(model, starts=torch.tensor([[2.0], [4.0]]).double())
    assert found.basins.tolist() == [0, 0]
    assert float(found.points) > 3.9


def test_basins_are_named_by_their_modes():
    model = on_a_line(0.0, 10.0, weights=[0.3, 0.7])
    found = find_modes(model, starts=torch.tensor([[-3.0], [2.0], [9.0], [40.0]]).double())
    assert found.basins.tolist() == [1, 1, 0, 0]
    torch.testing.assert_close(found.points, torch.tensor([[10.0], [0.0]]).double(), rtol=0, atol=1e-9)


def test_modes_move_with_the_mixture():
    model, turn = some(k=4, d=2), torch.tensor([[30.0, 1.0], [0.5, 0.01]], dtype=torch.float64)
    shift = torch.tensor([1e5, -3.0], dtype=torch.float64)
    found, image = find_modes(model), find_modes(affine(model, turn, shift))
    torch.testing.assert_close(image.points, found.points @ turn.T + shift)
    torch.testing.assert_close(image.heights, found.heights - torch.linalg.slogdet(turn)[1])


def test_noise_moves_no_mode():
    plain = some()
    low, high = plain.gaussian.mean.amin(0) - 9, plain.gaussian.mean.amax(0) + 9
    noisy = plain.replace(gate=Noisy.of(plain.weights, 0.3, low, high))
    torch.testing.assert_close(find_modes(noisy).points.sort(0)[0], find_modes(plain).points.sort(0)[0])
    found = find_modes(noisy)
    torch.testing.assert_close(found.heights, noisy.log_prob(found.points))


def test_components_of_weight_zero_have_no_modes():
    model = on_a_line(0.0, 5.0, 50.0, weights=[0.5, 0.5, 0.0])
    assert len(find_modes(model).points) == 2
    assert len(ridge_starts(model)) == 4


def test_a_climb_that_does_not_end_is_reported():
    with pytest.warns(NumericalWarning, match="of 1 starts were still climbing after 2 steps"):
        find_modes(some(), starts=torch.full((1, 2), 50.0).double(), max_iter=2)


def test_bad_input_is_refused():
    model = some()
    with pytest.raises(ValueError, match="Starts have 3 columns; expected 2"):
        find_modes(model, starts=torch.zeros(4, 3).double())
    with pytest.raises(ValueError, match="finite"):
        find_modes(model, starts=torch.full((1, 2), torch.nan).double())
    with pytest.raises(ValueError, match="expected two components"):
        critical_points(model)
    student = Student(model.gaussian, torch.full((4,), 5.0).double())
    with pytest.raises(TypeError, match="Student"):
        find_modes(model.replace(components=student))
