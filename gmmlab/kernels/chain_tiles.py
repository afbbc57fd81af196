"""The loops behind `gmmlab.kernels.compiled_chain`, which says what they compute. Importing this file imports numba.

Sixteen sequences pass through time beside each other. A tile is sixteen of their times: a line of STRIDE numbers for
each state, time by time, in `joint` behind those of the time before the tile. So a tile's lines are what the products
of `compiled_tiles` take: log densities out of features, moves and moments out of posteriors.

With c_t = p(x_t | x_1:t-1) over the greatest density of its row, and u_t the joint density of state and row so scaled,

    ahead    l_t = density / c_t-1      u_t = l_t * (A' u_t-1)      c_t = sum u_t
    back     gamma_t = u_t * b_t        b_t-1 = A (l_t * b_t)       xi_t = A * (u_t-1 (l_t * b_t)')

from b = 1 / c_T at the end of each sequence: no line is divided once more, and no division waits for a product. After
it b is zero, so that whatever is left in its lane counts for nothing.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from gmmlab.kernels.compiled_tiles import (
    _T,
    _T2,
    _T3,
    TILE,
    U,
    _0,
    _1,
    _2,
    _3,
    _4,
    _collect,
    _exp2,
    _flat,
    _log,
    _products,
    _table,
    compiled,
    part,
)
from gmmlab.kernels.lanes import LANES, add, load, onto, over, spread, store, times

TIMES = TILE // LANES  # a line of `joint` is full: STRIDE is TILE + LANES
_L = U(LANES)
_LN2 = math.log(2)
_LOG2E = 1 / _LN2


@part
@no_type_check
def _running(begins, t, first):
    """The row of the first of sixteen sequences at a time, and how many of them still run."""
    row = begins[t] + first
    return row, min(_L, max(begins[t + _1], row) - row)


@part
@no_type_check
def _features_of(x, d, origin, pairs, begins, time, first, y, features, rows):
    """Products of two entries of (1, x - origin), of rows that lie one after the other."""
    for i in range(rows // _L):
        row, running = _running(begins, time + i, first)
        for j in range(d):
            at, o = (j + _1) * _T + i * _L, origin[j]
            for r in range(running):
                y[at + r] = x[(row + r) * d + j] - o
    _products(pairs, y, features, rows)


@part
@no_type_check
def _given(table, s, begins, time, first, lik, rows):
    """Log densities to the base two, from a table."""
    factor = lik.dtype.type(_LOG2E)
    for i in range(rows // _L):
        row, running = _running(begins, time + i, first)
        for c in range(s):
            at = c * _T + i * _L
            for r in range(running):
                lik[at + r] = table[c, row + r] * factor


@part
@no_type_check
def _densities(lik, s, top, rows):
    """Turn log densities to the base two into densities over the greatest of their row; counts what is no number."""
    lost = 0
    for r in range(rows):
        top[r] = lik[r]
    for c in range(_1, s):
        for r in range(rows):
            top[r] = max(top[r], lik[c * _T + r])
    for c in range(s):
        for r in range(rows):
            lost += not lik[c * _T + r] < np.inf
            lik[c * _T + r] = _exp2(lik[c * _T + r] - top[r])
    return lost


@part
@no_type_check
def _unsafe(scale, least, b, s, rows):
    """How many scales of a tile, and numbers of the way back, have lost digits or are no numbers."""
    lost = 0
    for r in range(rows):
        lost += not scale[r] > least
    for c in range(s):
        for r in range(_L):
            lost += not abs(b[c * _T + r]) < np.inf
    return lost


@part
@no_type_check
def _reached(moves, s, c, lines, at):
    """The sums of lines times the moves of four states."""
    p0 = p1 = p2 = p3 = spread(lines.dtype.type(0))
    a, b = c * s, (c + _2) * s
    for i in range(s):
        line = load(lines, i * _T + at)
        p0 = onto(p0, moves[a + i], line)
        p1 = onto(p1, moves[a + s + i], line)
        p2 = onto(p2, moves[b + i], line)
        p3 = onto(p3, moves[b + s + i], line)
    return p0, p1, p2, p3


@part
@no_type_check
def _meet(lik, joint, at, divisor, predicted):
    """Turn a density into l_t and a predicted probability into u_t, which is given back."""
    scaled = times(load(lik, at), divisor)
    both = times(scaled, predicted)
    store(lik, at, scaled)
    store(joint, at + _L, both)
    return both


@part
@no_type_check
def _ahead(lik, joint, scale, inverse, ends, start, back, s, begins, time, first, rows):
    """Pass through a tile, from and to the inverse scales of a time; those of last rows go into `ends`."""
    one, divisor = lik.dtype.type(1), load(inverse, _0)
    for i in range(rows // _L):
        at, total = i * _L, spread(lik.dtype.type(0))
        for c in range(_0, s, _4):
            if time + i == _0:
                p0, p1, p2, p3 = spread(start[c]), spread(start[c + _1]), spread(start[c + _2]), spread(start[c + _3])
            else:
                p0, p1, p2, p3 = _reached(back, s, c, joint, at)
            to = c * _T + at
            left = add(_meet(lik, joint, to, divisor, p0), _meet(lik, joint, to + _T, divisor, p1))
            right = add(_meet(lik, joint, to + _T2, divisor, p2), _meet(lik, joint, to + _T3, divisor, p3))
            total = add(total, add(left, right))
        store(scale, at, total)
        _, running = _running(begins, time + i, first)
        for r in range(running, _L):
            scale[at + r] = one
        divisor = over(spread(one), load(scale, at))
        _, after = _running(begins, time + i + _1, first)
        for r in range(after, running):
            ends[r] = one / scale[at + r]
    store(inverse, _0, divisor)


@part
@no_type_check
def _back(lik, joint, gamma, b, ends, moves, s, begins, time, first, rows):
    """Pass back through a tile: posteriors into `gamma`, l_t * b_t into `lik`."""
    count = rows // _L
    for left in range(count):
        i = count - _1 - left
        at = i * _L
        _, running = _running(begins, time + i, first)
        _, after = _running(begins, time + i + _1, first)
        for c in range(s):
            for r in range(after, running):
                b[c * _T + r] = ends[r]
            here = load(b, c * _T)
            store(gamma, c * _T + at, times(load(joint, c * _T + at + _L), here))
            store(lik, c * _T + at, times(load(lik, c * _T + at), here))
        for c in range(_0, s, _4):
            p0, p1, p2, p3 = _reached(moves, s, c, lik, at)
            store(b, c * _T, p0)
            store(b, (c + _1) * _T, p1)
            store(b, (c + _2) * _T, p2)
            store(b, (c + _3) * _T, p3)


@part
@no_type_check
def _weigh(lines, s, weight, first, rows):
    """Lines times the weights of their sequences."""
    running = min(_L, U(len(weight)) - first)
    for c in range(s):
        for i in range(rows // _L):
            for r in range(running):
                lines[c * _T + i * _L + r] *= weight[first + r]


@part
@no_type_check
def _say(gamma, s, scale, top, begins, time, first, resp, evidence, rows):
    """The log evidence of each row, and its posteriors if they are asked for."""
    for i in range(rows // _L):
        row, running = _running(begins, time + i, first)
        for r in range(running):
            at = i * _L + r
            evidence[row + r] = _log(np.float64(scale[at])) + top[at] * _LN2
        for c in range(s):
            for r in range(running):
                resp[c, row + r] = gamma[c * _T + i * _L + r]


@part
@no_type_check
def _carry(before, joint, s):
    """The last time of a tile is the one before the next."""
    for c in range(s):
        store(joint, c * _T, load(before, c * _T + U(TILE)))


@part
@no_type_check
def _first(gamma, joint, starts, s):
    """Add to first states, and leave nothing before the first tile."""
    for c in range(s):
        for r in range(_L):
            starts[c] += gamma[c * _T + r]
            joint[c * _T + r] = 0


@part
@no_type_check
def _fill(line, value):
    """Put the same number everywhere."""
    for i in range(len(line)):
        line[i] = value


@part
@no_type_check
def _length(begins, first):
    """The number of times at which the first of sixteen sequences runs."""
    t = _0
    while begins[t + _1] - begins[t] > first:
        t += _1
    return t


@compiled
@no_type_check
def chain_tiles(begins, share, shares, start, moves, least, weight, table, resp, evidence, x, origin, eta, pairs):
    """Moves (s, s), first states (s,) and totals (s, f) of features in float64, and in how many rows digits are lost.

    Every sixteen sequences of `shares` times as many are passed through, from those of `share` on. `begins` is the
    first row of each time, and twice the end of all. Where there are `pairs`, log densities to the base two are those
    of the rows x (n * d) by `eta`, and their posteriors go into the totals; else natural ones are those of the table
    (s, n), and posteriors go into `resp`. The evidence (n,) is written row by row. `start` and `moves` are padded with
    zeros to a multiple of four states. A weight has each sequence, or none where all count once.
    """
    s, padded, d, f = U(len(eta)), U(len(start)), U(len(origin)), U(pairs.shape[1])
    size, longest = padded * _T, (_length(begins, _0) + U(TIMES) - _1) // U(TIMES)
    back, onward = moves.T.copy().ravel(), moves.ravel()
    natural = _flat(eta, padded, x.dtype)
    liks, joints = np.zeros((longest, size), x.dtype), np.zeros((longest, size), x.dtype)
    scales, tops = np.ones((longest, _T), x.dtype), np.zeros((longest, _T), x.dtype)
    y, features = np.ones((d + _1) * _T, x.dtype), np.zeros(f * _T, x.dtype)
    gamma, b = np.zeros(size, x.dtype), np.zeros(size, x.dtype)
    inverse, ends = np.ones(_L, x.dtype), np.zeros(_L, x.dtype)
    counted, starts, total, lost = np.zeros((padded, padded)), np.zeros(padded), np.zeros((padded, f)), 0
    for first in range(share * _L, begins[_1], shares * _L):
        length = _length(begins, first)
        tiles = (length + U(TIMES) - _1) // U(TIMES)
        _fill(inverse, 1)
        _fill(b, 0)
        for k in range(tiles):
            time, rows, lik, joint = k * U(TIMES), min(U(TILE), (length - k * U(TIMES)) * _L), liks[k], joints[k]
            if f:
                _features_of(x, d, origin, pairs, begins, time, first, y, features, rows)
                _table(natural, padded, f, features, lik, rows)
            else:
                _given(table, s, begins, time, first, lik, rows)
            lost += _densities(lik, s, tops[k], rows)
            if k:
                _carry(joints[k - _1], joint, padded)
            _ahead(lik, joint, scales[k], inverse, ends, start, back, padded, begins, time, first, rows)
        for left in range(tiles):
            k = tiles - _1 - left
            time, rows, lik, joint = k * U(TIMES), min(U(TILE), (length - k * U(TIMES)) * _L), liks[k], joints[k]
            _back(lik, joint, gamma, b, ends, onward, padded, begins, time, first, rows)
            _say(gamma, U(len(resp)), scales[k], tops[k], begins, time, first, resp, evidence, rows)
            lost += _unsafe(scales[k], least, b, s, rows)
            if len(weight):
                _weigh(lik, padded, weight, first, rows)
                _weigh(gamma, padded, weight, first, rows)
            if k == _0:
                _first(gamma, joint, starts, padded)
            _collect(padded, padded, lik, joint, counted, rows)
            if f:
                _features_of(x, d, origin, pairs, begins, time, first, y, features, rows)
                _collect(padded, f, features, gamma, total, rows)
    return counted[:s, :s] * moves[:s, :s], starts[:s], total[:s], lost
