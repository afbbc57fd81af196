"""Laws of membership and comparison: bars are the rows in order, overlaps are known integrals, names do not matter."""

from __future__ import annotations

import math
from itertools import permutations

import cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from gmmlab import algebra
from gmmlab.families import Full, Gaussian
from gmmlab.gates import Constant, Noisy, Posterior
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.model import Mixture
from gmmlab.score.agreement import match_table
from gmmlab.score.comparison import compare, crosstab, density_difference
from gmmlab.score.membership import bars, confusion, labels_of, misclassification, relative_entropy, row_entropy


@pytest.fixture(params=["gaussian", "student, full", "factor analyzers"], ids=lambda name: name.replace(" ", "-"))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def x(rng: torch.Generator, dtype: torch.dtype) -> Tensor:
    return cases.blobs(rng, d=3).to(dtype)


@pytest.fixture
def mixture(family: str, gate: str, x: Tensor, rng: torch.Generator) -> Mixture:
    return Mixture(cases.FAMILIES[family](x, 4, rng), cases.GATES[gate](x, 4))


def posteriors(n: int, k: int, noise: bool, seed: int) -> Posterior:
    """Responsibilities with some ties."""
    rng = torch.Generator().manual_seed(seed)
    table = torch.randint(1, 6, (n, k + 1), generator=rng).double()
    table[:, k] *= float(noise)
    table /= table.sum(1, keepdim=True)
    return Posterior(table[:, :k], table.new_zeros(n), table[:, k] if noise else None)


# -- rows --------------------------------------------------------------------------------------------------------------


def test_labels_of_responsibilities_are_those_of_the_mixture(mixture, x):
    gaps = x.clone()
    gaps[::3, 1] = torch.nan
    for rows in (x, gaps):
        torch.testing.assert_close(labels_of(algebra.posterior(mixture, rows)), algebra.assign(mixture, rows)[0])


def test_entropies_are_between_none_and_log_k():
    sure = Posterior(torch.eye(3), torch.zeros(3))
    assert row_entropy(sure).tolist() == [0, 0, 0]
    for none in (None, torch.full((2,), 0.25)):
        k = 4 if none is None else 3
        even = Posterior(torch.full((2, k), 0.25), torch.zeros(2), none)
        torch.testing.assert_close(row_entropy(even), torch.full((2,), 4.0).log())


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 4), st.booleans(), st.integers(5, 70), st.integers(0, 1000))
def test_bars_are_the_rows_in_order(n, k, noise, m, seed):
    post = posteriors(n, k, noise, seed)
    found, label = bars(post, m), labels_of(post)
    assert len(found.resp) <= m and found.order.sort().values.tolist() == list(range(n))
    assert int(found.size.sum()) == n and int(found.size.min()) >= 1
    places = torch.where(found.label < 0, k, found.label)
    assert bool((places.diff() >= 0).all())
    assert set(found.label.tolist()) == set(label.tolist())
    for b in range(len(found.resp)):
        rows = found.rows(b)
        assert bool((label[rows] == found.label[b]).all()) and bool((found.bar[rows] == b).all())
        torch.testing.assert_close(found.resp[b], post.resp[rows].mean(0))
        if noise:
            torch.testing.assert_close(found.none[b], post.none[rows].mean())
    sure = torch.where(label < 0, torch.zeros(n).double() if post.none is None else post.none, post.resp.amax(1))
    for one in label.unique():
        assert bool((sure[found.order][label[found.order] == one].diff() <= 0).all())
    if m >= n + k + 1:
        assert len(found.resp) == n


def test_too_few_bars_are_refused():
    with pytest.raises(ValueError, match="2 bars were asked for 3 labels; expected at least one bar for each"):
        bars(Posterior(torch.eye(3), torch.zeros(3)), 2)


# -- components --------------------------------------------------------------------------------------------------------


def test_confusion_is_the_mean_responsibility_by_label(mixture, x):
    post = mixture.posterior(x)
    label, table = labels_of(post), confusion(post)
    full = post.resp.double() if post.none is None else torch.cat([post.resp, post.none[:, None]], 1).double()
    assert table.shape == (full.shape[1], full.shape[1])
    for i in range(len(table)):
        own = full[label == (-1 if i == mixture.k else i)]
        torch.testing.assert_close(table[i], own.mean(0), equal_nan=True)
    there = ~table[:, 0].isnan()
    torch.testing.assert_close(table[there].sum(1), torch.ones(int(there.sum())).double(), rtol=1e-6, atol=0)


def test_misclassification_is_known_for_two_gaussians(rng):
    """omega_{2|1} = Phi(-delta/2 + log(pi_2 / pi_1) / delta) for equal variances, delta standard deviations apart."""
    mean, pi = torch.tensor([[0.0], [1.5]], dtype=torch.float64), torch.tensor([0.7, 0.3], dtype=torch.float64)
    mixture = Mixture(Gaussian.of(mean, torch.ones(2, 1, 1)), Constant.of(pi))
    found = misclassification(mixture.posterior(mixture.sample(200_000, rng)[0]).resp)
    odds = float((pi[1] / pi[0]).log()) / 1.5
    assert found.diagonal().tolist() == [0, 0]
    assert float(found[0, 1]) == pytest.approx(ndtr(-0.75 + odds), abs=0.005)
    assert float(found[1, 0]) == pytest.approx(ndtr(-0.75 - odds), abs=0.005)


def test_misclassification_is_its_definition():
    resp = posteriors(40, 3, True, 7).resp
    found = misclassification(resp)
    for i in range(3):
        for j in range(3):
            lost = sum(float(row[i]) for row in resp if row[j] > row[i])
            assert float(found[i, j]) == pytest.approx(lost / float(resp[:, i].sum()))


@pytest.mark.parametrize("none", [False, True])
def test_confusion_counts_rows_by_weight(none):
    posterior, weight = posteriors(40, 3, none, 7), torch.arange(40) % 3
    copied = posterior.take(torch.arange(40).repeat_interleave(weight))
    found = confusion(posterior, weight.double())
    torch.testing.assert_close(found, confusion(copied), equal_nan=True)
    assert not torch.allclose(found, confusion(posterior), equal_nan=True)


# -- two mixtures ------------------------------------------------------------------------------------------------------


def test_a_mixture_equals_itself_whatever_the_order(mixture, x):
    order = torch.tensor([2, 0, 3, 1])
    gate = mixture.gate.take(order)
    found = compare(mixture, mixture.replace(components=mixture.components.take(order), gate=gate), x)
    assert found.match.tolist() == order.tolist()
    assert found.adjusted_rand == 1 and found.total == pytest.approx(0, abs=1e-3)
    counts = found.counts[:, torch.cat([order.argsort(), torch.tensor([4])])]
    assert int(counts.diagonal().sum()) == len(x) == int(counts.sum())


def test_mixtures_of_unequal_kinds_are_compared_row_by_row(x, rng):
    left = cases.random_mixture(Full(), x, 2, rng)
    right = Mixture(cases.FAMILIES["student, full"](x, 5, rng), Noisy.around(x, torch.ones(5), 0.3))
    rows = x.clone()
    rows[::4, 0] = torch.nan
    found = compare(left, right, rows)
    assert sorted(found.match.tolist()) == [0, 1, 2, 3, 4] and found.counts.shape == (3, 6)
    torch.testing.assert_close(found.gain, algebra.log_prob(left, rows) - algebra.log_prob(right, rows))
    a, b = (algebra.assign(model, rows)[0] for model in (left, right))
    for i in (-1, 0, 1):
        for j in range(-1, 5):
            assert int(found.counts[i, j]) == int(((a == i) & (b == j)).sum())
    assert found.adjusted_rand == pytest.approx(adjusted_rand_score(a, b))
    ours, theirs = (algebra.posterior(model, rows).resp.double() for model in (left, right))
    torch.testing.assert_close(found.shared, torch.einsum("ni,nj->ij", ours, theirs))


def test_a_comparison_counts_rows_by_weight(x, rng):
    left, right = (cases.random_mixture(Full(), x, k, rng) for k in (2, 3))
    weight = torch.randint(1, 4, (len(x),), generator=rng)
    found = compare(left, right, x, weight.to(x))
    copied = compare(left, right, x.repeat_interleave(weight, 0))
    torch.testing.assert_close(found.shared, copied.shared)
    assert found.n == copied.n and found.total == pytest.approx(copied.total)
    assert int(found.counts.sum()) == len(x)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_matching_is_the_best_of_all(i, j, seed):
    table = torch.rand(i, j, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    match = match_table(table)
    assert len(set(match.tolist())) == j and set(range(min(i, j))) <= set(range(i + j))
    found = sum(float(table[row, column]) for column, row in enumerate(match.tolist()) if row < i)
    short, long = (table, j) if i <= j else (table.T, i)
    best = max(sum(float(short[r, c]) for r, c in enumerate(p)) for p in permutations(range(long), min(i, j)))
    assert found == pytest.approx(best)


def test_noise_is_a_group_of_its_own():
    a, b = torch.tensor([-1, -1, 0, 1, 1, 0]), torch.tensor([0, 0, 1, 1, 1, -1])
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b))
    assert adjusted_rand(a, a + 1) == 1 and adjusted_rand(torch.tensor([-1, 1]), torch.tensor([1, 1])) == 0
    assert crosstab(a, b, 2, 2).tolist() == [[0, 1, 1], [0, 2, 0], [2, 0, 0]]


def test_densities_differ_by_nothing_in_all(family, x, rng):
    left = cases.random_mixture(Full(), x, 2, rng)
    right = Mixture(cases.FAMILIES[family](x, 3, rng), Constant.of(torch.ones(3)))
    axis = torch.linspace(-150, 150, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    found = density_difference(left, right, [2, 0], grid)
    assert float(found.sum()) * 0.25 == pytest.approx(0, abs=0.02)
    assert float(found.abs().max()) > 1e-4
    torch.testing.assert_close(density_difference(right, left, [2, 0], grid), -found)


@given(st.integers(1, 30), st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_relative_entropies_are_parts_of_the_most(n, k, noise, seed):
    posterior = posteriors(n, k, noise, seed)
    part = relative_entropy(posterior)
    assert bool(((part >= 0) & (part <= 1)).all())
    if k + noise == 1:
        assert bool((part == 0).all())
        return
    torch.testing.assert_close(part * math.log(k + noise), row_entropy(posterior))
    share = torch.full((1, k + noise), 1 / (k + noise))
    alike = Posterior(share[:, :k], torch.zeros(1), share[:, -1] if noise else None)
    assert float(relative_entropy(alike)) == pytest.approx(1.0)
