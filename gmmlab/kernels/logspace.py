"""Sums of exponentials without overflow."""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor

LOG2E = 1 / math.log(2)


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
