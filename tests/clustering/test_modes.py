"""Clusters that are the peaks of a density: of a kernel density, and of a mixture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons

from gmmlab import GaussianMixture
from gmmlab.algebra import projected_modes
from gmmlab.clustering import MeanShift, ModalClustering
from gmmlab.clustering.mean_shift import KERNELS, reference_bandwidth
from gmmlab.errors import BadData, DataWarning
from gmmlab.estimators.sample import generator
from gmmlab.families import Gaussian
from gmmlab.gates import Constant
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.model import Mixture


def groups(n: int = 120, k: int = 3, apart: float = 8.0, d: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    angle = 2 * np.pi * y / k
    centres = np.zeros((n, d))
    centres[:, 0], centres[:, 1] = apart * np.cos(angle), apart * np.sin(angle)
    return centres + rng.standard_normal((n, d)), y


def agree(labels, y) -> float:
    return adjusted_rand(torch.as_tensor(np.asarray(labels)), torch.as_tensor(y))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_finds_groups_that_stand_apart(kernel):
    x, y = groups()
    model = MeanShift(kernel=kernel, bandwidth=4.0 if kernel == "epanechnikov" else 2.0).fit(x)
    assert agree(model.labels_, y) == 1
    assert model.cluster_centers_.shape == (3, 2)
    assert (model.heights_ <= 0).all()
    assert model.n_iter_ >= 1
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    np.testing.assert_array_equal(model.predict(model.cluster_centers_), [0, 1, 2])


def test_the_bandwidth_scales_with_the_rows():
    x, _ = groups()
    one, ten = (MeanShift().fit(c * x) for c in (1, 10))
    assert ten.bandwidth_ == pytest.approx(10 * one.bandwidth_)
    np.testing.assert_array_equal(one.labels_, ten.labels_)
    flat = MeanShift(kernel="epanechnikov").fit(x)
    assert flat.bandwidth_ == pytest.approx(6**0.5 * one.bandwidth_)
    known = torch.tensor([[-1.0], [1.0]]).double()  # n = 2, variance 2
    assert reference_bandwidth(known) == pytest.approx((4 / 10) ** (1 / 7) * 2**0.5)


def test_modes_by_way_of_a_projection():
    x, y = groups(n=200, k=4, apart=25.0, d=100)
    model = MeanShift(bandwidth=6.0, project_dim=10, random_state=0).fit(x)
    assert agree(model.labels_, y) == 1
    full = MeanShift(bandwidth=6.0).fit(x)
    np.testing.assert_allclose(model.cluster_centers_, full.cluster_centers_, atol=1e-4)
    again = MeanShift(bandwidth=6.0, project_dim=10, random_state=0).fit(x)
    np.testing.assert_array_equal(model.labels_, again.labels_)


def test_rows_of_a_projection_go_where_its_modes_climb_to():
    """Modes of an image come to others, in another order or to one and the same."""
    rng = np.random.default_rng(0)
    x = np.repeat(4 * rng.normal(size=(4, 3)), 30, axis=0) + 0.5 * rng.normal(size=(120, 3))
    orders = []
    for seed in (0, 4, 11):
        model = MeanShift(bandwidth=1.5, project_dim=1, random_state=seed).fit(x)
        found = projected_modes(model._density, 1, generator(seed, torch.device("cpu")), tol=1e-6)
        orders.append(found.modes.basins.tolist())
        np.testing.assert_array_equal(model.labels_, found.modes.basins[found.basins])
    assert orders == [[0, 0], [0, 2, 1], [1, 0]]


@pytest.mark.parametrize("options", [{}, {"rows_climb": False}], ids=str)
def test_components_of_one_peak_are_one_cluster(options):
    mean = torch.tensor([[0.0, 0.0], [9.0, 0.0], [1.5, 0.0], [9.0, 1.5]]).double()
    given = Mixture(Gaussian.of(mean, torch.eye(2).double().expand(4, 2, 2)), Constant.of(torch.ones(4)))
    rows, z = given.sample(300, torch.Generator().manual_seed(0))
    x = rows.numpy()
    model = ModalClustering(given, **options).fit(x)
    assert agree(model.labels_, (z % 2).numpy()) == 1
    assert model.components_[0] == model.components_[2] != model.components_[1] == model.components_[3]
    np.testing.assert_allclose(np.sort(model.modes_[:, 0]), [0.75, 9.0], atol=1e-4)
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    assert model.to_mixture().predict_proba(x).shape == (300, 4)
    assert model.covariances_.shape == (2, 2, 2)


def test_a_mixture_is_taken_as_it_is():
    x, _ = groups()
    fitted = GaussianMixture(3, random_state=0).fit(x)
    model = ModalClustering(fitted.mixture_).fit(x)
    assert model.mixture_ is fitted.mixture_ or torch.equal(model.mixture_.weights, fitted.mixture_.weights)
    assert agree(model.labels_, fitted.predict(x)) == 1
    assert sorted(model.components_) == [0, 1, 2]


def test_an_estimator_is_fitted():
    x, _ = make_moons(300, noise=0.06, random_state=0)
    inner = GaussianMixture(8, covariance_type="VVV", random_state=0)
    model = ModalClustering(inner).fit(x)
    assert model.mixture_.k == 8
    assert not hasattr(inner, "mixture_")


def test_noise_stays_noise():
    x, _ = groups()
    rng = np.random.default_rng(1)
    x = np.concatenate([x, rng.uniform(-30, 30, (40, 2))])
    model = ModalClustering(GaussianMixture(3, noise=True, random_state=0)).fit(x)
    assert (model.labels_ == -1).sum() > 20
    np.testing.assert_array_equal(model.labels_ == -1, model.mixture_.labels(torch.from_numpy(x)).numpy() == -1)
    np.testing.assert_array_equal(model.predict(x), model.labels_)


@pytest.mark.parametrize("clusterer", [MeanShift(bandwidth=2.0), ModalClustering(n_components=3)], ids=str)
def test_they_start_a_mixture(clusterer):
    x, y = groups()
    model = GaussianMixture(3, init_params=clusterer, random_state=0).fit(x)
    assert agree(model.predict(x), y) == 1


@pytest.mark.parametrize("clusterer", [MeanShift(), ModalClustering()], ids=str)
def test_tensors_in_tensors_out(clusterer):
    x, _ = groups()
    rows = torch.from_numpy(x).float()
    assert isinstance(clusterer.fit(rows).labels_, torch.Tensor)
    assert isinstance(clusterer.predict(rows), torch.Tensor)


@pytest.mark.parametrize(
    ("clusterer", "error", "message"),
    [
        (MeanShift(bandwidth=0.0), ValueError, "bandwidth"),
        (MeanShift(kernel="box"), ValueError, "kernel"),
        (MeanShift(project_dim=3), BadData, "more than the 2 columns"),
        (ModalClustering(GaussianMixture(1).fit(np.eye(5)).mixture_), BadData, "expected 5, as the mixture has"),
        (ModalClustering(KMeans(2)), BadData, "has no mixture_"),
    ],
    ids=["bandwidth", "kernel", "projection", "columns", "no mixture"],
)
def test_bad_input_is_refused(clusterer, error, message):
    with pytest.raises(error, match=message):
        clusterer.fit(groups()[0])


def test_rows_that_are_all_the_same_have_no_bandwidth():
    with pytest.raises(BadData, match="All rows are the same"), pytest.warns(DataWarning):
        MeanShift().fit(np.ones((5, 2)))
    with pytest.warns(DataWarning, match="no information|constant"):
        assert set(MeanShift(bandwidth=1.0).fit(np.ones((5, 2))).labels_) == {0}
