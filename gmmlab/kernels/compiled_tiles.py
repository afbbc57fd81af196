"""The loops behind `gmmlab.kernels.compiled`, which says what they compute. Importing this file imports numba.

A tile's tables are flat, STRIDE numbers for each feature or component: not a power of two, as lines of a cache whose
addresses end alike get into each other's way. That the distance is known, and that indices have no signs, lets the
compiler see that rows can be taken a vector at a time.
"""

from __future__ import annotations

import math
from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

TILE = 256  # rows: the tables of sixteen columns lie in a core's second cache
U = np.uint64
STRIDE = TILE + 16
_T, _T2, _T3 = (U(i * STRIDE) for i in range(1, 4))
_0, _1, _2, _3, _4 = (U(i) for i in range(5))
_LN2 = math.log(2)
_ROOT2 = math.sqrt(2)
_DIGITS = 52  # bits of a float64's fraction
_HALF = np.int64(1022 << _DIGITS)  # bits of its exponent, for numbers from 1/2 to 1
_FRACTION = np.int64((1 << _DIGITS) - 1)

_AS: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "reassoc", "nsz"}}
part = njit(**_AS)  # of what is compiled
compiled = njit(cache=True, **_AS)  # with its parts, and kept in a file


@intrinsic
@no_type_check
def _power_of_two(typing, exponent, like):
    """2^exponent in the type of `like`, put together from its bits; for exponents of normal numbers."""

    def build(context, builder, _, given):
        wide, digits, bias = (32, 23, 127) if like == types.float32 else (64, 52, 1023)
        bits = ir.IntType(wide)
        whole = given[0] if wide == 32 else builder.sext(given[0], bits)
        shifted = builder.shl(builder.add(whole, bits(bias)), bits(digits))
        return builder.bitcast(shifted, context.get_value_type(like))

    return like(types.int32, like), build


@intrinsic
@no_type_check
def _bits(typing, value):
    """The bits of a float64."""
    return types.int64(types.float64), lambda context, builder, _, given: builder.bitcast(given[0], ir.IntType(64))


@intrinsic
@no_type_check
def _of_bits(typing, bits):
    """The float64 with these bits."""
    return types.float64(types.int64), lambda context, builder, _, given: builder.bitcast(given[0], ir.DoubleType())


def _taylor(dtype: type, order: int) -> tuple[Any, ...]:
    """Coefficients of 2^t about zero: an order that is enough for |t| up to 1/2."""
    return tuple(dtype(_LN2**i / math.factorial(i)) for i in range(order + 1))


@no_type_check
def _exp2(x):
    """2^x for numbers up to the largest exponent; compiled, zero where the result would not be a normal number."""
    return np.exp2(x)


@overload(_exp2, inline="always")
@no_type_check
def _exp2_for(x):
    if x == types.float32:
        least, half, zero = np.float32(-126), np.float32(0.5), np.float32(0)
        c0, c1, c2, c3, c4, c5, c6, c7 = _taylor(np.float32, 7)

        def exp2(x):
            whole = np.floor(max(x, least) + half)
            t = max(x, least) - whole
            y = ((((((c7 * t + c6) * t + c5) * t + c4) * t + c3) * t + c2) * t + c1) * t + c0
            return y * _power_of_two(np.int32(whole), x) if x >= least else zero

        return exp2
    lowest = -1022.0
    d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13 = _taylor(float, 13)

    def exp2_double(x):
        whole = np.floor(max(x, lowest) + 0.5)
        t = max(x, lowest) - whole
        y = (((((d13 * t + d12) * t + d11) * t + d10) * t + d9) * t + d8) * t + d7
        y = ((((((y * t + d6) * t + d5) * t + d4) * t + d3) * t + d2) * t + d1) * t + d0
        return y * _power_of_two(np.int32(whole), x) if x >= lowest else 0.0

    return exp2_double


@part
@no_type_check
def _log(x):
    """The natural logarithm of a positive normal float64: 2 atanh((m - 1) / (m + 1)) of its fraction m."""
    bits = _bits(x)
    exponent = np.float64(np.int32(bits >> _DIGITS) - np.int32(1022))
    m = _of_bits((bits & _FRACTION) | _HALF) * _ROOT2  # within a factor of the root of 2 from 1
    z = (m - 1.0) / (m + 1.0)
    q = z * z
    s = ((((q * (1 / 21) + 1 / 19) * q + 1 / 17) * q + 1 / 15) * q + 1 / 13) * q + 1 / 11
    s = ((((s * q + 1 / 9) * q + 1 / 7) * q + 1 / 5) * q + 1 / 3) * q + 1.0
    return 2.0 * z * s + (exponent - 0.5) * _LN2


@part
@no_type_check
def _log_product(x, count):
    """The sum of the logarithms of a tile's positive numbers, with one logarithm: of the product of their fractions."""
    exponents, product = 0, 1.0
    for i in range(count):
        bits = _bits(np.float64(x[i]))
        exponents += (bits >> _DIGITS) - 1022
        product *= _of_bits((bits & _FRACTION) | _HALF)
    return math.log(product) + exponents * _LN2


@part
@no_type_check
def _features(x, origin, pairs, y, features, rows):
    """Products of two entries of (1, x - origin)."""
    for j in range(U(x.shape[1])):
        at, o = (j + _1) * _T, origin[j]
        for r in range(rows):
            y[at + r] = x[r, j] - o
    _products(pairs, y, features, rows)


@part
@no_type_check
def _products(pairs, y, features, rows):
    """The same, of entries that are there."""
    for j in range(U(pairs.shape[1])):
        at, left, right = j * _T, pairs[0, j] * _T, pairs[1, j] * _T
        for r in range(rows):
            features[at + r] = y[left + r] * y[right + r]


@part
@no_type_check
def _four(x, i):
    return x[i], x[i + _1], x[i + _2], x[i + _3]


@part
@no_type_check
def _table(eta, k, f, features, table, rows):
    """Log joint densities, for four components (or the two that are left) and four features at a time.

    That fills the registers of a core, and loads and stores least beside its multiplications.
    """
    for c in range(k):
        at, constant = c * _T, eta[c * f]
        for r in range(rows):
            table[at + r] = constant
    for c in range(_0, k, _4):
        if c + _4 <= k:
            _table_of_four(eta, c, f, features, table, rows)
        else:
            _table_of_two(eta, c, f, features, table, rows)


@part
@no_type_check
def _table_of_four(eta, c, f, features, table, rows):
    p, a, b, j = c * _T, c * f, (c + _2) * f, _1
    while j + _4 <= f:
        u0, u1, u2, u3 = _four(eta, a + j)
        v0, v1, v2, v3 = _four(eta, a + f + j)
        w0, w1, w2, w3 = _four(eta, b + j)
        z0, z1, z2, z3 = _four(eta, b + f + j)
        for r in range(rows):
            at, to = j * _T + r, p + r
            t0, t1, t2, t3 = features[at], features[at + _T], features[at + _T2], features[at + _T3]
            table[to] += u0 * t0 + u1 * t1 + u2 * t2 + u3 * t3
            table[to + _T] += v0 * t0 + v1 * t1 + v2 * t2 + v3 * t3
            table[to + _T2] += w0 * t0 + w1 * t1 + w2 * t2 + w3 * t3
            table[to + _T3] += z0 * t0 + z1 * t1 + z2 * t2 + z3 * t3
        j += _4
    while j < f:
        u0, v0, w0, z0 = eta[a + j], eta[a + f + j], eta[b + j], eta[b + f + j]
        for r in range(rows):
            t0, to = features[j * _T + r], p + r
            table[to] += u0 * t0
            table[to + _T] += v0 * t0
            table[to + _T2] += w0 * t0
            table[to + _T3] += z0 * t0
        j += _1


@part
@no_type_check
def _table_of_two(eta, c, f, features, table, rows):
    p, a, j = c * _T, c * f, _1
    while j + _4 <= f:
        u0, u1, u2, u3 = _four(eta, a + j)
        v0, v1, v2, v3 = _four(eta, a + f + j)
        for r in range(rows):
            at, to = j * _T + r, p + r
            t0, t1, t2, t3 = features[at], features[at + _T], features[at + _T2], features[at + _T3]
            table[to] += u0 * t0 + u1 * t1 + u2 * t2 + u3 * t3
            table[to + _T] += v0 * t0 + v1 * t1 + v2 * t2 + v3 * t3
        j += _4
    while j < f:
        u0, v0 = eta[a + j], eta[a + f + j]
        for r in range(rows):
            t0, to = features[j * _T + r], p + r
            table[to] += u0 * t0
            table[to + _T] += v0 * t0
        j += _1


@part
@no_type_check
def _by_maximum(eta, f, begin, end, features, table, r):
    """Responsibilities and log evidence (to the base two) of row r, whose densities underflow."""
    top = -np.inf
    for c in range(begin, end):
        joint = eta[c * f]
        for j in range(_1, f):
            joint += eta[c * f + j] * features[j * _T + r]
        table[c * _T + r] = joint
        top = max(top, joint)
    total = 0.0
    for c in range(begin, end):
        table[c * _T + r] = 2.0 ** (table[c * _T + r] - top)
        total += table[c * _T + r]
    for c in range(begin, end):
        table[c * _T + r] /= total
    return top + math.log2(total)


@part
@no_type_check
def _rescue(eta, f, begin, end, least, features, weight, table, sums, rows):
    """Do rows again whose sum of densities is below `least`; gives their log evidence, and leaves sums of one."""
    evidence = 0.0
    for r in range(rows):
        if sums[r] < least:
            alone = _LN2 * _by_maximum(eta, f, begin, end, features, table, r)
            evidence += alone * weight[r] if len(weight) else alone
            sums[r] = 1
    return evidence


@part
@no_type_check
def _weigh(weight, sums, rows):
    """Turn sums of densities into what makes them responsibilities, and gives their log evidence."""
    if len(weight) == 0:
        evidence, one = _log_product(sums, rows), sums.dtype.type(1)
        for r in range(rows):
            sums[r] = one / sums[r]
        return evidence
    evidence = 0.0
    for r in range(rows):
        evidence += weight[r] * _log(np.float64(sums[r]))
        sums[r] = weight[r] / sums[r]
    return evidence


@part
@no_type_check
def _assign(eta, f, begin, end, least, features, weight, table, sums, rows):
    """Turn log joint densities of one mixture into responsibilities, times weights; gives the total log evidence."""
    evidence, lost = 0.0, 0
    for r in range(rows):
        sums[r] = 0
    for c in range(begin, end):
        for r in range(rows):
            density = _exp2(table[c * _T + r])
            table[c * _T + r] = density
            sums[r] += density
    for r in range(rows):
        lost += sums[r] < least
    if lost:
        evidence += _rescue(eta, f, begin, end, least, features, weight, table, sums, rows)
    evidence += _weigh(weight, sums, rows)
    for c in range(begin, end):
        for r in range(rows):
            table[c * _T + r] *= sums[r]
    return evidence


@part
@no_type_check
def _collect(k, f, features, table, total, rows):
    """Add a tile's share of the totals, for as many components and features at a time as in `_table`."""
    for c in range(_0, k, _4):
        if c + _4 <= k:
            _collect_of_four(c, f, features, table, total, rows)
        else:
            _collect_of_two(c, f, features, table, total, rows)


@part
@no_type_check
def _collect_of_four(c, f, features, table, total, rows):
    zero, p, j = table.dtype.type(0), c * _T, _0
    while j + _4 <= f:
        u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = zero
        w0 = w1 = w2 = w3 = z0 = z1 = z2 = z3 = zero
        for r in range(rows):
            at, to = j * _T + r, p + r
            t0, t1, t2, t3 = features[at], features[at + _T], features[at + _T2], features[at + _T3]
            u, v, w, z = table[to], table[to + _T], table[to + _T2], table[to + _T3]
            u0 += u * t0
            u1 += u * t1
            u2 += u * t2
            u3 += u * t3
            v0 += v * t0
            v1 += v * t1
            v2 += v * t2
            v3 += v * t3
            w0 += w * t0
            w1 += w * t1
            w2 += w * t2
            w3 += w * t3
            z0 += z * t0
            z1 += z * t1
            z2 += z * t2
            z3 += z * t3
        _add(total, c, j, u0, u1, u2, u3)
        _add(total, c + _1, j, v0, v1, v2, v3)
        _add(total, c + _2, j, w0, w1, w2, w3)
        _add(total, c + _3, j, z0, z1, z2, z3)
        j += _4
    while j < f:
        u0 = v0 = w0 = z0 = zero
        for r in range(rows):
            t0, to = features[j * _T + r], p + r
            u0 += table[to] * t0
            v0 += table[to + _T] * t0
            w0 += table[to + _T2] * t0
            z0 += table[to + _T3] * t0
        total[c, j] += u0
        total[c + _1, j] += v0
        total[c + _2, j] += w0
        total[c + _3, j] += z0
        j += _1


@part
@no_type_check
def _collect_of_two(c, f, features, table, total, rows):
    zero, p, j = table.dtype.type(0), c * _T, _0
    while j + _4 <= f:
        u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = zero
        for r in range(rows):
            at, u, v = j * _T + r, table[p + r], table[p + _T + r]
            t0, t1, t2, t3 = features[at], features[at + _T], features[at + _T2], features[at + _T3]
            u0 += u * t0
            u1 += u * t1
            u2 += u * t2
            u3 += u * t3
            v0 += v * t0
            v1 += v * t1
            v2 += v * t2
            v3 += v * t3
        _add(total, c, j, u0, u1, u2, u3)
        _add(total, c + _1, j, v0, v1, v2, v3)
        j += _4
    while j < f:
        u0 = v0 = zero
        for r in range(rows):
            t0 = features[j * _T + r]
            u0 += table[p + r] * t0
            v0 += table[p + _T + r] * t0
        total[c, j] += u0
        total[c + _1, j] += v0
        j += _1


@part
@no_type_check
def _add(total, c, j, t0, t1, t2, t3):
    total[c, j] += t0
    total[c, j + _1] += t1
    total[c, j + _2] += t2
    total[c, j + _3] += t3


@part
@no_type_check
def _flat(eta, k, dtype):
    """The parameters of components one after the other, and zeros up to k of them."""
    f = U(eta.shape[1])
    flat = np.zeros(k * f, dtype)
    for c in range(U(len(eta))):  # an assignment to a slice would also compile the words of its error, for seconds
        for j in range(f):
            flat[c * f + j] = eta[c, j]
    return flat


@compiled
@no_type_check
def e_step_tiles(x, weight, origin, eta, pairs, ends, least):
    """Totals (k, f) and log evidences (g,) of rows, in float64.

    `weight` has a line for each mixture, one for all, or no columns where every row counts once; components of mixture
    j are those from ends[j] to ends[j + 1].
    """
    (n, d), f = x.shape, U(pairs.shape[1])
    k = U(eta.shape[0])
    even = k + (k & _1)  # one more component, whose densities nobody reads, where their number is odd
    natural = _flat(eta, even, x.dtype)
    y, features = np.ones((U(d) + _1) * _T, x.dtype), np.empty(f * _T, x.dtype)
    table, sums = np.zeros(even * _T, x.dtype), np.empty(_T, x.dtype)
    total, evidence = np.zeros((even, f)), np.zeros(len(ends) - 1)
    for begin in range(0, n, TILE):
        rows = U(min(TILE, n - begin))
        _features(x[begin : begin + TILE], origin, pairs, y, features, rows)
        _table(natural, even, f, features, table, rows)
        for j in range(len(ends) - 1):
            own = weight[min(j, len(weight) - 1), begin : begin + TILE]
            evidence[j] += _assign(natural, f, ends[j], ends[j + 1], least, features, own, table, sums, rows)
        _collect(even, f, features, table, total, rows)
    return total[:k], evidence
