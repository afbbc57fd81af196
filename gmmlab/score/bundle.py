"""Mixtures that the data do not tell apart from the fitted one: drawn from its estimates, and what they agree on.

A bundle comes one mixture at a time, so that a picture can fill: refits to rows drawn again
(`gmmlab.score.uncertainty.refits`), or draws from the normal distribution of the estimates. None stands for a mixture
that is none: a refit that failed, a draw whose covariance is not positive definite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment

from gmmlab import algebra
from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.parts import columns_of, ellipsoids
from gmmlab.gates import Constant, Noisy
from gmmlab.kernels.cholesky import safe_cholesky
from gmmlab.model import Mixture
from gmmlab.score.comparison import crosstab
from gmmlab.score.information import Information


def estimates(
    mixture: Mixture,
    information: Information,
    rng: torch.Generator,
    draws: int,
    covariance: Float[Tensor, "p p"] | None = None,
) -> Iterator[Mixture | None]:
    """Draws of a mixture from N(theta, I^-1), the large-sample distribution of its estimates.

    `covariance` is that of the coordinates: the inverse of the observed information unless given. In the coordinates of
    the information (log ratios of weights, means, elements of covariances); one whose covariance is not positive
    definite comes as None, which many do where a component has few rows: then take the bootstrap. Noise keeps its
    weight, as it does in the information.
    """
    gate = mixture.gate
    if not isinstance(gate, Constant | Noisy):
        raise TypeError(f"The weights are {type(gate).__name__}; expected Constant or Noisy ones. Try the bootstrap.")
    covariance = information.covariance if covariance is None else covariance
    size = covariance.diagonal().sqrt()  # the coordinates have different units
    root = size[:, None] * safe_cholesky((covariance / (size[:, None] * size))[None])[0][0]
    return (_drawn(mixture, gate, information, root @ _normal(root, rng)) for _ in range(draws))


class Ellipses(NamedTuple):
    """Centres and scale matrices of b mixtures in some columns; of two, the ellipses of a picture."""

    centre: Float[Tensor, "b k c"]
    scale: Float[Tensor, "b k c c"]


@torch.no_grad()
def ellipses(models: Sequence[Mixture], columns: Sequence[int]) -> Ellipses:
    """The components of mixtures of equal size in some columns, one after the other."""
    parts = [ellipsoids(columns_of(model.components, columns)) for model in models]
    if not parts:
        raise ValueError("There are no mixtures to draw; expected at least one.")
    return Ellipses(torch.stack([part.mean for part in parts]), torch.stack([part.cov for part in parts]))


class Stability(NamedTuple):
    """How well each cluster of a mixture is found again, in b others so far."""

    jaccard: Float[Tensor, "b k"]  # NaN for a cluster without rows
    failed: int = 0

    @property
    def mean(self) -> Float[Tensor, "k"]:
        """Clusterwise stability: above 0.85 a cluster is highly stable, below 0.5 it dissolves (Hennig, 2007)."""
        return self.jaccard.mean(0)

    @property
    def dissolved(self) -> Float[Tensor, "k"]:
        """The share of mixtures in which at most half of the cluster is found again (Hennig, 2007)."""
        return (self.jaccard <= 0.5).double().mean(0)


@torch.no_grad()
def stability(mixture: Mixture, x: Float[Tensor, "n d"], models: Iterable[Mixture | None]) -> Iterator[Stability]:
    """Jaccard coefficients |A n B| / |A u B| of each cluster A with the most similar B of each mixture, as they come.

    Every row is assigned by every mixture, also rows that a refit did not see. Noise is a cluster that may be found for
    another, but none of those that are counted. See Hennig (2007).
    """
    labels = algebra.assign(mixture, x)[0]
    state = Stability(torch.empty(0, mixture.k, dtype=torch.float64, device=x.device))
    for model in models:
        if model is None:
            state = state._replace(failed=state.failed + 1)
        else:
            table = crosstab(labels, algebra.assign(model, x)[0], mixture.k, model.k)
            found = jaccard(table)[: mixture.k].amax(1)
            state = state._replace(jaccard=torch.cat([state.jaccard, found[None]]))
        yield state


class Matched(NamedTuple):
    """Which component of each of b mixtures stands for each of k clusters, and how well it does."""

    order: Int[Tensor, "b k"]  # its number, -1 where none shares a row with the cluster
    stability: Stability


@torch.no_grad()
def labelled(x: Float[Tensor, "n d"], models: Iterable[Mixture]) -> list[Int[Tensor, "n"]]:
    """Every row assigned by each of some mixtures."""
    return [algebra.assign(model, x)[0] for model in models]


def matched(labels: Int[Tensor, "n"], k: int, drawn: Sequence[Int[Tensor, "n"]]) -> Matched:
    """Components of draws from a posterior by the names of one partition into k clusters, whatever their numbers were.

    One to one, so that the most rows agree: the way out of label switching by a pivot. See Marin, Mengersen and Robert
    (2005), section 3.1, who match parameters; rows have no units, and a draw may have more groups or fewer.
    """
    sizes = [int(each.max()) + 1 for each in drawn]
    tables = [crosstab(labels, each, k, size) for each, size in zip(drawn, sizes, strict=True)]
    none = torch.empty(0, k, dtype=torch.int64, device=labels.device)
    order = torch.stack([_partners(table[:k, :-1]) for table in tables]) if tables else none
    found = torch.stack([jaccard(table)[:k].amax(1) for table in tables]) if tables else none.double()
    return Matched(order, Stability(found))


def _partners(table: Int[Tensor, "k j"]) -> Int[Tensor, "k"]:
    """For each row of counts the column that it is matched with, -1 where they share nothing. See Kuhn (1955)."""
    ours, theirs = map(torch.from_numpy, linear_sum_assignment(table.cpu().numpy(), maximize=True))
    some = table.cpu()[ours, theirs] > 0
    partner = torch.full((len(table),), -1, dtype=torch.int64)
    partner[ours[some]] = theirs[some]
    return partner.to(table.device)


def jaccard(table: Tensor) -> Float[Tensor, "i j"]:
    """Rows in both of two clusters over rows in either, from counts of label pairs; NaN for an empty cluster."""
    both = table.double()
    of_a, of_b = both.sum(1, keepdim=True), both.sum(0)
    return torch.where(of_a > 0, both / (of_a + of_b - both), torch.nan)


def _normal(root: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(len(root), generator=rng, dtype=torch.float64, device=rng.device).to(root)


def _drawn(mixture: Mixture, gate: Constant | Noisy, information: Information, step: Tensor) -> Mixture | None:
    """The mixture one step away, None if there is none."""
    log_w, mean, square = information.chart.unpack(information.theta + step)
    if square.ndim == 2:
        chol, good = square.clamp(min=0).sqrt(), bool((square > 0).all())
    else:
        chol, info = torch.linalg.cholesky_ex(square)
        good = not bool(info.any())
    components = mixture.gaussian.replace(mean=mean, chol=chol)
    log_w = log_w + gate.log_w.logsumexp(0)  # what the noise leaves
    return mixture.replace(components=components, gate=gate.replace(log_w=log_w)) if good else None
