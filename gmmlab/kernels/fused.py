"""The E-step of a small mixture on a GPU, in one pass over the rows.

With T a row's features, products of two entries of (1, y), and eta the natural parameters with the log weights in
their first column,

    joint = eta T    resp = softmax(joint)    total = sum_i w_i resp_i T_i'    evidence = sum_i w_i log sum_k e^joint_ik

Torch calls write features and tables to memory and read them back: about 6 f + 13 k numbers for a row of d. Here a
tile of rows is loaded, and everything else about it stays in registers. Each program adds up its own tiles in float64
and the programs' totals are added in one order, so that the same rows give the same bits on the same machine.

`serves` says where. It is the budget of registers, within which the count of bytes is in favour of one pass;
`benchmarks/gpu.py` measures both ways beside each other. Without Triton the torch calls remain.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.bounded import Totals

LEAST_K, LEAST_F = 8, 16  # the smallest sides of matrices that Triton's dot takes
MAX_FEATURES = 64  # nine columns with full covariances, 31 with diagonal ones
MAX_TABLE = 1 << 14  # bytes of padded natural parameters, which every warp holds
MAX_TILE = 20 << 10  # bytes of a tile's features and responsibilities: more, and registers spill
PROGRAMS = 4  # for each multiprocessor: few enough that their totals are nothing to add up


class Tile(NamedTuple):
    """The sizes that the kernel is compiled for; k and f are powers of two."""

    k: int
    f: int
    rows: int
    warps: int


def serves(x: Float[Tensor, "n d"], k: int, f: int) -> bool:
    """Whether `fused_e_step` can be had for these rows, and should be."""
    return x.is_cuda and _can_run(x.device) and _suits(k, f, x.element_size())


def fused_e_step(
    x: Float[Tensor, "n d"],
    origin: Float[Tensor, "d"],
    natural: Float[Tensor, "k f"],
    pairs: Int[Tensor, "2 f"],
    weight: Float[Tensor, "n"] | None = None,
    *,
    tile: Tile | None = None,
    programs: int | None = None,
) -> Totals:
    """Totals and evidence of rows under natural parameters, in float64; does not make the host wait.

    `pairs` are the two entries of (1, x - origin) whose product is each feature; the first feature is the one. Row i
    counts `weight[i]` times, once by default. Not for autograd. The kernel runs on CUDA tensors, and on those of the
    CPU under Triton's interpreter (TRITON_INTERPRET=1), which is for tests.
    """
    from gmmlab.kernels.fused_tiles import e_step_tiles

    (k, f), dtype = natural.shape, x.dtype
    tile = tile or tile_for(k, f, x.element_size())
    tiles = -(-len(x) // tile.rows)
    programs = max(1, min(tiles, programs or PROGRAMS * _multiprocessors(x.device)))
    constant = natural.new_full((tile.k,), -torch.inf)
    constant[:k] = natural[:, 0]
    eta = natural.new_zeros(tile.f, tile.k)
    eta[1:f, :k] = natural[:, 1:].T
    entries = pairs.new_zeros(2, tile.f, dtype=torch.int32)
    entries[:, :f] = pairs
    total = torch.zeros(programs, tile.k, tile.f, dtype=torch.float64, device=x.device)
    evidence = torch.zeros(programs, dtype=torch.float64, device=x.device)
    with torch.cuda.device_of(x):  # Triton starts kernels on the current device
        e_step_tiles[(programs,)](
            x,
            None if weight is None else weight.to(dtype).contiguous(),
            origin.to(dtype).contiguous(),
            constant.to(dtype),
            eta.to(dtype),
            entries,
            total,
            evidence,
            len(x),
            *x.stride(),
            K=tile.k,
            F=tile.f,
            ROWS=tile.rows,
            num_warps=tile.warps,
        )
    return Totals(total.sum(0)[:k, :f], evidence.sum(0, keepdim=True))


def tile_for(k: int, f: int, itemsize: int) -> Tile:
    """Sides padded to powers of two, and as many rows as leave the accumulators their registers."""
    k, f = max(LEAST_K, _power(k)), max(LEAST_F, _power(f))
    rows = MAX_TILE // ((k + f) * itemsize)
    rows = max(16, min(_power(rows + 1) // 2, 512 // itemsize))
    return Tile(k, f, rows, warps=8 if k * f * itemsize > MAX_TABLE // 4 else 4)


def _power(number: int) -> int:
    """The power of two at or above."""
    return 1 << (number - 1).bit_length()


def _suits(k: int, f: int, itemsize: int) -> bool:
    tile = tile_for(k, f, itemsize)
    return tile.f <= MAX_FEATURES and tile.k * tile.f * itemsize <= MAX_TABLE


@cache
def _can_run(device: torch.device) -> bool:
    """Triton is there, and the device is one whose matrix units know float64 (Ampere or newer)."""
    known = find_spec("triton") is not None and torch.version.hip is None
    return known and torch.cuda.get_device_capability(device) >= (8, 0)


@cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type != _CPU.type else 1


_CPU = torch.device("cpu")
