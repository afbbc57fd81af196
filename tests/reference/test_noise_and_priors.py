"""Noise and conjugate priors against mclust 6.0.0 (Scrucca, Fop, Murphy and Raftery, 2016), on Old Faithful.

The numbers below are those of its functions `me` (run to 1e-14) and `mstep`, from the same partition: eruptions below
and above three minutes. EM in float64 ends where theirs does up to their 12 digits and the last step of a slow fit.
"""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from sklearn.datasets import load_iris
from torch import Tensor

from gmmlab import faithful
from gmmlab.families import Diagonal, Full, Prior, Spherical, Structure, Tied
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Noisy, Posterior
from gmmlab.init import from_labels
from gmmlab.model import Mixture
from gmmlab.score import bic

STRUCTURES: dict[str, Structure] = {"VVV": Full(), "EEE": Tied(), "VVI": Diagonal(), "VII": Spherical()}

# me(data, modelName, z, Vinv = 1/400): log-likelihood, weights of two components and noise, means, covariances, df, BIC
NOISE = {
    "VVV": (
        -1244.3596439059,
        [0.3254106262734, 0.6046281324533, 0.0699612412733],
        [2.01153552340, 54.29484674721, 4.29552602295, 79.97322878846],
        [
            *(0.0514393659578, 0.3440456258431, 0.3440456258431, 32.6583785464596),
            *(0.1645671928505, 0.8798955334274, 0.8798955334274, 34.9458623443692),
        ],
        13,
        2562.1559529079,
    ),
    "EEE": (
        -1254.6731319142,
        [0.3398430548430, 0.5997712714197, 0.0603856737373],
        [2.04743308372, 54.58507472452, 4.30523666620, 80.07201396480],
        [0.127758881552, 0.700779655455, 0.700779655455, 34.010191549548] * 2,
        10,
        2565.8360062099,
    ),
    "VVI": (
        -1255.6365286802,
        [0.3194362663030, 0.5889056254249, 0.0916581082721],
        [2.00269985770, 54.13013989778, 4.31431387657, 80.17915537972],
        [0.0470263648615, 0, 0, 30.9466538958384, 0.1460224628211, 0, 0, 31.0773931051440],
        11,
        2573.4117739802,
    ),
    "VII": (
        -1621.1172852557,
        [0.0687090174752, 0.2526909292078, 0.6786000533170],
        [2.02341065327, 53.84635204055, 4.31727566073, 80.20387351669],
        [0.377407516108, 0, 0, 0.377407516108, 2.627242647086, 0, 0, 2.627242647086],
        9,
        3293.0753386548,
    ),
}

# me(data, modelName, z, prior = priorControl()): log-likelihood at the mode, means, covariances
MODES = {
    "VII": (
        -1709.5808296066,
        [2.09724192287, 54.73818139977, 4.29362869449, 80.26144205668],
        [16.8837456503, 0, 0, 16.8837456503, 15.7827859620, 0, 0, 15.7827859620],
    ),
    "VVI": (
        -1229.2156899301,
        [2.07395297526, 54.74125595732, 4.30077341887, 80.18707987572],
        [0.549898279538, 0, 0, 33.625156836202, 0.417250760766, 0, 0, 32.158900327269],
    ),
    "EEE": (
        -1140.2609354816,
        [2.04631243915, 54.59807045987, 4.29598482473, 80.03555269927],
        [0.130917053966, 0.753347127883, 0.753347127883, 34.386613829431] * 2,
    ),
    "VVV": (
        -1130.5092636712,
        [2.03703413779, 54.48526503111, 4.29005185750, 79.97283282515],
        [
            *(0.0706689210841, 0.4747686395762, 0.4747686395762, 32.0604844266623),
            *(0.1656085320378, 0.9314112062094, 0.9314112062094, 34.9063642962381),
        ],
    ),
}

# mstep(modelName, iris, species, prior = priorControl()): log-determinants of the covariances
ONE_STEP = {
    "VII": [-10.36579465415, -7.65442422661, -6.26830930485],
    "VVI": [-11.38079071946, -8.60223153472, -7.31894073018],
    "EEE": [-10.2568373648] * 3,
    "VVV": [-12.98274008627, -11.40235416290, -9.52017991072],
}


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.tensor(faithful().to_numpy(float))


def climbed(model: Mixture, x: Tensor):
    return list(islice(run(model, whole(x), stop=plateau(1e-14)), 5000))[-1]


def near(found: Tensor, expected: list[float], tol: float = 1e-5) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found.flatten(), wanted, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", NOISE)
def test_noise_is_that_of_mclust(name, x):
    """Twelve outliers on a lattice start as noise."""
    loglik, weights, means, covs, df, criterion = NOISE[name]
    far = torch.cartesian_prod(torch.tensor([1.0, 3, 5, 6]), torch.tensor([30.0, 65, 110])).double()
    rows = torch.cat([x, far])
    model = from_labels(x, (x[:, 0] >= 3).long(), STRUCTURES[name])
    none = len(far) / len(rows)
    step = climbed(model.replace(gate=Noisy.around(rows, model.weights, none)), rows)
    assert step.info.evidence * len(rows) == pytest.approx(loglik, abs=1e-6)
    near(torch.cat([step.model.weights, step.model.gate.none[None]]), weights)
    near(step.model.gaussian.mean, means)
    near(step.model.gaussian.cov, covs)
    assert step.model.n_parameters == df
    assert bic(loglik, step.model.n_parameters, len(rows)) == pytest.approx(criterion, abs=1e-6)


@pytest.mark.parametrize("name", MODES)
def test_mode_of_the_default_prior_is_that_of_mclust(name, x):
    loglik, means, covs = MODES[name]
    model = from_labels(x, (x[:, 0] >= 3).long(), STRUCTURES[name])
    model = model.replace(components=model.gaussian.replace(prior=Prior.weak(STRUCTURES[name], 2, x)))
    step = climbed(model, x)
    assert step.info.evidence * len(x) == pytest.approx(loglik, abs=1e-5)
    near(step.model.gaussian.mean, means)
    near(step.model.gaussian.cov, covs)


@pytest.mark.parametrize("name", ONE_STEP)
def test_one_step_of_the_default_prior_is_that_of_mclust(name):
    x, species = (torch.tensor(part) for part in load_iris(return_X_y=True))
    components = from_labels(x, species, STRUCTURES[name]).gaussian
    components = components.replace(prior=Prior.weak(STRUCTURES[name], 3, x))
    resp = torch.nn.functional.one_hot(species).double()
    refit = components.refit(components.stats(components.features(x), resp))
    near(refit.cov.logdet(), ONE_STEP[name], 1e-10)
    near(refit.mean[0], [5.006167433180, 3.427925881490, 1.462459108178, 0.246190628541], 1e-10)


def test_noise_takes_the_outliers(x):
    """Rows far away get the label -1, and those of no model the noise."""
    model = from_labels(x, (x[:, 0] >= 3).long(), Full())
    gate = Noisy.around(x, model.weights, 0.05)
    noisy = model.replace(gate=gate)
    labels = noisy.assign(torch.tensor([[2.0, 54.0], [4.3, 80.0], [1.0, 110.0]]).double())[0]
    assert labels.tolist() == [0, 1, -1]
    refit = gate.refit(gate.stats(Posterior(torch.tensor([[0.5, 0.0]]), torch.zeros(1), torch.tensor([0.5]))))
    assert refit.weights.tolist() == [0.5, 0.0] and float(refit.none) == 0.5


def test_priors_that_are_none_are_refused():
    parts = {"mean": torch.zeros(2), "kappa": 0.01, "dof": 4.0, "scale": torch.eye(2)}
    for change, words in (
        ({"scale": torch.eye(3)}, r"shape \(3, 3\); expected \(2, 2\)"),
        ({"scale": -torch.eye(2)}, "positive semi-definite"),
        ({"kappa": -1.0}, "kappa of at least 0"),
        ({"dof": -3.0}, "dof above -2"),
    ):
        with pytest.raises(ValueError, match=words):
            Prior.of(Full(), 2, **{**parts, **change})
