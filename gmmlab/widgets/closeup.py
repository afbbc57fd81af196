"""What models say of single rows: the card of a row, and how uncertain every row is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gmmlab.algebra import log_prob, posterior
from gmmlab.axes import Float, Tensor
from gmmlab.gates import Posterior
from gmmlab.model import Mixture
from gmmlab.score.membership import relative_entropy

MOST = 5  # components on a card
NOISE = -1


def uncertainty(model: Mixture, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """Entropy of each row over its components and noise, from 0 (certain) to 1 (all alike).

    Responsibilities are never held for all rows at once, unless these have gaps.
    """
    if bool(torch.isnan(x).any()):
        return relative_entropy(posterior(model, x))
    with torch.no_grad():
        return torch.cat([relative_entropy(gate.posterior(table)) for gate, table in model.gated(x)])


def card(
    model: Mixture, row: Float[Tensor, "d"], names: Sequence[str], dims: Sequence[int], others: Mapping[str, Mixture]
) -> dict[str, Any]:
    """Values of a row in the shown columns (None where there is none), its responsibilities, most first, and its label
    under other models. Components are numbers from 0, noise is -1.
    """
    value = [float(row[i]) for i in dims]
    also = [[name, *_ranked(posterior(other, row[None]))[0]] for name, other in others.items()]
    return {
        "values": [[names[i], None if math.isnan(v) else v] for i, v in zip(dims, value, strict=True)],
        "resp": [[k, p] for k, p in _ranked(posterior(model, row[None]))[:MOST]],
        "log_density": float(log_prob(model, row[None])[0]),
        "others": also,
    }


def _ranked(own: Posterior) -> list[tuple[int, float]]:
    """Components with their shares of one row, most first; noise is among them."""
    shares = list(enumerate(own.resp[0].tolist()))
    if own.none is not None:
        shares.append((NOISE, float(own.none[0])))
    return sorted(shares, key=lambda pair: -pair[1])
