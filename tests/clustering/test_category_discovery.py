"""Classes that nobody has told of: the arithmetic of moves, what stays put, and what is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_t
from sklearn.datasets import load_wine

from gmmlab.clustering import CategoryDiscoveryGMM
from gmmlab.clustering.discovery.moves import Groups, Kind, halves, merges, splits
from gmmlab.clustering.discovery.sweeps import Told, made_of, seeded
from gmmlab.errors import BadData
from gmmlab.families import NormalInverseGamma, NormalInverseWishart
from gmmlab.families.niw import grouped
from gmmlab.score.discovery import discovery_accuracy


def clouds(sep: float, seed: int, k: int = 10, d: int = 8, n: int = 100):
    """Unit Gaussians in random directions; of the first half of them half of the rows have labels."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, d))
    centres *= sep / np.sqrt(2) / np.linalg.norm(centres, axis=1, keepdims=True)
    z = np.repeat(np.arange(k), n)
    x = centres[z] + rng.normal(size=(k * n, d))
    return x, z, np.where((z < k // 2) & (rng.random(k * n) < 0.5), z, -1)


def test_the_marginal_is_the_product_of_predictions(rng):
    x = torch.randn(6, 3, generator=rng, dtype=torch.float64) + 2
    mean = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    prior, total = NormalInverseGamma.of(mean, 3.0, kappa=0.4, dof=5.0), 0.0
    for i in range(6):
        now = prior.posterior(grouped(x[:i], torch.zeros(i, dtype=torch.int64), 1, mean))
        shape = float(now.scale / now.dof * (now.kappa + 1) / now.kappa) * np.eye(3)
        total += multivariate_t(now.mean[0].numpy(), shape, float(now.dof)).logpdf(x[i].numpy())
    whole = prior.log_marginal(grouped(x, torch.zeros(6, dtype=torch.int64), 1, x.mean(0)))
    assert float(whole) == pytest.approx(total, rel=1e-10)
    assert float(prior.log_marginal(grouped(x[:0], torch.zeros(0, dtype=torch.int64), 1, mean))) == 0
    with pytest.raises(ValueError, match="expected numbers above 0"):
        NormalInverseGamma.of(mean, 0.0, kappa=1.0, dof=1.0)


@pytest.fixture(params=["gamma", "wishart"])
def groups(request: pytest.FixtureRequest) -> Groups:
    x, z, y = (torch.from_numpy(part) for part in clouds(6, 0, k=6, d=3, n=40))
    prior = NormalInverseGamma.of(x.mean(0), 20.0, kappa=0.1, dof=20.0)
    if request.param == "wishart":
        prior = NormalInverseWishart.of(x.mean(0), 20.0 * torch.eye(3), kappa=0.1, dof=24.0)
    return Groups(x, z, y >= 0, 3, prior, 2.0)


def test_a_gain_is_that_of_the_partition(groups):
    """Every move, done to the labels, raises the log probability by its gain; a merge takes a split back."""
    score = groups.mass(groups.moments).sum()
    tried = [*splits(groups, 3, shed=True), *merges(groups, absorb=True)]
    assert {move.kind for move in tried} == set(Kind)
    for move in tried:
        after = groups._replace(z=move.after(groups.z))
        torch.testing.assert_close(after.mass(after.moments).sum() - score, torch.tensor(move.gain).double())
        if move.kind is Kind.SPLIT:
            (back,) = [m for m in merges(after, absorb=True) if m.of == (*move.of, groups.k)]
            assert back.gain == pytest.approx(-move.gain)
            own = (groups.z == move.of[0]).nonzero().flatten()
            other = move._replace(rows=own[~torch.isin(own, move.rows)])  # the halves exchanged
            exchanged = groups._replace(z=other.after(groups.z))
            torch.testing.assert_close(exchanged.mass(exchanged.moments).sum(), after.mass(after.moments).sum())


def test_labelled_rows_are_held(groups):
    for move in [*splits(groups, 3, shed=True), *merges(groups, absorb=True)]:
        assert torch.equal(move.after(groups.z)[groups.held], groups.z[groups.held])
    side = halves(groups.x, groups.held)
    assert not bool(side[groups.held].any()) and bool(side.any())
    assert {m.kind for m in merges(groups, absorb=False)} == {Kind.MERGE}
    assert {m.kind for m in splits(groups, 3, shed=False)} == {Kind.SPLIT}


def test_moves_apart_can_be_made_together(groups):
    z = groups.z
    (split, *_), pairs = splits(groups, 3, shed=False), merges(groups, absorb=False)
    merge = next(move for move in pairs if split.of[0] not in move.of)
    after = made_of(z, [split, merge])
    assert len(after.unique()) == 6 and int(after.max()) == 5
    assert len(after[(z == merge.of[0]) | (z == merge.of[1])].unique()) == 1


def test_the_start_keeps_labelled_rows(rng):
    x, _, y = (torch.from_numpy(part) for part in clouds(6, 1))
    z = seeded(Told(x, y, 5), 4, rng)
    assert torch.equal(z[y >= 0], y[y >= 0]) and int(z.max()) == 8 and len(z.unique()) == 9


@pytest.mark.parametrize("n_new", [2, 15])
def test_the_number_of_classes_is_found_from_any_start(n_new):
    x, z, y = clouds(6, 0)
    model = CategoryDiscoveryGMM(n_new=n_new, random_state=0).fit(x, y)
    assert model.n_components_ == 10 and model.n_new_ == 5
    assert np.array_equal(model.labels_[y >= 0], y[y >= 0])
    free = y < 0
    found = discovery_accuracy(z[free], model.labels_[free], z[free] < 5)
    assert min(found) > 0.9
    assert not model.history_[-1].moves and all(move.gain > 0 for info in model.history_ for move in info.moves)
    np.testing.assert_array_equal(model.predict(x[y < 0]), model.labels_[y < 0])


def test_the_published_moves_depend_on_the_start():
    x, _, y = clouds(6, 0)
    few, many = (CategoryDiscoveryGMM(n_new=n, moves="paper", random_state=0).fit(x, y) for n in (2, 15))
    assert few.n_components_ < 10 <= many.n_components_
    kinds = {move.kind for info in few.history_ + many.history_ for move in info.tried}
    assert kinds == {Kind.SPLIT, Kind.MERGE}


def test_covariances_can_be_full_and_a_class_can_be_hidden():
    x, y = load_wine(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    x = x @ np.linalg.svd(x, full_matrices=False)[2][:4].T
    told = np.where((y < 2) & (np.arange(len(y)) % 2 == 0), y, -1)
    model = CategoryDiscoveryGMM(covariance_type="full", random_state=0).fit(x, told)
    assert model.n_new_ >= 1 and model.classes_.tolist() == [0, 1]
    assert discovery_accuracy(y, model.labels_, y < 2).all > 0.85


@pytest.mark.parametrize("coin", [0.1, "mh"])
@pytest.mark.parametrize("moves", ["full", "paper"])
def test_a_coin_is_put_away_in_the_end(coin, moves):
    x, _, y = clouds(6, 2, k=4, d=3, n=50)
    model = CategoryDiscoveryGMM(coin=coin, moves=moves, max_sweeps=40, random_state=0).fit(x, y)
    assert not model.history_[-1].moves and model.n_iter_ <= 40


def test_weights_are_copies(groups):
    """Gains of moves, their halves, and what is found, are those of the rows as often as they count."""
    times = torch.tensor(np.random.default_rng(2).integers(1, 4, len(groups.x)))
    weighed = groups._replace(weight=times.double())
    copies = groups._replace(**{k: getattr(groups, k).repeat_interleave(times, 0) for k in ("x", "z", "held")})
    for way in (lambda g: [*splits(g, 3, shed=True)], lambda g: merges(g, absorb=True)):
        for one, whole in zip(way(weighed), way(copies), strict=True):
            assert (one.kind, one.of) == (whole.kind, whole.of)
            assert one.gain == pytest.approx(whole.gain)
            assert float(times[one.rows].sum()) == len(whole.rows)
    assert len([*splits(weighed, 39, shed=True)]) > len([*splits(groups, 39, shed=True)])


def test_a_fit_of_weighted_rows_is_that_of_copies():
    x, _, y = clouds(6, 0, k=6, d=4, n=25)
    times = np.random.default_rng(1).integers(1, 4, len(x))
    options = {"random_state": 0, "tol": 1e-8}
    model = CategoryDiscoveryGMM(**options).fit(x, y, times)
    whole = CategoryDiscoveryGMM(**options).fit(np.repeat(x, times, axis=0), np.repeat(y, times))
    first = np.cumsum(times) - times
    assert model.n_components_ == whole.n_components_
    order = np.array([whole.labels_[first][model.labels_ == k][0] for k in range(model.n_components_)])
    assert np.array_equal(order[model.labels_], whole.labels_[first])
    assert model.history_[-1].score == pytest.approx(whole.history_[-1].score, rel=1e-6)
    assert model.history_[-1].evidence == pytest.approx(whole.history_[-1].evidence, rel=1e-6)
    (step, *_) = model.steps(x, y, times)
    assert float(step.model.gate.weights.sum()) == pytest.approx(1)
    with pytest.raises(BadData, match=r"sample_weight\[3\] is 0; expected numbers above 0"):
        model.fit(x, y, np.where(np.arange(len(x)) == 3, 0, 1))


def test_tensors_watching_and_no_labels():
    x, _, y = (torch.from_numpy(part) for part in clouds(8, 3, k=4, d=8, n=40))
    model = CategoryDiscoveryGMM(random_state=0).fit(x, y)
    assert isinstance(model.labels_, torch.Tensor) and isinstance(model.classes_, torch.Tensor)
    assert [sweep.i for sweep in CategoryDiscoveryGMM(random_state=0).steps(x, y)][-1] == model.n_iter_
    explorer = CategoryDiscoveryGMM(random_state=0).explore(x, y, panels=())
    assert explorer.session.snapshot.model.k >= 2
    explorer.close()
    with pytest.warns(UserWarning, match="No row has a label"):
        assert CategoryDiscoveryGMM(random_state=0).fit(x).n_new_ == 4


def test_what_is_no_label_gets_a_sentence():
    x = clouds(6, 0, k=2, d=2, n=20)[0]
    for y in (np.full(40, -2), np.full(3, 0), np.full(40, 0.5), np.array(["a"] * 40)):
        with pytest.raises(BadData, match="expected 40 labels from 0, and -1 where unknown"):
            CategoryDiscoveryGMM().fit(x, y)


def test_accuracy_assigns_each_group_once():
    truth, labels = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([5, 5, 5, 5, 7, 8])
    found = discovery_accuracy(truth, labels, truth < 2)
    assert found == (pytest.approx(3 / 6), pytest.approx(2 / 4), pytest.approx(1 / 2))
