"""Blocked Gibbs sampling: all labels at once under a model, then all parameters at once under the labels.

An EM step in which the responsibilities are drawn instead of averaged over, and the parameters from their posterior
instead of its mode. See Diebolt and Robert (1994), and Ishwaran and James (2001) for broken sticks.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import count

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import NormalInverseWishart
from gmmlab.families.niw import counted, grouped
from gmmlab.gates import Constant
from gmmlab.model import Mixture
from gmmlab.sample.draws import Belief, Draw, Sweep, assigned, shared_out
from gmmlab.sample.process import Gamma, Weights


def blocked_gibbs(
    model: Mixture,
    x: Float[Tensor, "n d"],
    prior: NormalInverseWishart,
    weights: Weights,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    learn: Gamma | None = None,
    copies: Int[Tensor, "n"] | None = None,
) -> Generator[Sweep, Mixture | None, None]:
    """Sweeps without end, from a model with as many components as `weights` has. A model sent in replaces the current.

    With `learn`, a prior of alpha, alpha is drawn in each sweep too. Labels move together, in a few products of
    O(n k d^2): fast, and slow to leave a mode in which two groups share a component.

    A row may be there in several `copies`: how many of them fall to each component is drawn at once, so that a sweep
    takes the time of the rows, whatever their number (but alpha of Dirichlet weights, if learnt, that of the copies).
    """
    if model.k != weights.k:
        raise ValueError(f"The model has {model.k} components and the prior of weights {weights.k}; expected the same.")
    belief, origin = Belief(prior, weights), x.mean(0)
    for i in count(1):
        if copies is None:
            labels, evidence = assigned(model, x, rng)
            groups = grouped(x, labels, weights.k, origin)
        else:
            labels, counts, evidence = shared_out(model, x, copies, rng)
            groups = counted(x, counts, origin)
        if learn is not None:
            alpha = weights.concentration(groups.w, alpha, learn, rng)
        drawn = prior.posterior(groups).sample(rng, origin)
        model = Mixture(drawn, Constant(weights.draw(groups.w, alpha, rng)))
        sent = yield Sweep(i, model, Draw(labels, groups, alpha, belief.log_joint(groups, alpha), evidence))
        model = model if sent is None else sent
