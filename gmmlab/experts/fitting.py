"""From responsibilities to a fitted mixture of experts: the steps, when they end, and the best of several starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.fit import Step, run, whole
from gmmlab.gates import Softmax, TopK
from gmmlab.kernels import multinomial
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, m_step

RACE = 1e-6  # tolerance of all starts, of which the best goes on alone
HALVINGS = 10  # of a step of a gate that turns rows to other experts
NUDGE = 1e-3  # log odds by which a new expert is ranked before the one that it splits
SURE = 0.9  # of the labels of a start: a gate that is sure of them would have no finite weights

Refit = Callable[[Mixture, MixtureStats], Mixture]


class Climbed(NamedTuple):
    """How far a start has come: its model and the objective per row of every step."""

    model: Mixture
    bounds: list[float]
    converged: bool

    @property
    def bound(self) -> float:
        """The last objective."""
        return self.bounds[-1]


def settled(tol: float) -> Callable[[Any], bool]:
    """Whether a step gained less than `tol` of the objective (and one)."""
    return lambda step: abs(step.info.gain) <= tol * (1 + abs(float(step.info.objective)))


def in_a_row(rule: Callable[[Any], bool], times: int) -> Callable[[Any], bool]:
    """A rule that has held for so many steps: for fits whose steps move one part of the model after the other."""
    held = 0

    def enough(step: Any) -> bool:
        nonlocal held
        held = held + 1 if rule(step) else 0
        return held >= times

    return enough


def steps(
    model: Mixture,
    rows: Float[Tensor, "n d"],
    weight: Any = None,
    *,
    tol: float = 1e-8,
    halves: int = 1,
    refit: Refit = m_step,
) -> Iterator[Step]:
    """EM from a model of the rows, until it has settled for as many steps as a whole one has `halves`."""
    return run(model, whole(rows, weight), refit=refit, stop=in_a_row(settled(tol), halves))


def guarded(rows: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None) -> Refit:
    """The refit of a model with a `TopK` gate that never lowers its likelihood (and penalty) of these rows.

    The step of the gate is safe where no row turns to other experts. Where some do, the likelihood is looked at, and
    the step halved until it is no lower than with the gate as it was; after `HALVINGS` of them the gate stays.
    """

    def value(model: Mixture) -> float:
        with torch.no_grad():
            each = model.log_prob(rows).double()
            return float((each.sum() if weight is None else weight.double() @ each) + model.penalty())

    def refit(model: Mixture, stats: MixtureStats) -> Mixture:
        after, old = m_step(model, stats), model.gate
        new = after.gate
        if not isinstance(old, TopK) or not isinstance(new, TopK):
            raise TypeError(f"Expected a gate of the best few, got {type(old).__name__}.")
        sets = old.active(rows)
        if torch.equal(new.active(rows), sets):
            return after
        stays = after.replace(gate=old.replace(share=new.share))
        least = value(stays)
        for halving in range(HALVINGS + 1):
            gate = new.replace(w=torch.lerp(old.w, new.w, 0.5**halving))
            moved = after.replace(gate=gate)
            if torch.equal(gate.active(rows), sets) or value(moved) >= least:
                return moved
        return stays

    return refit


def reseeded(model: Mixture, rows: Float[Tensor, "n d"], idle: Bool[Tensor, "k"]) -> Mixture:
    """The model in which each idle expert shares the worst fitted rows: it splits the expert that is theirs.

    It takes over those rows of that expert whose density is below their median, and its weights in the gate, a trace
    more towards the worst row, so that it is ranked just before it there. The likelihood may fall.
    """
    gate, experts = model.gate, model.components
    if not isinstance(gate, TopK):
        raise TypeError(f"Expected a gate of the best few, got {type(gate).__name__}.")
    with torch.no_grad():
        density, resp = model.log_prob(rows), model.posterior(rows).resp
    owner, w = resp.argmax(1), gate.w.clone()
    left = density.clone()
    for j in idle.nonzero()[:, 0].tolist():
        worst = int(left.argmin())
        split = int(owner[worst])
        mine = owner == split
        taken = mine & (density <= density[mine].median())
        resp = torch.where(taken[:, None], torch.eye(model.k).to(resp)[j], resp)
        w[j] = w[split]
        x = rows[worst, list(gate.columns)].double() / gate.scale
        if gate.rank_with_bias:
            w[j, 0] += NUDGE
        else:
            w[j, 1:] += NUDGE * x / x.square().sum().clamp(min=1e-300)
        left = torch.where(mine, torch.inf, left)
    refitted = experts.refit(experts.stats(experts.features(rows), resp))
    return Mixture(refitted, gate.replace(w=w - w.mean(0)))


def climb(steps: Iterable[Step], most: int) -> Climbed:
    """The end of some steps, or of the first `most` of them: then it has not converged."""
    bounds: list[float] = []
    converged, model = False, None
    for step in steps:
        bounds.append(float(step.info.objective))
        model = step.model
        if step.i >= most:
            break
    else:
        converged = True
    assert model is not None  # a fit has a first step
    return Climbed(model, bounds, converged)


def gate_of(
    gate: Softmax, rows: Float[Tensor, "n d"], resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None
) -> Softmax:
    """A gate of the same kind at the maximum for responsibilities, which are mixed with even ones."""
    k = resp.shape[1]
    z = gate.at(rows).z.double()
    soft = SURE * resp.double() + (1 - SURE) / k
    soft = soft if weight is None else soft * weight.double()[:, None]
    penalty = gate.penalties
    w = multinomial.solve(z, soft[:, None], penalty, most=20, tol=1e-6)[0]
    return gate.replace(w=w - w.mean(0), share=soft.sum(0) / soft.sum())
