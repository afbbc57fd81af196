"""The tree of tangles: orientations of cuts, cheap ones first, that no three sides contradict.

A tangle of order k holds one side of every cut that costs less than k, so that any three of its sides have rows in
common (Robertson and Seymour, 1991; for rows of mixtures, Fluck, Kiefer and Standke, 2024). Of what rows show we ask
for `agreement` common rows, and of the cuts only for those that are given (Klepper and others, 2023; the search here is
our reconstruction of theirs). Sides are whole numbers, a bit for each row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor

SMALLEST = 2  # rows of a side: no single row is one


class Cuts(NamedTuple):
    """Cuts by what they cost, the cheapest first; `sides` has one of the two sides of each."""

    sides: Bool[Tensor, "m n"]
    orders: Float[Tensor, "m"]

    def below(self, order: float) -> Cuts:
        """The cuts that cost less."""
        cheap = self.orders < order
        return Cuts(self.sides[cheap], self.orders[cheap])


class Node(NamedTuple):
    """A tangle: which side it takes of the first cuts, and the order at which it splits (in two) or ends (in none).

    An order of infinity says that there was no cut that the tangle could not orient.
    """

    taken: tuple[bool, ...]
    order: float
    children: tuple[Node, ...] = ()

    def leaves(self) -> Iterator[Node]:
        """The tangles that do not split, from left to right."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def splits(self) -> Iterator[Node]:
        """The tangles that split, each before those it splits into."""
        if self.children:
            yield self
        for child in self.children:
            yield from child.splits()


def search(cuts: Cuts, agreement: int) -> Node:
    """The tree of all tangles of the given cuts.

    A side is taken if it has at least `agreement` rows (and two) in common with any two sides that were taken before.
    Sides that hold another one that was taken say nothing more, and are forgotten.
    """
    everyone = (1 << cuts.sides.shape[1]) - 1
    pairs = [(one, everyone ^ one) for one in _bits(cuts.sides)]
    return _grown(pairs, cuts.orders.tolist(), (), (), agreement)


def _bits(sides: Bool[Tensor, "m n"]) -> list[int]:
    """Sets of rows as whole numbers, the first row in the highest bit."""
    return [int("".join("1" if inside else "0" for inside in side), 2) for side in sides.tolist()]


def _grown(
    pairs: list[tuple[int, int]],
    orders: list[float],
    taken: tuple[bool, ...],
    least: tuple[int, ...],
    agreement: int,
) -> Node:
    """The tree below the tangle that has oriented some first cuts; `least` are its sides that hold no other."""
    for i in range(len(taken), len(pairs)):
        one, other = (_with(side, least, agreement) for side in pairs[i])
        if one is not None and other is not None:
            ways = ((True, one), (False, other))
            children = tuple(_grown(pairs, orders, (*taken, way), sides, agreement) for way, sides in ways)
            return Node(taken, orders[i], children)
        if one is None and other is None:
            return Node(taken, orders[i])
        taken, least = (*taken, one is not None), one if one is not None else other  # type: ignore[assignment]
    return Node(taken, math.inf)


def _with(side: int, least: tuple[int, ...], agreement: int) -> tuple[int, ...] | None:
    """The least sides once `side` is taken too; None if it agrees with two of them on too few rows."""
    if side.bit_count() < max(agreement, SMALLEST):
        return None
    if any(held & ~side == 0 for held in least):
        return least  # what it holds has passed with all others
    shared = [side & held for held in least]
    if min((part.bit_count() for part in shared), default=agreement) < agreement:
        return None
    for i, part in enumerate(shared):
        for held in least[:i]:
            if (part & held).bit_count() < agreement:
                return None
    return (*(held for held in least if side & ~held), side)


def persistence(leaf: Node, split: Node) -> float:
    """How many times the order at which it came apart a tangle lasts."""
    return leaf.order / split.order if split.order > 0 else math.inf


def pruned(root: Node, lasting: float, most: int | None = None) -> Node:
    """The tree without tangles that end before `lasting` times the order at which they came apart.

    The one that lasts least goes first, and its sibling takes the place of both; and so on until there are at most
    `most`. Ours, after the persistence of topological data analysis.
    """
    while root.children:
        ends = [(persistence(leaf, split), i, leaf) for i, (split, leaf) in enumerate(_ends(root))]
        worst, _, leaf = min(ends)
        if worst >= lasting and (most is None or len(list(root.leaves())) <= most):
            break
        root = _without(root, leaf)
    return root


def _ends(node: Node) -> Iterator[tuple[Node, Node]]:
    """Every split with each child of it that does not split."""
    for split in node.splits():
        for child in split.children:
            if not child.children:
                yield split, child


def _without(node: Node, leaf: Node) -> Node:
    if not node.children:
        return node
    if any(child is leaf for child in node.children):
        return next(child for child in node.children if child is not leaf)
    return node._replace(children=tuple(_without(child, leaf) for child in node.children))


def distinguishing(split: Node) -> tuple[list[int], list[bool]]:
    """The cuts on whose one side are all tangles on the left of a split, and all on the right on the other.

    And the side on which the left ones are.
    """
    left, right = (list(child.leaves()) for child in split.children)
    first = left[0].taken
    shared = min(len(leaf.taken) for leaf in (*left, *right))
    found = [
        i
        for i in range(shared)
        if all(leaf.taken[i] == first[i] for leaf in left) and all(leaf.taken[i] != first[i] for leaf in right)
    ]
    return found, [first[i] for i in found]


def memberships(root: Node, cuts: Cuts) -> Float[Tensor, "n k"]:
    """How much each row belongs to each leaf of the tree.

    At each split a row goes left as far as the distinguishing cuts have it on that side. The one that split is the
    cheapest and counts most, another one exp(1 - kappa / kappa of that one) times as much; shares multiply down the
    tree. So a cheap cut parts rows hardly, and units do not matter. (Ours; those of Klepper and others fall with kappa,
    too.)
    """
    return torch.stack(_shares(root, cuts, cuts.orders.new_ones(cuts.sides.shape[1])), dim=1)


def _shares(node: Node, cuts: Cuts, share: Float[Tensor, "n"]) -> list[Tensor]:
    if not node.children:
        return [share]
    which, way = distinguishing(node)
    weights = _weights(cuts.orders[which], node.order)
    sides = cuts.sides[which] == torch.tensor(way, device=cuts.sides.device)[:, None]
    left = (weights @ sides.double() / weights.sum()).clamp(max=1)
    return [
        part
        for child, goes in zip(node.children, (left, 1 - left), strict=True)
        for part in _shares(child, cuts, share * goes)
    ]


def _weights(orders: Float[Tensor, "m"], cheapest: float) -> Float[Tensor, "m"]:
    """What distinguishing cuts count, against the cheapest; of those that cost nothing, only others like it count."""
    return torch.exp(1 - orders / cheapest) if cheapest > 0 else (orders == 0).double()


def stages(root: Node) -> Iterator[tuple[float, list[list[int]]]]:
    """The orders at which the tree splits, rising, and the leaves that each tangle alive then will end in."""
    for order in sorted({split.order for split in root.splits()}):
        numbers = iter(range(len(list(root.leaves()))))
        yield order, [[next(numbers) for _ in node.leaves()] for node in _alive(root, order)]


def _alive(node: Node, order: float) -> Iterator[Node]:
    if not node.children or node.order > order:
        yield node
    else:
        for child in node.children:
            yield from _alive(child, order)
