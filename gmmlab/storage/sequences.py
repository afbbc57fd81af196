"""Models of sequences in files: what their fits leave, and what makes it belong together."""

from __future__ import annotations

from typing import NotRequired

from gmmlab.axes import Float
from gmmlab.gates import Markov
from gmmlab.model import Mixture
from gmmlab.sequences import ARHMM, HMM
from gmmlab.sequences.base import SequenceModel
from gmmlab.storage.entry import Fitted, Stored, check_agreement, require
from gmmlab.storage.hints import Array


class Chained(Fitted):
    """Of a chain of states."""

    mixture_: Mixture
    startprob_: Float[Array, "s"]
    transmat_: Float[Array, "s s"]
    converged_: bool
    n_iter_: int
    log_likelihood_history_: list[float]
    lower_bounds_: list[float]


class Emitting(Chained):
    """Of states that emit rows."""

    means_: Float[Array, "k d"]
    covariances_: Float[Array, "..."]
    weights_: NotRequired[Float[Array, "s k"]]


class Moving(Chained):
    """Of states that go on from rows."""

    coefs_: Float[Array, "s q l"]
    covariances_: Float[Array, "s q q"]
    spectral_radius_: Float[Array, "s"]


def _check_chain(model: SequenceModel) -> None:
    """The attributes are those of the mixture, whose gate is a chain."""
    gate = model.mixture_.gate
    if not isinstance(gate, Markov):
        raise TypeError(f"the gate of mixture_ is a {type(gate).__name__}, expected a chain")
    written = {"startprob_": gate.start.exp(), "transmat_": gate.moves.exp()} | model._written(model.mixture_)
    for name in written:
        require(hasattr(model, name), f"it has no {name}")
    check_agreement(model, written)


def _check_moving(model: ARHMM) -> None:
    _check_chain(model)
    experts, back = model.mixture_.components, model.n_features_in_ * int(model.order)
    columns = (*getattr(experts, "inputs", ()), *getattr(experts, "outputs", ()))
    expected = tuple(range(back + model.n_features_in_))
    require(columns == expected, f"the dynamics are of the columns {columns}, expected {expected}")
    require(model.coefs_.shape[2] == back + 1, f"coefs_ has {model.coefs_.shape[2]} a line, expected {back + 1}")


_CHAIN = {"s": "n_states", "c": "n_features_in_"}

STORED: tuple[Stored, ...] = (
    Stored(ARHMM, Moving, _check_moving, _CHAIN | {"q": "n_features_in_"}),
    Stored(HMM, Emitting, _check_chain, _CHAIN | {"d": "n_features_in_"}),
)
