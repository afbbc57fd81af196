"""Fitted estimators in files, without pickle: nothing in a file is ever run.

A file is one safetensors file. Its tensors are the arrays of the estimator; one entry of its metadata, "gmmlab", holds
the rest as JSON:

    {"format": 2, "gmmlab": "0.1.0", "class": "GaussianMixture", "parameters": {...}, "fitted": {...}}

What comes back is what was saved, to the last bit; tensors come back on the CPU. Files are checked before they are
believed: the class must be one of `STORED`, and the parameters and arrays must make a fitted estimator of that class.
Format 1 had fewer kinds of values, and nothing of fits that go on batch by batch; it is read as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import gmmlab
from gmmlab.axes import Tensor
from gmmlab.errors import BadFile
from gmmlab.extras import needs
from gmmlab.storage.codecs import estimator_of, put_estimator
from gmmlab.storage.stored import STORED, is_estimator

FORMAT = 2
SUFFIX = ".safetensors"
_KEY = "gmmlab"


# -- saving ------------------------------------------------------------------------------------------------------------


def save(estimator: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to `path`, which ends in .safetensors; a file that is there is replaced at once.

    Raises `NotFittedError`, `TypeError` for a class that has no entry in `STORED` and for a parameter that a file
    cannot hold, such as a function, and `ValueError` for attributes that `load` would not believe.
    """
    path = _checked_path(path)
    tensors: dict[str, Tensor] = {}
    if is_estimator(estimator):
        check_is_fitted(estimator)
    try:
        header = {"format": FORMAT, "gmmlab": gmmlab.__version__, **put_estimator(estimator, "", tensors)}
    except ValueError as error:
        name = type(estimator).__name__
        raise ValueError(
            f"This {name} would not be believed when it is loaded: {_words(error)}. Fit it anew."
        ) from error
    content = needs("safetensors.torch", "io").save(tensors, {_KEY: json.dumps(header, allow_nan=False)})
    _replace(path, content)


def _checked_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"The file would be {path.name!r}; expected a name that ends in {SUFFIX}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r} to save in; make it first.")
    return path


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, then put in place: whatever happens, there is a whole file or the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


# -- loading -----------------------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Any:
    """The fitted estimator in a file that `save` wrote. Raises `BadFile`, a `ValueError`, for any other file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}; expected one that gmmlab saved.")
    header, tensors = _read(path)
    name = _class(path, header)
    try:
        estimator = estimator_of(header, tensors)
        check_is_fitted(estimator)
        if tensors:
            raise ValueError(f"it has tensors that belong nowhere: {_listed(tensors)}")
    except _WRONG as error:
        raise BadFile(f"{path.name} is not a {name} that can be trusted: {_words(error)}.") from error
    return estimator


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_FOREIGN = {  # first bytes of what people also keep models in
    b"\x80": "a pickle, which could run any code when it is opened",
    b"PK": "a zip archive (npz, or torch.save), which may hold pickles",
    b"\x93NUMPY": "an array in NumPy's npy format",
    b"\x1f\x8b": "a gzip file (joblib, perhaps), which may hold a pickle",
    b"x\x9c": "a zlib file (joblib, perhaps), which may hold a pickle",
    b"x\x01": "a zlib file (joblib, perhaps), which may hold a pickle",
    b"x^": "a zlib file (joblib, perhaps), which may hold a pickle",
    b"BZ": "a bzip2 file (joblib, perhaps), which may hold a pickle",
    b"\xfd7zXZ": "an xz file (joblib, perhaps), which may hold a pickle",
    b"\x89HDF": "an HDF5 file",
    b"{": "JSON text",
}
_SAVED = "expected a file that save() of gmmlab wrote"
_WRONG = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, RecursionError, AssertionError)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a file; nothing but safetensors and JSON is read."""
    safetensors = needs("safetensors", "io")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata, names = file.metadata() or {}, file.keys()
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise BadFile(f"{path.name} {_what_instead(path)}; {_SAVED}.") from error
    if _KEY not in metadata:
        raise BadFile(f"{path.name} holds tensors, but no model of gmmlab; {_SAVED}.")
    try:
        header = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise BadFile(f"The header of {path.name} is damaged ({error}); {_SAVED}.") from error
    return header, tensors


def _what_instead(path: Path) -> str:
    with path.open("rb") as file:
        begin = file.read(8)
    if not begin:
        return "is empty"
    # a safetensors file begins with the length of its header, eight bytes, and the header with a brace
    with path.open("rb") as file:
        if file.read(9)[8:] == b"{" and begin[6:] == b"\x00\x00":
            return "is a safetensors file cut short, or damaged"
    found = next((what for mark, what in _FOREIGN.items() if begin.startswith(mark)), None)
    return f"is {found}" if found else "is no safetensors file"


def _class(path: Path, header: Any) -> str:
    """The name of the estimator in a file of a format that is known."""
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise BadFile(f"The header of {path.name} does not say its format; {_SAVED}.")
    if header["format"] > FORMAT:
        raise BadFile(
            f"{path.name} has format {header['format']}, written by gmmlab {header.get('gmmlab')}; this is gmmlab "
            f"{gmmlab.__version__}, which reads formats up to {FORMAT}. Update gmmlab."
        )
    name = header.get("class")
    if not isinstance(name, str) or name not in STORED:
        raise BadFile(f"{path.name} holds a {name!r}, which is unknown here; expected one of {', '.join(STORED)}.")
    return name


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return (str(error) or type(error).__name__).rstrip(".")
