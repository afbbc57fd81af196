"""Windows of a signal as a few statistics, in time and in frequency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from gmmlab.clustering.vibration.signals import FS, Array
from gmmlab.errors import BadData
from gmmlab.extras import needs

if TYPE_CHECKING:
    from pandas import DataFrame

Statistic = Callable[[Array], Array]


def spectrum(windows: Array) -> Array:
    """Magnitudes of the Fourier transform of windows without their linear trend, under a Hann window.

    One-sided and scaled so that the sum of squares is that of the tapered window divided by its mean square (Parseval).
    """
    from scipy.signal import detrend
    from scipy.signal.windows import hann

    n = windows.shape[1]
    taper = hann(n, sym=False)
    z = np.fft.rfft(detrend(windows, axis=1) * taper, axis=1) / np.sqrt(n * (taper**2).mean())
    twice = np.full(z.shape[1], 2.0)
    twice[0] = 1.0
    if n % 2 == 0:
        twice[-1] = 1.0
    return np.abs(z) * np.sqrt(twice)


def _shape(power: int) -> Statistic:
    """The standardised central moment; that of a normal distribution is taken off the fourth."""

    def statistic(x: Array) -> Array:
        z = x - x.mean(1, keepdims=True)
        scale = np.sqrt((z**2).mean(1))
        moment = (z**power).mean(1) / np.where(scale > 0, scale, 1.0) ** power
        return moment - (3.0 if power == 4 else 0.0)

    return statistic


STATISTICS: dict[str, Statistic] = {
    "mean": lambda x: x.mean(1),
    "median": lambda x: np.median(x, axis=1),
    "std": lambda x: x.std(1),
    "IQR": lambda x: np.subtract(*np.percentile(x, [75, 25], axis=1)),
    "skewness": _shape(3),
    "kurtosis": _shape(4),
    "mean |x|": lambda x: np.abs(x).mean(1),
    "rms": lambda x: np.sqrt((x**2).mean(1)),
    "crest": lambda x: np.abs(x).max(1) / np.sqrt((x**2).mean(1)),
    "range": lambda x: np.ptp(x, axis=1),
}
SIX = ("mean", "median", "std", "IQR", "skewness", "kurtosis")  # those of the article
GROUPS = {
    "averaging": ("mean", "median", "mean |x|", "rms"),
    "variance": ("std", "IQR", "range"),
    "shape": ("skewness", "kurtosis", "crest"),
}
DOMAINS: dict[str, Callable[[Array], Array]] = {"time": lambda x: x, "frequency": spectrum}


def features(
    windows: Array, fs: float = FS, names: Sequence[str] = SIX, domains: Sequence[str] = ("time", "frequency")
) -> DataFrame:
    """Statistics of windows, a row each, in columns such as 'std time' and 'mean frequency'.

    In time, the statistics are of the samples, in frequency of the magnitudes of the spectrum. The mean and the median
    of the samples of a vibration are near zero and tell nothing; 'mean |x|' and 'rms' may stand for them. `fs` is not
    looked at by these statistics, which count lines of a spectrum and not hertz; it must be positive.
    """
    windows = np.atleast_2d(np.asarray(windows, dtype=np.float64))
    if unknown := [name for name in names if name not in STATISTICS]:
        raise BadData(f"There is no statistic {unknown[0]!r}; expected some of {', '.join(STATISTICS)}.")
    if unknown := [name for name in domains if name not in DOMAINS]:
        raise BadData(f"There is no domain {unknown[0]!r}; expected some of {', '.join(DOMAINS)}.")
    if not np.isfinite(windows).all() or fs <= 0:
        raise BadData(f"The windows hold NaN or inf, or fs={fs:g} is not positive; expected a signal without gaps.")
    columns: dict[str, Array] = {}
    for domain in domains:
        x = DOMAINS[domain](windows)
        columns |= {f"{name} {domain}": STATISTICS[name](x) for name in names}
    return needs("pandas").DataFrame(columns)


def singles(table: DataFrame) -> list[tuple[str, ...]]:
    """Every column by itself."""
    return [(name,) for name in table.columns]


def sets(table: DataFrame, sizes: Iterable[int] = (1, 2, 3)) -> list[tuple[str, ...]]:
    """All sets of so many columns."""
    return [chosen for size in sizes for chosen in combinations(table.columns, size)]
