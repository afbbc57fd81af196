"""Student-t components against scipy's densities, and their fit against a maximum found by other means."""

from __future__ import annotations

from itertools import islice

import cases
import numpy as np
import pytest
import torch
from scipy import optimize, stats

from gmmlab.families import Full, Gaussian, Student, student
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Constant
from gmmlab.kernels.special import inverse_log_digamma
from gmmlab.model import Mixture


def test_density_is_scipys(structure, rng):
    x = cases.blobs(rng, n=60, d=3)
    components = cases.students(structure, student.Own())(x, 3, rng)
    table = components.table(components.features(x))
    for k in range(3):
        law = stats.multivariate_t(components.mean[k].numpy(), components.scale[k].numpy(), float(components.dof[k]))
        assert table[:, k].numpy() == pytest.approx(law.logpdf(x.numpy()), rel=1e-10)


def test_many_degrees_of_freedom_are_gaussian(structure, rng):
    x = cases.blobs(rng, n=60, d=3)
    gaussian = cases.gaussians(structure, x, 3, rng)
    components = Student(gaussian, torch.full((3,), 1e8, dtype=torch.float64), student.Fixed())
    features = gaussian.features(x)
    torch.testing.assert_close(components.table(features), gaussian.table(features), rtol=1e-6, atol=1e-5)
    resp = torch.rand(60, 3, generator=rng, dtype=torch.float64)
    one, two = (c.refit(c.stats(features, resp)) for c in (components, gaussian))
    torch.testing.assert_close(one.mean, two.mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(one.scale, two.cov, rtol=1e-5, atol=1e-5)


def test_one_component_is_at_the_maximum_of_the_likelihood(rng):
    """EM's end against scipy's minimiser over location, log scale and log dof, on t-distributed rows."""
    y = stats.t(3.5, loc=2, scale=1.5).rvs(800, random_state=1)
    best = optimize.minimize(
        lambda p: -stats.t(np.exp(p[2]), loc=p[0], scale=np.exp(p[1])).logpdf(y).sum(), [0.0, 0.0, 1.0], tol=1e-10
    )
    x = torch.tensor(y)[:, None]
    begin = Student(Gaussian.of(x[:1], torch.ones(1, 1, 1)), torch.tensor([10.0], dtype=torch.float64))
    step = list(islice(run(Mixture(begin, Constant.of(torch.ones(1))), whole(x), stop=plateau(1e-14)), 2000))[-1]
    found = step.model.components
    assert step.info.evidence * 800 == pytest.approx(-best.fun, abs=1e-6)
    values = [float(found.mean), float(found.scale.sqrt()), float(found.dof)]
    assert values == pytest.approx([best.x[0], np.exp(best.x[1]), np.exp(best.x[2])], rel=1e-3)


def test_a_fit_finds_degrees_of_freedom_and_is_not_moved_by_outliers(rng):
    mean = torch.tensor([[0.0, 0.0], [12.0, 4.0]], dtype=torch.float64)
    cov = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 0.7]]], dtype=torch.float64)
    dof = torch.tensor([4.0, 30.0], dtype=torch.float64)
    truth = Mixture(Student(Gaussian.of(mean, cov, Full()), dof), Constant.of(torch.tensor([0.4, 0.6])))
    x, _ = truth.sample(20_000, rng)
    x[:20] += 500.0
    begin = truth.replace(components=truth.components.replace(dof=torch.full((2,), 10.0, dtype=torch.float64)))
    found = list(islice(run(begin, whole(x), stop=plateau(1e-7)), 200))[-1].model.components
    torch.testing.assert_close(found.mean, mean, rtol=0, atol=0.08)
    torch.testing.assert_close(found.scale, cov, rtol=0.1, atol=0.05)
    assert 2.5 < float(found.dof[0]) < 5 < float(found.dof[1])


def test_rules_of_the_degrees_of_freedom(rng):
    x = cases.blobs(rng)
    for rule, extra in ((student.Own(), 3), (student.Common(), 1), (student.Fixed(), 0)):
        begin = cases.students(Full(), rule)(x, 3, rng)
        after = begin.refit(begin.stats(begin.features(x), torch.full((300, 3), 1 / 3, dtype=torch.float64)))
        assert begin.n_parameters == begin.gaussian.n_parameters + extra
        assert torch.equal(after.dof, begin.dof) == (extra == 0)
        assert (len(after.dof.unique()) == 1) == (extra == 1)


def test_inverse_of_log_less_digamma():
    a = torch.logspace(-6, 6, 200, dtype=torch.float64)
    torch.testing.assert_close(inverse_log_digamma(a.log() - torch.digamma(a)), a, rtol=1e-8, atol=0)
    assert inverse_log_digamma(torch.tensor([0.0, -1.0]).double()).tolist() == [torch.inf, torch.inf]
