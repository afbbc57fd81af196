"""Laws of the algebra: joint = marginal x conditional, integrals by brute force, scipy where it knows the answer."""

from __future__ import annotations

import cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from torch import Tensor

from gmmlab import algebra
from gmmlab.errors import BadData, NotPositiveDefinite
from gmmlab.families import Diagonal, Full, Gaussian, Spherical, Tied
from gmmlab.families.conditioning import conditional, marginal
from gmmlab.gates import Constant
from gmmlab.kernels.cholesky import lower_factor
from gmmlab.kernels.patterns import patterns
from gmmlab.model import Mixture


def close(left: Tensor, right: Tensor, tol: float) -> None:
    torch.testing.assert_close(left, right, rtol=tol, atol=tol * (1 + float(right.detach().abs().max())))


def punched(x: Tensor, rng: torch.Generator, share: float = 0.4) -> Tensor:
    """The rows with holes; the first has nothing left, the second everything."""
    holes = torch.rand(x.shape, generator=rng) < share
    holes[0], holes[1] = True, False
    return x.masked_fill(holes.to(x.device), torch.nan)


# -- marginals and conditionals ----------------------------------------------------------------------------------------


def test_joint_is_marginal_times_conditional(mixture, x, tol):
    if mixture.d == 1:
        return  # one column has no others
    given = [mixture.d - 1, *range(0, mixture.d - 2, 2)]  # out of order
    rest = [j for j in range(mixture.d) if j not in given]
    for row in x[:2]:
        left = algebra.marginal(mixture, given).log_prob(row[None, given])
        right = algebra.condition(mixture, given, row[given]).log_prob(row[None, rest])
        close(left + right, mixture.log_prob(row[None]), tol)


def test_batched_conditional_equals_the_rows_one_by_one(structure, rng):
    x = cases.blobs(rng, d=4)
    mixture = cases.random_mixture(structure, x, 3, rng)
    part = conditional(mixture.components, [3, 1], x[:6][:, [3, 1]])
    close(part.log_prob, torch.cat(list(algebra.marginal(mixture, [3, 1]).tables(x[:6][:, [3, 1]]))), 1e-12)
    for i in range(6):
        one = algebra.condition(mixture, [3, 1], x[i, [3, 1]])
        close(part.mean[i], one.components.mean, 1e-12)
        close(part.chol, one.components.chol, 1e-12)


def test_conditional_equals_the_textbook(structure, rng):
    """mu_t + S_to S_oo^-1 (x - mu_o) and S_tt - S_to S_oo^-1 S_ot, by the inverse that the code avoids."""
    x = cases.blobs(rng, d=4)
    mixture = cases.random_mixture(structure, x, 3, rng)
    mean, cov, o, t = mixture.components.mean, mixture.components.cov, [2, 0], [1, 3]
    gain = cov[:, t][:, :, o] @ torch.linalg.inv(cov[:, o][:, :, o])
    part = algebra.condition(mixture, o, x[0, o]).components
    close(part.mean, mean[:, t] + (gain @ (x[0, o] - mean[:, o])[:, :, None]).squeeze(-1), 1e-10)
    close(part.cov, cov[:, t][:, :, t] - gain @ cov[:, o][:, :, t], 1e-10)


def test_marginal_equals_scipy(structure, rng):
    x = cases.blobs(rng, d=3)
    mixture = cases.random_mixture(structure, x, 2, rng)
    part = algebra.marginal(mixture, [2, 0])
    theirs = sum(
        float(w) * scipy_stats.multivariate_normal(m[[2, 0]].numpy(), c[[2, 0]][:, [2, 0]].numpy()).pdf(x[:, [2, 0]])
        for w, m, c in zip(mixture.weights, mixture.components.mean, mixture.components.cov, strict=True)
    )
    close(part.log_prob(x[:, [2, 0]]).exp(), torch.from_numpy(theirs), 1e-10)


def test_marginal_and_regression_equal_integrals(structure, rng):
    """Over a fine grid of the column that is integrated out."""
    mixture = cases.random_mixture(structure, cases.blobs(rng, d=2), 3, rng)
    axis = torch.linspace(-80, 80, 16_001, dtype=torch.float64)
    at = mixture.components.mean[0, 0] + 0.3
    density = mixture.log_prob(torch.stack([at.expand_as(axis), axis], dim=1)).exp()
    mass = density.sum() * 0.01
    close(algebra.marginal(mixture, [0]).log_prob(at[None, None]).exp()[0], mass, 1e-9)
    mean = (density * axis).sum() * 0.01 / mass
    var = (density * (axis - mean) ** 2).sum() * 0.01 / mass
    found = algebra.regress(mixture, at[None, None], [0], [1])
    close(found.mean[0, 0], mean, 1e-9)
    close(found.cov[0, 0, 0], var, 1e-9)
    close(found.sd[0, 0], var.sqrt(), 1e-9)
    below = (density * (axis <= mean)).sum() * 0.01 / mass
    close(algebra.regress_quantile(mixture, at[None, None], [0], 1, float(below))[0], mean, 1e-2)


def test_regression_has_the_moments_of_the_conditional_mixture(mixture, x, tol):
    if mixture.d < 3:
        return  # one is given, two are targets
    found = algebra.regress(mixture, x[:4, :1], [0], [2, 1])
    for i in range(4):
        rest = algebra.marginal(algebra.condition(mixture, [0], x[i, :1]), [1, 0])
        close(found.mean[i].double(), algebra.mean(rest), tol)
        close(found.cov[i].double(), algebra.cov(rest), 10 * tol)


@pytest.mark.parametrize(
    ("structure", "block"),
    [(Full(), Full()), (Tied(), Tied()), (Diagonal(), Diagonal()), (Spherical(), Spherical())],
)
def test_blocks_keep_what_they_can_of_the_structure(structure, block, rng):
    x = cases.blobs(rng, d=4)
    mixture = cases.random_mixture(structure, x, 3, rng)
    for part in (algebra.marginal(mixture, [3, 1]), algebra.condition(mixture, [0], x[0, :1])):
        chol = part.components.chol
        assert part.components.structure == block
        assert chol.ndim == (3 if block.dense else 2)
        assert not block.shared or torch.equal(chol[0], chol[1])
        if block.dense:
            assert bool((chol.diagonal(dim1=1, dim2=2) > 0).all()) and torch.equal(chol, chol.tril())


def test_nearly_collinear_columns_keep_their_conditional_variance():
    """1e-8 of a standard deviation: a difference of covariances would hold no digit of it."""
    chol = torch.tensor([[[1.0, 0.0], [1.0, 1e-8]]], dtype=torch.float64)
    zero = torch.zeros(1, 2, dtype=torch.float64)
    gaussian = Gaussian(zero, chol, zero[:, 0], zero[0])
    for columns, sd in (([0], 1e-8), ([1], 1e-8)):
        part = conditional(gaussian, columns, torch.zeros(1, 1, dtype=torch.float64))
        assert float(part.chol) == pytest.approx(sd, rel=1e-6)


def test_far_values_choose_the_nearest_component():
    """Densities that underflow are compared on the log scale."""
    gaussian = Gaussian.of(torch.tensor([[0.0, 0.0], [1.0, 5.0]]), torch.eye(2).expand(2, 2, 2))
    mixture = Mixture(gaussian, Constant.of(torch.ones(2)))
    part = algebra.condition(mixture, [0], torch.tensor([1e6]))
    assert part.weights.tolist() == [0.0, 1.0]
    with pytest.raises(BadData, match="No component has a density"):
        algebra.condition(mixture, [0], torch.tensor([1e200], dtype=torch.float64))


# -- missing entries ---------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20))
def test_patterns_are_a_partition(masks):
    mask = torch.tensor(masks)
    x = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(mask, torch.nan)
    found = patterns(x)
    assert torch.cat([p.rows for p in found]).sort().values.tolist() == list(range(len(x)))
    assert len({tuple(p.missing) for p in found}) == len(found)
    for rows, observed, missing, bounded in found:
        assert sorted(observed + missing) == [0, 1, 2] and not bounded
        assert bool(mask[rows][:, missing].all()) and not bool(mask[rows][:, observed].any())


def test_patterns_of_many_columns():
    """More columns than the bits of one number: rows that differ in the last or the first alone are told apart."""
    x = torch.zeros(4, 100, dtype=torch.float64)
    x[1, 99] = x[2, 0] = x[3, 99] = torch.nan
    found = {tuple(p.rows.tolist()): p.missing for p in patterns(x)}
    assert found == {(0,): [], (1, 3): [99], (2,): [0]}


def test_rows_are_scored_by_what_is_there(mixture, x, rng, tol):
    rows = punched(x[:12], rng)
    found, post = algebra.log_prob(mixture, rows), algebra.posterior(mixture, rows)
    torch.testing.assert_close(found, post.evidence)
    torch.testing.assert_close(post.resp.sum(1), torch.ones_like(found))
    assert float(found[0]) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(post.resp[0].double(), mixture.weights)
    close(found[1], mixture.log_prob(rows[1:2])[0], tol)
    for row, value in zip(rows[1:], found[1:], strict=True):
        there = (~row.isnan()).nonzero().flatten().tolist()
        if there:
            close(algebra.marginal(mixture, there).log_prob(row[None, there])[0], value, tol)


def test_imputed_entries_are_conditional_means_and_draws_vary_about_them(structure, rng):
    x = cases.blobs(rng, d=3)
    mixture = cases.random_mixture(structure, x, 3, rng)
    rows = punched(x[:8], rng)
    filled = algebra.impute(mixture, rows)
    there = ~rows.isnan()
    assert torch.equal(filled[there], rows[there]) and not bool(filled.isnan().any())
    close(filled[0], algebra.mean(mixture), 1e-12)
    for row, full in zip(rows[2:], filled[2:], strict=True):
        o, t = ((row.isnan() == gone).nonzero().flatten().tolist() for gone in (False, True))
        if o and t:
            expected = algebra.regress(mixture, row[None, o], o, t)
            close(full[t], expected.mean[0], 1e-12)
    many = 40_000
    i = next(i for i in range(2, 8) if 0 < int(rows[i].isnan().sum()) < 3)
    draws = algebra.sample_missing(mixture, rows[i].expand(many, -1), rng)
    gone, kept = rows[i].isnan(), ~rows[i].isnan()
    assert bool((draws[:, kept] == rows[i, kept]).all())
    spread = algebra.regress(
        mixture, rows[i : i + 1, kept], kept.nonzero()[:, 0].tolist(), gone.nonzero()[:, 0].tolist()
    )
    noise = 5 * spread.sd[0] / many**0.5
    assert bool(((draws[:, gone].mean(0) - spread.mean[0]).abs() < noise).all())
    close(torch.cov(draws[:, gone].T).reshape(spread.cov[0].shape), spread.cov[0], 0.05)


def test_float32_rows_far_from_zero_keep_their_digits(structure, rng):
    x = cases.blobs(rng, d=3)
    near = cases.random_mixture(structure, x, 3, rng)
    far = algebra_shift(near, 1e4)
    rows = punched(x[:50].float(), rng)
    left, right = algebra.impute(near, rows.double()), algebra.impute(far, (rows + 1e4))
    assert right.dtype == torch.float32
    torch.testing.assert_close(right.double() - 1e4, left, rtol=0, atol=1e-2)


def algebra_shift(mixture: Mixture, by: float) -> Mixture:
    components = mixture.components
    return mixture.replace(components=components.replace(mean=components.mean + by, origin=components.origin + by))


# -- regions -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def line(structure, rng) -> Mixture:
    return cases.random_mixture(structure, cases.blobs(rng, d=1, k=3), 3, rng)


def test_cdf_equals_scipy_and_quantiles_invert_it(line):
    x = torch.linspace(-40, 40, 101, dtype=torch.float64)
    theirs = sum(
        w * scipy_stats.norm(m, s).cdf(x.numpy())
        for w, m, s in zip(
            line.weights.tolist(),
            line.components.mean.flatten().tolist(),
            line.components.cov.flatten().sqrt().tolist(),
            strict=True,
        )
    )
    close(algebra.cdf(line, x[:, None]), torch.from_numpy(theirs), 1e-14)
    p = torch.tensor([1e-300, 1e-12, 1e-3, 0.2, 0.5, 0.8, 0.999], dtype=torch.float64)
    torch.testing.assert_close(algebra.cdf(line, algebra.quantile(line, p)), p, rtol=1e-11, atol=0)
    ends = algebra.quantile(line, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.flatten().tolist() == [-torch.inf, torch.inf]
    mirrored = algebra.affine(line, torch.tensor([[-1.0]]), torch.zeros(1))
    tail = algebra.quantile(mirrored, torch.tensor([1e-12], dtype=torch.float64))
    top = algebra.quantile(line, torch.tensor([1 - 1e-12], dtype=torch.float64))
    torch.testing.assert_close(top, -tail, rtol=1e-5, atol=0)  # 1 - 1e-12 itself is right to 1e-4 of its distance to 1


def test_a_level_set_holds_its_mass(structure, rng):
    mixture = cases.random_mixture(structure, cases.blobs(rng, d=2), 3, rng)
    level = algebra.level_set(mixture, 0.7, rng, n=20_000)
    std = float(mixture.components.cov.diagonal(dim1=1, dim2=2).max().sqrt())
    low, high = float(mixture.components.mean.min()) - 8 * std, float(mixture.components.mean.max()) + 8 * std
    axis = torch.linspace(low, high, 501, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    cell = float(axis[1] - axis[0]) ** 2
    inside = level.contains(mixture, grid)
    mass = float(mixture.log_prob(grid[inside]).exp().sum()) * cell
    assert mass == pytest.approx(0.7, abs=5 * (0.7 * 0.3 / 20_000) ** 0.5)


def test_the_error_of_a_level_is_its_spread(rng):
    mixture = cases.random_mixture(Full(), cases.blobs(rng, d=2), 3, rng)
    levels = [algebra.level_set(mixture, 0.9, rng, n=500) for _ in range(200)]
    spread = torch.tensor([level.log_density for level in levels]).std()
    typical = torch.tensor([level.error for level in levels]).mean()
    assert float(typical / spread) == pytest.approx(1, abs=0.2)


def test_one_component_has_an_exact_level(structure, rng):
    mixture = cases.random_mixture(structure, cases.blobs(rng, d=3), 1, rng)
    level = algebra.level_set(mixture, 0.95, rng)
    x = mixture.sample(100_000, rng)[0]
    assert level.error == 0
    assert float(level.contains(mixture, x).double().mean()) == pytest.approx(0.95, abs=5 * 7e-4)
    top = float(mixture.log_prob(mixture.components.mean))
    assert level.log_density == pytest.approx(top - scipy_stats.chi2(3).ppf(0.95) / 2, rel=1e-12)


# -- moments, images, overlaps -----------------------------------------------------------------------------------------


def test_moments_equal_those_of_many_draws(structure, rng):
    mixture = cases.random_mixture(structure, cases.blobs(rng, d=2), 3, rng)
    x = mixture.sample(200_000, rng)[0]
    spread = algebra.cov(mixture)
    assert bool(((x.mean(0) - algebra.mean(mixture)).abs() < 5 * (spread.diagonal() / 200_000).sqrt()).all())
    close(torch.cov(x.T), spread, 0.02)


def test_affine_images_have_the_density_of_the_change_of_variables(mixture, x, rng, tol):
    matrix = torch.randn(mixture.d, mixture.d, generator=rng, dtype=torch.float64).to(x.device)
    matrix += 2 * mixture.d**0.5 * torch.eye(mixture.d, dtype=torch.float64, device=x.device)
    shift = torch.randn(mixture.d, generator=rng, dtype=torch.float64).to(x.device)
    image = algebra.affine(mixture, matrix, shift)
    rows = x[:20].double()
    left = image.log_prob(rows @ matrix.T + shift) + torch.linalg.slogdet(matrix).logabsdet
    close(left, mixture.log_prob(rows), max(tol, 1e-8))


def test_a_selection_of_columns_is_an_affine_image(structure, rng):
    x = cases.blobs(rng, d=3)
    mixture = cases.random_mixture(structure, x, 3, rng)
    matrix = torch.eye(3, dtype=torch.float64)[[2, 0]]
    image = algebra.affine(mixture, matrix, torch.zeros(2))
    close(image.log_prob(x[:, [2, 0]]), algebra.marginal(mixture, [2, 0]).log_prob(x[:, [2, 0]]), 1e-10)


def test_overlap_equals_the_integral(structure, rng):
    x = cases.blobs(rng, d=2)
    left, right = (cases.random_mixture(structure, x, k, rng) for k in (2, 3))
    axis = torch.linspace(-80, 80, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    integral = (left.log_prob(grid) + right.log_prob(grid)).exp().sum() * 0.4**2
    close(algebra.overlap(left, right), integral, 1e-8)
    torch.testing.assert_close(algebra.overlap(left, right), algebra.overlap(right, left))


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_columns_that_cannot_be_are_refused(rng):
    x = cases.blobs(rng, d=3)
    mixture = cases.random_mixture(Full(), x, 2, rng)
    with pytest.raises(IndexError, match="no column 3: the model has 3"):
        algebra.marginal(mixture, [0, 3])
    with pytest.raises(IndexError, match="no column -1"):
        marginal(mixture.components, [-1])
    with pytest.raises(ValueError, match="each at most once"):
        algebra.marginal(mixture, [1, 1])
    with pytest.raises(ValueError, match="No column is left"):
        algebra.condition(mixture, [0, 1, 2], x[0])
    with pytest.raises(ValueError, match=r"values for 1 column\(s\); expected 2"):
        algebra.condition(mixture, [0, 1], x[0, :1])
    with pytest.raises(ValueError, match=r"Columns \[0\] are both given and targets"):
        algebra.regress(mixture, x[:, :1], [0], [0, 1])
    with pytest.raises(ValueError, match="no target columns"):
        algebra.regress(mixture, x[:, :1], [0], [])
    with pytest.raises(ValueError, match="2 columns; expected 3"):
        algebra.impute(mixture, x[:, :2])


def test_questions_without_an_answer_are_refused(rng):
    mixture = cases.random_mixture(Full(), cases.blobs(rng, d=2), 2, rng)
    with pytest.raises(ValueError, match="2 columns; expected one"):
        algebra.cdf(mixture, torch.zeros(3, 1))
    with pytest.raises(ValueError, match="mass of the region is 1"):
        algebra.level_set(mixture, 1.0, rng)
    with pytest.raises(ValueError, match="expected at least 100"):
        algebra.level_set(mixture, 0.5, rng, n=10)
    with pytest.raises(ValueError, match=r"expected them in \[0, 1\]"):
        algebra.quantile(algebra.marginal(mixture, [0]), torch.tensor([0.5, 1.5]))
    with pytest.raises(ValueError, match="2 and 1 columns"):
        algebra.overlap(mixture, algebra.marginal(mixture, [0]))
    with pytest.raises(NotPositiveDefinite, match="none follows from the others"):
        algebra.affine(mixture, torch.ones(2, 2), torch.zeros(2))
    with pytest.raises(NotPositiveDefinite):
        lower_factor(torch.ones(1, 3, 2, dtype=torch.float64))
