"""A certificate that groups of rows are different tangles of a graph.

Let X_i be m rows of group i, its core, and lambda the second eigenvalue of the Laplacian of the graph on them. A set
that has t of these rows costs at least lambda t (m - t) / m. So with t_0 the least whole number that is not below
m / 3, every set that costs less than

    k_i = lambda t_0 (m - t_0) / m  >=  (2 / 9) lambda m

has fewer than t_0 rows of the core on one side. Three such small sides cannot cover the core, so that the sides which
hold most of it are a tangle of order k_i: the tangle of that group. Two groups are apart if a set that costs less than
the orders of both holds most of the one core and little of the other. The bound is sufficient, not necessary, and is
ours: the article (Fluck, Kiefer and Standke, 2024) has asymptotic statements with other constants.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.clustering.tangles.graph import Graph, connectivity, gaussian_graph, laplacian, typical_distance
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.model import Mixture

SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)  # of a group, that are tried as its core
CAPACITY = 2**30  # whole numbers in which the flow is found: all weights together


class Certificate(NamedTuple):
    """What is certain of k groups.

    `orders[i]` is the order up to which group i is a tangle, `cuts[i, j]` what the cheapest cut between two of them
    costs (infinite for i = j), `sides[i, j]` the rows on the side of i of it, and `cores[i]` the rows of the core.
    """

    orders: Float[Tensor, "k"]
    cuts: Float[Tensor, "k k"]
    sides: Bool[Tensor, "k k n"]
    cores: Bool[Tensor, "k n"]
    scale: float

    @property
    def separable(self) -> Bool[Tensor, "k k"]:
        """Whether two groups are certified to be different tangles. False says that this is not known."""
        return self.cuts < torch.minimum(self.orders[:, None], self.orders)


class Simulated(NamedTuple):
    """Certificates of samples of a mixture."""

    certificates: tuple[Certificate, ...]

    @property
    def separable(self) -> Float[Tensor, "k k"]:
        """The share of samples in which two components are certified to be apart."""
        return torch.stack([one.separable for one in self.certificates]).double().mean(0)


def tangle_certificate(
    X: object, groups: object, scale: float | None = None, graph: Graph = gaussian_graph
) -> Certificate:
    """Which groups of rows are certainly different tangles; `groups` has a label for each row, -1 for none.

    The scale of the graph is in the units of `X`, by default the median distance to the tenth neighbour. Cores are the
    rows of highest degree within the group, of the share that gives the highest order. Raises `BadData` for fewer than
    two groups, for a group of fewer than two rows and for a scale that is not positive.
    """
    x = as_rows(X, min_rows=2).x
    labels = _labels(groups, len(x)).to(x.device)
    scale = typical_distance(x) if scale is None else float(scale)
    if not 0 < scale < math.inf:
        raise BadData(f"scale is {scale}; expected a positive distance in the units of the rows.")
    w = graph(x, scale)
    cores = [_core(w, rows) for rows in _members(labels)]
    k, n = len(cores), len(x)
    orders = torch.tensor([core.order for core in cores], dtype=torch.float64)
    cuts = torch.full((k, k), math.inf, dtype=torch.float64)
    sides = torch.zeros(k, k, n, dtype=torch.bool)
    for i in range(k):
        for j in range(i):
            side = between(w, cores[i], cores[j]).cpu()
            sides[i, j], sides[j, i] = side, ~side
            cuts[i, j] = cuts[j, i] = float(connectivity(w, side[None].to(w.device)))
    rows = torch.zeros(k, n, dtype=torch.bool)
    for i, core in enumerate(cores):
        rows[i, core.rows.cpu()] = True
    return Certificate(orders, cuts, sides, rows, scale)


def component_certificate(
    mixture: Mixture,
    n: int,
    rng: torch.Generator,
    *,
    scale: float | None = None,
    graph: Graph = gaussian_graph,
    repeats: int = 1,
) -> Simulated:
    """Which components of a mixture are certainly different tangles in samples of `n` rows, `repeats` of them.

    Raises `BadData` where a component has fewer than two rows in a sample.
    """
    found = []
    for _ in range(repeats):
        x, z = mixture.sample(n, rng)
        counts = torch.bincount(z[z >= 0], minlength=mixture.k)
        if int(counts.min()) < 2:
            few = int(counts.argmin())
            raise BadData(
                f"Component {few} has {int(counts[few])} of {n} sampled rows; expected at least 2. Sample more rows."
            )
        found.append(tangle_certificate(x, z, scale, graph))
    return Simulated(tuple(found))


class Core(NamedTuple):
    """Rows of a core in falling order of degree, and the order up to which it is certainly a tangle."""

    rows: Int[Tensor, "m"]
    order: float

    @property
    def inner(self) -> Int[Tensor, "m"]:
        """So many of its rows that a set that holds them is on the tangle's side."""
        m = len(self.rows)
        return self.rows[: m - _third(m) + 1]


def _third(m: int) -> int:
    return -(-m // 3)


def _core(w: Float[Tensor, "n n"], members: Int[Tensor, "m"]) -> Core:
    """The core of a group that is certain up to the highest order."""
    ranked = members[w[members][:, members].sum(1).argsort(descending=True, stable=True)]
    sizes = sorted({max(2, math.ceil(share * len(members))) for share in SHARES})
    return max((_certified(w, ranked[:size]) for size in sizes), key=lambda core: core.order)


def _certified(w: Float[Tensor, "n n"], rows: Int[Tensor, "m"]) -> Core:
    from scipy.linalg import eigvalsh

    m = len(rows)
    matrix = laplacian(w[rows][:, rows]).cpu().numpy()
    second = max(float(eigvalsh(matrix, subset_by_index=[1, 1])[0]), 0.0)
    return Core(rows, second * _third(m) * (m - _third(m)) / m)


def between(w: Float[Tensor, "n n"], one: Core, other: Core) -> Bool[Tensor, "n"]:
    """A cheap set on the side of one tangle and not on that of the other.

    The cheaper one of two: the cheapest that holds all inner rows of the one and none of the other, and the best sweep.
    Either may be undercut by a set that nobody looked at, so that no pair is called apart that is not.
    """
    found = [cheapest_cut(w, one.inner, other.inner), *sweep_cut(w, one, other)]
    return found[int(connectivity(w, torch.stack(found)).argmin())]


def sweep_cut(w: Float[Tensor, "n n"], one: Core, other: Core) -> list[Tensor]:
    """The cheapest set of rows that are tied to one core more than to the other, by more than some number.

    An empty list where none of them tells the tangles apart. A row that joins a set S changes kappa by its degree less
    twice what ties it to S.
    """
    tie = w[:, one.rows].mean(1) - w[:, other.rows].mean(1)
    order = tie.argsort(descending=True, stable=True)
    sorted_w = w[order][:, order]
    costs = (sorted_w.sum(1) - 2 * sorted_w.tril().sum(1)).cumsum(0)
    held = [torch.isin(order, core.rows).cumsum(0) for core in (one, other)]
    apart = (held[0] >= len(one.inner)) & (held[1] <= len(other.rows) - len(other.inner))
    if not bool(apart.any()):
        return []
    side = torch.zeros(len(w), dtype=torch.bool, device=w.device)
    side[order[: int(torch.where(apart, costs, torch.inf).argmin()) + 1]] = True
    return [side]


def cheapest_cut(w: Float[Tensor, "n n"], one: Int[Tensor, "a"], other: Int[Tensor, "b"]) -> Bool[Tensor, "n"]:
    """A cheapest set that holds all rows `one` and none of `other`, by maximum flow between the two, contracted.

    Weights are rounded to whole numbers, 2^30 for all together, for the flow: the set may cost more than the cheapest
    by a billionth of all weights for each edge that it cuts.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    node = torch.arange(2, 2 + len(w), device=w.device)
    node[one], node[other] = 0, 1
    names, node = node.unique(return_inverse=True)
    k = len(names)
    rows = w.new_zeros(k, len(w)).index_add_(0, node, w)
    small = w.new_zeros(k, k).index_add_(1, node, rows).fill_diagonal_(0)
    total = float(small.sum())
    capacity = (small * (CAPACITY / total if total > 0 else 1.0)).round().cpu().numpy().astype(np.int32)
    arcs = csr_array(capacity)
    left = arcs - maximum_flow(arcs, 0, 1).flow
    left.eliminate_zeros()
    reached = breadth_first_order(left, 0, return_predecessors=False)
    inside = torch.zeros(k, dtype=torch.bool)
    inside[torch.from_numpy(reached).long()] = True
    return inside.to(w.device)[node]


def _labels(groups: object, n: int) -> Int[Tensor, "n"]:
    values = groups.cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
    if values.shape != (n,):
        raise BadData(f"groups has the shape {values.shape}; expected a label for each of {n} rows, ({n},).")
    missing = np.array([value == -1 for value in values.tolist()])
    numbers = np.full(n, -1)
    numbers[~missing] = np.unique(values[~missing], return_inverse=True)[1]
    return torch.from_numpy(numbers)


def _members(labels: Int[Tensor, "n"]) -> list[Tensor]:
    members = [(labels == i).nonzero().flatten() for i in range(int(labels.max()) + 1)]
    if len(members) < 2 or min(map(len, members)) < 2:
        sizes = [len(rows) for rows in members]
        raise BadData(f"groups has groups of {sizes} rows; expected at least two groups, each of at least two rows.")
    return members
