"""Boxes: moments inside and outside against scipy, EM that climbs to a stationary point, and what is found again."""

from __future__ import annotations

from itertools import pairwise

import cases
import numpy as np
import pytest
import torch
from scipy import stats

from gmmlab import fit
from gmmlab.errors import BadData
from gmmlab.families import Diagonal, Full, Gaussian, Tied
from gmmlab.fit import moment_censored_gmm
from gmmlab.fit.censored_moments import atoms
from gmmlab.fit.unseen import Box, with_unseen
from gmmlab.gates import Constant, Noisy
from gmmlab.init import from_labels
from gmmlab.kernels.truncation import inside_interval, log_mass, normal_nodes, outside_box, outside_correlated_box
from gmmlab.model import Mixture
from gmmlab.steps import e_step

INF = torch.inf
INTERVALS = [(-1.0, 2.0), (-INF, 0.3), (1.0, INF), (6.0, 7.0), (-30.0, -29.5), (20.0, INF), (-INF, INF), (-9.0, 9.0)]


def double(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_an_interval_against_scipy(low, high):
    law = stats.truncnorm(low, high)
    log_a, mean, variance = inside_interval(double(low), double(high))
    side = stats.norm.logsf if low > 0 else stats.norm.logcdf
    ends = (low, high) if low > 0 else (high, low)
    expected = side(ends[0]) + np.log1p(-np.exp(side(ends[1]) - side(ends[0])))
    assert float(log_a) == pytest.approx(expected, rel=1e-10, abs=1e-15)
    assert float(log_mass(double(low), double(high))) == float(log_a)
    assert float(mean) == pytest.approx(law.mean(), rel=1e-6, abs=1e-12)
    assert float(variance) == pytest.approx(law.var(), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_inside_and_outside_make_the_whole(low, high):
    found = outside_box(double(low)[:, None], double(high)[:, None])
    log_a, mean, variance = inside_interval(double(low), double(high))
    a = log_a.exp()
    torch.testing.assert_close(found.inside, a)
    torch.testing.assert_close(found.w + a, double(1.0))
    torch.testing.assert_close(found.s1[:, 0] + a * mean, double(0.0), atol=1e-12, rtol=0.0)
    torch.testing.assert_close(found.s2[:, 0] + a * (variance + mean.square()), double(1.0), atol=1e-9, rtol=0.0)


def test_little_that_is_outside_keeps_its_digits():
    found = outside_box(double(-9.0)[:, None], double(INF)[:, None])
    assert float(found.w) == pytest.approx(stats.norm.cdf(-9), rel=1e-10)
    assert float(found.s1 / found.w[:, None]) == pytest.approx(stats.truncnorm(-INF, -9).mean(), rel=1e-8)


def test_a_box_of_independent_columns_against_draws():
    low, high = double(-1.0, 0.2)[None], double(0.5, INF)[None]
    found = outside_box(low, high)
    z = normal_nodes(1 << 16, 2, 0)
    out = (~((z > low) & (z < high)).all(1)).double()
    torch.testing.assert_close(found.w[0], out.mean(), atol=2e-3, rtol=0.0)
    torch.testing.assert_close(found.s1[0], (out[:, None] * z).mean(0), atol=2e-3, rtol=0.0)
    torch.testing.assert_close(found.s2[0], (out[:, None] * z.square()).mean(0), atol=2e-3, rtol=0.0)


def test_correlated_columns_against_independent_ones_and_draws():
    mean, root = double(0.3, -0.5)[None], torch.tensor([[[1.0, 0.0], [0.8, 0.6]]]).double()
    lower, upper = double(-1.0, -INF), double(1.2, 0.4)
    nodes = torch.quasirandom.SobolEngine(2, scramble=True, seed=1).draw(4096, dtype=torch.float64)
    inside, w, s1, s2 = outside_correlated_box(root, lower - mean, upper - mean, nodes)
    y = normal_nodes(1 << 17, 2, 0) @ root[0].T
    out = (~((y + mean > lower) & (y + mean < upper)).all(1)).double()
    torch.testing.assert_close(inside + w, double(1.0))
    torch.testing.assert_close(w[0], out.mean(), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(s1[0], (out[:, None] * y).mean(0), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(s2[0], (out[:, None] * y).T @ y / len(y), atol=2e-3, rtol=0.0)
    sd = double(0.7, 1.4)[None]
    inside, w, s1, _ = outside_correlated_box(torch.diag_embed(sd), lower - mean, upper - mean, nodes)
    exact = outside_box((lower - mean) / sd, (upper - mean) / sd)
    torch.testing.assert_close(w, exact.w, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(s1, sd * exact.s1, atol=1e-3, rtol=0.0)


def seen_rows(n: int = 600) -> torch.Tensor:
    rows = cases.blobs(seeded(), n=n, d=2, k=2, spread=1.5)
    return rows[((rows > -2.0) & (rows < 2.5)).all(1)]


LOWER, UPPER = double(-2.0, -2.0), double(2.5, 2.5)


@pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal()], ids=lambda s: s.name)
@pytest.mark.parametrize("count", [None, 0.0, 150.0], ids=["truncated", "none", "censored"])
def test_em_climbs_to_a_stationary_point(structure, count):
    x = seen_rows()
    source = with_unseen(fit.whole(x), Box(LOWER, UPPER, nodes=256), count)
    begin = from_labels(x, torch.arange(len(x)) % 2, structure)
    slack = 1e-12 if not structure.dense else 1e-4  # quadrature: the same points, not the same integral
    steps = list(fit.run(begin, source, stop=lambda step: step.i == 40))
    assert all(step.info.gain > -slack for step in steps)
    assert steps[-1].info.evidence > steps[0].info.evidence


def test_the_gradient_is_zero_where_em_rests():
    """One column, two components, truncated: log p(x) - log A by automatic differentiation."""
    x = torch.randn(400, 1, generator=seeded(), dtype=torch.float64)
    x = x[x[:, 0] < 0.7]
    box = Box(double(-INF), double(0.7))
    begin = from_labels(x, (x[:, 0] > -0.5).long(), Tied())
    source = with_unseen(fit.whole(x), box)
    model = fit.last(fit.run(begin, source, transform=fit.squarem(), stop=lambda step: step.i == 250)).model
    parameters = [
        t.detach().clone().requires_grad_() for t in (model.gaussian.mean, model.gaussian.chol[:1], model.gate.log_w)
    ]
    mean, chol, log_w = parameters
    log_w_ = log_w - log_w.logsumexp(0)
    law = torch.distributions.Normal(mean[:, 0], chol[0, 0, 0])
    loglik = (log_w_ + law.log_prob(x)).logsumexp(1).mean() - (log_w_.exp() @ law.cdf(double(0.7).expand(2))).log()
    assert max(float(g.abs().max()) for g in torch.autograd.grad(loglik, parameters)) < 1e-4
    assert float(source(model).score) == pytest.approx(float(loglik.detach()), abs=1e-9)


@pytest.mark.parametrize("structure", [Full(), Diagonal()], ids=lambda s: s.name)
def test_a_box_without_ends_changes_nothing(structure):
    x = cases.blobs(seeded(), n=80, d=2, k=2)
    model = cases.random_mixture(structure, x, 2, seeded())
    open_ = Box(double(-INF, -INF), double(INF, INF))
    found = with_unseen(fit.whole(x), open_)(model)
    cases.close(found, e_step(model, x), 1e-9)


def test_noise_is_left_out_by_its_volume():
    gaussian = Gaussian.of(double(0.0)[:, None], torch.ones(1, 1, 1).double(), Full())
    model = Mixture(gaussian, Noisy.of(double(1.0), 0.5, double(-2.0), double(6.0)))
    unseen = Box(double(-INF), double(0.0))(model)
    assert float(unseen.none) == pytest.approx(0.75)
    seen, left = unseen.shares(model)
    assert float(seen) == pytest.approx(0.5 * 0.5 + 0.5 * 0.25)
    assert float(seen + left) == pytest.approx(1)


def test_nothing_seen_is_refused():
    model = Mixture(Gaussian.of(double(1e3)[:, None], torch.ones(1, 1, 1).double(), Full()), Constant.of(double(1.0)))
    with pytest.raises(BadData, match="No row of the mixture"):
        with_unseen(fit.whole(double(0.0)[:, None]), Box(double(-INF), double(1.0)))(model)


# the method of moments


def test_atoms_from_their_moments():
    means, weights = double(-1.3, 0.2, 2.0), double(0.2, 0.5, 0.3)
    moments = (means[None] ** torch.arange(6)[:, None]) @ weights
    found = atoms(moments, 3)
    torch.testing.assert_close(found[0], means)
    torch.testing.assert_close(found[1], weights)


def test_moments_find_what_was_censored():
    rng = np.random.default_rng(0)
    x = torch.tensor(np.where(rng.random(1_000_000) < 0.6, 1.0, -1.0) + rng.normal(size=1_000_000))
    seen = x[(x >= -2) & (x <= 2)]
    found = moment_censored_gmm(seen, 1e6, -2.0, 2.0, k=2, terms=6)
    torch.testing.assert_close(found.means, double(-1.0, 1.0), atol=0.15, rtol=0.0)
    torch.testing.assert_close(found.weights, double(0.4, 0.6), atol=0.08, rtol=0.0)
    conditions = [moment_censored_gmm(seen[:100], 200.0, -2.0, 2.0, k=2, terms=t).condition for t in (4, 6, 8, 10)]
    assert all(30 < b / a < 100 for a, b in pairwise(conditions[1:]))


def test_what_the_moments_refuse():
    x = double(-0.5, 0.5)
    for bad, words in (
        ((x, 5.0, 1.0, -1.0), "interval"),
        ((x, 5.0, 0.0, 1.0), "Rows were expected"),
        ((x, 1.0, -1.0, 1.0), "less than the 2 rows"),
    ):
        with pytest.raises(BadData, match=words):
            moment_censored_gmm(*bad, k=1)
    with pytest.raises(ValueError, match="terms=3"):
        moment_censored_gmm(x, 5.0, -1.0, 1.0, k=2, terms=3)
