"""Mixtures of experts in files: what their fits leave, and what makes it belong together."""

from __future__ import annotations

from copy import copy
from typing import Any, NotRequired

from gmmlab.axes import Float
from gmmlab.errors import telling
from gmmlab.estimators import GaussianMixture
from gmmlab.estimators import parameters as sk
from gmmlab.experts import GMRegressor, LogisticMoE, SoftmaxMoE, TopKMoE
from gmmlab.families import Logits, ScaledLinear
from gmmlab.gates import TopK
from gmmlab.model import Mixture
from gmmlab.storage.entry import Fitted, Stored, check_agreement, require
from gmmlab.storage.hints import Array, Label


class Gated(Fitted):
    """Of experts with a gate."""

    mixture_: Mixture
    weights_: Float[Array, "k"]
    gate_weights_: Float[Array, "k g"]
    converged_: bool
    n_iter_: int
    loglik_path_: list[float]
    lower_bound_: float
    _of_gate: int


class Linear(Gated):
    """Of lines."""

    coef_: Float[Array, "k p"] | Float[Array, "k q p"]
    intercept_: Float[Array, "k"] | Float[Array, "k q"]
    variances_: NotRequired[Float[Array, "k"] | Float[Array, "k q q"]]
    log_variances_: NotRequired[Float[Array, "k l"]]
    _flat: bool


class Logistic(Gated):
    """Of log odds."""

    classes_: Label[Array, "j"]
    expert_coef_: Float[Array, "k i p"]
    expert_intercept_: Float[Array, "k i"]
    _of_classes: int


class Joint(Fitted):
    """Of a mixture of inputs and outputs."""

    joint_: GaussianMixture
    n_components_: int
    cv_scores_: NotRequired[dict[int, float]]
    converged_: bool
    n_iter_: int
    lower_bound_: float
    _flat: bool
    _outputs: list[str]


def _check_written(model: SoftmaxMoE | LogisticMoE, outputs: int) -> None:
    """The mixture is of rows of inputs, of what the gate looks at, and of outputs; attributes are what it says."""
    p, g = model.n_features_in_, model._of_gate
    looks, wide = tuple(range(p, p + g) if g else range(p)), p + g + outputs
    components, gate = model._parts
    lines: Any = components.lines if isinstance(components, ScaledLinear) else components
    asked = [*lines.inputs, *([lines.output] if isinstance(lines, Logits) else lines.outputs)]
    require(gate.columns == looks, f"the gate looks at the columns {gate.columns}, expected {looks}")
    expected = [*range(p), *range(p + g, wide)]
    require(asked == expected and len(lines.origin) == wide, f"experts have the columns {asked}, expected {expected}")
    anew = copy(model)
    with telling(lambda *_: None):  # it has been said at the fit
        anew._written(model.weights_)
    written = {name: value for name, value in vars(anew).items() if value is not getattr(model, name, None)}
    for name in written:
        require(hasattr(model, name), f"it has no {name}")
    check_agreement(model, {name: sk.as_tensor(value) for name, value in written.items()})


def _check_linear(model: SoftmaxMoE) -> None:
    outputs = model._parts[0].q
    require(outputs == 1 or not model._flat, f"there are {outputs} outputs for one")
    _check_written(model, outputs)


def _check_top(model: TopKMoE) -> None:
    _check_linear(model)
    gate = model.mixture_.gate
    require(isinstance(gate, TopK) and gate.top_k == model.top_k, "the gate has other experts active than top_k")


def _check_logistic(model: LogisticMoE) -> None:
    classes = model._parts[0].classes
    require(classes == len(model.classes_) == model._of_classes, f"there are {classes} classes for {model.classes_}")
    _check_written(model, 1)


def _check_joint(model: GMRegressor) -> None:
    inputs, outputs = model.n_features_in_, len(model._outputs)
    wide = model.joint_.n_features_in_
    require(wide == inputs + outputs, f"joint_ has {wide} columns for {inputs} inputs and {outputs} outputs")
    require(outputs == 1 or not model._flat, f"there are {outputs} outputs for one")
    _ = model.mixture_  # raises where joint_ is not fitted


_GATED = {"k": "n_experts", "p": "n_features_in_", "c": "n_features_in_"}

STORED: tuple[Stored, ...] = (
    Stored(GMRegressor, Joint, _check_joint, {"c": "n_features_in_"}),
    Stored(LogisticMoE, Logistic, _check_logistic, _GATED),
    Stored(SoftmaxMoE, Linear, _check_linear, _GATED),
    Stored(TopKMoE, Linear, _check_top, _GATED),
)
