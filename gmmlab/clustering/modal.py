"""`ModalClustering`: the components of a mixture, joined where they make one peak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, Interval

from gmmlab.algebra import Modes, ascent, find_modes, ridge_starts
from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.climbing import Climbing, Whereabouts, blobs, met
from gmmlab.errors import BadData
from gmmlab.estimators import GaussianMixture
from gmmlab.estimators import parameters as sk
from gmmlab.model import Mixture


@dataclass(kw_only=True, eq=False, repr=False)
class ModalClustering(MixtureClusterer):
    """One cluster for each mode of a Gaussian mixture, however many components make it.

    A mixture needs several components for one bent or skewed group. They are one cluster if their density has one peak:
    every row climbs, and goes with where it comes to (Li, Ray and Lindsay, 2007). A session that watches the steps sees
    a Gaussian for the rows that have met, and the mean log density of where they are.

    Parameters
    ----------
    estimator : Mixture or estimator, optional
        A `Mixture`, such as `mixture_` of a fitted `GaussianMixture`, is taken as it is. An estimator with Gaussian
        components is cloned and fitted to the rows. By default a `GaussianMixture` of `n_components`.
    n_components : int, default=4
        Components, where no estimator is given.
    rows_climb : bool, default=True
        False assigns a row to the mode of the mean of its most probable component, which costs nothing.
    random_state : int, RandomState instance or None
        Seed of the fit, unless the estimator has one.

    Attributes
    ----------
    labels_ : array of shape (n,)
        The mode of each row; -1 for noise, where the mixture knows noise.
    modes_ : array of shape (m, d)
        Modes that rows belong to, the highest first.
    heights_ : array of shape (m,)
        Log densities there.
    covariances_ : array of shape (m, d, d)
        Of the Gaussian that fits each peak, by the curvature at its top.
    components_ : array of shape (k,)
        The mode that the mean of each component climbs to; -1 for one that no row belongs to.
    mixture_ : Mixture
        The mixture that was climbed.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import ModalClustering
    >>> X = np.concatenate([np.linspace(0, 1, 20), np.linspace(9, 10, 20)])[:, None]
    >>> model = ModalClustering(n_components=2, random_state=0).fit(X)
    >>> len(model.modes_)
    2
    """

    estimator: Any = field(default=None, kw_only=False)
    n_components: int = 4
    rows_climb: bool = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "estimator": [None, Mixture, HasMethods("fit")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "rows_climb": ["boolean"],
    }

    def predict(self, X: Any) -> Any:
        """The mode of each row of `X`, by the numbers of `modes_`; -1 for noise, and for rows that climb to another."""
        x = self._again(X)
        return sk.like(X, self._labels(self.mixture_.to(x.device), x))

    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[Climbing]:  # noqa: ARG002
        """All starts climb together; the last step has the groups that `fit` finds."""
        mixture = self._mixture(x)
        cov = mixture.gaussian.cov
        root = torch.linalg.cholesky(torch.einsum("k,kde->de", mixture.weights / mixture.weights.sum(), cov))
        least = float(torch.linalg.eigvalsh(cov).min())

        def gathered(points: Tensor, heights: Tensor) -> Mixture:
            places = torch.linalg.solve_triangular(root, points.T, upper=False).T
            return blobs(x, self._goes(mixture, x, met(places, heights)), least)

        def where(points: Tensor, heights: Tensor, *found: Any) -> Whereabouts:
            rows = slice(-len(x), None) if self.rows_climb else slice(mixture.k)
            return Whereabouts(points[rows], float(heights[rows].mean()), *found)

        for climb in ascent(mixture, self._starts(mixture, x)):
            yield Climbing(climb.i, where(climb.points, climb.heights), partial(gathered, climb.points, climb.heights))
        modes = find_modes(mixture, climb.points)
        labels = self._goes(mixture, x, modes.basins)
        labels = _numbered(labels, len(modes.points)).number[labels]
        end = where(modes.points[modes.basins], climb.heights, labels, modes)
        yield Climbing(climb.i + 1, end, lambda: blobs(x, labels, least))

    def _starts(self, mixture: Mixture, x: Float[Tensor, "n d"]) -> Float[Tensor, "s d"]:
        """What climbs: the means, points of the ridgeline, and the rows."""
        starts = [mixture.gaussian.mean, ridge_starts(mixture)]
        return torch.cat(starts + ([x.double()] if self.rows_climb else []))

    def _goes(self, mixture: Mixture, x: Float[Tensor, "n d"], basins: Int[Tensor, "s"]) -> Int[Tensor, "n"]:
        """Where each row goes, of where the starts have come to; -1 for noise."""
        if not self.rows_climb:
            return _of_components(mixture, x, basins[: mixture.k])
        return torch.where(mixture.labels(x) < 0, -1, basins[-len(x) :])

    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:  # noqa: ARG002
        mixture = self._mixture(x)
        modes = find_modes(mixture, self._starts(mixture, x))
        labels = self._goes(mixture, x, modes.basins)
        seen, number = _numbered(labels, len(modes.points))
        self._modes, self._number = modes, number
        return {
            "labels_": number[labels],
            "modes_": modes.points[seen],
            "heights_": modes.heights[seen],
            "covariances_": modes.cov[seen],
            "components_": number[modes.basins[: mixture.k]],
            "mixture_": mixture,
        }

    def _labels(self, mixture: Mixture, x: Float[Tensor, "n d"]) -> Tensor:
        modes: Modes = Modes(*(part.to(x.device) for part in self._modes))
        number = self._number.to(x.device)
        if not self.rows_climb:
            return number[_of_components(mixture, x, modes.basins[: mixture.k])]
        m = len(modes.points)
        found = find_modes(mixture, torch.cat([modes.points, x.double()]))
        again = torch.full((len(found.points) + 1,), -1, dtype=torch.int64, device=x.device)
        again[found.basins[:m]] = torch.arange(m, device=x.device)
        return torch.where(mixture.labels(x) < 0, -1, number[again[found.basins[m:]]])

    def _mixture(self, x: Float[Tensor, "n d"]) -> Mixture:
        """The mixture to climb. Raises `BadData` for one of other columns."""
        if isinstance(self.estimator, Mixture):
            if self.estimator.d != x.shape[1]:
                raise BadData(f"The rows have {x.shape[1]} column(s); expected {self.estimator.d}, as the mixture has.")
            return self.estimator.to(x.device)
        if self.estimator is None:
            model: Any = GaussianMixture(int(self.n_components), random_state=self.random_state)
        else:
            model = clone(self.estimator)
            if "random_state" in (given := model.get_params()) and given["random_state"] is None:
                model.set_params(random_state=self.random_state)
        fitted = model.fit(x)
        if not isinstance(mixture := getattr(fitted, "mixture_", None), Mixture):
            raise BadData(f"{type(model).__name__} has no mixture_ once it is fitted; expected a GaussianMixture.")
        return mixture


class _Numbers(NamedTuple):
    """Modes that rows belong to, the highest first."""

    seen: Int[Tensor, "s"]
    number: Int[Tensor, "m"]  # of each mode among these, -1 for others; the last is for none


def _numbered(labels: Int[Tensor, "n"], m: int) -> _Numbers:
    seen = labels[labels >= 0].unique()  # sorted, so by height
    number = torch.full((m + 1,), -1, dtype=torch.int64, device=labels.device)
    number[seen] = torch.arange(len(seen), device=labels.device)
    return _Numbers(seen, number)


def _of_components(mixture: Mixture, x: Float[Tensor, "n d"], components: Tensor) -> Tensor:
    """The mode of the most probable component of each row; -1 for noise."""
    labels = mixture.labels(x)
    return torch.where(labels < 0, -1, components[labels])
