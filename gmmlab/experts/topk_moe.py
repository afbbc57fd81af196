"""`TopKMoE`: experts of which only the best few answer at each x."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.errors import DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.experts import fitting
from gmmlab.experts.base import Task
from gmmlab.experts.softmax_moe import SoftmaxMoE
from gmmlab.fit import Step
from gmmlab.gates import Softmax, TopK
from gmmlab.model import Mixture

ANNEAL = 0.3  # of max_iter, for the way from all experts to a few


@dataclass(kw_only=True, eq=False, repr=False)
class TopKMoE(SoftmaxMoE):
    """Mixture of linear-Gaussian experts of which `top_k` are active at each x, by generalised EM.

    p(y | x) = sum_{k in A(x)} pi_k(x) N(y | a_k' x + b_k, s_k), where A(x) are the experts with the largest w_k' x and
    pi is their softmax, constants included. The space of x parts into regions with an active set each; from one to the
    next the density jumps.

    Regions are cones about x = 0: with one column there are two sets, one for each sign of x, and whoever is in neither
    never answers. Where zero is no natural place, centre x or rank with the constants (`rank_with_bias`).

    The likelihood of the rows never falls after annealing: the gate steps as if active sets stayed as they are, and a
    step that turns rows to other experts is halved until the likelihood is no lower, or not taken. So a fit can end
    where a far turn of sets would be better; `n_init` helps. With top_k=1 only annealing and starts move the gate.

    Parameters
    ----------
    n_experts : int, default=2
        Number of experts N.
    top_k : int, default=1
        Number K of experts that are active at each x; with K = N this is `SoftmaxMoE`.
    rank_with_bias : bool, default=False
        Whether the constants of the gate have a say in which experts are active, as in layers of neural networks.
    anneal : bool, default=True
        Whether a start begins with all experts active and loses one after the other, each in an equal part of the first
        0.3 max_iter steps, or less if it settles. These steps are not counted in `n_iter_` and `loglik_path_`.
    covariance_type, heteroscedastic, init, n_init, gate_solver, reg_gate, min_var, tol, max_iter, random_state
        As of `SoftmaxMoE`.

    Attributes
    ----------
    gate_weights_, coef_, intercept_, variances_, log_variances_, weights_, mixture_, converged_, n_iter_, lower_bound_
        As of `SoftmaxMoE`, and so are the others.

    References
    ----------
    Nguyen, Akbarian, Yan and Ho (2024), Statistical perspective of top-K sparse softmax gating mixture of experts.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.experts import TopKMoE
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-2, 2, size=(400, 1))
    >>> y = np.where(x[:, 0] > 0, 1 + x[:, 0], -1 - x[:, 0]) + 0.1 * rng.normal(size=400)
    >>> model = TopKMoE(2, 1, random_state=0).fit(x, y).canonicalise()
    >>> model.active_set([[-1.0], [1.0]]).tolist()
    [[True, False], [False, True]]
    """

    top_k: int = field(default=1, kw_only=False)
    rank_with_bias: bool = False
    anneal: bool = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = SoftmaxMoE._parameter_constraints | {
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "rank_with_bias": ["boolean"],
        "anneal": ["boolean"],
    }

    def active_set(self, X: Any, Xg: Any = None) -> Any:
        """Which experts are active at each row, booleans (n, N) of which K are true."""
        return sk.like(X, self._active(X, Xg))

    def regions(self, X: Any, Xg: Any = None) -> tuple[Any, Any]:
        """The number of the region that each row is in, (n,), and the active sets (r, N) of those that have rows."""
        sets, number = torch.unique(self._active(X, Xg), dim=0, return_inverse=True)
        return sk.like(X, number), sk.like(X, sets)

    def _active(self, X: Any, Xg: Any) -> Bool[Tensor, "n k"]:
        x, _ = self._inputs(X, Xg, fitting=False)
        return _of(self.mixture_).to(x.device).active(x)

    # -- fitting ---------------------------------------------------------------------------------------------------

    def _asked(self, X: Any, y: Any, sample_weight: Any, Xg: Any) -> Task:
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k={self.top_k} of n_experts={self.n_experts} were asked for; expected no more.")
        return super()._asked(X, y, sample_weight, Xg)

    def _up(self, begin: Mixture, task: Task, tol: float) -> Iterator[Step]:
        refit, halves = fitting.guarded(task.rows, task.weight), 2 if self.heteroscedastic else 1
        return fitting.steps(begin, task.rows, task.weight, tol=tol, halves=halves, refit=refit)

    def _begin(self, task: Task, resp: Float[Tensor, "n k"]) -> Mixture:
        model, top = super()._begin(task, resp), int(self.top_k)
        stages = range(int(self.n_experts), top, -1) if self.anneal else range(0)
        for k in stages:
            most = max(1, int(ANNEAL * self.max_iter / len(stages)))
            model = fitting.climb(self._up(self._limited(model, k), task, fitting.RACE), most).model
        return self._limited(model, top)

    def _limited(self, model: Mixture, k: int) -> Mixture:
        """The model of which only k experts are active."""
        gate = model.gate
        assert isinstance(gate, Softmax)  # for the type checker
        return model.replace(gate=TopK.among(gate, k, rank_with_bias=bool(self.rank_with_bias)))

    def _best(self, task: Task) -> fitting.Climbed:
        """The start that comes highest; if some experts are idle, again with these where the fit is worst."""
        best = super()._best(task)
        idle = ~_of(best.model).active(task.rows).any(0)
        if not bool(idle.any()):
            return best
        begin = fitting.reseeded(best.model, task.rows, idle)
        again = fitting.climb(self._up(begin, task, float(self.tol)), int(self.max_iter))
        rise = again.bound - best.bound
        best = again if rise > 0 else best
        still = int((~_of(best.model).active(task.rows).any(0)).sum())
        what = f"raised the mean log-likelihood by {rise:.2g}" if rise > 0 else "came to no higher likelihood"
        warn(
            f"{int(idle.sum())} of {len(idle)} experts were active at no row. To begin them anew where the fit was "
            f"worst {what}; {still} still answer nowhere. Fewer experts, a larger top_k or rank_with_bias=True help.",
            DataWarning,
        )
        return best


def _of(model: Mixture) -> TopK:
    """The gate. Raises `TypeError` for others."""
    if not isinstance(model.gate, TopK):
        raise TypeError(f"The gate is one of {type(model.gate).__name__}; expected one of the best few.")
    return model.gate
