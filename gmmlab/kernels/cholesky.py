"""The one Cholesky factorisation: batched, and honest about what it had to add.

Few columns are factored in numpy. For a batch torch opens a parallel region, if only to clear the upper triangles, and
GNU's OpenMP then spins for milliseconds on a core that a pass over the rows, or another process, has use for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import NotPositiveDefinite

FEW = 32  # columns up to which numpy takes about as long as torch
RELATIVE = (1e-12, 1e-10, 1e-8, 1e-6)  # jitters to try, times the mean variance


def safe_cholesky(
    cov: Tensor, *, rounding: Callable[[], Float[Tensor, "k"]] | None = None, relative: tuple[float, ...] = RELATIVE
) -> tuple[Tensor, Float[Tensor, "k"]]:
    """Lower factors of k covariance matrices (k, d, d), and the jitter that each needed.

    Variances (k, d) of axis-aligned covariances give standard deviations (k, d). A member that fails is tried again
    with more and more added to its variances: small multiples of the error that they are known to have, `rounding()`,
    then `relative` parts of their mean. The amount added (in squared data units, zero for most) is returned for the
    caller to report.

    Raises `NotPositiveDefinite` naming the members for which that is not enough, and those that are not finite.
    """
    chol, failed = _attempt(cov)
    added = cov.new_zeros(len(cov))
    if not bool(failed.any()):
        return chol, added
    scale = (cov if cov.ndim == 2 else cov.diagonal(dim1=-2, dim2=-1)).mean(-1).clamp(min=0)
    amounts = [] if rounding is None else [times * rounding() for times in (4, 64, 1024)]
    for amount in [*amounts, *(part * scale for part in relative)]:
        added = torch.where(failed, amount, added)
        chol, failed = _attempt(add_to_variances(cov, added))
    if bool(failed.any()):
        raise NotPositiveDefinite(_explain(cov, failed))
    return chol, added


def flagged_cholesky(cov: Tensor, *, floor: float = 0.0, **_: object) -> tuple[Tensor, Float[Tensor, "k"]]:
    """Lower factors as `safe_cholesky` gives them, but nothing is added and nothing raised.

    A member that has no factor, or one with a diagonal entry of at most `floor` (a standard deviation, in data units),
    gets the identity instead, and an infinite jitter to tell so: among many models, one that fails is set aside.
    """
    chol, failed = _attempt(cov)
    diagonal = chol if cov.ndim == 2 else chol.diagonal(dim1=-2, dim2=-1)
    failed = failed | ~(diagonal > floor).all(-1)
    unit = torch.ones_like(cov[0]) if cov.ndim == 2 else torch.eye(cov.shape[-1], dtype=cov.dtype, device=cov.device)
    jitter = torch.zeros_like(diagonal[:, 0]).masked_fill_(failed, torch.inf)
    return torch.where(failed.view(-1, *[1] * (cov.ndim - 1)), unit, chol), jitter


def factored(cov: Float[Tensor, "k d d"]) -> tuple[Float[Tensor, "k d d"], Int[Tensor, "k"]]:
    """Lower factors, and for which there are none (a number that is not zero): `torch.linalg.cholesky_ex`."""
    if cov.is_cpu and not cov.requires_grad and cov.shape[-1] <= FEW:
        try:
            return torch.from_numpy(np.linalg.cholesky(cov.numpy())), cov.new_zeros(len(cov), dtype=torch.int32)
        except np.linalg.LinAlgError:  # of some, and numpy does not say which
            pass
    return torch.linalg.cholesky_ex(cov)


def add_to_variances(cov: Tensor, amount: Float[Tensor, "k"]) -> Tensor:
    """Covariances (k, d, d) or variances (k, d) with an amount per component added to every variance."""
    if cov.ndim == 2:
        return cov + amount[:, None]
    return cov + torch.diag_embed(amount[:, None].expand(cov.shape[:2]))


def lower_factor(root: Float[Tensor, "k q d"]) -> Float[Tensor, "k q q"]:
    """Lower factors L of root root', with a positive diagonal: root' = Q R and L = R'.

    The product is never formed, which keeps the digits that squaring would lose. Raises `NotPositiveDefinite` when
    the rows of a root depend on each other.
    """
    factor = torch.linalg.qr(root.mT).R.mT
    diagonal = factor.detach().diagonal(dim1=-2, dim2=-1)
    size = root.detach().square().sum(-1).sqrt()[:, : diagonal.shape[1]]
    flat = diagonal.abs() <= 8 * torch.finfo(root.dtype).eps * size
    if root.shape[1] > root.shape[2] or bool(flat.any()):
        raise NotPositiveDefinite(
            f"The covariances of {root.shape[1]} combinations of {root.shape[2]} columns are singular; expected "
            "combinations of which none follows from the others. Leave some out."
        )
    return factor * diagonal.sign()[:, None]


def _attempt(cov: Tensor) -> tuple[Tensor, Bool[Tensor, "k"]]:
    if cov.ndim == 2:
        good = ((cov > 0) & torch.isfinite(cov)).all(-1)
        return torch.where(good[:, None], cov, 1.0).sqrt(), ~good
    chol, info = factored(cov)
    return chol, (info != 0) | ~torch.isfinite(chol).flatten(1).all(-1)


def _explain(cov: Tensor, failed: Bool[Tensor, "k"]) -> str:
    bad = failed.nonzero().flatten().tolist()
    kind = "has no positive definite covariance" if bool(torch.isfinite(cov[bad]).all()) else "is not finite"
    return (
        "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance "
        "caused by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or "
        f"scale the input data. (Component {bad[0]} of {len(cov)}, counted from 0, {kind}; {len(bad)} such in all.)"
    )
