"""Sums of exponentials without overflow."""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor

LOG2E = 1 / math.log(2)
_FEW = 2000  # numbers whose logarithms cost less than the calls that save some
_MOST = 32  # numbers that are multiplied before their logarithm is taken


def normalise_(joint: Float[Tensor, "..."], dim: int = 1) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Turn log joint densities into responsibilities, in place, and return them with the log evidence.

    evidence_i = log sum_k exp(joint_ik)      resp_ik = exp(joint_ik - evidence_i)

    The row maximum is subtracted first: exp overflows at 709. Overwrites its argument, so not for autograd. Components
    lie along `dim`.
    """
    top = joint.amax(dim=dim, keepdim=True)
    # exp2 takes half the time of exp, and its argument is scaled in the pass that subtracts
    resp = torch.add(-LOG2E * top, joint, alpha=LOG2E, out=joint).exp2_()
    total = resp.sum(dim=dim, keepdim=True)
    return resp.div_(total), total.log_().add_(top).squeeze(dim)


def log_product(values: Float[Tensor, "g n"]) -> Float[Tensor, "g"]:
    """The sum of the logarithms of positive numbers along the rows, in float64, with a fraction of the logarithms.

    So many numbers are multiplied first as neither overflow nor underflow together.
    """
    if values.numel() < _FEW:
        return values.log().sum(1, dtype=torch.float64)
    n = values.shape[1]
    widest = max(abs(math.log(float(end))) for end in values.aminmax())
    size = int(min(_MOST, n, 0.9 * math.log(torch.finfo(values.dtype).max) / max(widest, 1.0)))
    parts = n // size
    products = values[:, : size * parts].unflatten(1, (size, parts)).prod(1)
    return torch.cat([products, values[:, size * parts :]], dim=1).log_().sum(1, dtype=torch.float64)
