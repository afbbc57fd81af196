"""Courses in time: the smooth one that frames, and differences of neighbours, make most likely.

A regression answers frame by frame, and its answers need not fit together. Here frames have *windows*: sums of a frame
and its neighbours, such as the level (1) and the slope (-1/2, 0, 1/2). A model that predicts mean m and variance v of
every window at every frame is asked for the course y of levels that is most likely,

    max_y  sum_tw log N((W_w y)_t | m_tw, v_tw)        (sum_w W_w' P_w W_w) y = sum_w W_w' P_w m_w

with P_w = diag(1 / v_w), which is a banded system, solved in O(T). Courses so found, like all averages, vary less than
data do; `rescaled` gives them the variance of data. See Tokuda et al. (2000), equation 15, and Toda, Black and Tokuda
(2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.linalg import cholesky_banded, solve_banded, solveh_banded
from scipy.sparse import csr_array

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
    bands, right = _normal_equations(mean, variance, windows)
    try:
        return torch.from_numpy(solveh_banded(bands, right)).to(mean)
    except np.linalg.LinAlgError as err:
        raise BadData(OPEN) from err


def drawn(
    mean: Float[Tensor, "t w"], variance: Float[Tensor, "t w"], windows: Windows, rng: torch.Generator
) -> Float[Tensor, "t"]:
    """A course of one column, drawn from the Gaussian whose mode `most_likely` is; A = U'U, y = mode + U^-1 z."""
    bands, _ = _normal_equations(mean, variance, windows)
    noise = torch.randn(len(mean), generator=rng, dtype=torch.float64, device=rng.device).cpu().numpy()
    try:
        upper = cholesky_banded(bands)
    except np.linalg.LinAlgError as err:
        raise BadData(OPEN) from err
    step = solve_banded((0, len(upper) - 1), upper, noise)
    return most_likely(mean, variance, windows) + torch.from_numpy(step).to(mean)


def global_variance(courses: Sequence[Float[Tensor, "_ q"]]) -> Float[Tensor, "q"]:
    """The variance of each column within a course, on average over courses: what `rescaled` asks for."""
    if not courses:
        raise BadData("There is no course to take the variance of; expected one or more.")
    return torch.stack([course.double().var(0, correction=0) for course in courses]).mean(0)


def rescaled(y: Float[Tensor, "t q"], gv: Float[Tensor, "q"]) -> Float[Tensor, "t q"]:
    """The course stretched about its mean, so that each column has the variance `gv`.

    A column that does not move at all has nothing to stretch: it stays, and is warned of.
    """
    if gv.shape != y.shape[1:] or not bool((torch.isfinite(gv) & (gv >= 0)).all()):
        raise BadData(f"gv is {gv.tolist()}; expected {y.shape[1]} finite variances, one for each column.")
    mean, variance = y.mean(0), y.var(0, correction=0)
    if still := int((variance == 0).sum()):
        warn(f"{still} of {y.shape[1]} columns do not change in this course and keep their variance of 0.", DataWarning)
    scale = torch.where(variance > 0, gv.to(y) / torch.where(variance > 0, variance, 1.0), 1.0).sqrt()
    return mean + scale * (y - mean)


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


def _normal_equations(mean: Tensor, variance: Tensor, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Upper bands of sum_w W'PW, as LAPACK has them (the diagonal last), and sum_w W'Pm."""
    check_windows(windows)
    n, m, v = len(mean), mean.double().cpu().numpy(), variance.double().cpu().numpy()
    if m.shape[1] != len(windows):
        raise ValueError(f"There are means of {m.shape[1]} window(s); expected {len(windows)}, one for each.")
    if not (v > 0).all():
        raise BadData("A variance of a window is zero or NaN; expected positive ones. A larger reg_covar would help.")
    wide = min(n - 1, max(len(window) for window in windows) - 1)
    matrix, right = csr_array((n, n)), np.zeros(n)
    for j, window in enumerate(windows):
        operator = _operator(window, n)
        weighted = operator.T * (1 / v[:, j])
        matrix, right = matrix + weighted @ operator, right + weighted @ m[:, j]
    bands = np.zeros((wide + 1, n))
    for k in range(wide + 1):
        bands[wide - k, k:] = matrix.diagonal(k)
    return bands, right
