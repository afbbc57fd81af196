"""Softmax weights of the best few components at each row; the others have none.

    pi_k(x) = exp(w_k' z) / sum_{l in A(x)} exp(w_l' z) for k in A(x),      A(x) = the K largest of w_k1' x

The active sets A(x) follow from the slopes alone and split the space of x into polyhedral cones about x = 0; the
constants, which are added after, only weigh. In each region this is a softmax gate of K components; from one to the
next the weights jump. `rank_with_bias` ranks by constants and slopes together: then regions need not meet at zero, and
move along where x is shifted.

Sets have no derivatives. A refit takes the step of a softmax gate as if the sets stayed as they are: it raises the
expected log-likelihood of *these* sets. Where the step turns other sets, the likelihood may fall; who fits must look
(`experts/fitting.py`). With K = 1 the weights are one and zero, and no refit ever moves the gate. See Nguyen, Akbarian,
Yan and Ho (2024).
"""

from __future__ import annotations

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.gates.softmax import BoundSoftmax, Softmax
from gmmlab.kernels.sparse_softmax import active, log_softmax_among
from gmmlab.record import static
from gmmlab.stats import Curved, Slopes

_DAMPING = 1e-8  # of the curvature of even odds: between components that never meet there is none


class TopK(Softmax):
    """A softmax gate of which the `top_k` best components are active at each row."""

    top_k: int = static(default=1)
    rank_with_bias: bool = static(default=False)

    @classmethod
    def among(cls, gate: Softmax, top_k: int, *, rank_with_bias: bool = False) -> TopK:
        """The gate with the same weights that leaves only so many components active."""
        columns, options = gate.columns, (gate.ridge, gate.curved, top_k, rank_with_bias)
        return cls(gate.w, gate.share, gate.origin, gate.scale, columns, *options)

    def at(self, rows: Float[Tensor, "n d"]) -> BoundSoftmax:
        """The gate of these rows."""
        bound = super().at(rows)
        logits = self.w.to(bound.z) @ bound.z.T
        return bound.replace(log_w=log_softmax_among(logits.T, self.active(rows)))

    def active(self, rows: Float[Tensor, "n d"]) -> Bool[Tensor, "n k"]:
        """Which components are active at each row; of those that tie, as all do where x is zero, the first."""
        scores = rows[:, list(self.columns)].double() @ self.slopes.T
        return active(scores + self.intercepts if self.rank_with_bias else scores, min(self.top_k, len(self.w)))

    def refit(self, stats: Slopes) -> Softmax:
        """A step up the expected log-likelihood of the active sets that the statistics were taken in."""
        if isinstance(stats, Curved) and self.top_k < len(self.w):
            eye = torch.eye(len(self.w)).to(stats.gram)
            damping = _DAMPING * torch.einsum("jl,rce->rjcle", eye, stats.gram)
            stats = stats.replace(curvature=stats.curvature + damping)
        return super().refit(stats)
