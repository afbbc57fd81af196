"""Windows of a vibration signal as a few statistics, and how well clusterings of these find the machine's condition.

A benchmark after Sepin, Kemnitz, Rezapour Lakani and Schall (2023): signals -> statistics in time and frequency ->
k-means, OPTICS or a Gaussian mixture, over a grid of statistics, numbers of groups and principal components. The
signals are made up, and windows and grids are ours; the article's three data sets are public, but not ours to give.

    signals = simulate("bearing", seed=0)
    tables = features(signals.windows, signals.fs)          # a column for each statistic in each domain
    results = grid({"bearing": tables}, {"bearing": signals.condition})
"""

from gmmlab.clustering.vibration.comparison import (
    ALGORITHMS,
    Algorithm,
    by_kmeans,
    by_mixture,
    by_optics,
    grid,
    majority,
    ranks,
    reduced,
)
from gmmlab.clustering.vibration.signals import FS, MACHINES, SHAFT, Signals, cut, from_csv, from_mat, join, simulate
from gmmlab.clustering.vibration.statistics import GROUPS, SIX, STATISTICS, features, sets, singles, spectrum

__all__ = [
    "ALGORITHMS",
    "FS",
    "GROUPS",
    "MACHINES",
    "SHAFT",
    "SIX",
    "STATISTICS",
    "Algorithm",
    "Signals",
    "by_kmeans",
    "by_mixture",
    "by_optics",
    "cut",
    "features",
    "from_csv",
    "from_mat",
    "grid",
    "join",
    "majority",
    "ranks",
    "reduced",
    "sets",
    "simulate",
    "singles",
    "spectrum",
]
