"""The E-step of Gaussians under constant weights on a CPU, with nothing between its products but an exponential.

A log joint density is nowhere above its value at the mean,

    b_k = log pi_k + log N(mu_k | mu_k, Sigma_k)      b = max_k b_k over the components of a mixture

so that b can stand in for each row's own maximum. With the log weights, b and the base taken into the natural
parameters beforehand, exp2 of one product is the joint density over e^b: no pass over the table adds weights, seeks a
maximum or subtracts it. Rows so far from all components that their densities underflow are done again by their own
maximum. The result is that of a gate's `posterior_` to rounding.
"""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.kernels import compiled
from gmmlab.kernels.chunks import Buffers, chunk_rows, evenly
from gmmlab.kernels.forms import Products, weighted_features
from gmmlab.kernels.groups import Groups
from gmmlab.kernels.logspace import LOG2E, log_product, normalise_

# an evidence (over e^b) beside which no density that underflows counts
LEAST = {torch.float64: 1e-280, torch.float32: 1e-30}


class Totals(NamedTuple):
    """Responsibility-weighted sums of the features over all rows, and the total log-likelihood of each mixture."""

    total: Float[Tensor, "k f"]
    evidence: Float[Tensor, "g"]


class Joint(NamedTuple):
    """The log joint density of rows and components, for mixtures (groups) that are stacked along k."""

    form: Products
    origin: Float[Tensor, "d"]
    natural: Float[Tensor, "k f"]  # of the log density, its constant in the first column
    peak: Float[Tensor, "k"]  # the log density at the mean
    log_w: Float[Tensor, "k"]
    groups: Groups


def bounded_e_step(x: Float[Tensor, "n d"], joint: Joint, weight: Float[Tensor, "n ..."] | None = None) -> Totals:
    """Totals and evidence of rows, in float64, chunk by chunk.

    Row i counts `weight[i]` times, or `weight[i, j]` times in mixture j; once by default. Not for autograd.
    """
    form, origin, natural, peak, log_w, groups = joint
    bound = groups.greatest(peak + log_w)
    eta = natural * LOG2E
    eta[:, 0] += LOG2E * (log_w - groups.spread(bound))
    if weight is not None:
        weight = (weight if weight.ndim == 2 else weight[:, None]).to(x).T
    if compiled.serves(x, *eta.shape):
        pairs = form.pairs(x.shape[1], x.device)
        total, evidence = compiled.compiled_e_step(x, origin, eta, pairs, groups, least=LEAST[x.dtype], weight=weight)
    else:
        total, evidence = _by_chunks(x, joint, eta, weight)
    return Totals(total, evidence + bound * (len(x) if weight is None else weight.sum(1, dtype=torch.float64)))


def _by_chunks(
    x: Float[Tensor, "n d"], joint: Joint, eta: Float[Tensor, "k f"], weight: Float[Tensor, "_ n"] | None
) -> tuple[Float[Tensor, "k f"], Float[Tensor, "g"]]:
    """Totals, and log evidences over the bounds, by torch calls."""
    form, origin, groups = joint.form, joint.origin, joint.groups
    total, evidence = torch.zeros_like(eta), eta.new_zeros(groups.g)
    size = evenly(len(x), chunk_rows(sum(eta.shape), x.element_size(), x.device))
    eta, buffers = eta.to(x), Buffers()
    weights = repeat(None) if weight is None else weight.split(size, dim=1)
    for rows, times in zip(x.split(size), weights, strict=False):
        features = form.features(rows, origin, buffers)
        resp = torch.mm(eta, features, out=buffers.take("table", (groups.k, len(rows)), x)).exp2_()
        sums = _normalise_(resp, groups, buffers)
        if sums.numel() and float(sums.amin()) < LEAST[x.dtype]:
            lost = (sums < LEAST[x.dtype]).any(0)
            resp[:, lost], log_evidence = _by_maximum(eta, features[:, lost], groups)
            sums[:, lost] = 1.0
            evidence += (log_evidence if times is None else log_evidence * times[:, lost]).sum(1)
        if times is None:
            evidence += log_product(sums)
        else:
            resp *= groups.spread(times) if len(times) == groups.g else times
            evidence += (sums.log_() * times).sum(1, dtype=torch.float64)
        total += weighted_features(resp, features)
    return total, evidence


def _normalise_(density: Float[Tensor, "k m"], groups: Groups, buffers: Buffers) -> Float[Tensor, "g m"]:
    """Turn joint densities into responsibilities, in place, and give their sums."""
    sums = buffers.take("sums", (groups.g, density.shape[1]), density)
    blocks = groups.blocks(density)
    counts = [len(block) for block in blocks]
    for block, own in zip(blocks, sums.split(counts), strict=True):
        torch.sum(block, 1, out=own)
    scale = sums.reciprocal()[:, None]  # a division for a row, not for an entry
    for block, own in zip(blocks, scale.split(counts), strict=True):
        block.mul_(own)
    return sums


def _by_maximum(
    eta: Float[Tensor, "k f"], features: Float[Tensor, "f m"], groups: Groups
) -> tuple[Float[Tensor, "k m"], Float[Tensor, "g m"]]:
    """Responsibilities, and log evidences over the bounds, of rows whose densities underflow."""
    joint = (eta @ features).div_(LOG2E)
    log_evidence = torch.cat([normalise_(block, dim=1)[1] for block in groups.blocks(joint)])
    return joint, log_evidence
