"""Rows with errors: every kind agrees with the general one, and with what it comes down to where there are none."""

from __future__ import annotations

import cases
import pytest
import torch

from gmmlab import fit
from gmmlab.algebra.measured import denoised, posterior, sample_denoised
from gmmlab.errors import BadData
from gmmlab.families import Diagonal, Full, Spherical, Tied
from gmmlab.families.measured import Each, Isotropic, Shared, measured
from gmmlab.fit.blurred import blurred
from gmmlab.fit.missing import observed
from gmmlab.fit.unseen import Box, Imputed, with_unseen
from gmmlab.gates import Noisy
from gmmlab.init import from_labels
from gmmlab.model import Mixture
from gmmlab.steps import e_step

KINDS = pytest.mark.parametrize("structure", [Full(), Tied(), Diagonal(), Spherical()], ids=lambda s: s.name)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def covariances(n: int, c: int, seed: int = 2) -> torch.Tensor:
    root = normal(n, c, c, seed=seed)
    return root @ root.mT / c


def same(left, right, tol: float = 1e-9) -> None:
    cases.close(left, right, tol)


@KINDS
@pytest.mark.parametrize("noisy", [False, True], ids=["constant", "noisy"])
def test_without_errors_it_is_plain(structure, noisy):
    x = cases.blobs(seeded())
    model = cases.random_mixture(structure, x, 3, seeded())
    if noisy:
        model = model.replace(gate=Noisy.around(x, model.weights, 0.2))
    plain = e_step(model, x)
    n, d = x.shape
    for errors in (None, torch.zeros(()), torch.zeros(n), torch.zeros(n, d), torch.zeros(n, d, d), torch.zeros(d, d)):
        rows = measured(x, None if errors is None else errors.double())
        same(blurred(rows)(model), plain)
        torch.testing.assert_close(posterior(model, rows).resp, model.posterior(x).resp)


@KINDS
def test_cheap_kinds_agree_with_the_general_one(structure):
    x = cases.blobs(seeded(), n=120)
    model = cases.random_mixture(structure, x, 3, seeded())
    weight = 0.5 + normal(120).square()
    sd, eye, cov = 0.1 + normal(120, seed=3).abs(), torch.eye(3).double(), covariances(1, 3)[0]
    isotropic, shared = measured(x, sd), measured(x, cov)
    assert isinstance(isotropic, Isotropic) and isinstance(shared, Shared)
    for cheap, errors in ((isotropic, sd[:, None, None] ** 2 * eye), (shared, cov.expand(120, 3, 3))):
        general = measured(x, errors)
        assert isinstance(general, Each)
        same(blurred(cheap, weight)(model), blurred(general, weight)(model))
        for one, other in zip(denoised(model, cheap), denoised(model, general), strict=True):
            torch.testing.assert_close(one, other)
    standard = measured(x, sd[:, None].expand(120, 3))
    same(blurred(isotropic)(model), blurred(standard)(model))


@KINDS
def test_a_gap_is_a_row_of_the_identity_that_is_left_out(structure):
    x = cases.blobs(seeded(), n=90)
    model = cases.random_mixture(structure, x, 2, seeded())
    holes = x.masked_fill(torch.rand(90, 3, generator=seeded(5)) < 0.3, torch.nan)
    holes[:, 0] = x[:, 0]  # a row without any entry is no evidence, and is counted otherwise there
    same(blurred(measured(holes))(model), observed(holes)(model))
    keep = torch.eye(3).double()[:2].expand(90, 2, 3)
    same(blurred(measured(x[:, :2], None, keep))(model), blurred(measured(x[:, :2], None, keep[0]))(model))
    masked = x.clone()
    masked[:, 2] = torch.nan
    same(blurred(measured(x[:, :2], None, keep))(model), blurred(measured(masked))(model))


def test_rows_are_scored_through_their_maps_and_errors():
    model = cases.random_mixture(Full(), normal(50, 3), 2, seeded())
    x, r, cov = normal(40, 2, seed=4), normal(40, 2, 3, seed=5), covariances(40, 2)
    g = model.gaussian
    r_ = r[:, None]
    law = torch.distributions.MultivariateNormal(
        (r_ @ g.mean[:, :, None]).squeeze(-1), r_ @ g.cov @ r_.mT + cov[:, None]
    )
    joint = model.weights.log() + law.log_prob(x[:, None])
    torch.testing.assert_close(posterior(model, measured(x, cov, r)).evidence, joint.logsumexp(1))


def test_the_true_value_by_conditioning_the_joint_normal():
    model = cases.random_mixture(Full(), normal(50, 2), 1, seeded())
    x, r, cov = normal(7, 2, seed=4), normal(7, 2, 2, seed=5), covariances(7, 2)
    g = model.gaussian
    found = denoised(model, measured(x, cov, r))
    for i in range(7):
        total, cross = r[i] @ g.cov[0] @ r[i].T + cov[i], g.cov[0] @ r[i].T
        gain = cross @ torch.linalg.inv(total)
        torch.testing.assert_close(found.mean[i], g.mean[0] + gain @ (x[i] - r[i] @ g.mean[0]))
        torch.testing.assert_close(found.cov[i], g.cov[0] - gain @ cross.T)


def test_denoised_rows_and_what_is_left_add_up_to_the_mixture():
    """The law of total variance, over rows drawn from the model itself."""
    model = cases.random_mixture(Full(), normal(50, 2), 3, seeded())
    y, _ = model.sample(60_000, seeded(8))
    sd = 0.5 + torch.rand(60_000, generator=seeded(9), dtype=torch.float64)
    rows = measured(y + sd[:, None] * normal(60_000, 2, seed=10), sd)
    found = denoised(model, rows)
    total = found.mean.T.cov() + found.cov.mean(0)
    torch.testing.assert_close(total, y.T.cov(), rtol=0.02, atol=0.02)
    draws = sample_denoised(model, rows, seeded(11))
    torch.testing.assert_close(draws.T.cov(), y.T.cov(), rtol=0.03, atol=0.03)
    error = (draws - found.mean).square().mean(0)
    torch.testing.assert_close(error, found.cov.diagonal(dim1=1, dim2=2).mean(0), rtol=0.03, atol=0.0)


@KINDS
def test_em_climbs(structure):
    x = cases.blobs(seeded(), n=80, d=2)
    begin = from_labels(x, torch.arange(80) % 3, structure)
    for errors in (covariances(80, 2), normal(80).abs(), covariances(1, 2)[0]):
        steps = list(fit.run(begin, blurred(measured(x, errors)), stop=lambda step: step.i == 25))
        assert all(step.info.gain > -1e-10 for step in steps)
        assert steps[-1].info.evidence > steps[0].info.evidence + 1e-3


def test_one_gaussian_behind_errors_of_one_covariance():
    """V is the covariance of the rows less C, where that is positive definite."""
    x, cov = 3 * normal(400, 2), torch.tensor([[1.0, 0.4], [0.4, 2.0]]).double()
    begin = from_labels(x, torch.zeros(400, dtype=torch.int64), Full())
    end = fit.last(fit.run(begin, blurred(measured(x, cov)), stop=fit.plateau(1e-15))).model
    torch.testing.assert_close(end.gaussian.cov[0], x.T.cov(correction=0) - cov, rtol=1e-6, atol=1e-6)


# rows that were left out


@KINDS
def test_a_selection_that_keeps_all_changes_nothing(structure):
    x = cases.blobs(seeded(), n=100, d=2)
    model, rows = cases.random_mixture(structure, x, 2, seeded()), measured(x, normal(100).abs())
    keep = Imputed(lambda y: torch.ones(len(y)), rows, 2.0, 0)
    same(with_unseen(blurred(rows), keep)(model), blurred(rows)(model))


@KINDS
def test_draws_agree_with_the_exact_box(structure):
    x = cases.blobs(seeded(), n=100, d=2)
    model, rows = cases.random_mixture(structure, x, 2, seeded()), measured(x)
    low, high = torch.tensor([-4.0, -torch.inf]).double(), torch.tensor([2.0, 3.0]).double()
    box = Box(low, high, nodes=8192)(model)
    drawn = Imputed(lambda y: ((y > low) & (y < high)).all(1), rows, 400.0, 0)(model)
    torch.testing.assert_close(box.inside, drawn.inside, atol=3e-3, rtol=0.0)
    for name in ("w", "s1", "s2"):
        torch.testing.assert_close(getattr(box.outside, name), getattr(drawn.outside, name), atol=0.1, rtol=0.02)
    noisy = Mixture(model.components, Noisy.of(model.weights, 0.3, low.clamp(min=-9), high + 5))
    torch.testing.assert_close(
        Box(low, high)(noisy).none,
        Imputed(lambda y: ((y > low) & (y < high)).all(1), rows, 1.0, 0)(noisy).none,
        atol=0.02,
        rtol=0.0,
    )


def test_rows_that_were_left_out_are_found_again():
    """Half of a cloud is recorded with half the chance of the other."""
    y = normal(6000, 2)

    def chance(at):
        return torch.where(at[:, 0] > 0, 1.0, 0.25)

    x = y[torch.rand(6000, generator=seeded(3)) < chance(y)]
    begin = from_labels(x, torch.zeros(len(x), dtype=torch.int64), Full())
    rows = measured(x)
    source = with_unseen(blurred(rows), Imputed(chance, rows, 5.0, 0))
    steps = list(fit.run(begin, source, stop=fit.plateau(1e-7)))
    assert steps[-1].info.gain < 1e-6
    assert float(begin.gaussian.mean[0, 0]) > 0.25
    assert float(steps[-1].model.gaussian.mean.abs().max()) < 0.08
    torch.testing.assert_close(steps[-1].model.gaussian.cov[0], torch.eye(2).double(), atol=0.08, rtol=0.0)


# what is refused


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (torch.zeros(4), "shape"),
        (torch.tensor(-1.0), "at least 0"),
        (torch.full((20, 2), torch.nan), "not finite"),
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "eigenvalue -1"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
    ],
)
def test_errors_that_are_none_are_refused(errors, words):
    with pytest.raises(BadData, match=words):
        measured(normal(20, 2), errors.double())


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(BadData, match="projection"):
        measured(normal(20, 2), None, normal(3, 3))
    model = cases.random_mixture(Full(), normal(20, 3), 2, seeded())
    with pytest.raises(BadData, match="2 columns behind their errors and the mixture has 3"):
        blurred(measured(normal(20, 2)))(model)
    noisy = model.replace(gate=Noisy.around(normal(20, 3), model.weights, 0.1))
    with pytest.raises(BadData, match="projected"):
        blurred(measured(normal(20, 2), None, normal(2, 3)))(noisy)


def test_a_selection_that_gives_no_probabilities_is_refused():
    rows = measured(normal(20, 2))
    model = cases.random_mixture(Full(), normal(20, 2), 2, seeded())
    for bad in (lambda y: y[:, 0], lambda _: torch.ones(3), lambda y: torch.full((len(y),), 2.0)):
        with pytest.raises(BadData, match="probability in"):
            Imputed(bad, rows, 1.0, 0)(model)
