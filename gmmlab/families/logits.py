"""Logistic experts: components that score the class of a row given other columns of it.

    log P(class = j | x) = w_kj' z - log sum_l exp(w_kl' z),      z = (1, (x - origin) / scale)

A class is a number from 0 in a column of the row. There is no finite statistic: a refit is a step from gradient and
curvature, weighted by responsibility, that never lowers the expected log-likelihood, as of the softmax gate; see
`kernels/multinomial.py`. See Jordan and Jacobs (1994).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels import multinomial
from gmmlab.kernels.chunks import Buffers
from gmmlab.record import Record, shared, static
from gmmlab.stats import Curved, Slopes


class Logits(Record):
    """k multinomial regressions of the class in the column `output` on the columns `inputs`, with weights `w`.

    Weights are centred over the classes. A `ridge` is the penalty ridge/2 |w|^2 of each expert, on all but the
    constants: where an expert parts its classes without error, nothing else would hold its weights. Without `curved`,
    refits do without second derivatives. Numbers in the output column that are no class stand for the nearest.
    """

    w: Float[Tensor, "k j c"]
    origin: Float[Tensor, "d"] = shared()
    scale: Float[Tensor, "p"] = shared()
    inputs: tuple[int, ...] = static()
    output: int = static()
    ridge: float = static(default=0.0)
    curved: bool = static(default=True)

    @classmethod
    def near(
        cls,
        rows: Float[Tensor, "n d"],
        resp: Float[Tensor, "n k"],
        classes: int,
        *,
        inputs: Sequence[int],
        output: int,
        ridge: float = 0.0,
        curved: bool = True,
        most: int = 20,
    ) -> Logits:
        """Experts fitted to responsibilities, in at most so many steps."""
        x = rows[:, list(inputs)].double()
        spread = (x - x.mean(0)).square().mean(0).sqrt()
        scale = torch.where(spread > 0, spread, torch.ones_like(spread))
        w = x.new_zeros(resp.shape[1], classes, 1 + len(inputs))
        start = cls(w, rows.mean(0), scale, tuple(inputs), output, ridge, curved)
        features = start.features(rows)
        targets = start._targets(features, resp.to(rows)).double()
        return start.replace(w=multinomial.solve(start._z(features).double(), targets, start.penalties, most=most))

    @property
    def k(self) -> int:
        """Number of experts."""
        return self.w.shape[0]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.w.shape[1]

    @property
    def d(self) -> int:
        """Number of columns of a row."""
        return len(self.origin)

    @property
    def coef(self) -> Float[Tensor, "k j p"]:
        """What a unit of each input adds to the log odds of each class."""
        return self.w[:, :, 1:] / self.scale

    @property
    def intercept(self) -> Float[Tensor, "k j"]:
        """Log odds where all inputs are zero."""
        return self.w[:, :, 0] - self.coef @ self.origin.double()[list(self.inputs)]

    @property
    def n_parameters(self) -> int:
        """Free parameters: what all classes have in common does not count."""
        return self.k * (self.classes - 1) * self.w.shape[2]

    @property
    def penalties(self) -> Float[Tensor, "c"]:
        """The ridge of every weight: none of the constant."""
        penalty = torch.full_like(self.w[0, 0], self.ridge)
        penalty[0] = 0
        return penalty

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return 1 + self.d + self.k * self.classes * (1 + self.w.shape[2])

    def features(self, x: Float[Tensor, "n d"], buffers: Buffers | None = None) -> Float[Tensor, "f n"]:
        """The standardised inputs with a one before them, and the class."""
        inputs = list(self.inputs)
        z = (x[:, inputs] - self.origin.to(x)[inputs]) / self.scale.to(x)
        own = x[:, self.output].round().clamp(0, self.classes - 1)
        return torch.cat([z.new_ones(1, len(z)), z.T, own[None]])

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log probability of the class of each row under each expert."""
        log_p = multinomial.log_odds(self._z(features), self.w)
        return log_p.gather(2, self._own(features)[:, None, None].expand(-1, self.k, 1))[..., 0]

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Slopes:
        """Derivatives of the expected log-likelihood at these experts; additive over chunks."""
        z, targets = self._z(features), self._targets(features, resp)
        found = multinomial.derivatives(z, targets, multinomial.log_odds(z, self.w), curved=self.curved)
        reach = (z.T * (resp.sum(1) > 0)).abs().amax(1).double()
        of = resp.sum(0).double(), found.gradient, found.gram, self.w, reach
        return Slopes(*of) if found.curvature is None else Curved(*of, found.curvature)

    def refit(self, stats: Slopes) -> Logits:
        """A step up the expected log-likelihood and penalty, from derivatives that were taken at these experts."""
        if not torch.equal(stats.at, self.w):
            raise ValueError("The statistics were taken at other logistic experts: take them at those refitted.")
        curvature = stats.curvature if isinstance(stats, Curved) else None
        found = multinomial.Derivatives(stats.gradient, stats.gram, curvature)
        w = self.w + multinomial.ascend(self.w, found, self.penalties, stats.reach).step
        return self.replace(w=w - w.mean(1, keepdim=True))

    def penalty(self) -> Float[Tensor, ""]:
        """Minus ridge/2 |w|^2 over the centred weights of the inputs."""
        return -0.5 * self.ridge * (self.w - self.w.mean(1, keepdim=True))[:, :, 1:].square().sum()

    def log_proba(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k j"]:
        """Log probabilities of all classes under each expert; the classes of the rows are not looked at."""
        return multinomial.log_odds(self._z(self.features(rows)), self.w)

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> NoReturn:
        """Raises `TypeError`: experts say nothing of their inputs."""
        raise TypeError("Experts say which class goes with given inputs: ask log_proba(rows).")

    def _z(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "n c"]:
        return features[:-1].T

    def _own(self, features: Float[Tensor, "f n"]) -> Int[Tensor, "n"]:
        return features[-1].long()

    def _targets(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> Float[Tensor, "n k j"]:
        own = torch.nn.functional.one_hot(self._own(features), self.classes).to(resp)
        return resp[:, :, None] * own[:, None]
