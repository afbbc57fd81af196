"""Marginals and conditionals of a mixture, and regression by conditioning.

    p(x_o) = sum_k pi_k p_k(x_o)        p(x_t | x_o) = sum_k r_k p_k(x_t | x_o),    r_k = pi_k p_k(x_o) / p(x_o)

A mixture fitted to all columns answers any question of some columns about others: its mean given x_o is a regression
curve that bends from the line of one component to that of the next. See Ghahramani and Jordan (1994) and Sung (2004),
chapter 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families import conditioning
from gmmlab.families.parts import columns_of
from gmmlab.gates import Constant
from gmmlab.kernels.chunks import chunks
from gmmlab.model import Mixture


class Regression(NamedTuple):
    """What n rows make one expect of t other columns."""

    mean: Float[Tensor, "n t"]
    cov: Float[Tensor, "n t t"]

    @property
    def sd(self) -> Float[Tensor, "n t"]:
        """Standard deviation of each column."""
        return self.cov.diagonal(dim1=-2, dim2=-1).sqrt()


def marginal(mixture: Mixture, columns: Sequence[int]) -> Mixture:
    """The mixture of some columns, in the order given; at least one. Of every family."""
    if not columns:
        raise ValueError("No column is left; expected at least one.")
    return Mixture(columns_of(mixture.components, columns), mixture.gate.marginal(columns))


def condition(mixture: Mixture, columns: Sequence[int], values: Float[Tensor, "o"]) -> Mixture:
    """The mixture of the other columns, in their order, given the values of these.

    Raises `BadData` where the values are so far away that no component has a density there.
    """
    components, part = mixture.gaussian, conditioning.conditional(mixture.gaussian, columns, values[None].double())
    rest = marginal(mixture, conditioning.complement(columns, mixture.d)).gaussian
    joint = mixture.gate.joint(part.log_prob)[0]
    _check_density(joint)
    log_w = joint - torch.logsumexp(joint, dim=0)
    origin = (log_w.exp() @ part.mean[0]).to(components.origin)
    return Mixture(rest.replace(mean=part.mean[0], chol=part.chol, origin=origin), Constant(log_w))


def regress(mixture: Mixture, x: Float[Tensor, "n o"], given: Sequence[int], targets: Sequence[int]) -> Regression:
    """Mean and covariance of the columns `targets` given that the columns `given` have the values `x`.

    m_i = sum_k r_ik m_ik        S_i = sum_k r_ik (C_k + (m_ik - m_i)(m_ik - m_i)')

    with the conditional means m_ik and covariances C_k of the components. The mean is the best guess of the targets in
    squared error; where the conditional density has several modes it may lie between them, and S says so.
    """
    model, given, width = ordered(mixture, given, targets), range(len(given)), mixture.k * (mixture.d + 2) ** 2
    parts = [_moments(model, given, rows) for rows in chunks(x, width)]
    return Regression(*(torch.cat(column) for column in zip(*parts, strict=True)))


def ordered(mixture: Mixture, given: Sequence[int], targets: Sequence[int]) -> Mixture:
    """The mixture of the columns that matter: those given, then the targets."""
    if not targets:
        raise ValueError("There are no target columns; expected at least one.")
    if both := sorted(set(given) & set(targets)):
        raise ValueError(f"Columns {both} are both given and targets; expected each in one of the two.")
    return marginal(mixture, [*given, *targets])


def _moments(model: Mixture, given: Sequence[int], rows: Float[Tensor, "n o"]) -> Regression:
    part = conditioning.conditional(model.gaussian, given, rows)
    resp = torch.softmax(model.gate.joint(part.log_prob), dim=1)  # noise expects nothing
    mean = torch.einsum("nk,nkt->nt", resp, part.mean)
    spread = part.mean - mean[:, None]
    within = part.chol @ part.chol.mT if part.chol.ndim == 3 else torch.diag_embed(part.chol**2)
    cov = torch.einsum("nk,kts->nts", resp, within.to(resp)) + torch.einsum("nk,nkt,nks->nts", resp, spread, spread)
    return Regression(mean, cov)


def _check_density(joint: Float[Tensor, "k"]) -> None:
    if not bool(torch.isfinite(torch.logsumexp(joint, dim=0))):
        raise BadData(
            "No component has a density at these values: they are NaN, infinite, or so far away that squares overflow. "
            "Expected finite values on the scale of the data."
        )
