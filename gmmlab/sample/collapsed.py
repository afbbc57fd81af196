"""Collapsed Gibbs sampling of a Dirichlet process mixture: one row at a time, all parameters integrated out.

A row leaves its group and joins one anew, in proportion to N_k times the predictive density of group k, or founds one
in proportion to alpha times that of the prior: algorithm 3 of Neal (2000). The groups' posteriors are kept as Cholesky
factors that a row changes by rank one, so that a sweep costs O(n k d^2). It is sequential, and runs on the host.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import NormalInverseWishart
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.sample.draws import Belief, Moves, Sweep, copied, sets, sweeps
from gmmlab.sample.process import Gamma, Restaurant


def collapsed_gibbs(
    model: Mixture,
    x: Float[Tensor, "n d"],
    prior: NormalInverseWishart,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    learn: Gamma | None = None,
    copies: Int[Tensor, "n"] | None = None,
) -> Generator[Sweep, Mixture | None, None]:
    """Sweeps without end, from any model, which gives the first labels. A model sent in gives labels anew.

    Rows come in random order. The models are those of the groups that have rows, their weights without the share that a
    new group would have. `evidence` is of the model before the sweep, as everywhere. Where rows are there in `copies`,
    each of these comes by itself; labels are told of the first.
    """
    x, shown = copied(x, copies)

    def move(labels: Int[Tensor, "n"], alpha: float) -> tuple[Int[Tensor, "n"], Moves]:
        return swept(x, labels, prior, alpha, rng), Moves()

    def again(model: Mixture, labels: Int[Tensor, "n"], alpha: float) -> tuple[Int[Tensor, "n"], float]:  # noqa: ARG001
        return labels, float(model.log_prob(x).mean(dtype=torch.float64))

    belief = Belief(prior, Restaurant())
    return sweeps(model, x, belief, rng, alpha=alpha, learn=learn, move=move, again=again, shown=shown)


@torch.no_grad()
def swept(
    x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], prior: NormalInverseWishart, alpha: float, rng: torch.Generator
) -> Int[Tensor, "n"]:
    """Compact labels after every row has been drawn once, given all others."""
    tables = Tables(x.double().cpu() - x.double().mean(0).cpu(), labels.cpu(), _at(prior, x), alpha)
    tables.sweep(rng)
    return torch.from_numpy(tables.labels).to(labels.device)


def _at(prior: NormalInverseWishart, x: Float[Tensor, "n d"]) -> NormalInverseWishart:
    """The prior about the mean of the rows, on the host."""
    return prior.replace(mean=prior.mean - x.double().mean(0)).to("cpu")


class Tables:
    """The posteriors of all groups, made anew for each sweep, so that rounding does not pile up.

    Slot k < `k` is a group; the slot after them is the prior, where a row may found one. A scale matrix S is known by a
    root of its inverse, M'M = S^-1, and by its determinant. Both follow a change of rank one without a factorisation:

        p = M v      t = 1 + c p'p      M - c / (t + t^1/2) p (M'p)' is a root of (S + c vv')^-1     |S + c vv'| = t |S|

    which is some ten calls for a row. They are NumPy's: for matrices this small, calls are what counts.
    """

    def __init__(
        self, x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], prior: NormalInverseWishart, alpha: float
    ) -> None:
        n, d = x.shape
        self.x, self.labels, self.k = x.numpy(), labels.numpy().copy(), int(labels.max()) + 1
        after = cat([prior.posterior(sets(x, labels, torch.zeros_like(x[0]))), prior])
        root = after.root
        self._rows = torch.bincount(labels, minlength=self.k + 1).tolist()
        self._mean = after.mean.numpy().copy()
        self._white = torch.linalg.solve_triangular(root, torch.eye(d).to(root), upper=False).numpy()
        self._log_root = root.diagonal(dim1=-2, dim2=-1).log().sum(-1).numpy()
        w = torch.arange(n + 1, dtype=torch.float64)
        kappa, half = prior.kappa + w, 0.5 * (prior.dof + w + 1)
        constant = torch.lgamma(half) - torch.lgamma(half - 0.5 * d) - 0.5 * d * (1 / kappa).log1p()
        constant += torch.cat([w.new_tensor([math.log(alpha)]), w[1:].log()])
        self._kappa, self._half, self._constant = kappa.tolist(), half.tolist(), constant.tolist()
        self._prior = self._mean[-1].copy(), self._white[-1].copy(), float(self._log_root[-1])
        self._peak, self._power, self._shrink = np.empty((3, self.k + 1))
        for k in range(self.k + 1):
            self._settle(k)

    def sweep(self, rng: torch.Generator) -> None:
        """Every row leaves its group and joins one, in random order."""
        n, here = len(self.x), rng.device
        order = torch.randperm(n, generator=rng, device=here).tolist()
        uniform = torch.rand(n, generator=rng, dtype=torch.float64, device=here).tolist()
        for i, u in zip(order, uniform, strict=True):
            self.leave(i)
            self.join(i, self.choice(i, u))

    def choice(self, i: int, u: float) -> int:
        """A slot for row i, drawn by the uniform number u."""
        k = self.k + 1
        white = self._white[:k] @ (self.x[i] - self._mean[:k])[:, :, None]
        tail = np.log1p(np.square(white).sum((1, 2)) * self._shrink[:k])
        log_p = self._peak[:k] - self._power[:k] * tail
        shares = np.exp(log_p - log_p.max()).cumsum()
        return int(shares.searchsorted(u * shares[-1]))

    def leave(self, i: int) -> None:
        """Row i leaves its group, which vanishes with its last row."""
        k = int(self.labels[i])
        rows = self._rows[k]
        if rows == 1:
            return self._drop(k)
        kappa = self._kappa[rows]
        away = self.x[i] - self._mean[k]
        self._change(k, -kappa / (kappa - 1), away)
        self._mean[k] -= away / (kappa - 1)
        self._rows[k] = rows - 1
        return self._settle(k)

    def join(self, i: int, k: int) -> None:
        """Row i joins group k, or founds it."""
        if k == self.k:
            self._found()
        rows = self._rows[k]
        kappa = self._kappa[rows]
        away = self.x[i] - self._mean[k]
        self._change(k, kappa / (kappa + 1), away)
        self._mean[k] += away / (kappa + 1)
        self._rows[k] = rows + 1
        self.labels[i] = k
        self._settle(k)

    def _change(self, k: int, c: float, v: Any) -> None:
        """c v v' comes to the scale of group k, or goes where c is below 0."""
        white = self._white[k]
        p = white @ v
        t = 1 + c * float(p @ p)
        if t <= 0:
            raise NotPositiveDefinite(
                f"A row was taken from a group that does not hold it: {t:.3g} of a determinant would be left, expected "
                "more than 0. The scale of the prior is too small beside the distances of rows; try a larger one."
            )
        white -= (c / (t + math.sqrt(t)) * p)[:, None] * (p @ white)
        self._log_root[k] += 0.5 * math.log(t)

    def _settle(self, k: int) -> None:
        """What the predictive density of group k is made of, beside mean and scale."""
        rows = self._rows[k]
        kappa = self._kappa[rows]
        self._peak[k] = self._constant[rows] - self._log_root[k]
        self._power[k], self._shrink[k] = self._half[rows], kappa / (kappa + 1)

    @property
    def _slots(self) -> tuple[Any, ...]:
        return self._mean, self._white, self._log_root, self._peak, self._power, self._shrink

    def _found(self) -> None:
        """The slot of the prior becomes a group; another one comes after it."""
        self.k += 1
        if self.k == len(self._rows):
            self._rows += [0] * len(self._rows)
            self._mean, self._white, self._log_root, self._peak, self._power, self._shrink = (
                np.concatenate([part, np.zeros_like(part)]) for part in self._slots
            )
        self._empty(self.k)

    def _drop(self, k: int) -> None:
        """The last group takes the place of an empty one."""
        self.k -= 1
        for part in (self._rows, *self._slots):
            part[k] = part[self.k]
        self.labels[self.labels == self.k] = k
        self._empty(self.k)

    def _empty(self, k: int) -> None:
        self._rows[k] = 0
        self._mean[k], self._white[k], self._log_root[k] = self._prior
        self._settle(k)
