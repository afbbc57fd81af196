"""Cholesky factors of matrices to which the square of one vector is added, or from which it is taken."""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import NotPositiveDefinite


def updated(chol: Float[Tensor, "k d d"], v: Float[Tensor, "k d"], sign: float = 1.0) -> Float[Tensor, "k d d"]:
    """Lower factors of L L' + v v', or with sign=-1 of L L' - v v', in O(d^2) each.

    With p = L^-1 v the factor is L C, where C is that of I + sign p p', known in closed form: for t_j = 1 + sign
    (p_1^2 + ... + p_j^2) its diagonal is (t_j / t_j-1)^1/2, and below it C_ij = sign p_i p_j / (t_j t_j-1)^1/2. See
    Gill, Golub, Murray and Saunders (1974), method C1.

    Raises `NotPositiveDefinite` when what is left is not positive definite. Taking away loses digits where little is
    left: a factor that has been through many updates is to be made anew now and then.
    """
    p = torch.linalg.solve_triangular(chol, v[:, :, None], upper=False).squeeze(-1)
    square = sign * p.square()
    t = 1 + square.cumsum(-1)
    if sign < 0 and not bool((t[:, -1] > 0).all()):
        least = float(t[:, -1].min())
        raise NotPositiveDefinite(
            f"A vector was taken from a matrix that does not hold it: {least:.3g} of its determinant would be left, "
            "expected more than 0. Make the factor anew from the moments."
        )
    before = t - square
    seen = (chol * p[:, None, :]).cumsum(-1)
    later = seen[:, :, -1:] - seen  # sum over m > j of L_im p_m: nothing above the diagonal
    return chol * (t / before).sqrt()[:, None, :] + later * (sign * p * (t * before).rsqrt())[:, None, :]
