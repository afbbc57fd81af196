"""Passes through hidden Markov chains on a CPU, compiled: sixteen sequences beside each other.

Torch calls take all sequences one time after the other, and write each table of densities, of filtered and of smoothed
states to memory. Here what sixteen sequences need for the way back stays in a core's second cache, up to some hundred
rows each, and their numbers in its registers (`chain_tiles.py`, which needs numba, the `fast` extra). `smoothed` passes
through a table, of whatever states; `totals` scores rows under Gaussian states and sums their features in the same
pass, so that no table is ever written. Both say where scaled probabilities are not exact, as `chain.scaled` does, and
without numba it remains. Threads are those of torch, each with its own sequences: the same rows and the same number of
threads give the same bits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels import compiled
from gmmlab.kernels.chain import Chain, Smoothed
from gmmlab.kernels.chunks import Buffers
from gmmlab.kernels.logspace import LOG2E
from gmmlab.kernels.packing import Packing

LEAST_WORK = 1 << 15  # entries of the table, some milliseconds of torch calls: below it numba is not even imported
SHARE = 1 << 20  # entries that are worth a thread
MOST_KEPT = 1 << 25  # numbers that a thread keeps for the way back: 256 MiB of float64
_LANES, _FOUR = 16, 4  # sequences beside each other, states taken at a time


class Totals(NamedTuple):
    """Sums of the features by posterior, moves and first states, and log p(x_t | x_1:t-1) of each row."""

    total: Float[Tensor, "s f"]
    moves: Float[Tensor, "s s"]
    start: Float[Tensor, "s"]
    evidence: Float[Tensor, "n"]


def serves(x: Float[Tensor, "n _"], s: int, packing: Packing) -> bool:
    """Whether the passes can be had for rows (or a table) of these sequences, and should be."""
    kept = 2 * _LANES * s * len(packing.spans)
    return x.is_cpu and len(x) * s >= LEAST_WORK and kept <= MOST_KEPT and compiled.can_run()


def smoothed(
    chain: Chain,
    table: Float[Tensor, "n s"],
    packing: Packing,
    weight: Float[Tensor, "n"] | None = None,
    buffers: Buffers | None = None,
) -> Smoothed | None:
    """What `chain.scaled` gives; None where that is not exact."""
    table = table.detach()
    resp = (Buffers() if buffers is None else buffers).take("smoothed", tuple(table.shape[::-1]), table)
    found = _passed(chain, packing, weight, table=table.T, resp=resp)
    return None if found is None else Smoothed(resp.T, found.evidence, found.moves)


def totals(
    chain: Chain,
    x: Float[Tensor, "n d"],
    packing: Packing,
    *,
    origin: Float[Tensor, "d"],
    natural: Float[Tensor, "s f"],
    pairs: Int[Tensor, "2 f"],
    weight: Float[Tensor, "n"] | None = None,
) -> Totals | None:
    """The same of rows whose log densities are `natural` times their features; None where it is not exact.

    `pairs` are the two entries of (1, x - origin) whose product is each feature; the first feature is the one. Row i
    counts weight[i] times, as its sequence does, but in the evidence.
    """
    return _passed(chain, packing, weight, x=x.detach(), origin=origin, eta=natural * LOG2E, pairs=pairs)


def _passed(
    chain: Chain,
    packing: Packing,
    weight: Float[Tensor, "n"] | None,
    *,
    table: Float[Tensor, "s n"] | None = None,
    resp: Float[Tensor, "s n"] | None = None,
    x: Float[Tensor, "n d"] | None = None,
    origin: Float[Tensor, "d"] | None = None,
    eta: Float[Tensor, "s f"] | None = None,
    pairs: Int[Tensor, "2 f"] | None = None,
) -> Totals | None:
    """Passes through a table, whose posteriors go into `resp`, or through rows."""
    from gmmlab.kernels.chain_tiles import chain_tiles

    like = table if x is None else x
    assert like is not None  # for the type checker
    s, n = len(chain.start), packing.spans[-1].end
    more = -s % _FOUR
    evidence, none = like.new_empty(n), like.new_empty(0, 0)
    fixed = [
        torch.nn.functional.pad(chain.start.exp(), (0, more)).to(like),
        torch.nn.functional.pad(chain.moves.exp(), (0, more, 0, more)).to(like),
        torch.finfo(like.dtype).tiny ** 0.5,
        like.new_empty(0) if weight is None else weight[: packing.columns].to(like),
        none if table is None else table.contiguous(),
        none if resp is None else resp,
        evidence,
        none.flatten() if x is None else x.contiguous().flatten(),
        none.flatten() if origin is None else origin.to(like),
        like.new_empty(s, 0) if eta is None else eta.to(like).contiguous(),
        torch.empty(2, 0, dtype=torch.long) if pairs is None else pairs,
    ]
    arguments = [part.numpy() if isinstance(part, Tensor) else like.new_tensor(part).numpy()[()] for part in fixed]
    arguments[-1] = arguments[-1].astype(np.uint64)
    begins = np.append(packing.begins.numpy(), [n, n]).astype(np.uint64)
    shares = max(1, min(torch.get_num_threads(), n * s // SHARE, -(-packing.columns // _LANES)))

    def share(i: int) -> tuple[Any, ...]:
        return chain_tiles(begins, np.uint64(i), np.uint64(shares), *arguments)

    if shares == 1:
        parts = [share(0)]
    else:  # threads of a pool that outlives the call would be missing after a fork
        with ThreadPoolExecutor(shares) as pool:
            parts = list(pool.map(share, range(shares)))
    moves, start, total, lost = (sum(each) for each in zip(*parts, strict=True))
    if lost or not np.isfinite(moves).all() or not np.isfinite(total).all():
        return None
    return Totals(torch.from_numpy(total), torch.from_numpy(moves), torch.from_numpy(start), evidence)
