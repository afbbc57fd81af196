"""What a person gives an Explorer beside the model that is fitted: the truth, and other models to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.estimators.select import Selection
from gmmlab.families import Full
from gmmlab.fit.missing import start_rows
from gmmlab.init import from_labels
from gmmlab.model import Mixture

TOP = 3  # models of a selection


def true(given: Any, x: Float[Tensor, "n d"]) -> Mixture:
    """A mixture, the mixture of a fitted estimator, or that of groups of rows, from one label for each (-1 for none).

    Labels may be anything that can be told apart.
    """
    if (model := _mixture(given)) is not None:
        return _of_width(model, x.shape[1], "truth")
    groups = _groups(given, len(x)).to(x.device)
    rows = start_rows(x)[groups >= 0].double()
    spread = float(rows.var(0, correction=0).mean())
    return from_labels(rows, groups[groups >= 0], Full(), ridge=1e-6 * spread)


def _groups(given: Any, n: int) -> Int[Tensor, "n"]:
    """The number of each row's group, in the order in which groups appear; -1 for the label -1."""
    labels = np.asarray(given) if hasattr(given, "__array__") else np.array(list(given), dtype=object)
    if labels.shape != (n,):
        raise BadData(f"truth has {len(labels)} labels; expected one for each of {n} rows, or a mixture.")
    _, first, number = np.unique(labels.astype(str) if labels.dtype == object else labels, True, True)
    none = labels == -1
    order = np.argsort(np.where(none[first], n, first))  # of groups by their first row
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    if none.all():
        raise BadData("All labels of the truth are -1, which means none; expected some that say a group.")
    return torch.from_numpy(np.where(none, -1, place[number]))


def named(given: Any, d: int) -> dict[str, Mixture]:
    """Models by name: from models and fitted estimators by name, or the first of a `Selection`; none from None."""
    if isinstance(given, Selection):
        top = given.ranking().head(TOP)
        cells = zip(top.covariance_type, top.n_components, strict=True)
        given = {f"{kind} {k}": given.model(kind, int(k)) for kind, k in cells}
    if not isinstance(given, Mapping | None):
        raise TypeError(f"others is a {type(given).__name__}; expected models by name, or a Selection.")
    found = {str(name): _mixture(model) for name, model in (given or {}).items()}
    for name, model in found.items():
        if model is None:
            raise TypeError(f"others[{name!r}] is no mixture; expected a Mixture or a fitted estimator.")
    return {name: _of_width(model, d, f"others[{name!r}]") for name, model in found.items() if model is not None}


def _mixture(given: Any) -> Mixture | None:
    model = getattr(given, "mixture_", given)
    return model if isinstance(model, Mixture) else None


def _of_width(model: Mixture, d: int, name: str) -> Mixture:
    if model.d != d:
        raise BadData(f"{name} has {model.d} features and the rows have {d}; expected the same.")
    return model
