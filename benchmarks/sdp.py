"""Semidefinite clustering: its times, and how often it is wrong where others are.

python benchmarks/sdp.py          prints the tables and writes benchmarks/sdp.md
python benchmarks/sdp.py --quick  few replicates, and no file
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import timing

REPLICATES = 20
CELLS = [(4, 4.0), (4, 6.0), (4, 8.0), (10, 6.0)]  # columns, distance of the means
N, K = 90, 3


def errors(replicates: int) -> list[str]:
    """Mean share of rows in the wrong group, over data sets that all methods meet."""
    import numpy as np
    import torch

    from gmmlab.data import shaped_groups
    from gmmlab.score import misclassified

    found: dict[str, list[list[float]]] = {}
    for d, apart in CELLS:
        cell: dict[str, list[float]] = {}
        for seed in range(replicates):
            x, y = shaped_groups(N, d, K, apart, torch.Generator().manual_seed(seed))
            for name, labels in methods(x.numpy(), seed):
                cell.setdefault(name, []).append(misclassified(torch.as_tensor(np.asarray(labels)).long(), y))
        for name, values in cell.items():
            found.setdefault(name, []).append(values)
    heads = [f"d = {d}, {apart:g} apart" for d, apart in CELLS]
    lines = ["| method | " + " | ".join(heads) + " |", "|---" + "|--:" * len(heads) + "|"]
    for name, cells in found.items():
        lines.append(f"| {name} | " + " | ".join(f"{np.mean(v):.3f} ± {np.std(v):.3f}" for v in cells) + " |")
    means = {name: [float(np.mean(v)) for v in cells] for name, cells in found.items()}
    worst = "iLA-SDP from random labels"
    lines += [
        "",
        timing.verdict(f"{worst}, d = 4, 6 apart", means[worst][1], 0.05, most=True),
        timing.verdict(f"{worst}, d = 4, 8 apart", means[worst][2], 0.005, most=True),
        timing.verdict(
            "iLA-SDP less EM from Ward, d = 10, 6 apart", means["iLA-SDP"][3] - means["EM from Ward"][3], 0.0, most=True
        ),
    ]
    return lines


def methods(x, seed: int):
    """Every method's labels of the rows, standardised."""
    import numpy as np
    from sklearn.cluster import KMeans, SpectralClustering
    from sklearn.mixture import GaussianMixture

    from gmmlab import GaussianMixture as Ours
    from gmmlab.clustering import SDPClustering

    x = (x - x.mean(0)) / x.std(0)
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
    """Whole fits, start included."""
    import torch

    from gmmlab.clustering import SDPClustering
    from gmmlab.data import shaped_groups
    from gmmlab.score import misclassified

    lines = ["| solver | rows | columns | seconds | rounds | wrong | certified |", "|---|--:|--:|--:|--:|--:|---|"]
    verdicts = []
    for solver, n, d, bar in (
        ("admm", 300, 4, 5.0),
        ("low_rank", 300, 4, None),
        ("low_rank", 1000, 10, None),
        ("low_rank", 3000, 10, 120.0),
        ("sketch", 1_000_000, 10, 30.0),
    ):
        x, y = shaped_groups(n, d, K, 5.0, torch.Generator().manual_seed(0))
        begin = time.perf_counter()
        model = SDPClustering(K, solver=solver, random_state=0).fit(x)
        seconds = time.perf_counter() - begin
        wrong = misclassified(model.labels_, y)
        lines.append(f"| {solver} | {n:,} | {d} | {seconds:.1f} | {model.n_iter_} | {wrong:.4f} | {_said(model)} |")
        if bar is not None:
            verdicts.append(timing.verdict(f"{solver}, {n:,} rows, seconds", seconds, bar, most=True))
    return [*lines, "", *verdicts]


def _said(model) -> str:
    return "yes" if model.certified_ else "no bound" if model.relaxation_gap_ == float("inf") else "no"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few replicates, and no file")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    said: list[str] = []
    parts: list[Callable[[], list[str]]] = [times, lambda: errors(3 if quick else REPLICATES)]
    for part in parts:
        said += [*part(), ""]
        print("\n".join(said[-20:]), flush=True)
    head = [
        "# Semidefinite clustering",
        "",
        "Made by `python benchmarks/sdp.py`. Times are of whole fits with default settings but for the solver, start",
        "included, of three groups of different shape whose means are 5 apart.",
        "",
        timing.machine(),
        "",
    ]
    between = [
        f"Mean and standard deviation of the share of wrong rows over {REPLICATES} data sets of {N} rows (three groups",
        "with covariances turned at random, eigenvalues between 1/4 and 4), columns standardised:",
        "",
    ]
    cut = next(i for i, line in enumerate(said) if line.startswith("| method"))
    text = "\n".join([*head, *said[:cut], *between, *said[cut:]]).rstrip() + "\n"
    if not quick:
        (Path(__file__).parent / "sdp.md").write_text(text)


if __name__ == "__main__":
    main()
