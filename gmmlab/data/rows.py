"""One door for data: whatever a person has becomes a checked tensor of rows, or a sentence that says why not.

float64, float32        kept
integers, bool, float16 become float64
inf, strings, sparse matrices, complex numbers, one-dimensional input    an error
NaN                     a missing entry where the caller allows some, an error elsewhere
constant or duplicate columns    one warning: a covariance along them is not determined by the data
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_array

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData, DataWarning, warn

FEW = 1000  # rows that are looked at first, where all need not be


class Rows(NamedTuple):
    """Checked rows, the names of their columns, and whether entries are missing (NaN)."""

    x: Float[Tensor, "n d"]
    names: list[str]
    gaps: bool = False


def as_rows(data: Any, *, min_rows: int = 1, missing: bool = False) -> Rows:
    """Rows from a DataFrame, an array, nested lists or a tensor (whose device is kept); NaN only if `missing`.

    Raises `BadData` (a `ValueError`), or scikit-learn's `ValueError` and `TypeError` for shapes and types that are no
    table of numbers.
    """
    x, names, _ = as_table(data)
    names = names or default_names(x.shape[1])
    if len(x) < min_rows:
        raise BadData(
            f"Found array with {len(x)} sample(s) (shape={tuple(x.shape)}) while a minimum of {min_rows} is required. "
            "More rows, or fewer components, would help."
        )
    return Rows(x, names, _has_gaps(x, names, allowed=missing))


def as_table(data: Any) -> Rows:
    """A tensor of numbers that may not be finite, and the names of its columns where they have some."""
    if hasattr(data, "fit") or hasattr(data, "log_prob"):
        raise BadData(f"Expected rows, got a model ({type(data).__name__}). Rows come first, then the model.")
    names = _column_names(data)
    return Rows(_from_tensor(data) if isinstance(data, Tensor) else _from_array(data, names), names)


def row_weights(sample_weight: Any, x: Tensor) -> Float[Tensor, "n"] | None:
    """How often each of the rows `x` counts, in their dtype; None for once each.

    Takes n numbers, or one for all rows. Raises `BadData` for other shapes, for numbers below 0 or without end, and if
    no row counts.
    """
    if sample_weight is None:
        return None
    one = isinstance(sample_weight, Real)
    given = torch.full_like(x[:, 0], float(sample_weight)) if one else sample_weight
    weight = (given.detach() if isinstance(given, Tensor) else torch.from_numpy(np.array(given, dtype=float))).to(x)
    if weight.ndim != 1 or len(weight) != len(x):
        raise BadData(
            f"sample_weight has the shape {tuple(weight.shape)}; expected one number for each of the {len(x)} rows."
        )
    bad = ~(weight >= 0) | torch.isinf(weight)
    if bool(bad.any()):
        at = int(bad.nonzero()[0])
        raise BadData(
            f"sample_weight[{at}] is {float(weight[at])}; expected finite numbers of at least 0 ({int(bad.sum())} are "
            "not)."
        )
    if not bool(weight.sum() > 0):
        raise BadData("sample_weight is zero for all rows; expected some that count.")
    return weight


def default_names(d: int) -> list[str]:
    """Names of columns that have none."""
    return [f"x{j}" for j in range(d)]


def _column_names(data: Any) -> list[str]:
    """Of a frame (pandas, polars); other things with columns, such as Arrow tables, are taken as arrays."""
    columns = list(getattr(data, "columns", []))
    return [str(name) for name in columns] if all(isinstance(name, str | int | tuple) for name in columns) else []


def _from_tensor(data: Tensor) -> Tensor:
    if data.ndim != 2 or 0 in data.shape:
        raise BadData(
            f"Expected a tensor of shape (n rows, d features), got {tuple(data.shape)}. Reshape your data: "
            "x.reshape(-1, 1) for a single feature."
        )
    if data.layout != torch.strided:
        raise BadData("Sparse tensors are not supported: expected a dense one. Try x.to_dense().")
    if data.is_complex():
        raise BadData("Complex data not supported: expected real numbers.")
    data = data.detach()
    return data if data.dtype in (torch.float32, torch.float64) else data.double()


def _from_array(data: Any, names: list[str]) -> Tensor:
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise BadData(f"Column names {_some(twice)} stand more than once; expected each once. Rename the columns.")
    if names and (dates := [str(c) for c in data.columns if "datetime" in str(data[c].dtype).lower()]):
        raise BadData(
            f"Columns {_some(dates)} hold dates; expected numbers. Leave them out, or turn them into days: "
            "(column - column.min()) / pandas.Timedelta(days=1)."
        )
    if names and (words := [str(c) for c in data.columns if _is_text(data[c])]):
        raise BadData(
            f"Columns {_some(words)} hold text; expected numbers. Leave them out "
            "(data.drop(columns=...), or data.select_dtypes('number')) or encode them."
        )
    array = (
        data
        if _is_plain(data)
        else check_array(
            data, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="X", ensure_min_samples=0
        )
    )
    if min(array.strides, default=1) < 0:
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Unlocked(array)))


def _is_plain(data: Any) -> bool:
    """Whether `check_array` would give this back as it is; to predict one row takes less time than to ask it."""
    return type(data) is np.ndarray and data.ndim == 2 and data.size > 0 and data.dtype in (np.float64, np.float32)


class _Unlocked:
    """A read-only array (a memory map, say) shown to torch as it is: nothing below this door writes to rows.

    Torch has no read-only tensors and warns of arrays that are; a copy might not fit in memory.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array  # kept alive as long as the view
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _is_text(column: Any) -> bool:
    kind = str(column.dtype).lower()
    if kind == "category" and hasattr(column, "cat"):
        return _is_text(column.cat.categories)
    return "str" in kind or kind == "categorical" or (kind == "object" and any(isinstance(v, str) for v in column))


def _has_gaps(x: Float[Tensor, "n d"], names: list[str], *, allowed: bool) -> bool:
    """Whether entries are missing (NaN). Raises `BadData` for what cannot be used."""
    gaps = False
    if not math.isfinite(x.sum()):  # a cheap look first; sums of finite numbers may overflow, hence the second
        gaps = bool(torch.isnan(x).any())
        for word, bad in (("NaN", torch.isnan(x)), ("inf", torch.isinf(x)))[int(allowed) :]:
            if bool(bad.any()):
                columns = [names[j] for j in bad.any(0).nonzero().flatten().tolist()]
                raise BadData(
                    f"Input X contains {word} in {int(bad.any(1).sum())} of {len(x)} rows (columns "
                    f"{_some(columns)}); expected finite numbers. Drop those rows, or impute them."
                )
    seen = x.nan_to_num() if gaps else x
    low, high = (float(end) for end in torch.aminmax(seen)) if x.numel() else (0.0, 0.0)  # abs() would copy all rows
    top, limit = max(-low, high), torch.finfo(x.dtype).max ** 0.5 / 1e3
    if top > limit:
        raise BadData(
            f"Input X holds numbers up to {top:.2g}, whose squares overflow {x.dtype}; expected at most {limit:.2g}. "
            "Rescale the columns (for example with StandardScaler)."
        )
    return gaps


def warn_of_idle_columns(rows: Rows, ridge: float = 0.0) -> None:
    """One warning each for columns along which `ridge` decides the covariance, not the data.

    They are constant, or repeat another one, or vary less than `ridge` (in squared data units).
    """
    x, names, _ = rows
    if len(x) < 2:
        return
    few = x[:FEW].cpu().numpy()  # what differs among them does so among all
    width = few.max(0) - few.min(0)  # two rows so far apart make a variance of at least width^2 / 2 n
    constant = [names[j] for j in np.flatnonzero(width == 0) if bool((x[:, j] == x[0, j]).all())]
    calm = np.flatnonzero(width * width < 2 * len(x) * ridge)
    narrow = [names[j] for j in calm if names[j] not in constant and bool(x[:, j].var(unbiased=False) < ridge)]
    _warn_of(constant, "constant", "Leave {it} out for a likelihood that means something.")
    _warn_of(_duplicates(x, names, set(constant)), "a duplicate of another", "Leave {it} out.")
    _warn_of(narrow, f"of a variance below reg_covar={ridge:g}", "Rescale {it}, or lower reg_covar.")


def _warn_of(columns: list[str], what: str, remedy: str) -> None:
    if columns:
        one = len(columns) == 1
        subject = f"Column {_some(columns)} is" if one else f"Each of the columns {_some(columns)} is"
        message = f"{subject} {what}: along it reg_covar decides the covariance, not the data. "
        warn(message + remedy.format(it="it" if one else "them"), DataWarning)


def _duplicates(x: Float[Tensor, "n d"], names: list[str], skip: set[str]) -> list[str]:
    if len({few.tobytes() for few in x[:FEW].T.cpu().numpy()}) == x.shape[1]:
        return []
    seen: dict[int, list[int]] = {}
    twins = []
    for j, name in enumerate(names):
        if name in skip:
            continue
        same = seen.setdefault(hash(x[:, j].cpu().numpy().tobytes()), [])  # equality decides
        if any(torch.equal(x[:, i], x[:, j]) for i in same):
            twins.append(name)
        same.append(j)
    return twins


def _some(columns: list[str]) -> str:
    shown = ", ".join(map(repr, columns[:5]))
    return shown if len(columns) <= 5 else f"{shown} and {len(columns) - 5} more"
