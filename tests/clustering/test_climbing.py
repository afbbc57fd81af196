"""Steps of rows that climb: heights never fall, and the last step has the groups of the fit."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gmmlab import GaussianMixture
from gmmlab.clustering import MeanShift, ModalClustering
from gmmlab.clustering.climbing import MOST, blobs, met
from gmmlab.data import shaped_groups
from gmmlab.errors import BadData
from gmmlab.kernels.agreement import adjusted_rand
from gmmlab.widgets.opening import watching

CLIMBERS = {
    "kernels": MeanShift(bandwidth=1.5),
    "plateaus": MeanShift(bandwidth=2.0, kernel="epanechnikov"),
    "projected": MeanShift(bandwidth=1.0, project_dim=2, random_state=0),
    "rows": ModalClustering(n_components=3, random_state=0),
    "components": ModalClustering(n_components=5, rows_climb=False, random_state=0),
    "noise": ModalClustering(GaussianMixture(3, noise=True, random_state=0)),
}


def rows(n: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    return shaped_groups(n, 3, 3, 14.0, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("clusterer", CLIMBERS.values(), ids=CLIMBERS)
def test_heights_never_fall_and_the_end_is_the_fit(clusterer):
    x, _ = rows()
    steps = list(clusterer.steps(x))
    heights = [step.info.evidence for step in steps]
    assert all(math.isfinite(height) for height in heights)
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(heights))
    assert [step.i for step in steps] == sorted(step.i for step in steps)
    fitted = clusterer.fit(x)
    assert torch.equal(steps[-1].info.labels, fitted.labels_)
    assert steps[-1].info.labels is not None and all(step.info.labels is None for step in steps[:-1])
    assert steps[-1].model.k == len(fitted.labels_[fitted.labels_ >= 0].unique())
    assert heights[-1] > heights[0]


@pytest.mark.parametrize("clusterer", [CLIMBERS["kernels"], CLIMBERS["rows"]], ids=["kernels", "rows"])
def test_rows_meet_on_their_way(clusterer):
    x, y = rows()
    steps = list(clusterer.steps(x))
    groups = [step.model.k for step in steps]
    assert MOST >= groups[0] > 10 > groups[-1]
    assert adjusted_rand(steps[-1].model.labels(x), y) == 1
    assert steps[0].info.points.shape == x.shape
    assert not torch.allclose(steps[-1].info.points, x)


def test_a_group_has_the_moments_of_its_share_of_the_density():
    x, y = rows()
    labels = torch.where(y == 1, -1, 2 * y)
    model = blobs(x, labels, 0.5)
    assert model.k == 2
    for k, name in enumerate((0, 4)):
        some = x[labels == name]
        torch.testing.assert_close(model.gaussian.mean[k], some.mean(0))
        expected = some.T.cov(correction=0) + 0.5 * torch.eye(3, dtype=torch.float64)
        torch.testing.assert_close(model.gaussian.cov[k], expected)
    assert blobs(x, torch.full_like(y, -1), 0.5).k == 1


def test_places_are_met_within_a_unit_of_a_higher_one():
    places = torch.tensor([[0.0], [0.9], [1.8], [9.0]]).double()
    assert met(places, torch.tensor([0.0, 1.0, 0.5, -9.0]).double()).tolist() == [0, 0, 0, 1]
    assert met(places, torch.tensor([1.0, 0.0, 0.5, -9.0]).double()).tolist() == [0, 0, 1, 2]
    far = 3.0 * torch.arange(500)[:, None].double()
    assert int(met(far, torch.zeros(500).double()).max()) < MOST


@pytest.mark.parametrize("name", ["kernels", "rows"])
def test_a_session_watches_them(name):
    x, _ = rows()
    clusterer = CLIMBERS[name]
    session = watching(x, lambda: clusterer.steps(x))
    try:
        session.play().wait(60)
        assert session.snapshot.model.k == 3
        heights = [height for _, height in session.snapshot.trace]
        assert len(heights) > 3 and all(b >= a - 1e-9 for a, b in itertools.pairwise(heights))
    finally:
        session.close()


def test_bad_parameters_raise_before_the_first_step():
    x, _ = rows()
    with pytest.raises(ValueError, match="bandwidth"):
        MeanShift(bandwidth=-1.0).steps(x)
    with pytest.raises(BadData, match="more than the 3 columns"):
        next(MeanShift(project_dim=9).steps(x))
