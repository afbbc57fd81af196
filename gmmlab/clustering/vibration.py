"""Windows of a vibration signal as a few statistics, and how well clusterings of these find the machine's condition.

A benchmark after Sepin, Kemnitz, Rezapour Lakani and Schall (2023): signals -> statistics in time and frequency ->
k-means, OPTICS or a Gaussian mixture, over a grid of statistics, numbers of groups and principal components. The
signals are made up, and windows and grids are ours; the article's three data sets are public, but not ours to give.

    signals = simulate("bearing", seed=0)
    tables = features(signals.windows, signals.fs)          # a column for each statistic in each domain
    results = grid({"bearing": tables}, {"bearing": signals.condition})
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.errors import BadData
from gmmlab.extras import needs

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]

FS = 12_000.0  # samples per second
SHAFT = 29.0  # turns per second
JITTER, GAIN = 0.01, 0.05  # relative: of the speed, and of the sensor
RESONANCE, DECAY = 3000.0, 0.002  # Hz and s, of what an impact rings
MESH = 20  # teeth that meet in a turn


class Signals(NamedTuple):
    """Windows of acceleration, a row each, the condition of the machine in each, and its load."""

    windows: Array
    condition: NDArray[np.str_]
    load: NDArray[np.int64]
    fs: float


# signals


def simulate(
    kind: str = "bearing",
    seed: int = 0,
    *,
    windows: int = 40,
    loads: int = 3,
    seconds: float = 1.0,
    severity: float = 1.0,
) -> Signals:
    """Windows of a machine in several conditions: `windows` of each at each load, none of which overlap.

    'bearing': healthy, or with a fault of the outer race, inner race or a ball. A fault is struck 3.58, 5.42 or 2.36
    times a turn, and each impact rings at 3 kHz for 2 ms; the inner race passes through the load once a turn.
    'pump': an unbalance of four sizes, with and without the broad noise of cavitation. 'gearbox': a mesh of teeth with
    sidebands, with and without a tooth that is broken. All have harmonics of the shaft, a phase of their own, 1 % of
    jitter in speed, 5 % in the gain of the sensor, and noise. A higher load is louder; `severity` scales the faults.
    Raises `BadData` for other kinds, and for windows that are shorter than two turns.
    """
    if kind not in MACHINES:
        raise BadData(f"There is no machine {kind!r}; expected one of {', '.join(MACHINES)}.")
    if min(windows, loads) < 1 or seconds * SHAFT < 2:
        raise BadData(
            f"Got windows={windows}, loads={loads}, seconds={seconds:g}; expected at least 1, 1 and {2 / SHAFT:.2g}."
        )
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * FS)) / FS
    found, condition, load = [], [], []
    for (name, machine), level, _ in product(MACHINES[kind].items(), range(loads), range(windows)):
        speed = SHAFT * (1 + JITTER * rng.uniform(-1, 1))
        turns = speed * time + rng.uniform()
        signal = _shaft(turns, rng) + severity * machine(turns, rng) + 0.3 * rng.standard_normal(len(time))
        found.append((1 + 0.2 * level) * (1 + GAIN * rng.uniform(-1, 1)) * signal)
        condition.append(name)
        load.append(level)
    return Signals(np.array(found), np.array(condition), np.array(load), FS)


Machine = Callable[[Array, np.random.Generator], Array]  # what a condition adds, over turns of the shaft


def _shaft(turns: Array, rng: np.random.Generator) -> Array:
    """The shaft and two overtones."""
    signal = np.zeros_like(turns)
    for harmonic, amplitude in ((1, 1.0), (2, 0.5), (3, 0.25)):
        signal += amplitude * np.sin(2 * np.pi * (harmonic * turns + rng.uniform()))
    return signal


def _healthy(turns: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001 - nothing is wrong
    return np.zeros_like(turns)


def _impacts(per_turn: float, *, modulated: bool = False, strength: tuple[float, float] = (0.5, 2.0)) -> Machine:
    """Impacts so many times a turn, each of which rings; modulated once a turn where the fault goes round."""

    def machine(turns: Array, rng: np.random.Generator) -> Array:
        speed = (turns[-1] - turns[0]) / (len(turns) - 1) * FS
        phase = rng.uniform()
        since = np.mod(per_turn * turns + phase, 1.0) / (per_turn * speed)  # seconds since the last impact
        ring = np.exp(-since / DECAY) * np.sin(2 * np.pi * RESONANCE * since)
        size = rng.uniform(*strength) * (1 + 0.8 * np.cos(2 * np.pi * turns) if modulated else 1.0)
        return size * ring

    return machine


def _pump(unbalance: float, cavitation: float) -> Machine:
    def machine(turns: Array, rng: np.random.Generator) -> Array:
        phase = rng.uniform()
        once = (unbalance - 1) * np.sin(2 * np.pi * (turns + phase))
        return once + cavitation * rng.standard_normal(len(turns))

    return machine


def _gears(broken: bool) -> Machine:
    tooth = _impacts(1.0, strength=(1.0, 3.0))

    def machine(turns: Array, rng: np.random.Generator) -> Array:
        depth = 0.6 if broken else 0.2  # of the sidebands
        mesh = (1 + depth * np.cos(2 * np.pi * turns)) * np.sin(2 * np.pi * (MESH * turns + rng.uniform()))
        return mesh + tooth(turns, rng) if broken else mesh

    return machine


MACHINES: dict[str, dict[str, Machine]] = {
    "bearing": {
        "healthy": _healthy,
        "outer race": _impacts(3.58),
        "inner race": _impacts(5.42, modulated=True),
        "ball": _impacts(2.36),
    },
    "pump": {
        f"unbalance {size:g}{', cavitation' if noise else ''}": _pump(size, noise)
        for size, noise in product((1.0, 1.5, 2.0, 3.0), (0.0, 0.6))
    },
    "gearbox": {"sound": _gears(False), "broken tooth": _gears(True)},
}


def from_csv(
    path: str | Path, fs: float, *, seconds: float = 1.0, column: str | int = 0, condition: str = ""
) -> Signals:
    """One recording in a column of a CSV file, cut into windows that do not overlap (what is left over is dropped).

    Recordings of several conditions are put together by `join`.
    """
    path = Path(path)
    table = needs("pandas").read_csv(path)
    values = table[column] if isinstance(column, str) else table.iloc[:, column]
    return cut(values.to_numpy(dtype=np.float64), fs, seconds=seconds, condition=condition or path.stem)


def from_mat(path: str | Path, fs: float, *, name: str, seconds: float = 1.0, condition: str = "") -> Signals:
    """The same for the variable `name` of a MATLAB file, as bearing data are often given away."""
    from scipy.io import loadmat

    path = Path(path)
    held = loadmat(path)
    if name not in held:
        raise BadData(f"{path.name} has no variable {name!r}; it has {', '.join(k for k in held if k[0] != '_')}.")
    return cut(np.ravel(held[name]).astype(np.float64), fs, seconds=seconds, condition=condition or path.stem)


def cut(signal: Array, fs: float, *, seconds: float = 1.0, condition: str = "", load: int = 0) -> Signals:
    """Windows of one recording. They do not overlap: what overlaps would be found again in another group."""
    length = round(seconds * fs)
    count = len(signal) // length if length else 0
    if count == 0:
        raise BadData(f"The signal has {len(signal)} samples; expected at least one window of {length}.")
    windows = np.asarray(signal, dtype=np.float64)[: count * length].reshape(count, length)
    return Signals(windows, np.full(count, condition), np.full(count, load), float(fs))


def join(parts: Sequence[Signals]) -> Signals:
    """Several recordings as one set. Raises `BadData` where their windows differ."""
    if len({(part.windows.shape[1], part.fs) for part in parts}) != 1:
        raise BadData("The recordings differ in their sampling rate or the length of their windows; expected the same.")
    windows, condition, load = (np.concatenate(column) for column in zip(*(part[:3] for part in parts), strict=True))
    return Signals(windows, condition, load, parts[0].fs)


# statistics


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


# scores


def majority(labels: NDArray[np.integer], truth: NDArray[Any]) -> float:
    """Accuracy when each group stands for its most frequent condition; several groups may stand for one.

    Rows of noise (-1) are wrong. It cannot fall when groups are parted further.
    """
    _, found = np.unique(truth, return_inverse=True)
    kept = labels >= 0
    if not kept.any():
        return 0.0
    table = np.zeros((int(labels.max()) + 1, int(found.max()) + 1))
    np.add.at(table, (labels[kept], found[kept]), 1)
    return float(table.max(1).sum() / len(labels))


Parting = Callable[[Array, int, int], NDArray[np.int64]]  # from standardised rows, a number of groups and a seed


class Algorithm(NamedTuple):
    """A clustering, and whether it is told a number of groups or finds it."""

    part: Parting
    told: bool = True


def by_kmeans() -> Algorithm:
    """k-means from ten starts."""
    from sklearn.cluster import KMeans

    return Algorithm(lambda x, k, seed: KMeans(k, n_init=10, random_state=seed).fit_predict(x).astype(np.int64))


def by_mixture(covariance_type: str = "full") -> Algorithm:
    """A Gaussian mixture, from five starts by k-means; variances have a floor, as rows may nearly coincide."""
    from gmmlab.estimators import GaussianMixture

    def part(x: Array, k: int, seed: int) -> NDArray[np.int64]:
        options = {"n_init": 5, "init_params": "kmeans", "reg_covar": 1e-4, "random_state": seed}
        model = GaussianMixture(k, covariance_type=covariance_type, **options)  # type: ignore[arg-type]
        return np.asarray(model.fit_predict(x), dtype=np.int64)

    return Algorithm(part)


def by_optics(min_samples: int = 5, xi: float = 0.05) -> Algorithm:
    """OPTICS, which finds the number of groups itself."""
    from sklearn.cluster import OPTICS

    def part(x: Array, k: int, seed: int) -> NDArray[np.int64]:  # noqa: ARG001 - it asks for neither
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "divide by zero", RuntimeWarning)  # rows that coincide
            return OPTICS(min_samples=min_samples, xi=xi).fit_predict(x).astype(np.int64)

    return Algorithm(part, told=False)


ALGORITHMS: dict[str, Algorithm] = {
    "k-means": by_kmeans(),
    "GMM full": by_mixture("full"),
    "GMM diag": by_mixture("diag"),
    "OPTICS": by_optics(),
}


def grid(
    tables: Mapping[str, DataFrame],
    truth: Mapping[str, NDArray[Any]],
    *,
    algorithms: Mapping[str, Algorithm] | None = None,
    feature_sets: Sequence[Sequence[str]] | None = None,
    pca: Sequence[float | None] = (None,),
    extra: Sequence[int] = (0,),
    seed: int = 0,
) -> DataFrame:
    """Scores of every clustering of every set of columns, a row each; columns are standardised first.

    `tables` and `truth` have the statistics and the conditions of each data set. `feature_sets` are columns, each
    alone by default; `pca` shares of variance that principal components keep, None for none; `extra` how many groups
    more than conditions are asked for (algorithms that find the number by themselves are asked once). Scores: accuracy
    by majority, adjusted Rand index, and normalised mutual information, which is the V-measure; noise is wrong in the
    first, and one more group in the others.
    """
    algorithms = ALGORITHMS if algorithms is None else algorithms
    rows = []
    for data, table in tables.items():
        kinds = len(np.unique(truth[data]))
        for chosen, share in product(singles(table) if feature_sets is None else feature_sets, pca):
            z = reduced(table[list(chosen)].to_numpy(), share)
            cell = {"data": data, "features": " + ".join(chosen), "n_features": len(chosen), "pca": share}
            for name, algorithm in algorithms.items():
                scores: dict[str, float] = {}
                for more in extra:
                    if algorithm.told or not scores:
                        scores = _scores(algorithm.part(z, kinds + more, seed), truth[data])
                    rows.append(cell | {"extra": more, "algorithm": name} | scores)
    return needs("pandas").DataFrame(rows)


def reduced(x: Array, share: float | None) -> Array:
    """Standardised columns, and of these the leading principal components that keep a share of the variance."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    z: Array = StandardScaler().fit_transform(x)
    return z if share is None or z.shape[1] == 1 else PCA(share, svd_solver="full").fit_transform(z)


def _scores(labels: NDArray[np.int64], truth: NDArray[Any]) -> dict[str, float]:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return {
        "accuracy": majority(labels, truth),
        "ARI": float(adjusted_rand_score(truth, labels)),
        "NMI": float(normalized_mutual_info_score(truth, labels)),
        "groups": len(np.unique(labels[labels >= 0])),
    }


def ranks(results: DataFrame, score: str = "accuracy") -> DataFrame:
    """Mean rank of each algorithm over the cells of a grid (1 is best), and Wilcoxon's signed-rank p against the first.

    Cells are what the algorithms have in common: data, columns, components and number of groups.
    """
    from scipy.stats import wilcoxon

    cells = results.assign(pca=results["pca"].fillna(1.0))
    table = cells.pivot_table(score, ["data", "features", "pca", "extra"], "algorithm").dropna()
    order = table.rank(axis=1, ascending=False).mean().sort_values()
    best = table[order.index[0]]
    p = [
        np.nan if np.allclose(table[name], best) else float(wilcoxon(best, table[name]).pvalue) for name in order.index
    ]
    shown = {"mean rank": order, f"mean {score}": table.mean()[order.index], "p against the first": p}
    return needs("pandas").DataFrame(shown)
