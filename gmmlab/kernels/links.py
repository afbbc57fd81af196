"""Things that may not share a label: sums over all the ways to label them.

    Z = sum over z, with z_u != z_v along every edge, of prod_v exp(table_v,z_v)

The sum is taken one thing at a time, so that its price is the size of the largest table on the way, j^width, and not
j^size: pairs, chains and trees have width 2 whatever their length. The probabilities of the labels are the derivatives
of log Z by the table. See Dechter (1999) for the elimination and Darwiche (2003) for the derivatives.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import reduce
from operator import add
from typing import NamedTuple, TypeVar

import torch

from gmmlab.axes import Bool, Float, Tensor

NEVER = -1e200  # log density of what cannot be: unlike -inf, it has differences
V = TypeVar("V", bound=Hashable)
Factor = tuple[tuple[int, ...], Tensor]  # a table (b, j, ...) and the things that its axes belong to


class Web(NamedTuple):
    """Edges between things that are numbered in the order in which they are summed out; `width` is the price."""

    size: int
    edges: tuple[tuple[int, int], ...]
    width: int


def woven(edges: Iterable[tuple[V, V]], alone: Iterable[V] = ()) -> list[tuple[Web, list[V]]]:
    """The connected webs of a graph, and the things of each in the order of the web.

    The thing with the fewest neighbours goes first, which gives trees width 2 and cycles 3. Things `alone` have no
    edge.
    """
    near = _neighbours(edges, alone)
    return [_web(part, near) for part in _connected(near)]


def connected(edges: Iterable[tuple[V, V]]) -> list[list[V]]:
    """The things that chains of edges bring together."""
    return _connected(_neighbours(edges))


def labelled(
    table: Float[Tensor, "b s j"], web: Web, alike: Bool[Tensor, "j"]
) -> tuple[Float[Tensor, "b s j"], Float[Tensor, "b"]]:
    """Probabilities of the labels of each of b webs of the same kind, and log Z; labels `alike` may be shared.

    A web that cannot be labelled has a log Z of about NEVER (or a multiple of it).
    """
    never = torch.diag_embed(table.new_zeros(len(alike)).masked_fill(~alike, NEVER))
    with torch.enable_grad():
        table = table.detach().clamp(min=NEVER).requires_grad_()
        log_z = _log_sum(table, web, never)
        (resp,) = torch.autograd.grad(log_z.sum(), table)
    return resp, log_z.detach()


def _log_sum(table: Float[Tensor, "b s j"], web: Web, never: Float[Tensor, "j j"]) -> Float[Tensor, "b"]:
    factors: list[Factor] = [((v,), table[:, v]) for v in range(web.size)]
    factors += [(edge, never[None]) for edge in web.edges]
    for v in range(web.size):
        met, factors = [f for f in factors if v in f[0]], [f for f in factors if v not in f[0]]
        scope = tuple(sorted({u for things, _ in met for u in things}))  # v is its first: those before it have gone
        total = reduce(add, (_spread(part, things, scope) for things, part in met))
        factors.append((scope[1:], torch.logsumexp(total, dim=1)))
    return torch.stack([part for _, part in factors]).sum(0)


def _spread(part: Tensor, things: tuple[int, ...], scope: tuple[int, ...]) -> Tensor:
    """A factor with an axis for everything in `scope`, of length one for what it does not depend on."""
    lengths = iter(part.shape[1:])
    return part.reshape(len(part), *(next(lengths) if u in things else 1 for u in scope))


def _web(part: list[V], near: dict[V, set[V]]) -> tuple[Web, list[V]]:
    left, order, width = {v: set(near[v]) for v in part}, list[V](), 1
    while left:
        v = min(left, key=lambda u: len(left[u]))
        around = left.pop(v)
        for u in around:  # to sum v out ties its neighbours to each other
            left[u] = (left[u] | around) - {u, v}
        order.append(v)
        width = max(width, 1 + len(around))
    at = {v: i for i, v in enumerate(order)}
    return Web(len(order), tuple(sorted((at[v], at[u]) for v in order for u in near[v] if at[v] < at[u])), width), order


def _neighbours(edges: Iterable[tuple[V, V]], alone: Iterable[V] = ()) -> dict[V, set[V]]:
    near: dict[V, set[V]] = {thing: set() for thing in alone}
    for u, v in edges:
        near.setdefault(u, set()).add(v)
        near.setdefault(v, set()).add(u)
    return near


def _connected(near: dict[V, set[V]]) -> list[list[V]]:
    seen, parts = set[V](), []
    for first in near:
        if first in seen:
            continue
        part, ahead = list[V](), [first]
        seen.add(first)
        while ahead:
            part.append(ahead.pop())
            fresh = [u for u in near[part[-1]] if u not in seen]
            seen.update(fresh)
            ahead += fresh
        parts.append(part)
    return parts
