"""Draws from a posterior that is known: that of variational Bayes, in which all parts are independent."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import NormalWishart
from gmmlab.gates import Constant, DirichletWeights, StickWeights
from gmmlab.gates.gate import Gate
from gmmlab.model import Mixture
from gmmlab.sample.random import log_betas, log_dirichlet


def drawn(posterior: Mixture, rng: torch.Generator) -> Mixture:
    """Gaussians and weights from the posterior of `BayesianGaussianMixture`.

    Covariances are whole matrices, whatever the structure of what is expected of them: it is the posterior that is
    restricted, not the model. Raises `TypeError` for a mixture whose parameters are values.
    """
    components = posterior.components
    if not isinstance(components, NormalWishart):
        raise TypeError(f"The components are {type(components).__name__}; expected NormalWishart ones, a posterior.")
    return Mixture(components.niw.sample(rng, components.gaussian.origin), Constant(_log_weights(posterior.gate, rng)))


def _log_weights(gate: Gate, rng: torch.Generator) -> Float[Tensor, "k"]:
    match gate:
        case DirichletWeights():
            return log_dirichlet(gate.alpha, rng)
        case StickWeights():
            return gate.pieces(*log_betas(gate.a, gate.b, rng))
        case _:
            raise TypeError(f"The weights are {type(gate).__name__}; expected DirichletWeights or StickWeights.")
