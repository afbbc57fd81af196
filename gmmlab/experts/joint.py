"""What a mixture of all columns says of some, where others are known: Gaussian mixture regression.

    p(y | x) = sum_k w_k(x) N(y | m_k(x), C_k)        w_k(x) = pi_k N_k(x) / sum_l pi_l N_l(x)

with N_k(x) = N(x | mu_k^x, S_k^xx), the lines m_k(x) = mu_k^y + S_k^yx (S_k^xx)^-1 (x - mu_k^x), and C_k = S_k^yy -
S_k^yx (S_k^xx)^-1 S_k^xy. The conditional of a joint mixture is a mixture of linear experts whose gate is made of
Gaussians. See Ghahramani and Jordan (1994), Sung (2004), chapter 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmlab.algebra.conditioning import marginal, ordered
from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.experts.conditional import Conditional
from gmmlab.families.conditioning import conditional
from gmmlab.kernels.patterns import patterns
from gmmlab.model import Mixture


@torch.no_grad()
def given(
    mixture: Mixture, columns: Sequence[int], values: Float[Tensor, "n o"], targets: Sequence[int]
) -> Conditional:
    """The distributions of the columns `targets` where `columns` have these values, in float64.

    Values that are missing (NaN) are averaged over: a row is conditioned on what it has, one factorisation for each
    pattern. Raises `ValueError` for no columns, no targets, or columns that are both, and `BadData` where values are so
    far away that no component has a density there.
    """
    if not columns:
        raise ValueError("No column is given; expected at least one. The distribution without any is `marginal`.")
    model = ordered(mixture, columns, targets)
    found = patterns(values)
    parts = [_one_pattern(model, values[p.rows].double(), p.observed, len(columns)) for p in found]
    if len(parts) == 1:
        return parts[0]
    back = torch.cat([p.rows for p in found]).argsort()
    return Conditional(*(torch.cat(column)[back] for column in zip(*parts, strict=True)))


def difference(mixture: Mixture, p: int) -> tuple[Float[Tensor, "d d"], Float[Tensor, "d"]]:
    """The affine map from rows (x, y) to rows (x, y - x), for p inputs and as many outputs."""
    matrix = torch.eye(2 * p, dtype=torch.float64, device=mixture.weights.device)
    matrix[p:, :p] = -torch.eye(p, dtype=torch.float64, device=mixture.weights.device)
    return matrix, matrix.new_zeros(2 * p)


def _one_pattern(model: Mixture, values: Float[Tensor, "n o"], observed: Sequence[int], o: int) -> Conditional:
    """Of a mixture whose first o columns are the inputs, for rows that have the same ones of them."""
    inner = marginal(model, [*observed, *range(o, model.d)]) if len(observed) < o else model
    part = conditional(inner.gaussian, range(len(observed)), values[:, observed])
    joint = inner.gate.joint(part.log_prob)
    total = torch.logsumexp(joint, 1, keepdim=True)
    if not bool(torch.isfinite(total).all()):
        raise BadData(
            f"No component has a density at {int((~torch.isfinite(total)).sum())} of {len(values)} rows: they are so "
            "far away that squares overflow. Expected values on the scale of the data."
        )
    chol = part.chol if part.chol.ndim == 3 else torch.diag_embed(part.chol)
    return Conditional(joint - total, part.mean, chol.expand(len(values), *chol.shape))
