"""`SDPClustering`: semidefinite k-means, and its adjustment to groups of different shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.sdp.admm import admm
from gmmlab.clustering.sdp.lowrank import low_rank
from gmmlab.clustering.sdp.relaxed import Solver, memberships, only_point
from gmmlab.clustering.sdp.rounding import ROUNDINGS, check_enough, filled
from gmmlab.clustering.sdp.rounds import Info, Partition, Refit, Round, certifying, rounds, shrinkage
from gmmlab.data import row_weights
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.families import EIGEN, Structure
from gmmlab.init import RESPONSIBILITIES, from_responsibilities, given_responsibilities, one_hot
from gmmlab.init.hierarchy import standardised
from gmmlab.init.kmeans import nearest
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

FEW, SOME = 300, 3000  # rows up to which `auto` keeps n x n matrices, and up to which it keeps all rows
MOST = 4 << 30  # bytes that the matrices of a solver may take
MATRICES = 10  # of n x n numbers for each block that ADMM holds
SWEEPS = 3  # of classification EM after a sketch
START = 1e-2  # how well the constraints of the start are met
MOST_ROUNDS = 5000  # of ADMM
CERTIFYING = 200  # rounds of ADMM at most that bound a partition of thin factors
POLISH = 100  # how much more closely ADMM meets the constraints while a certificate is near
SPHERES: Structure = next(structure for structure in EIGEN if structure.name == "EII")


class Record(NamedTuple):
    """A round of the fit: log-likelihoods of all rows, and how the relaxation ended."""

    round: int
    likelihood: float  # of the partition under covariances fitted to it
    objective: float  # under those of the round
    gap: float  # above it, the bound of any partition
    residual: float
    solver_rounds: int
    labels: Int[Tensor, "n"]


class Part(NamedTuple):
    """Some of the rows that were given: those that count, or a sketch of them."""

    x: Float[Tensor, "m d"]
    weight: Float[Tensor, "m"]
    number: Int[Tensor, "m"]  # among all that were given
    given: int  # how many these were

    @classmethod
    def counting(cls, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None) -> Part:
        """Those of weight above zero."""
        whole = cls(x, x.new_ones(len(x)) if weight is None else weight, torch.arange(len(x), device=x.device), len(x))
        counts = whole.weight > 0
        return whole if bool(counts.all()) else whole.take(counts.nonzero().flatten())

    def take(self, rows: Int[Tensor, "r"]) -> Part:
        """Some of these."""
        return Part(self.x[rows], self.weight[rows], self.number[rows], self.given)

    def spread(self, value: Tensor, others: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"]) -> Tensor:
        """Of all rows x what these have, and what the others get."""
        if len(self.x) == self.given:
            return value
        every = others(x).to(value.dtype)
        every[self.number] = value
        return every


@dataclass(kw_only=True, eq=False, repr=False)
class SDPClustering(MixtureClusterer):
    """Clusters of different shape by semidefinite relaxation of the classification likelihood.

    Labels are parameters: the partition and its covariances are to maximise sum_i log N(x_i | mean and covariance of
    its group). Lifted to membership matrices the partition problem is a semidefinite program without centroids, which
    depends little on where it starts (iLA-SDP; Zhuang, Chen and Yang, 2023). It is solved, rounded, covariances are
    refitted, and again until the partition stays. Columns are taken in their units; with 'VVV' units do not matter.

    Parameters
    ----------
    n_clusters : int, default=2
        Number of groups.
    adjust : bool, default=True
        Refit covariances and go on. False is the relaxation of k-means (Peng and Wei, 2007).
    covariance_type : str, default='VVV'
        Structure of the groups' covariances, by any name that `GaussianMixture` knows.
    solver : {'auto', 'admm', 'low_rank', 'sketch'}, default='auto'
        'admm' holds n x n matrices and bounds the optimum, so that partitions can be certified; 'low_rank' holds
        factors of them and takes a few seconds for thousands of rows; 'sketch' parts some rows by one of these and
        assigns the others by classification likelihood. 'auto' takes them for up to 300, 3,000, and more rows.
    rank : int, default=3
        Columns of a factor for each group, for 'low_rank'; one has bad local optima.
    init : str or array, default='sdp'
        The first partition: 'sdp' for that of k-means' relaxation on standardised columns; a name that `init_params`
        of `GaussianMixture` knows, such as 'ward', 'kmeans', 'hierarchical' or 'random'; or a label for each row, or -1
        for the group with the nearest mean of those that have labels.
    rounding : {'best', 'spectral', 'argmax'}, default='best'
        From the relaxed memberships to groups: k-means on their leading eigenvectors, the largest membership (noise
        where groups have equal covariances), or the one with the higher likelihood.
    update : {'hard', 'soft'}, default='hard'
        Covariances of the groups, or of the relaxed memberships.
    max_iter : int, default=20
        Rounds at most.
    tol : float, default=1e-3
        How well the constraints of a relaxation are met, relative to their size. Where a certificate is near, 'admm'
        goes on to a hundredth of it.
    shrink : 'auto' or float, default='auto'
        Share of the pooled covariance in those of groups; 'auto' is (d + 2) / n_k, at most 1.
    sketch_size : int, default=400
        Rows that are parted, for 'sketch'.
    certify : bool, default=False
        Bound the best partition that thin factors find, too, by up to 200 rounds of 'admm' under its own covariances.
        They hold n x n matrices; each takes 0.07 s for 1,000 rows in three groups.
    reg_covar : float, default=1e-6
        Added to all variances, in squared data units.
    random_state : int, RandomState instance or None
        Seed of the rounding, of the low-rank factors and of the sketch.

    Attributes
    ----------
    labels_ : array of shape (n,)
        Rows of weight zero are no part of the problem: they go where `predict` puts them.
    objective_ : float
        Classification log-likelihood of the partition, under covariances fitted to it; rows count by weight.
    relaxation_gap_ : float
        How much higher any partition could be at most, under the covariances of the round that found this one.
        Infinite where the solver gives no bound.
    certified_ : bool
        Whether that is at most 1e-4 a row: this is the best partition for its covariances, whatever the start was. Of a
        sketch, it speaks of the sketched rows.
    responsibilities_ : array of shape (n, k)
        Relaxed memberships Z_k w, with w the weights of rows; those under `mixture_` for a sketch, and for rows of
        weight zero.
    means_, covariances_ : arrays of shape (k, d), (k, d, d)
    mixture_ : Mixture
        The groups with their shares as weights.
    factors_ : array of shape (blocks, n, r)
        Thin factors of the membership matrices, of the rows `sketch_`.
    sketch_ : array
        Numbers of the rows that were parted by the relaxation. They are drawn evenly, and keep their weights.
    history_ : list of Record
        What came of each round.
    n_iter_ : int
        Rounds.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import SDPClustering
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (20, 2)), rng.normal(9, 2, (20, 2))])
    >>> SDPClustering(2, random_state=0).fit(X).certified_
    True
    """

    n_clusters: int = field(default=2, kw_only=False)
    adjust: bool = True
    covariance_type: str = "VVV"
    solver: str = "auto"
    rank: int = 3
    init: Any = "sdp"
    rounding: str = "best"
    update: str = "hard"
    max_iter: int = 20
    tol: float = 1e-3
    shrink: Any = "auto"
    sketch_size: int = 400
    certify: bool = False
    reg_covar: float = 1e-6

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "adjust": ["boolean"],
        "covariance_type": [StrOptions(set(sk.COVARIANCES))],
        "solver": [StrOptions({"auto", "admm", "low_rank", "sketch"})],
        "rank": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"sdp", *RESPONSIBILITIES}), "array-like"],
        "rounding": [StrOptions(set(ROUNDINGS))],
        "update": [StrOptions({"hard", "soft"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="neither")],
        "shrink": [StrOptions({"auto"}), Interval(Real, 0.0, 1.0, closed="both")],
        "sketch_size": [Interval(Integral, 2, None, closed="left")],
        "certify": ["boolean"],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
    }

    @property
    def Z_(self) -> Any:  # noqa: N802 - the letter of the literature
        """The membership matrices (blocks, n, n) of the relaxation."""
        check_is_fitted(self)
        u = self.factors_
        return u @ u.swapaxes(1, 2)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002 - handed to all
        """Find the groups of rows `X`, each of which counts `sample_weight` times; `y` is ignored."""
        x, rng = self._checked(X)
        self._keep(X, self._found(x, rng, _weights(sample_weight, x)))
        return self

    def steps(self, X: Any, sample_weight: Any = None) -> Iterator[Round]:
        """The steps that `fit` would take, one by one; a `Session` can show them. Bad parameters raise at once."""
        self._validate_params()
        x, rng = self._checked(X)
        return self._steps(x, rng, _weights(sample_weight, x))

    def explore(self, X: Any, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch the clustering of rows `X` in a notebook; see `gmmlab.explore` for the options."""
        from gmmlab.widgets.opening import explore, watching

        steps = partial(self.steps, X, sample_weight)
        return explore(session=watching(X, steps, sample_weight=sample_weight), **options)

    def _found(
        self, x: Float[Tensor, "n d"], rng: torch.Generator, weight: Float[Tensor, "n"] | None = None
    ) -> Mapping[str, Any]:
        rows = Part.counting(x, weight)
        sketch = self._sketch(rows, rng)
        done = [step.info for step in self._rounds(sketch, rng) if step.info.done]
        best = max(done, key=lambda info: (info.partition.likelihood, info.round))  # its own covariances, if it stayed
        whole = len(sketch.x) == len(rows.x)
        partition = best.partition if whole else self._lifted(rows, best.partition)
        resp = self._memberships(best) if whole else partition.model.posterior(rows.x).resp
        return {
            "labels_": rows.spread(partition.labels, partition.model.labels, x),
            "objective_": partition.likelihood,
            "relaxation_gap_": best.gap,
            "certified_": best.certified,
            "responsibilities_": rows.spread(resp, lambda x: partition.model.posterior(x).resp, x),
            "means_": partition.model.gaussian.mean,
            "covariances_": partition.model.gaussian.cov,
            "mixture_": partition.model,
            "factors_": best.relaxed.u / best.weight.sqrt()[:, None],
            "sketch_": sketch.number,
            "history_": [_record(info) for info in done],
            "n_iter_": len(done),
        }

    def _steps(
        self, x: Float[Tensor, "n d"], rng: torch.Generator, weight: Float[Tensor, "n"] | None = None
    ) -> Iterator[Round]:
        return self._rounds(self._sketch(Part.counting(x, weight), rng), rng)

    def _rounds(self, part: Part, rng: torch.Generator) -> Iterator[Round]:
        """The rounds over the rows that are parted."""
        x, k, structure = part.x, int(self.n_clusters), sk.structure(self.covariance_type)
        share = None if isinstance(self.shrink, str) else float(self.shrink)
        shrink, ridge = shrinkage(x.shape[1], share), float(self.reg_covar)
        check_enough(len(x), k)
        refit = Refit(x, k, structure if self.adjust else SPHERES, shrink, ridge, part.weight)
        solver, bounds = self._solver(len(x), rng), self._bounds(len(x))
        begin = filled(self._begin(part, rng), x, k)
        adjust, tol = bool(self.adjust), float(self.tol)
        steps = rounds(
            refit,
            begin,
            solver,
            ROUNDINGS[self.rounding],
            rng,
            adjust=adjust,
            soft=self.update == "soft",
            max_iter=int(self.max_iter),
            tol=tol,
        )
        return steps if bounds is None else certifying(steps, refit, bounds, adjust=adjust, tol=tol)

    def _begin(self, part: Part, rng: torch.Generator) -> Int[Tensor, "m"]:
        """The first partition; starts other than 'sdp' part rows whatever their weights are."""
        x, k = part.x, int(self.n_clusters)
        z = standardised(x, part.weight)
        if not isinstance(self.init, str):
            told = given_responsibilities(self.init, part.given, k)[part.number.cpu()].to(z)
            means = (told.T @ z) / told.sum(0)[:, None].clamp(min=torch.finfo(z.dtype).tiny)
            return torch.where(told.sum(1) > 0, told.argmax(1), nearest(z, means)[0])
        if self.init in RESPONSIBILITIES:
            return RESPONSIBILITIES[self.init](z, k, rng).argmax(1)
        begin = RESPONSIBILITIES["ward"](z, k, rng).argmax(1)
        if not self.adjust:
            return begin
        spheres = Refit(z, k, SPHERES, shrinkage(x.shape[1], 0.0), 1e-6, part.weight)
        solver = self._solver(len(x), rng)
        *_, last = rounds(spheres, filled(begin, z, k), solver, ROUNDINGS["spectral"], rng, adjust=False, tol=START)
        return last.info.partition.labels

    def _solver(self, n: int, rng: torch.Generator) -> Solver:
        """The solver for so many rows. Raises `BadData` where its matrices would not fit."""
        if self.n_clusters == 1:
            return only_point
        return low_rank(int(self.rank), float(self.tol), rng) if self._thin(n) else self._whole(n, MOST_ROUNDS)

    def _bounds(self, n: int) -> Solver | None:
        """What bounds the best partition of so many rows, if that is asked for and the solver does not do so."""
        return self._whole(n, CERTIFYING) if self.certify and self._thin(n) and self.n_clusters > 1 else None

    def _thin(self, n: int) -> bool:
        """Whether so many rows are parted by thin factors."""
        return self.solver == "low_rank" or (self.solver != "admm" and n > FEW)

    def _whole(self, n: int, max_rounds: int) -> Solver:
        """The solver that holds whole matrices."""
        blocks = int(self.n_clusters) if self.adjust else 1
        if (size := MATRICES * 8 * blocks * n**2) > MOST:
            raise BadData(
                f"Bounds of the optimum would take {size / 2**30:.0f} GB of matrices for {n} rows; expected at most "
                f"{MOST >> 30} GB. Take solver='low_rank' with certify=False, or solver='sketch'."
            )
        return admm(float(self.tol) / POLISH, max_rounds)

    def _sketch(self, rows: Part, rng: torch.Generator) -> Part:
        """The rows that are parted by relaxation: all, or some of them."""
        n, k = len(rows.x), int(self.n_clusters)
        if self.solver != "sketch" and (self.solver != "auto" or n <= SOME):
            return rows
        size = max(int(self.sketch_size), 10 * k)
        return rows.take(torch.randperm(n, generator=rng, device=rng.device)[:size].sort().values.to(rows.x.device))

    def _lifted(self, rows: Part, partition: Partition) -> Partition:
        """All rows assigned by the groups of some, and sweeps of classification EM."""
        model, k, ridge = partition.model, int(self.n_clusters), float(self.reg_covar)
        for _ in range(SWEEPS):
            labels = filled(model.labels(rows.x), rows.x, k)
            resp = one_hot(labels, k, rows.x.dtype)
            structure = model.gaussian.structure
            model = from_responsibilities(rows.x, resp, structure, ridge=ridge, weight=rows.weight)
        return Partition(labels, model, _likelihood(model, rows, labels))

    def _memberships(self, info: Info) -> Float[Tensor, "n k"]:
        """Z_k w, or Z times the groups, by weight, where there is one block; what `tol` left is scaled away."""
        u, root = info.relaxed.u, info.weight.sqrt()
        one = one_hot(info.partition.labels, int(self.n_clusters), u.dtype) * root[:, None]
        parts = (memberships(u, root).T if len(u) > 1 else u[0] @ (u[0].T @ one)).clamp(min=0)
        return parts / parts.sum(1, keepdim=True)


def _weights(sample_weight: Any, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"] | None:
    return row_weights(sample_weight, x)


def _likelihood(model: Mixture, rows: Part, labels: Int[Tensor, "n"]) -> float:
    """Classification log-likelihood, chunk by chunk."""
    total, at = 0.0, 0
    for table in model.tables(rows.x):
        some = slice(at, at + len(table))
        total += float((table.gather(1, labels[some, None])[:, 0] * rows.weight[some]).sum(dtype=torch.float64))
        at += len(table)
    return total


def _record(info: Info) -> Record:
    relaxed, partition = info.relaxed, info.partition
    return Record(
        info.round,
        partition.likelihood,
        info.objective,
        info.gap,
        relaxed.residual,
        relaxed.rounds,
        partition.labels,
    )
