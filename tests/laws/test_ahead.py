"""A fit whose steps are asked for ahead of the host takes the same steps, and asks for them without waiting."""

from __future__ import annotations

from itertools import islice

import cases
import pytest
import torch

from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import Gaussian
from gmmlab.families.structures import iterated
from gmmlab.fit import Ahead, in_turn, plateau, run, squarem, whole
from gmmlab.fit.ahead import on_trust
from gmmlab.gates import Constant
from gmmlab.kernels.chunks import Chunk
from gmmlab.kernels.forms import Products, Whitened
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step


def never(_):
    return False


def both_ways(model, source, reach=8, **options):
    """The fit without and with steps ahead; `source` makes one for each."""
    ahead = Ahead(source(), reach)
    return run(model, source(), **options), run(model, ahead.source, refit=ahead.refit, **options)


def ridged(mixture, ridge=1e-6):
    return mixture.replace(components=mixture.components.replace(ridge=ridge))


def same(left, right):
    """Steps agree to the bit."""
    assert [step.i for step in left] == [step.i for step in right]
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one.model.components.mean, other.model.components.mean)
        assert torch.equal(one.model.components.chol, other.model.components.chol)
        assert torch.equal(one.model.components.jitter, other.model.components.jitter)
        assert torch.equal(one.model.gate.weights, other.model.gate.weights)
        assert type(one.model.components.form) is type(other.model.components.form)
        assert float(one.info.objective) == float(other.info.objective)
        assert float(one.info.previous) == float(other.info.previous)
        assert one.info.accepted == other.info.accepted


def taken(fits, n):
    return [list(islice(fit, n)) for fit in fits]


@pytest.mark.parametrize("reach", [3, 8])
def test_same_steps(structure, reach, rng):
    x = cases.blobs(rng)
    mixture = ridged(cases.random_mixture(structure, x, 3, rng))
    same(*taken(both_ways(mixture, lambda: whole(x), reach, stop=never), 9))


@pytest.mark.parametrize("name", cases.DATA)
def test_same_steps_on_all_data(name, rng, dtype):
    x = cases.DATA[name].make(rng).to(dtype)
    mixture = ridged(cases.random_mixture(cases.STRUCTURES["VVV"], x, 2, rng))
    same(*taken(both_ways(mixture, lambda: whole(x), stop=never), 4))


def test_same_end(structure, rng):
    x = cases.blobs(rng)
    mixture = ridged(cases.random_mixture(structure, x, 3, rng))
    one, other = taken(both_ways(mixture, lambda: whole(x), stop=plateau(1e-3)), 200)
    same(one, other)
    assert len(one) < 200


@pytest.mark.parametrize("family", [name for name in cases.FAMILIES if name.startswith("gaussian")])
@pytest.mark.parametrize("gate", cases.GATES)
def test_same_steps_with_priors_noise_and_weights(family, gate, rng):
    x = cases.blobs(rng)
    weight = torch.rand(len(x), generator=rng, dtype=torch.float64)
    model = Mixture(cases.FAMILIES[family](x, 2, rng), cases.GATES[gate](x, 2))
    same(*taken(both_ways(model, lambda: whole(x, weight), stop=never), 12))


def test_other_families_are_refused(rng):
    x = cases.blobs(rng)
    model = Mixture(cases.FAMILIES["student, full"](x, 2, rng), cases.GATES["constant"](x, 2))
    with pytest.raises(TypeError, match="Student"):
        Ahead(whole(x)).source(model)


def test_few_looks(rng):
    """Eight steps between two of them, once the fit is under way; none is asked for twice."""
    x = cases.blobs(rng)
    asked = []
    ahead = Ahead(lambda model: asked.append(model) or e_step(model, x))
    start = ridged(cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng))
    counts = [len(asked) for _ in islice(run(start, ahead.source, refit=ahead.refit, stop=never), 23)]
    assert counts == [1] + 2 * [3] + 4 * [7] + 8 * [15] + 8 * [23]
    assert len(set(map(id, asked))) == 23


def test_looks_when_a_covariance_has_no_factor(rng):
    """A column twice needs jitter: the amounts are those of a fit that looks each time."""
    a = torch.randn(200, 1, generator=rng, dtype=torch.float64)
    x = torch.cat([a, a], dim=1)
    start = cases.random_mixture(cases.STRUCTURES["VVV"], x, 2, rng)
    one, other = taken(both_ways(start, lambda: whole(x), stop=never), 9)
    assert sum(float(step.model.components.jitter.max()) > 0 for step in one) > 1
    same(one, other)


def test_refuses_at_the_same_step(rng):
    """What cannot be factored raises, and not before the steps that could be taken are."""
    x = torch.cat([torch.randn(50, 1, generator=rng), torch.full((5, 1), 64.0)]).double()
    mean, cov = torch.tensor([[0.0], [64.0]]).double(), torch.full((2, 1, 1), 900.0).double()
    origin = torch.zeros(1, dtype=torch.float64)  # so that the variance of equal rows is zero without rounding
    start = Mixture(Gaussian.of(mean, cov, cases.STRUCTURES["VVI"], origin=origin), Constant.of(torch.ones(2)))
    ends: list[list] = []
    for fit in both_ways(start, lambda: whole(x), stop=never):
        ends.append([])
        with pytest.raises(NotPositiveDefinite, match="Component 1 of 2"):
            ends[-1].extend(islice(fit, 50))
    assert len(ends[0]) > 1
    same(*ends)


@pytest.mark.parametrize("pace", [60.0, -60.0])
def test_looks_when_the_form_must_change(pace, rng):
    """Rows that wander away from the origin, or towards it, need another form of the kernel on the way."""
    x = torch.randn(100, 2, generator=rng, dtype=torch.float64)
    eye = torch.eye(2, dtype=torch.float64).expand(1, 2, 2)
    begin = 0.0 if pace > 0 else 900.0
    mean = begin + torch.randn(1, 2, generator=rng, dtype=torch.float64)
    start = Mixture(Gaussian.of(mean, eye, origin=x.mean(0)), Constant.of(torch.ones(1)))

    def wandering():
        shifts = (begin + pace * i for i in range(1, 100))
        return lambda model: e_step(model, x + next(shifts))

    # stateful, as no source of a fit that runs ahead should be: whatever is asked in vain would show
    one, other = taken(both_ways(start, wandering, reach=1, stop=never), 14)
    forms = [type(step.model.components.form) for step in one]
    assert len(set(forms)) == 2 and (forms[-1] is Whitened) == (pace > 0)
    same(one, other)


def test_a_model_sent_in_is_taken_up_at_once(rng):
    x = cases.blobs(rng)
    start = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng)
    ends = []
    for steps in both_ways(start, lambda: whole(x), stop=never):
        list(islice(steps, 5))
        ends.append([steps.send(start), *islice(steps, 4)])
    same(*ends)
    assert ends[0][0].info.previous == -torch.inf


def test_leaps_are_taken_all_the_same(rng):
    x = cases.blobs(rng)
    start = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng)
    same(*taken(both_ways(start, lambda: whole(x), transform=squarem(), stop=never), 15))


def test_ends_with_its_rows(rng):
    x = cases.blobs(rng)
    start = ridged(cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng))
    ends = taken(both_ways(start, lambda: in_turn([Chunk(part) for part in x.split(60)]), stop=never), 50)
    assert len(ends[0]) == 5
    same(*ends)


def test_asks_for_steps_without_waiting(structure, rng):
    """On the meta device there are no numbers, so that any look at one is an error; so is any tensor left behind."""
    if type(structure).__module__ == iterated.__name__:
        pytest.skip("its refit looks whether its iterations have settled")
    x = cases.blobs(rng)
    mixture = ridged(cases.random_mixture(structure, x, 3, rng))
    form = mixture.components.form
    mixture, x = mixture.to("meta"), x.to("meta")
    mixture = mixture.replace(components=mixture.components.with_form(form))
    for _ in range(3):
        stats = e_step(mixture, x)
        mixture = on_trust(mixture, stats)
        assert mixture.components.doubtful.device.type == stats.score.device.type == "meta"
    with pytest.raises(RuntimeError, match="meta"):
        m_step(mixture, stats)


def test_does_not_wait_for_a_gpu(structure, rng, device, dtype):
    """The same on a real one, where torch itself watches."""
    if device.type != "cuda":
        pytest.skip("needs --device cuda; test_asks_for_steps_without_waiting stands for it here")
    if structure.name not in {"EII", "VII", "EEI", "VVI", "EVI", "EEE", "VVV", "EVV"}:
        pytest.skip("its refit looks: at its iterations, or inside torch at its eigenvalues")
    x = cases.blobs(rng).to(device, dtype)
    mixture = ridged(cases.random_mixture(structure, x.cpu(), 3, rng).to(device))
    stats = e_step(mixture, x)  # compiles, and fills what is kept
    on_trust(mixture, stats).components.doubtful.item()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            mixture = on_trust(mixture, e_step(mixture, x))
            _ = mixture.components.doubtful
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_doubt_is_about_factor_and_form(rng):
    x = cases.blobs(rng)
    sure = cases.random_mixture(cases.STRUCTURES["VVV"], x, 3, rng).components
    assert isinstance(sure.form, Products) and not sure.doubtful
    assert sure.with_form(Whitened()).doubtful
    assert sure.replace(jitter=torch.tensor([0.0, torch.inf, 0.0]).double()).doubtful
    assert sure.replace(mean=sure.mean + 1e4).with_form(sure.form).doubtful
