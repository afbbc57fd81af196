"""`MeanShift`: groups of rows that climb to the same mode of a kernel density."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.algebra import KernelDensity, kernel_modes, lifted_modes, projection, shifts
from gmmlab.algebra.modes import SAME
from gmmlab.axes import Float, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.climbing import Climbing, Whereabouts, blobs, met
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.kernels.profiles import Cauchy, Epanechnikov, Generalised, Logistic, Normal, Profile, Secant


class Kernel(NamedTuple):
    """What a name stands for."""

    profile: Profile
    widen: Callable[[int], float] = lambda _: 1.0  # bandwidth over that of a normal kernel, in so many columns
    radius: float = 1e-3  # bandwidths between limits that are one mode


KERNELS: dict[str, Kernel] = {
    "gaussian": Kernel(Normal()),
    "generalised": Kernel(Generalised()),
    "logistic": Kernel(Logistic()),
    "sigmoid": Kernel(Secant()),
    "cauchy": Kernel(Cauchy()),
    "epanechnikov": Kernel(Epanechnikov(), lambda d: (d + 4) ** 0.5, 1.0),  # its variance is 1 / (d + 4)
}


@dataclass(kw_only=True, eq=False, repr=False)
class MeanShift(MixtureClusterer):
    """Groups of rows that climb to the same mode of a kernel density. Their number follows from the bandwidth.

    Every row climbs by mean shifts, which guesses at their limit shorten; see `gmmlab.algebra.kernel_modes`. A step
    takes the distances of all rows that still climb to all rows, O(n^2 d). Columns are taken in their units. A session
    that watches the steps sees a Gaussian for the rows that have met, and the mean log height of where they are.

    Parameters
    ----------
    bandwidth : 'auto' or float, default='auto'
        Scale of the kernel: a standard deviation for 'gaussian', the radius for 'epanechnikov'. 'auto' is best for the
        slopes of a round Gaussian of the variance of the rows, (4 / (d + 4))^(1 / (d + 6)) n^(-1 / (d + 6)) sd
        (Chacon, Duong and Wand, 2011), which is wide where groups are far apart; times sqrt(d + 4) for 'epanechnikov'.
    kernel : {'gaussian', 'generalised', 'logistic', 'sigmoid', 'cauchy', 'epanechnikov'}, default='gaussian'
        'generalised' is exp(-(t/2)^0.75) of the squared distance t in bandwidths. 'epanechnikov' is what others call
        the shift of a flat kernel. Tails of 'cauchy' are heavy: it finds fewer modes.
    project_dim : int, optional
        Look for modes in a random projection to so many dimensions, and lift them.
    merge_radius : 'auto' or float, default='auto'
        Bandwidths between limits that are one mode: 'auto' is a thousandth, and 1 for 'epanechnikov', on whose plateaus
        rows stop where they reach them.
    tol : float, default=1e-6
        Length of a shift, in bandwidths, at which a row has arrived.
    max_iter : int, default=500
        Steps at most, each of two shifts and a guess.
    random_state : int, RandomState instance or None
        Seed of the projection.

    Attributes
    ----------
    labels_ : array of shape (n,)
        The mode of each row, by the numbers of `cluster_centers_`.
    cluster_centers_ : array of shape (m, d)
        Modes, the highest first.
    heights_ : array of shape (m,)
        Log heights of the density there, at most 0: that of a single row.
    bandwidth_ : float
    mixture_ : Mixture
        The groups as Gaussians, of the mean and the covariance of each group's share of the density.
    n_iter_ : int
        Steps of the longest way up.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import MeanShift
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]])
    >>> labels = MeanShift(bandwidth=1.0).fit_predict(X)
    >>> sorted(np.bincount(labels).tolist())
    [3, 3]
    """

    bandwidth: Any = "auto"
    kernel: str = "gaussian"
    project_dim: int | None = None
    merge_radius: Any = "auto"
    tol: float = 1e-6
    max_iter: int = 500

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "bandwidth": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="neither")],
        "kernel": [StrOptions(set(KERNELS))],
        "project_dim": [None, Interval(Integral, 1, None, closed="left")],
        "merge_radius": [StrOptions({"auto"}), Interval(Real, 0.0, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def predict(self, X: Any) -> Any:
        """The mode next to where each row of `X` climbs in the density of the fitted rows, in all its columns."""
        rows = self._again(X).double()
        density = KernelDensity(self._density.rows.to(rows.device), self._density.bandwidth, self._density.profile)
        found = kernel_modes(density, rows, float(self.tol), int(self.max_iter))
        reached = found.basins >= 0
        rows[reached] = found.points[found.basins[reached]]
        return sk.like(X, torch.cdist(rows, self._centres.to(rows.device)).argmin(1))

    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:
        (end,) = deque(self._steps(x, rng), maxlen=1)
        modes = end.info.modes
        assert modes is not None  # of the last step
        self._density, self._centres = self._density_of(x.double()), modes.points
        return {
            "labels_": end.info.labels,
            "cluster_centers_": modes.points,
            "heights_": modes.heights,
            "bandwidth_": self._density.bandwidth,
            "mixture_": end.model,
            "n_iter_": max(1, end.i),
        }

    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[Climbing]:
        """Rows, or their images in a projection, climb; the last step has the modes that they came to."""
        density = self._density_of(x.double())
        radius = KERNELS[self.kernel].radius if isinstance(self.merge_radius, str) else float(self.merge_radius)
        tol, most = float(self.tol), int(self.max_iter)
        small = density if self.project_dim is None else self._projected(density, int(self.project_dim), rng)
        variance = (density.bandwidth / KERNELS[self.kernel].widen(x.shape[1])) ** 2

        def gathered(points: Tensor, heights: Tensor) -> Any:
            return blobs(x, met(points / density.bandwidth, heights), variance)

        for climb in shifts(small, small.rows, max(tol, SAME), most):
            where = Whereabouts(climb.points, float(climb.heights.mean()))
            yield Climbing(climb.i, where, partial(gathered, climb.points, climb.heights))
        found = modes = kernel_modes(small, climb.points, tol, most, radius)
        labels = found.basins
        if self.project_dim is not None:
            modes = lifted_modes(density, small, found, tol=tol, max_iter=most, radius=radius).modes
            labels = modes.basins[labels]
        where = Whereabouts(found.points[found.basins], float(found.heights[found.basins].mean()), labels, modes)
        yield Climbing(climb.i + modes.steps, where, lambda: blobs(x, labels, variance))

    def _projected(self, density: KernelDensity, q: int, rng: torch.Generator) -> KernelDensity:
        """The density of the images of the rows in q dimensions. Raises `BadData` for more of them than columns."""
        if q > (d := density.rows.shape[1]):
            raise BadData(f"project_dim={q} is more than the {d} columns of the rows; expected 1 to {d}.")
        images = density.rows @ projection(density, q, rng).T
        return KernelDensity(images, density.bandwidth, density.profile)

    def _density_of(self, x: Float[Tensor, "n d"]) -> KernelDensity:
        kernel, d = KERNELS[self.kernel], x.shape[1]
        if not isinstance(self.bandwidth, str):
            return KernelDensity(x, float(self.bandwidth), kernel.profile)
        if (width := reference_bandwidth(x)) == 0:
            raise BadData("All rows are the same, so that bandwidth='auto' is 0; give a bandwidth above 0.")
        return KernelDensity(x, width * kernel.widen(d), kernel.profile)


def reference_bandwidth(x: Float[Tensor, "n d"]) -> float:
    """The bandwidth that is best for the gradient of a round Gaussian: (4 / (d + 4))^(1/(d + 6)) n^(-1/(d + 6)) sd.

    The variance is the mean of those of the columns. See Chacon, Duong and Wand (2011).
    """
    n, d = x.shape
    return float((4 / ((d + 4) * n)) ** (1 / (d + 6)) * x.var(0).mean().sqrt())
