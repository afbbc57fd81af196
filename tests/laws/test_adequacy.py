"""Laws of adequacy: what a model draws looks adequate, what it did not draw does not, and scipy knows the numbers."""

from __future__ import annotations

import math

import cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from torch import Tensor

from gmmlab import algebra
from gmmlab.families import Gaussian
from gmmlab.families.parts import ellipsoids
from gmmlab.gates import Constant
from gmmlab.model import Mixture
from gmmlab.score.adequacy import (
    distances,
    kolmogorov,
    own_distances,
    predictive,
    tails,
    thin,
    transforms,
    uniformity,
    worst_rows,
)

RARE = 1.95  # times n^-1/2: Kolmogorov's distance beyond which lies one uniform sample in a thousand


@pytest.fixture
def mixture(family: str, gate: str, rng: torch.Generator) -> Mixture:
    x = cases.blobs(rng, d=3)
    return Mixture(cases.FAMILIES[family](x, 3, rng), cases.GATES[gate](x, 3))


def single(family: str, rng: torch.Generator, d: int = 3) -> Mixture:
    """One component: every row is its own."""
    x = cases.blobs(rng, d=d, k=1)
    return Mixture(cases.FAMILIES[family](x, 1, rng), Constant.of(torch.ones(1)))


def holes(x: Tensor, rng: torch.Generator, share: float = 0.3) -> Tensor:
    return x.masked_fill(torch.rand(x.shape, generator=rng) < share, torch.nan)


# -- distances ---------------------------------------------------------------------------------------------------------


def test_own_distances_are_those_of_the_inverse_and_noise_has_none(mixture, rng, dtype):
    x = mixture.sample(200, rng)[0].to(dtype)
    labels = mixture.labels(x)
    labels[:3] = -1
    found, gaussian = own_distances(mixture, x, labels), ellipsoids(mixture.components)
    offset = x.double() - gaussian.mean[labels]
    theirs = torch.einsum("nd,nde,ne->n", offset, gaussian.cov.inverse()[labels], offset)
    assert torch.equal(found.isnan(), labels < 0)
    torch.testing.assert_close(found[labels >= 0], theirs[labels >= 0], rtol=1e-8, atol=1e-10)


def test_distances_of_a_models_own_rows_are_where_they_should_be(family, rng):
    mixture = single(family, rng)
    (plot,) = distances(mixture, mixture.sample(4000, rng)[0], m=200)
    assert plot.n == 4000 and plot.gap < RARE / 4000**0.5
    assert bool((plot.low < plot.expected).all()) and bool((plot.expected < plot.high).all())
    outside = ((plot.observed < plot.low) | (plot.observed > plot.high)).double().mean()
    assert float(outside) < 0.4  # 0.05 on average; neighbours go together


def test_rows_with_gaps_are_where_they_should_be_too(family, rng):
    mixture = single(family, rng)
    x = holes(mixture.sample(4000, rng)[0], rng)
    (plot,) = distances(mixture, x)
    assert plot.n == int((~x.isnan()).any(1).sum()) < 4000
    assert plot.gap < RARE / plot.n**0.5


def test_rows_of_heavier_tails_do_not_fit_a_gaussian(rng):
    student = single("student, full", rng)
    gaussian = student.replace(components=ellipsoids(student.components))
    x = student.sample(2000, rng)[0]
    (plot,) = distances(gaussian, x)
    assert plot.gap > 2 * RARE / 2000**0.5 and float(plot.observed[-1]) > float(plot.high[-1])


def test_plots_keep_the_extremes_and_name_their_rows(mixture, rng):
    x = mixture.sample(900, rng)[0]
    labels = algebra.assign(mixture, x)[0]
    own = own_distances(mixture, x, labels)
    for k, plot in enumerate(distances(mixture, x, m=20)):
        assert plot.n == int((labels == k).sum())
        assert len(plot.rows) <= 20 and bool((labels[plot.rows] == k).all())
        torch.testing.assert_close(plot.observed, own[plot.rows])
        assert bool((plot.observed.diff() >= 0).all()) and bool((plot.expected.diff() > 0).all())
        if plot.n:
            assert float(plot.observed[0]) == float(own[labels == k].min())
            assert float(plot.observed[-1]) == float(own[labels == k].max())


def test_the_envelope_is_that_of_order_statistics(rng):
    mixture = single("gaussian", rng, d=2)
    (plot,) = distances(mixture, mixture.sample(9, rng)[0], level=0.9)
    rank = torch.arange(1, 10)
    for found, p in ((plot.low, 0.05), (plot.expected, 0.5), (plot.high, 0.95)):
        theirs = scipy_stats.chi2(2).ppf(scipy_stats.beta(rank, 10 - rank).ppf(p))
        torch.testing.assert_close(found, torch.from_numpy(theirs))


def test_a_component_without_rows_has_an_empty_plot(rng):
    x = cases.blobs(rng, d=2)
    mean = torch.stack([x.mean(0), x.mean(0) + 1e4])
    mixture = Mixture(Gaussian.of(mean, torch.eye(2).expand(2, 2, 2)), Constant.of(torch.ones(2)))
    plot = distances(mixture, x)[1]
    assert plot.n == 0 and len(plot.rows) == len(plot.high) == 0 and math.isnan(plot.gap)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 300))
def test_thinning_keeps_both_ends(n, m):
    places = thin(n, m).tolist()
    assert len(places) == min(n, m) if n <= m else 2 <= len(places) <= m
    assert places == sorted(set(places))
    assert not n or (places[0], places[-1]) == (0, n - 1)


# -- columns and densities ---------------------------------------------------------------------------------------------


def test_columns_of_a_models_own_rows_are_uniform(mixture, rng, dtype):
    x = holes(mixture.sample(3000, rng)[0].to(dtype), rng, 0.1)
    u = transforms(mixture, x)
    assert u.dtype == dtype and torch.equal(u.isnan(), x.isnan())
    found = uniformity(u, bins=10)
    assert found.n.tolist() == (~x.isnan()).sum(0).tolist() == found.counts.sum(1).tolist()
    assert bool((found.gap < RARE / found.n**0.5).all())
    low, high = found.band(0.9999)
    assert bool(((found.counts >= low[:, None]) & (found.counts <= high[:, None])).all())
    moved = transforms(mixture, x + x.nan_to_num().std())
    assert bool((uniformity(moved).gap > 3 * RARE / found.n**0.5).all())


def test_distance_to_uniform_equals_scipy(rng):
    for n in (1, 2, 50):
        u = torch.rand(n, generator=rng, dtype=torch.float64) ** 1.5
        assert kolmogorov(u) == pytest.approx(scipy_stats.kstest(u.numpy(), "uniform").statistic, rel=1e-12)
    assert math.isnan(kolmogorov(u[:0]))
    gone = uniformity(torch.full((3, 1), torch.nan))
    assert int(gone.n) == 0 and bool(gone.gap.isnan()) and int(gone.counts.sum()) == 0
    assert uniformity(torch.tensor([[0.0], [1.0], [0.999]]), bins=4).counts.tolist() == [[1, 0, 0, 2]]


def test_densities_of_a_models_own_rows_are_uniform(mixture, rng, dtype):
    x = mixture.sample(2000, rng)[0].to(dtype)
    for rows in (x, holes(x, rng)):
        there = (~rows.isnan()).any(1)
        share = tails(mixture, rows, torch.Generator().manual_seed(1), draws=20_000)
        assert kolmogorov(share[there]) < RARE * (1 / int(there.sum()) + 1 / 20_000) ** 0.5
        assert bool((share[~there] == 1).all())  # nothing is known of them, nothing is rare


def test_the_worst_rows_are_the_least_dense(mixture, rng, dtype):
    x = mixture.sample(300, rng)[0].to(dtype)
    far = x.mean(0) + 40 * x.std(0)
    x[17] = far
    worst = worst_rows(mixture, x, 5, rng, draws=500)
    density = mixture.log_prob(x)
    assert sorted(worst.rows.tolist()) == sorted(density.argsort()[:5].tolist())
    assert bool((worst.log_prob.diff() >= 0).all()) and bool((worst.tail.diff() >= 0).all())
    torch.testing.assert_close(worst.log_prob, density[worst.rows])
    assert float(worst.tail.min()) >= 1 / 501
    assert len(worst_rows(mixture, x, 400, rng, draws=500).rows) == 300


def test_a_row_with_a_gap_is_not_rare_for_having_one(rng):
    """Its density has another unit: it is compared with draws that have the same gap."""
    eye = torch.eye(2, dtype=torch.float64)
    mixture = Mixture(
        Gaussian.of(torch.zeros(1, 2), torch.diag(torch.tensor([1e-6, 1.0]))[None]), Constant.of(eye[0, :1])
    )
    x = torch.tensor([[0.0, 0.5], [torch.nan, 0.0], [3e-3, 0.0]], dtype=torch.float64)
    assert mixture.k == 1 and int(algebra.log_prob(mixture, x).argmin()) != 2
    worst = worst_rows(mixture, x, 1, rng)
    assert worst.rows.tolist() == [2]


def test_the_predictive_density_lies_over_its_histogram(mixture, rng):
    x = holes(mixture.sample(20_000, rng)[0], rng, 0.2)
    x[:, 1] = torch.where(x[:, 1].abs() < 30, x[:, 1], torch.nan)  # heavy tails leave no resolution
    found = predictive(mixture, x, 1, bins=25)
    width = found.edges.diff()
    assert float((found.heights * width).sum()) == pytest.approx(1)
    assert float(found.edges[0]) == float(x[:, 1].nan_to_num(torch.inf).min())
    line = algebra.univariate.column(mixture, 1)
    mass = line.cdf(found.edges[None])[0].diff()
    n = int((~x[:, 1].isnan()).sum())
    close = (found.heights * width - mass / mass.sum()).abs() < 5 * (mass / n).sqrt() + 1e-3
    assert bool(close.all())
    torch.testing.assert_close(found.density, line.prob(found.at[None])[0])
    assert bool((found.parts.sum(0) <= found.density + 1e-12).all())
    theirs = torch.histogram(x[~x[:, 1].isnan(), 1], bins=found.edges).hist
    assert float((theirs / n / width - found.heights).abs().max()) < 2 / n / float(width[0])  # a row on an edge


def test_a_constant_column_has_a_histogram_and_an_empty_one_has_none(rng):
    mixture = single("gaussian", rng, d=1)
    found = predictive(mixture, torch.full((5, 1), 3.0), 0, bins=3)
    assert float((found.heights * found.edges.diff()).sum()) == pytest.approx(1)
    assert float(found.edges[0]) < 3 < float(found.edges[-1])
    with pytest.raises(ValueError, match="Column 0 has no entry"):
        predictive(mixture, torch.full((5, 1), torch.nan), 0)


def test_weights_are_repeated_rows(mixture, rng):
    x = holes(mixture.sample(300, rng)[0], rng, 0.1)
    weight = torch.randint(4, (300,), generator=rng)
    twice, u = x.repeat_interleave(weight, 0), transforms(mixture, x)
    for one, other in zip(
        distances(mixture, x, m=1000, weight=weight.double()), distances(mixture, twice, m=2000), strict=True
    ):
        assert one.n == other.n and one.gap == pytest.approx(other.gap, abs=1e-12, nan_ok=True)
        if len(one.rows):  # a row stands at the middle of the places of its copies
            copies = torch.bincount(torch.searchsorted(one.observed, other.observed - 1e-9), minlength=len(one.rows))
            seen = weight[one.rows]
            if int(seen.min()) > 0:
                assert torch.equal(copies, seen)
            single = seen == 1
            first = torch.searchsorted(other.observed, one.observed[single] - 1e-9)
            torch.testing.assert_close(one.expected[single], other.expected[first])
            torch.testing.assert_close(one.high[single], other.high[first])
    columns, copied = uniformity(u, weight=weight.double()), uniformity(transforms(mixture, twice))
    assert torch.equal(columns.counts, copied.counts) and torch.equal(columns.n, copied.n)
    torch.testing.assert_close(columns.gap, copied.gap)
    some = weight > 0  # a histogram ends with the rows, whatever they count
    shown = predictive(mixture, x[some], 1, weight=weight[some].double()), predictive(mixture, twice, 1)
    torch.testing.assert_close(shown[0].heights, shown[1].heights)


def test_questions_that_cannot_be_answered_are_refused(rng):
    mixture = single("gaussian", rng)
    x = mixture.sample(10, rng)[0]
    with pytest.raises(ValueError, match="m=1 points was asked for; expected at least 2"):
        distances(mixture, x, m=1)
    with pytest.raises(ValueError, match="level of the envelope is 95"):
        distances(mixture, x, level=95.0)
    with pytest.raises(ValueError, match="draws=0"):
        tails(mixture, x, rng, draws=0)
    with pytest.raises(ValueError, match="bins=0"):
        uniformity(x, bins=0)
    with pytest.raises(ValueError, match="2 columns; expected 3"):
        tails(mixture, x[:, :2], rng)
