"""`TangleClustering`: clusters as tangles of a similarity graph, in a tree by order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.tangles.cuts import improved, log_odds, projections, ranked, sweeps, two_means
from gmmlab.clustering.tangles.graph import Graph, gaussian_graph, neighbourhood_graph, parts, typical_distance
from gmmlab.clustering.tangles.search import Cuts, Node, memberships, pruned, search, stages
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.init import from_labels
from gmmlab.model import Mixture

MOST = 3000  # rows, of which n x n weights are held
GRAPHS: dict[str, Graph] = {"gaussian": gaussian_graph, "delta": neighbourhood_graph}


class Found(NamedTuple):
    """The graph's scale, the cuts that were looked at, and the tree of tangles that last."""

    scale: float
    cuts: Cuts
    tree: Node

    def resp(self) -> Float[Tensor, "n k"]:
        """How much each row belongs to each tangle."""
        return memberships(self.tree, self.cuts)


class Info(NamedTuple):
    """A stage of the tree: the order at which its last tangle came apart, and how rows belong to those alive then."""

    order: float
    resp: Float[Tensor, "n k"]
    evidence: float  # log-likelihood per row of the mixture of these groups

    @property
    def labels(self) -> Int[Tensor, "n"]:
        """The tangle that each row belongs to most."""
        return self.resp.argmax(1)


class Stage(NamedTuple):
    """A step: the mixture of the groups that are apart at an order."""

    i: int
    model: Mixture
    info: Info


@dataclass(kw_only=True, eq=False, repr=False)
class TangleClustering(MixtureClusterer):
    """Clusters as tangles: consistent ways to take a side of every cheap cut of a similarity graph.

    A cut costs kappa, the weight between its sides. A tangle of order k takes one side of every cut that costs less
    than k, so that any three of its sides share `agreement` rows: it points at a cluster without saying which rows are
    in it. As the order rises more cuts must be oriented, and tangles split or end: a tree, whose leaves are the
    clusters. How many there are need not be told. Tangles are from Fluck, Kiefer and Standke (2024); the search among
    some cuts is our reconstruction of Klepper and others (2023). Orders are relative to the cuts that were looked at.
    Columns are taken in their units.

    Parameters
    ----------
    graph : {'gaussian', 'delta'}, default='gaussian'
        Weights exp(-distance^2 / (2 scale^2)) between all rows, or 1 between rows at most `scale` apart.
    scale : 'median-knn' or float, default='median-knn'
        In the units of the data; the median distance to the tenth neighbour. If it is too large all is one cluster.
    n_cuts : int, default=300
        Candidates: thresholds along columns, principal axes and eigenvectors of the graph, two means of random subsets,
        and those of `mixture`. Each is tried once more after single rows have changed sides to make it cheaper.
    agreement : int or float, default=0.1
        Rows that any three sides have in common, or their share of all rows. Clusters with fewer rows are not seen; a
        small number lets cheap cuts at the fringe pass for splits. 0.3 / K suits K clusters of similar size.
    max_order : float, default=None
        Cuts that cost as much or more are not looked at.
    lasting : float, default=2.0
        A tangle is kept if it ends at so many times the order at which it came apart; 1 keeps all.
    max_clusters : int, default=None
        Of more tangles, those are kept that last longest.
    mixture : Mixture or fitted GaussianMixture, default=None
        Its components' pairwise log odds are candidates, too.
    covariance_type : str, default='full'
        Structure of the covariances of `mixture_`.
    reg_covar : float, default=1e-6
        Added to all variances of `mixture_`, in squared data units.
    random_state : int, RandomState instance or None
        Seed of the random subsets.

    Attributes
    ----------
    labels_ : array of shape (n,)
        The leaf that each row belongs to most.
    soft_, responsibilities_ : array of shape (n, k)
        How much rows belong to leaves: shares of the distinguishing cuts that have them on that side, cheap ones
        counting most, multiplied down the tree.
    orders_ : array of shape (k,)
        Where each leaf ends; infinite if it oriented all cuts.
    tree_ : Node
        The tree of tangles that last: `taken`, `order`, `children`.
    cuts_ : Cuts
        The cuts that were looked at, cheapest first: `sides` (m, n) and `orders` (m,).
    scale_ : float
    n_clusters_ : int
    mixture_ : Mixture
        One component for each group of `labels_`.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import TangleClustering
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]])
    >>> TangleClustering(scale=1.0, random_state=0).fit(X).n_clusters_
    2
    """

    graph: str = "gaussian"
    scale: Any = "median-knn"
    n_cuts: int = 300
    agreement: Any = 0.1
    max_order: float | None = None
    lasting: float = 2.0
    max_clusters: int | None = None
    mixture: Any = None
    covariance_type: str = "full"
    reg_covar: float = 1e-6

    _parameter_constraints: ClassVar[dict[str, Any]] = MixtureClusterer._parameter_constraints | {
        "graph": [StrOptions(set(GRAPHS))],
        "scale": [StrOptions({"median-knn"}), Interval(Real, 0.0, None, closed="neither")],
        "n_cuts": [Interval(Integral, 3, None, closed="left")],
        "agreement": [Interval(Integral, 2, None, closed="left"), Interval(Real, 0.0, 0.5, closed="neither")],
        "max_order": [Interval(Real, 0.0, None, closed="neither"), None],
        "lasting": [Interval(Real, 1.0, None, closed="left")],
        "max_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "mixture": "no_validation",
        "covariance_type": [StrOptions(set(sk.COVARIANCES))],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
    }

    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:
        found = self._tangles(x, rng)
        resp = found.resp()
        *_, last = self._stages(x, found)
        return {
            "labels_": last.info.labels,
            "soft_": resp,
            "responsibilities_": resp,
            "orders_": torch.tensor([leaf.order for leaf in found.tree.leaves()], dtype=torch.float64),
            "tree_": found.tree,
            "cuts_": found.cuts,
            "scale_": found.scale,
            "n_clusters_": resp.shape[1],
            "mixture_": last.model,
        }

    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[Stage]:
        return self._stages(x, self._tangles(x, rng))

    def _stages(self, x: Float[Tensor, "n d"], found: Found) -> Iterator[Stage]:
        """One group, and then the groups after each split of the tree, by rising order."""
        resp = found.resp()
        everyone = [list(range(resp.shape[1]))]
        for i, (order, alive) in enumerate([(0.0, everyone), *stages(found.tree)], 1):
            shares = torch.stack([resp[:, leaves].sum(1) for leaves in alive], dim=1)
            model = self._mixture(x, shares.argmax(1))
            yield Stage(i, model, Info(order, shares, float(model.log_prob(x).mean())))

    def _mixture(self, x: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> Mixture:
        return from_labels(x, labels, sk.structure(self.covariance_type), ridge=float(self.reg_covar))

    def _tangles(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Found:
        if len(x) > MOST:
            raise BadData(
                f"{len(x)} rows; expected at most {MOST}, as all pairs are weighed. Fit a sample, and predict."
            )
        least = self._agreement(len(x))
        scale = typical_distance(x) if isinstance(self.scale, str) else float(self.scale)
        w = GRAPHS[self.graph](x, scale)
        if (apart := parts(w)) > 1 and self.graph == "delta":
            warn(
                f"The graph of rows at most {scale:.4g} apart has {apart} parts, and cuts between them cost nothing; "
                "try a larger scale, or graph='gaussian'.",
                DataWarning,
            )
        most = math.inf if self.max_order is None else float(self.max_order)
        cuts = ranked(w, self._candidates(x, w, least, rng), least, most)
        few = None if self.max_clusters is None else int(self.max_clusters)
        return Found(scale, cuts, pruned(search(cuts, least), float(self.lasting), few))

    def _agreement(self, n: int) -> int:
        """Rows that three sides share at least."""
        if isinstance(self.agreement, Integral):
            return int(self.agreement)
        return max(2, math.ceil(float(self.agreement) * n))

    def _candidates(
        self, x: Float[Tensor, "n d"], w: Float[Tensor, "n n"], least: int, rng: torch.Generator
    ) -> list[Tensor]:
        """Sides of `n_cuts` cuts or a few more, each kind having as many; and the same made cheaper."""
        model = getattr(self.mixture, "mixture_", self.mixture)
        each = int(self.n_cuts) // (3 if model is None else 4)
        kinds = [
            projections(x, -(-each // (x.shape[1] + min(x.shape)))),
            sweeps(w, -(-each // 5)),
            two_means(x, each, rng),
        ]
        if model is not None and model.k > 1:
            kinds.append(log_odds(model, x, -(-each // math.comb(model.k, 2))))
        sides = torch.cat(kinds)
        return [sides, improved(w, sides, least, len(x) // 5)]
