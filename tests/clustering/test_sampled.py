"""`SampledGaussianMixture`: what its draws say, against the samplers below, ArviZ and a model that is known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from gmmlab import plot
from gmmlab.clustering import SampledGaussianMixture
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.widgets.opening import watching

INFERENCES = ["subcluster", "collapsed", "gibbs"]


def blobs(m: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], m)
    return rng.normal(size=(3 * m, 2)) + np.array([[0, 0], [10, 0], [0, 10]])[truth], truth


@pytest.fixture(scope="module")
def fitted() -> dict[str, SampledGaussianMixture]:
    X, _ = blobs()
    made = {"n_samples": 40, "burn_in": 40, "alpha": 0.2, "learn_alpha": False, "random_state": 1}
    return {name: SampledGaussianMixture(inference=name, n_components=6, **made).fit(X) for name in INFERENCES}


@pytest.mark.parametrize("inference", INFERENCES)
def test_groups_that_stand_apart_are_found(fitted, inference):
    model, (X, truth) = fitted[inference], blobs()
    assert adjusted_rand(torch.as_tensor(model.labels_), torch.as_tensor(truth)) > 0.9
    assert model.posterior_K_.sum() == pytest.approx(1)
    assert model.posterior_K_[:3].sum() < 0.05
    assert np.array_equal(model.psm_, model.psm_.T)
    assert model.psm_[:20, 20:].max() < 0.2
    assert (model.predict(X) == model.labels_).mean() > 0.95
    assert model.predict_proba(X).sum(1) == pytest.approx(1)


@pytest.mark.parametrize("inference", INFERENCES)
def test_the_predictive_is_a_density(fitted, inference):
    """Its sum over a wide grid is one."""
    axis = np.linspace(-40, 50, 226)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    mass = np.exp(fitted[inference].score_samples(grid)).sum() * (axis[1] - axis[0]) ** 2
    assert mass == pytest.approx(1, abs=0.03)


def test_what_is_kept_has_its_shape():
    X, _ = blobs(8)
    model = SampledGaussianMixture(n_samples=5, burn_in=3, thin=2, n_chains=3, random_state=0).fit(X)
    assert len(model.samples_) == 15
    assert model.partitions_.shape == (15, 24)
    assert model.alphas_.shape == model.log_joints_.shape == (3, 5)
    assert model.n_iter_ == 3 * (3 + 5 * 2)
    assert len(np.unique(model.alphas_)) == 15
    again = SampledGaussianMixture(n_samples=5, burn_in=3, thin=2, n_chains=3, random_state=0).fit(X)
    assert np.array_equal(again.partitions_, model.partitions_)


def test_one_component_has_the_exact_posterior():
    """Draws of the mean of a single Gaussian have the mean and the spread of the conjugate posterior."""
    X = np.random.default_rng(1).normal([3.0, -1.0], 1.0, size=(30, 2))
    model = SampledGaussianMixture(inference="gibbs", n_components=1, n_samples=400, burn_in=0, random_state=0)
    model.fit(X)
    kappa, dof = 5.0**-1, 4.0
    y = X - X.mean(0)
    scale = y.T @ y / 30 / 5 + y.T @ y
    spread = scale / (dof + 30 - 3) / (kappa + 30)
    means = np.stack([sample.gaussian.mean[0].numpy() for sample in model.samples_])
    assert means.mean(0) == pytest.approx(X.mean(0), abs=4 * np.sqrt(spread.max() / 400))
    assert np.cov(means.T) == pytest.approx(spread, abs=0.25 * spread.max())


@pytest.mark.parametrize("inference", INFERENCES)
def test_weights_are_copies(inference):
    """What is believed is what is believed of the copies; of rows one copy is told of."""
    X, truth = blobs(5)
    times = np.random.default_rng(3).integers(1, 4, len(X))
    made = {"n_components": 4, "n_samples": 20, "burn_in": 10, "alpha": 0.2, "learn_alpha": False, "random_state": 1}
    model = SampledGaussianMixture(inference=inference, **made).fit(X, sample_weight=times)
    whole = SampledGaussianMixture(inference=inference, **made).fit(np.repeat(X, times, axis=0))
    assert model._belief.prior.scale.numpy() == pytest.approx(whole._belief.prior.scale.numpy())
    assert model.psm_.shape == (15, 15)
    assert [float(groups.w.sum()) for groups, _ in model._groups] == [times.sum()] * 20
    assert inference == "collapsed" or adjusted_rand(torch.as_tensor(model.labels_), torch.as_tensor(truth)) > 0.8
    assert model.score_samples(X) == pytest.approx(whole.score_samples(X), abs=0.25)
    first = np.cumsum(times) - times
    if inference != "gibbs":
        assert np.array_equal(model.partitions_, whole.partitions_[:, first])
        assert model.log_joints_ == pytest.approx(whole.log_joints_)
    shares = np.bincount(model.labels_, times)
    assert model.weights_ == pytest.approx(shares / shares.sum())
    assert list(shares) == sorted(shares, reverse=True)


@pytest.mark.parametrize("weight", [1.5, 0.0])
def test_parts_of_rows_are_refused(weight):
    with pytest.raises(ValueError, match=rf"sample_weight\[2\] is {weight:g}; expected whole numbers of at least 1"):
        SampledGaussianMixture().fit(blobs(2)[0], sample_weight=[1, 2, weight, 1, 1, 1])


def test_a_session_watches_weighted_rows():
    X, _ = blobs(8)
    times = np.arange(24) % 3 + 1
    step = next(SampledGaussianMixture(n_samples=3, burn_in=1, random_state=0).steps(X, times))
    assert float(step.info.groups.w.sum()) == times.sum()


@pytest.mark.filterwarnings("ignore:\\nArviZ is undergoing:FutureWarning")  # once a day, when it is imported
def test_arviz_takes_the_chains():
    import arviz

    X, _ = blobs(8)
    model = SampledGaussianMixture(n_samples=20, burn_in=5, n_chains=2, random_state=0).fit(X)
    data = model.to_inference_data()
    assert data.posterior["K"].shape == (2, 20)
    counts = [len(np.unique(labels)) for labels in model.partitions_]
    assert data.posterior["K"].values.ravel().tolist() == counts
    table = model.convergence()
    assert {"r_hat", "ess_bulk", "ess_tail"} <= set(table.columns)
    assert table.loc["log_joint", "r_hat"] == pytest.approx(float(arviz.rhat(data, var_names="log_joint")["log_joint"]))


def test_its_picture_says_what_is_in_it(fitted):
    for theme in ("light", "dark"):
        picture = plot.co_clustering(fitted["collapsed"], theme=theme)
        assert "60 rows in 3 groups" in picture.alt
        assert len(picture.png()) < 60_000


def test_it_can_be_watched():
    X, _ = blobs(8)
    session = watching(X, partial(SampledGaussianMixture(n_samples=3, burn_in=1, random_state=0).steps, X))
    try:
        session.play()
        session.wait(60)
        assert session.snapshot.model.d == 2
    finally:
        session.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "dirichlet"}, "expected 'dp', or inference='gibbs'"),
        ({"alpha_prior": (1.0, -1.0)}, "two numbers above 0"),
        ({"mean_prior": [1.0]}, "mean_prior has shape"),
        ({"covariance_prior": -np.eye(2)}, "positive definite"),
        ({"degrees_of_freedom_prior": 1.0}, "dof above 1"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SampledGaussianMixture(**changes).fit(blobs(4)[0])
