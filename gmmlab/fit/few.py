"""EM of Gaussians over few rows, in numpy: a call of torch costs more there than what it computes."""

from __future__ import annotations

import math

from gmmlab.axes import Float, Tensor
from gmmlab.families import Gaussian
from gmmlab.gates import Constant
from gmmlab.init.race import Race
from gmmlab.model import Mixture


def climb_few(
    model: Mixture,
    x: Float[Tensor, "n d"],
    weight: Float[Tensor, "n"] | None,
    *,
    tol: float,
    max_iter: int,
    previous: float = -math.inf,
) -> tuple[Mixture, list[float]]:
    """EM until a step gains less than `tol` per row, or for so many steps, and the evidence before each refit.

    `previous` is that before the first step, of a fit that goes on. Rows of any dtype are scored in float64. No step is
    taken that would be singular, and none of a mixture that is more than Gaussians under plain weights, or that is
    jittered: these are for `run`, which goes on from here.
    """
    if not _is_plain(model):
        return model, []
    race = Race.over(x, weight, model.gaussian.structure, model.k, model.gaussian.ridge)
    best, bounds = race.climb(race.of(model, previous), tol, max_iter)
    return race.mixture(best, model.gaussian.origin) if bounds else model, bounds


def _is_plain(model: Mixture) -> bool:
    components, gate = model.components, model.gate
    if type(components) is not Gaussian or type(gate) is not Constant:
        return False
    return gate.alpha is None and components.prior is None and not bool(components.jitter.any())
