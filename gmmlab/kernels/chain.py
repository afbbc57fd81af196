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
    chain: Chain, table: Float[Tensor, "n s"], packing: Packing, weight: Float[Tensor, "n"] | None = None
) -> Smoothed:
    """States given whole sequences. `weight` says how often each row's sequence counts among the moves."""
    found = scaled(chain, table, packing, weight)
    return in_logs(chain, table, packing, weight) if found is None else found


def filtered(chain: Chain, table: Float[Tensor, "n s"], packing: Packing) -> Filtered:
    """States given the rows so far."""
    lik, _ = _likelihoods(table)
    alpha, scale = _forward(chain, lik, packing)
    if _exact(alpha, scale):
        return Filtered(alpha.T, scale.log() + table.amax(1))
    log_alpha, evidence = _log_forward(chain, table.T, packing)
    return Filtered(log_alpha.exp().T, evidence)


def scaled(
    chain: Chain, table: Float[Tensor, "n s"], packing: Packing, weight: Float[Tensor, "n"] | None = None
) -> Smoothed | None:
    """`smooth` with scaled probabilities; None where they are not exact."""
    lik, top = _likelihoods(table)
    resp, scale = _forward(chain, lik, packing)
    if not _exact(resp, scale):
        return None
    lik.div_(scale)
    moves = chain.moves.exp().to(lik)
    beta, counted = torch.ones_like(lik[:, : packing.columns]), torch.zeros_like(moves)
    for span, after in zip(packing.spans[-2::-1], packing.spans[:0:-1], strict=True):
        here, there = slice(span.begin, span.begin + after.size), slice(after.begin, after.end)
        later = lik[:, there] * beta[:, : after.size]
        seen = later if weight is None else later * weight[there]
        counted.addmm_(resp[:, here], seen.T)  # what was filtered here and will be seen there
        resp[:, there] *= beta[:, : after.size]
        torch.mm(moves, later, out=beta[:, : after.size])
    resp[:, : packing.columns] *= beta
    found = Smoothed(resp.T, scale.log().add_(top), counted.mul_(moves).double())
    return found if bool(torch.isfinite(resp.sum() + counted.sum())) else None


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


def _likelihoods(table: Float[Tensor, "n s"]) -> tuple[Float[Tensor, "s n"], Float[Tensor, "n"]]:
    """Densities of each row divided by the greatest, and the logarithm of that."""
    top = table.amax(1)
    return table.T.sub(top).exp_().contiguous(), top


def _forward(chain: Chain, lik: Float[Tensor, "s n"], packing: Packing) -> tuple[Tensor, Tensor]:
    """Filtered probabilities (s, n) and the scales (n) by which they were divided."""
    alpha, scale = torch.empty_like(lik), torch.empty_like(lik[0])
    back = chain.moves.exp().to(lik).T.contiguous()
    predicted = chain.start.exp().to(lik)[:, None].expand(-1, packing.columns)
    for i, span in enumerate(packing.spans):
        here = slice(span.begin, span.end)
        if i > 0:
            before = packing.spans[i - 1].begin
            predicted = torch.mm(back, alpha[:, before : before + span.size])
        joint = predicted * lik[:, here]
        torch.sum(joint, dim=0, out=scale[here])
        torch.div(joint, scale[here], out=alpha[:, here])
    return alpha, scale


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


def _exact(alpha: Float[Tensor, "s n"], scale: Float[Tensor, "n"]) -> bool:
    """Whether scaled probabilities have kept their digits."""
    least = torch.finfo(scale.dtype).tiny ** 0.5
    return bool(scale.min() > least) and bool(torch.isfinite(alpha.sum()))
