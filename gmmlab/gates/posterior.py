"""What every gate gives back for a table of log densities."""

from __future__ import annotations

from typing import NamedTuple

from gmmlab.axes import Float, Tensor


class Posterior(NamedTuple):
    """Responsibilities and the log evidence of each row; times its weight, where rows have weights."""

    resp: Float[Tensor, "n k"]
    evidence: Float[Tensor, "n ..."]
