"""Points of the relaxation, as its solvers give them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gmmlab.axes import Float, Tensor
from gmmlab.clustering.sdp.affinities import Affinities


class Relaxed(NamedTuple):
    """How far a solver has come: D^1/2 Z_k D^1/2 = u_k u_k', with D the weights of rows, and what is known about it.

    `bound` is an upper bound of the optimum, and so of every partition's objective, that holds however far the solver
    is; infinite where a solver gives none. `residual` is how far the constraints are from met, relative to their size.
    """

    u: Float[Tensor, "k n r"]
    value: float
    residual: float
    rounds: int
    bound: float = math.inf


Solver = Callable[[Affinities, Tensor], Iterator[Relaxed]]  # from a factor, better and better points


def memberships(u: Float[Tensor, "k n r"], root: Float[Tensor, "n"]) -> Float[Tensor, "k n"]:
    """Z_k w: how much each row is in each block; over the blocks they sum to one. `root` is that of the weights w."""
    return (u @ (root @ u)[:, :, None]).squeeze(-1) / root


def only_point(a: Affinities, begin: Float[Tensor, "k n r"]) -> Iterator[Relaxed]:
    """The solver for a single group, whose relaxation has one feasible point: where it begins."""
    value = a.value(begin)
    yield Relaxed(begin, value, 0.0, 0, value)
