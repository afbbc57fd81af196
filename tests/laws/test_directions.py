"""Directions: of unit variance, in order, and where they should point."""

from __future__ import annotations

import math

import cases
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import gmmlab
from gmmlab import algebra
from gmmlab.algebra.directions import discriminant, principal
from gmmlab.families.parts import ellipsoids
from gmmlab.model import Mixture


def test_principal_axes_are_those_of_standardised_columns(rng):
    x = torch.randn(200, 4, generator=rng, dtype=torch.float64) @ torch.randn(4, 4, generator=rng, dtype=torch.float64)
    standard = ((x - x.mean(0)) / x.std(0)).numpy()
    scores = ((x - x.mean(0)) @ principal(x).T).numpy()
    theirs = PCA().fit_transform(standard)
    np.testing.assert_allclose(np.abs(scores), np.abs(theirs), atol=1e-10)


def test_gaps_and_constant_columns_do_not_spread(rng):
    x = torch.randn(100, 3, generator=rng, dtype=torch.float64)
    x[:, 2] = 7.0
    gappy = torch.cat([x, torch.full((5, 3), torch.nan, dtype=torch.float64)])
    torch.testing.assert_close(principal(gappy), principal(x))
    assert bool((principal(x)[:, 2] == 0).all())


def test_discriminants_of_a_shared_covariance_are_fishers(rng):
    x = torch.randn(600, 3, generator=rng, dtype=torch.float64)
    labels = np.repeat([0, 1, 2], 200)
    x += torch.tensor([[0.0, 0, 0], [4, 1, 0], [0, 5, 2]], dtype=torch.float64)[labels]
    model = gmmlab.GaussianMixture(3, covariance_type="tied", init_params=labels, max_iter=0).fit(x).mixture_
    hard = LinearDiscriminantAnalysis(solver="eigen").fit(x.numpy(), labels).scalings_[:, :2].T
    ours = discriminant(model)[:2].numpy()
    for a, b in zip(ours, hard, strict=True):
        assert abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


@pytest.mark.parametrize("gate", cases.GATES)
@pytest.mark.parametrize("family", cases.FAMILIES)
def test_discriminants_are_uncorrelated_under_the_mixture_and_fall(family, gate, rng):
    x = cases.blobs(rng, d=3)
    mixture = Mixture(cases.FAMILIES[family](x, 3, rng), cases.GATES[gate](x, 3))
    axes = discriminant(mixture)
    image = algebra.affine(mixture, axes, torch.zeros(3, dtype=torch.float64))
    shapes, weights = ellipsoids(image.components), image.weights / image.weights.sum()
    offset = shapes.mean - weights @ shapes.mean
    between = torch.einsum("k,kd,ke->de", weights, offset, offset)
    total = between + torch.einsum("k,kde->de", weights, shapes.cov)
    torch.testing.assert_close(total, torch.eye(3, dtype=torch.float64), atol=1e-8, rtol=0)
    strength = between.diagonal()
    torch.testing.assert_close(between, torch.diag(strength), atol=1e-8, rtol=0)
    assert bool((strength.diff() <= 1e-9).all())


@pytest.mark.parametrize("family", cases.FAMILIES)
def test_images_of_every_family_are_the_densities_of_their_rows(family, rng):
    x = cases.blobs(rng, d=2)
    mixture = Mixture(cases.FAMILIES[family](x, 2, rng), cases.GATES["constant"](x, 2))
    turn = torch.tensor([[0.6, -0.8], [1.6, 1.2]], dtype=torch.float64)  # of determinant 2
    image = algebra.affine(mixture, turn, torch.ones(2, dtype=torch.float64))
    rows = (x.double() @ turn.T + 1).to(x)
    torch.testing.assert_close(image.log_prob(rows), mixture.log_prob(x) - math.log(2), rtol=1e-6, atol=1e-6)
