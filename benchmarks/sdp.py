"""Semidefinite clustering: its times, and how often it is wrong where others are.

python benchmarks/sdp.py          prints the tables and writes benchmarks/sdp.md
python benchmarks/sdp.py --quick  few replicates, and no file
python benchmarks/sdp.py --times  only the times; the file keeps how often it is wrong
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import timing

REPLICATES = 20
CELLS = [(4, 4.0), (4, 6.0), (4, 8.0), (10, 6.0)]  # columns, distance of the means
N, K = 90, 3
FITS = [  # solver, whether to certify what it finds, rows, columns, seconds at most
    ("admm", False, 300, 4, 5.0),
    ("low_rank", False, 300, 4, None),
    ("low_rank", False, 1000, 10, None),
    ("low_rank", True, 1000, 10, None),
    ("low_rank", False, 3000, 10, 120.0),
    ("sketch", False, 1_000_000, 10, 30.0),
]


def errors(replicates: int) -> list[str]:
    """Share of rows in the wrong group, over data sets that all methods meet."""
    import numpy as np

    jobs = [(d, apart, seed) for (d, apart), seed in product(CELLS, range(replicates))]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = list(pool.map(one, jobs))
    shape = (len(CELLS), replicates)
    wrong = {name: np.array([each[name] for each in found]).reshape(shape) for name in found[0]}
    heads = [f"d = {d}, {apart:g} apart" for d, apart in CELLS]
    lines = ["| method | " + " | ".join(heads) + " |", "|---" + "|--:" * len(heads) + "|"]
    for name, cells in wrong.items():
        lines.append(f"| {name} | " + " | ".join(f"{v.mean():.3f}, {v.std():.3f}, {v.max():.3f}" for v in cells) + " |")
    spoilt = wrong["iLA-SDP from random labels"].mean(1)
    less = wrong["iLA-SDP"][3] - wrong["EM from Ward"][3]
    counts = f"better on {(less < 0).sum()} data sets, worse on {(less > 0).sum()}, equal on {(less == 0).sum()}"
    return [
        *lines,
        "",
        _verdict("iLA-SDP from random labels, d = 4, 6 apart", spoilt[1], 0.05),
        _verdict("iLA-SDP from random labels, d = 4, 8 apart", spoilt[2], 0.005),
        _verdict("iLA-SDP less EM from Ward, d = 10, 6 apart", less.mean(), 0.0),
        f"- its standard error is {less.std(ddof=1) / replicates**0.5:.4f}; {counts}",
    ]


def one(job: tuple[int, float, int]) -> dict[str, float]:
    """What each method gets wrong of one data set, on one thread."""
    import numpy as np
    import torch

    from gmmlab.data import shaped_groups
    from gmmlab.kernels.threads import one_blas_thread
    from gmmlab.score import misclassified

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    d, apart, seed = job
    x, y = shaped_groups(N, d, K, apart, torch.Generator().manual_seed(seed))
    x = ((x - x.mean(0)) / x.std(0)).numpy()
    with one_blas_thread():
        return {name: misclassified(torch.as_tensor(np.asarray(found)).long(), y) for name, found in methods(x, seed)}


def methods(x, seed: int):
    """Every method's labels of standardised rows."""
    import numpy as np
    from sklearn.cluster import KMeans, SpectralClustering
    from sklearn.mixture import GaussianMixture

    from gmmlab import GaussianMixture as Ours
    from gmmlab.clustering import SDPClustering

    random = np.random.default_rng(seed).integers(K, size=N)
    yield "k-means (10 starts)", KMeans(K, n_init=10, random_state=seed).fit_predict(x)
    yield "k-means as an SDP", SDPClustering(K, adjust=False, random_state=seed).fit_predict(x)
    yield "spectral clustering", SpectralClustering(K, random_state=seed).fit_predict(x)
    yield "EM of scikit-learn", GaussianMixture(K, random_state=seed).fit_predict(x)
    yield "EM from random labels", Ours(K, init_params=random, random_state=seed).fit_predict(x)
    yield "EM from Ward", Ours(K, init_params="ward", random_state=seed).fit_predict(x)
    yield "EM, our default", Ours(K, random_state=seed).fit_predict(x)
    yield "iLA-SDP from random labels", SDPClustering(K, init=random, random_state=seed).fit_predict(x)
    yield "iLA-SDP from Ward", SDPClustering(K, init="ward", random_state=seed).fit_predict(x)
    yield "iLA-SDP", SDPClustering(K, random_state=seed).fit_predict(x)


def times() -> list[str]:
    """Whole fits, start included, on one thread."""
    import torch

    from gmmlab.clustering import SDPClustering
    from gmmlab.data import shaped_groups
    from gmmlab.kernels.threads import one_blas_thread
    from gmmlab.score import misclassified

    torch.set_num_threads(1)
    head = "| solver | rows | columns | seconds | rounds | wrong | certified | at most | |"
    lines = [head, "|---|--:|--:|--:|--:|--:|---|--:|---|"]
    for solver, certify, n, d, bar in FITS:
        x, y = shaped_groups(n, d, K, 5.0, torch.Generator().manual_seed(0))
        begin = time.process_time()
        with one_blas_thread():
            model = SDPClustering(K, solver=solver, certify=certify, random_state=0).fit(x)
        seconds = time.process_time() - begin
        gap = model.relaxation_gap_ / n
        known = "yes" if model.certified_ else "no bound" if gap == float("inf") else f"no: {gap:.0e} a row"
        said = "" if bar is None else "met" if seconds <= bar else "**not met**"
        name = f"{solver}, then a bound" if certify else solver
        cells = [name, f"{n:,}", str(d), f"{seconds:.1f}", str(model.n_iter_)]
        cells += [f"{misclassified(model.labels_, y):.4f}", known, f"{bar:g}" if bar else "", said]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _verdict(what: str, value: float, bar: float) -> str:
    return f"- {what}: {value:.4f} (at most {bar:g}): {'met' if value <= bar else '**not met**'}"


HEAD = """# Semidefinite clustering

Made by `python benchmarks/sdp.py`. Seconds are of the processor, on one thread, for whole fits with default settings
but for the solver, start included, of three groups of different shape whose means are 5 apart.

"""
BETWEEN = f"""
Share of wrong rows over data sets of {N} rows: mean, standard deviation and the worst. Three groups with covariances
turned at random, eigenvalues between 1/4 and 4; columns standardised.

"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few replicates, and no file")
    parser.add_argument("--times", action="store_true", help="only the times; the file keeps how often it is wrong")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    file = Path(__file__).parent / "sdp.md"
    kept = file.read_text().split(BETWEEN)[1] if asked.times else None
    wrong = kept or "\n".join(errors(2 if asked.quick else REPLICATES)) + "\n"
    text = HEAD + timing.machine() + "\n\n" + "\n".join(times()) + "\n" + BETWEEN + wrong
    print(text)
    if not asked.quick:
        file.write_text(text)


if __name__ == "__main__":
    main()
