"""Mixtures of experts: EM with bounded Newton steps of the gate, against plain L-BFGS of the same likelihood.

python benchmarks/experts.py          prints the table and writes benchmarks/experts.md
python benchmarks/experts.py --quick  few rows, and no file
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import timing

CELLS = [(1_000, 1, 2), (5_000, 1, 2), (5_000, 5, 3)]  # rows, inputs, experts
QUICK = [(500, 1, 2)]
ROUNDS = 9
CLOSE = 1e-6  # of the log-likelihood per row: how near the best end counts as there

HEAD = f"""# Mixtures of experts

Made by `python benchmarks/experts.py`: from one start, the processor's time until the log-likelihood per row is
within {CLOSE:g} of the best that any way reached (the least of {ROUNDS} climbs), and where each ended. One thread.
"""


def rows_of(n: int, p: int, k: int):
    """Rows of k experts of p inputs, whose gate looks at all of them."""
    import torch

    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=rng, dtype=torch.float64)
    w, a, b = (2 * torch.randn(k, size, generator=rng, dtype=torch.float64) for size in (p, p, 1))
    z = torch.multinomial(torch.softmax(x @ w.T, 1), 1, generator=rng)[:, 0]
    y = (x * a[z]).sum(1) + b[z, 0] + 0.5 * torch.randn(n, generator=rng, dtype=torch.float64)
    return torch.cat([x, y[:, None]], 1)


def start_of(rows, k: int, curved: bool):
    """Where both begin: planes, and a gate of the same labels."""
    import torch

    from gmmlab.experts.fitting import gate_of
    from gmmlab.experts.starts import planes
    from gmmlab.families import LinearGaussian
    from gmmlab.gates import Softmax
    from gmmlab.model import Mixture

    p = rows.shape[1] - 1
    resp = planes(rows, p, k, torch.Generator().manual_seed(1))
    experts = LinearGaussian.near(rows, resp, inputs=range(p), outputs=[p], floor=1e-6)
    return Mixture(experts, gate_of(Softmax.even(k, rows, range(p), curved=curved), rows, resp))


def climbs(rows, k: int) -> dict[str, Callable[[], list[tuple[float, float]]]]:
    """Every way up from one start; each gives seconds and log-likelihoods per row along it."""
    from gmmlab.experts.fitting import steps

    def em(curved: bool) -> list[tuple[float, float]]:
        model, begin, path = start_of(rows, k, curved), time.process_time(), []
        for step in steps(model, rows, tol=1e-10):
            path.append((time.process_time() - begin, step.info.evidence))
            if step.i >= 1_000:
                break
        return path

    return {"EM, Newton": lambda: em(True), "EM, MM": lambda: em(False), "L-BFGS": lambda: by_gradient(rows, k)}


def by_gradient(rows, k: int) -> list[tuple[float, float]]:
    """The same likelihood in plain torch, by L-BFGS over standardised parameters; own code, not ours."""
    import torch

    model = start_of(rows, k, True)
    x, y = rows[:, :-1], rows[:, -1]
    z = torch.cat([x.new_ones(len(x), 1), x], 1)
    experts, gate = model.components, model.gate
    lines = torch.cat([experts.intercept, experts.coef[:, 0]], 1)
    odds = torch.cat([gate.intercepts[:, None], gate.slopes], 1)
    parts = [t.clone().requires_grad_() for t in (odds, lines, 0.5 * experts.cov[:, 0, 0].log())]
    path: list[tuple[float, float]] = []
    begin = time.process_time()
    optimiser = torch.optim.LBFGS(
        parts,
        max_iter=500,
        max_eval=1_000,
        tolerance_grad=1e-8,
        tolerance_change=1e-13,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        weights, coef, log_sd = parts
        table = -0.5 * ((y[:, None] - z @ coef.T) / log_sd.exp()).square() - log_sd - 0.918938533204672741780
        loss = -torch.logsumexp(torch.log_softmax(z @ weights.T, 1) + table, 1).mean()
        loss.backward()
        path.append((time.process_time() - begin, -float(loss.detach())))
        return loss

    optimiser.step(closure)
    return path


def least(paths: list[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """One climb, whose steps are the same every time, with the least time at which each was reached."""
    return [(min(time for time, _ in each), each[0][1]) for each in zip(*paths, strict=True)]


def table(cells: list[tuple[int, int, int]]) -> list[str]:
    """Seconds to come within CLOSE of the best end of all, and the ends."""
    lines = [
        "| rows | inputs | experts | way | passes over the rows | seconds of CPU | end below the best |",
        "|--:|--:|--:|---|--:|--:|--:|",
    ]
    ratios = []
    for n, p, k in cells:
        rows = rows_of(n, p, k)
        ways = climbs(rows, k)
        rounds = [{name: climb() for name, climb in ways.items()} for _ in range(ROUNDS)]
        paths = {name: least([each[name] for each in rounds]) for name in ways}
        best = max(value for path in paths.values() for _, value in path)
        reached = {}
        for name, path in paths.items():
            there = next(((i + 1, t) for i, (t, v) in enumerate(path) if v > best - CLOSE), None)
            reached[name] = there
            passes, seconds = ("never", "") if there is None else (str(there[0]), f"{there[1]:.4f}")
            below = best - max(value for _, value in path)
            lines.append(f"| {n:,} | {p} | {k} | {name} | {passes} | {seconds} | {below:.1e} |")
        if reached["EM, Newton"] and reached["L-BFGS"]:
            ratios.append(reached["L-BFGS"][1] / reached["EM, Newton"][1])
    if ratios:
        lines += ["", timing.verdict("L-BFGS over EM with Newton steps, in time", timing.geometric_mean(ratios), 1.0)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows, and no file")
    quick = parser.parse_args().quick
    import torch

    torch.set_num_threads(1)
    by_gradient(rows_of(100, 1, 2), 2)  # the first backward pass of a process loads what it needs
    lines = table(QUICK if quick else CELLS)
    text = HEAD + timing.machine() + "\n\n" + "\n".join(lines) + "\n"
    print(text)
    if not quick:
        (Path(__file__).parent / "experts.md").write_text(text)


if __name__ == "__main__":
    main()
