"""scikit-learn's way of writing Gaussian parameters, and the way back.

`covariances_`, `precisions_` and `precisions_cholesky_` have one shape per covariance type; everything below the
estimators works with factors (k, d, d) or standard deviations (k, d). The table `COVARIANCES` is the only place where a
covariance type is a string; a structure that no string can tell, such as `Blocks`, is given itself.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Tensor
from gmmlab.data.rows import row_weights
from gmmlab.errors import BadData
from gmmlab.families import EIGEN, EII, VII, Diagonal, Full, Spherical, Structure, Tied
from gmmlab.gates import dirichlet


class Layout(NamedTuple):
    """A covariance type: its structure, the axes of its attributes, how they are cut from (k, ...) and spread again."""

    structure: Structure
    axes: Callable[[int, int], tuple[int, ...]]
    cut: Callable[[Tensor], Tensor]
    spread: Callable[[Tensor, int, int], Tensor]


def _plain(structure: Structure) -> Layout:
    """Attributes as the components have them: (k, d, d), or (k, d) for axis-aligned covariances."""
    axes = (lambda k, d: (k, d, d)) if structure.dense else (lambda k, d: (k, d))
    return Layout(structure, axes, lambda t: t, lambda t, k, d: t)


# scikit-learn's names with its shapes, then the fourteen by their letters; the first name of a structure is its own
COVARIANCES: dict[str, Layout] = {
    "full": Layout(Full(), lambda k, d: (k, d, d), lambda t: t, lambda t, k, d: t),
    "tied": Layout(Tied(), lambda k, d: (d, d), lambda t: t[0], lambda t, k, d: t.expand(k, d, d)),
    "diag": Layout(Diagonal(), lambda k, d: (k, d), lambda t: t, lambda t, k, d: t),
    "spherical": Layout(Spherical(), lambda k, d: (k,), lambda t: t[:, 0], lambda t, k, d: t[:, None].expand(k, d)),
    **{structure.name: _plain(structure) for structure in EIGEN},
    "E": _plain(EII()),
    "V": _plain(VII()),
}


ALL = tuple(structure.name for structure in EIGEN)
UNIVARIATE = ("E", "V")  # what the fourteen come down to in one dimension


def layout(kind: str | Structure) -> Layout:
    """The layout of a covariance type, or of a structure. Raises `ValueError` for a name that is none."""
    if isinstance(kind, str) and kind in COVARIANCES:  # asked first: to look into a protocol takes longer than a step
        return COVARIANCES[kind]
    if isinstance(kind, Structure):
        return _plain(kind)
    raise ValueError(f"The covariance type {kind!r} is unknown; expected one of {', '.join(COVARIANCES)}.")


def structure(kind: str | Structure) -> Structure:
    """The structure of a covariance type, which may be one itself. Raises `ValueError` for a name that is none."""
    return layout(kind).structure


def covariance_type(structure: Structure) -> str | Structure:
    """The name of a structure, or the structure itself if it has none."""
    return next((name for name, layout in COVARIANCES.items() if layout.structure == structure), structure)


def check_columns(structure: Structure, d: int) -> None:
    """Raises `BadData` where blocks name columns that are not there."""
    named = [j for block in getattr(structure, "columns", ()) for j in block]
    if max(named, default=0) >= d:
        raise BadData(f"The covariance has blocks with column {max(named)}; expected columns from 0 to {d - 1}.")


def attributes(chol: Tensor, layout: Layout) -> dict[str, Tensor]:
    """`covariances_`, `precisions_cholesky_` and `precisions_` of factors."""
    if chol.ndim == 2:
        whiten = 1 / chol
        values = chol**2, whiten, whiten**2
    else:
        eye = torch.eye(chol.shape[1], dtype=chol.dtype, device=chol.device).expand_as(chol)
        upper = torch.linalg.solve_triangular(chol, eye, upper=False).mT
        values = chol @ chol.mT, upper, upper @ upper.mT
    names = ("covariances_", "precisions_cholesky_", "precisions_")
    return {name: layout.cut(value) for name, value in zip(names, values, strict=True)}


def factors(precisions_cholesky: Tensor, layout: Layout, k: int, d: int) -> Tensor:
    """Factors of the covariances out of `precisions_cholesky_`."""
    upper = layout.spread(precisions_cholesky.double(), k, d)
    if upper.ndim == 2:
        return 1 / upper
    eye = torch.eye(d, dtype=upper.dtype, device=upper.device).expand_as(upper)
    return torch.linalg.solve_triangular(upper, eye, upper=True).mT


def as_tensor(value: Any) -> Tensor:
    """A tensor of what a person gives as parameters: float32 stays, all else (lists, say) is float64 as in numpy."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
        return torch.stack(value).detach()
    array = np.array(value)
    return torch.from_numpy(array.astype(np.float32 if array.dtype == np.float32 else np.float64))


def like(X: Any, value: Tensor) -> Any:
    """Tensors for those who gave tensors, arrays for all others."""
    return value if isinstance(X, Tensor) else value.cpu().numpy()


def total(each: Tensor, sample_weight: Any) -> tuple[float, float]:
    """The sum of what each row has, and how many rows they are: both by weight, where rows have weights."""
    each = each.double()
    weight = row_weights(sample_weight, each[:, None])
    return (float(each.sum()), float(len(each))) if weight is None else (float(weight @ each), float(weight.sum()))


def check_weights(value: Any, k: int) -> Tensor:
    """Given mixing weights. Raises `ValueError` unless they are k numbers in [0, 1] that sum to one."""
    weights = check_shape(value, (k,), "weights")
    low, high, total = float(weights.min()), float(weights.max()), float(weights.sum())
    if low < 0 or high > 1:
        raise ValueError(
            f"The parameter 'weights' should be in the range [0, 1], but got max value {high:.5f}, min value {low:.5f}"
        )
    if abs(total - 1) > (1e-6 if _is_single(value) else 1e-8):
        raise ValueError(f"The parameter 'weights' should be normalized, but got sum(weights) = {total:.5f}")
    return weights


def check_weights_prior(value: Any, k: int) -> Tensor:
    """Parameters of a Dirichlet prior, out of one for all or one each. Raises `ValueError` unless it has a mode."""
    alpha = torch.full((k,), float(value), dtype=torch.float64) if isinstance(value, Real) else as_tensor(value)
    alpha = check_shape(alpha, (k,), "weights_prior")
    dirichlet.check(alpha)
    return alpha


def check_means(value: Any, k: int, d: int) -> Tensor:
    """Given means (k, d)."""
    return check_shape(value, (k, d), "means")


def check_precisions(value: Any, kind: str | Structure, k: int, d: int) -> Tensor:
    """Factors of the covariances whose precisions are given, in the shape of a covariance type."""
    of, name = layout(kind), kind if isinstance(kind, str) else kind.name
    given = check_shape(value, of.axes(k, d), f"{name} precision")
    precision = of.spread(given, k, d)
    if precision.ndim == 2:
        if not bool((precision > 0).all()):
            raise ValueError(f"'{name} precision' should be positive")
        return precision**-0.5
    # P = U U' with U upper triangular is the Cholesky factor of P read backwards; no inverse, which would lose digits
    backwards, info = torch.linalg.cholesky_ex(precision.flip(-1, -2))
    if bool(info.any()) or not torch.allclose(precision, precision.mT):
        raise ValueError(f"'{name} precision' should be symmetric, positive-definite")
    return factors(of.cut(backwards.flip(-1, -2)), of, k, d)


def check_shape(value: Any, shape: tuple[int, ...], name: str) -> Tensor:
    """Given numbers of this shape, in float64. Raises `ValueError` for others, and where some are not finite."""
    tensor = as_tensor(value).double()
    if tuple(tensor.shape) != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"The parameter '{name}' contains NaN or inf; expected finite numbers.")
    return tensor


def _is_single(value: Any) -> bool:
    return "float32" in str(getattr(value, "dtype", ""))
