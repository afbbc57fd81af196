"""The Triton kernel behind `gmmlab.kernels.fused`, which says what it computes. Importing this file imports Triton."""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check  # Triton reads the source: nothing may wrap the function
def _factor(x_ptr, origin_ptr, rows, alive, column, row_stride, column_stride):
    """Columns of (1, x - origin) for a tile of rows; column 0 is the one."""
    wanted = column > 0
    place = rows[:, None] * row_stride + (tl.cast(column - 1, tl.int64) * column_stride)[None, :]
    x = tl.load(x_ptr + place, mask=alive[:, None] & wanted[None, :], other=0.0)
    origin = tl.load(origin_ptr + column - 1, mask=wanted, other=0.0)
    return tl.where(wanted[None, :], x - origin[None, :], 1.0)


@triton.jit(do_not_specialize=["n"])
@no_type_check
def e_step_tiles(
    x_ptr,
    weight_ptr,
    origin_ptr,
    constant_ptr,
    natural_ptr,
    pairs_ptr,
    total_ptr,
    evidence_ptr,
    n,
    row_stride,
    column_stride,
    K: tl.constexpr,
    F: tl.constexpr,
    ROWS: tl.constexpr,
):
    """One program's share of the tiles: its own totals (K, F) and evidence, in float64."""
    k, f = tl.arange(0, K), tl.arange(0, F)
    left, right = tl.load(pairs_ptr + f), tl.load(pairs_ptr + F + f)
    constant = tl.load(constant_ptr + k)
    natural = tl.load(natural_ptr + f[:, None] * K + k[None, :])
    total = tl.zeros((K, F), tl.float64)
    evidence = tl.zeros((), tl.float64)
    for tile in range(tl.program_id(0), tl.cdiv(tl.cast(n, tl.int64), ROWS), tl.num_programs(0)):
        rows = tl.cast(tile, tl.int64) * ROWS + tl.arange(0, ROWS)
        alive = rows < n
        features = _factor(x_ptr, origin_ptr, rows, alive, left, row_stride, column_stride)
        features *= _factor(x_ptr, origin_ptr, rows, alive, right, row_stride, column_stride)
        # The default for float32 keeps ten bits of each factor; the constant stays outside, where it may be -inf.
        joint = tl.dot(features, natural, input_precision="ieee", out_dtype=features.dtype) + constant[None, :]
        top = tl.max(joint, axis=1)
        resp = tl.exp(joint - top[:, None])
        mass = tl.sum(resp, axis=1)
        score = (top + tl.log(mass)).to(tl.float64)
        if weight_ptr is None:
            weight = alive.to(features.dtype)
            evidence += tl.sum(tl.where(alive, score, 0.0), axis=0)
        else:
            weight = tl.load(weight_ptr + rows, mask=alive, other=0.0)
            evidence += tl.sum(tl.where(alive, weight.to(tl.float64) * score, 0.0), axis=0)
        resp = resp * (weight / mass)[:, None]
        total += tl.dot(tl.trans(resp), features, input_precision="ieee", out_dtype=features.dtype).to(tl.float64)
    own = tl.program_id(0) * K * F + k[:, None] * F + f[None, :]
    tl.store(total_ptr + own, total)
    tl.store(evidence_ptr + tl.program_id(0), evidence)
