"""Collapsed Gibbs sampling of a Dirichlet process mixture: one row at a time, all parameters integrated out.

A row leaves its group and joins one anew, in proportion to N_k times the predictive density of group k, or founds one
in proportion to alpha times that of the prior: algorithm 3 of Neal (2000). The groups' posteriors are kept as Cholesky
factors that a row changes by rank one, so that a sweep costs O(n k d^2). It is sequential, and runs on the host.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import NormalInverseWishart
from gmmlab.kernels.rank_one import updated
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.sample.draws import Belief, Moves, Sweep, sets, sweeps
from gmmlab.sample.process import Gamma, Restaurant


def collapsed_gibbs(
    model: Mixture,
    x: Float[Tensor, "n d"],
    prior: NormalInverseWishart,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    learn: Gamma | None = None,
) -> Generator[Sweep, Mixture | None, None]:
    """Sweeps without end, from any model, which gives the first labels. A model sent in gives labels anew.

    Rows come in random order. The models are those of the groups that have rows, their weights without the share that a
    new group would have. `evidence` is of the model before the sweep, as everywhere.
    """

    def move(labels: Int[Tensor, "n"], alpha: float) -> tuple[Int[Tensor, "n"], Moves]:
        return swept(x, labels, prior, alpha, rng), Moves()

    def again(model: Mixture, labels: Int[Tensor, "n"], alpha: float) -> tuple[Int[Tensor, "n"], float]:  # noqa: ARG001
        return labels, float(model.log_prob(x).mean(dtype=torch.float64))

    belief = Belief(prior, Restaurant())
    return sweeps(model, x, belief, rng, alpha=alpha, learn=learn, move=move, again=again)


@torch.no_grad()
def swept(
    x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], prior: NormalInverseWishart, alpha: float, rng: torch.Generator
) -> Int[Tensor, "n"]:
    """Compact labels after every row has been drawn once, given all others."""
    n, here = len(x), rng.device
    order = torch.randperm(n, generator=rng, device=here).tolist()
    uniform = torch.rand(n, generator=rng, dtype=torch.float64, device=here).tolist()
    tables = _Tables(x.double().cpu() - x.double().mean(0).cpu(), labels.cpu(), _at(prior, x), alpha)
    for i, u in zip(order, uniform, strict=True):
        tables.leave(i)
        tables.join(i, tables.choice(i, u))
    return tables.labels.to(labels.device)


def _at(prior: NormalInverseWishart, x: Float[Tensor, "n d"]) -> NormalInverseWishart:
    """The prior about the mean of the rows, on the host."""
    return prior.replace(mean=prior.mean - x.double().mean(0)).to("cpu")


class _Tables:
    """The posteriors of all groups, made anew for each sweep, so that rounding does not pile up.

    Slot k < `k` is a group; the slot after them is the prior, where a row may found one.
    """

    def __init__(
        self, x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], prior: NormalInverseWishart, alpha: float
    ) -> None:
        self.x, self.labels, self.k = x, labels.clone(), int(labels.max()) + 1
        self._prior, self._root = prior.mean[0], prior.root[0]
        after = cat([prior.posterior(sets(x, labels, torch.zeros_like(x[0]))), prior])
        self._rows = torch.bincount(labels, minlength=self.k + 1)
        self._mean, self._chol = after.mean.clone(), after.root.clone()
        w = torch.arange(len(x) + 1, dtype=torch.float64)
        self._kappa = prior.kappa + w
        half = 0.5 * (prior.dof + w + 1)
        d = x.shape[1]
        constant = torch.lgamma(half) - torch.lgamma(half - 0.5 * d) - 0.5 * d * (1 / self._kappa).log1p()
        self._constant = constant + torch.cat([w.new_tensor([math.log(alpha)]), w[1:].log()])
        self._half = half

    def choice(self, i: int, u: float) -> int:
        """A slot for row i, drawn by the uniform number u."""
        k = self.k + 1
        rows, chol = self._rows[:k], self._chol[:k]
        white = torch.linalg.solve_triangular(chol, (self.x[i] - self._mean[:k])[:, :, None], upper=False)
        kappa = self._kappa[rows]
        tail = (white.square().sum((1, 2)) * kappa / (kappa + 1)).log1p()
        log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        shares = torch.softmax(self._constant[rows] - log_det - self._half[rows] * tail, dim=0).cumsum(0)
        return min(int(torch.searchsorted(shares, u)), self.k)

    def leave(self, i: int) -> None:
        """Row i leaves its group, which vanishes with its last row."""
        k = int(self.labels[i])
        rows = int(self._rows[k])
        if rows == 1:
            return self._drop(k)
        kappa = self._kappa[rows]
        away = self.x[i] - self._mean[k]
        self._chol[k] = updated(self._chol[k, None], ((kappa / (kappa - 1)).sqrt() * away)[None], -1.0)[0]
        self._mean[k] -= away / (kappa - 1)
        self._rows[k] -= 1
        return None

    def join(self, i: int, k: int) -> None:
        """Row i joins group k, or founds it."""
        if k == self.k:
            self._found()
        kappa = self._kappa[int(self._rows[k])]
        away = self.x[i] - self._mean[k]
        self._chol[k] = updated(self._chol[k, None], ((kappa / (kappa + 1)).sqrt() * away)[None])[0]
        self._mean[k] += away / (kappa + 1)
        self._rows[k] += 1
        self.labels[i] = k

    def _found(self) -> None:
        """The slot of the prior becomes a group; another one comes after it."""
        self.k += 1
        if self.k == len(self._rows):
            self._rows, self._mean, self._chol = (
                torch.cat([part, torch.zeros_like(part)]) for part in (self._rows, self._mean, self._chol)
            )
        self._empty(self.k)

    def _drop(self, k: int) -> None:
        """The last group takes the place of an empty one."""
        self.k -= 1
        for part in (self._rows, self._mean, self._chol):
            part[k] = part[self.k].clone()
        self.labels[self.labels == self.k] = k
        self._empty(self.k)

    def _empty(self, k: int) -> None:
        self._rows[k], self._mean[k], self._chol[k] = 0, self._prior, self._root
