"""Courses in time: the smooth one that frames, and differences of neighbours, make most likely.

A regression answers frame by frame, and its answers need not fit together. Here frames have *windows*: sums of a frame
and its neighbours, such as the level (1) and the slope (-1/2, 0, 1/2). A model that predicts mean m and variance v of
every window at every frame is asked for the course y of levels that is most likely,

    max_y  sum_tw log N((W_w y)_t | m_tw, v_tw)        (sum_w W_w' P_w W_w) y = sum_w W_w' P_w m_w

with P_w = diag(1 / v_w), which is a banded system, solved in O(T). Courses so found, like all averages, vary less than
data do. `rescaled` stretches them to the variance of data; `varied` has it in the objective,

    max_y  sum_tw log N((W_w y)_t | m_tw, v_tw) + gamma W T log N(var(y) | g, s)

for W windows of T frames, where variances of data within a course have mean g and variance s. With gamma = 1 it is
that of Toda, Black and Tokuda (2007) for columns whose variances are independent: they have two windows, and 1 / (2 T)
times the first term. With A y = b the system above, and J y = y less its mean, it is stationary where (A + l J) y = b,

    l = 2 gamma W (var(y) - g) / s

Var(y) falls with l as long as A + l J is positive definite, so that one l solves both equations there; and there the
course is the best of all, not of its neighbours only, as in a trust region (More and Sorensen 1983). See also Tokuda et
al. (2000), equation 15.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.linalg import cho_solve_banded, cholesky_banded, solve_banded
from scipy.optimize import brentq
from scipy.sparse import block_array, csr_array, eye_array
from scipy.sparse.linalg import LinearOperator, eigsh, splu

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData, DataWarning, warn

LEVEL = (1.0,)
SLOPE = (-0.5, 0.0, 0.5)
BEND = (1.0, -2.0, 1.0)

Windows = Sequence[Sequence[float]]


def with_windows(y: Float[Tensor, "t q"], windows: Windows) -> Float[Tensor, "t v"]:
    """The windows of a course, side by side: all columns in the first window, then all in the next one.

    Beyond its ends the course is taken to stay as it is there.
    """
    check_windows(windows)
    level = y.double().cpu().numpy()
    return torch.cat([torch.from_numpy(_operator(window, len(y)) @ level) for window in windows], 1).to(y)


def most_likely(mean: Float[Tensor, "t w"], variance: Float[Tensor, "t w"], windows: Windows) -> Float[Tensor, "t"]:
    """The most likely course of one column, from mean and variance of each window at each frame.

    Raises `BadData` where windows leave the level open, as slopes alone do.
    """
    matrix, right = _normal_equations(mean, variance, windows)
    return torch.from_numpy(cho_solve_banded((_upper(matrix, windows), False), right)).to(mean)


def drawn(
    mean: Float[Tensor, "t w"], variance: Float[Tensor, "t w"], windows: Windows, rng: torch.Generator
) -> Float[Tensor, "t"]:
    """A course of one column, drawn from the Gaussian whose mode `most_likely` is; A = U'U, y = mode + U^-1 z."""
    matrix, _ = _normal_equations(mean, variance, windows)
    noise = torch.randn(len(mean), generator=rng, dtype=torch.float64, device=rng.device).cpu().numpy()
    upper = _upper(matrix, windows)
    step = solve_banded((0, len(upper) - 1), upper, noise)
    return most_likely(mean, variance, windows) + torch.from_numpy(step).to(mean)


class GlobalVariance(NamedTuple):
    """The variance of each column within a course: its mean over courses, and how much it varies over them."""

    mean: Float[Tensor, "q"]
    variance: Float[Tensor, "q"]


def global_variance(courses: Sequence[Float[Tensor, "_ q"]]) -> GlobalVariance:
    """What courses say of their variances; of one course alone, that they are exactly its own."""
    if not courses:
        raise BadData("There is no course to take the variance of; expected one or more.")
    each = torch.stack([course.double().var(0, correction=0) for course in courses])
    return GlobalVariance(each.mean(0), each.var(0, correction=0))


def rescaled(y: Float[Tensor, "t q"], gv: Float[Tensor, "q"]) -> Float[Tensor, "t q"]:
    """The course stretched about its mean, so that each column has the variance `gv`.

    A column that does not move at all has nothing to stretch: it stays, and is warned of.
    """
    _check_variances(gv, y.shape[1])
    mean, variance = y.mean(0), y.var(0, correction=0)
    _warn_of_still(variance)
    scale = torch.where(variance > 0, gv.to(y) / torch.where(variance > 0, variance, 1.0), 1.0).sqrt()
    return mean + scale * (y - mean)


def varied(
    mean: Float[Tensor, "q t w"],
    variance: Float[Tensor, "q t w"],
    windows: Windows,
    gv: GlobalVariance,
    weight: float = 1.0,
) -> Float[Tensor, "t q"]:
    """The most likely course of each column if its variance, too, is as `gv` says: gamma is the `weight`.

    Of a weight of 0 it is `most_likely`; of an infinite one, or where variances of data do not vary, it has exactly the
    variance `gv.mean`. A column whose most likely course does not move stays, and is warned of. Takes O(T).
    """
    if not weight >= 0:
        raise ValueError(f"The weight of the global variance is {weight}; expected a number of at least 0.")
    for each in gv:
        _check_variances(each, len(mean))
    if weight == 0:
        return torch.stack([most_likely(m, v, windows) for m, v in zip(mean, variance, strict=True)], 1)
    wanted, slack = gv.mean.tolist(), (gv.variance / (2 * weight * len(windows))).tolist()
    columns = zip(mean, variance, wanted, slack, strict=True)
    course = torch.from_numpy(np.stack([_one_varied(m, v, windows, *asked) for m, v, *asked in columns], 1))
    _warn_of_still(course.var(0, correction=0))
    return course.to(mean)


def check_windows(windows: Windows) -> None:
    """Raises `ValueError` unless each is an odd number of finite coefficients, centred on its frame."""
    for window in windows:
        if len(window) % 2 == 0 or not all(np.isfinite(window)):
            raise ValueError(
                f"A window is {list(window)}; expected an odd number of finite coefficients about its frame, such as "
                f"{list(LEVEL)} or {list(SLOPE)}."
            )
    if not windows:
        raise ValueError("There are no windows; expected one or more, such as the level (1,).")


OPEN = "The windows leave the level of the course open, as slopes alone do; expected the level, (1,), among them."


def _operator(window: Sequence[float], n: int) -> Any:
    """The matrix (n, n) that takes a course to a window of it; what reaches beyond an end falls on that end."""
    half, frame = len(window) // 2, np.arange(n)
    column = np.clip(frame[:, None] + np.arange(-half, half + 1), 0, n - 1)
    values = np.broadcast_to(np.asarray(window, dtype=np.float64), column.shape)
    return csr_array((values.ravel(), (np.repeat(frame, len(window)), column.ravel())), shape=(n, n))


def _one_varied(mean: Tensor, variance: Tensor, windows: Windows, wanted: float, slack: float) -> np.ndarray:
    """The course of one column with var(y) = wanted + slack l and (A + l J) y = b: the root of what falls with l.

    A + l J is positive definite for l > -1 / top, with `top` the first eigenvalue of J A^-1 J, the covariance of the
    course less its mean.
    """
    matrix, right = _normal_equations(mean, variance, windows)
    factor, n = (_upper(matrix, windows), False), len(right)
    course = cho_solve_banded(factor, right)
    if course.var() == 0:
        return course
    cov = LinearOperator((n, n), lambda y: _centred(cho_solve_banded(factor, _centred(y.ravel()))), dtype=np.float64)
    anywhere = np.random.default_rng(0).normal(size=n)  # the course itself may have no part in the direction sought
    (top,), direction = eigsh(cov, k=1, v0=_centred(anywhere))

    def excess(at: float) -> float:
        return wanted + slack * at / top - _tilted(matrix, right, at / top).var()

    low, high = (EDGE, 0.0) if excess(0) > 0 else (0.0, 1.0)
    while excess(high) < 0:
        low, high = high, 2 * high
    if (missing := excess(low)) > 0:  # nothing of the course lies in this direction, in which it may go either way
        step = cho_solve_banded(factor, direction[:, 0]) / top  # less its mean it is the direction itself
        return _tilted(matrix, right, low / top) + np.sqrt(n * missing) * step
    return _tilted(matrix, right, brentq(excess, low, high, xtol=1e-15, rtol=1e-14) / top)


EDGE = 1e-10 - 1  # as near as l top comes to where A + l J is singular


def _tilted(matrix: csr_array, right: np.ndarray, tilt: float) -> np.ndarray:
    """The solution of (A + l J) y = b, which is not banded: that of a banded system for y and its mean m,

    (A + l I) y - l m 1 = b        1'y - T m = 0
    """
    n = len(right)
    ones = csr_array(np.ones((n, 1)))
    blocks = [[matrix + tilt * eye_array(n), -tilt * ones], [ones.T, csr_array([[-float(n)]])]]
    return splu(block_array(blocks, format="csc")).solve(np.append(right, 0.0))[:n]


def _centred(y: np.ndarray) -> np.ndarray:
    return y - y.mean()


def _check_variances(gv: Tensor, q: int) -> None:
    if gv.shape != (q,) or not bool((torch.isfinite(gv) & (gv >= 0)).all()):
        raise BadData(f"gv is {gv.tolist()}; expected {q} finite variances, one for each column.")


def _warn_of_still(variance: Float[Tensor, "q"]) -> None:
    if still := int((variance == 0).sum()):
        warn(
            f"{still} of {len(variance)} columns do not change in this course and keep their variance of 0.",
            DataWarning,
        )


def _upper(matrix: csr_array, windows: Windows) -> np.ndarray:
    """The factor U of a banded matrix U'U, as LAPACK has it (the diagonal last)."""
    if all(abs(sum(window)) <= 1e-12 * max(map(abs, window)) for window in windows):
        raise BadData(OPEN)  # rounding may hide from the factorisation that the system is singular
    n = matrix.shape[0]
    wide = min(n - 1, max(len(window) for window in windows) - 1)
    bands = np.zeros((wide + 1, n))
    for k in range(wide + 1):
        bands[wide - k, k:] = matrix.diagonal(k)
    try:
        return cholesky_banded(bands)
    except np.linalg.LinAlgError as err:
        raise BadData(OPEN) from err


def _normal_equations(mean: Tensor, variance: Tensor, windows: Windows) -> tuple[csr_array, np.ndarray]:
    """A = sum_w W'PW, and b = sum_w W'Pm."""
    check_windows(windows)
    n, m, v = len(mean), mean.double().cpu().numpy(), variance.double().cpu().numpy()
    if m.shape[1] != len(windows):
        raise ValueError(f"There are means of {m.shape[1]} window(s); expected {len(windows)}, one for each.")
    if not (v > 0).all():
        raise BadData("A variance of a window is zero or NaN; expected positive ones. A larger reg_covar would help.")
    matrix, right = csr_array((n, n)), np.zeros(n)
    for j, window in enumerate(windows):
        operator = _operator(window, n)
        weighted = operator.T * (1 / v[:, j])
        matrix, right = matrix + weighted @ operator, right + weighted @ m[:, j]
    return matrix, right
