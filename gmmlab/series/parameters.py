"""What a notebook declares in its `parameters` cell, and whether given values fit.

A declaration is one line, `name: type = default  # help`. Known types are str, int, float, bool, list[...] of
these, `Literal["a", "b"]`, and `... | None`; a name without a type takes any value. Words like `at least 1` in
the help are a lower bound. Everything is checked before a kernel starts.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmmlab.series.problems import Misuse, near, suggestion

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_AT_LEAST = re.compile(r"\bat least (-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Parameter:
    """One declared parameter; `kind` is the annotation as written, empty when there is none."""

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()

    @property
    def at_least(self) -> str:
        """The lower bound as the help says it, empty when there is none."""
        found = _AT_LEAST.search(self.help)
        return found[1] if found else ""


def declared(notebook: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of a notebook, in order, from the first cell tagged `parameters`."""
    return _assigned(notebook, "parameters")


def given(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an executed notebook was run with, from the cell that the runner put in."""
    return {name: p.default for name, p in _assigned(notebook, "injected-parameters").items()}


def _assigned(notebook: Mapping[str, Any], tag: str) -> dict[str, Parameter]:
    for cell in notebook["cells"]:
        if tag in cell["metadata"].get("tags", []):
            return {p.name: p for p in _declarations("".join(cell["source"]))}
    return {}


def _declarations(source: str) -> list[Parameter]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise Misuse(f"the parameters cell is not Python ({error.msg}, line {error.lineno}).") from error
    lines = source.splitlines()
    return [parameter for node in statements if (parameter := _declaration(node, lines))]


def _declaration(node: ast.stmt, lines: Sequence[str]) -> Parameter | None:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            kind, choices = ast.unparse(annotation), _choices(annotation)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            kind, choices = "", ()
        case _:
            return None
    # offsets of the syntax tree count bytes
    rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode()
    return Parameter(name, kind, _literal(value), rest.strip(" #;"), choices)


def _choices(annotation: ast.expr) -> tuple[Any, ...]:
    """The values of a `Literal[...]` in an annotation."""
    for node in ast.walk(annotation):
        match node:
            case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal"), slice=values):
                found = _literal(values)
                return found if isinstance(found, tuple) else (found,)
    return ()


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)  # a default that is computed is only shown


def checked(
    parameters: Mapping[str, Parameter], pairs: Sequence[str] = (), mapping: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The values to run with: those of a mapping (a YAML file), then `name=value` pairs, each of its type."""
    values = {name: _typed(_known(parameters, str(name)), value) for name, value in (mapping or {}).items()}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise Misuse(f"-p {pair} has no value; write -p {pair}=VALUE.")
        values[name] = _parsed(_known(parameters, name), text)
    for name, value in values.items():
        _check_allowed(parameters[name], value)
    _check_table(parameters, values)
    return values


def _known(parameters: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in parameters:
        raise Misuse(f"the notebook has no parameter {name!r}. {near(name, parameters)}")
    return parameters[name]


def _wrong(parameter: Parameter, value: Any) -> Misuse:
    return Misuse(f"parameter {parameter.name} is {value!r}, expected {parameter.kind}, such as {parameter.default!r}.")


def _check_allowed(parameter: Parameter, value: Any) -> None:
    """The value is one of the choices, and its numbers are not under the bound."""
    if value is None and _split_kind(parameter.kind)[1]:
        return
    if parameter.choices and value not in parameter.choices:
        listed = ", ".join(map(repr, parameter.choices))
        meant = suggestion(str(value), map(str, parameter.choices))
        raise Misuse(f"parameter {parameter.name} is {value!r}, expected one of {listed}. {meant}".rstrip())
    if bound := parameter.at_least:
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int | float) and not number >= float(bound):  # so that nan is refused
                raise Misuse(f"parameter {parameter.name} is {value!r}, expected at least {bound}.")


# -- from the text of -p name=value ------------------------------------------------------------------------


def _truth(text: str) -> bool:
    return _TRUTH[text.lower()]


def _any(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


_READERS: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": _truth}


def _parsed(parameter: Parameter, text: str) -> Any:
    kind, optional = _split_kind(parameter.kind)
    if optional and text in ("", "None", "none", "null"):
        return None
    if text in parameter.choices:
        return text
    try:
        if kind == "list" or kind.startswith("list["):
            read = _READERS.get(kind[5:-1], _any)
            items = text.strip().removeprefix("[").removesuffix("]")
            return [read(item.strip().strip("'\"")) for item in items.split(",") if item.strip()]
        return _typed(parameter, _READERS.get(kind, _any)(text))
    except (ValueError, KeyError):
        raise _wrong(parameter, text) from None


# -- from a YAML file, where values have types already ------------------------------------------------------


def _typed(parameter: Parameter, value: Any) -> Any:
    kind, optional = _split_kind(parameter.kind)
    if (value is None and optional) or _fits(value, kind):
        return float(value) if kind == "float" and value is not None else value
    raise _wrong(parameter, value)


def _fits(value: Any, kind: str) -> bool:
    if kind.startswith("list["):
        return isinstance(value, list) and all(_fits(item, kind[5:-1]) for item in value)
    if kind in ("int", "float"):
        number = isinstance(value, int) and not isinstance(value, bool)
        return number or (kind == "float" and isinstance(value, float))
    known = {"str": str, "bool": bool, "list": list, "dict": dict}
    return isinstance(value, known.get(kind, object))


def _split_kind(kind: str) -> tuple[str, bool]:
    parts = [part.strip() for part in kind.split("|")]
    return " | ".join(p for p in parts if p != "None"), "None" in parts


# -- a table and its columns --------------------------------------------------------------------------------


def _check_table(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """`data` names a file that exists, `columns` names columns that it has."""
    if "data" not in parameters or not values.get("data"):
        return
    header = _header(Path(values["data"]))
    columns = values.get("columns") or []
    names = columns.split(",") if isinstance(columns, str) else columns
    for name in (str(name).strip() for name in names):
        if name not in header:
            raise Misuse(f"{values['data']} has no column {name!r}. {near(name, header)}")


def _header(path: Path) -> list[str]:
    if not path.is_file():
        raise Misuse(f"parameter data is {str(path)!r}, expected the path of a CSV file; there is no such file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise Misuse(f"{path} cannot be read as a CSV file in UTF-8 ({error}); save it as UTF-8.") from error
    if not any(name.strip() for name in header):
        raise Misuse(f"{path} has no header line, expected the names of its columns.")
    return [name.strip() for name in header]
