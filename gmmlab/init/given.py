"""Starts that a person gives: a label for each row, or responsibilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData

SLACK = 1e-3  # how far a row of responsibilities may be from a sum of one, as rounding leaves it; it is then scaled


def given_responsibilities(value: Any, n: int, k: int) -> Float[Tensor, "n k"]:
    """Checked responsibilities (n, k), out of labels (n,) or responsibilities (n, k), in float64.

    Arrays, lists, frames, series and tensors (whose device is kept) are taken. Labels may be numbers, strings or
    anything that can be sorted: whole numbers from 0 to k - 1 are the numbers of components, other labels count in
    sorted order. A label of -1, NaN or None, or a row of zeros, leaves a row out of the start: it gets no weight there,
    and takes part in the fit like any other. Raises `BadData` for anything else, and where a component has no row.
    """
    shape = tuple(np.shape(value))
    if shape == (n,):
        resp = _of_labels(value, k)
    elif shape == (n, k):
        resp = _checked(_numbers(value))
    else:
        raise BadData(
            f"init_params has the shape {shape}; expected a label for each row, ({n},), or responsibilities of "
            f"n_components={k} for each, ({n}, {k}), or the name of a start."
        )
    empty = (resp.sum(0) == 0).nonzero().flatten().tolist()
    if empty:
        raise BadData(
            f"No row belongs to component {empty[0]} (of {k}, counted from 0) in the given init_params. Give it rows, "
            f"or set n_components={k - len(empty)}."
        )
    return resp


def _of_labels(value: Any, k: int) -> Float[Tensor, "n k"]:
    device = value.device if isinstance(value, Tensor) else None
    cells = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=object).ravel().tolist()
    names = {name for name in set(cells) if is_known(name)}
    if all(isinstance(name, int | float | np.number) and name in range(k) for name in names):
        number = {name: int(name) for name in names}
    else:
        number = {name: j for j, name in enumerate(_sorted(names))}
        if len(number) != k:
            shown = ", ".join(map(repr, list(number)[:8])) + (", ..." if len(number) > 8 else "")
            raise BadData(
                f"init_params has {len(number)} different labels ({shown}) for n_components={k}. Give as many labels "
                "as components; -1 or NaN leaves a row out of the start."
            )
    resp = torch.zeros(len(cells), k, dtype=torch.float64)
    component = np.array([number.get(cell, -1) for cell in cells])
    rows = np.flatnonzero(component >= 0)
    resp[rows, component[rows]] = 1
    return resp.to(device)


def is_known(cell: Any) -> bool:
    """Whether a label is one: not None, NaN or -1."""
    if isinstance(cell, int | float | np.number):
        return not (math.isnan(cell) or cell == -1)
    return cell is not None


def _sorted(names: set[Any]) -> list[Any]:
    try:
        return sorted(names)
    except TypeError:
        kinds = ", ".join(sorted({type(name).__name__ for name in names}))
        raise BadData(f"The labels in init_params are of kinds that have no common order: {kinds}.") from None


def _numbers(value: Any) -> Float[Tensor, "n k"]:
    if isinstance(value, Tensor):
        return value.detach().double()
    try:
        return torch.from_numpy(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise BadData("The responsibilities in init_params are not numbers; expected numbers from 0 to 1.") from None


def _checked(resp: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    total = resp.sum(1)
    good = (resp >= 0).all(1) & (((total - 1).abs() <= SLACK) | (total == 0))  # false for NaN, too
    if not bool(good.all()):
        row = int((~good).nonzero()[0])
        raise BadData(
            f"Row {row} of the responsibilities in init_params is {_shown(resp[row])}; expected numbers of at least 0 "
            "that sum to one, or zeros to leave the row out of the start."
        )
    return resp / torch.where(total > 0, total, 1.0)[:, None]


def _shown(row: Tensor) -> str:
    cells = [f"{cell:.4g}" for cell in row[:6].tolist()]
    return "[" + ", ".join(cells + ["..."] * (len(row) > 6)) + "]"
