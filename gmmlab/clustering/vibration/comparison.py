"""How well clusterings of statistics find the condition of a machine, over a grid of choices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.clustering.vibration.signals import Array
from gmmlab.clustering.vibration.statistics import singles
from gmmlab.extras import needs

if TYPE_CHECKING:
    from pandas import DataFrame


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
