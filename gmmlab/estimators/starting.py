"""Where the fits of a search begin: partitions of those rows that count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.estimators.sample import Sample
from gmmlab.estimators.search import Starts
from gmmlab.init import RESPONSIBILITIES, by_hierarchy

TREES = ("hierarchical", "ward")  # the same on every call, up to the sample that is drawn of many rows


class Starting(NamedTuple):
    """Names of RESPONSIBILITIES, and how often those that are drawn are drawn."""

    names: tuple[str, ...]
    times: int = 1

    @classmethod
    def of(cls, init_params: str | Sequence[str], n_init: int) -> Starting:
        """What a caller asked for. Raises `ValueError` for a name that is none."""
        names = (init_params,) if isinstance(init_params, str) else tuple(init_params)
        unknown = [name for name in names if name not in RESPONSIBILITIES]
        if unknown or not names:
            known = ", ".join(map(repr, RESPONSIBILITIES))
            raise ValueError(f"init_params is {init_params!r}; expected one or several of {known}.")
        return cls(names, n_init)

    def starts(self, sample: Sample, ks: Sequence[int], columns: int, rng: torch.Generator) -> list[Starts]:
        """Partitions of the rows of a sample, for each column of weights of those that count in it."""
        return [self._of_rows(sample.x, counting(sample, c), ks, rng) for c in range(columns)]

    def _of_rows(
        self, x: Float[Tensor, "m d"], rows: Int[Tensor, "r"], ks: Sequence[int], rng: torch.Generator
    ) -> Starts:
        some = x if len(rows) == len(x) else x[rows]
        found: dict[int, list[Tensor]] = {k: [] for k in ks}
        for name in self.names:
            for _ in range(1 if name in TREES else self.times):
                for k, part in zip(ks, _partitions(name, some, ks, rng), strict=True):
                    found[k].append(part if some is x else part.new_zeros(len(x), k).index_copy_(0, rows, part))
        return found


def counting(sample: Sample, column: int = 0) -> Int[Tensor, "r"]:
    """The rows of a sample whose weight is not zero."""
    if sample.weight is None:
        return torch.arange(len(sample.x), device=sample.x.device)
    weight = sample.weight[:, column] if sample.weight.ndim == 2 else sample.weight
    return weight.nonzero().flatten()


def _partitions(name: str, x: Float[Tensor, "r d"], ks: Sequence[int], rng: torch.Generator) -> list[Tensor]:
    """One partition for each k; one tree serves them all."""
    if RESPONSIBILITIES[name] is RESPONSIBILITIES["hierarchical"]:
        return by_hierarchy(x, ks, rng)
    return [RESPONSIBILITIES[name](x, k, rng) for k in ks]


def folds(cv: Any, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
    """The fold of each row, numbered from 0: `cv` of about equal size, at random, or those that are given as labels."""
    if isinstance(cv, int):
        if not 2 <= cv <= n:
            raise ValueError(f"cv is {cv}; expected 2 to {n} folds (the number of rows), or a label for each row.")
        return torch.randperm(n, generator=rng, device=rng.device) % cv
    labels = torch.as_tensor(cv)
    if labels.shape != (n,):
        raise BadData(f"cv has the shape {tuple(labels.shape)}; expected a fold for each of the {n} rows, or a number.")
    found, index = labels.unique(return_inverse=True)
    if len(found) < 2:
        raise BadData("cv has the same fold for all rows; expected at least two folds.")
    return index


def without_each(
    label: Int[Tensor, "n"], weight: Float[Tensor, "n"] | None, like: Float[Tensor, "n d"]
) -> Float[Tensor, "n c"]:
    """Columns of weights: of all rows, and of those outside each fold."""
    others = label.to(like.device)[:, None] != torch.arange(int(label.max()) + 1, device=like.device)
    columns = torch.cat([torch.ones_like(others[:, :1]), others], dim=1).to(like)
    return columns if weight is None else columns * weight[:, None]
