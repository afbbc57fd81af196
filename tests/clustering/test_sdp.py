"""Semidefinite clustering: the identity it rests on, feasible points, bounds that hold, and partitions."""

from __future__ import annotations

import itertools
import math

import cvxpy
import numpy as np
import pytest
import torch

from gmmlab import GaussianMixture
from gmmlab.clustering import SDPClustering
from gmmlab.clustering.sdp.admm import admm
from gmmlab.clustering.sdp.affinities import Affinities
from gmmlab.clustering.sdp.lowrank import low_rank
from gmmlab.clustering.sdp.relaxed import memberships
from gmmlab.clustering.sdp.rounding import filled, largest, spectral
from gmmlab.clustering.sdp.rounds import Refit, rounds, shrinkage
from gmmlab.errors import BadData
from gmmlab.families import EIGEN, Full
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.kernels.spectral import SPARE, Lower

EII = next(structure for structure in EIGEN if structure.name == "EII")
VVI = next(structure for structure in EIGEN if structure.name == "VVI")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def groups(n: int = 24, d: int = 2, k: int = 3, apart: float = 4.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of k groups of different shape, their means `apart` from each other, and their labels."""
    g = rng(seed)
    y = torch.arange(n) % k
    turns = torch.linalg.qr(torch.randn(k, d, d, generator=g, dtype=torch.float64)).Q
    roots = turns * torch.exp(torch.rand(k, 1, d, generator=g, dtype=torch.float64) * math.log(4) - math.log(2))
    angle = 2 * math.pi * torch.arange(k) / k
    centres = torch.zeros(k, d, dtype=torch.float64)
    centres[:, 0], centres[:, 1] = angle.cos(), angle.sin()
    noise = torch.randn(n, d, generator=g, dtype=torch.float64)
    return apart / 3**0.5 * centres[y] + (roots[y] @ noise[:, :, None]).squeeze(-1), y


def problem(structure=Full(), **options) -> tuple[torch.Tensor, torch.Tensor, Refit, Affinities]:  # noqa: B008
    x, y = groups(**options)
    refit = Refit(x, int(y.max()) + 1, structure, shrinkage(x.shape[1]), 0.0)
    return x, y, refit, Affinities.of(x, refit.partition(y).model.gaussian)


def counts(n: int, seed: int = 2) -> torch.Tensor:
    """Weights of 1 to 3."""
    return torch.randint(1, 4, (n,), generator=rng(seed)).double()


def last(steps):
    *_, end = steps
    return end


@pytest.mark.parametrize("structure", [Full(), VVI], ids=["dense", "along axes"])
def test_the_objective_of_a_partition_is_its_profiled_likelihood(structure):
    x, y, refit, a = problem(structure)
    gaussian = refit.partition(y).model.gaussian
    other = torch.randint(0, 3, (len(x),), generator=rng(1))
    for labels in (y, other):
        means = torch.stack([x[labels == k].mean(0) for k in range(3)])
        exact = torch.distributions.MultivariateNormal(means[labels], gaussian.cov[labels]).log_prob(x).sum()
        assert refit.likelihood(a, labels) == pytest.approx(float(exact), abs=1e-9)
        dense = sum(h @ a.dense()[k] @ h / h.sum() for k, h in enumerate(torch.eye(3)[labels].double().T))
        assert a.of_labels(labels) == pytest.approx(float(dense), abs=1e-9)
    assert refit.partition(y).likelihood == pytest.approx(refit.likelihood(a, y), abs=1e-9)


def test_affinities_act_without_their_matrices():
    _, _, _, a = problem()
    u = torch.rand(3, a.n, 2, generator=rng(), dtype=torch.float64)
    torch.testing.assert_close(a.times(u), a.dense() @ u)
    assert a.value(u) == pytest.approx(float((a.dense() * (u @ u.mT)).sum()))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("common", [False, True], ids=["adjusted", "of k-means"])
def test_a_general_solver_agrees(common, weighted):
    x, y, refit, _ = problem(n=15)
    weight = counts(15) / 3 if weighted else torch.ones(15, dtype=torch.float64)
    a = (Affinities.common if common else Affinities.of)(x, refit.partition(y).model.gaussian, weight)
    dense, r = a.dense().numpy(), weight.sqrt().numpy()
    z = [cvxpy.Variable((a.n, a.n), PSD=True) for _ in dense]
    met = [sum(z) @ r == r] + [cvxpy.trace(one) == a.trace for one in z] + [one >= 0 for one in z]
    task = cvxpy.Problem(cvxpy.Maximize(sum(cvxpy.trace(ak @ zk) for ak, zk in zip(dense, z, strict=True))), met)
    optimum = task.solve(solver="CLARABEL")
    end = last(admm(1e-7)(a, a.factor(y)))
    assert end.value == pytest.approx(optimum, rel=1e-4)
    assert end.bound == pytest.approx(optimum, rel=1e-4)
    assert end.bound >= optimum - 1e-6 * abs(optimum)


@pytest.mark.parametrize("common", [False, True], ids=["adjusted", "of k-means"])
def test_points_are_feasible_and_bounds_hold_in_every_round(common):
    x, y, refit, a = problem(n=30)
    if common:
        a = Affinities.common(x, refit.partition(y).model.gaussian)
    points = list(admm(1e-6)(a, a.factor(y)))
    u = points[-1].u
    z = u @ u.mT
    torch.testing.assert_close(memberships(u, a.root).sum(0), torch.ones(30, dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(u.square().sum((1, 2)), torch.full((len(u),), a.trace).double(), atol=1e-4, rtol=0)
    assert float(z.min()) > -1e-5
    assert all(point.bound >= points[-1].value - 1e-4 for point in points)
    assert all(point.bound >= a.of_labels(y) for point in points)


def test_no_partition_is_above_the_bound():
    x, y, refit, _ = problem(n=9, k=2, apart=2.0)
    a = Affinities.of(x, refit.partition(y).model.gaussian)
    end = last(admm(1e-6)(a, a.factor(y)))
    every = (torch.tensor(labels) for labels in itertools.product(range(2), repeat=9) if 0 < sum(labels) < 9)
    assert max(a.of_labels(labels) for labels in every) <= end.bound + 1e-9


def test_with_equal_covariances_both_relaxations_have_one_optimum():
    x, y, refit, _ = problem(EII)
    gaussian = refit.partition(y).model.gaussian
    adjusted, common = Affinities.of(x, gaussian), Affinities.common(x, gaussian)
    ends = [last(admm(1e-6)(a, a.factor(y))) for a in (adjusted, common)]
    assert ends[0].value == pytest.approx(ends[1].value, rel=1e-4)
    labels = spectral(adjusted, ends[0].u, x, rng())
    assert adjusted_rand(labels, spectral(common, ends[1].u, x, rng())) == 1


@pytest.mark.parametrize("seed", range(3))
def test_factors_reach_what_matrices_reach(seed):
    x, y, _, a = problem(n=45, apart=6.0, seed=seed)
    full, thin = last(admm(1e-5)(a, a.factor(y))), last(low_rank(3, 1e-5, rng())(a, a.factor(y)))
    assert float(thin.u.min()) >= 0
    assert thin.value == pytest.approx(full.value, rel=2e-3, abs=2e-2)
    assert thin.value <= full.bound + 1e-3 * abs(full.bound)
    rounded = [a.of_labels(spectral(a, end.u, x, rng())) for end in (full, thin)]
    assert rounded[1] >= rounded[0] - 1e-9


def test_the_gradient_of_the_lagrangian():
    from gmmlab.clustering.sdp.lowrank import _Lagrangian

    x, y, refit, _ = problem()
    a = Affinities.of(x, refit.partition(y).model.gaussian, counts(len(x)))
    u = torch.rand(3, a.n, 2, generator=rng(), dtype=torch.float64).requires_grad_()
    y, t = torch.randn(a.n, generator=rng(), dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    f = _Lagrangian(a, a.unit, 2.0, y, t, 10.0)
    rows, traces = f.broken(u)
    value = -(a.dense() * (u @ u.mT)).sum() / 2 + y @ rows + 5 / a.n * rows.square().sum() + (t * traces).sum()
    value = value + 5 * traces.square().sum()
    value.backward()
    seen, gradient = f.with_gradient(u.detach())
    assert seen == pytest.approx(value.item())
    torch.testing.assert_close(gradient, u.grad)


def symmetric(values: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """A matrix with these eigenvalues for each row of them."""
    k, n = values.shape
    turns = torch.linalg.qr(torch.randn(k, n, n, generator=rng(seed), dtype=torch.float64)).Q
    return (turns * values[:, None]) @ turns.mT


def negative(a: torch.Tensor) -> torch.Tensor:
    """The negative part of symmetric matrices, out of all eigenvectors."""
    values, vectors = torch.linalg.eigh(a)
    return (vectors * values.clamp(max=0)[:, None]) @ vectors.mT


@pytest.mark.parametrize("below", [(0, 0), (3, 1), (40, 7), (60, 60)], ids=str)
def test_the_negative_part_is_whole(below):
    values = torch.linspace(1, 2, 60, dtype=torch.float64).repeat(2, 1)
    for row, count in zip(values, below, strict=True):
        row[:count] -= 3
    a = symmetric(values)
    lower = Lower.of(a)
    torch.testing.assert_close(-lower.root @ lower.root.mT, negative(a))
    assert lower.root.shape[2] == max(below)
    assert lower.m <= min(60, max(below) + SPARE)


def test_the_negative_part_follows_matrices_that_settle():
    a = symmetric(torch.cat([torch.tensor([-90.0, -2, -0.1]), torch.linspace(0.02, 2, 57)]).double().repeat(2, 1))
    move = symmetric(torch.linspace(-1, 1, 60).double().repeat(2, 1), 1)
    lower, wrong = Lower.of(a + move), []
    for i in range(1, 60):
        now = a + 0.7**i * move
        lower = lower.moved(now)
        wrong.append(float((negative(now) + lower.root @ lower.root.mT).norm()))
    assert wrong[-1] < 1e-6
    assert wrong[-1] < 1e-3 * wrong[9]


def test_more_negative_eigenvalues_than_can_be_followed_are_found():
    a = symmetric(torch.linspace(1, 2, 60, dtype=torch.float64).repeat(2, 1))
    lower = Lower.of(a).moved(-a)
    torch.testing.assert_close(lower.root @ lower.root.mT, a)


@pytest.mark.parametrize("apart", [3.0, 6.0])
def test_following_eigenvectors_takes_as_many_rounds_as_finding_them(apart, monkeypatch):
    _, y, _, a = problem(n=48, apart=apart)
    near = last(admm(1e-4)(a, a.factor(y)))
    monkeypatch.setattr(Lower, "moved", lambda self, a: Lower.of(a, self.m))
    exact = last(admm(1e-4)(a, a.factor(y)))
    assert near.rounds <= 1.1 * exact.rounds + 20
    assert near.value == pytest.approx(exact.value, rel=1e-5)
    assert near.bound == pytest.approx(exact.bound, rel=1e-5)


def test_soft_covariances_of_a_partition_are_its_hard_ones():
    _, y, refit, a = problem()
    hard, soft = refit.partition(y).model, refit.soft(a.factor(y))
    torch.testing.assert_close(hard.gaussian.cov, soft.gaussian.cov)
    torch.testing.assert_close(hard.gaussian.mean, soft.gaussian.mean)


def test_soft_covariances_are_those_of_pairs():
    x, y, refit, a = problem()
    u = last(low_rank(2, 1e-3, rng())(a, a.factor(y))).u
    z, plain = u @ u.mT, refit._replace(shrink=shrinkage(2, 0.0))
    apart = x[:, None] - x
    pairs = torch.einsum("kij,ijd,ije->kde", z, apart, apart) / (2 * z.sum((1, 2)))[:, None, None]
    torch.testing.assert_close(plain.soft(u).gaussian.cov, pairs)


@pytest.mark.parametrize("kind", [Affinities.of, Affinities.common], ids=["adjusted", "of k-means"])
def test_whole_weights_are_copies_of_rows(kind):
    x, y, refit, _ = problem(n=20)
    weight = counts(20)
    copies = weight.long()

    def copied(rows, dim=0):
        return rows.repeat_interleave(copies, dim)

    several, refit = refit._replace(x=copied(x)), refit._replace(weights=weight)
    one, other = refit.partition(y), several.partition(copied(y))
    torch.testing.assert_close(one.model.gaussian.cov, other.model.gaussian.cov)
    torch.testing.assert_close(one.model.weights, other.model.weights)
    assert one.likelihood == pytest.approx(other.likelihood)
    a, b = kind(x, one.model.gaussian, weight), kind(several.x, one.model.gaussian)
    some = torch.randint(0, 3, (20,), generator=rng(1))
    assert a.of_labels(some) == pytest.approx(b.of_labels(copied(some)))
    end, full = last(admm(1e-6)(a, a.factor(y))), last(admm(1e-6)(b, b.factor(copied(y))))
    assert end.value == pytest.approx(full.value, rel=1e-4)
    u = copied(end.u / a.root[:, None], 1)
    assert b.value(u) == pytest.approx(a.value(end.u))
    torch.testing.assert_close(copied(memberships(end.u, a.root), 1), memberships(u, b.root))
    torch.testing.assert_close(memberships(end.u, a.root).sum(0), torch.ones(20).double(), atol=1e-4, rtol=0)
    if kind == Affinities.of:
        torch.testing.assert_close(several.soft(u).gaussian.cov, refit.soft(end.u).gaussian.cov)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"adjust": False},
        {"solver": "low_rank"},
        {"solver": "low_rank", "certify": True},
        {"update": "soft"},
        {"rounding": "argmax"},
    ],
    ids=str,
)
def test_clusters_of_weighted_rows_are_those_of_copies(options):
    x, _ = groups(n=26, apart=6.0)
    weight = counts(26)
    copies = weight.long()
    one = SDPClustering(3, random_state=0, **options).fit(x, sample_weight=weight)
    other = SDPClustering(3, random_state=0, **options).fit(x.repeat_interleave(copies, 0))
    assert one.objective_ == pytest.approx(other.objective_)
    assert adjusted_rand(one.labels_.repeat_interleave(copies), other.labels_) == 1
    torch.testing.assert_close(one.mixture_.weights.sort().values, other.mixture_.weights.sort().values)
    torch.testing.assert_close((one.Z_ @ weight).sum(0), torch.ones(26).double(), atol=2e-2, rtol=0)
    assert one.certified_ == other.certified_


def test_the_scale_of_weights_is_that_of_the_likelihood():
    x, _ = groups(n=30, apart=7.0)
    models = [
        SDPClustering(3, shrink=0.0, random_state=0).fit(x, sample_weight=scale * counts(30)) for scale in (1, 0.01)
    ]
    assert adjusted_rand(models[0].labels_, models[1].labels_) == 1
    assert models[1].objective_ == pytest.approx(models[0].objective_ / 100)
    assert models[1].relaxation_gap_ == pytest.approx(models[0].relaxation_gap_ / 100, rel=1e-3, abs=1e-7)
    assert all(model.certified_ for model in models)


def test_rows_without_a_first_label_begin_with_the_nearest_group():
    x, y = groups(n=60, apart=9.0)
    few = torch.where(torch.arange(60) < 12, y, -1)
    assert set(few[:12].tolist()) == {0, 1, 2}
    first = [next(iter(SDPClustering(3, init=init, random_state=0).steps(x))) for init in (few, y)]
    cov = [step.model.gaussian.cov for step in first]
    torch.testing.assert_close(*cov)


@pytest.mark.parametrize("solver", ["admm", "sketch"])
def test_rows_of_weight_zero_are_left_out_and_labelled(solver):
    x, y = groups(n=90, apart=9.0)
    counting = torch.arange(90) % 2 == 0
    weight = torch.where(counting, counts(90), 0.0)
    options = {"solver": solver, "sketch_size": 36, "random_state": 0}
    model = SDPClustering(3, init=torch.where(counting, y, -1), **options).fit(x, sample_weight=weight)
    alone = SDPClustering(3, init=y[::2], **options).fit(x[::2], sample_weight=weight[::2])
    assert model.objective_ == pytest.approx(alone.objective_)
    assert torch.equal(model.labels_[::2], alone.labels_)
    assert torch.equal(model.labels_[1::2], model.predict(x)[1::2])
    assert adjusted_rand(model.labels_, y) == 1
    assert torch.equal(model.sketch_, 2 * alone.sketch_)
    torch.testing.assert_close(model.responsibilities_[::2], alone.responsibilities_)
    torch.testing.assert_close(model.responsibilities_.sum(1), torch.ones(90).double())


def test_weighted_steps_are_those_of_the_fit():
    x, _ = groups(n=30, apart=6.0)
    weight = counts(30)
    *_, end = SDPClustering(3, random_state=0).steps(x, weight)
    model = SDPClustering(3, random_state=0).fit(x, sample_weight=weight)
    assert end.info.evidence == pytest.approx(model.history_[-1].likelihood / float(weight.sum()))


def test_a_mixture_tells_its_start_the_weights():
    x, _ = groups(n=45, apart=7.0)
    seen = []

    class Told(SDPClustering):
        def fit(self, X, y=None, sample_weight=None):
            seen.append(sample_weight)
            return super().fit(X, y, sample_weight)

    GaussianMixture(3, init_params=Told(3), random_state=0).fit(x, sample_weight=counts(45))
    np.testing.assert_array_equal(seen[0], counts(45))


def test_separated_groups_are_found_and_certified_from_random_labels():
    x, y = groups(n=60, apart=14.0)
    model = SDPClustering(3, init="random", random_state=0).fit(x.numpy())
    assert adjusted_rand(torch.from_numpy(model.labels_), y) == 1
    assert model.certified_
    assert -1e-6 < model.relaxation_gap_ <= 1e-4 * 60
    np.testing.assert_allclose(model.responsibilities_.sum(1), 1)
    assert adjusted_rand(torch.from_numpy(model.responsibilities_.argmax(1)), y) == 1
    assert model.Z_.shape == (3, 60, 60)


@pytest.mark.parametrize("options", [{}, {"adjust": False}], ids=str)
def test_what_thin_factors_find_can_be_certified(options):
    x, _ = groups(n=60, apart=14.0)
    plain, model = (
        SDPClustering(3, solver="low_rank", certify=certify, random_state=0, **options).fit(x)
        for certify in (False, True)
    )
    assert not plain.certified_
    assert math.isinf(plain.relaxation_gap_)
    assert model.certified_
    assert -1e-6 < model.relaxation_gap_ <= 1e-4 * 60
    assert adjusted_rand(model.labels_, plain.labels_) == 1
    assert model.n_iter_ == plain.n_iter_ + 1


def test_a_bound_of_thin_factors_belongs_to_the_best_partition():
    x, _ = groups(n=30, apart=3.0, seed=1)
    steps = list(SDPClustering(3, solver="low_rank", certify=True, random_state=0).steps(x))
    assert [step.i for step in steps] == list(range(1, len(steps) + 1))
    ends = [step.info for step in steps if step.info.done]
    assert [info.round for info in ends] == list(range(1, len(ends) + 1))
    *before, end = ends
    assert end.partition.likelihood == max(info.partition.likelihood for info in before)
    assert all(math.isinf(info.gap) for info in before)
    assert 0 <= end.gap < math.inf
    assert {look.round for look in end.looks} == set(range(1, len(ends) + 1))


@pytest.mark.parametrize("options", [{}, {"adjust": False}, {"solver": "low_rank"}, {"update": "soft"}], ids=str)
def test_the_order_of_rows_does_not_matter(options):
    x, _ = groups(n=60, apart=7.0)
    order = torch.randperm(60, generator=rng(3))
    one, other = (SDPClustering(3, random_state=0, **options).fit(rows) for rows in (x, x[order]))
    assert adjusted_rand(one.labels_[order], other.labels_) == 1
    assert one.objective_ == pytest.approx(other.objective_)


def test_linear_maps_do_not_change_groups_of_any_shape():
    x, _ = groups(n=60, apart=7.0)
    turn = torch.tensor([[3.0, 1.0], [0.5, 0.01]], dtype=torch.float64)
    one = SDPClustering(3, reg_covar=0.0, init="ward", random_state=0).fit(x)
    other = SDPClustering(3, reg_covar=0.0, init=one.labels_, random_state=0).fit(x @ turn + 100)
    assert adjusted_rand(one.labels_, other.labels_) == 1
    shift = 60 * float(torch.linalg.slogdet(turn)[1])
    assert other.objective_ == pytest.approx(one.objective_ - shift)


@pytest.mark.parametrize("name", [structure.name for structure in EIGEN])
def test_every_structure(name):
    x, y = groups(n=45, apart=9.0)
    model = SDPClustering(3, covariance_type=name, random_state=0).fit(x.numpy())
    assert model.mixture_.gaussian.structure.name == name
    assert adjusted_rand(torch.from_numpy(model.labels_), y) > 0.9


def test_a_sketch_labels_all_rows():
    x, y = groups(n=6000, apart=7.0)
    model = SDPClustering(3, sketch_size=150, random_state=0).fit(x.numpy())
    assert len(model.sketch_) == 150
    assert len(model.factors_[0]) == 150
    assert adjusted_rand(torch.from_numpy(model.labels_), y) > 0.97
    np.testing.assert_array_equal(model.predict(x.numpy()), model.labels_)
    likelihood = torch.cat(list(model.mixture_.tables(x))).gather(1, torch.from_numpy(model.labels_)[:, None]).sum()
    assert model.objective_ == pytest.approx(float(likelihood))


def test_the_best_round_is_kept():
    x, _ = groups(n=30, apart=3.0, seed=1)
    model = SDPClustering(3, init="random", random_state=1).fit(x.numpy())
    assert model.objective_ == max(record.likelihood for record in model.history_)
    assert len(model.history_) == model.n_iter_ > 1
    assert all(record.gap > -1e-6 * abs(record.objective) for record in model.history_)


def test_steps_can_be_watched_and_stopped():
    x, _ = groups(n=30)
    steps = list(SDPClustering(3, random_state=0).steps(x))
    assert [step.i for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.model.k == 3 and math.isfinite(step.info.evidence) for step in steps)
    assert steps[-1].info.done
    values = [step.info.relaxed.rounds for step in steps if step.info.round == 1]
    assert values == sorted(values)


def test_it_starts_a_mixture():
    x, y = groups(n=45, apart=7.0)
    model = GaussianMixture(3, init_params=SDPClustering(3), random_state=0).fit(x.numpy())
    assert adjusted_rand(torch.from_numpy(model.predict(x.numpy())), y) > 0.9
    again = GaussianMixture(3, init_params=SDPClustering(3), random_state=0).fit(x.numpy())
    assert model.lower_bound_ == again.lower_bound_
    polished = SDPClustering(3, random_state=0).fit(x.numpy()).to_mixture()
    assert polished.predict_proba(x.numpy()).shape == (45, 3)


def test_tensors_in_tensors_out():
    x, _ = groups()
    model = SDPClustering(3, random_state=0).fit(x.float())
    assert isinstance(model.labels_, torch.Tensor)
    assert isinstance(model.predict(x.float()), torch.Tensor)


def test_one_group_is_certain():
    x, _ = groups()
    model = SDPClustering(1).fit(x.numpy())
    assert model.certified_
    assert set(model.labels_) == {0}


@pytest.mark.parametrize(("n", "k"), [(24, 4), (8, 4), (4, 2), (7, 3)])
def test_groups_without_rows_are_made_anew(n, k):
    x, _ = groups(n=24)
    for labels in (torch.zeros(n, dtype=torch.int64), (torch.arange(n) == n - 1).long()):
        assert torch.bincount(filled(labels, x[:n], k), minlength=k).min() >= 2


def test_labels_of_all_rows_start_a_sketch():
    x, y = groups(n=400, apart=9.0)
    model = SDPClustering(3, solver="sketch", sketch_size=60, init=y, random_state=0).fit(x)
    assert adjusted_rand(model.labels_, y) > 0.97


def test_the_largest_membership_needs_blocks():
    x, y, refit, _ = problem()
    a = Affinities.common(x, refit.partition(y).model.gaussian)
    with pytest.raises(ValueError, match="blocks of their own"):
        largest(a, a.factor(y), x, rng())


def test_rounds_end_where_a_partition_comes_again():
    _, y, refit, _ = problem(n=60, apart=9.0)
    done = [s for s in rounds(refit, y, admm(1e-3), spectral, rng()) if s.info.done]
    assert len(done) == 1


@pytest.mark.parametrize(
    ("options", "x", "message"),
    [
        ({"n_clusters": 30}, groups()[0], "n_clusters=30, n_samples=24"),
        ({"n_clusters": 13}, groups()[0], "at least 2 rows a group"),
        ({}, torch.full((5, 2), torch.nan), "NaN"),
        ({"n_clusters": 3, "solver": "admm"}, torch.zeros(6000, 2), "low_rank"),
        ({"n_clusters": 3, "solver": "low_rank", "certify": True}, torch.zeros(6000, 2), "certify=False"),
        ({"init": [0, 1]}, groups()[0], "a label for each row"),
    ],
    ids=["too many groups", "too few rows a group", "gaps", "too large", "too large to certify", "labels"],
)
def test_bad_input_is_refused(options, x, message):
    x = x + torch.arange(x.numel()).view_as(x) % 7
    with pytest.raises(BadData, match=message):
        SDPClustering(**{"n_clusters": 2} | options).fit(x.numpy())


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(5), "one number for each of the 24 rows"),
        (-torch.ones(24), "at least 0"),
        (torch.zeros(24), "zero for all rows"),
        (torch.eye(24)[0], "1 rows that count cannot be 2 groups"),
    ],
    ids=["too few", "negative", "none", "one"],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(BadData, match=message):
        SDPClustering(2).fit(groups()[0], sample_weight=weight)


def test_bad_parameters_are_refused():
    x, _ = groups()
    with pytest.raises(ValueError, match="solver"):
        SDPClustering(2, solver="simplex").fit(x)
    with pytest.raises(ValueError, match="rank"):
        SDPClustering(2, rank=0).steps(x)
