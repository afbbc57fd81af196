"""Mixtures that grow row by row: rank-one updates against inverses, moments, births and deaths, gaps, drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gmmlab.algebra import regress
from gmmlab.fit import growing
from gmmlab.fit.growing import BIRTH, DEATH, POLYNOMIALS, Grown, Rule, exact, grow, published
from gmmlab.kernels import precision as kernel

NEVER = {"oldest": math.inf}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rule(d: int, **options) -> Rule:
    return Rule(torch.ones(d, dtype=torch.float64), **(NEVER | options))


def last(x, rule, **options):
    return list(grow(Grown.empty(x[0]), x, rule, **options))[-1].grown


@pytest.mark.parametrize("coefficient", [exact, published])
def test_a_rank_one_update_is_the_inverse_of_the_changed_covariance(coefficient):
    root = normal(4, 6, 6)
    cov = root @ root.mT + torch.eye(6)
    precision, log_det = torch.linalg.inv(cov).contiguous(), torch.linalg.slogdet(cov)[1]
    mean, x, w = normal(4, 6, seed=1), normal(6, seed=2), np.array([0.01, 0.2, 0.35, 0.5])
    e = x - mean
    at = kernel.apart(precision.numpy(), e.numpy())
    torch.testing.assert_close(torch.from_numpy(at.distance), torch.einsum("kd,kde,ke->k", e, precision, e))
    for j, (share, distance) in enumerate(zip(w.tolist(), at.distance.tolist(), strict=True)):
        a = coefficient(share)
        made = kernel.change(share, a, distance, 6)
        changed = (1 - share) * cov[j] + a * e[j, :, None] * e[j]
        assert (made is not None) == bool(torch.linalg.eigvalsh(changed)[0] > 0)
        if made is not None:
            kernel.rank_one_(precision.numpy()[j], at.solved[j], made)
            torch.testing.assert_close(precision[j], torch.linalg.inv(changed))
            torch.testing.assert_close(log_det[j] + made.log_det, torch.linalg.slogdet(changed)[1])


def test_a_precision_that_does_not_lie_row_by_row_is_refused():
    square, made = np.eye(3).repeat(2, axis=1), kernel.Change(scale=1.0, outer=1.0, log_det=0.0)
    with pytest.raises(ValueError, match="row by row"):
        kernel.rank_one_(square[:, ::2], np.ones(3), made)


def test_the_published_coefficient_is_what_the_papers_write():
    """(1 - w) C + w e*e*' - dmu dmu', with e* the deviation from the new mean."""
    w, e, cov = 0.3, normal(5), torch.eye(5).double()
    new, moved = (1 - w) * e, w * e
    theirs = (1 - w) * cov + w * new[:, None] * new - moved[:, None] * moved
    ours = (1 - w) * cov + published(w) * e[:, None] * e
    torch.testing.assert_close(theirs, ours)
    assert published(0.45) < 0 < exact(0.45)


@pytest.mark.parametrize("coefficient", POLYNOMIALS)
def test_polynomials_are_the_coefficients(coefficient):
    a, b, c = POLYNOMIALS[coefficient]
    assert [w * (a + w * (b + w * c)) for w in (0.01, 0.3, 0.7)] == pytest.approx([*map(coefficient, (0.01, 0.3, 0.7))])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gaps", [0.0, 0.02])
@pytest.mark.parametrize(
    "options",
    [{}, {"coefficient": published}, {"forgetting": 0.995}, {"most": 2}],
    ids=["exact", "published", "forgetting", "at most two"],
)
def test_many_rows_go_the_way_of_single_ones(options, gaps, weighted, monkeypatch):
    """Compiled, with births, deaths, refreshed components, rows with gaps and rows that count for nothing."""
    rng, n = np.random.default_rng(0), 3000
    x = 5 * rng.normal(size=(4, 3))[rng.integers(0, 4, n)] + rng.normal(size=(n, 3))
    x = torch.from_numpy(np.where(rng.random((n, 3)) < gaps, np.nan, x))
    weight = torch.from_numpy(rng.integers(0, 3, n).astype(float)) if weighted else None
    grows = rule(3, tau=0.01, **{"oldest": 30.0, "fewest": 4.0} | options)
    ways = []
    for fewest in (1, n + 1):
        monkeypatch.setattr(growing, "FEWEST", fewest)
        ways.append(list(grow(Grown.empty(x[0]), x, grows, weight, every=700)))
    for many, single in zip(*ways, strict=True):
        assert many.happened == single.happened
        assert many.evidence == pytest.approx(single.evidence, rel=1e-9)
        for name in ("mean", "precision", "log_det", "sp", "age", "name", "seen"):
            torch.testing.assert_close(getattr(many.grown, name), getattr(single.grown, name), rtol=1e-8, atol=1e-8)
    kinds = {event.kind for step in ways[0] for event in step.happened}
    assert kinds == ({BIRTH} if "most" in options else {BIRTH, DEATH})


@pytest.mark.parametrize("forgetting", [1.0, 0.95])
def test_one_component_has_the_weighted_moments_of_all_rows(forgetting):
    x = 2 * normal(300, 3) + 5
    grown = last(x, rule(3, tau=0.0, forgetting=forgetting))
    weight = forgetting ** torch.arange(299, -1, -1).double()
    total = weight.sum()
    mean = weight @ x / total
    scatter = (weight[:, None] * (x - mean)).T @ (x - mean)
    cov = (scatter + weight[0] * torch.eye(3)) / total  # the first row comes with the covariance it begins with
    torch.testing.assert_close(grown.mean[0], mean)
    torch.testing.assert_close(grown.sp[0], total)
    torch.testing.assert_close(torch.linalg.inv(grown.precision[0]), cov)
    torch.testing.assert_close(grown.log_det[0], torch.linalg.slogdet(cov)[1])


def test_ten_thousand_rows_lose_no_digits():
    x = normal(10_000, 4) * torch.tensor([1.0, 10.0, 0.1, 3.0])
    grown = last(x, rule(4, tau=0.0))
    cov = (x.T @ x - len(x) * x.mean(0)[:, None] * x.mean(0) + torch.eye(4)) / len(x)
    product = grown.precision[0] @ cov
    torch.testing.assert_close(product, torch.eye(4).double(), atol=1e-8, rtol=0.0)
    torch.testing.assert_close(grown.log_det[0], torch.linalg.slogdet(cov)[1], atol=1e-8, rtol=0.0)


def test_precisions_go_the_way_of_covariances():
    """Three clouds by the recursion of covariances, inverted for every row."""
    order = torch.randperm(180, generator=torch.Generator().manual_seed(3))
    x = torch.cat([normal(60, 2), normal(60, 2, seed=1) + 8, normal(60, 2, seed=2) - 8])[order]
    grown = last(x, rule(2, tau=1e-3))
    mean, cov, sp = [x[0]], [torch.eye(2).double()], [1.0]
    far = 2 * math.log(1e3)  # the quantile of chi-square with two degrees of freedom
    for row in x[1:]:
        d2 = torch.stack([(row - m) @ torch.linalg.inv(c) @ (row - m) for m, c in zip(mean, cov, strict=True)])
        if bool((d2 >= far).all()):
            mean, cov, sp = [*mean, row], [*cov, torch.eye(2).double()], [*sp, 1.0]
            continue
        logdet = torch.stack([torch.linalg.slogdet(c)[1] for c in cov])
        resp = torch.softmax(torch.tensor(sp).double().log() - 0.5 * (logdet + d2), 0)
        for j, r in enumerate(resp.tolist()):
            sp[j] += r
            w, e = r / sp[j], row - mean[j]
            mean[j] = mean[j] + w * e
            cov[j] = (1 - w) * cov[j] + w * (1 - w) * e[:, None] * e
    assert len(sp) == grown.k
    torch.testing.assert_close(grown.mean, torch.stack(mean))
    torch.testing.assert_close(torch.linalg.inv(grown.precision), torch.stack(cov))
    torch.testing.assert_close(grown.sp, torch.tensor(sp).double())


def test_batches_are_the_stream_and_evidence_is_that_of_the_mixture_before():
    x = torch.cat([normal(50, 3), normal(50, 3, seed=1) + 9])
    options = rule(3, tau=1e-4)
    whole = last(x, options)
    part = Grown.empty(x[0])
    for rows in x.split(7):
        part = next(grow(part, rows, options, every=len(rows))).grown
    for name in ("mean", "precision", "log_det", "sp", "age", "name"):
        torch.testing.assert_close(getattr(whole, name), getattr(part, name), msg=name)
    steps = list(grow(Grown.empty(x[0]), x, options))
    for before, after, row in zip(steps[:-1], steps[1:], x[1:], strict=True):
        assert float(before.model.log_prob(row[None])) == pytest.approx(after.evidence, abs=1e-9)


def test_components_are_born_and_die():
    x = torch.cat([normal(100, 2), torch.full((1, 2), 50.0), normal(100, 2, seed=1)]).double()
    steps = list(grow(Grown.empty(x[0]), x, rule(2, tau=1e-4, oldest=30.0, fewest=3.0)))
    events = [event for step in steps for event in step.happened]
    assert [(event.kind, event.row) for event in events] == [(BIRTH, 1), (BIRTH, 101), (DEATH, 150)]
    assert events[2].component == events[1].component == 1
    assert steps[-1].grown.k == 1
    assert steps[100].events == [("birth", "A birth at row 101: component 1.")]


def test_no_more_than_the_most():
    x = 100 * normal(40, 2)
    assert last(x, rule(2, most=3)).k == 3
    assert last(x, rule(2)).k > 3


def test_a_row_of_weight_two_counts_twice_in_the_mean():
    x = normal(30, 2)
    weight = torch.ones(30).double()
    weight[5] = 2.0
    grown = last(x, rule(2, tau=0.0), weight=weight)
    torch.testing.assert_close(grown.mean[0], weight @ x / 31)
    weight[5] = 0.0
    torch.testing.assert_close(last(x, rule(2, tau=0.0), weight=weight).mean[0], weight @ x / 29)


def test_gaps_are_expected_and_their_spread_is_kept():
    """With one component a gap is EM's completion, once, in its turn; here against the recursion in covariances."""
    x = normal(80, 3) @ torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 0.3], [0.0, 0.0, 1.0]]).double()
    x[10::3, 1] = torch.nan
    x[40] = torch.nan
    grown = last(x, rule(3, tau=0.0))
    mean, cov, sp = x[0], torch.eye(3).double(), 1.0
    for row in x[1:]:
        gap = torch.isnan(row)
        if bool(gap.all()):
            continue
        o, m = (~gap).nonzero().flatten(), gap.nonzero().flatten()
        e, spread = row - mean, torch.zeros(3, 3).double()
        if len(m):
            gain = cov[m][:, o] @ torch.linalg.inv(cov[o][:, o])
            e[m] = gain @ e[o]
            spread[m[:, None], m] = cov[m][:, m] - gain @ cov[o][:, m]
        sp += 1
        w = 1 / sp
        mean, cov = mean + w * e, (1 - w) * cov + w * (1 - w) * e[:, None] * e + w * spread
    torch.testing.assert_close(grown.mean[0], mean)
    torch.testing.assert_close(torch.linalg.inv(grown.precision[0]), cov)
    torch.testing.assert_close(grown.log_det[0], torch.linalg.slogdet(cov)[1])


@pytest.mark.parametrize("targets", [[0], [3, 1], [1, 2, 3]])
def test_conditioning_by_precisions_is_that_of_the_mixture(targets):
    x = torch.cat([normal(60, 4), normal(60, 4, seed=1) @ normal(4, 4, seed=2) + 6])
    grown = last(x, rule(4, tau=1e-6))
    known = [j for j in range(4) if j not in targets]
    found = kernel.conditional(grown.mean, grown.precision, grown.log_det, x[:, known], targets)
    resp = torch.softmax(grown.sp.log() + found.log_prob, 1)
    mean = torch.einsum("nk,nkt->nt", resp, found.mean)
    torch.testing.assert_close(mean, regress(grown.mixture(), x[:, known], known, targets).mean)


def test_forgetting_follows_a_drift():
    t = torch.linspace(0, 20, 2000, dtype=torch.float64)
    x = normal(2000, 1) + t[:, None]
    assert abs(float(last(x, rule(1, tau=0.0, forgetting=0.98)).mean) - 20) < 1.5
    assert abs(float(last(x, rule(1, tau=0.0)).mean) - 10) < 1.5


def test_the_published_update_goes_wrong_where_the_exact_one_does_not():
    """The second row of a component has w up to 1/2: then the papers' coefficient is negative."""
    x = 3 * normal(40, 30)
    kept, theirs = (last(x, rule(30, tau=0.0, coefficient=update)) for update in (exact, published))
    assert float(torch.linalg.eigvalsh(kept.precision[0])[0]) > 0
    assert float(torch.linalg.eigvalsh(theirs.precision[0])[0]) > 0  # as updates that are not sound are left out
    first, second = x[0], x[1]
    assert kernel.change(0.5, published(0.5), float((second - first).square().sum()), 30) is None
