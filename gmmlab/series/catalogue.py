"""The notebooks of the series, read from their own metadata.

Each notebook says `gmmlab: {title, part, minutes, systems}` in its metadata, where `systems` are slugs of
`gmmlab.systems.SYSTEMS`. The list on the command line, the index in notebooks/README.md and the tests that
run the series are all made from it, so there is no second place to keep up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gmmlab.series.problems import Misuse, near
from gmmlab.systems import SYSTEMS

_PACKAGE = Path(__file__).resolve().parents[1]
_KINDS = {"title": str, "part": str, "minutes": int, "systems": list}


@dataclass(frozen=True)
class Entry:
    """One notebook of the series; `name` is its file name without the ending."""

    name: str
    title: str
    part: str
    minutes: int
    systems: tuple[str, ...]
    path: Path

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"systems": list(self.systems), "path": str(self.path)}


def in_checkout() -> bool:
    """Whether gmmlab is imported from its repository rather than from an installed wheel."""
    root = _PACKAGE.parent
    return (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir()


def home() -> Path:
    """The folder that holds the series: the checkout's, or the one shipped in the wheel."""
    return _PACKAGE.parent / "notebooks" if in_checkout() else _PACKAGE / "series" / "notebooks"


def entries(folder: Path | None = None) -> list[Entry]:
    """All notebooks of the series in order. What `gmmlab run` leaves beside them is not part of it."""
    folder = folder or home()
    paths = (p for p in sorted(folder.glob("*.ipynb")) if not p.stem.endswith((".run", ".failed")))
    return [read(path) for path in paths]


def read(path: Path) -> Entry:
    """The entry of one notebook; a `Misuse` says what its metadata lacks."""
    card = notebook_metadata(path).get("gmmlab")
    if not isinstance(card, Mapping):
        raise Misuse(f"{path.name} has no 'gmmlab' in its metadata, expected {{{', '.join(_KINDS)}}}.")
    for key, kind in _KINDS.items():
        if not isinstance(card.get(key), kind) or isinstance(card.get(key), bool):
            raise Misuse(f"{path.name}: metadata gmmlab.{key} is {card.get(key)!r}, expected {kind.__name__}.")
    if unknown := sorted(set(card) - set(_KINDS)):
        raise Misuse(f"{path.name}: metadata gmmlab.{unknown[0]} is not known. {near(unknown[0], _KINDS)}")
    for slug in card["systems"]:
        if slug not in SYSTEMS:
            raise Misuse(f"{path.name}: the system {slug!r} is not in gmmlab.systems. {near(slug, SYSTEMS)}")
    return Entry(path.stem, card["title"], card["part"], card["minutes"], tuple(card["systems"]), path)


def notebook_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a notebook file, read without Jupyter's packages."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["metadata"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misuse(f"{path} is not a notebook that can be read ({error or type(error).__name__}).") from error


def find(name: str, folder: Path | None = None) -> Path:
    """The notebook meant by a path, a name of the series, or the number that a name begins with."""
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix == ".ipynb" or len(path.parts) > 1:
        raise Misuse(f"there is no file {name}; `gmmlab list` shows the notebooks of the series.")
    stems = {p.stem: p for p in (entry.path for entry in entries(folder))}
    matches = [p for stem, p in stems.items() if stem == name or stem.startswith(f"{name}_")]
    if len(matches) != 1:
        seen = f"{len(matches)} notebooks of the series are" if matches else "no notebook of the series is"
        raise Misuse(f"{seen} called {name!r}. {near(name, stems)}")
    return matches[0]


def systems(listed: Iterable[Entry]) -> list[tuple[str, str, list[str]]]:
    """Every implemented system: slug, entry point, names of the notebooks that show it."""
    listed = list(listed)
    return [(slug, entry, [e.name for e in listed if slug in e.systems]) for slug, entry in SYSTEMS.items()]


def index(listed: Iterable[Entry]) -> str:
    """The text of notebooks/README.md, by parts in the order in which they begin."""
    lines = [
        "# The notebooks",
        "",
        "`make lab` opens them, `gmmlab run NAME` runs one without a browser.",
        "This page is made by `make notebooks` from the metadata of the notebooks.",
    ]
    parts: dict[str, list[Entry]] = {}
    for entry in listed:
        parts.setdefault(entry.part, []).append(entry)
    for part, members in parts.items():
        lines += ["", f"## {part}", "", "| notebook | minutes | systems |", "|---|--:|---|"]
        for e in members:
            shown = ", ".join(f"`{slug}`" for slug in e.systems)
            lines.append(f"| [{e.title}]({e.name}.ipynb) | {e.minutes} | {shown} |")
    return "\n".join(lines) + "\n"
