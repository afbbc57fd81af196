"""The tree of cuts: grown node by node, and cut again at other thresholds without a fit.

Statistics add: the moments of a node are the sum of those of its children, and the mixture of any set of leaves comes
from the moments that were kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.clustering.ppp.splits import Split
from gmmlab.stats import Moments


class Node(NamedTuple):
    """A set of rows, the best split of it that was found, and the nodes of its two sides where they were visited."""

    number: int
    parent: int | None
    depth: int
    rows: Int[Tensor, "m"]
    moments: Moments  # of the rows as they came, about the mean of all
    split: Split | None = None
    children: tuple[int, int] | None = None


class Tree(NamedTuple):
    """Nodes by their numbers; the first has all rows, and children come after their parents."""

    nodes: tuple[Node, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.nodes[0].rows)

    def ancestors(self, number: int) -> Iterator[Node]:
        """The way from a node up to the root, without the node."""
        while (parent := self.nodes[number].parent) is not None:
            number = parent
            yield self.nodes[number]


Accepts = Callable[[Split], bool]


def grow(
    moments: Callable[[Tensor], Moments],
    z: Float[Tensor, "n d"],
    best: Callable[[Tensor], Split | None],
    wanted: Accepts,
) -> Iterator[tuple[Tree, Node]]:
    """The tree after each node that is visited, breadth first, and that node.

    `moments` are those of some rows, given by number; `best` is the best split of rows, and a split that is `wanted` is
    carried out.
    """
    rows = torch.arange(len(z), device=z.device)
    nodes, queue = [Node(0, None, 0, rows, moments(rows))], deque([0])
    while queue:
        node = nodes[queue.popleft()]
        split = best(z[node.rows])
        node = node._replace(split=split)
        if split is not None and wanted(split):
            children = (len(nodes), len(nodes) + 1)
            queue.extend(children)
            for number, side in zip(children, (~split.side, split.side), strict=True):
                part = node.rows[side]
                nodes.append(Node(number, node.number, node.depth + 1, part, moments(part)))
            node = node._replace(children=children)
        nodes[node.number] = node
        yield Tree(tuple(nodes)), node


def cut(tree: Tree, accepts: Accepts) -> tuple[int, ...]:
    """The leaves, from left to right, of a tree in which the splits that are accepted are carried out.

    A split counts only if all above it are accepted. Nothing is fitted. Raises `ValueError` where a split is accepted
    whose sides were not visited when the tree was grown.
    """
    leaves, stack = [], [0]
    while stack:
        node = tree.nodes[stack.pop()]
        if node.split is None or not accepts(node.split):
            leaves.append(node.number)
        elif node.children is None:
            raise ValueError(
                f"The tree was not grown below node {node.number}, whose split is now accepted: the thresholds are "
                "lower than those it was grown with. Expected higher ones, or a tree grown with deep=True."
            )
        else:
            stack.extend(reversed(node.children))
    return tuple(leaves)


def inner(tree: Tree, leaves: tuple[int, ...]) -> tuple[Node, ...]:
    """The nodes above these leaves, whose splits made them."""
    above = {node.number for leaf in leaves for node in tree.ancestors(leaf)}
    return tuple(tree.nodes[number] for number in sorted(above))


def labels_of(groups: list[Int[Tensor, "_"]], n: int) -> Int[Tensor, "n"]:
    """The number of the group that each of n rows is in; the groups are to hold all rows."""
    labels = groups[0].new_empty(n)
    for number, rows in enumerate(groups):
        labels[rows] = number
    return labels


def separable(tree: Tree, leaves: tuple[int, ...], least: float) -> Bool[Tensor, "n"]:
    """Rows that every split above their leaf puts on a side with a responsibility of at least so much."""
    rows = tree.nodes[0].rows
    mask = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    for node in inner(tree, leaves):
        if node.split is not None:
            mask[node.rows[node.split.certainty < least]] = False
    return mask
