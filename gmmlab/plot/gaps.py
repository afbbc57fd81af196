"""Where a picture puts rows that have no value (NaN) in one of its columns: in the margin, below every value.

A row that lacks its x stands at the left edge at its own height, one that lacks its y at the lower edge, and one that
lacks both in the corner: seen, counted, and not taken for data. Imputed values would look like data and are not. See
Swayne and Buja (1998).
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor

Range = tuple[float, float]

# below the lowest value, in parts of the range: where such rows stand, and the line that sets them apart
PLACE, BORDER = 0.04, 0.02


def extent(values: Float[Tensor, "n"]) -> Range:
    """Lowest and highest value there is; one unit around a constant, or where there is none."""
    seen = values[~torch.isnan(values)]
    if not len(seen):
        return -0.5, 0.5
    low, high = float(seen.min()), float(seen.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def parts(values: Float[Tensor, "n"], within: Range) -> Float[Tensor, "n"]:
    """Values as parts of their range, in double precision; missing ones in the margin."""
    low, high = within
    part = (values.double() - low) / (high - low)
    return torch.where(torch.isnan(part), -PLACE, part)


def border(values: Float[Tensor, "n"], within: Range) -> float | None:
    """The value at which the margin for missing ones begins; None where none is missing."""
    low, high = within
    return low - BORDER * (high - low) if bool(torch.isnan(values).any()) else None
