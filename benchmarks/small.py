"""What waiting people notice: importing, fits of 200 rows, and predicting one row, against torch and scikit-learn.

python benchmarks/small.py    prints the table and writes benchmarks/small.md
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import timing

ROWS, COMPONENTS = 200, 3
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
    import numpy as np
    from sklearn.mixture import GaussianMixture

    from gmmlab import GaussianMixture as Ours

    lines = [
        "| rows x columns | covariances | fit, ms | scikit-learn / ours | predict one row, ms | scikit-learn / ours |"
    ]
    lines.append("|---|---|--:|--:|--:|--:|")
    ratios = []
    for d in (2, 4):
        rng = np.random.default_rng(0)
        centres = 4 * rng.standard_normal((COMPONENTS, d))
        x = centres[rng.integers(COMPONENTS, size=ROWS)] + rng.standard_normal((ROWS, d))
        for kind in ("full", "tied", "diag", "spherical"):
            fit, predict = {}, {}
            for name, estimator in (("ours", Ours), ("sklearn", GaussianMixture)):
                model = estimator(COMPONENTS, covariance_type=kind, random_state=0)
                fit[name] = _run(model.fit, x)
                predict[name] = _run(model.fit(x).predict, x[:1])
            fitted, predicted = timing.minima(fit, 2.0, 50), timing.minima(predict, 1.0, 200)
            ratios.append(fitted["sklearn"] / fitted["ours"])
            again = predicted["sklearn"] / predicted["ours"]
            lines.append(
                f"| {ROWS} x {d} | {kind} | {1e3 * fitted['ours']:.1f} | {ratios[-1]:.2f} "
                f"| {1e3 * predicted['ours']:.2f} | {again:.2f} |"
            )
    return [*lines, "", timing.verdict("least of scikit-learn / ours over the fits", min(ratios), 1.0)]


def _run(function: Callable[..., object], x: object) -> Callable[[], object]:
    return lambda: function(x)


def main() -> None:
    warnings.simplefilter("ignore")
    head = ["# Imports and small fits", "", "Made by `python benchmarks/small.py`: default parameters, start included."]
    text = "\n".join([*head, timing.machine(), "", *imports(), "", *fits()]) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
