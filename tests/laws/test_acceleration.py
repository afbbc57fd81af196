"""Acceleration reaches EM's own fixed points, never lets the evidence fall, and is worth its E-steps."""

from __future__ import annotations

import math
from functools import cache
from itertools import islice, pairwise

import cases
import pytest
import torch

from gmmlab.fit import anderson, chain, identity, last, plateau, run, squarem, whole
from gmmlab.fit.transforms import Transform
from gmmlab.gates import Constant
from gmmlab.init import METHODS, start
from gmmlab.stats import Moments
from gmmlab.steps import e_step, m_step

TRANSFORMS = {"squarem": squarem, "anderson": anderson}


@pytest.fixture(params=TRANSFORMS, ids=str)
def transform(request):
    return TRANSFORMS[request.param]()


def overlapping(n=400, k=3, d=2, seed=0):
    """Clouds that touch, so that EM is slow, and that are different enough to have one optimum nearby."""
    rng = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[0.0, 0.0], [3.4, 0.5], [0.3, 3.4]], dtype=torch.float64)[:k, :d]
    scale = torch.tensor([1.0, 0.7, 0.5], dtype=torch.float64)[:k]
    z = torch.arange(n) % k
    return centres[z] + scale[z, None] * torch.randn(n, d, generator=rng, dtype=torch.float64)


@cache
def plain_fit(structure):
    x = overlapping()
    begin = start(x, 3, structure, METHODS["kmeans"], torch.Generator().manual_seed(0))
    return begin, last(run(begin, whole(x), stop=plateau(1e-14)))


@cases.few_structures(*cases.OF_EACH_KIND)
def test_fixed_points_are_those_of_em(structure, transform):
    x = overlapping()
    begin, plain = plain_fit(structure)
    fast = last(run(begin, whole(x), transform=transform, stop=plateau(1e-14)))
    assert fast.info.evidence == pytest.approx(plain.info.evidence, abs=1e-9)
    for name in ("mean", "cov"):
        torch.testing.assert_close(
            getattr(fast.model.components, name), getattr(plain.model.components, name), rtol=1e-6, atol=2e-6
        )
    torch.testing.assert_close(fast.model.weights, plain.model.weights, rtol=1e-6, atol=1e-6)
    again = m_step(fast.model, e_step(fast.model, x))  # a plain step moves nothing
    torch.testing.assert_close(again.components.mean, fast.model.components.mean, rtol=1e-6, atol=1e-6)
    assert fast.i < plain.i


@cases.few_structures(*cases.OF_EACH_KIND)
def test_evidence_never_falls(mixture, x, transform, tol):
    steps = list(islice(run(mixture, whole(x), transform=transform, stop=plateau(-1.0)), 15))
    trace = [step.info.evidence for step in steps]
    assert all(b >= a - tol * abs(a) for a, b in pairwise(trace)) and trace[-1] > trace[0]
    for step in steps:
        assert bool((step.model.weights >= 0).all()) and float(step.model.weights.sum()) == pytest.approx(1)
        assert bool(torch.isfinite(step.model.components.chol).all())


@cases.few_structures()
def test_the_evidence_reported_belongs_to_the_model_before_the_refit(transform, structure):
    x = overlapping()
    model = start(x, 3, structure, METHODS["random"], torch.Generator().manual_seed(1))
    for step in islice(run(model, whole(x), transform=transform, stop=plateau(-1.0)), 30):
        if step.info.accepted:
            assert step.info.evidence == pytest.approx(float(model.assign(x)[1]), abs=1e-10)
        model = step.model


@cases.few_structures("EVE", *cases.A_FEW)
def test_a_leap_that_loses_is_taken_back_at_the_cost_of_one_e_step(structure):
    """A transform that leaps far too long: it must still climb, and say which steps it took back."""
    x = overlapping()
    begin = start(x, 3, structure, METHODS["kmeans"], torch.Generator().manual_seed(0))
    seen = []

    def counted(model):
        seen.append(e_step(model, x))
        return seen[-1]

    def leap(model, stats, state):
        out, state = squarem(longest=2000.0).update(model, stats, state)
        return out, state._replace(pace=(2000.0,))

    reckless = Transform(squarem(longest=2000.0).init, leap, lambda state: state.accepted)
    r = list(islice(run(begin, counted, transform=reckless, stop=plateau(-1.0)), 60))
    assert len(seen) == len(r) == 60
    back = [i for i, step in enumerate(r) if not step.info.accepted]
    assert back, "no leap was taken back: the test does not test"
    for i in back:
        assert r[i].info.evidence == r[i - 1].info.evidence and r[i].info.gain == 0
        assert seen[i].evidence < r[i].info.stats.evidence  # at the fixed point by rounding, so exactly what it saw
        plain = m_step(r[i].model, seen[i - 1])  # the plain EM step of the last accepted model
        torch.testing.assert_close(r[i].model.components.mean, plain.components.mean)
    assert all(b >= a - 1e-12 for a, b in pairwise(step.info.evidence for step in r))


def test_a_step_taken_back_does_not_end_the_fit():
    x = overlapping()
    begin = start(x, 3, cases.STRUCTURES["VVV"], METHODS["random"], torch.Generator().manual_seed(1))
    took_back = Transform(lambda: 0, lambda _, stats, i: (stats, i + 1), lambda i: i == 1 or i > 5)
    assert last(run(begin, whole(x), transform=took_back, stop=plateau(math.inf))).i == 6


def test_overlapping_pair_needs_far_fewer_steps(transform):
    """Means +-1, both variances one: the problem of the literature. Less than a fifth of EM's."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 1, generator=rng, dtype=torch.float64)
    x[::2] += 1
    x[1::2] -= 1
    begin = start(x, 2, cases.STRUCTURES["VVV"], METHODS["kmeans"], torch.Generator().manual_seed(0))
    limit = last(run(begin, whole(x), transform=anderson(), stop=plateau(1e-14))).info.evidence
    reached = lambda step: step.info.evidence >= limit - 1e-8  # noqa: E731 - a rule in one line
    fast = last(islice(run(begin, whole(x), transform=transform, stop=reached), 100)).i
    assert fast < 100 and not reached(last(islice(run(begin, whole(x), stop=plateau(-1.0)), 5 * fast)))


def test_a_model_sent_in_forgets_the_leaps(transform):
    x = overlapping()
    begin = start(x, 3, cases.STRUCTURES["VVV"], METHODS["kmeans"], torch.Generator().manual_seed(0))
    steps = run(begin, whole(x), transform=transform, stop=plateau(-1.0))
    for _ in range(6):
        next(steps)
    steered = steps.send(begin)
    torch.testing.assert_close(steered.model.components.mean, m_step(begin, e_step(begin, x)).components.mean)


@cases.few_structures()
def test_identity_changes_nothing_and_transforms_chain(structure, transform):
    x = overlapping()
    begin = start(x, 3, structure, METHODS["kmeans"], torch.Generator().manual_seed(0))
    for plain, chained in ((identity, chain()), (transform, chain(identity, transform, identity))):
        one = list(islice(run(begin, whole(x), transform=plain, stop=plateau(-1.0)), 12))
        two = list(islice(run(begin, whole(x), transform=chained, stop=plateau(-1.0)), 12))
        assert torch.equal(one[-1].model.components.mean, two[-1].model.components.mean)
        assert [s.info.accepted for s in one] == [s.info.accepted for s in two]


@cases.few_structures()
def test_standard_errors_have_no_units(mixture, x, dtype):
    """Moved, scaled and rotated rows have the same differences in standard errors (rotated only where dense)."""
    if dtype == torch.float32:
        return
    y = x.double()
    one, two = e_step(mixture, y), e_step(m_step(mixture, e_step(mixture, y)), y)
    length = (two.components - one.components).standardised(one.components).norm()
    a = torch.diag(torch.linspace(0.5, 3, x.shape[1], dtype=y.dtype))
    if one.components.s2.ndim == 3:
        a = a + 0.3 * torch.ones_like(a).triu(1)

    def moved(s: Moments) -> Moments:
        s2 = s.s2 * a.diagonal() ** 2 if s.s2.ndim == 2 else a @ s.s2 @ a.T
        return Moments(s.w, s.s1 @ a.T, s2, origin=s.origin.double() @ a.T - 7)

    turned = (moved(two.components) - moved(one.components)).standardised(moved(one.components)).norm()
    torch.testing.assert_close(turned, length, rtol=1e-6, atol=1e-9)
    shifted = two.components.about(one.components.origin.double() + 1) - one.components
    torch.testing.assert_close(shifted.standardised(one.components).norm(), length, rtol=1e-6, atol=1e-9)


@cases.few_structures()
def test_improper_statistics_are_known(mixture, x):
    stats = e_step(mixture, x)
    assert stats.components.proper and stats.gate.proper
    for w in (-1.0, math.nan, math.inf):
        assert not stats.gate.replace(w=stats.gate.w.index_fill(0, torch.tensor(0), w)).proper
        assert not stats.components.replace(w=stats.components.w.index_fill(0, torch.tensor(0), w)).proper
    assert not stats.components.replace(s2=-stats.components.s2).proper
    dead = stats.components.w.index_fill(0, torch.tensor(0), 0.0)
    assert stats.components.replace(w=dead).proper, "a component without rows is no reason to refuse"


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="expected at least 1"):
        anderson(0)


@cases.few_structures()
def test_prior_counts(structure):
    """The guard compares evidence plus log prior: a leap that gains evidence and loses more prior is taken back."""
    x = overlapping()
    begin = start(x, 3, structure, METHODS["kmeans"], torch.Generator().manual_seed(0))

    class Anxious(type(begin.components)):
        calls = 0

        def penalty(self):
            Anxious.calls += 1
            return self.mean.new_tensor(-1e6 * Anxious.calls)  # every later model is worse

    parts = begin.components
    fields = {name: getattr(parts, name) for name in ("mean", "chol", "jitter", "origin", "structure", "ridge")}
    anxious = begin.replace(components=Anxious(**fields), gate=Constant.of(begin.weights))
    steps = list(islice(run(anxious, whole(x), transform=squarem(), stop=plateau(-1.0)), 12))
    assert sum(not step.info.accepted for step in steps) >= 3
