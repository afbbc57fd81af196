"""`PartitivePartitioning`: a tree of cuts that k-means proposes and a mixture has to confirm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from gmmlab.axes import Float, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.ppp.merging import rows_of
from gmmlab.clustering.ppp.proposals import PROPOSALS
from gmmlab.clustering.ppp.splits import Fitting, Split, Thresholds
from gmmlab.clustering.ppp.tree import cut, labels_of, separable
from gmmlab.clustering.ppp.visits import Plan, Visit, singles, visits
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.init.hierarchy import standardised


@dataclass(kw_only=True, eq=False, repr=False)
class PartitivePartitioning(MixtureClusterer):
    """Groups by cutting rows in two, and these again, for as long as a mixture confirms the cut.

    k-means proposes, from principal axes and so without random numbers; two Gaussians fitted by EM from the proposal
    have to be better supported than one, to agree with it, and to be sure of their rows (probabilistic partitive
    partitioning; Sultan, 2020, arXiv 2003.04372). The number of groups is found, and the same rows give the same tree
    in any order, but for ties. Of the method its goals and ingredients are Sultan's; the scores, all thresholds and the
    logic of the tree are our reconstruction.

    Columns are standardised first. For many columns put principal components in front, and set `standardise=False`.

    Parameters
    ----------
    min_size : int, default=20
        Rows of a group at least.
    bic_margin : float, default=10
        How much lower the BIC of two Gaussians has to be than that of one.
    agreement : float, default=0.95
        Share of rows that the mixture has to leave on the side that was proposed.
    confidence : float, default=0.9
        Mean of the larger responsibility that is asked of the mixture. With very many rows BIC confirms any bump; this
        does not.
    covariance_type : str, default='VVI'
        Structure of the two covariances, and of those of all groups, by any name that `GaussianMixture` knows.
    proposals : {'all', 'pddp', 'kurtosis'}, default='all'
        'pddp' cuts at the mean of the first or second principal axis, whichever has the lower inertia after Lloyd's
        algorithm; 'kurtosis' along the axis of least kurtosis, where rows need not spread. 'all' fits from both and
        keeps the one whose rows support it more where they were proposed.
    standardise : bool, default=True
        Give columns unit variance before the tree is grown.
    merge_pass : bool, default=True
        Merge groups that are siblings or neighbours where one Gaussian is better supported than two.
    polish : bool, default=True
        Fit the mixture of the groups to all rows by EM, and assign rows by it.
    deep : bool, default=False
        Grow the tree on below refused splits while BIC is lower for two, so that `recut` can loosen thresholds.
    separable : float, default=0.99
        Responsibility that a row needs in every split above it to be counted as separable.
    tol : float, default=1e-4
        EM stops when it gains less log-likelihood per row.
    max_iter : int, default=200
        Steps of EM at most, for each split and for the polish.
    reg_covar : float, default=1e-6
        Added to all variances: of standardised columns in the tree, in squared data units in `mixture_`.
    random_state : int, RandomState instance or None
        Of no use here; nothing is drawn.

    Attributes
    ----------
    labels_ : array of shape (n,)
        Groups are numbered from left to right in the tree.
    n_clusters_ : int
    tree_ : Tree
        All nodes, each with its rows, its moments and the scores of its best split.
    leaves_ : tuple of tuples of int
        For each group the numbers of the nodes that it is made of.
    responsibilities_ : array of shape (n, k)
    separable_mask_ : array of shape (n,)
        Rows that every accepted split above them put on a side with a responsibility of at least `separable`.
    clusterability_ : float
        Confidence of the split of all rows; NaN where none was proposed.
    separable_clusterability_ : float
        The same over the separable rows. It is never below `clusterability_` by much, as rows that the split was not
        sure of are left out: a description, no evidence.
    mixture_ : Mixture
    n_iter_ : int
        Steps: nodes, merges, and steps of EM over all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import PartitivePartitioning
    >>> X = np.concatenate([np.linspace(0, 1, 30), np.linspace(9, 10, 30), np.linspace(40, 42, 30)])[:, None]
    >>> PartitivePartitioning().fit(X).n_clusters_
    3
    """

    min_size: int = 20
    bic_margin: float = 10.0
    agreement: float = 0.95
    confidence: float = 0.9
    covariance_type: str = "VVI"
    proposals: str = "all"
    standardise: bool = True
    merge_pass: bool = True
    polish: bool = True
    deep: bool = False
    separable: float = 0.99
    tol: float = 1e-4
    max_iter: int = 200
    reg_covar: float = 1e-6

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "min_size": [Interval(Integral, 2, None, closed="left")],
        "bic_margin": [Interval(Real, None, None, closed="neither")],
        "agreement": [Interval(Real, 0.0, 1.0, closed="both")],
        "confidence": [Interval(Real, 0.0, 1.0, closed="both")],
        "covariance_type": [StrOptions(set(sk.COVARIANCES))],
        "proposals": [StrOptions(set(PROPOSALS))],
        "standardise": ["boolean"],
        "merge_pass": ["boolean"],
        "polish": ["boolean"],
        "deep": ["boolean"],
        "separable": [Interval(Real, 0.5, 1.0, closed="both")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
    }

    def recut(
        self, *, bic_margin: float | None = None, agreement: float | None = None, confidence: float | None = None
    ) -> Any:
        """Labels of the leaves at other thresholds, from the scores that were kept: nothing is fitted or merged.

        Those that are not given are as they were. Raises `ValueError` where the tree was not grown far enough; see
        `deep`.
        """
        check_is_fitted(self)
        own, given = self._thresholds, (bic_margin, agreement, confidence)
        new = (old if value is None else float(value) for old, value in zip(own[1:], given, strict=True))
        thresholds = Thresholds(own.min_size, *new)
        groups = singles(cut(self.tree_, thresholds.accepts))
        labels = labels_of([rows_of(self.tree_, group) for group in groups], self.tree_.n)
        return labels if isinstance(self.labels_, Tensor) else labels.cpu().numpy()

    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:
        *_, end = self._steps(x, rng)
        tree, groups, model = end.info.tree, end.info.groups, end.model
        resp, root = model.posterior(x).resp, tree.nodes[0].split
        mask = separable(tree, cut(tree, self._thresholds.accepts), float(self.separable))
        return {
            "labels_": resp.argmax(1) if self.polish else labels_of([rows_of(tree, group) for group in groups], len(x)),
            "n_clusters_": model.k,
            "tree_": tree,
            "leaves_": groups,
            "responsibilities_": resp,
            "separable_mask_": mask,
            "clusterability_": math.nan if root is None else root.confidence,
            "separable_clusterability_": math.nan if root is None else float(root.certainty[mask].mean()),
            "mixture_": model,
            "n_iter_": end.i,
        }

    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[Visit]:  # noqa: ARG002 - none drawn
        structure, d = sk.structure(self.covariance_type), x.shape[1]
        if structure.dense and self.min_size < d + 2:
            raise BadData(
                f"min_size={self.min_size} rows cannot tell a covariance matrix of {d} columns; expected at least "
                f"{d + 2}. Raise min_size, or take an axis-aligned covariance_type such as 'VVI'."
            )
        plan = Plan(
            proposals=PROPOSALS[self.proposals],
            fitting=Fitting(structure, float(self.reg_covar), float(self.tol), int(self.max_iter)),
            min_size=int(self.min_size),
            accepts=self._thresholds.accepts,
            wanted=self._wanted,
            merge=bool(self.merge_pass),
            polish=bool(self.polish),
        )
        return visits(x, standardised(x) if self.standardise else (x - x.mean(0)).double(), plan)

    @property
    def _thresholds(self) -> Thresholds:
        return Thresholds(int(self.min_size), float(self.bic_margin), float(self.agreement), float(self.confidence))

    def _wanted(self, split: Split) -> bool:
        """Whether the tree is grown below a split."""
        beyond = self.deep and split.gain > 0 and split.smaller >= self.min_size
        return bool(beyond) or self._thresholds.accepts(split)
