"""The command line: `gmmlab lab`, `gmmlab run NOTEBOOK`, `gmmlab list`.

Thin: it reads the words, calls `gmmlab.series`, and turns a `Problem` into one sentence and an exit status
(2: the command could not start; 1: a notebook failed).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import gmmlab
from gmmlab.extras import needs
from gmmlab.series import catalogue, lab, parameters, runner
from gmmlab.series.problems import Misuse, Problem


class _Parser(argparse.ArgumentParser):
    """Usage errors in one sentence, as all others."""

    def error(self, message: str) -> NoReturn:
        raise Misuse(f"{message}. `{self.prog} --help` shows what there is.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments)
    except Problem as problem:
        print(f"gmmlab: {problem}", file=sys.stderr)
        return problem.status
    except ModuleNotFoundError as error:
        if "gmmlab[" not in str(error):
            raise  # not one of the packages that an extra brings
        print(f"gmmlab: {error}", file=sys.stderr)
        return Misuse.status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gmmlab", description="The lab for Gaussian mixtures.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gmmlab {gmmlab.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    opening = commands.add_parser("lab", help="open JupyterLab on the series of notebooks")
    opening.add_argument("folder", nargs="?", metavar="DIR", help="put the notebooks in DIR and open that")
    opening.add_argument("--port", type=int, help="the port to serve on (default: the first free one from 8888)")
    opening.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    opening.set_defaults(command=_lab)

    running = commands.add_parser("run", help="run a notebook with other parameters, without a browser")
    running.add_argument("notebook", metavar="NOTEBOOK", help="a file, or a notebook of the series, such as 00")
    running.add_argument("-p", dest="pairs", metavar="NAME=VALUE", action="append", default=[], help="a parameter")
    running.add_argument("-f", dest="file", metavar="FILE", help="parameters from a YAML file; -p wins")
    running.add_argument("-o", dest="out", metavar="OUT", help="file or folder (default: NAME.run.ipynb here)")
    running.add_argument("--report", action="store_true", help="also write one HTML page without code")
    running.set_defaults(command=_run)

    listing = commands.add_parser("list", help="list the notebooks, or the implemented systems")
    listing.add_argument("--systems", action="store_true", help="systems, their entry points and notebooks")
    listing.add_argument("--json", action="store_true", help="for other programs")
    listing.set_defaults(command=_list)
    return parser


def _lab(arguments: argparse.Namespace) -> int:
    lab.serve(arguments.folder, port=arguments.port, browser=not arguments.no_browser)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    path = catalogue.find(arguments.notebook)
    given = _from_file(arguments.file) if arguments.file else {}
    values = parameters.checked(parameters.declared(runner.load(path)), arguments.pairs, given)
    out = runner.result_path(path, arguments.out)
    report = _report() if arguments.report else None
    progress = sys.stderr.isatty()
    if not progress:
        print(f"gmmlab: running {path.name}", file=sys.stderr, flush=True)
    executed = runner.run(path, values, out, progress=progress)
    print(out)
    if report:
        print(report.write(executed, path, out.with_suffix(".html")))
    return 0


def _report() -> ModuleType:
    for package in ("nbconvert", "latex2mathml"):
        needs(package)
    return needs("gmmlab.series.report")


def _from_file(name: str) -> Mapping[str, Any]:
    yaml = needs("yaml")
    try:
        found = yaml.safe_load(Path(name).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise Misuse(f"the parameter file {name} cannot be read ({error.strerror}).") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise Misuse(f"the parameter file {name} is not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(found, Mapping):
        raise Misuse(f"the parameter file {name} holds {type(found).__name__}, expected lines `name: value`.")
    return found


def _list(arguments: argparse.Namespace) -> int:
    entries = catalogue.entries()
    if arguments.systems:
        rows = catalogue.systems(entries)
        as_json: list[dict[str, Any]] = [
            {"system": slug, "entry": entry, "notebooks": shown} for slug, entry, shown in rows
        ]
        table = [(slug, entry, ", ".join(shown) or "-") for slug, entry, shown in rows]
    else:
        as_json = [entry.as_json() for entry in entries]
        table = [(e.name, f"{e.minutes} min", f"{e.part}: {e.title}") for e in entries]
    print(json.dumps(as_json, indent=2) if arguments.json else _columns(table))
    return 0


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows) or "nothing yet"


if __name__ == "__main__":
    sys.exit(main())
