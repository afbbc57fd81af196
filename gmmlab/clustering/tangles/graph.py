"""Similarity graphs of rows, as matrices of weights (n, n) with zeros on the diagonal, and what cuts of them cost."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gmmlab.axes import Bool, Float, Tensor

NEIGHBOURS = 10  # whose distance is the default scale
Graph = Callable[[Tensor, float], Tensor]


def gaussian_graph(x: Float[Tensor, "n d"], scale: float) -> Float[Tensor, "n n"]:
    """The complete graph with weights exp(-|x_i - x_j|^2 / (2 scale^2))."""
    return torch.exp(-_distances(x).square() / (2 * scale**2)).fill_diagonal_(0)


def neighbourhood_graph(x: Float[Tensor, "n d"], scale: float) -> Float[Tensor, "n n"]:
    """An edge of weight one between rows that are at most `scale` apart."""
    return (_distances(x) <= scale).double().fill_diagonal_(0)


def typical_distance(x: Float[Tensor, "n d"], neighbours: int = NEIGHBOURS) -> float:
    """The median over rows of the distance to their nearest neighbour of that number; 1 where all rows are the same."""
    nearest = _distances(x).topk(min(neighbours + 1, len(x)), largest=False).values[:, -1]
    positive = nearest[nearest > 0]
    return float(positive.median()) if len(positive) else 1.0


def connectivity(w: Float[Tensor, "n n"], sides: Bool[Tensor, "m n"]) -> Float[Tensor, "m"]:
    """kappa(S), the weight between a set of rows and all others: symmetric and submodular."""
    inside = sides.to(w)
    return ((inside @ w) * (1 - inside)).sum(1)


def laplacian(w: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Degrees less weights: s' L s is the cost of the set whose indicator is s."""
    return torch.diag(w.sum(1)) - w


def parts(w: Float[Tensor, "n n"]) -> int:
    """How many connected parts a graph has."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(csr_array((w > 0).cpu().numpy()), directed=False, return_labels=False))


def _distances(x: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    y = (x - x.mean(0)).double()
    return torch.cdist(y, y, compute_mode="donot_use_mm_for_euclid_dist")
