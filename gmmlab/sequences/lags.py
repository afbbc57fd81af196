"""Rows beside those before them: what turns a sequence into inputs and outputs of linear experts."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.sequences.given import Given


def lagged(given: Given, order: int) -> Given:
    """Rows (x_t-1, ..., x_t-p, x_t) of all times that have p = `order` rows before them.

    Raises `BadData` for a sequence that has no such time.
    """
    at = scored(given, order)
    x = torch.cat([given.x[at - lag] for lag in [*range(1, order + 1), 0]], dim=1)
    names = [f"{name}, {lag} before" for lag in range(1, order + 1) for name in given.names]
    return Given(x, [length - order for length in given.lengths], [*names, *given.names])


def scored(given: Given, order: int) -> Int[Tensor, "m"]:
    """The rows that have so many before them in their sequence."""
    if (least := min(given.lengths)) <= order:
        raise BadData(
            f"Sequence {given.lengths.index(least)} has {least} rows; expected more than order={order}, as its first "
            "rows are only looked back at."
        )
    begins = [0, *accumulate(given.lengths)]
    spans = [torch.arange(begin + order, end) for begin, end in pairwise(begins)]
    return torch.cat(spans).to(given.x.device)


def of_all(given: Given, order: int, values: Tensor) -> Tensor:
    """Values of all rows from those of the scored ones: the first rows of a sequence have that of the first scored."""
    begins = [0, *accumulate(length - order for length in given.lengths)]
    places = [torch.arange(-order, end - begin).clamp(min=0) + begin for begin, end in pairwise(begins)]
    return values[torch.cat(places).to(values.device)]


def companion(coef: Float[Tensor, "s d q"]) -> Float[Tensor, "s e e"]:
    """The matrices that take p rows to the next p rows: (B_1 ... B_p) over shifted identities."""
    s, d, q = coef.shape
    below = torch.eye(q).to(coef)[: q - d].expand(s, -1, -1)
    return torch.cat([coef, below], dim=1)
