"""One row of a stream: precisions moved by rank-one updates, against covariances that are factorised for every row.

python benchmarks/incremental.py    prints the table and writes benchmarks/incremental.md
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import timing
import torch

from gmmlab.fit.growing import Grown, Rule, grow

ROWS, BAR = 2000, 10.0


def stream(d: int, k: int, far: float) -> torch.Tensor:
    """Rows of k clouds in turn; near ones share every row."""
    rng = torch.Generator().manual_seed(0)
    centres = far * torch.randn(k, d, generator=rng, dtype=torch.float64)
    return centres[torch.arange(ROWS + k) % k] + torch.randn(ROWS + k, d, generator=rng, dtype=torch.float64)


def ours(grown: Grown, x: torch.Tensor, rule: Rule) -> None:
    """The incremental mixture, whose components are there already."""
    for _ in grow(grown, x, rule, every=len(x)):
        pass


@torch.no_grad()
def direct(grown: Grown, x: torch.Tensor) -> None:
    """The same recursion for covariances: each is factorised anew for every row, O(k d^3)."""
    mean, cov, sp = grown.mean.clone(), torch.linalg.inv(grown.precision), grown.sp.clone()
    for row in x:
        e = row - mean
        chol = torch.linalg.cholesky(cov)
        z = torch.linalg.solve_triangular(chol, e[:, :, None], upper=False).squeeze(-1)
        volume = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        resp = torch.softmax(sp.log() - volume - 0.5 * z.square().sum(-1), 0)
        sp = sp + resp
        w = resp / sp
        mean = mean + w[:, None] * e
        inner = cov + w[:, None, None] * e[:, :, None] * e[:, None, :]
        cov = (1 - w)[:, None, None] * inner


@torch.no_grad()
def inverted(grown: Grown, x: torch.Tensor) -> None:
    """The same with inverses in place of factors, as the first papers have it."""
    mean, cov, sp = grown.mean.clone(), torch.linalg.inv(grown.precision), grown.sp.clone()
    for row in x:
        e = row - mean
        precision = torch.linalg.inv(cov)
        distance = torch.einsum("kd,kde,ke->k", e, precision, e)
        resp = torch.softmax(sp.log() - 0.5 * (torch.linalg.slogdet(cov)[1] + distance), 0)
        sp = sp + resp
        w = resp / sp
        mean = mean + w[:, None] * e
        inner = cov + w[:, None, None] * e[:, :, None] * e[:, None, :]
        cov = (1 - w)[:, None, None] * inner


def table() -> list[str]:
    lines = [
        "| columns | components | a row, us | by factors, us | by inverses, us | factors / ours | inverses / ours |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    at_100 = []
    for d in (2, 10, 30, 100, 200):
        for k in (1, 5):
            x = stream(d, k, 3.0)
            rule = Rule(torch.ones(d, dtype=torch.float64), tau=0.0, oldest=math.inf, most=k)
            rule_born = Rule(torch.ones(d, dtype=torch.float64), tau=1.0, oldest=math.inf, most=k)
            grown = next(grow(Grown.empty(x[0]), x[:k], rule_born, every=k)).grown
            rest = x[k:]
            best = timing.minima(
                {
                    "ours": lambda grown=grown, rest=rest, rule=rule: ours(grown, rest, rule),
                    "direct": lambda grown=grown, rest=rest: direct(grown, rest),
                    "inverted": lambda grown=grown, rest=rest: inverted(grown, rest),
                },
                4.0,
                clock=time.process_time,
            )
            us = {name: 1e6 * seconds / ROWS for name, seconds in best.items()}
            ratios = us["direct"] / us["ours"], us["inverted"] / us["ours"]
            if d == 100:
                at_100.append(ratios)
            lines.append(
                f"| {d} | {k} | {us['ours']:.1f} | {us['direct']:.0f} | {us['inverted']:.0f} "
                f"| {ratios[0]:.1f} | {ratios[1]:.1f} |"
            )
    names = (f"{name} / ours at 100 columns, {k} components" for k in (1, 5) for name in ("factors", "inverses"))
    values = (ratio for ratios in at_100 for ratio in ratios)
    return [*lines, "", *(timing.verdict(*pair, BAR) for pair in zip(names, values, strict=True))]


def main() -> None:
    head = [
        "# One row of a stream",
        "",
        f"Made by `python benchmarks/incremental.py`: the least of up to nine runs of {ROWS:,} rows, in one thread, by",
        "the processor's clock.",
        timing.machine(),
        "Direct routes hold covariances and factorise (or invert) each of them for every row.",
    ]
    torch.set_num_threads(1)
    text = "\n".join([*head, "", *table()]) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
