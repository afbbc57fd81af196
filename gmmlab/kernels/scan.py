"""Hidden Markov chains in O(log T) steps, by products that may be taken in any order.

The element of time t is the matrix E_t(i, j) = A_ij p(x_t | j), that of the first time pi_j p(x_1 | j) in every line.
Their product over times a to b is p(x_a:b, z_b = j | z_a-1 = i), and products are associative: all prefixes (which are
filtered states) and all suffixes (what is still to come) take O(log T) rounds and O(T s^3) work, where one step after
the other takes T rounds and O(T s^2) work. With (max, +) in place of (+, x) the same gives best paths. See Särkkä and
García-Fernández (2021), sections III and IV.

A step of the loops of `kernels/chain.py` takes as long as these products do for some hundred numbers: scans are for few
and long sequences. `pays` is the rule, `quickest` follows it, but for compiled passes where they can be had: they take
less time than both (`kernels/compiled_chain.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.kernels import compiled_chain
from gmmlab.kernels.chain import Chain, Filtered, Paths, Smoothed, in_logs
from gmmlab.kernels.chain import filtered as filtered_in_steps
from gmmlab.kernels.chain import smooth as in_steps
from gmmlab.kernels.chunks import Buffers
from gmmlab.kernels.packing import Packing

Combine = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]
Elements = tuple[Tensor, ...]  # what is multiplied, along the first axis of each
_CPU = 512  # numbers of the matrices of one time for which both ways took as long, for 2 to 32 states
_DEVICE = 65_536  # the same where only rounds count; not measured


def pays(packing: Packing, s: int) -> bool:
    """Whether a scan takes less time than one step after the other: few numbers in the matrices of each time."""
    return packing.columns * s**2 < (_CPU if packing.order.is_cpu else _DEVICE) and len(packing.spans) > 64


def quickest(
    chain: Chain,
    table: Float[Tensor, "n s"],
    packing: Packing,
    weight: Float[Tensor, "n"] | None = None,
    buffers: Buffers | None = None,
) -> Smoothed:
    """Smoothed states by the way that takes less time."""
    if compiled_chain.serves(table, table.shape[1], packing):
        found = compiled_chain.smoothed(chain, table, packing, weight, buffers)
        return in_logs(chain, table, packing, weight) if found is None else found
    return (smooth if pays(packing, table.shape[1]) else in_steps)(chain, table, packing, weight, buffers)


def smooth(
    chain: Chain,
    table: Float[Tensor, "n s"],
    packing: Packing,
    weight: Float[Tensor, "n"] | None = None,
    buffers: Buffers | None = None,  # noqa: ARG001 - as `chain.smooth` has it
) -> Smoothed:
    """`chain.smooth` by scans over scaled products; with logarithms, in steps, where those would not be exact."""
    lik, top = _likelihoods(table, packing)
    elements, moves = _elements(chain, lik, packing), chain.moves.exp().to(lik)
    alpha, joint = _filtered(chain, lik, elements)
    beta = torch.cat([_normal(_suffixes(product, elements)[0].sum(3))[1:], torch.ones_like(lik[:1])])
    both, scale = alpha * beta, joint.sum(2)
    total = both.sum(2, keepdim=True)
    if not bool(torch.minimum(scale.min(), total.min()) > _root(lik)):  # nor where they are NaN
        return in_logs(chain, table, packing, weight)
    counts = packing.alive.to(lik) if weight is None else packing.padded(weight.to(lik), torch.zeros(()))
    later = counts[:, :, None] * lik * beta / (joint * beta).sum(2, keepdim=True)
    counted = moves * (alpha[:-1].flatten(0, 1).T @ later[1:].flatten(0, 1))
    return Smoothed((both / total)[packing.alive], scale[packing.alive].log() + top, counted.double())


def filtered(chain: Chain, table: Float[Tensor, "n s"], packing: Packing) -> Filtered:
    """`chain.filtered` by a scan; in steps where it would not be exact."""
    lik, top = _likelihoods(table, packing)
    alpha, joint = _filtered(chain, lik, _elements(chain, lik, packing))
    scale = joint.sum(2)[packing.alive]
    if not bool(scale.min() > _root(lik)):
        return filtered_in_steps(chain, table, packing)
    return Filtered(alpha[packing.alive], scale.log() + top)


def viterbi(chain: Chain, table: Float[Tensor, "n s"], packing: Packing) -> Paths:
    """`chain.viterbi` by scans: at each time the state of the best path through it. Of equal paths it may mix two."""
    logs = packing.padded(table, torch.zeros(()))
    never = torch.full_like(chain.moves, -torch.inf).fill_diagonal_(0.0).to(logs)
    elements = torch.where(packing.alive[:, :, None, None], chain.moves.to(logs) + logs[:, :, None], never)
    elements[0] = (chain.start.to(logs) + logs[0])[:, None]
    ahead = prefixes(_best, (elements,))[0][:, :, 0]
    behind = _suffixes(_best, (elements,))[0].amax(3)
    score = ahead + torch.cat([behind[1:], torch.zeros_like(behind[:1])])
    best = score[0].amax(1)
    return Paths(score.argmax(2)[packing.alive], torch.empty_like(best).index_copy_(0, packing.column, best))


def prefixes(combine: Combine, elements: Elements) -> Elements:
    """Products of the first 1, 2, ..., T elements, in 2 log2 T rounds; `combine` takes the earlier ones first."""
    t = len(elements[0])
    if t == 1:
        return elements
    odd = prefixes(combine, combine(_part(elements, 0, t - 1), _part(elements, 1, t)))  # of 2, 4, ... elements
    found = tuple(torch.empty_like(e) for e in elements)
    for out, first, of_odd in zip(found, elements, odd, strict=True):
        out[0], out[1::2] = first[0], of_odd
    if t > 2:
        even = combine(tuple(e[: (t - 1) // 2] for e in odd), _part(elements, 2, t))
        for out, of_even in zip(found, even, strict=True):
            out[2::2] = of_even
    return found


def product(left: Elements, right: Elements) -> Elements:
    """Matrix products, each divided by its greatest number; NaN where what underflows might have mattered."""
    both = left[0] @ right[0]
    top = both.amax((2, 3), keepdim=True)
    return (both / torch.where(top > _root(both), top, torch.nan),)


def _best(left: Elements, right: Elements) -> Elements:
    """Products in (max, +)."""
    return ((left[0][..., :, :, None] + right[0][..., None, :, :]).amax(-2),)


def _suffixes(combine: Combine, elements: Elements) -> Elements:
    """Products of the last T, T - 1, ..., 1 elements."""
    found = prefixes(lambda later, earlier: combine(earlier, later), tuple(e.flip(0) for e in elements))
    return tuple(e.flip(0) for e in found)


def _part(elements: Elements, begin: int, end: int) -> Elements:
    """Every second element."""
    return tuple(e[begin:end:2] for e in elements)


def _likelihoods(table: Float[Tensor, "n s"], packing: Packing) -> tuple[Float[Tensor, "t b s"], Float[Tensor, "n"]]:
    """Densities by time and sequence, divided by the greatest of each row, and the logarithm of that."""
    top = table.amax(1)
    return packing.padded((table - top[:, None]).exp(), torch.ones(())), top


def _elements(chain: Chain, lik: Float[Tensor, "t b s"], packing: Packing) -> Elements:
    """E_t of each sequence; the identity after its end."""
    elements = chain.moves.exp().to(lik) * lik[:, :, None]
    elements[0] = (chain.start.exp().to(lik) * lik[0])[:, None]
    return (torch.where(packing.alive[:, :, None, None], elements, torch.eye(lik.shape[2]).to(lik)),)


def _filtered(chain: Chain, lik: Float[Tensor, "t b s"], elements: Elements) -> tuple[Tensor, Tensor]:
    """Filtered probabilities (t, b, s), and those of a state and its row given the rows before."""
    alpha = _normal(prefixes(product, elements)[0][:, :, 0])
    predicted = torch.cat([chain.start.exp().to(lik).expand_as(lik[:1]), alpha[:-1] @ chain.moves.exp().to(lik)])
    return alpha, predicted * lik


def _normal(weights: Float[Tensor, "t b s"]) -> Float[Tensor, "t b s"]:
    return weights / weights.sum(2, keepdim=True)


def _root(like: Tensor) -> float:
    """Below this, what has underflowed might have mattered: see `kernels/chain.py`."""
    return float(torch.finfo(like.dtype).tiny ** 0.5)
