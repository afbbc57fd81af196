"""The two halves of every step: statistics out of rows, a model out of statistics."""

from __future__ import annotations

from functools import reduce
from itertools import repeat
from operator import add
from typing import Any

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import Gaussian, NormalWishart
from gmmlab.gates import Constant, Expected, Posterior, Stacked
from gmmlab.kernels.chunks import Buffers, chunk_rows
from gmmlab.model import Mixture
from gmmlab.stats import Additive, Counts


class MixtureStats(Additive):
    """All that a refit needs of the rows, and the evidence of the model that assigned them.

    Models that are stacked along k have one evidence each, and one number of rows if their weights differ.
    """

    components: Any  # closed under addition, of the kind that the family refits from
    gate: Any
    evidence: Float[Tensor, "..."]  # total log-likelihood
    n: Float[Tensor, "..."]  # number of rows: the sum of their weights

    @property
    def score(self) -> Float[Tensor, "..."]:
        """Mean log-likelihood per row."""
        return self.evidence / self.n

    def standardised(self, base: MixtureStats) -> Float[Tensor, "f"]:
        """A difference of statistics in units of their standard errors at `base`, evidence and rows left out."""
        return torch.cat([self.components.standardised(base.components), self.gate.standardised(base.gate)])


@torch.no_grad()
def e_step(model: Mixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None = None) -> MixtureStats:
    """Statistics of the rows under a model, chunk by chunk; a row of weight 2 counts as two rows.

    Features are computed once per chunk and serve both products; sums across chunks are in float64. The evidence
    belongs to `model`, not to the one refitted from the statistics. Gaussians with constant weights have kernels that
    do without some passes over the table.
    """
    match model:
        case Mixture(components=Gaussian() as gaussian, gate=Constant() | Stacked() as gate):
            if gaussian.passes_once(x, gate.groups):
                return _one_pass(gaussian, gate, x, weight)
        case Mixture(components=NormalWishart(gaussian=gaussian) as posterior, gate=Expected() as gate):
            if gaussian.passes_once(x, gate.groups):
                return _one_pass(gaussian, Constant(gate.log_w + posterior.offset), x, weight)
    size, buffers = chunk_rows(model.components.width, x.element_size(), x.device), Buffers()
    weights = repeat(None) if weight is None else weight.to(x).split(size)
    parts = zip(x.split(size), weights, strict=False)
    return reduce(add, (_chunk_stats(model, rows, part, buffers) for rows, part in parts))


def m_step(model: Mixture, stats: MixtureStats) -> Mixture:
    """The model refitted to statistics; all components at once."""
    return model.replace(components=model.components.refit(stats.components), gate=model.gate.refit(stats.gate))


def _chunk_stats(
    model: Mixture, rows: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None, buffers: Buffers
) -> MixtureStats:
    features = model.components.features(rows, buffers)
    here = model.replace(gate=model.gate.at(rows))
    posterior = here.gate.posterior_(here.components.table(features, buffers))
    return stats_of(here, features, posterior, weight, buffers)


def _one_pass(
    gaussian: Gaussian, gate: Constant | Stacked, x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None
) -> MixtureStats:
    moments, evidence = gaussian.one_pass(x, gate.log_w, gate.groups, weight)
    evidence = evidence if isinstance(gate, Stacked) else evidence.squeeze(0)
    n = _count(len(x), weight, evidence)
    return MixtureStats(components=moments, gate=Counts(moments.w), evidence=evidence, n=n)


def stats_of(
    model: Mixture,
    features: Float[Tensor, "f n"],
    posterior: Posterior,
    weight: Float[Tensor, "n ..."] | None = None,
    buffers: Buffers | None = None,
) -> MixtureStats:
    """Statistics of rows whose responsibilities are known; the gate is that of the rows."""
    if weight is not None:
        posterior = model.gate.weigh(posterior, weight)
    evidence = posterior.evidence.sum(0, dtype=torch.float64)
    return MixtureStats(
        components=model.components.stats(features, posterior.resp, buffers),
        gate=model.gate.stats(posterior),
        evidence=evidence,
        n=_count(len(posterior.resp), weight, evidence),
    )


def _count(n: int, weight: Float[Tensor, "n ..."] | None, like: Tensor) -> Float[Tensor, "..."]:
    """The number of rows, or the sum of their weights."""
    return like.new_full((), n) if weight is None else weight.sum(0, dtype=torch.float64)
