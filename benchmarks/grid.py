"""A grid of 36 models, 20 iterations each: `gmmlab.select` against a loop over scikit-learn's estimators.

python benchmarks/grid.py            prints the table and writes benchmarks/grid.md
python benchmarks/grid.py --quick    the fewest rows only, no file
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import timing

SIZES, D, ITERATIONS = (2_000, 20_000, 100_000), 5, 20
COMPONENTS, TYPES = range(1, 10), ("full", "tied", "diag", "spherical")
BAR = 8.0
MARK = "row: "


class Row(NamedTuple):
    """Rows, threads, and the seconds of the whole grid."""

    n: int
    threads: int
    ours: float
    sklearn: float

    @property
    def speed(self) -> float:
        return self.sklearn / self.ours


def rows(n: int) -> Any:
    import numpy as np

    rng = np.random.default_rng(3)
    centres = 2 * rng.standard_normal((5, D))
    return centres[rng.integers(5, size=n)] + rng.standard_normal((n, D))


def ours(x: Any) -> None:
    from gmmlab import select

    cheap = {"init_params": "random_from_data", "reg_covar": 1e-6, "random_state": 0}
    select(x, COMPONENTS, TYPES, tol=0.0, max_iter=ITERATIONS, **cheap)


def theirs(x: Any) -> None:
    from sklearn.mixture import GaussianMixture

    for kind in TYPES:
        for k in COMPONENTS:
            cheap = {"init_params": "random_from_data", "reg_covar": 1e-6, "random_state": 0}
            GaussianMixture(k, covariance_type=kind, tol=0.0, max_iter=ITERATIONS, **cheap).fit(x)


def child(threads: int, sizes: tuple[int, ...]) -> None:
    """All sizes in this process; a line of JSON each."""
    import torch
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    ours(rows(500))  # warms up
    with threadpool_limits(threads):
        for n in sizes:
            x = rows(n)
            best = timing.minima({"ours": lambda x=x: ours(x), "sklearn": lambda x=x: theirs(x)}, 20.0)
            print(MARK + json.dumps(Row(n, threads, best["ours"], best["sklearn"])))


def table(found: list[Row]) -> str:
    lines = [
        "# A grid of 36 models, 20 iterations each",
        "",
        "Made by `python benchmarks/grid.py`: K = 1..9 with full, tied, diag and spherical covariances, 5 columns,",
        "float64, from random rows; `select` against a loop over scikit-learn's `GaussianMixture`. Seconds are minima",
        "of runs taken in turn, starts and checks included.",
        "",
        timing.machine(),
        "",
        "| rows | threads | ours, s | scikit-learn, s | scikit-learn / ours |",
        "|--:|--:|--:|--:|--:|",
        *(f"| {row.n:,} | {row.threads} | {row.ours:.2f} | {row.sklearn:.2f} | {row.speed:.1f} |" for row in found),
        "",
        timing.verdict("least scikit-learn / ours", min(row.speed for row in found), BAR),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the fewest rows only, and no file")
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)  # a run of this script in its child process
    options = parser.parse_args()
    if options.threads:
        child(options.threads, SIZES[:1] if options.quick else SIZES)
        return
    again = [str(Path(__file__)), *(["--quick"] if options.quick else [])]
    outputs = [timing.on_cores(count, [*again, "--threads", str(count)]).splitlines() for count in (1, 2)]
    lines = [line.removeprefix(MARK) for output in outputs for line in output if line.startswith(MARK)]
    text = table([Row(*json.loads(line)) for line in lines])
    print(text)
    if not options.quick:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
