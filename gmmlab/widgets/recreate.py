"""A view as Python: the text that makes it again, and the function that this text calls.

explorer.state()      # prints itself; run it, and the same Explorer is there
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters
from gmmlab.estimators.student_mixture import RULES
from gmmlab.families import Blocks, Diagonal, Full, Gaussian, Structure, Student
from gmmlab.families.student import Fixed
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture

DIGITS = 9
WIDTH = 100


class Code(str):
    """Python that shows itself as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def mixture(
    covariance_type: str | Structure,
    *,
    weights: Sequence[float],
    means: Sequence[Sequence[float]],
    covariances: Sequence[Sequence[Sequence[float]]],
    noise: tuple[float, Sequence[float], Sequence[float]] | None = None,
    dofs: Sequence[float] | None = None,
    dof: str | float = "own",
    reg_covar: float = 0.0,
) -> Mixture:
    """A mixture out of plain numbers, with a covariance (d, d) for each component whatever the type.

    `noise` is its share and the two corners of its box. With `dofs` the components are Student-t, with these degrees of
    freedom, which `dof` says how to fit; `covariances` are then their scale matrices.
    """
    place, cov = (torch.tensor(part, dtype=torch.float64) for part in (means, covariances))
    share = torch.tensor(weights, dtype=torch.float64)
    structure = parameters.structure(covariance_type)
    plain = Full() if structure.dense else Diagonal()  # the numbers have the structure: to project them would move them
    gaussian = Gaussian.of(place, (cov + cov.mT) / 2, plain, ridge=reg_covar).replace(structure=structure)
    gate: Constant | Noisy = Constant.of(share)
    if noise is not None:
        none, low, high = noise
        gate = Noisy.of(share, none, *torch.tensor([low, high], dtype=torch.float64))
    if dofs is None:
        return Mixture(gaussian, gate)
    rule = RULES[dof] if isinstance(dof, str) else Fixed()
    return Mixture(Student(gaussian, torch.tensor(dofs, dtype=torch.float64), rule), gate)


def code(model: Mixture, *, rows: str = "X", **settings: Any) -> Code:
    """The Python that shows `model` on `rows` with these settings of `explore`. Numbers have nine digits.

    A prior of the parameters is left out, as a `Mixture` made by hand has none.
    """
    shown = ", ".join([rows, "model=model", *(f"{name}={value!r}" for name, value in settings.items())])
    blocks = "from gmmlab.families import Blocks\n" if isinstance(model.located.structure, Blocks) else ""
    return Code(
        f"import gmmlab\n{blocks}"
        "from gmmlab.widgets.recreate import mixture\n\n"
        f"model = {_call('mixture', _parameters(model))}\n"
        f"explorer = gmmlab.explore({shown})\n"
    )


def _parameters(model: Mixture) -> dict[str, Any]:
    """The arguments of `mixture`."""
    gaussian, components, gate = model.located, model.components, model.gate
    kept: dict[str, Any] = {
        "covariance_type": parameters.covariance_type(gaussian.structure),
        "weights": _plain(model.weights),
        "means": _plain(gaussian.mean),
        "covariances": _plain(gaussian.cov),
    }
    if isinstance(gate, Noisy):
        kept["noise"] = (_round(float(gate.none)), _plain(gate.low), _plain(gate.high))
    if isinstance(components, Student):
        known = (name for name, rule in RULES.items() if rule == components.rule)
        kept |= {"dofs": _plain(components.dof), "dof": next(known, float(components.dof[0]))}
    if gaussian.ridge:
        kept["reg_covar"] = gaussian.ridge
    return kept


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    """A call with an argument on each line; long lists have a line for each component."""
    return f"{name}(\n" + "".join(f"    {key}={_text(value)},\n" for key, value in arguments.items()) + ")"


def _text(value: Any) -> str:
    text = repr(value)
    if len(text) <= WIDTH - 20 or not isinstance(value, list) or not isinstance(value[0], list):
        return text
    return "[\n" + "".join(f"        {part!r},\n" for part in value) + "    ]"


def _plain(tensor: Tensor) -> Any:
    """Nested lists of rounded numbers."""
    return _rounded(tensor.tolist())


def _rounded(value: Any) -> Any:
    return [_rounded(part) for part in value] if isinstance(value, list) else _round(value)


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
