"""Variational Bayes against scikit-learn's: the same start, the same number of steps, the same posterior.

python benchmarks/bayes.py    prints the table and writes benchmarks/bayes.md
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import timing

BAR, STEPS = 5.0, 10
FULL, FINITE = ("full", "dirichlet_process"), ("full", "dirichlet_distribution")
CELLS = (
    # rows, columns, components, covariances and weights
    (20_000, 2, 20, *FULL),
    (20_000, 2, 20, *FINITE),
    (50_000, 4, 10, *FULL),
    (20_000, 8, 20, *FULL),
    (20_000, 8, 20, "diag", "dirichlet_process"),
    (20_000, 16, 20, *FULL),
    (10_000, 32, 20, *FULL),
)
HEAD = "| rows x columns | components | covariances | weights | ours, ms a step | scikit-learn / ours | difference |"


def cell(n: int, d: int, k: int, kind: str, weights: str) -> tuple[str, float]:
    """A line of the table, and the ratio in it. Labels are given, so that no start is timed, but for one refit."""
    import numpy as np
    from sklearn.mixture import BayesianGaussianMixture

    from gmmlab import BayesianGaussianMixture as Ours

    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((k, d))
    labels = rng.integers(k, size=n)
    x = centres[labels] + rng.standard_normal((n, d))
    labels = np.where(rng.random(n) < 0.2, rng.integers(k, size=n), labels)
    options = {"covariance_type": kind, "weight_concentration_prior_type": weights, "tol": 0.0, "max_iter": STEPS}
    ours = Ours(k, init_params=labels, **options)

    class Theirs(BayesianGaussianMixture):
        def _initialize_parameters(self, X, *_args, **_options):
            self._initialize(X, np.eye(k)[labels])

    theirs = Theirs(n_components=k, **options)
    clock = time.process_time if len(os.sched_getaffinity(0)) == 1 else time.perf_counter
    times = timing.minima({"ours": lambda: ours.fit(x), "sklearn": lambda: theirs.fit(x)}, 3.0, 5, clock)
    ratio = times["sklearn"] / times["ours"]
    apart = np.abs(ours.means_ - theirs.means_).max() / np.abs(theirs.means_).max()
    short = weights.removeprefix("dirichlet_")
    step = 1e3 * times["ours"] / STEPS
    return f"| {n:,} x {d} | {k} | {kind} | {short} | {step:.2f} | {ratio:.1f} | {apart:.0e} |", ratio


def main() -> None:
    if sys.argv[1:] != ["cells"]:
        lines = [
            "# Variational Bayes",
            "",
            f"Made by `python benchmarks/bayes.py`: {STEPS} steps from given labels, float64; one core by the",
            "processor's clock.",
        ]
        text = "\n".join([*lines, timing.machine(), ""]) + "\n"
        text += "\n".join(
            f"{count} core{'s' * (count > 1)}\n\n{timing.on_cores(count, [__file__, 'cells'])}" for count in (1, 2)
        )
        print(text)
        Path(__file__).with_suffix(".md").write_text(text)
        return
    warnings.simplefilter("ignore")
    ratios = []
    print(HEAD)
    print("|---|--:|---|---|--:|--:|--:|")
    for each in CELLS:
        line, ratio = cell(*each)
        print(line, flush=True)
        ratios.append(ratio)
    print()
    print(timing.verdict("geometric mean of scikit-learn / ours", timing.geometric_mean(ratios), BAR))
    print(timing.verdict("least", min(ratios), BAR))


if __name__ == "__main__":
    main()
