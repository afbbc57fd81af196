"""The last part of a climb by L-BFGS over all parameters: with more experts than there are, EM crawls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import LinearGaussian, ScaledLinear
from gmmlab.gates import Softmax
from gmmlab.model import Mixture

Parts = Sequence[Tensor]


def polish(
    model: Mixture, rows: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None, *, most: int = 500
) -> Mixture:
    """The model at a maximum of likelihood and penalty near it; itself where nothing higher was found.

    The floor of the noise is not looked at. Covariances that experts share are not supported: raises `TypeError`.
    """
    start, rebuilt = _free(model)
    parts = [part.clone().requires_grad_() for part in start]
    total = float(len(rows)) if weight is None else float(weight.sum())

    def objective(found: Mixture) -> Tensor:
        each = found.log_prob(rows).double()
        value = each.sum() if weight is None else weight.double() @ each
        return (value + found.penalty()) / total

    optimiser = torch.optim.LBFGS(
        parts, max_iter=most, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimiser.zero_grad()
        value = -objective(rebuilt(parts))
        value.backward()
        return float(value.detach())

    optimiser.step(loss)
    end = rebuilt([part.detach() for part in parts])
    with torch.no_grad():
        before, after = float(objective(model)), float(objective(end))
    return end if after > before else model


def _free(model: Mixture) -> tuple[Parts, Callable[[Parts], Mixture]]:
    """Parameters without constraints, and the way back."""
    experts, gate = model.components, model.gate
    if not isinstance(gate, Softmax):
        raise TypeError(f"Expected a softmax gate, got {type(gate).__name__}.")
    if isinstance(experts, ScaledLinear):
        scaled, lines = experts, experts.lines

        def with_noise(parts: Parts) -> Mixture:
            moved = lines.replace(coef=parts[1], level=parts[2])
            return Mixture(scaled.replace(lines=moved, noise=parts[3]), gate.replace(w=parts[0]))

        return [gate.w, lines.coef, lines.level, scaled.noise], with_noise
    if not isinstance(experts, LinearGaussian) or experts.structure.shared or experts.structure.spherical:
        raise TypeError("Only experts with a noise of their own, full or along the axes, can be polished.")
    plain = experts

    def with_factors(parts: Parts) -> Mixture:
        factor = parts[3]
        if factor.ndim == 3:
            chol = factor.tril(-1) + torch.diag_embed(factor.diagonal(dim1=-2, dim2=-1).exp())
        else:
            chol = factor.exp()
        return Mixture(plain.replace(coef=parts[1], level=parts[2], chol=chol), gate.replace(w=parts[0]))

    return [gate.w, plain.coef, plain.level, _log_diagonal(plain.chol)], with_factors


def _log_diagonal(chol: Tensor) -> Tensor:
    if chol.ndim == 2:
        return chol.log()
    return chol.tril(-1) + torch.diag_embed(chol.diagonal(dim1=-2, dim2=-1).log())
