"""From a relaxed point back to a partition."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gmmlab.algebra.directions import principal
from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.sdp.affinities import Affinities
from gmmlab.clustering.sdp.relaxed import memberships
from gmmlab.errors import BadData
from gmmlab.init import kmeans, one_hot
from gmmlab.score.agreement import match_table

STARTS = 10  # of k-means on the leading eigenvectors
Rounding = Callable[[Affinities, Tensor, Tensor, torch.Generator], Tensor]


def spectral(
    a: Affinities, u: Float[Tensor, "k n r"], x: Float[Tensor, "n d"], rng: torch.Generator
) -> Int[Tensor, "n"]:
    """k-means on the leading eigenvectors of sum_k Z_k D, its groups then given to the blocks that they overlap most.

    This works in the symmetric case too, where all Z_k are the same. A group without enough rows is made anew.
    """
    k = a.clusters
    z = u.transpose(0, 1).reshape(a.n, -1)
    vectors = torch.linalg.svd(z, full_matrices=False).U[:, :k] / a.root[:, None]
    weight = a.root.square()
    tries = [kmeans(vectors, k, rng, weight=weight) for _ in range(STARTS)]
    labels = min(tries, key=lambda labels: _within(vectors, weight, labels, k))
    return filled(matched(labels, a, u) if a.trace == 1 else labels, x, k)


def largest(
    a: Affinities,
    u: Float[Tensor, "k n r"],
    x: Float[Tensor, "n d"],
    rng: torch.Generator,  # noqa: ARG001 - nothing is drawn
) -> Int[Tensor, "n"]:
    """Each row to the block that it is in most. Raises `ValueError` where one block holds all groups."""
    if a.trace > 1:
        raise ValueError("Rows are rounded to their largest membership where groups have blocks of their own.")
    return filled(memberships(u, a.root).argmax(0), x, a.clusters)


def best(a: Affinities, u: Float[Tensor, "k n r"], x: Float[Tensor, "n d"], rng: torch.Generator) -> Int[Tensor, "n"]:
    """The better of the two by the objective that was relaxed."""
    found = [round_(a, u, x, rng) for round_ in ((spectral, largest) if a.trace == 1 else (spectral,))]
    return max(found, key=a.of_labels)


def matched(labels: Int[Tensor, "n"], a: Affinities, u: Float[Tensor, "k n r"]) -> Int[Tensor, "n"]:
    """Labels renumbered so that groups overlap the blocks of their number most, in all."""
    return match_table(memberships(u, a.root) * a.root.square() @ one_hot(labels, a.clusters, u.dtype))[labels]


def filled(labels: Int[Tensor, "n"], x: Float[Tensor, "n d"], k: int, least: int = 2) -> Int[Tensor, "n"]:
    """The same partition, but groups with fewer than `least` rows get some of the largest, up to half of it.

    Raises `BadData` where there are not enough rows for all groups.
    """
    check_enough(len(labels), k, least)
    labels = labels.clone()
    while bool(((counts := torch.bincount(labels, minlength=k)) < least).any()):
        rows = (labels == counts.argmax()).nonzero().flatten()
        labels[rows[outermost(x[rows], min(len(rows) // 2, len(rows) - least))]] = counts.argmin()
    return labels


def check_enough(n: int, k: int, least: int = 2) -> None:
    """Raises `BadData` where n rows cannot be k groups with `least` rows each."""
    if n < least * k:
        raise BadData(f"{n} rows that count cannot be {k} groups; expected at least {least} rows a group.")


def outermost(x: Float[Tensor, "n d"], count: int) -> Int[Tensor, "c"]:
    """So many rows from one end of the principal axis."""
    return (x @ principal(x)[0].to(x)).argsort(stable=True)[len(x) - count :]


def _within(z: Float[Tensor, "n d"], weight: Float[Tensor, "n"], labels: Int[Tensor, "n"], k: int) -> float:
    """Sum of squares within groups, by weight."""
    one = one_hot(labels, k, z.dtype) * weight[:, None]
    means = (one.T @ z) / one.sum(0)[:, None]
    return float(weight @ (z - means[labels]).square().sum(1))


ROUNDINGS: dict[str, Rounding] = {"best": best, "spectral": spectral, "argmax": largest}
