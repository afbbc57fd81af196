"""The search: expectation maximisation with labelled rows clamped, then moves of the groups, and so on.

The full set of moves climbs: the best of all moves is made, if it gains, and the model is fitted again. The published
one (Zhao, Wen and Han, 2023) leaves known classes alone, makes every split that gains, then merges of what is left with
the nearest, each group in one move; moves that do not gain are made with the probability of a coin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.discovery.moves import Groups, Marginal, Move, merges, nearest, splits
from gmmlab.families import Gaussian, Prior, Structure
from gmmlab.fit import last, plateau, run, supervised
from gmmlab.gates import Constant
from gmmlab.init.kmeans import kmeans_plus_plus
from gmmlab.init.kmeans import nearest as nearest_centre
from gmmlab.model import Mixture
from gmmlab.steps import m_step

LLOYD = 20  # steps of the start
PATIENCE = 5  # sweeps without a move before a search with a coin ends

Coin = Callable[[float], float]  # from a gain below zero to the probability of the move


class Beliefs(NamedTuple):
    """What is believed of a group before its rows are seen: to integrate over, and to find the mode by."""

    structure: Structure
    marginal: Marginal
    mode: Callable[[int], Prior]  # of so many groups
    alpha: float


class Info(NamedTuple):
    """What a sweep found: log-likelihood per row, log p(z, x) of the groups before its moves, and the moves."""

    evidence: float
    score: float
    moves: tuple[Move, ...]  # that were made
    tried: tuple[Move, ...]  # that were looked at
    labels: Int[Tensor, "n"]  # the groups before the moves


class Sweep(NamedTuple):
    """One step of the search: its number, the model before its moves, and what it found."""

    i: int
    model: Mixture
    info: Info


class Told(NamedTuple):
    """Rows, the labels of some (-1: unknown), the number of classes that these are of, and how often rows count."""

    x: Float[Tensor, "n d"]
    labels: Int[Tensor, "n"]
    old: int
    weight: Float[Tensor, "n"] | None = None


class Search(NamedTuple):
    """How to search."""

    beliefs: Beliefs
    min_size: int
    max_sweeps: int
    moves: Callable[[Groups, int, Callable[[Move], bool]], tuple[list[Move], list[Move]]]
    coin: Coin
    tossed: bool  # whether the coin ever falls for a move that does not gain
    tol: float
    max_iter: int


def sweeps(rows: Told, z: Int[Tensor, "n"], search: Search, rng: torch.Generator) -> Iterator[Sweep]:
    """Sweeps from groups `z`, of which the first are the known classes.

    The coin is put away for the last quarter of the sweeps.
    """
    beliefs, quiet = search.beliefs, 0
    for i in range(1, search.max_sweeps + 1):
        tossing = search.tossed and i <= 0.75 * search.max_sweeps and quiet < PATIENCE
        model, z, evidence = fitted(rows, _compact(z, rows.old), search)
        groups = Groups(rows.x, z, rows.labels >= 0, rows.old, beliefs.marginal, beliefs.alpha, rows.weight)

        def agreed(move: Move, tossing: bool = tossing) -> bool:
            if move.gain > 0:
                return True
            return tossing and float(torch.rand((), generator=rng, device=rng.device)) < search.coin(move.gain)

        made, tried = search.moves(groups, search.min_size, agreed)
        score = float(groups.mass(groups.moments).sum())
        yield Sweep(i, model, Info(evidence, score, tuple(made), tuple(tried), z))
        quiet = 0 if made else quiet + 1
        if quiet >= (PATIENCE if search.tossed and tossing else 1):
            return
        z = made_of(z, made)


def full(groups: Groups, min_size: int, agreed: Callable[[Move], bool]) -> tuple[list[Move], list[Move]]:
    """The best of all moves, if it is agreed to; and all that were looked at."""
    tried = [*splits(groups, min_size, shed=True), *merges(groups, absorb=True)]
    best = max(tried, key=lambda move: move.gain, default=None)
    return ([best] if best is not None and agreed(best) else []), tried


def paper(groups: Groups, min_size: int, agreed: Callable[[Move], bool]) -> tuple[list[Move], list[Move]]:
    """All splits that are agreed to, then merges with the nearest, best first; a group takes part in one move."""
    tried = list(splits(groups, min_size, shed=False))
    made = [move for move in tried if agreed(move)]
    busy = {k for move in made for k in move.of}
    pairs = nearest(groups, merges(groups, absorb=False))
    for move in sorted(pairs, key=lambda move: -move.gain):
        if busy.isdisjoint(move.of) and agreed(move):
            made.append(move)
            busy.update(move.of)
    return made, tried + pairs


def made_of(z: Int[Tensor, "n"], moves: Iterable[Move]) -> Int[Tensor, "n"]:
    """Labels after moves that do not touch each other: splits first, then merges from the last group to the first."""
    moves = list(moves)
    for move in [move for move in moves if len(move.of) == 1]:
        z = move.after(z)
    for move in sorted((move for move in moves if len(move.of) == 2), key=lambda move: -move.of[1]):
        z = move.after(z)
    return z


def fitted(rows: Told, z: Int[Tensor, "n"], search: Search) -> tuple[Mixture, Int[Tensor, "n"], float]:
    """The mixture of groups after EM from them, the groups in which the rows then are, and log-likelihood per row."""
    x, labels, old, weight = rows
    k = max(old, int(z.max()) + 1)
    blank = template(x, k, search.beliefs)
    begin = m_step(blank, supervised(x, z, weight=weight)(blank))
    source = supervised(x, labels, weight=weight)
    step = last(islice(run(begin, source, stop=plateau(search.tol)), search.max_iter))
    posterior = source.posterior(step.model)
    z = posterior.resp.argmax(1)
    if bool((torch.bincount(z, minlength=k)[old:] == 0).any()):
        return fitted(rows, _compact(z, old), search)
    total = len(x) if weight is None else float(weight.sum())
    return step.model, z, float(posterior.evidence.sum(dtype=torch.float64)) / total


def template(x: Float[Tensor, "n d"], k: int, beliefs: Beliefs) -> Mixture:
    """A model of k groups before any rows are seen."""
    mean, d = x.double().mean(0), x.shape[1]
    cov = x.double().var() * torch.eye(d, dtype=torch.float64, device=x.device)
    gaussian = Gaussian.of(mean.expand(k, d), cov.expand(k, d, d), beliefs.structure, origin=x.mean(0))
    model = Mixture(gaussian, Constant.of(x.new_ones(k)))
    return model.relocated(prior=beliefs.mode(k))


def seeded(rows: Told, new: int, rng: torch.Generator) -> Int[Tensor, "n"]:
    """k-means in which labelled rows stay in their group: centres of the known classes, and new ones away from them."""
    x, labels, old, weight = rows
    y, w = x - x.mean(0), x.new_ones(len(x)) if weight is None else weight.to(x)
    told = labels >= 0
    known = _centres(y[told], labels[told], old, w[told])
    among = ~told if bool((~told).any()) else told
    free, beside = y[among], known if old else None
    drawn = kmeans_plus_plus(free, min(new, len(free)), rng, beside=beside, weight=None if weight is None else w[among])
    fresh = free[drawn]
    centres = torch.cat([known, fresh])
    z = labels
    for _ in range(LLOYD):
        moved = torch.where(told, labels, nearest_centre(y, centres)[0])
        if torch.equal(moved, z):
            break
        z = moved
        found = _centres(y, z, len(centres), w)
        centres = torch.where(torch.isfinite(found), found, centres)
    return _compact(z, old)


def mh(gain: float) -> float:
    """Metropolis and Hastings: the probability is the ratio itself."""
    return math.exp(min(gain, 0.0))


def _centres(y: Float[Tensor, "n d"], z: Int[Tensor, "n"], k: int, w: Float[Tensor, "n"]) -> Float[Tensor, "k d"]:
    total = y.new_zeros(k, y.shape[1]).index_add_(0, z, w[:, None] * y)
    return total / torch.bincount(z, w, minlength=k)[:, None].to(y)


def _compact(z: Int[Tensor, "n"], old: int) -> Int[Tensor, "n"]:
    """Labels without gaps: groups without rows go, unless they are known classes."""
    size = torch.bincount(z, minlength=old)
    kept = (size > 0) | (torch.arange(len(size), device=z.device) < old)
    return (kept.cumsum(0) - 1)[z]
