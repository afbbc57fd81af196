"""Hidden Markov chains: filtering, smoothing and best paths of many sequences at once.

A chain starts in state i with probability pi_i and moves from i to j with probability A_ij; at time t it gives a row
whose log densities under the s states are a line l_t of a table. With the predictive densities c_t = p(x_t | x_1:t-1),

    forward     a_t(j) = l_t(j) + log sum_i exp(a_t-1(i) + log A_ij) - log c_t          p(z_t = j | x_1:t)
    backward    b_t(i) = log sum_j exp(log A_ij + l_t+1(j) + b_t+1(j)) - log c_t+1
    smoothed    p(z_t = i | x) = exp(a_t(i) + b_t(i))
    moves       sum_t p(z_t = i, z_t+1 = j | x) = sum_t exp(a_t(i) + log A_ij + l_t+1(j) + b_t+1(j) - log c_t+1)

and log p(x) = sum_t log c_t. Tables are packed (`kernels/packing.py`): there is no padding, so no mask. See Baum,
Petrie, Soules and Weiss (1970) and Rabiner (1989), eqs. 18-37 and 30-33 for best paths.

`smooth` computes with probabilities, scaled to sum to one at each time: two small matrix products a step. That is exact
while no scale falls below the square root of the smallest normal number and all comes out finite: what underflowed was
less than that root of its sum. Where it is not, as after rows that a chain can hardly make, it computes again with
logarithms. For sequences so few and long that products cost less than steps there is `kernels/scan.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.chunks import Buffers
from gmmlab.kernels.packing import Packing


class Chain(NamedTuple):
    """Log probabilities of the first state and of moves from one (row) to the next (column); -inf for never."""

    start: Float[Tensor, "s"]
    moves: Float[Tensor, "s s"]


class Smoothed(NamedTuple):
    """What is known of the states in the end; evidence is log p(x_t | x_1:t-1), whose sum over time is log p(x).

    A sequence that the chain cannot make has evidence -inf at the row at which that shows, and NaN from there on.
    """

    resp: Float[Tensor, "n s"]
    evidence: Float[Tensor, "n"]
    moves: Float[Tensor, "s s"]  # expected number of moves, all sequences together


class Filtered(NamedTuple):
    """What is known of the states at each time, from the rows so far."""

    resp: Float[Tensor, "n s"]
    evidence: Float[Tensor, "n"]


class Paths(NamedTuple):
    """The most probable states of each sequence, all together, and log p(x, path)."""

    states: Int[Tensor, "n"]
    log_prob: Float[Tensor, "b"]


def smooth(
    chain: Chain,
    table: Float[Tensor, "n s"],
    packing: Packing,
    weight: Float[Tensor, "n"] | None = None,
    buffers: Buffers | None = None,
) -> Smoothed:
    """States given whole sequences. `weight` says how often each row's sequence counts among the moves.

    With `buffers` the responsibilities lie in their memory.
    """
    found = scaled(chain, table, packing, weight, buffers)
    return in_logs(chain, table, packing, weight) if found is None else found


def filtered(chain: Chain, table: Float[Tensor, "n s"], packing: Packing) -> Filtered:
    """States given the rows so far."""
    found = _forward(chain, table, packing, Buffers())
    if not found.exact:
        log_alpha, evidence = _log_forward(chain, table.T, packing)
        return Filtered(log_alpha.exp().T, evidence)
    resp = torch.empty_like(table)
    for span, alpha in zip(packing.spans, found.alpha, strict=True):
        resp[span.begin : span.end] = alpha.T
    return Filtered(resp, found.scale.log() + found.top)


def scaled(
    chain: Chain,
    table: Float[Tensor, "n s"],
    packing: Packing,
    weight: Float[Tensor, "n"] | None = None,
    buffers: Buffers | None = None,
) -> Smoothed | None:
    """`smooth` with scaled probabilities; None where they are not exact."""
    buffers = Buffers() if buffers is None else buffers
    found = _forward(chain, table, packing, buffers)
    if not found.exact:
        return None
    moves, resp = chain.moves.exp().to(table), buffers.take("smoothed", tuple(table.shape[::-1]), table)
    counted, beta = torch.zeros_like(moves), torch.ones_like(found.alpha[-1])
    for i in range(len(packing.spans) - 1, 0, -1):
        span, before = packing.spans[i], found.alpha[i - 1]
        torch.mul(found.alpha[i], beta, out=resp[:, span.begin : span.end])
        later = found.lik[i].mul_(beta)
        seen = later if weight is None else later * weight[span.begin : span.end]
        counted.addmm_(before[:, : span.size], seen.T)  # what was filtered before and is seen from here on
        beta = torch.ones_like(before) if before.shape[1] > span.size else beta
        torch.mm(moves, later, out=beta[:, : span.size])
    torch.mul(found.alpha[0], beta, out=resp[:, : packing.columns])
    if not bool(torch.isfinite(resp.sum() + counted.sum())):
        return None
    return Smoothed(resp.T, found.scale.log_().add_(found.top), counted.mul_(moves).double())


def in_logs(
    chain: Chain, table: Float[Tensor, "n s"], packing: Packing, weight: Float[Tensor, "n"] | None = None
) -> Smoothed:
    """`smooth` with logarithms: slower, and nothing underflows."""
    logs, moves = table.T, chain.moves.to(table)[:, :, None]
    alpha, evidence = _log_forward(chain, logs, packing)
    beta = torch.zeros_like(logs[:, : packing.columns])
    counted = torch.zeros_like(chain.moves, dtype=torch.float64)
    resp = torch.empty_like(alpha)
    for span, after in zip(packing.spans[-2::-1], packing.spans[:0:-1], strict=True):
        here, there = slice(span.begin, span.begin + after.size), slice(after.begin, after.end)
        torch.add(alpha[:, there], beta[:, : after.size], out=resp[:, there])
        later = moves + (logs[:, there] + beta[:, : after.size] - evidence[there])  # from, to, sequence
        both = torch.exp(alpha[:, None, here] + later)
        counted += (both if weight is None else both * weight[there]).sum(2, dtype=torch.float64)
        beta[:, : after.size] = torch.logsumexp(later, dim=1)
    first = slice(0, packing.columns)
    torch.add(alpha[:, first], beta, out=resp[:, first])
    return Smoothed(resp.exp_().T, evidence, counted)


def evidence(chain: Chain, table: Float[Tensor, "n s"], packing: Packing) -> Float[Tensor, "b"]:
    """Log densities of whole sequences; differentiable, also where moves are impossible.

    Its derivatives are what `smooth` gives: by the table the smoothed states, by the log probabilities of the moves
    their expected numbers, and by those of the start the first states.
    """
    alpha = chain.start.to(table) + table[: packing.columns]
    ended = []
    for span, after in zip(packing.spans[:-1], packing.spans[1:], strict=True):
        ended.append(alpha[after.size : span.size])
        pairs = alpha[: after.size, :, None] + chain.moves.to(table)
        alpha = torch.logsumexp(pairs, dim=1) + table[after.begin : after.end]
    last = torch.cat([alpha, *reversed(ended)])  # the longest sequences first
    found = torch.logsumexp(last, dim=1)
    return torch.empty_like(found).index_copy(0, packing.column, found)


def viterbi(chain: Chain, table: Float[Tensor, "n s"], packing: Packing) -> Paths:
    """The most probable path of each sequence. See Viterbi (1967) and Rabiner (1989), eqs. 32-35."""
    logs, moves = table.T, chain.moves.to(table)[:, :, None]
    best = torch.empty_like(logs)
    came = torch.empty(logs.shape, dtype=torch.int16, device=logs.device)  # from which state
    first = packing.spans[0]
    best[:, : first.end] = chain.start.to(table)[:, None] + logs[:, : first.end]
    for span, after in zip(packing.spans[:-1], packing.spans[1:], strict=True):
        there = slice(after.begin, after.end)
        way = (best[:, None, span.begin : span.begin + after.size] + moves).max(0)
        torch.add(way.values, logs[:, there], out=best[:, there])
        came[:, there] = way.indices
    states = best.max(0).indices  # of which those at the ends are kept
    for span, after in zip(packing.spans[-2::-1], packing.spans[:0:-1], strict=True):
        later = states[after.begin : after.end]
        states[span.begin : span.begin + after.size] = came[:, after.begin : after.end].gather(0, later[None])[0].long()
    return Paths(states, best.amax(0)[packing.last])


class _Forward(NamedTuple):
    """Filtered probabilities of each time (s, b), densities over their predicted sums, and by what they were divided.

    The numbers of a time lie together in memory, which takes a third of the time of columns of large tables.
    """

    alpha: list[Tensor]
    lik: list[Tensor]
    scale: Float[Tensor, "n"]
    top: Float[Tensor, "n"]

    @property
    def exact(self) -> bool:
        """Whether no digits are lost."""
        return bool(self.scale.min() > torch.finfo(self.scale.dtype).tiny ** 0.5)  # nor where it is NaN


def _forward(chain: Chain, table: Float[Tensor, "n s"], packing: Packing, buffers: Buffers) -> _Forward:
    logs, top = table.T, table.amax(1)
    lik, alpha = (_blocks(buffers.take(name, (table.numel(),), table), packing) for name in ("lik", "alpha"))
    scale, back = torch.empty_like(top), chain.moves.exp().to(table).T.contiguous()
    predicted = chain.start.exp().to(table)[:, None]
    for i, span in enumerate(packing.spans):
        here = slice(span.begin, span.end)
        if i > 0:
            predicted = torch.mm(back, alpha[i - 1][:, : span.size])
        torch.sub(logs[:, here], top[here], out=lik[i]).exp_()
        torch.mul(predicted, lik[i], out=alpha[i])
        torch.sum(alpha[i], dim=0, out=scale[here])
        alpha[i].div_(scale[here])
        lik[i].div_(scale[here])
    return _Forward(alpha, lik, scale, top)


def _blocks(flat: Float[Tensor, "_"], packing: Packing) -> list[Tensor]:
    """Memory for a table (s, b) of each time, one after the other."""
    s = len(flat) // packing.spans[-1].end
    return [flat[s * span.begin : s * span.end].view(s, span.size) for span in packing.spans]


def _log_forward(chain: Chain, logs: Float[Tensor, "s n"], packing: Packing) -> tuple[Tensor, Tensor]:
    """Logarithms of filtered probabilities (s, n), and evidence (n)."""
    alpha, found = torch.empty_like(logs), torch.empty_like(logs[0])
    moves = chain.moves.to(logs)[:, :, None]
    predicted = chain.start.to(logs)[:, None]
    for i, span in enumerate(packing.spans):
        here = slice(span.begin, span.end)
        if i > 0:
            before = packing.spans[i - 1].begin
            predicted = torch.logsumexp(alpha[:, None, before : before + span.size] + moves, dim=0)
        joint = predicted + logs[:, here]
        found[here] = torch.logsumexp(joint, dim=0)
        torch.sub(joint, found[here], out=alpha[:, here])
    return alpha, found
