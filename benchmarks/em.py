"""EM of 10 iterations from one given start: scikit-learn's time over ours, the floor, and peers where installed.

python benchmarks/em.py            prints the table and writes benchmarks/em.md
python benchmarks/em.py --alone    without peers, which run on two threads only
python benchmarks/em.py --quick    a tenth of the rows, no peers, no file

Peers bring many packages, and best have an environment of their own:

python -m venv peers && peers/bin/pip install -e .[fast] torchgmm pomegranate gmmx && peers/bin/python benchmarks/em.py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import timing

ITERATIONS = 10
BARS = {"float64": (7, 1e-9), "float32": (12, 1e-5)}  # speed (geometric mean), agreement of the log-likelihood
LEAST, FLOOR_MAX_D, FLOOR = 1.3, 16, 2.0  # no cell under; within this many floors up to this d
PATIENCE = 10.0  # seconds that a peer may take for a run of a cell
MARK = "row: "  # before what the child prints for its parent; peers print too


class Cell(NamedTuple):
    n: int
    d: int
    k: int

    def __str__(self) -> str:
        return f"{self.n:,} x {self.d}, k = {self.k}"


CELLS = (
    Cell(1_000_000, 2, 5),
    Cell(200_000, 2, 50),
    Cell(200_000, 4, 10),
    Cell(200_000, 8, 10),
    Cell(100_000, 16, 20),
    Cell(30_000, 32, 20),
    Cell(20_000, 64, 10),
    Cell(5_000, 256, 5),
)


class Problem(NamedTuple):
    """Rows and the parameters to start from, as arrays."""

    x: Any
    weights: Any
    means: Any
    precisions: Any

    def start(self) -> dict[str, Any]:
        return {"weights_init": self.weights, "means_init": self.means, "precisions_init": self.precisions}


def problem(cell: Cell, dtype: str) -> Problem:
    """Overlapping clouds; numbers that float32 can hold, so that both dtypes have the same problem.

    The start is a row of each cloud: of rows at random, two may be of one cloud, and in 256 dimensions one of their
    components is then left with fewer rows than columns, and a likelihood that the ridge decides.
    """
    import numpy as np

    rng = np.random.default_rng(11)
    centres = 3 * rng.standard_normal((cell.k, cell.d)) / cell.d**0.25
    z = np.append(np.arange(cell.k), rng.integers(cell.k, size=cell.n - cell.k))
    x = centres[z] + rng.standard_normal((cell.n, cell.d))
    x = x.astype(np.float32).astype(dtype)
    means = x[: cell.k]
    identity = np.broadcast_to(np.eye(cell.d, dtype=dtype) / 2, (cell.k, cell.d, cell.d))
    return Problem(x, np.full(cell.k, 1 / cell.k, dtype), means, identity.copy())


def fit(estimator: Any, of: Problem) -> Any:
    return estimator(len(of.means), covariance_type="full", tol=0, max_iter=ITERATIONS, **of.start()).fit(of.x)


def floor(cell: Cell, dtype: str) -> list[Callable[[], None]]:
    """The two products of all iterations and their exponentials, with nothing in between.

    Both forms, in chunks of several sizes that lie ready in the cache; the cheapest run is the floor.
    """
    import torch

    n, d, k = cell
    of = {"dtype": getattr(torch, dtype)}
    runs: list[Callable[[], None]] = []
    for m in (512, 2048, 8192, 32768):
        times = max(1, round(ITERATIONS * n / m))
        f = 1 + d + d * (d + 1) // 2
        if f * m * 8 < 1e8:
            runs.append(_packed(torch.rand(k, f, **of), torch.rand(f, m, **of), times))
        if k * d * m * 8 < 1e8:
            runs.append(_whitened(torch.rand(k, d, d, **of), torch.rand(k, d, m, **of), times))
    return runs


def _packed(eta: Any, features: Any, times: float) -> Callable[[], None]:
    import torch

    table, sums = torch.empty(len(eta), features.shape[1], dtype=eta.dtype), torch.empty_like(eta)

    def run() -> None:
        for _ in range(math.ceil(times)):
            torch.mm(eta, features, out=table)
            torch.exp2(table, out=table)
            torch.mm(table, features.T, out=sums)

    return run


def _whitened(whiten: Any, offset: Any, times: float) -> Callable[[], None]:
    import torch

    z, sums, table = torch.empty_like(offset), torch.empty_like(whiten), torch.rand_like(offset[:, 0])

    def run() -> None:
        for _ in range(math.ceil(times)):
            torch.bmm(whiten, offset, out=z)
            torch.exp2(table)
            torch.bmm(z, offset.mT, out=sums)

    return run


class Declined(Exception):
    """Why a peer has no time."""


def torchgmm(of: Problem, iterations: int) -> None:
    """Takes means alone; its first covariances come from the rows."""
    import torch
    from torchgmm.bayes import GaussianMixture

    silent = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False)
    trainer = {"max_epochs": iterations, "accelerator": "cpu", "precision": 8 * of.x.itemsize, **silent}
    model = GaussianMixture(
        len(of.means),
        covariance_type="full",
        init_means=torch.from_numpy(of.means),
        convergence_tolerance=0,
        trainer_params=trainer,
    )
    model.fit(torch.from_numpy(of.x))


def pomegranate(of: Problem, iterations: int) -> None:
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    means, priors = torch.tensor(of.means), torch.tensor(of.weights)  # copies: it fits in place
    cov = 2 * torch.eye(means.shape[1], dtype=means.dtype)
    components = [Normal(mean, cov.clone(), covariance_type="full") for mean in means.unbind()]
    GeneralMixtureModel(components, priors=priors, max_iter=iterations, tol=-math.inf).fit(torch.from_numpy(of.x))


def gmmx(of: Problem, iterations: int) -> None:
    import gmmx
    import jax
    import numpy as np

    if of.x.dtype != np.float32:
        raise Declined("float32 only")
    start = gmmx.GaussianMixtureModelJax.from_squeezed(
        means=of.means, covariances=np.linalg.inv(of.precisions), weights=of.weights
    )
    fitted = gmmx.EMFitter(tol=0.0, max_iter=iterations).fit(of.x, start)
    jax.block_until_ready(fitted.log_likelihood)


PEERS: dict[str, Callable[[Problem, int], None]] = {"torchgmm": torchgmm, "pomegranate": pomegranate, "gmmx": gmmx}


def peer_time(run: Callable[[Problem, int], None], of: Problem) -> float | str:
    """Seconds of a peer, or why there are none. It runs twice, as the first run may compile."""
    if importlib.util.find_spec(run.__name__) is None:
        return "not installed"
    try:
        guess = foreseen(run, of)
        if guess > PATIENCE:
            return f"left out: about {guess:.0f} s"
        return timing.minima({"": lambda: run(of, ITERATIONS)}, math.inf, 2)[""]
    except Declined as why:
        return str(why)
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
        return f"fails: {type(error).__name__}"


def foreseen(run: Callable[[Problem, int], None], of: Problem) -> float:
    """About what a peer will take: an iteration over a tenth of the rows less one over a hundredth, times what is due.

    The difference leaves out what does not grow with the rows, and second runs what is loaded late.
    """
    n, d = of.x.shape
    few, more = max(10 * d, n // 100), min(n, max(20 * d, n // 10))
    cut = {str(rows): Problem(of.x[:rows], *of[1:]) for rows in (few, more)}
    best = timing.minima({rows: lambda part=part: run(part, 1) for rows, part in cut.items()}, math.inf, 2)
    return ITERATIONS * n * max(0.0, best[str(more)] - best[str(few)]) / (more - few)


class Row(NamedTuple):
    """One cell at one dtype and number of threads; times in seconds."""

    cell: Cell
    dtype: str
    threads: int
    ours: float
    sklearn: float
    floor: float
    error: float  # relative, of the log-likelihood
    peers: dict[str, float | str]

    @property
    def speed(self) -> float:
        return self.sklearn / self.ours

    @property
    def floors(self) -> float:
        return self.ours / self.floor


@cache
def exact(cell: Cell) -> float:
    """The log-likelihood that scikit-learn ends at in float64."""
    from sklearn.mixture import GaussianMixture

    return float(fit(GaussianMixture, problem(cell, "float64")).lower_bound_)


def measure(cell: Cell, dtype: str, threads: int, peers: bool) -> Row:
    from sklearn.mixture import GaussianMixture

    from gmmlab import GaussianMixture as Ours

    of = problem(cell, dtype)
    error = abs(fit(Ours, of).lower_bound_ / exact(cell) - 1)  # this fit also warms up
    best = timing.minima({"ours": lambda: fit(Ours, of), "sklearn": lambda: fit(GaussianMixture, of)}, 2.0)
    lowest = min(timing.minima({str(i): run for i, run in enumerate(floor(cell, dtype))}, 0.3).values())
    times = {name: peer_time(run, of) if peers else "" for name, run in PEERS.items()}
    return Row(cell, dtype, threads, best["ours"], best["sklearn"], lowest, error, times)


def child(threads: int, quick: bool, peers: bool) -> None:
    """All cells in this process; a line of JSON each."""
    import torch
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        for cell in [_tenth(cell) for cell in CELLS] if quick else CELLS:
            for dtype in BARS:
                row = measure(cell, dtype, threads, peers)
                print(f"{cell}, {dtype}, {threads} threads: {row.speed:.1f}, {row.floors:.2f} floors", file=sys.stderr)
                print(MARK + json.dumps(row))


def _tenth(cell: Cell) -> Cell:
    return cell._replace(n=max(cell.n // 10, 10 * cell.d))


def parse(line: str) -> Row:
    cell, *rest = json.loads(line.removeprefix(MARK))
    return Row(Cell(*cell), *rest)


def peer_cell(time: float | str, ours: float) -> str:
    return time if isinstance(time, str) else f"{time / ours:.1f}"


def table(rows: list[Row]) -> str:
    names = list(PEERS)
    head = ["rows x columns", "threads", "ours, s", "scikit-learn / ours", "ours / floor", "error", *names]
    lines = [
        "# EM, 10 iterations from one given start",
        "",
        "Made by `python benchmarks/em.py`. Full covariances, the whole `fit` with its checks. Times are minima of",
        "runs taken in turn; numbers under a library's name are its time over ours. The floor is the two matrix",
        "products of the cheaper form and the exponentials alone, as calls of torch on tables that lie ready in the",
        "cache. Compiled passes (numba, up to 32 columns) may lie below it, and so may many columns: what is zero in",
        "a factor is skipped. `error` is the relative difference of the log-likelihood from scikit-learn's in",
        "float64. torchgmm starts from covariances of its own.",
        "",
        timing.machine(),
    ]
    for dtype, (bar, agreement) in BARS.items():
        chosen = [row for row in rows if row.dtype == dtype]
        lines += ["", f"## {dtype}", "", f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
        for row in chosen:
            cells = [str(row.cell), str(row.threads), f"{row.ours:.3f}", f"{row.speed:.1f}", f"{row.floors:.2f}"]
            cells += [f"{row.error:.0e}", *(peer_cell(row.peers[name], row.ours) for name in names)]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *verdicts(chosen, bar, agreement)]
    return "\n".join(lines) + "\n"


def verdicts(rows: list[Row], bar: float, agreement: float) -> list[str]:
    """What the bars ask, what was measured, and whether it is met."""
    mean = {t: timing.geometric_mean(row.speed for row in rows if row.threads == t) for t in {r.threads for r in rows}}
    least, error = min(row.speed for row in rows), max(row.error for row in rows)
    floors = max(row.floors for row in rows if row.cell.d <= FLOOR_MAX_D)
    lines = [
        timing.verdict(f"geometric mean of scikit-learn / ours, {threads} thread{'s' * (threads > 1)}", value, bar)
        for threads, value in sorted(mean.items())
    ]
    return [
        *lines,
        timing.verdict("least of a cell", least, LEAST),
        timing.verdict(f"most floors of a cell with d up to {FLOOR_MAX_D}", floors, FLOOR, most=True),
        f"- error at most {error:.0e} (at most {agreement:g}): {'met' if error <= agreement else '**not met**'}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, no peers, and no file")
    parser.add_argument("--alone", action="store_true", help="without peers")
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)  # a run of this script in its child process
    options = parser.parse_args()
    if options.threads:
        peers = options.threads > 1 and not (options.quick or options.alone)
        child(options.threads, options.quick, peers)
        return
    counts = [count for count in (1, 2) if count <= (os.cpu_count() or 1)]
    again = [str(Path(__file__)), *(f"--{name}" for name in ("quick", "alone") if getattr(options, name))]
    outputs = [timing.on_cores(count, [*again, "--threads", str(count)]).splitlines() for count in counts]
    found = [[parse(line) for line in output if line.startswith(MARK)] for output in outputs]
    rows = [row for pair in zip(*found, strict=True) for row in pair]  # a cell's thread counts side by side
    text = table(rows)
    print(text)
    if not options.quick:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
