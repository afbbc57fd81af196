"""What is known about the labels of rows: some of them, and which rows are alike or unlike.

Links are brought to the least that says the same. Rows that must be alike become a chunklet; a chunklet with a label
gives it to all its rows; a cannot-link to a labelled row rules a label out. What is left are chunklets without a label,
and links between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Int, Tensor
from gmmlab.errors import BadData
from gmmlab.kernels.links import Web, connected, woven

Pairs = Sequence[Sequence[int]] | Int[Tensor, "_ 2"]


class Net(NamedTuple):
    """Chunklets that are linked in the same way: those of row i of `chunklets` by the edges of `web`."""

    web: Web
    chunklets: Int[Tensor, "b s"]


class Known(NamedTuple):
    """Labels (-1: unknown), the chunklets of rows without a label, what is ruled out for them, and their links."""

    labels: Int[Tensor, "n"]
    rows: Int[Tensor, "m"]  # those of chunklets without a label
    chunklet: Int[Tensor, "m"]  # of each of these rows
    ruled_out: Int[Tensor, "r 2"]  # chunklet and label
    nets: tuple[Net, ...]  # each chunklet is in one

    @property
    def of(self) -> list[list[int]]:
        """The rows of each chunklet."""
        members = defaultdict[int, list[int]](list)
        for row, chunklet in zip(self.rows.tolist(), self.chunklet.tolist(), strict=True):
            members[chunklet].append(row)
        return [members[c] for c in range(len(members))]


def known(n: int, labels: Int[Tensor, "_"] | None = None, must: Pairs = (), cannot: Pairs = ()) -> Known:
    """What labels of n rows (-1: unknown) and links between pairs of rows say together.

    Raises `BadData` where they contradict each other, or name rows that are not there.
    """
    labels = _checked(labels, n)
    chunklets = _joined(_pairs(must, n, "must"))
    for rows in chunklets:
        _share_label(labels, rows)
    unlike = _pairs(cannot, n, "cannot")
    loose = sorted({row for pair in unlike for row in pair} - {row for rows in chunklets for row in rows})
    chunklets += [[row] for row in loose]
    of = {row: rows[0] for rows in chunklets for row in rows}  # a chunklet is known by its first row
    edges, ruled_out = set[tuple[int, int]](), set[tuple[int, int]]()
    for i, j in unlike:
        a, b, of_a, of_b = of[i], of[j], int(labels[i]), int(labels[j])
        if a == b:
            raise BadData(_contradiction(i, j, "must-links make them alike"))
        if of_a == of_b >= 0:
            raise BadData(_contradiction(i, j, f"both have the label {of_a}"))
        if of_a < 0 and of_b < 0:
            edges.add((min(a, b), max(a, b)))
        elif of_a < 0 or of_b < 0:
            ruled_out.add((a, of_b) if of_a < 0 else (b, of_a))
    bound = {row for edge in edges for row in edge} | {a for a, _ in ruled_out}
    free = [rows for rows in chunklets if int(labels[rows[0]]) < 0 and (len(rows) > 1 or rows[0] in bound)]
    number = {rows[0]: c for c, rows in enumerate(free)}
    return Known(
        labels,
        torch.tensor([row for rows in free for row in rows], dtype=torch.int64),
        torch.tensor([c for c, rows in enumerate(free) for _ in rows], dtype=torch.int64),
        torch.tensor(sorted((number[a], label) for a, label in ruled_out), dtype=torch.int64).reshape(-1, 2),
        _nets([(number[a], number[b]) for a, b in sorted(edges)], len(free)),
    )


def _nets(edges: Sequence[tuple[int, int]], n: int) -> tuple[Net, ...]:
    """The webs of all chunklets, those of one kind together: they are summed in one go."""
    kinds = defaultdict[Web, list[list[int]]](list)
    for web, order in woven(edges, range(n)):
        kinds[web].append(order)
    return tuple(Net(web, torch.tensor(orders)) for web, orders in kinds.items())


def _checked(labels: Int[Tensor, "_"] | None, n: int) -> Int[Tensor, "n"]:
    if labels is None:
        return torch.full((n,), -1)
    if labels.shape != (n,) or labels.is_floating_point():
        raise BadData(
            f"The labels are {labels.dtype} of shape {tuple(labels.shape)}; expected a whole number for each of {n} "
            "rows: that of its component, or -1 where it is unknown."
        )
    labels = labels.long().cpu().clone()
    if bool((labels < -1).any()):
        row = int((labels < -1).nonzero()[0])
        raise BadData(f"Row {row} has the label {int(labels[row])}; expected a component, or -1 for unknown.")
    return labels


def _pairs(pairs: Pairs, n: int, name: str) -> list[tuple[int, int]]:
    listed = pairs.tolist() if isinstance(pairs, Tensor) else list(pairs)
    for pair in listed:
        if len(pair) != 2 or not all(0 <= row < n for row in pair):
            raise BadData(f"A {name}-link is {tuple(pair)}; expected two rows, numbered 0 to {n - 1}.")
    return [(int(i), int(j)) for i, j in listed]


def _joined(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The rows that chains of links bring together, each list in rising order."""
    return sorted(sorted(rows) for rows in connected((i, j) for i, j in pairs if i != j))


def _share_label(labels: Int[Tensor, "n"], rows: list[int]) -> None:
    known = {int(labels[row]): row for row in rows if int(labels[row]) >= 0}
    if len(known) > 1:
        (a, i), (b, j) = sorted(known.items())[:2]
        raise BadData(
            f"Row {i} has the label {a} and row {j} the label {b}, but must-links make them alike; expected one label "
            "in all. Take a label or a link back."
        )
    for label in known:
        labels[rows] = label


def _contradiction(i: int, j: int, why: str) -> str:
    return f"A cannot-link says that rows {i} and {j} are unlike, but {why}. Take one of them back."
