"""`CategoryDiscoveryGMM`: classes of which some are known by a few labels, and of which nobody knows the number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.discovery.moves import Marginal
from gmmlab.clustering.discovery.sweeps import Beliefs, Search, Sweep, Told, full, mh, paper, seeded, sweeps
from gmmlab.data import row_weights
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.families import NormalInverseGamma, NormalInverseWishart, Prior
from gmmlab.families.niw import grouped

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

MOVES = {"full": full, "paper": paper}


@dataclass(kw_only=True, eq=False, repr=False)
class CategoryDiscoveryGMM(MixtureClusterer):
    """Clusters rows of which some have labels of some classes; the others may be of these or of new classes.

    Groups of labelled rows stay together. Between fits by EM groups are split and merged wherever that makes the
    partition more probable under a Dirichlet process with a conjugate prior of each group.

    Parameters
    ----------
    n_new : int, default=5
        New groups to begin with, beside the known classes.
    covariance_type : {'spherical', 'full'}, default='spherical'
        Covariances of the groups. 'full' needs many rows in each: with few, the prior decides.
    dof : float or None, default=None
        How many degrees of freedom the prior of the covariances has: how sure it is of their size. None for 20 where
        they are spherical, and for d + 20 where they are full.
    scale : float or None, default=None
        The variance of a column within a group, as the prior expects it; None for the pooled covariance of the labelled
        classes, without labels that of the groups of the start. It says how large groups are.
    kappa : float, default=0.01
        Rows that the prior of the means is worth.
    alpha : float, default=1.0
        Concentration of the Dirichlet process: more makes groups more.
    moves : {'full', 'paper'}, default='full'
        'full' is every split and merge, of which the best is made in a sweep; a known class may give away a half
        without labelled rows (shed), and take a new group in (absorb). 'paper' leaves known classes alone, and depends
        on the start.
    coin : float or 'mh', default=0.0
        The probability of moves that gain nothing: 0 for greedy, 'mh' for the ratio itself (Metropolis and Hastings).
        It is put away for the last quarter of `max_sweeps`.
    min_size : int, default=5
        Both halves of a split have more rows, by weight.
    max_sweeps : int, default=100
        Sweeps at most.
    tol : float, default=1e-4
        EM between the moves ends when it gains less log-likelihood per row.
    max_iter : int, default=30
        Steps of EM between the moves at most.
    random_state : int, RandomState instance or None
        Seed of the start, and of the coin.

    Attributes
    ----------
    labels_ : array of shape (n,)
        Groups: first the known classes in the order of `classes_`, then new ones.
    classes_ : array
        The known classes.
    n_components_, n_new_ : int
        Number of groups, and how many of them are new.
    history_ : list of Info
        For every sweep log-likelihood, log p(z, x), the moves that were made and those that were tried.
    n_iter_ : int
    mixture_ : Mixture

    References
    ----------
    Zhao, Wen and Han (2023), "Learning semi-supervised Gaussian mixture models for generalized category discovery";
    Chang and Fisher (2013) and Ronen, Finder and Freifeld (2022) for the ratios. Absorbing and shedding are ours; the
    representation that the article learns beside is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import CategoryDiscoveryGMM
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 9, rng.normal(size=(60, 2)) - 9])
    >>> y = np.where(np.arange(180) < 30, 0, -1)
    >>> CategoryDiscoveryGMM(random_state=0).fit(X, y).n_new_
    2
    """

    n_new: int = 5
    covariance_type: str = "spherical"
    dof: float | None = None
    scale: float | None = None
    kappa: float = 0.01
    alpha: float = 1.0
    moves: str = "full"
    coin: float | str = 0.0
    min_size: int = 5
    max_sweeps: int = 100
    tol: float = 1e-4
    max_iter: int = 30

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "n_new": [Interval(Integral, 0, None, closed="left")],
        "covariance_type": [StrOptions({"spherical", "full"})],
        "dof": [Interval(Real, 0.0, None, closed="neither"), None],
        "scale": [Interval(Real, 0.0, None, closed="neither"), None],
        "kappa": [Interval(Real, 0.0, None, closed="neither")],
        "alpha": [Interval(Real, 0.0, None, closed="neither")],
        "moves": [StrOptions(set(MOVES))],
        "coin": [Interval(Real, 0.0, 1.0, closed="both"), StrOptions({"mh"})],
        "min_size": [Interval(Integral, 1, None, closed="left")],
        "max_sweeps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the classes of rows `X`, of which `y` has the labels of some: whole numbers, -1 where unknown.

        A row counts `sample_weight` times, which are numbers above 0: as so many copies that stay together.
        """
        x, rng = self._checked(X)
        self._keep(X, self._ended(*_told(y, x, sample_weight), rng))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and return the group of each row."""
        return self.fit(X, y, sample_weight).labels_

    def steps(self, X: Any, y: Any = None, sample_weight: Any = None) -> Iterator[Sweep]:
        """The sweeps that `fit` would take, one by one; a `Session` can show them. Bad parameters raise at once."""
        self._validate_params()
        x, rng = self._checked(X)
        return self._sweeps(_told(y, x, sample_weight)[0], rng)

    def explore(self, X: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch the search over rows `X` in a notebook; see `gmmlab.explore` for the options."""
        from gmmlab.widgets.opening import explore, watching

        steps = partial(copy(self).steps, X, y, sample_weight)
        return explore(session=watching(X, steps, sample_weight=sample_weight), **options)

    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:
        return self._ended(*_told(None, x, None), rng)

    def _ended(self, rows: Told, classes: Int[Tensor, "c"], rng: torch.Generator) -> Mapping[str, Any]:
        """The fitted attributes, of the last sweep."""
        *_, end = history = list(self._sweeps(rows, rng))
        if end.info.moves:  # made, but not fitted any more
            warn(f"After max_sweeps={self.max_sweeps} there are still moves to make; more would help.", DataWarning)
        return {
            "labels_": end.info.labels,
            "classes_": classes,
            "n_components_": end.model.k,
            "n_new_": end.model.k - rows.old,
            "history_": [sweep.info for sweep in history],
            "n_iter_": end.i,
            "mixture_": end.model,
        }

    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[Sweep]:
        return self._sweeps(_told(None, x, None)[0], rng)

    def _sweeps(self, rows: Told, rng: torch.Generator) -> Iterator[Sweep]:
        labels, old = rows.labels, rows.old
        z, told = seeded(rows, max(int(self.n_new), 1 - old), rng), labels >= 0
        search = Search(
            beliefs=self._beliefs(rows, *((told, labels[told]) if old else (told | ~told, z))),
            min_size=int(self.min_size),
            max_sweeps=int(self.max_sweeps),
            moves=MOVES[self.moves],
            coin=mh if isinstance(self.coin, str) else lambda _: float(self.coin),
            tossed=self.coin != 0,
            tol=float(self.tol),
            max_iter=int(self.max_iter),
        )
        return sweeps(rows, z, search, rng)

    def _beliefs(self, rows: Told, some: Bool[Tensor, "n"], z: Int[Tensor, "m"]) -> Beliefs:
        """The prior of each group, as the covariance within groups `z` of some rows has it."""
        x, w = rows.x.double(), rows.x.new_ones(len(rows.x)).double() if rows.weight is None else rows.weight.double()
        d, mean, kappa = x.shape[1], w @ x / w.sum(), float(self.kappa)
        eye = torch.eye(d, dtype=torch.float64, device=x.device)
        within = _pooled(x, w, some, z) if self.scale is None else float(self.scale) * eye
        structure = sk.structure(self.covariance_type)
        dof = 20.0 + d * structure.dense if self.dof is None else float(self.dof)
        if structure.dense:
            scale = max(dof - d - 1, 1.0) * within
            marginal: Marginal = NormalInverseWishart.of(mean, scale, kappa=kappa, dof=dof)
        else:
            scale = dof * within.diagonal().mean() * eye
            marginal = NormalInverseGamma.of(mean, float(scale[0, 0]), kappa=kappa, dof=dof)

        def mode(k: int) -> Prior:
            return Prior.of(structure, k, mean=mean, kappa=kappa, dof=dof, scale=scale)

        return Beliefs(structure, marginal, mode, float(self.alpha))


def _pooled(
    x: Float[Tensor, "n d"], w: Float[Tensor, "n"], some: Bool[Tensor, "n"], z: Int[Tensor, "m"]
) -> Float[Tensor, "d d"]:
    """Covariance within groups `z` of some rows, with a little of all rows' variances: it is positive definite."""
    k, mean = int(z.max()) + 1, w @ x / w.sum()
    scatter = grouped(x[some], z, k, mean, w[some]).scatter.sum(0)
    small = 1e-3 * torch.diag_embed(w @ (x - mean).square() / (w.sum() - 1).clamp(min=1.0))
    return scatter / max(float(w[some].sum()) - k, 1) + small + 1e-12 * torch.eye(x.shape[1]).to(scatter)


def _counting(sample_weight: Any, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"] | None:
    """How often each row counts. Raises `BadData` unless these are numbers above 0."""
    weight = row_weights(sample_weight, x)
    if weight is None:
        return None
    if bool((weight == 0).any()):
        at = int((weight == 0).nonzero()[0])
        raise BadData(
            f"sample_weight[{at}] is 0; expected numbers above 0, as every row is to be in a group that counts for "
            f"something ({int((weight == 0).sum())} are not). Leave such rows out, and `predict` their groups."
        )
    return weight


def _told(y: Any, x: Float[Tensor, "n d"], sample_weight: Any) -> tuple[Told, Int[Tensor, "c"]]:
    """Rows with the numbers of their known classes, -1 where unknown, and these classes."""
    given = np.full(len(x), -1) if y is None else np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    given = given.astype(np.float64) if all(isinstance(cell, Integral) for cell in given.ravel().tolist()) else given
    whole = np.issubdtype(given.dtype, np.number) and bool(np.equal(given, np.round(given)).all())
    if given.shape != (len(x),) or not whole or (given < -1).any():
        seen = f"numbers from {given.min()}" if whole and given.size else f"values such as {given.ravel()[:1].tolist()}"
        raise BadData(
            f"y has {seen} in the shape {given.shape}; expected {len(x)} labels from 0, and -1 where unknown."
        )
    classes, codes = np.unique(given, return_inverse=True)
    known = classes >= 0
    if not known.any():
        warn("No row has a label: all classes are new ones, and the scale of the prior is a guess.", DataWarning)
    labels = torch.from_numpy(np.where(known, np.cumsum(known) - 1, -1)[codes]).to(x.device)
    weight = _counting(sample_weight, x)
    return Told(x, labels, int(known.sum()), weight), torch.from_numpy(classes[known].astype(np.int64))
