"""Marginals and conditionals of Gaussian components.

With the columns in the order (observed o, rest t), the lower factor of a covariance is

    L = [ L_oo   0   ]      and, with z = L_oo^-1 (x_o - mu_o),
        [ L_to  L_tt ]

    x_o       ~ N(mu_o, L_oo L_oo')         log density -1/2 |z|^2 - log|L_oo| - d_o/2 log 2 pi
    x_t | x_o ~ N(mu_t + L_to z, L_tt L_tt')

so that the factor of the reordered covariance holds all there is to know: nothing is inverted or subtracted, and a
conditional covariance is positive definite by construction. See Anderson (2003), theorems 2.4.3 and 2.5.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.structures import Diagonal, Full, Spherical, Structure, Tied
from gmmlab.kernels.cholesky import lower_factor


class Conditional(NamedTuple):
    """The rest of n rows given some of their columns, component by component; t counts the rest.

    The covariance of the rest, whose factor is `chol`, does not depend on the values.
    """

    mean: Float[Tensor, "n k t"]
    chol: Float[Tensor, "k t t"] | Float[Tensor, "k t"]
    log_prob: Float[Tensor, "n k"]  # log density of the given values under each component


def marginal(components: Gaussian, columns: Sequence[int]) -> Gaussian:
    """The components over some columns, in the order given.

    Raises `IndexError` for columns that are not there, and `ValueError` for one that stands twice.
    """
    check_columns(columns, components.d)
    index = list(columns)
    chol = lower_factor(components.chol[:, index]) if components.structure.dense else components.chol[:, index]
    return components.replace(
        mean=components.mean[:, index],
        chol=chol,
        origin=components.origin[index],
        structure=of_block(components.structure),
        prior=None,
    )


def conditional(components: Gaussian, columns: Sequence[int], values: Float[Tensor, "n o"]) -> Conditional:
    """The other columns, in their order, of n rows whose `columns` have these values.

    Computed in float64 and given back in the dtype of the values. With no columns given, these are the components
    themselves and the log density is 0. Cost O(k d^3 + n k d^2).
    """
    o, rest = len(columns), complement(columns, components.d)
    joint = marginal(components, [*columns, *rest])
    if values.shape[1] != o:
        raise ValueError(f"There are values for {values.shape[1]} column(s); expected {o}, one for each of {columns}.")
    offset = (values.double()[:, None] - joint.mean[:, :o]).permute(1, 2, 0)  # (k, o, n)
    if components.structure.dense:
        lead, cross, chol = joint.chol[:, :o, :o], joint.chol[:, o:, :o], joint.chol[:, o:, o:]
        z = torch.linalg.solve_triangular(lead, offset, upper=False)
        shift, diagonal = (cross @ z).permute(2, 0, 1), lead.diagonal(dim1=-2, dim2=-1)
    else:
        diagonal, chol = joint.chol[:, :o], joint.chol[:, o:]
        z, shift = offset / diagonal[:, :, None], offset.new_zeros(len(values), 1, 1)
    log_prob = -0.5 * z.square().sum(1).T - diagonal.log().sum(-1) - 0.5 * o * math.log(2 * math.pi)
    return Conditional((joint.mean[:, o:] + shift).to(values), chol, log_prob.to(values))


def of_block(structure: Structure) -> Structure:
    """What is known of the structure of blocks of covariances of this structure.

    Components that share a covariance share its blocks, and blocks of axis-aligned covariances are axis-aligned.
    Shapes and volumes that components have in common are not those of their blocks.
    """
    if structure.dense:
        return Tied() if structure.shared else Full()
    return structure if structure.shared or isinstance(structure, Spherical) else Diagonal()


def complement(columns: Sequence[int], d: int) -> list[int]:
    """The columns that are not among these, in their order."""
    check_columns(columns, d)
    taken = set(columns)
    return [j for j in range(d) if j not in taken]


def check_columns(columns: Sequence[int], d: int) -> None:
    """Raise unless the columns are different numbers from 0 to d - 1."""
    outside = [j for j in columns if not 0 <= j < d]
    if outside:
        raise IndexError(f"There is no column {outside[0]}: the model has {d}, numbered 0 to {d - 1}.")
    if len(set(columns)) < len(columns):
        raise ValueError(f"The columns are {list(columns)}; expected each at most once.")
