"""Clusterers in files: what their fits leave, and what makes it belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gmmlab.algebra.kernel_density import KernelDensity
from gmmlab.algebra.modes import Modes
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.clustering import (
    CategoryDiscoveryGMM,
    MeanShift,
    ModalClustering,
    PartitivePartitioning,
    SampledGaussianMixture,
    SDPClustering,
    StarClusterFinder,
    TangleClustering,
)
from gmmlab.clustering.discovery.sweeps import Info
from gmmlab.clustering.ppp.tree import Tree
from gmmlab.clustering.sdp_clustering import Record
from gmmlab.clustering.star_clusters import Facts, SkyTree
from gmmlab.clustering.tangles.search import Cuts, Node
from gmmlab.estimators import parameters as sk
from gmmlab.model import Mixture
from gmmlab.sample.draws import Belief
from gmmlab.stats import Moments
from gmmlab.storage.entry import Fitted, Stored, check_agreement, require
from gmmlab.storage.hints import Array, Unbounded

# -- what fits leave ---------------------------------------------------------------------------------------------------


class Parted(Fitted):
    """Of a partition."""

    labels_: Int[Array, "n"]


class Mixed(Parted):
    """Of a partition whose groups are a mixture."""

    mixture_: Mixture


class Discovered(Mixed):
    """Of known and new classes."""

    classes_: Int[Array, "j"]
    n_components_: int
    n_new_: int
    n_iter_: int
    history_: list[Info]


class Shifted(Mixed):
    """Of rows that climbed a kernel density."""

    cluster_centers_: Float[Array, "m d"]
    heights_: Float[Array, "m"]
    bandwidth_: float
    n_iter_: int
    _density: KernelDensity
    _centres: Float[Tensor, "m d"]


class Peaked(Mixed):
    """Of rows that climbed a mixture."""

    modes_: Float[Array, "m d"]
    heights_: Float[Array, "m"]
    covariances_: Float[Array, "m d d"]
    components_: Int[Array, "k"]
    _modes: Modes
    _number: Int[Tensor, "i"]


class Cut(Mixed):
    """Of a tree of cuts in two."""

    n_clusters_: int
    tree_: Tree
    leaves_: tuple[tuple[int, ...], ...]
    responsibilities_: Float[Array, "n k"]
    separable_mask_: Bool[Array, "n"]
    clusterability_: float
    separable_clusterability_: float
    n_iter_: int


class Sampled(Mixed):
    """Of draws from a posterior."""

    psm_: Float[Array, "n n"]
    posterior_K_: Float[Array, "j"]  # noqa: N815 - the letter of the literature
    samples_: list[Mixture]
    partitions_: Int[Array, "s n"]
    alphas_: Float[Array, "chains draws"]
    log_joints_: Float[Array, "chains draws"]
    moves_: tuple[int, int, int, int]
    weights_: Float[Array, "k"]
    means_: Float[Array, "k d"]
    covariances_: Float[Array, "k d d"]
    n_iter_: int
    _belief: Belief
    _groups: list[tuple[Moments, float]]


class Relaxed(Mixed):
    """Of a semidefinite relaxation."""

    objective_: float
    relaxation_gap_: float
    certified_: bool
    responsibilities_: Float[Array, "n k"]
    means_: Float[Array, "k d"]
    covariances_: Float[Array, "k d d"]
    factors_: Float[Array, "b s r"]
    sketch_: Int[Array, "s"]
    history_: list[Record]
    n_iter_: int


class Found(Mixed):
    """Of a star cluster and its field."""

    membership_: Float[Array, "n"]
    responsibilities_: Float[Array, "n 2"]
    stages_: dict[str, Bool[Array, "n"]]
    mst_: SkyTree | None
    cluster_: Facts
    middle_: Float[Array, "2"]
    plane_: Unbounded[Array, "n 2"]
    motion_: Float[Array, "2"]
    parallax_: float
    n_iter_: int


class Tangled(Mixed):
    """Of tangles and the cuts that they orient."""

    soft_: Float[Array, "n m"]
    responsibilities_: Float[Array, "n m"]
    orders_: Unbounded[Array, "m"]
    tree_: Node
    cuts_: Cuts
    scale_: float
    n_clusters_: int


# -- what makes it belong together -------------------------------------------------------------------------------------


def _check_labels(model: Any, groups: int, least: int = 0) -> None:
    labels = sk.as_tensor(model.labels_)
    inside = bool(((labels >= least) & (labels < groups)).all())
    require(inside, f"labels_ has numbers of no group, expected {least} to {groups - 1}")


def _check_mixed(model: Any) -> None:
    """The mixture is one of Gaussians; what says again what it holds says the same."""
    mixture, gaussian = model.mixture_, model.mixture_.gaussian
    scored = mixture.log_prob(gaussian.mean.to(gaussian.origin))  # raises for a gate that asks for more
    require(torch.isfinite(scored).all(), "mixture_ gives no density to its own means")
    held = {"weights_": mixture.weights, "means_": gaussian.mean}
    check_agreement(model, {name: value for name, value in held.items() if hasattr(model, name)})
    if hasattr(model, "means_"):
        check_agreement(model, {"covariances_": gaussian.cov})


def _check_groups(model: Any) -> None:
    """The same, where each component is a group."""
    _check_mixed(model)
    _check_labels(model, model.mixture_.k)


def _check_discovered(model: CategoryDiscoveryGMM) -> None:
    _check_groups(model)
    _check_rows([sweep.labels for sweep in model.history_], len(model.labels_))
    known, k = len(model.classes_), model.mixture_.k
    counted = model.n_components_ == k == known + model.n_new_
    require(counted, f"there are {known} classes and {model.n_new_} new ones for {k} components")


def _check_rows(partitions: Sequence[Tensor], n: int) -> None:
    require(all(len(labels) == n for labels in partitions), f"there are labels of more or fewer than {n} rows")


def _check_shifted(model: MeanShift) -> None:
    _check_mixed(model)
    _check_labels(model, len(model._centres), -1)
    check_agreement(model, {"cluster_centers_": model._centres}, "the modes that were found")
    seen, expected = tuple(model._density.rows.shape), (len(model.labels_), model.n_features_in_)
    require(seen == expected, f"the density has rows of the shape {seen}, expected {expected}")


def _check_peaked(model: ModalClustering) -> None:
    _check_mixed(model)
    _check_labels(model, len(model.modes_), -1)
    numbers, found, left = model._number, len(model._modes.points), len(model.modes_)
    known = len(numbers) == found + 1 and bool(((numbers >= -1) & (numbers < left)).all())
    require(known, f"the numbers of {found} modes are not those of {left}")
    modes, at = model._modes, (numbers[:-1] >= 0).nonzero().flatten()
    held = {"modes_": modes.points[at], "heights_": modes.heights[at], "covariances_": modes.cov[at]}
    check_agreement(model, held, "the modes that were found")
    require(len(model._modes.basins) >= model.mixture_.k, "there are components that climbed nowhere")


def _check_cut(model: PartitivePartitioning) -> None:
    _check_groups(model)
    require(model.tree_.n == len(model.labels_), "the tree has other rows than labels_")
    nodes, leaves = len(model.tree_.nodes), [leaf for group in model.leaves_ for leaf in group]
    require(all(0 <= leaf < nodes for leaf in leaves), "leaves_ has numbers of no node")
    require(model.n_clusters_ == len(model.leaves_) == model.mixture_.k, "leaves_ are not the groups of mixture_")


def _check_sampled(model: SampledGaussianMixture) -> None:
    _check_groups(model)
    kept = (model.samples_, model._groups, model.partitions_, sk.as_tensor(model.alphas_).flatten())
    draws = {len(each) for each in kept}
    require(len(draws) == 1, f"its draws are {sorted(draws)} in number")
    columns = {model._belief.prior.mean.shape[1], *(groups.s1.shape[1] for groups, _ in model._groups)}
    require(columns == {model.n_features_in_}, "draws have other columns than the rows")
    require(all(alpha > 0 for _, alpha in model._groups), "a concentration is not above 0")


def _check_relaxed(model: SDPClustering) -> None:
    _check_groups(model)
    _check_rows([info.labels for info in model.history_], len(model.sketch_))
    blocks = int(model.n_clusters) if model.adjust else 1
    require(len(model.factors_) == blocks, f"there are {len(model.factors_)} membership matrices, expected {blocks}")


def _check_tangled(model: TangleClustering) -> None:
    """Every tangle takes sides of cuts that were looked at."""
    _check_groups(model)
    cuts, leaves = len(model.cuts_.orders), len(list(model.tree_.leaves()))
    taken = max(len(node.taken) for node in (*model.tree_.leaves(), *model.tree_.splits()))
    require(taken <= cuts, f"a tangle takes sides of {taken} cuts, and there are {cuts}")
    require(model.cuts_.sides.shape[1] == len(model.labels_), "the cuts have other rows than labels_")
    require(leaves == len(model.orders_) == model.n_clusters_, f"there are {leaves} leaves, expected one a cluster")


def _check_found(model: StarClusterFinder) -> None:
    """The mixture is of the features, and of a cluster and its field."""
    wide, k = len(model.features), int(model.n_field) + 1
    seen = (model.mixture_.gaussian.k, model.mixture_.d)
    _check_labels(model, 1, -1)
    require(seen == (k, wide), f"mixture_ has (components, columns) {seen}, expected {(k, wide)}")


_GROUPS = {"d": "n_features_in_", "c": "n_features_in_"}

STORED: tuple[Stored, ...] = (
    Stored(CategoryDiscoveryGMM, Discovered, _check_discovered, _GROUPS),
    Stored(MeanShift, Shifted, _check_shifted, _GROUPS),
    Stored(ModalClustering, Peaked, _check_peaked, _GROUPS),
    Stored(PartitivePartitioning, Cut, _check_cut, _GROUPS),
    Stored(SDPClustering, Relaxed, _check_relaxed, _GROUPS | {"k": "n_clusters"}),
    Stored(SampledGaussianMixture, Sampled, _check_sampled, _GROUPS),
    Stored(StarClusterFinder, Found, _check_found, {"c": "n_features_in_"}),
    Stored(TangleClustering, Tangled, _check_tangled, _GROUPS),
)
