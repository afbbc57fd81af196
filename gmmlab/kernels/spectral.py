"""Parts of symmetric matrices by the sign of their eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gmmlab.axes import Float, Tensor
from gmmlab.kernels.threads import one_blas_thread

Array = npt.NDArray[Any]


def negative_part(a: Float[Tensor, "k n n"]) -> tuple[Float[Tensor, "k r"], Float[Tensor, "k n r"]]:
    """The negative eigenvalues of symmetric matrices and their vectors, r as many as one of them has at most.

    Those that have fewer are filled with zeros. On the CPU LAPACK finds only the vectors that are asked for, which is
    several times faster than all; a GPU finds all in one batch.
    """
    if not a.is_cpu:
        values, vectors = torch.linalg.eigh(a)
        r = int((values < 0).sum(1).max())
        return values[:, :r].clamp(max=0), vectors[:, :, :r]
    with one_blas_thread():
        found = [_negative(one) for one in a.numpy()]
    r = max(len(values) for values, _ in found)
    values, vectors = a.new_zeros(len(a), r), a.new_zeros(len(a), a.shape[1], r)
    for k, (value, vector) in enumerate(found):
        values[k, : len(value)], vectors[k, :, : len(value)] = torch.from_numpy(value), torch.from_numpy(vector)
    return values, vectors


def _negative(a: Array) -> tuple[Array, Array]:
    from scipy.linalg import eigh  # at use: it is not needed to import gmmlab

    values, vectors = eigh(a, driver="evr", subset_by_value=(-np.inf, 0.0), check_finite=False)
    return values, vectors
