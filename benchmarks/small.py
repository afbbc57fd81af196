"""What waiting people notice: importing, fits of 200 rows, and predicting one row, against torch and scikit-learn.

python benchmarks/small.py    prints the table and writes benchmarks/small.md
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when libraries are imported

import timing

ROWS, COMPONENTS = 200, 3
SETS = 40
IMPORT_BAR = 1.2
IMPORTS = {
    "import torch": "import torch",
    "import gmmlab": "import gmmlab",
    "import gmmlab; gmmlab.GaussianMixture": "import gmmlab; gmmlab.GaussianMixture",
    "import torch, sklearn.mixture": "import torch, sklearn.mixture",
}


def imports() -> list[str]:
    times = timing.fresh(IMPORTS, 5)
    unit = times["import torch"]
    return [
        "| in a fresh interpreter | seconds | over `import torch` |",
        "|---|--:|--:|",
        *(f"| `{name}` | {time:.2f} | {time / unit:.2f} |" for name, time in times.items()),
        "",
        timing.verdict("`import gmmlab` over `import torch`", times["import gmmlab"] / unit, IMPORT_BAR, most=True),
        timing.verdict(
            "with `GaussianMixture`, over `import torch`",
            times["import gmmlab; gmmlab.GaussianMixture"] / unit,
            IMPORT_BAR,
            most=True,
        ),
    ]


def fits() -> list[str]:
    from sklearn.mixture import GaussianMixture

    from gmmlab import GaussianMixture as Ours

    head = [
        "rows x columns",
        "covariances",
        "fit, ms",
        "s / o",
        "from k-means, ms",
        "s / o",
        "predict one row, ms",
        "s / o",
    ]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'--:|' * (len(head) - 2)}"]
    ratios: dict[str, list[float]] = {"default": [], "same": []}
    for d in (2, 4):
        x = rows(d, COMPONENTS, 4.0, seed=0)
        for kind in ("full", "tied", "diag", "spherical"):
            given = {"covariance_type": kind, "random_state": 0}
            theirs, ours = GaussianMixture(COMPONENTS, **given), Ours(COMPONENTS, **given)
            same = Ours(COMPONENTS, init_params="kmeans", **given)
            fit = {"sklearn": _run(theirs.fit, x), "default": _run(ours.fit, x), "same": _run(same.fit, x)}
            predict = {"sklearn": _run(theirs.fit(x).predict, x[:1]), "ours": _run(ours.fit(x).predict, x[:1])}
            fitted, predicted = timing.minima(fit, 2.0, 50), timing.minima(predict, 1.0, 200)
            cells = [f"{ROWS} x {d}", kind]
            for name, each in ratios.items():
                each.append(fitted["sklearn"] / fitted[name])
                cells += [f"{1e3 * fitted[name]:.1f}", f"{each[-1]:.2f}"]
            cells += [f"{1e3 * predicted['ours']:.2f}", f"{predicted['sklearn'] / predicted['ours']:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return [
        *lines,
        "",
        timing.verdict("least of scikit-learn / ours, both from k-means", min(ratios["same"]), 1.0),
        timing.verdict("least of scikit-learn / ours, both with their default starts", min(ratios["default"]), 1.0),
    ]


def ends() -> list[str]:
    """What the time of a start buys: how far below the best of all ways each ends, over many sets of rows."""
    import numpy as np
    from sklearn.mixture import GaussianMixture

    from gmmlab import GaussianMixture as Ours

    ways = {
        "gmmlab": (Ours, {}),
        "gmmlab, from k-means": (Ours, {"init_params": "kmeans"}),
        "scikit-learn": (GaussianMixture, {}),
        "scikit-learn, `n_init=5`": (GaussianMixture, {"n_init": 5}),
        "scikit-learn, `n_init=20`": (GaussianMixture, {"n_init": 20}),
    }
    seconds, reached = dict.fromkeys(ways, 0.0), {name: [] for name in ways}
    for seed in range(SETS):
        x, k = rows(2 + seed % 3, 2 + seed % 4, 2.5, seed, shaped=True), 2 + seed % 4
        for name, (estimator, given) in ways.items():
            for kind in ("full", "diag"):
                model = estimator(k, covariance_type=kind, random_state=seed, **given)
                seconds[name] += timing.minima({"": _run(model.fit, x)}, 1.0, 3)[""]
                reached[name].append(model.lower_bound_)
    below = np.max(list(reached.values()), 0) - np.array(list(reached.values()))
    lines = ["| way | ms a fit | nats per row below the best, mean | fits more than 0.01 below |", "|---|--:|--:|--:|"]
    for name, each in zip(ways, below, strict=True):
        lines.append(
            f"| {name} | {1e3 * seconds[name] / len(each):.1f} | {each.mean():.4f} | {(each > 0.01).mean():.0%} |"
        )
    loss = dict(zip(ways, below.mean(1), strict=True))
    theirs = [name for name in ways if name.startswith("scikit-learn")]
    level = next((name for name in theirs if loss[name] <= loss["gmmlab"]), None)
    what = f"{level or theirs[-1]}, which ends {'as near' if level else 'further from'} the best, over gmmlab"
    return [*lines, "", timing.verdict(what, seconds[level or theirs[-1]] / seconds["gmmlab"], 1.0)]


def rows(d: int, k: int, apart: float, seed: int, *, shaped: bool = False) -> Any:
    """k clouds of rows: round and of one size, or of shapes and sizes of their own."""
    import numpy as np

    rng = np.random.default_rng(seed)
    centres, z = apart * rng.standard_normal((k, d)), rng.integers(k, size=ROWS)
    noise = rng.standard_normal((ROWS, d))
    if shaped:
        maps = np.exp(rng.normal(0, 0.5, (k, 1, 1))) * (np.eye(d) + 0.4 * rng.standard_normal((k, d, d)))
        noise = np.einsum("nde,ne->nd", maps[z], noise)
    return centres[z] + noise


def _run(function: Callable[..., object], x: object) -> Callable[[], object]:
    return lambda: function(x)


def main() -> None:
    warnings.simplefilter("ignore")
    head = ["# Imports and small fits", "", "Made by `python benchmarks/small.py`.", timing.machine(), ""]
    what = [
        f"Fits of {ROWS} rows, start included: with our default start, and from k-means, which is scikit-learn's.",
        "s / o is scikit-learn's time over ours. One thread: with two, scikit-learn's can take twice as long.",
        "",
    ]
    ended = [
        f"Where groups overlap our default start tries more than k-means. What that buys, over {SETS} sets of {ROWS}",
        "rows in 2 to 5 groups of shapes and sizes of their own, with covariances 'full' and 'diag':",
        "",
    ]
    text = "\n".join([*head, *imports(), "", *what, *fits(), "", *ended, *ends()]) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
