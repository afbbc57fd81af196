"""EM over rows that are never held: time per row and peak memory from 1e4 to 1e8 rows, d = 8, k = 10, float32.

python benchmarks/stream.py            prints the table and writes benchmarks/stream.md; 1e8 rows get one E-step
python benchmarks/stream.py --quick    up to 1e6 rows, and no file
python benchmarks/stream.py --full     three E-steps for 1e8 rows too

Rows are drawn chunk by chunk from seeds, anew in every pass, and dropped when they have been used. What it takes to
draw them is measured as they are drawn, and subtracted. Every size runs in a process of its own; what counts is how
far its peak memory rises above what the imports take.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

D, K, ROWS, BAR_MB = 8, 10, 65536, 600


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def measure(n: int, steps: int) -> dict[str, float]:
    """Seconds per pass for drawing and for EM, and megabytes above the import."""
    import torch

    from gmmlab.data import stream, survey
    from gmmlab.families import Full
    from gmmlab.fit import run, streamed
    from gmmlab.init import METHODS, start_from_sample
    from gmmlab.steps import e_step

    base, drawing = peak_mb(), 0.0
    centres = 3 * torch.randn(K, D, generator=torch.Generator().manual_seed(0))

    def chunks() -> Iterator[torch.Tensor]:
        nonlocal drawing
        for i, at in enumerate(range(0, n, ROWS)):
            begin, m = time.perf_counter(), min(ROWS, n - at)
            rng = torch.Generator().manual_seed(i)
            chunk = centres[torch.arange(m) % K] + torch.randn(m, D, generator=rng)
            drawing += time.perf_counter() - begin
            yield chunk

    rows, rng = stream(chunks), torch.Generator().manual_seed(0)
    told = survey(rows, 5000, rng)
    model = start_from_sample(told.sample, told.mean, K, Full(), METHODS["k-means++"], rng=rng, ridge=1e-6)
    e_step(model, torch.randn(ROWS, D, generator=rng))  # what is compiled is loaded
    begin, drawing, evidence = time.perf_counter(), 0.0, 0.0
    for step in run(model, streamed(rows), stop=lambda step: step.i >= steps):
        evidence = step.info.evidence
    step_s, drawing_s = (time.perf_counter() - begin - drawing) / steps, drawing / steps
    return {"n": n, "drawing": drawing_s, "step": step_s, "mb": peak_mb() - base, "evidence": evidence}


def in_a_process(n: int, steps: int) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, __file__, "--size", str(n), "--steps", str(steps)], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def table(results: list[dict[str, float]], before: float) -> str:
    import torch

    load = f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, {load}"
    lines = [
        "# Streamed EM",
        "",
        f"Made by `python benchmarks/stream.py`: d = {D}, k = {K}, full covariances, float32, chunks of {ROWS:,} rows",
        "that are drawn and never held. The time is that of one E-step and refit, less what it took to draw the rows.",
        f"{machine}; Python {platform.python_version()}, torch {torch.__version__}, {torch.get_num_threads()} threads.",
        "",
        f"| rows | seconds a step | ns a row | drawing the rows, s | peak above the import (bar {BAR_MB} MB) | met |",
        "|--:|--:|--:|--:|--:|:-:|",
    ]
    for r in results:
        met = "yes" if r["mb"] < BAR_MB else "**no**"
        lines.append(
            f"| {r['n']:,.0f} | {r['step']:.3g} | {1e9 * r['step'] / r['n']:.0f} | {r['drawing']:.3g} | "
            f"{r['mb']:.0f} MB | {met} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 1e6 rows, and no file")
    parser.add_argument("--full", action="store_true", help="three steps for 1e8 rows too")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.size:
        print(json.dumps(measure(asked.size, asked.steps)))
        return
    before, results = os.getloadavg()[0], []
    for power in range(4, 7 if asked.quick else 9):
        results.append(in_a_process(10**power, 1 if power == 8 and not asked.full else 3))
        print(results[-1], file=sys.stderr)
    text = table(results, before)
    print(text)
    if not asked.quick:
        (HERE / "stream.md").write_text(text)


if __name__ == "__main__":
    main()
