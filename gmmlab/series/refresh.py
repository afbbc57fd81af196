"""Run every notebook of a folder again, in place, and write its index: `make notebooks`."""

from __future__ import annotations

import sys
from pathlib import Path

from gmmlab.series import catalogue, runner
from gmmlab.series.problems import Problem


def refresh(folder: Path) -> None:
    """Outputs and README.md as they come from the sources."""
    listed = catalogue.entries(folder)
    for entry in listed:
        print(f"gmmlab: running {entry.path.name}", flush=True)
        runner.run(entry.path, {}, entry.path, progress=sys.stderr.isatty())
    (folder / "README.md").write_text(catalogue.index(listed), encoding="utf-8")


if __name__ == "__main__":
    try:
        refresh(Path(sys.argv[1]))
    except Problem as problem:
        sys.exit(f"gmmlab: {problem}")
