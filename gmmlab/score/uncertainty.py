"""How sure the data are of a fitted mixture: the bootstrap.

A fit is repeated on data that could have been: rows drawn again (as weights: counts, or the smoother exponential ones),
or drawn from the model. Each replicate starts from the fitted mixture, so that it finds the same optimum, and its
components are put in the order that overlaps most with those of the original: labels may still swap where components
overlap. See Efron (1979), Newton and Raftery (1994), and O'Hagan et al. (2019) on mixtures.

How a replicate is fitted is the caller's function, for rows or for weights; many at once are as welcome as one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import Gaussian
from gmmlab.families.parts import ellipsoids
from gmmlab.kernels.cholesky import safe_cholesky
from gmmlab.model import Mixture
from gmmlab.record import Record
from gmmlab.score.information import Parameters

Scheme = Callable[[int, torch.Generator], Tensor]
Refit = Callable[[Tensor, Mixture], Mixture]  # weights (n,) or rows (n, d), and where to start


def counts(n: int, rng: torch.Generator) -> Float[Tensor, "n"]:
    """How often each of n rows is drawn in n draws with replacement: the bootstrap of Efron (1979)."""
    drawn = torch.randint(n, (n,), generator=rng, device=rng.device)
    return torch.bincount(drawn, minlength=n).double()


def exponential(n: int, rng: torch.Generator) -> Float[Tensor, "n"]:
    """Independent exponential weights, scaled to sum to n: the weighted-likelihood bootstrap.

    No row is ever left out, so that a component of few rows survives. See Newton and Raftery (1994).
    """
    weight = torch.empty(n, dtype=torch.float64, device=rng.device).exponential_(generator=rng)
    return weight * (n / weight.sum())


class Replicates(NamedTuple):
    """The parameters of b refitted mixtures, components in the order of the original."""

    weights: Float[Tensor, "b k"]
    mean: Float[Tensor, "b k d"]
    cov: Float[Tensor, "b k d d"]
    failed: int = 0  # refits that found no positive definite covariance, left out above

    @property
    def errors(self) -> Parameters:
        """Standard errors: the spread of the replicates."""
        return Parameters(*(part.std(0) for part in self[:3]))

    def interval(self, level: float = 0.95) -> tuple[Parameters, Parameters]:
        """The lower and upper ends of percentile intervals that hold `level` of the replicates."""
        if not 0 < level < 1:
            raise ValueError(f"The level of an interval is {level}; expected a number between 0 and 1.")
        low, high = (
            Parameters(*(torch.quantile(part, at, dim=0) for part in self[:3]))
            for at in ((1 - level) / 2, (1 + level) / 2)
        )
        return low, high


def bootstrap_rows(
    mixture: Mixture, n: int, refit: Refit, rng: torch.Generator, *, draws: int = 200, scheme: Scheme = counts
) -> Replicates:
    """Refits of a mixture to its n rows weighted anew; `refit(weight, mixture)` gives each."""
    return summary(mixture, refits(mixture, refit, weightings(n, rng, draws, scheme)))


def bootstrap_model(mixture: Mixture, n: int, refit: Refit, rng: torch.Generator, *, draws: int = 200) -> Replicates:
    """Refits of a mixture to n rows drawn from it; `refit(rows, mixture)` gives each.

    Right only as far as the model is; for it, the number of rows of each component varies and none is ever drawn twice.
    """
    dtype = mixture.gaussian.origin.dtype
    return summary(mixture, refits(mixture, refit, (mixture.sample(n, rng)[0].to(dtype) for _ in range(draws))))


def weightings(n: int, rng: torch.Generator, draws: int, scheme: Scheme = counts) -> Iterator[Tensor]:
    """Weights (n,) of the rows, one set after the other."""
    return (scheme(n, rng) for _ in range(draws))


def refits(mixture: Mixture, refit: Refit, data: Iterable[Tensor]) -> Iterator[Mixture | None]:
    """Refits one by one, components in the order of the original; None where a covariance was singular.

    `refit(each, mixture)` gives each. Nothing is fitted before it is asked for, so that a picture can fill as it goes.
    """
    for each in data:
        try:
            yield align(refit(each, mixture), mixture)
        except NotPositiveDefinite:
            yield None


def summary(mixture: Mixture, refitted: Iterable[Mixture | None]) -> Replicates:
    """Replicates out of refitted mixtures, wherever they come from; None stands for a refit that failed.

    Raises `ValueError` if fewer than two are left.
    """
    attempts = list(refitted)
    models = [align(model, mixture) for model in attempts if model is not None]
    if len(models) < 2:
        raise ValueError(
            f"{len(models)} of {len(attempts)} refits succeeded; expected at least two. Exponential weights, a ridge "
            "or fewer components would help."
        )
    columns = zip(*((m.weights, m.gaussian.mean, m.gaussian.cov) for m in models), strict=True)
    weights, mean, cov = (torch.stack(column) for column in columns)
    return Replicates(weights, mean, cov, len(attempts) - len(models))


def align(mixture: Mixture, reference: Mixture) -> Mixture:
    """The mixture with its components in the order that matches a reference with as many of them.

    The assignment with the least sum of Bhattacharyya distances, which see means and covariances (of Student's t:
    centres and scale matrices). Everything else the mixture has, such as noise, stays.
    """
    if (mixture.k, mixture.d) != (reference.k, reference.d):
        raise ValueError(
            f"The mixtures have {mixture.k} components in {mixture.d} columns and {reference.k} in {reference.d}; "
            "expected the same numbers."
        )
    return taken(mixture, match(bhattacharyya(ellipsoids(reference.components), ellipsoids(mixture.components))))


def taken(mixture: Mixture, order: Int[Tensor, "j"]) -> Mixture:
    """The mixture with some of its components, in this order, with the weights that they have; noise stays."""
    components, gate = mixture.components, mixture.gate
    assert isinstance(components, Record)
    assert isinstance(gate, Record)
    return mixture.replace(components=components.take(order), gate=gate.take(order))


def match(cost: Float[Tensor, "k k"]) -> Int[Tensor, "k"]:
    """The column assigned to each row so that the costs sum to least. See Kuhn (1955)."""
    from scipy.optimize import linear_sum_assignment

    return torch.as_tensor(linear_sum_assignment(cost.cpu().numpy())[1], device=cost.device)


def bhattacharyya(left: Gaussian, right: Gaussian) -> Float[Tensor, "i j"]:
    """Distances -log of the integral of (p_i q_j)^1/2, for every pair; 0 for equal ones. See Kailath (1967).

    1/8 (mu_i - nu_j)' S^-1 (mu_i - nu_j) + 1/2 log(|S| / (|Sigma_i| |Lambda_j|)^1/2),   S = (Sigma_i + Lambda_j) / 2
    """
    i, j, d = left.k, right.k, left.d
    chol = safe_cholesky(((left.cov[:, None] + right.cov) / 2).view(-1, d, d))[0]
    offset = (left.mean[:, None] - right.mean).view(-1, d, 1)
    z = torch.linalg.solve_triangular(chol, offset, upper=False).squeeze(-1)
    both = _log_det(left.chol)[:, None] + _log_det(right.chol)
    return z.square().sum(-1).view(i, j) / 8 + _log_det(chol).view(i, j) - both / 2


def _log_det(chol: Tensor) -> Float[Tensor, "k"]:
    """Of the factor: half that of the covariance."""
    return (chol if chol.ndim == 2 else chol.diagonal(dim1=-2, dim2=-1)).log().sum(-1)
