"""The spanning tree of points in a plane, where it is cut, and the groups that are left.

Cutting all edges that are longer than some length leaves the groups of single linkage at that height (Gower and Ross,
1969).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import BadData

Rule = Callable[[Tensor], float]  # from the lengths of edges, ascending, to the longest that is kept


class Tree(NamedTuple):
    """The n - 1 edges of a tree over n points, shortest first: which points they join, and how far these are apart."""

    pairs: Int[Tensor, "m 2"]
    lengths: Float[Tensor, "m"]


def spanning_tree(points: Float[Tensor, "n 2"]) -> Tree:
    """The tree of least total length through all points, which may coincide.

    Its edges are among those of the Delaunay triangulation, so that n log n operations find it. Of equally long edges
    one is taken. Raises `BadData` for points that all lie on a line.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    n = len(points)
    pairs = _neighbours(points)
    apart = (points[pairs[:, 0]] - points[pairs[:, 1]]).norm(dim=1)
    order = apart.argsort(stable=True)
    pairs, apart = pairs[order], apart[order]
    # scipy takes weights of zero for missing edges; ranks give the same tree
    rank = np.arange(1.0, len(pairs) + 1)
    tree = minimum_spanning_tree(coo_array((rank, pairs.numpy().T), shape=(n, n)).tocsr())
    kept = torch.from_numpy(np.sort(tree.data).astype(np.int64)) - 1
    return Tree(pairs[kept], apart[kept])


def _neighbours(points: Float[Tensor, "n 2"]) -> Int[Tensor, "m 2"]:
    """Edges of the Delaunay triangulation, each once, smaller number first; points left out of it join their twins."""
    from scipy.spatial import Delaunay, QhullError

    try:
        net = Delaunay(points.numpy())
    except QhullError as error:
        raise BadData(
            f"The {len(points)} places have no triangulation; expected places that do not all lie on one line."
        ) from error
    edges = np.concatenate([net.simplices[:, [0, 1]], net.simplices[:, [1, 2]], net.simplices[:, [0, 2]]])
    twins = net.coplanar[:, [0, 2]]  # a point that coincides with a vertex, and that vertex
    return torch.from_numpy(np.unique(np.sort(np.concatenate([edges, twins]), axis=1), axis=0).astype(np.int64))


def two_sigma(lengths: Float[Tensor, "m"]) -> float:
    """Mean + 2 standard deviations of the lengths."""
    return float(lengths.mean() + 2 * lengths.std(correction=0))


def knee(lengths: Float[Tensor, "m"]) -> float:
    """Where the curve of ascending lengths bends most: farthest below the chord from its first point to its last.

    Satopaa, Albrecht, Irwin and Raghavan (2011).
    """
    place = torch.linspace(0, 1, len(lengths), dtype=lengths.dtype, device=lengths.device)
    reach = float(lengths[-1] - lengths[0])
    return float(lengths[(place * reach - (lengths - lengths[0])).argmax()])


def two_lines(lengths: Float[Tensor, "m"]) -> float:
    """Where two straight lines, fitted by least squares to the left and right of a break, leave the smallest error.

    All breaks with at least two points on either side are tried.
    """
    if len(lengths) < 4:
        return float(lengths[-1])
    place = torch.arange(len(lengths), dtype=lengths.dtype, device=lengths.device)
    left = _errors_of_heads(place, lengths)
    right = _errors_of_heads(place.flip(0), lengths.flip(0)).flip(0)
    return float(lengths[1 + int((left[1:-2] + right[2:-1]).argmin())])


def _errors_of_heads(x: Float[Tensor, "m"], y: Float[Tensor, "m"]) -> Float[Tensor, "m"]:
    """Squared error of the straight line through the first 1, 2, ... points."""
    x, y = x - x.mean(), y - y.mean()
    n = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)
    sx, sy = x.cumsum(0) / n, y.cumsum(0) / n
    xx, xy, yy = ((a * b).cumsum(0) - n * c * e for a, b, c, e in ((x, x, sx, sx), (x, y, sx, sy), (y, y, sy, sy)))
    return (yy - xy.square() / xx.clamp(min=1e-300)).clamp(min=0)


RULES: dict[str, Rule] = {"sigma2": two_sigma, "knee": knee, "two_lines": two_lines}


def groups(tree: Tree, longest: float = math.inf) -> Int[Tensor, "n"]:
    """The parts that are left of a tree without its edges longer than `longest`, the largest first.

    Of equally large parts the one with the first point comes first.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    kept = tree.pairs[tree.lengths <= longest].numpy()
    n = len(tree.pairs) + 1
    _, part = connected_components(coo_array((np.ones(len(kept)), kept.T), shape=(n, n)), directed=False)
    first, size = (np.unique(part, return_index=True)[1], np.bincount(part))
    place = np.empty(len(size), dtype=np.int64)
    place[np.lexsort((first, -size))] = np.arange(len(size))
    return torch.from_numpy(place[part])


def kept(tree: Tree, longest: float, at_least: int | None = None) -> Bool[Tensor, "n"]:
    """Points of the largest part, and of all others with `at_least` so many."""
    part = groups(tree, longest)
    size = torch.bincount(part)
    chosen = torch.arange(len(size)) == 0
    if at_least is not None:
        chosen |= size >= at_least
    return chosen[part]
