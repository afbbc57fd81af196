"""EM of Gaussians over few rows, in numpy: a call of torch costs more there than what it computes."""

from __future__ import annotations

from itertools import islice

from gmmlab.axes import Float, Tensor
from gmmlab.estimators.fitting import Begin, Budget, Fit, Interrupted
from gmmlab.families import Gaussian
from gmmlab.gates import Constant
from gmmlab.init.race import Race
from gmmlab.model import Mixture


def over_few(begin: Begin, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None, budget: Budget) -> Begin:
    """Where a fit begins that has taken its steps over few rows: most often, where it ends.

    The steps are those of `run`, to rounding; rows of any dtype are scored in float64. No step is taken that would be
    singular, and none of a mixture that is more than Gaussians under plain weights, or that is jittered: the fit goes
    on from here in torch. Raises `Interrupted` with what was reached.
    """
    model = begin.model
    if not _is_plain(model):
        return begin
    race = Race.over(x, weight, model.gaussian.structure, model.k, model.gaussian.ridge)
    best, bounds = race.of(model, begin.previous), list[float]()
    try:
        for after in islice(race.steps(best), budget.max_iter):
            best = after
            bounds.append(float(best.evidence[0]))
            if abs(best.gain[0]) < budget.tol:
                break
    except KeyboardInterrupt as interrupt:
        raise Interrupted(Fit(race.mixture(best, model.gaussian.origin), bounds)) from interrupt
    return begin._replace(model=race.mixture(best, model.gaussian.origin), bounds=bounds) if bounds else begin


def _is_plain(model: Mixture) -> bool:
    components, gate = model.components, model.gate
    if type(components) is not Gaussian or type(gate) is not Constant:
        return False
    return gate.alpha is None and components.prior is None and not bool(components.jitter.any())
