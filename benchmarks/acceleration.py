"""E-steps and time to the optimum with EM, SQUAREM and Anderson's acceleration, on three slow problems.

python benchmarks/acceleration.py      prints the table and writes benchmarks/acceleration.md

A method is done when it is within 1e-8 a row of where it ends itself, which the last column shows: nobody is paid for
stopping early. E-steps of leaps that were taken back are counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402

from gmmlab.families import Full  # noqa: E402
from gmmlab.fit import anderson, identity, run, squarem, whole  # noqa: E402
from gmmlab.init import METHODS, start  # noqa: E402

TOL, MOST = 1e-8, 8000
METHODS_OF_FIT = {"EM": identity, "SQUAREM": squarem(), "Anderson": anderson()}


def pair() -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat_interleave(2500)
    return centres[:, None] + torch.randn(5000, 1, generator=rng, dtype=torch.float64)


def six() -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    centres = 2.4 * torch.randn(6, 2, generator=rng, dtype=torch.float64)
    shapes = torch.randn(6, 2, 2, generator=rng, dtype=torch.float64) / 1.4 + 0.6 * torch.eye(2, dtype=torch.float64)
    z = torch.arange(20_000) % 6
    return centres[z] + (shapes[z] @ torch.randn(20_000, 2, 1, generator=rng, dtype=torch.float64)).squeeze(-1)


def digits() -> torch.Tensor:
    from sklearn.datasets import load_digits

    x = torch.as_tensor(load_digits().data)
    x = x - x.mean(0)
    return x @ torch.linalg.svd(x, full_matrices=False)[2][:10].T


PROBLEMS: dict[str, tuple[Callable[[], torch.Tensor], int]] = {
    "two overlapping Gaussians, n = 5,000, d = 1, k = 2": (pair, 2),
    "six overlapping Gaussians, n = 20,000, d = 2, k = 6": (six, 6),
    "digits, first 10 principal components, n = 1,797, k = 10": (digits, 10),
}


class Row(NamedTuple):
    problem: str
    method: str
    steps: int
    seconds: float
    taken_back: int
    end: float


def climb(x: torch.Tensor, k: int, problem: str, method: str) -> Row:
    """One fit to the end; then where it came within TOL of that end, and when."""
    model = start(x, k, Full(), METHODS["kmeans"], torch.Generator().manual_seed(0), ridge=1e-6)
    trace: list[tuple[float, float, bool]] = []
    begin, best, since = time.perf_counter(), -float("inf"), 0
    fit = run(model, whole(x), transform=METHODS_OF_FIT[method], stop=lambda step: False)  # noqa: ARG005 - never
    for step in islice(fit, MOST):
        trace.append((step.info.evidence, time.perf_counter() - begin, step.info.accepted))
        best, since = (step.info.evidence, 0) if step.info.evidence > best + 1e-13 else (best, since + 1)
        if since >= 40:  # nothing gained, plain steps after failed leaps among them
            break
    at = next(i for i, (evidence, _, _) in enumerate(trace) if evidence >= best - TOL)
    return Row(problem, method, at + 1, trace[at][1], sum(not accepted for *_, accepted in trace[: at + 1]), best)


def table(rows: list[Row], before: float) -> str:
    load = f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, {load}"
    lines = [
        "# Acceleration",
        "",
        "Made by `python benchmarks/acceleration.py`: E-steps (with those of leaps taken back) and time until the",
        f"mean log-likelihood is within {TOL:g} of where the fit ends; one k-means start for all; full, float64.",
        f"{machine}; Python {platform.python_version()}, torch {torch.__version__}, {torch.get_num_threads()} threads.",
        "",
        "| problem | method | E-steps | taken back | seconds | fewer E-steps | faster | final log-likelihood a row |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        plain = next(r for r in rows if r.problem == row.problem)
        lines.append(
            f"| {row.problem} | {row.method} | {row.steps} | {row.taken_back} | {row.seconds:.2f} | "
            f"{plain.steps / row.steps:.1f} | {plain.seconds / row.seconds:.1f} | {row.end:.9f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    before = os.getloadavg()[0]
    rows = []
    for name, (make, k) in PROBLEMS.items():
        x = make()
        for method in METHODS_OF_FIT:
            rows.append(climb(x, k, name, method))
            print(rows[-1], file=sys.stderr)
    text = table(rows, before)
    print(text)
    (HERE / "acceleration.md").write_text(text)


if __name__ == "__main__":
    main()
