"""Who does the work: how rows are shared out among experts."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor


class Load(NamedTuple):
    """The share of the rows that each expert has, and the entropy of these shares in nats."""

    shares: Float[Tensor, "k"]
    entropy: float

    @property
    def effective(self) -> float:
        """How many experts of equal shares would have the same entropy, from 1 to k."""
        return math.exp(self.entropy)


def load(resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None) -> Load:
    """Shares f_k = sum_i w_i r_ik / sum_i w_i and -sum_k f_k log f_k, of responsibilities or of weights of the gate."""
    r = resp.double()
    total = r.sum(0) if weight is None else weight.double() @ r
    shares = total / total.sum()
    return Load(shares, float(-torch.special.xlogy(shares, shares).sum()))
