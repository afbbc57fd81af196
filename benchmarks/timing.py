"""What the benchmarks share: runs in turn, geometric means, fresh interpreters, and the machine in words."""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


def minima(
    contestants: dict[str, Callable[[], object]],
    seconds: float,
    rounds: int = 9,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The least time of each, taken in turn so that a busy moment of the machine meets them all.

    Everyone runs at least once; after `seconds` of its own running time a contestant has had its turns. What runs in
    one thread is best timed by `time.process_time`, which does not count the time that others had the core.
    """
    best, spent = dict.fromkeys(contestants, math.inf), dict.fromkeys(contestants, 0.0)
    for _ in range(rounds):
        for name, run in contestants.items():
            if spent[name] < seconds:
                begin = clock()
                run()
                elapsed = clock() - begin
                best[name], spent[name] = min(best[name], elapsed), spent[name] + elapsed
    return best


def geometric_mean(values: Iterable[float]) -> float:
    return statistics.geometric_mean(list(values))


def fresh(codes: dict[str, str], repeats: int) -> dict[str, float]:
    """Median times of fresh interpreters that run each piece of code in turn, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(repeats):
        for name, code in codes.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(each) for name, each in times.items()}


def verdict(what: str, value: float, bar: float, *, most: bool = False) -> str:
    """A line that says whether a bar is met: a least value, or the most that is allowed."""
    met = value <= bar if most else value >= bar
    return f"- {what}: {value:.2f} ({'at most' if most else 'at least'} {bar:g}): {'met' if met else '**not met**'}"


def on_cores(count: int, arguments: list[str]) -> str:
    """What a fresh interpreter prints that is held to `count` cores, as are all threads of all libraries in it."""
    cores = set(sorted(os.sched_getaffinity(0))[:count])
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(count), "OPENBLAS_NUM_THREADS": str(count)},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return done.stdout


def machine() -> str:
    """The machine, its load and the versions, for the head of a table."""
    import sklearn
    import torch

    cores = f"{os.cpu_count()} cores of an {platform.machine().replace('_', '-')} machine, no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    compiled = f"numba {version('numba')}" if find_spec("numba") else "no numba"
    return f"{cores}, load {os.getloadavg()[0]:.1f}; {versions}, {compiled}."
