"""The E-step of Gaussians under constant weights on a CPU, compiled: one pass over the rows, tile by tile.

Torch calls write features and tables of a chunk to the last cache and read them back in every pass. Here a tile of a
few hundred rows stays in the first two, from its features to its share of the totals, and the exponential is two lines
of multiplications beside the products (`compiled_tiles.py`, which needs numba, the `fast` extra). Without numba the
torch calls of `bounded.py` remain; both give the same to rounding.

`serves` says where: where one pass takes longer than the call, up to as many features as the second cache holds.
Threads are those of torch, each with its own share of the rows, and their totals are added in one order: the same rows
and the same number of threads give the same bits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.groups import Groups

LEAST_WORK = 1 << 22  # products in the table, a millisecond or two of torch calls: below it numba is not even imported
SHARE = 1 << 22  # products in the table that are worth a thread
MOST_FEATURES = 600  # 32 columns with full covariances


def serves(x: Float[Tensor, "n d"], k: int, f: int) -> bool:
    """Whether `compiled_e_step` can be had for these rows, and should be."""
    return x.is_cpu and f <= MOST_FEATURES and len(x) * k * f >= LEAST_WORK and can_run()


def compiled_e_step(
    x: Float[Tensor, "n d"],
    origin: Float[Tensor, "d"],
    eta: Float[Tensor, "k f"],
    pairs: Int[Tensor, "2 f"],
    groups: Groups,
    *,
    least: float,
    weight: Float[Tensor, "_ n"] | None = None,
) -> tuple[Float[Tensor, "k f"], Float[Tensor, "g"]]:
    """Totals of the features by responsibility, and of the log evidence of each mixture (group), in float64.

    `eta` gives the logarithm of joint densities to the base two, nowhere much above zero; rows whose evidence is below
    `least` are done again by their own maximum. `pairs` are the two entries of (1, x - origin) whose product is each
    feature; the first feature is the one. Row i counts `weight[j, i]` times in mixture j, or `weight[0, i]` times in
    all of them. Not for autograd.
    """
    from gmmlab.kernels.compiled_tiles import e_step_tiles

    n, f = len(x), eta.shape[1]
    rows = x.detach().contiguous().numpy()
    times = np.ones((1, 0), rows.dtype) if weight is None else weight.to(x).contiguous().numpy()
    fixed = (
        origin.to(x).numpy(),
        np.maximum(eta.to(x).contiguous().numpy(), np.finfo(rows.dtype).min / 4),  # a weight of zero
        pairs.numpy().view(np.uint64),
        np.cumsum((0, *groups.sizes), dtype=np.uint64),
        rows.dtype.type(least),
    )

    def share(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        return e_step_tiles(rows[begin:end], times[:, begin:end], *fixed)

    threads = max(1, min(torch.get_num_threads(), n * groups.k * f // SHARE))
    ends = [n * i // threads for i in range(threads + 1)]
    if threads == 1:
        parts = [share(0, n)]
    else:  # threads of a pool that outlives the call would be missing after a fork
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(share, ends[:-1], ends[1:]))
    total, evidence = (torch.from_numpy(sum(each)) for each in zip(*parts, strict=True))
    return total, evidence


@cache
def can_run() -> bool:
    """Whether numba is there."""
    return find_spec("numba") is not None
