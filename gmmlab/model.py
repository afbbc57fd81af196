"""The mixture: components that score rows, a gate that assigns them.

The two exchange tables and nothing else. The components give log densities (n, k); the gate gives back
responsibilities (n, k) and the evidence of each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Built, Components, Gaussian
from gmmlab.gates import Gate, Noisy, Posterior, join
from gmmlab.kernels.chunks import chunks
from gmmlab.record import Record


class Mixture(Record):
    """p(x) = sum_k pi_k p_k(x), an immutable value."""

    components: Components
    gate: Gate

    @property
    def gaussian(self) -> Gaussian:
        """The components, where they have to be Gaussian. Raises `TypeError` for other families."""
        if not isinstance(self.components, Gaussian):
            raise TypeError(f"Expected a mixture of Gaussians, got one of {type(self.components).__name__}.")
        return self.components

    @property
    def located(self) -> Gaussian:
        """Places and scales of the components: the Gaussians that they are, or that they are built on.

        Those hold the scale matrices of Student-t components, the noise of factor analysers, and what posteriors
        expect.
        """
        components = self.components
        return components.gaussian if isinstance(components, Built) else self.gaussian

    def relocated(self, **changes: Any) -> Mixture:
        """The same mixture with changes of the Gaussians that `located` names."""
        gaussian, components = self.located.replace(**changes), self.components
        if isinstance(components, Built):
            return self.replace(components=components.replace(gaussian=gaussian))
        return self.replace(components=gaussian)

    @property
    def k(self) -> int:
        """Number of components."""
        return self.components.k

    @property
    def d(self) -> int:
        """Number of features."""
        return self.components.d

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Mixing weights."""
        return self.gate.weights

    @property
    def n_parameters(self) -> int:
        """Free parameters, as information criteria count them."""
        return self.components.n_parameters + self.gate.n_parameters

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of all parameters, up to a constant; zero without a prior."""
        return self.components.penalty() + self.gate.penalty()

    def tables(self, x: Float[Tensor, "n d"]) -> Iterator[Float[Tensor, "m k"]]:
        """Log densities of the rows under each component, chunk by chunk."""
        return (table for _, table in self.gated(x))

    def gated(self, x: Float[Tensor, "n d"]) -> Iterator[tuple[Gate, Float[Tensor, "m k"]]]:
        """The same with the gate of each chunk, which assigns its rows."""
        for rows in chunks(x, self.components.width):
            yield self.gate.at(rows), self.components.table(self.components.features(rows))

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """Log density of each row; differentiable."""
        return torch.cat([gate.log_prob(table) for gate, table in self.gated(x)])

    @torch.no_grad()
    def posterior(self, x: Float[Tensor, "n d"]) -> Posterior:
        """Responsibilities and evidence of each row."""
        return join([gate.posterior(table) for gate, table in self.gated(x)])

    @torch.no_grad()
    def labels(self, x: Float[Tensor, "n d"]) -> Int[Tensor, "n"]:
        """Most probable component of each row; -1 for rows that belong to none."""
        return torch.cat([gate.assign(table) for gate, table in self.gated(x)])

    @torch.no_grad()
    def assign(self, x: Float[Tensor, "n d"]) -> tuple[Int[Tensor, "n"], Float[Tensor, ""]]:
        """Most probable component of each row and the mean log-likelihood, without keeping the table."""
        labels, total = [], torch.zeros((), dtype=torch.float64, device=x.device)
        for gate, table in self.gated(x):
            labels.append(gate.assign(table))
            total += gate.log_prob(table).sum(dtype=torch.float64)
        return torch.cat(labels), total / len(x)

    def sample(self, n: int, rng: torch.Generator) -> tuple[Float[Tensor, "n d"], Int[Tensor, "n"]]:
        """n draws and the components they came from; -1 for noise."""
        z = self.gate.sample(n, rng)
        x = self.components.sample(z.clamp(min=0), rng)
        if isinstance(self.gate, Noisy):
            x = torch.where((z < 0)[:, None], self.gate.noise(n, rng).to(x), x)
        return x, z
