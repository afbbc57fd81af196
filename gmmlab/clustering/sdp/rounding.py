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
    """k-means on the leading eigenvectors of sum_k Z_k, its groups then given to the blocks that they overlap most.

    This works in the symmetric case too, where all Z_k are the same. A group without enough rows is made anew.
    """
    k = a.clusters
    z = u.transpose(0, 1).reshape(a.n, -1)
    vectors = torch.linalg.svd(z, full_matrices=False).U[:, :k]
    tries = [kmeans(vectors, k, rng) for _ in range(STARTS)]
    labels = min(tries, key=lambda labels: _within(vectors, labels, k))
    return filled(matched(labels, u, k) if a.trace == 1 else labels, x, k)


def largest(
    a: Affinities,
    u: Float[Tensor, "k n r"],
    x: Float[Tensor, "n d"],
    rng: torch.Generator,  # noqa: ARG001 - nothing is drawn
) -> Int[Tensor, "n"]:
    """Each row to the block that it is in most. Raises `ValueError` where one block holds all groups."""
    if a.trace > 1:
        raise ValueError("Rows are rounded to their largest membership where groups have blocks of their own.")
    return filled(memberships(u).argmax(0), x, a.clusters)


def best(a: Affinities, u: Float[Tensor, "k n r"], x: Float[Tensor, "n d"], rng: torch.Generator) -> Int[Tensor, "n"]:
    """The better of the two by the objective that was relaxed."""
    found = [round_(a, u, x, rng) for round_ in ((spectral, largest) if a.trace == 1 else (spectral,))]
    return max(found, key=a.of_labels)


def matched(labels: Int[Tensor, "n"], u: Float[Tensor, "k n r"], k: int) -> Int[Tensor, "n"]:
    """Labels renumbered so that groups overlap the blocks of their number most, in all."""
    return match_table(memberships(u) @ one_hot(labels, k, u.dtype))[labels]


def filled(labels: Int[Tensor, "n"], x: Float[Tensor, "n d"], k: int, least: int = 2) -> Int[Tensor, "n"]:
    """The same partition, but groups with fewer than `least` rows get some of the largest, up to half of it.

    Raises `BadData` where there are not enough rows for all groups.
    """
    if len(labels) < least * k:
        raise BadData(f"{len(labels)} rows cannot be {k} groups; expected at least {least} rows a group.")
    labels = labels.clone()
    while bool(((counts := torch.bincount(labels, minlength=k)) < least).any()):
        rows = (labels == counts.argmax()).nonzero().flatten()
        labels[rows[outermost(x[rows], min(len(rows) // 2, len(rows) - least))]] = counts.argmin()
    return labels


def outermost(x: Float[Tensor, "n d"], count: int) -> Int[Tensor, "c"]:
    """So many rows from one end of the principal axis."""
    return (x @ principal(x)[0].to(x)).argsort(stable=True)[len(x) - count :]


def _within(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"], k: int) -> float:
    """Sum of squares within groups."""
    one = one_hot(labels, k, z.dtype)
    sums = one.T @ z
    return float(z.square().sum() - (sums.square().sum(1) / one.sum(0).clamp(min=1)).sum())


ROUNDINGS: dict[str, Rounding] = {"best": best, "spectral": spectral, "argmax": largest}
