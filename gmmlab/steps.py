"""The two halves of every step: statistics out of rows, a model out of statistics."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.kernels.chunks import chunks
from gmmlab.model import Mixture
from gmmlab.stats import Additive, Counts, Moments


class MixtureStats(Additive):
    """All that a refit needs of the rows, and the evidence of the model that assigned them."""

    components: Moments
    gate: Counts
    evidence: Float[Tensor, ""]  # total log-likelihood
    n: Float[Tensor, ""]  # number of rows

    @property
    def score(self) -> Float[Tensor, ""]:
        """Mean log-likelihood per row."""
        return self.evidence / self.n


@torch.no_grad()
def e_step(model: Mixture, x: Float[Tensor, "n d"]) -> MixtureStats:
    """Statistics of the rows under a model, chunk by chunk.

    Features are computed once per chunk and serve both products; sums across chunks are in float64. The evidence
    belongs to `model`, not to the one refitted from the statistics.
    """
    return reduce(add, (_chunk_stats(model, rows) for rows in chunks(x, model.components.width)))


def m_step(model: Mixture, stats: MixtureStats) -> Mixture:
    """The model refitted to statistics; all components at once."""
    return model.replace(components=model.components.refit(stats.components), gate=model.gate.refit(stats.gate))


def _chunk_stats(model: Mixture, rows: Float[Tensor, "n d"]) -> MixtureStats:
    features = model.components.features(rows)
    posterior = model.gate.posterior(model.components.table(features))
    return stats_of(model, features, posterior.resp, posterior.evidence.sum(dtype=torch.float64))


def stats_of(
    model: Mixture, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], evidence: Float[Tensor, ""]
) -> MixtureStats:
    """Statistics of rows whose responsibilities are known."""
    return MixtureStats(
        components=model.components.stats(features, resp),
        gate=model.gate.stats(resp),
        evidence=evidence,
        n=evidence.new_tensor(float(len(resp))),
    )
