"""What a state of a hidden Markov model emits: how the components begin, and how states are made of them.

Each is a choice of family; the chain, the fit and the answers are the same for all. Another one needs `begin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families import Components, FactorAnalyzers, Gaussian, Structure, Student
from gmmlab.families.student import Own
from gmmlab.init import from_responsibilities, kmeans, one_hot

BEGIN = 10.0  # degrees of freedom of Student-t states before the first step


class Start(NamedTuple):
    """Rows, the states that they belong to, and what is asked of components."""

    x: Float[Tensor, "n d"]
    resp: Float[Tensor, "n s"]
    structure: Structure
    ridge: float
    rng: torch.Generator

    def gaussians(self, resp: Float[Tensor, "n k"]) -> Gaussian:
        """Those of one M-step from responsibilities."""
        return from_responsibilities(self.x, resp, self.structure, ridge=self.ridge).gaussian


class Begun(NamedTuple):
    """First components, and the weights of components (lines) within states (columns); None where they are the same."""

    components: Components
    parts: Float[Tensor, "k s"] | None = None


@runtime_checkable
class Emission(Protocol):
    """A way to the first components of states."""

    def begin(self, start: Start) -> Begun:
        """Components of rows that belong to states."""


@dataclass(frozen=True)
class GaussianEmission:
    """A Gaussian for each state."""

    def begin(self, start: Start) -> Begun:
        """One M-step."""
        return Begun(start.gaussians(start.resp))


@dataclass(frozen=True)
class StudentEmission:
    """A Student-t distribution for each state, whose degrees of freedom are fitted: outliers do not end a regime."""

    def begin(self, start: Start) -> Begun:
        """One M-step of Gaussians."""
        gaussian = start.gaussians(start.resp)
        return Begun(Student(gaussian, torch.full_like(gaussian.mean[:, 0], BEGIN), Own()))


@dataclass(frozen=True)
class FactorEmission:
    """Factor analysers for many columns: a few factors for each state."""

    n_factors: int = 1

    def begin(self, start: Start) -> Begun:
        """Principal components of the rows of each state."""
        x, resp, structure, ridge, rng = start
        return Begun(FactorAnalyzers.near(x, resp, self.n_factors, structure, rng=rng, ridge=ridge))


@dataclass(frozen=True)
class GMMEmission:
    """A mixture of `n_components` Gaussians for each state; with `tied`, of one pool that all states share."""

    n_components: int = 2
    tied: bool = False

    def begin(self, start: Start) -> Begun:
        """Clusters of k-means among the rows of each state, or among all rows of a pool.

        Raises `BadData` for states with fewer rows than components.
        """
        x, resp, rng = start.x, start.resp, start.rng
        c, s = self.n_components, resp.shape[1]
        if self.tied:
            groups = one_hot(kmeans(x, c, rng), c, x.dtype)
            parts = groups.T.double() @ resp.double() + 1 / len(x)
            return Begun(start.gaussians(groups), parts / parts.sum(0))
        state, cluster = resp.argmax(1), torch.zeros(len(x), dtype=torch.long, device=x.device)
        for j in range(s):
            rows = (state == j).nonzero().flatten()
            if len(rows) < c:
                raise BadData(f"State {j} starts with {len(rows)} rows; expected {c} at least, one for each component.")
            cluster[rows] = kmeans(x[rows], c, rng) if c > 1 else 0
        groups = one_hot(state * c + cluster, s * c, x.dtype)
        of = torch.arange(s * c, device=x.device) // c
        parts = torch.where(of[:, None] == torch.arange(s, device=x.device), groups.sum(0).double()[:, None], 0.0)
        return Begun(start.gaussians(groups), parts / parts.sum(0))
