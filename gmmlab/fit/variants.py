"""The same mixture with other assumptions: heavier tails, a background of noise, a prior.

run(variant(model, x, dof=4.0, noise=True), whole(x))
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.families import Components, Gaussian, Student
from gmmlab.families.prior import Prior
from gmmlab.families.student import Fixed
from gmmlab.gates import Constant, Gate, Noisy
from gmmlab.model import Mixture

NOISE = 0.05  # the weight of a background to begin with


def variant(
    model: Mixture,
    x: Float[Tensor, "n d"],
    *,
    dof: float | None = None,
    noise: bool | None = None,
    prior: float | None = None,
) -> Mixture:
    """A mixture of the rows with other assumptions; each that is None stays what it is.

    dof : Student-t components with so many degrees of freedom, which stay; infinite for Gaussian ones.
    noise : whether rows may belong to a uniform background in their bounding box.
    prior : how many times the weak conjugate prior of Fraley and Raftery (2007) counts; 0 for none.

    Raises `ValueError` for numbers that cannot be, and `BadData` for a family or for rows with gaps that an assumption
    does not suit.
    """
    components, gate = model.components, model.gate
    if dof is not None:
        components = _with_dof(components, dof, x)
    if noise is not None:
        gate = _with_noise(gate, x) if noise else _without_noise(gate)
    model = Mixture(components, gate)
    return model if prior is None else model.relocated(prior=_prior(model.located, x, prior))


def _with_dof(components: Components, dof: float, x: Float[Tensor, "n d"]) -> Components:
    if not dof > 0:
        raise ValueError(f"dof={dof}; expected a positive number, infinite for Gaussian components.")
    if not isinstance(components, Gaussian | Student):
        raise BadData(f"{type(components).__name__} components have no degrees of freedom; expected Gaussian ones.")
    gaussian = components.gaussian if isinstance(components, Student) else components
    if math.isinf(dof):
        return gaussian
    if bool(torch.isnan(x).any()):
        raise BadData("Student-t components need complete rows, and entries are missing (NaN). Keep Gaussian ones.")
    return Student(gaussian, gaussian.mean.new_full((gaussian.k,), dof), Fixed())


def _with_noise(gate: Gate, x: Float[Tensor, "n d"]) -> Gate:
    if isinstance(gate, Noisy):
        return gate
    low, high = (x.nan_to_num(value).aminmax(dim=0)[i] for i, value in enumerate((math.inf, -math.inf)))
    return Noisy.of(gate.weights, NOISE, low, high)


def _without_noise(gate: Gate) -> Gate:
    return Constant.of(gate.weights).replace(alpha=gate.alpha) if isinstance(gate, Noisy) else gate


def _prior(gaussian: Gaussian, x: Float[Tensor, "n d"], strength: float) -> Prior | None:
    if not 0 <= strength < math.inf:
        raise ValueError(f"prior={strength}; expected a number of at least 0, 1 for the weak prior.")
    if strength == 0:
        return None
    weak = Prior.weak(gaussian.structure, gaussian.k, x[~torch.isnan(x).any(1)])
    return weak.replace(kappa=strength * weak.kappa, scale=strength * weak.scale, rows=strength * weak.rows)
