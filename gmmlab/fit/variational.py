"""Variational Bayes: the loop over posteriors, and the lower bound between its half-steps.

A step of `run` with components and a gate that are posteriors (`families/normal_wishart.py`, `gates/expected.py`) is
one of variational Bayes, and its objective is the lower bound of log p(rows) at the responsibilities that it has just
made and the posterior before its refit. scikit-learn looks at the bound after the refit, and leaves out of it what no
step changes; here is that bound, for fits that shall end where its fits do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gmmlab.axes import Float, Tensor
from gmmlab.families import NormalWishart
from gmmlab.fit.loop import Step, Stop, plateau, run
from gmmlab.fit.source import Source
from gmmlab.gates import DirichletWeights, StickWeights
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats


def bound_steps(
    model: Mixture,
    source: Source,
    *,
    stop: Stop = plateau(1e-3),  # noqa: B008 - a rule has no state
    previous: Tensor | float = -math.inf,
) -> Iterator[Step]:
    """Steps whose objective is the bound of all rows after the refit, as `attained` has it, in nats."""
    for step in run(model, source, stop=plateau(-1.0)):  # never
        objective = attained(model, step.info.stats, step.model)
        told = step._replace(info=step.info._replace(objective=objective, previous=previous))
        model, previous = step.model, objective
        yield told
        if stop(told):
            return


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
