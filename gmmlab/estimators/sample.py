"""Rows as a fit takes them: complete ones to start from, and a source of statistics of all of them.

What a person has may be a table, a table with gaps, or a stream that does not fit in memory; a fit sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state

from gmmlab.axes import Float, Tensor
from gmmlab.data import Rows, as_rows, row_weights, warn_of_idle_columns
from gmmlab.data.streams import Stream, survey
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.fit import Source
from gmmlab.fit.missing import check_columns, nothing_observed, start_rows
from gmmlab.fit.pieces import Piece, chunked, complete, over, with_gaps
from gmmlab.kernels.chunks import Chunk
from gmmlab.model import Mixture

FROM_STREAM = 20_000  # rows of a stream that its fit starts from


class Behind(NamedTuple):
    """Draws of the true values behind rows, given a model, and how often each row counts."""

    rows: Callable[[Mixture], Float[Tensor, "n d"]]
    weight: Float[Tensor, "n"] | None


class Sample(NamedTuple):
    """What a fit needs of its rows."""

    x: Float[Tensor, "m d"]  # complete rows to start from
    weight: Float[Tensor, "m ..."] | None
    origin: Float[Tensor, "d"]  # about which moments are taken: the mean of all rows
    n: float  # how much all rows count, by the first column of weights
    pieces: Iterable[Piece]  # all rows
    complete: bool  # whether `x` are all rows as they are
    told: Source | None = None  # where their statistics come from, of rows of which more is known than themselves
    behind: Behind | None = None  # of rows that are not seen as they are

    @property
    def source(self) -> Source:
        """The statistics of all rows."""
        return over(self.pieces) if self.told is None else self.told

    def batches(self, size: int, rng: torch.Generator) -> list[Chunk]:
        """Complete rows in a random order, so many at a time."""
        order = torch.randperm(len(self.x), generator=rng, device=rng.device).to(self.x.device)
        weight = self.weight
        return [Chunk(self.x[i], None if weight is None else weight[i]) for i in order.split(size)]

    @property
    def counting(self) -> tuple[Tensor, Tensor | None]:
        """The rows that count, and their weights."""
        if self.weight is None:
            return self.x, None
        return self.x[self.weight > 0], self.weight[self.weight > 0]


def sample_of(X: Any, sample_weight: Any, estimator: Any, rng: torch.Generator) -> Sample:
    """Checked rows for a fit of an estimator; columns that say nothing are warned of."""
    k, ridge = int(estimator.n_components), float(estimator.reg_covar)
    if isinstance(X, Stream):
        return of_stream(X, sample_weight, k, rng)
    rows = as_rows(X, min_rows=2, missing=estimator._takes_gaps)
    if len(rows.x) < k:
        raise BadData(f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {len(rows.x)}")
    weight = row_weights(sample_weight, rows.x)
    sample = of_rows(rows, weight)
    warn_of_idle_columns(Rows(sample.x, rows.names), ridge)
    return sample


def of_rows(rows: Rows, weight: Float[Tensor, "n ..."] | None = None) -> Sample:
    """Rows in memory, which may have gaps."""
    if rows.gaps:
        return _with_gaps(rows.x, weight)
    return Sample(rows.x, weight, rows.x.mean(0), _total(rows.x, weight), complete(rows.x, weight), complete=True)


def of_stream(stream: Stream, sample_weight: Any, k: int, rng: torch.Generator) -> Sample:
    """Rows that are read again in every step, for mixtures of up to k components."""
    if sample_weight is not None:
        raise BadData("sample_weight was given beside a stream; expected weights in its chunks: Chunk(x, weight).")
    pieces = chunked(stream)
    seen = survey(stream, max(FROM_STREAM, 40 * k), rng)
    if len(seen.sample) < max(2, k):
        raise BadData(f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {len(seen.sample)}")
    return Sample(seen.sample, None, seen.mean.to(seen.sample), seen.total, pieces, complete=False)


def _with_gaps(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None) -> Sample:
    check_columns(x)
    empty = nothing_observed(x)
    x, weight = x[~empty], None if weight is None else weight[~empty]
    if dropped := int(empty.sum()):
        warn(f"{dropped} of {len(empty)} rows have no entry at all and tell the fit nothing.", DataWarning)
    begin = start_rows(x)
    return Sample(begin, weight, begin.mean(0), _total(x, weight), with_gaps(x, weight), complete=False)


def _total(x: Float[Tensor, "n d"], weight: Float[Tensor, "n ..."] | None) -> float:
    return float(len(x) if weight is None else weight.reshape(len(x), -1)[:, 0].sum())


def numpy_head(X: Any) -> Any:
    """What scikit-learn's bookkeeping of columns may look at: the rows, or for a stream an empty table like them."""
    if not isinstance(X, Stream):
        return X
    return np.empty((1, X.d))


def generator(random_state: Any, device: torch.device) -> torch.Generator:
    """A torch generator seeded the way scikit-learn's users expect: by the first number that numpy's would draw."""
    if isinstance(random_state, int | np.integer) and 0 <= random_state < 2**32:
        # the same Mersenne twister, but numpy first seeds another from the system, which takes longer than an EM step
        twister = torch.Generator().manual_seed(int(random_state))
        seed = int(torch.empty((), dtype=torch.int32).random_(generator=twister))
    else:
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    return torch.Generator(device=device).manual_seed(seed)
