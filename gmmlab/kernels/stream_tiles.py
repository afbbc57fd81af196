"""Rows of a stream, one after the other, moving Gaussians that are held by precisions. Importing it imports numba.

What `fit/growing.py` does with a row, as long as nothing is born and nothing is missing: a call of numpy takes as long
as all the arithmetic of a row with thirty columns.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from gmmlab.kernels.compiled_tiles import compiled, part

_LOG_2PI = math.log(2 * math.pi)


@part
@no_type_check
def _solved(precision, offset, solved):
    """L e into `solved`, and e' L e."""
    distance = 0.0
    for a in range(len(offset)):
        total = 0.0
        for b in range(len(offset)):
            total += precision[a, b] * offset[b]
        solved[a] = total
        distance += total * offset[a]
    return distance


@part
@no_type_check
def _rank_one(precision, solved, scale, outer):
    """L <- scale L + outer z z'."""
    for a in range(len(solved)):
        factor = outer * solved[a]
        for b in range(len(solved)):
            precision[a, b] = scale * precision[a, b] + factor * solved[b]


@compiled
@no_type_check
def take_rows(
    x, times, mean, precision, log_det, sp, age, updates, log_prob, coefficient, far, forgetting, least, pause
):
    """Move components by rows, up to the first that is for the host, and after `pause` of them; gives how many.

    Those have gaps, count for nothing, or are at a distance of `far` from all. `log_prob` gets the log density of each
    row under the mixture before it. The coefficient of a row of weight w is w times a polynomial in w.
    """
    (n, d), k = x.shape, len(sp)
    offset, solved = np.empty((k, d)), np.empty((k, d))
    distance, joint = np.empty(k), np.empty(k)
    for i in range(min(n, pause)):
        top, nearest, count = -np.inf, np.inf, 0.0
        for j in range(k):
            for a in range(d):
                offset[j, a] = x[i, a] - mean[j, a]
            distance[j] = _solved(precision[j], offset[j], solved[j])
            joint[j] = math.log(sp[j]) - 0.5 * (d * _LOG_2PI + log_det[j] + distance[j])
            top, nearest, count = max(top, joint[j]), min(nearest, distance[j]), count + sp[j]
        if not times[i] > 0 or not nearest < far:  # nor is that of a row with gaps, which is NaN
            return i
        total = 0.0
        for j in range(k):
            joint[j] = math.exp(joint[j] - top)
            total += joint[j]
        log_prob[i] = top + math.log(total / count)
        for j in range(k):
            resp = joint[j] * (times[i] / total)
            sp[j] = sp[j] * forgetting + resp
            age[j] += 1
            w = resp / sp[j]
            for a in range(d):
                mean[j, a] += w * offset[j, a]
            if not w * (1 + distance[j]) > least:
                continue
            updates[j] += 1
            keep = 1 - w
            bend = w * (coefficient[0] + w * (coefficient[1] + w * coefficient[2]))
            grown = 1 + bend / keep * distance[j]
            if grown > 0:  # or the covariance would lose its positivity
                _rank_one(precision[j], solved[j], 1 / keep, -bend / (keep * keep * grown))
                log_det[j] += d * math.log1p(-w) + math.log(grown)
    return min(n, pause)
