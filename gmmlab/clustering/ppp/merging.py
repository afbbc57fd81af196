"""Leaves that are one group after all: a cut across a group, higher up, leaves parts of it on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.ppp.splits import Fitting, validated
from gmmlab.clustering.ppp.tree import Tree

Group = tuple[int, ...]  # the leaves that a group is made of


def merged(z: Float[Tensor, "n d"], tree: Tree, begin: Sequence[Group], fitting: Fitting) -> Iterator[list[Group]]:
    """The groups after each merge, of the pair that is least supported as two, while one Gaussian is supported more.

    Pairs are siblings and nearest neighbours, by distance of means. Every pair is fitted once.
    """
    groups = list(begin)
    gains: dict[tuple[Group, Group], float] = {}
    while len(groups) > 1:
        near = pairs(z, tree, groups)
        for a, b in near:
            if (a, b) not in gains:
                gains[a, b] = support(z, rows_of(tree, a), rows_of(tree, b), fitting)
        worst = min(near, key=lambda pair: gains[pair])
        if gains[worst] > 0:
            return
        a, b = worst
        groups = [tuple(sorted(a + b)) if group == a else group for group in groups if group != b]
        yield groups


def support(z: Float[Tensor, "n d"], a: Int[Tensor, "i"], b: Int[Tensor, "j"], fitting: Fitting) -> float:
    """BIC of one Gaussian less that of two, for the rows of two groups."""
    side = torch.arange(len(a) + len(b), device=a.device) >= len(a)
    return validated(z[torch.cat([a, b])], side, fitting).gain


def pairs(z: Float[Tensor, "n d"], tree: Tree, groups: list[Group]) -> list[tuple[Group, Group]]:
    """Groups that are siblings, or of which one is the nearest to the other; in the order of the groups."""
    centres = torch.stack([z[rows_of(tree, group)].mean(0) for group in groups])
    apart = torch.cdist(centres, centres).fill_diagonal_(torch.inf)
    found = {tuple(sorted((i, j))) for i, j in enumerate(apart.argmin(1).tolist())}
    parents = [tree.nodes[group[0]].parent if len(group) == 1 else None for group in groups]
    found |= {
        (i, j)
        for j, of_j in enumerate(parents)
        for i, of_i in enumerate(parents[:j])
        if of_i == of_j and of_j is not None
    }
    return [(groups[i], groups[j]) for i, j in sorted(found)]


def rows_of(tree: Tree, group: Group) -> Int[Tensor, "m"]:
    """The rows of the leaves of a group."""
    return torch.cat([tree.nodes[leaf].rows for leaf in group])
