"""Laws of semi-supervised fits: the sum over labels is exact, and knowing nothing changes nothing."""

from __future__ import annotations

from itertools import islice, pairwise, product

import cases
import pytest
import torch

from gmmlab.errors import BadData
from gmmlab.families import Diagonal, Full
from gmmlab.families.structures import Iterated
from gmmlab.fit import plateau, run, supervised, whole
from gmmlab.fit.missing import observed
from gmmlab.gates import Noisy, Stacked
from gmmlab.init import from_labels
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.links import labelled, woven
from gmmlab.model import Mixture
from gmmlab.steps import m_step

never = plateau(-1.0)


def by_hand(model, x, facts, weight=None):
    """log p(x, E) and the probabilities of the labels, by a sum over all ways to label the rows."""
    labels, must, cannot = facts
    table = torch.cat([model.gate.outcomes(table) for table in model.tables(x)]).double()
    n, j = table.shape
    weight = torch.ones(n, dtype=torch.float64) if weight is None else weight
    ways = torch.tensor(
        [
            z
            for z in product(range(j), repeat=n)
            if all(known < 0 or z[i] == known for i, known in enumerate(labels))
            and all(z[a] == z[b] for a, b in must)
            and all(z[a] != z[b] or z[a] == model.k for a, b in cannot)
        ]
    )
    log_p = (weight[:, None] * table).gather(1, ways.T).sum(0)
    share = (log_p - torch.logsumexp(log_p, 0)).exp()
    return torch.logsumexp(log_p, 0), (torch.nn.functional.one_hot(ways, j) * share[:, None, None]).sum(0)


FACTS = {
    "labels": ([0, 2, -1, -1, 1, -1, -1], [], []),
    "alike": ([-1] * 7, [(0, 3), (3, 5)], []),
    "unlike": ([-1] * 7, [], [(0, 3), (1, 2)]),
    "a tree": ([-1] * 7, [], [(0, 1), (0, 2), (2, 3), (2, 4)]),
    "a triangle and a tail": ([-1] * 7, [], [(0, 1), (1, 2), (2, 0), (2, 3)]),
    "a cycle of five": ([-1] * 7, [], [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]),
    "all together": ([1, -1, -1, -1, -1, 0, -1], [(0, 6), (1, 2), (3, 4), (3, 3)], [(1, 3), (4, 6), (2, 5), (1, 4)]),
}


@pytest.mark.parametrize("noise", [0.0, 0.3], ids=["without noise", "with noise"])
@pytest.mark.parametrize("weighted", [False, True], ids=["once", "weighted"])
@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS.keys())
def test_it_is_the_sum_over_all_ways_to_label(facts, weighted, noise, rng):
    x = cases.blobs(rng, n=7, d=2, spread=0.5)
    model = cases.random_mixture(Full(), x, 3, rng)
    if noise:
        model = model.replace(gate=Noisy.around(x, model.weights, noise))
    labels, must, cannot = facts
    # a weight that is not one says that a row is there several times, and alone it need not be like itself
    told = {i for i, label in enumerate(labels) if label >= 0} | {i for pair in must + cannot for i in pair}
    weight = torch.tensor([0.5 + i if i in told else 1.0 for i in range(7)], dtype=torch.float64) if weighted else None
    evidence, share = by_hand(model, x, facts, weight)
    source = supervised(x, torch.tensor(labels), must=must, cannot=cannot, weight=weight)
    posterior, stats = source.posterior(model), source(model)
    torch.testing.assert_close(posterior.resp, share[:, :3])
    torch.testing.assert_close(posterior.evidence.sum(), evidence)
    torch.testing.assert_close(stats.evidence, evidence)
    w = share if weight is None else share * weight[:, None]
    torch.testing.assert_close(stats.gate.w, w[:, :3].sum(0))
    torch.testing.assert_close(stats.components.w, w[:, :3].sum(0))
    torch.testing.assert_close(stats.components.about(torch.zeros_like(x[0])).s1, w[:, :3].T @ x)
    assert float(stats.n) == pytest.approx(7 if weight is None else float(weight.sum()))
    if noise:
        torch.testing.assert_close(posterior.none, share[:, 3])
        torch.testing.assert_close(stats.gate.none, w[:, 3].sum())


@pytest.mark.parametrize("noise", [0.0, 0.3], ids=["without noise", "with noise"])
@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS.keys())
def test_of_classes_it_is_the_sum_over_all_ways_to_class(facts, noise, rng):
    x = cases.blobs(rng, n=7, d=2, spread=0.5)
    model = cases.random_mixture(Full(), x, 4, rng)
    inner = Noisy.around(x, model.weights, noise) if noise else model.gate
    gate = cases.classes(inner)
    model, (table,) = model.replace(gate=gate), model.tables(x)
    joint = inner.joint(table)[:, :, None] + gate.log_beta  # row, component, class
    plain = torch.cat([torch.logsumexp(joint, 1), inner.outcomes(table)[:, 4:]], 1)
    labels, must, cannot = facts
    ways = [
        z
        for z in product(range(plain.shape[1]), repeat=7)
        if all(known < 0 or z[i] == known for i, known in enumerate(labels))
        and all(z[a] == z[b] for a, b in must)
        and all(z[a] != z[b] or z[a] == 3 for a, b in cannot)
    ]
    log_p = plain.gather(1, torch.tensor(ways).T).sum(0)
    each = (log_p - torch.logsumexp(log_p, 0)).exp()[:, None, None]
    share = (torch.nn.functional.one_hot(torch.tensor(ways), plain.shape[1]) * each).sum(0)
    source = supervised(x, torch.tensor(labels), must=must, cannot=cannot)
    stats, posterior = source(model), source.posterior(model)
    torch.testing.assert_close(posterior.resp, share[:, :3])
    torch.testing.assert_close(stats.evidence, torch.logsumexp(log_p, 0))
    both = torch.softmax(joint, 1) * share[:, None, :3]  # P(component, class | all)
    torch.testing.assert_close(stats.components.w, both.sum((0, 2)))
    known = torch.tensor([i for i in range(7) if labels[i] >= 0 or any(i in pair for pair in must + cannot)])
    torch.testing.assert_close(stats.gate.classes, both[known].sum(0))
    latent = source(model.replace(gate=gate.replace(latent=True)))
    torch.testing.assert_close(latent.gate.classes, both.sum(0))


@cases.few_structures()
def test_knowing_nothing_changes_nothing(mixture, x):
    known, plain = supervised(x, torch.full((len(x),), -1)), whole(x)
    assert torch.equal(known(mixture).components.s2, plain(mixture).components.s2)
    assert torch.equal(known(mixture).evidence, plain(mixture).evidence)


@cases.few_structures()
def test_with_all_labels_one_step_is_the_fit_of_the_classes(structure, x, dtype, tol):
    labels = torch.arange(len(x)) % 3
    start = cases.random_mixture(structure, x, 3, torch.Generator().manual_seed(1))
    step = next(run(start, supervised(x, labels), stop=never))
    expected = from_labels(x, labels, structure)
    torch.testing.assert_close(step.model.components.mean, expected.components.mean, rtol=10 * tol, atol=10 * tol)
    torch.testing.assert_close(step.model.weights, expected.weights, rtol=10 * tol, atol=10 * tol)
    if not isinstance(structure, Iterated):
        torch.testing.assert_close(step.model.components.cov, expected.components.cov, rtol=10 * tol, atol=10 * tol)


def facts_of(n, k, rng):
    """Some labels, and links that are true to hidden ones."""
    hidden = torch.arange(n) % k
    labels = torch.where(torch.rand(n, generator=rng) < 0.05, hidden, -1)
    pairs = torch.randint(n, (60, 2), generator=rng)
    same = hidden[pairs[:, 0]] == hidden[pairs[:, 1]]
    return labels, pairs[same], pairs[~same][:12]


def climbs(model, source, tol, n=6):
    steps = list(islice(run(model, source, stop=never), n))
    trace = [float(step.info.objective) for step in steps]
    assert all(after >= before - tol * abs(before) for before, after in pairwise(trace))
    return steps


@cases.few_structures()
def test_the_evidence_never_falls(mixture, x, rng, tol):
    labels, must, cannot = facts_of(len(x), mixture.k, rng)
    source = supervised(x, labels, must=must, cannot=cannot)
    end = climbs(mixture, source, tol)[-1].model
    resp = source.posterior(end).resp
    told = labels >= 0
    assert torch.equal(resp[told].argmax(1).cpu(), labels[told]) and bool((resp[told].amax(1) == 1).all())
    torch.testing.assert_close(resp[must[:, 0]], resp[must[:, 1]])


ASSIGNING = cases.GATES | cases.TOLD


@pytest.mark.parametrize("gate", ASSIGNING)
@pytest.mark.parametrize("family", cases.FAMILIES)
def test_every_family_and_gate_climbs(family, gate, rng):
    x = cases.blobs(rng, d=4)
    model = Mixture(cases.FAMILIES[family](x, 3, rng), ASSIGNING[gate](x, 3))
    labels, must, cannot = facts_of(len(x), 3, rng)
    climbs(model, supervised(x, labels, must=must, cannot=cannot), 1e-10)


def test_the_order_of_the_rows_does_not_matter(rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(Full(), x, 3, rng)
    labels, must, cannot = facts_of(len(x), 3, rng)
    order = torch.randperm(len(x), generator=rng)
    at = order.argsort()
    here = supervised(x, labels, must=must, cannot=cannot)(model)
    there = supervised(x[order], labels[order], must=at[must], cannot=at[cannot])(model)
    cases.close(there, here, 1e-12)


def test_a_row_of_weight_two_is_two_rows_alike(rng):
    x = cases.blobs(rng, n=30)
    model = cases.random_mixture(Full(), x, 3, rng)
    labels = torch.full((30,), -1)
    labels[3] = 1
    weight = torch.ones(30, dtype=torch.float64)
    weight[[3, 5, 9]] = 2.0
    twice = torch.cat([x, x[[3, 5, 9]]])
    one = supervised(x, labels, cannot=[(5, 6)], weight=weight)(model)
    two = supervised(twice, torch.cat([labels, labels[[3, 5, 9]]]), must=[(5, 31)], cannot=[(5, 6)])(model)
    cases.close(one, two, 1e-12)


@pytest.mark.parametrize("structure", [Full(), Diagonal()], ids=lambda s: s.name)
def test_rows_may_have_gaps(structure, rng):
    x = cases.blobs(rng)
    model = cases.random_mixture(structure, x, 3, rng)
    labels, must, cannot = facts_of(len(x), 3, rng)
    x = torch.where(torch.rand(x.shape, generator=rng) < 0.3, torch.nan, x)
    cases.close(supervised(x)(model), observed(x)(model), 1e-12)
    source = supervised(x, labels, must=must, cannot=cannot)
    climbs(model, source, 1e-10)
    posterior = source.posterior(model)
    torch.testing.assert_close(posterior.resp.sum(0), source(model).gate.w)
    torch.testing.assert_close(posterior.evidence.sum(), source(model).evidence)


def test_labels_far_from_their_component_are_kept(rng):
    """A thousand standard deviations away, where densities underflow."""
    x = torch.tensor([[0.0], [1.0], [1000.0], [1001.0], [1000.5]], dtype=torch.float64)
    model = from_labels(x, torch.tensor([0, 0, 1, 1, 1]), Full())
    source = supervised(x, torch.tensor([1, -1, -1, -1, -1]), must=[(2, 3)], cannot=[(2, 4)])
    posterior = source.posterior(model)
    assert posterior.resp[0].tolist() == [0, 1] and bool(torch.isfinite(posterior.evidence).all())
    torch.testing.assert_close(posterior.resp[2] + posterior.resp[4], torch.ones(2, dtype=torch.float64))


def test_rows_of_weight_zero_say_nothing(rng):
    x = cases.blobs(rng, n=30)
    model = cases.random_mixture(Full(), x, 3, rng)
    labels = torch.where(torch.arange(30) < 3, torch.arange(30), -1)
    weight = torch.where(torch.arange(30) % 3 > 0, 1.0, 0.0).double()
    seen = (weight > 0).nonzero().flatten().tolist()
    here = supervised(x, labels, must=[(1, 9), (9, 10)], cannot=[(4, 6), (4, 5)], weight=weight)(model)
    there = supervised(x[seen], labels[seen], must=[(0, 6)], cannot=[(2, 3)])(model)
    torch.testing.assert_close(here.gate.w, there.gate.w)
    torch.testing.assert_close(here.components.s1, there.components.s1)


def test_a_component_without_weight_can_be_given_rows(rng):
    x = cases.blobs(rng, n=20)
    model = cases.random_mixture(Full(), x, 2, rng)
    model = model.replace(gate=type(model.gate).of(torch.tensor([1.0, 0.0])))
    labels = torch.full((20,), -1)
    labels[:6] = 1
    after = m_step(model, supervised(x, labels, must=[(8, 9)])(model))
    assert float(after.weights[1]) == pytest.approx(0.3)


def test_the_most_doubtful_row_is_asked_for_first(rng):
    x = torch.tensor([[-3.0], [-2.0], [0.1], [0.0], [2.0], [3.0]], dtype=torch.float64)
    model = from_labels(torch.tensor([[-3.0], [-1.0], [1.0], [3.0]]).double(), torch.tensor([0, 0, 1, 1]), Full())
    none = torch.full((6,), -1)
    assert supervised(x, none).unsure(model, 3).tolist() == [3, 2, 1]
    told = none.clone()
    told[3] = 0
    assert supervised(x, told).unsure(model).tolist() == [2]
    assert supervised(x, none, must=[(2, 3)]).unsure(model, 2).tolist() == [2, 1]  # one of the two will do
    assert len(supervised(x, torch.zeros(6, dtype=torch.int64)).unsure(model)) == 0


def test_contradictions_are_named_before_any_work(rng):
    x = cases.blobs(rng, n=10)
    labels = torch.tensor([0, 1, 1, -1, -1, -1, -1, -1, -1, -1])
    for options, message in [
        ({"must": [(0, 3), (3, 1)]}, "Row 0 has the label 0 and row 1 the label 1, but must-links"),
        ({"must": [(4, 5)], "cannot": [(5, 4)]}, "rows 5 and 4 are unlike, but must-links"),
        ({"cannot": [(6, 6)]}, "rows 6 and 6 are unlike"),
        ({"must": [(4, 2)], "cannot": [(1, 4)]}, "rows 1 and 4 are unlike, but both have the label 1"),
        ({"must": [(0, 10)]}, r"must-link is \(0, 10\); expected two rows, numbered 0 to 9"),
        ({"cannot": [(0, 1, 2)]}, "expected two rows"),
    ]:
        with pytest.raises(BadData, match=message):
            supervised(x, labels, **options)
    with pytest.raises(BadData, match="expected a whole number for each of 10 rows"):
        supervised(x, labels[:5])
    with pytest.raises(BadData, match="Row 0 has the label -3"):
        supervised(x, labels - 3)


def test_what_a_model_cannot_keep_is_named(rng):
    x = cases.blobs(rng, n=12)
    model = cases.random_mixture(Full(), x, 2, rng)
    with pytest.raises(BadData, match="Row 3 has the label 2; expected one of the 2 components"):
        supervised(x, torch.where(torch.arange(12) == 3, 2, -1))(model)
    with pytest.raises(BadData, match="No labels of 2 components keep all links and labels of rows 1, 2, 3;"):
        supervised(x, cannot=[(1, 2), (2, 3), (3, 1)])(model)
    with pytest.raises(BadData, match="No labels of 2 components"):
        supervised(x, torch.tensor([0, 1] + [-1] * 10), cannot=[(0, 5), (1, 5)])(model)
    everyone = [(i, j) for i in range(12) for j in range(i)]
    with pytest.raises(BadData, match=r"tie the rows 0, 1, 2, 3, 4, 5, \.\.\. together so densely .* 4\^12 numbers"):
        supervised(x, cannot=everyone)(cases.random_mixture(Full(), x, 4, rng))
    stack = model.replace(gate=Stacked(torch.zeros(2, dtype=torch.float64), Groups((1, 1))))
    with pytest.raises(TypeError, match="no single choice"):
        supervised(x, cannot=[(0, 1)])(stack)


def test_long_chains_are_cheap(rng):
    """3^200 ways to label, and none lost."""
    (web, order), *others = woven([(i, i + 1) for i in range(199)])
    assert web.width == 2 and not others and sorted(order) == list(range(200))
    resp, log_z = labelled(torch.zeros(1, 200, 3, dtype=torch.float64), web, torch.zeros(3, dtype=torch.bool))
    expected = torch.tensor(3.0).double().log() + 199 * torch.tensor(2.0).double().log()
    torch.testing.assert_close(log_z[0], expected)
    torch.testing.assert_close(resp, torch.full_like(resp, 1 / 3))


def test_the_price_of_a_web_is_known_beforehand():
    ring = [(i, (i + 1) % 9) for i in range(9)]
    star = [(0, i) for i in range(1, 9)]
    clique = [(i, j) for i in range(5) for j in range(i)]
    assert [woven(edges)[0][0].width for edges in (ring, star, clique)] == [3, 2, 5]
