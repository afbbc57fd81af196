"""Sequences as people have them: one table with lengths, a list of tables, or a padded array with a mask."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk


class Given(NamedTuple):
    """All rows, one sequence after the other."""

    x: Float[Tensor, "n d"]
    lengths: list[int]
    names: list[str]

    @property
    def ends(self) -> Int[Tensor, "b"]:
        """The last row of each sequence."""
        return torch.tensor(self.lengths, device=self.x.device).cumsum(0) - 1


def as_sequences(X: Any, lengths: Any = None, *, missing: bool = False) -> Given:
    """Checked rows and lengths.

    `X` is a table (n, d), whose sequences have these `lengths`, all of it one unless given; a list of tables; or a
    padded array (b, t, d), of which `lengths` may be a mask (b, t) of what is there, or the lengths. Raises `BadData`
    for lengths that are none, or do not sum to n.
    """
    if isinstance(X, list | tuple) and len(X) > 0 and all(np.ndim(table) == 2 for table in X):
        if lengths is not None:
            raise BadData("X is a list of sequences, and lengths were given too; expected one of both.")
        parts = [as_rows(table, missing=missing) for table in X]
        if len(widths := {part.x.shape[1] for part in parts}) > 1:
            raise BadData(f"The sequences have {sorted(widths)} columns; expected the same number in all.")
        return Given(torch.cat([part.x for part in parts]), [len(part.x) for part in parts], parts[0].names)
    if np.ndim(X) == 3:
        X, lengths = _unpadded(X, lengths)
    rows = as_rows(X, missing=missing)
    return Given(rows.x, _checked(lengths, len(rows.x)), rows.names)


def _unpadded(X: Any, lengths: Any) -> tuple[Any, list[int]]:
    """The rows that are there of a padded array, and how many of each sequence."""
    b, t = X.shape[:2]
    counts = [t] * b if lengths is None else None
    if counts is None and np.shape(lengths) == (b, t):
        mask = np.asarray(lengths.cpu() if isinstance(lengths, Tensor) else lengths).astype(bool)
        counts = mask.sum(1).tolist()
        if not (mask == (np.arange(t) < mask.sum(1)[:, None])).all():
            raise BadData("The mask has gaps: expected True from the first row of a sequence to its last.")
    counts = counts or _checked(lengths, None)
    if len(counts) != b or max(counts) > t:
        raise BadData(
            f"There are {len(counts)} lengths up to {max(counts)}; expected {b}, up to {t} (the padded length)."
        )
    parts = [X[i, :n] for i, n in enumerate(counts)]
    return (torch.cat(parts) if isinstance(X, Tensor) else np.concatenate(parts)), counts


def _checked(lengths: Any, n: int | None) -> list[int]:
    if lengths is None:
        return [int(n or 0)]
    values = np.asarray(lengths.cpu() if isinstance(lengths, Tensor) else lengths)
    if values.ndim != 1 or len(values) == 0 or not (values == values.astype(int)).all() or values.min() < 1:
        raise BadData(f"lengths is {lengths!r}; expected whole numbers of at least 1, one for each sequence.")
    if n is not None and values.sum() != n:
        raise BadData(f"The lengths of the sequences sum to {int(values.sum())}; expected {n}, the number of rows.")
    return [int(value) for value in values]


def log_plausibilities(state_weights: Any, given: Given, n_states: int) -> Float[Tensor, "n s"] | None:
    """Logarithms of what is known of each row's state; None if nothing is.

    Raises `BadData` unless these are numbers of at least 0, one for each row and state, and not all zero in a row.
    """
    if state_weights is None:
        return None
    weights = sk.as_tensor(state_weights).to(given.x)
    if tuple(weights.shape) != (shape := (len(given.x), n_states)):
        raise BadData(
            f"state_weights has the shape {tuple(weights.shape)}; expected {shape}: a number per row and state."
        )
    bad = ~((weights >= 0) & torch.isfinite(weights)).all(1)
    if bool(bad.any()):
        at = int(bad.nonzero()[0])
        raise BadData(f"state_weights[{at}] is {weights[at].tolist()}; expected finite numbers of at least 0.")
    if bool((nothing := (weights == 0).all(1)).any()):
        at = int(nothing.nonzero()[0])
        raise BadData(f"state_weights[{at}] is zero for all states; expected one that is possible. Ones say nothing.")
    return weights.log()


def labels_to_weights(labels: Any, n_states: int, trust: float = 1.0) -> Any:
    """Plausibilities (n, s) out of a label for each row: 1 for the state named, 1 - `trust` for the others.

    A label of -1 says nothing: ones for all states. Raises `BadData` for labels of no state and a trust that is none.
    """
    names = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if names.ndim != 1 or not (names == names.astype(int)).all() or names.min() < -1 or names.max() >= n_states:
        raise BadData(f"The labels are no states; expected whole numbers from 0 to {n_states - 1}, or -1 for unknown.")
    if not 0 <= trust <= 1:
        raise BadData(f"trust={trust}; expected a number from 0 (the labels say nothing) to 1 (they are certain).")
    weights = np.full((len(names), n_states), 1 - float(trust))
    weights[np.arange(len(names)), names] = 1
    weights[names == -1] = 1
    return sk.like(labels, torch.from_numpy(weights))
