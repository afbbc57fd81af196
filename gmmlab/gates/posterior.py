"""What every gate gives back for a table of log densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor


class Posterior(NamedTuple):
    """Responsibilities and the log evidence of each row; times its weight, where rows have weights.

    Where rows may belong to no component, `none` is the probability of that, and the responsibilities sum to the rest.
    """

    resp: Float[Tensor, "n k"]
    evidence: Float[Tensor, "n ..."]
    none: Float[Tensor, "n"] | None = None

    def take(self, rows: Int[Tensor, "m"]) -> Posterior:
        """The posterior of some rows, in that order."""
        return Posterior(self.resp[rows], self.evidence[rows], None if self.none is None else self.none[rows])


def join(parts: Sequence[Posterior]) -> Posterior:
    """The posterior of all rows, from those of chunks."""
    none = [part.none for part in parts if part.none is not None]
    resp, evidence = (torch.cat(column) for column in zip(*(part[:2] for part in parts), strict=True))
    return Posterior(resp, evidence, torch.cat(none) if none else None)
