"""All fourteen models with one to nine components to convergence: `gmmlab.select` against R's mclust.

python benchmarks/mclust.py    prints the table and writes benchmarks/mclust_speed.md

R is timed in the same run where Rscript and mclust are found; otherwise the table says so.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import timing

REFERENCE = timing.ROOT / "tests" / "reference" / "data"
NAMES = ("iris", "faithful", "banknote", "acidity")
ROUNDS, REPEATS = 3, 3  # both take turns, lest a slow moment of the machine meet one of them; runs in each turn
WORSE = 0.01  # of a BIC: mclust stops at a tolerance of its own
MARK = "row: "
SCRIPT = """
suppressMessages(library(mclust))
x <- read.csv(commandArgs(TRUE))
seconds <- Inf
for (i in 1:REPEATS) {
  spent <- system.time(bic <- mclustBIC(x, verbose = FALSE))
  seconds <- min(seconds, spent[["user.self"]] + spent[["sys.self"]])
}
cat(seconds, format(max(bic, na.rm = TRUE), digits = 12), "\\n")
"""


class Row(NamedTuple):
    """CPU seconds and the winning BIC (mclust's sign) of both; NaN where R or mclust is missing."""

    name: str
    n: int
    d: int
    ours: float
    mclust: float
    bic: float
    theirs: float


def data() -> dict[str, Any]:
    import numpy as np
    from sklearn.datasets import load_wine

    stored = {name: json.loads((REFERENCE / f"mclust_{name}.json").read_text())["rows"] for name in NAMES}
    return {name: np.array(rows, dtype=float) for name, rows in stored.items()} | {"wine": load_wine().data}


def in_r(x: Any) -> tuple[float, float]:
    """Seconds and BIC, by R."""
    import numpy as np

    if shutil.which("Rscript") is None:
        return math.nan, math.nan
    with tempfile.TemporaryDirectory() as folder:
        path, header = f"{folder}/x.csv", ",".join(f"x{i}" for i in range(x.shape[1]))
        np.savetxt(path, x, delimiter=",", header=header, comments="", fmt="%.17g")
        script = SCRIPT.replace("REPEATS", str(REPEATS))
        done = subprocess.run(["Rscript", "-e", script, path], check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return math.nan, math.nan
    seconds, bic = done.stdout.split()
    return float(seconds), float(bic)


def cpu_seconds(run: Callable[[], object]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


def child() -> None:
    """Everything in this process, on one core."""
    from gmmlab import select

    warnings.simplefilter("ignore")
    tables = data()
    select(tables["acidity"])  # warms up
    for name, x in tables.items():
        ours, mclust, bic = math.inf, math.inf, -float(select(x).table_.bic.min())
        for _ in range(ROUNDS):
            seconds, theirs = in_r(x)
            mclust = min(mclust, seconds)
            ours = min(ours, *(cpu_seconds(lambda x=x: select(x)) for _ in range(REPEATS)))
        print(MARK + json.dumps(Row(name, *x.shape, ours, mclust, bic, theirs)))


def table(rows: list[Row]) -> str:
    lines = [
        "# All fourteen models, one to nine components, against mclust",
        "",
        "Made by `python benchmarks/mclust.py`: `select(x)` and R's `mclustBIC(x)`, starts included, to convergence,",
        f"in CPU seconds on one core, the least of {ROUNDS * REPEATS} runs, both in turns; BIC in mclust's sign.",
        "mclust stops at a gain of 1e-5 of the log-likelihood; `select` at a mean gain of 1e-5, and at 1e-8 for",
        "models that could win.",
        "",
        timing.machine(),
        "",
        "| data | rows x columns | ours, s | mclust, s | mclust / ours | best BIC, ours | best BIC, mclust |",
        "|---|---|--:|--:|--:|--:|--:|",
        *(
            f"| {row.name} | {row.n} x {row.d} | {row.ours:.2f} | {row.mclust:.2f} | {row.mclust / row.ours:.1f} | "
            f"{row.bic:.3f} | {row.theirs:.3f} |"
            for row in rows
        ),
        "",
    ]
    if any(math.isnan(row.mclust) for row in rows):
        return "\n".join([*lines, "R with mclust was not found here, so that nothing is compared."]) + "\n"
    four = [row for row in rows if row.name in NAMES]
    total = [sum(row.mclust for row in some) / sum(row.ours for row in some) for some in (four, rows)]
    return (
        "\n".join(
            [
                *lines,
                timing.verdict("total time of mclust / ours, without wine", total[0], 1.0),
                timing.verdict("total time of mclust / ours", total[1], 1.0),
                timing.verdict("least BIC of ours less that of mclust", min(r.bic - r.theirs for r in rows), -WORSE),
            ]
        )
        + "\n"
    )


def main() -> None:
    if sys.argv[1:] == ["--child"]:
        child()
        return
    output = timing.on_cores(1, [str(Path(__file__)), "--child"]).splitlines()
    text = table([Row(*json.loads(line.removeprefix(MARK))) for line in output if line.startswith(MARK)])
    print(text)
    Path(__file__).with_name("mclust_speed.md").write_text(text)


if __name__ == "__main__":
    main()
