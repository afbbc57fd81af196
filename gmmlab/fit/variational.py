"""Variational Bayes: the lower bound between the half-steps of its loop.

A step of `run` with components and a gate that are posteriors (`families/normal_wishart.py`, `gates/expected.py`) is
one of variational Bayes, and its objective is the lower bound of log p(rows) at the responsibilities that it has just
made and the posterior before its refit. scikit-learn looks at the bound after the refit, and leaves out of it what no
step changes; here is that bound, as an objective of `run` for fits that shall end where its fits do.
"""

from __future__ import annotations

import math

from gmmlab.axes import Float, Tensor
from gmmlab.families import NormalWishart
from gmmlab.gates import DirichletWeights, StickWeights
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats


def attained(before: Mixture, stats: MixtureStats, after: Mixture) -> Float[Tensor, ""]:
    """The bound of the responsibilities that `before` made, and the posterior refitted to them, less `left_out`.

    Their entropy is what the evidence has beyond the expected log densities; and for a conjugate posterior the rest of
    the bound is the ratio of its normaliser to that of the prior.
    """
    components, gate = parts(before)
    entropy = stats.evidence - components.expected(stats.components) - gate.expected(stats.gate)
    components, gate = parts(after)
    return entropy + components.log_norm + gate.expected(stats.gate) + gate.penalty() + gate.settled


def left_out(model: Mixture, n: float) -> Float[Tensor, ""]:
    """What no step changes: to be added to `attained` for a lower bound of the log density of n rows.

    Where the prior is improper, its scale matrix singular, there is no such bound, and a constant remains.
    """
    components, gate = parts(model)
    return -components.log_norm0 - gate.settled - 0.5 * n * model.d * math.log(2 * math.pi)


def parts(model: Mixture) -> tuple[NormalWishart, DirichletWeights | StickWeights]:
    """Components and gate of a posterior. Raises `TypeError` for a mixture that is none."""
    match model:
        case Mixture(components=NormalWishart() as components, gate=DirichletWeights() | StickWeights() as gate):
            return components, gate
    raise TypeError(
        f"Expected a posterior, NormalWishart components with a gate of expected weights; got "
        f"{type(model.components).__name__} with {type(model.gate).__name__}."
    )
